"""What is asked, many at a time: how job runs stand, how compute stands, whether a profile has room."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from math import ceil
from typing import NamedTuple

from emr_pipelines.environments import current_environment
from emr_pipelines.targets.base import Compute, Owned, Target
from emr_pipelines.targets.profile import Profile
from emr_pipelines.targets.states import JobState, Phase
from emr_pipelines.watching.board import Answer, Wait
from emr_pipelines.watching.looking import profile_of

FEW = 3
"""As many job runs as are asked about one by one: no more calls than a listing and what it leaves open."""

SURE_SECONDS = 3600.0
"""Seconds after which one of many is asked about by itself, should no listing ever tell of its end."""

UNREACHED_SECONDS = 120.0
"""Seconds after which who waits for compute, or for room, is told that AWS cannot be reached: another profile may have it."""

_TURN = 100
"""One of so many at most is asked about by itself in one look."""

_FAR_SECONDS = 3600.0
"""Seconds by which one is so much older than the others that a listing shall not go back to it."""


class JobRuns:
    """The job runs on one compute."""

    announced = True
    patience = None  # it may be at work, and nothing else shall be started instead

    def __init__(self, compute: Compute) -> None:
        self.compute = compute
        self.key = ("job runs", compute.target, compute.id)

    def profile(self) -> Profile:
        """Return the compute's."""
        return profile_of(self.compute)

    def look(self, target: Target, waits: Sequence[Wait], now: float) -> Iterator[tuple[str, Answer]]:
        """Tell which have ended: for certain of some, and of the others as far as a listing tells."""
        plan = plan_look(waits, target.capabilities.runs_per_call, now)
        if plan.asked:
            yield from _ends(target.poll(self.compute, list(dict.fromkeys(wait.item for wait in plan.asked))).items())
            for wait in plan.asked:
                wait.asked = now
        if plan.listed:
            since = min(wait.since for wait in plan.listed)
            yield from _ends(target.ended(self.compute, {wait.item for wait in plan.listed}, since))


def _ends(states: Iterable[tuple[str, JobState]]) -> Iterator[tuple[str, Answer]]:
    return ((run, {"state": state.state.value, "ended": state.ended}) for run, state in states if state.state.ended)


class LookPlan(NamedTuple):
    """Whose job runs are asked about by themselves, and whose a listing shall tell."""

    asked: list[Wait]
    listed: list[Wait]


def plan_look(waits: Collection[Wait], runs_per_call: int, now: float) -> LookPlan:
    """Plan a look: few job runs are asked about by themselves, many are listed.

    Of many, up to three that are far older than the others are not listed, since a listing goes back to the oldest that is left to
    it; and those that nobody has asked about for an hour have their turn to be asked about, too.
    """
    oldest = sorted(waits, key=lambda wait: wait.since)
    if len(oldest) <= max(FEW, runs_per_call):
        return LookPlan(oldest, [])
    far = next((far for far in range(FEW, 0, -1) if oldest[far].since - oldest[far - 1].since > _FAR_SECONDS), 0)
    alone, listed = oldest[:far], oldest[far:]
    overdue = sorted(listed, key=lambda wait: max(wait.asked, wait.since))[: runs_per_call * ceil(len(listed) / _TURN)]
    return LookPlan(alone + [wait for wait in overdue if now - max(wait.asked, wait.since) >= SURE_SECONDS], listed)


class Computes:
    """Compute of one target that starts."""

    announced = False
    patience = UNREACHED_SECONDS

    def __init__(self, compute: Compute) -> None:
        self._profile = profile_of(compute)
        self.key = ("compute", self._profile.target)

    def profile(self) -> Profile:
        """Return that of the compute that was waited for first."""
        return self._profile

    def look(self, target: Target, waits: Sequence[Wait], now: float) -> Iterator[tuple[str, Answer]]:
        """Tell which is ready, or has ended."""
        del now
        states = target.states({wait.item: wait.about for wait in waits}.values())
        return (
            (compute, {"phase": state.phase.value})
            for compute, state in states.items()
            if state.phase is not Phase.STARTING
        )


class Room:
    """Whether fewer runs of a deployment hold compute of a profile than its ``max_concurrent``."""

    announced = False
    patience = UNREACHED_SECONDS

    def __init__(self, profile: str, deployment: str) -> None:
        self._name = profile
        self._deployment = deployment
        self.key = ("room", profile, deployment)

    def profile(self) -> Profile:
        """Return it as it is now."""
        return current_environment().profile(self._name)

    def look(self, target: Target, waits: Sequence[Wait], now: float) -> Iterator[tuple[str, Answer]]:
        """Count the runs; a profile that has lost its ``max_concurrent`` since has room."""
        del waits, now
        holders = leases_in(target.owned(self._deployment), self._name)
        limit = self.profile().max_concurrent
        if limit is None or len(holders) < limit:
            yield self._name, {"room": True}


def leases_in(owned: Iterable[Owned], profile: str) -> list[str]:
    """List the leases that hold compute of a profile, the oldest first; what is asleep takes no room."""
    held = (one.compute for one in owned if not one.asleep and one.compute.owner == "run")
    return list(dict.fromkeys(compute.lease for compute in held if compute.profile == profile))
