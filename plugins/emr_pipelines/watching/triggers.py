"""The triggers with which tasks wait while they are deferred: each puts its question to a watcher, and awaits the answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from emr_pipelines.endings import states_of
from emr_pipelines.errors import ConfigurationError
from emr_pipelines.targets.base import Compute
from emr_pipelines.watching.board import Answer, Subject, Wait
from emr_pipelines.watching.looking import target_of
from emr_pipelines.watching.subjects import Computes, JobRuns, Room
from emr_pipelines.watching.watcher import watcher_for


class _Waiting(BaseTrigger):
    """Waits for an answer, or until the deadline, and yields one event. Times are in seconds since 1970.

    The event holds what the watcher answered, ``{"deadline": True}``, ``{"error": ...}``: nobody can be asked any more, or
    ``{"unreachable": ...}``: AWS has not answered for minutes.
    """

    def __init__(self, deadline: float | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's has no types
        self.deadline = deadline

    def question(self) -> tuple[Subject, Wait]:
        """Return what to look at and for what. Raises ``ConfigurationError`` when the environment no longer has its profile."""
        raise NotImplementedError

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait."""
        try:
            yield TriggerEvent(await self._answer())
        except TimeoutError:
            yield TriggerEvent({"deadline": True})
        except ConfigurationError as error:
            yield TriggerEvent({"error": f"{type(error).__name__}: {error}"})

    async def _answer(self) -> Answer:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()

        def take(told: Answer) -> None:
            if not answer.done():
                answer.set_result(told)

        subject, wait = self.question()
        wait.tell = partial(_from_any_thread, loop, take)
        watcher = watcher_for(subject.profile())
        watcher.add(subject, wait)
        try:
            async with asyncio.timeout(max(0.0, self.deadline - time.time()) if self.deadline else None):
                return await answer
        finally:
            watcher.remove(subject, wait)


def _from_any_thread(loop: asyncio.AbstractEventLoop, take: Callable[[Answer], None], told: Answer) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
        loop.call_soon_threadsafe(take, told)


class ComputeTrigger(_Waiting):
    """Waits until compute is ready, or ended."""

    def __init__(self, compute: dict[str, Any], deadline: float | None, since: float | None = None) -> None:
        super().__init__(deadline)
        self.compute = compute
        self.since = since or time.time()

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments that rebuild this trigger."""
        arguments = {"compute": self.compute, "deadline": self.deadline, "since": self.since}
        return f"{__name__}.ComputeTrigger", arguments

    def question(self) -> tuple[Subject, Wait]:
        """Ask how the compute stands."""
        compute = Compute.from_json(self.compute)
        return Computes(compute), Wait(compute.id, self.since, about=compute)


class RoomTrigger(_Waiting):
    """Waits until fewer runs of a deployment hold compute of a profile than its ``max_concurrent``."""

    def __init__(self, profile: str, deployment: str) -> None:
        super().__init__(None)
        self.profile = profile
        self.deployment = deployment

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments that rebuild this trigger."""
        return f"{__name__}.RoomTrigger", {"profile": self.profile, "deployment": self.deployment}

    def question(self) -> tuple[Subject, Wait]:
        """Ask whether there is room."""
        return Room(self.profile, self.deployment), Wait(self.profile, time.time())


class JobRunTrigger(_Waiting):
    """Waits until a job run ended; cancels it when a person ends the deferred task.

    :param since: when the job run was submitted.
    :param expected: seconds that it takes, as far as its history tells.
    """

    def __init__(
        self,
        compute: dict[str, Any],
        run: str,
        deadline: float | None,
        since: float | None = None,
        expected: float | None = None,
    ) -> None:
        super().__init__(deadline)
        self.compute = compute
        self.job_run = run
        self.since = since or time.time()
        self.expected = expected

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments that rebuild this trigger."""
        arguments = {
            "compute": self.compute,
            "run": self.job_run,
            "deadline": self.deadline,
            "since": self.since,
            "expected": self.expected,
        }
        return f"{__name__}.JobRunTrigger", arguments

    def question(self) -> tuple[Subject, Wait]:
        """Ask whether the job run has ended."""
        return JobRuns(Compute.from_json(self.compute)), Wait(self.job_run, self.since, expected=self.expected)

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
