"""What is asked, many at a time: how job runs stand, how compute stands, whether a profile has room."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
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

_ROUND = 200
"""Looks within which each job run is asked about by itself."""

_AGAIN_SECONDS = 20.0
"""Seconds within which one of many is not asked about by itself again."""


class JobRuns:
    """The job runs on one compute."""

    def __init__(self, compute: Compute) -> None:
        self.compute = compute
        self.key = ("job runs", compute.target, compute.id)

    def profile(self) -> Profile:
        """Return the compute's."""
        return profile_of(self.compute)

    def look(self, target: Target, waits: Sequence[Wait], now: float) -> dict[str, Answer]:
        """Say which have ended: for certain of some, and of the others as far as a listing tells."""
        plan = plan_look(waits, target.capabilities.runs_per_call, now)
        states: dict[str, JobState] = {}
        if plan.asked:
            states |= target.poll(self.compute, list(dict.fromkeys(wait.item for wait in plan.asked)))
            for wait in plan.asked:
                wait.asked = now
        if plan.listed:
            wanted = {wait.item for wait in plan.listed} - states.keys()
            states |= target.ended(self.compute, wanted, since=min(wait.since for wait in plan.listed))
        return {
            run: {"state": state.state.value, "ended": state.ended}
            for run, state in states.items()
            if state.state.ended
        }


class LookPlan(NamedTuple):
    """Whose job runs are asked about by themselves, and whose a listing shall tell."""

    asked: list[Wait]
    listed: list[Wait]


def plan_look(waits: Collection[Wait], runs_per_call: int, now: float) -> LookPlan:
    """Plan a look: few job runs are asked about by themselves, many are listed.

    Of many, the oldest are not listed, since a listing goes back to the oldest that is left to it; and each of the others has its
    turn to be asked about, should no listing ever tell of its end. Neither happens again within a while.
    """
    oldest = sorted(waits, key=lambda wait: wait.since)
    if len(oldest) <= max(FEW, runs_per_call):
        return LookPlan(oldest, [])
    turn = runs_per_call * ceil(len(oldest) / _ROUND)
    rest = oldest[FEW:]
    certain = oldest[:FEW] + sorted(rest, key=lambda wait: wait.asked)[:turn]
    return LookPlan([wait for wait in certain if now - wait.asked >= _AGAIN_SECONDS], rest)


class Computes:
    """Compute of one target that starts."""

    def __init__(self, compute: Compute) -> None:
        self._profile = profile_of(compute)
        self.key = ("compute", self._profile.target)

    def profile(self) -> Profile:
        """Return that of the compute that was waited for first."""
        return self._profile

    def look(self, target: Target, waits: Sequence[Wait], now: float) -> dict[str, Answer]:
        """Say which is ready, or has ended."""
        del now
        states = target.states({wait.item: wait.about for wait in waits}.values())
        return {
            compute: {"phase": state.phase.value}
            for compute, state in states.items()
            if state.phase is not Phase.STARTING
        }


class Room:
    """Whether fewer runs of a deployment hold compute of a profile than its ``max_concurrent``."""

    def __init__(self, profile: str, deployment: str) -> None:
        self._name = profile
        self._deployment = deployment
        self.key = ("room", profile, deployment)

    def profile(self) -> Profile:
        """Return it as it is now."""
        return current_environment().profile(self._name)

    def look(self, target: Target, waits: Sequence[Wait], now: float) -> dict[str, Answer]:
        """Count the runs; a profile that has lost its ``max_concurrent`` since has room."""
        del waits, now
        holders = leases_in(target.owned(self._deployment), self._name)
        limit = self.profile().max_concurrent
        return {self._name: {"room": True}} if limit is None or len(holders) < limit else {}


def leases_in(owned: Iterable[Owned], profile: str) -> list[str]:
    """List the leases that hold compute of a profile, the oldest first; what is asleep takes no room."""
    held = (one.compute for one in owned if not one.asleep and one.compute.owner == "run")
    return list(dict.fromkeys(compute.lease for compute in held if compute.profile == profile))
