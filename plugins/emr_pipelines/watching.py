"""Waiting for what EMR does: when to look again (pure), a short wait in the task's process, and triggers for the long ones."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, TypeVar

from airflow.triggers.base import BaseTrigger, TriggerEvent

from emr_pipelines.choosing import override
from emr_pipelines.clients import target_of_profile
from emr_pipelines.endings import states_of
from emr_pipelines.environments import current_environment
from emr_pipelines.targets.base import Compute, Owned, Target
from emr_pipelines.targets.once import Effect, effect_of
from emr_pipelines.targets.states import JobState, Phase

PATIENCE = 20.0
"""Seconds that a task waits in its own process before it defers: a deferral costs about three."""

_SOONEST, _SHARE, _LATEST = 0.5, 0.25, 30.0
_TOLERATED = 5
"""Looks in a row that may fail, other than by a throttle or a server's error, before the wait gives up."""


def look_again_in(waited: float) -> float:
    """Return the seconds until the next look, from those waited so far: half a second at first, then a quarter of the wait, at most 30.

    So an end is noticed late by at most a quarter of what the job took, and a job of hours costs two calls a minute.
    """
    return min(max(_SOONEST, waited * _SHARE), _LATEST)


_Seen = TypeVar("_Seen")


def wait_briefly(look: Callable[[], _Seen], done: Callable[[_Seen], bool], patience: float = PATIENCE) -> _Seen:
    """Look until done, for at most ``patience`` seconds; return the last state seen."""
    begun = time.monotonic()
    while not done(seen := look()):
        waited = time.monotonic() - begun
        pause = look_again_in(waited)
        if waited + pause > patience:
            break
        time.sleep(pause)
    return seen


def target_of(compute: Compute) -> Target:
    """Build the target that speaks for compute, from the profile that it was acquired with."""
    profile = override(current_environment().profile(compute.profile), compute.overrides)
    return target_of_profile(profile)


def job_state_of(compute: Compute, run: str) -> JobState:
    """Ask how one job run stands."""
    return target_of(compute).poll(compute, [run])[run]


class _Waiting(BaseTrigger):
    """Looks until done or until the deadline (seconds since 1970), and yields one event."""

    def __init__(self, deadline: float | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's has no types
        self.deadline = deadline

    def look(self) -> dict[str, Any] | None:
        """Return the event's payload, or ``None`` while there is more to wait for. Runs in a thread: boto3 blocks."""
        raise NotImplementedError

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait. A throttle or a server's error fails nobody; another error does when it comes several times in a row."""
        begun = time.monotonic()
        failures = 0
        while True:
            left = self.deadline - time.time() if self.deadline else float("inf")
            if left <= 0:
                yield TriggerEvent({"deadline": True})
                return
            # Jitter keeps triggers that began together from asking together for ever.
            pause = look_again_in(time.monotonic() - begun) * random.uniform(0.8, 1.2)  # noqa: S311  # nothing secret
            await asyncio.sleep(min(pause, left))
            try:
                payload = await asyncio.to_thread(self.look)
            except Exception as error:  # noqa: BLE001  # whatever it is, the job runs on and the task must hear of it
                failures += effect_of(error) is Effect.NONE
                self.log.warning("Looking failed, will look again: %s", error)
                if failures >= _TOLERATED:
                    yield TriggerEvent({"error": f"{type(error).__name__}: {error}"})
                    return
                continue
            failures = 0
            if payload is not None:
                yield TriggerEvent(payload)
                return


class ComputeTrigger(_Waiting):
    """Waits until compute is ready, or ended."""

    def __init__(self, compute: dict[str, Any], deadline: float | None) -> None:
        super().__init__(deadline)
        self.compute = compute

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments that rebuild this trigger."""
        return f"{__name__}.ComputeTrigger", {"compute": self.compute, "deadline": self.deadline}

    def look(self) -> dict[str, Any] | None:
        """Look at the compute."""
        compute = Compute.from_json(self.compute)
        state = target_of(compute).state(compute)
        return None if state.phase is Phase.STARTING else {"phase": state.phase.value}


class RoomTrigger(_Waiting):
    """Waits until fewer runs of a deployment hold compute of a profile than its ``max_concurrent``."""

    def __init__(self, profile: str, deployment: str) -> None:
        super().__init__(None)
        self.profile = profile
        self.deployment = deployment

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments that rebuild this trigger."""
        return f"{__name__}.RoomTrigger", {"profile": self.profile, "deployment": self.deployment}

    def look(self) -> dict[str, Any] | None:
        """Count the runs; a profile that has lost its ``max_concurrent`` since has room."""
        profile = current_environment().profile(self.profile)
        target = target_of_profile(profile)
        holders = leases_in(target.owned(self.deployment), self.profile)
        return {"room": True} if len(holders) < (profile.max_concurrent or len(holders) + 1) else None


def leases_in(owned: Iterable[Owned], profile: str) -> list[str]:
    """List the leases that hold compute of a profile, the oldest first; what is asleep takes no room."""
    held = (one.compute for one in owned if not one.asleep and one.compute.owner == "run")
    return list(dict.fromkeys(compute.lease for compute in held if compute.profile == profile))


class JobRunTrigger(_Waiting):
    """Waits until a job run ended; cancels it when a person ends the deferred task."""

    def __init__(self, compute: dict[str, Any], run: str, deadline: float | None) -> None:
        super().__init__(deadline)
        self.compute = compute
        self.job_run = run

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments that rebuild this trigger."""
        return f"{__name__}.JobRunTrigger", {"compute": self.compute, "run": self.job_run, "deadline": self.deadline}

    def look(self) -> dict[str, Any] | None:
        """Look at the job run."""
        state = job_state_of(Compute.from_json(self.compute), self.job_run)
        return {"state": state.state.value} if state.state.ended else None

    async def on_kill(self) -> None:
        """Cancel the job run, unless the task is still deferred: then another triggerer is only taking over.

        Airflow cancels this coroutine after about a second, so the work is done in a task of its own.
        """
        work = asyncio.create_task(self._cancel())
        _cancelling.add(work)
        work.add_done_callback(_cancelling.discard)
        await asyncio.shield(work)

    async def _cancel(self) -> None:
        if await asyncio.to_thread(self._still_deferred):
            return
        compute = Compute.from_json(self.compute)
        await asyncio.to_thread(lambda: target_of(compute).cancel(compute, self.job_run))
        self.log.info("Cancelled job run %s", self.job_run)

    def _still_deferred(self) -> bool:
        return self.task_instance is not None and "deferred" in states_of(self.task_instance)


_cancelling: set[asyncio.Task[None]] = set()
"""Keeps cancellations from being collected while they run."""
