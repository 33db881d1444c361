"""What is asked, many at a time: how job runs stand, how compute stands, whether a profile has room."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from math import ceil

from emr_pipelines.environments import current_environment
from emr_pipelines.targets.base import Compute, Owned, Target
from emr_pipelines.targets.profile import Profile
from emr_pipelines.targets.states import Phase
from emr_pipelines.watching.board import Answer, Wait
from emr_pipelines.watching.looking import profile_of

FEW = 3
"""As many job runs as are asked about one by one: no more calls than a listing and what it leaves open."""

_ROUND = 200
"""Looks within which each job run is asked about by itself, should no listing ever tell of its end."""


class JobRuns:
    """The job runs on one compute."""

    def __init__(self, compute: Compute) -> None:
        self.compute = compute
        self.key = ("job runs", compute.target, compute.id)

    def profile(self) -> Profile:
        """Return the compute's."""
        return profile_of(self.compute)

    def look(self, target: Target, waits: Sequence[Wait], now: float) -> dict[str, Answer]:
        """Say which have ended: for certain of a few, and of the others as far as a listing tells."""
        by_themselves = ask_about(waits, target.capabilities.runs_per_call)
        states = target.poll(self.compute, list(dict.fromkeys(wait.item for wait in by_themselves)))
        for wait in by_themselves:
            wait.asked = now
        listed = [wait for wait in waits if wait.item not in states]
        if listed:
            states |= target.ended(
                self.compute, {wait.item for wait in listed}, since=min(wait.since for wait in listed)
            )
        return {
            run: {"state": state.state.value, "ended": state.ended}
            for run, state in states.items()
            if state.state.ended
        }


def ask_about(waits: Collection[Wait], runs_per_call: int) -> list[Wait]:
    """Choose whose job runs are asked about by themselves: all, when they are few; else the oldest, and whose turn it is.

    A listing goes back to the oldest that is left to it, so the oldest would make it long.
    """
    few = max(FEW, runs_per_call)
    oldest = sorted(waits, key=lambda wait: wait.since)
    if len(oldest) <= few:
        return oldest
    turn = runs_per_call * ceil(len(oldest) / _ROUND)
    return oldest[:FEW] + sorted(oldest[FEW:], key=lambda wait: wait.asked)[:turn]


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
