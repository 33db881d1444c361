"""Looking at compute and job runs from a task's own process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from emr_pipelines.choosing import override
from emr_pipelines.clients import target_of_profile
from emr_pipelines.environments import current_environment
from emr_pipelines.targets.base import Compute, Target
from emr_pipelines.targets.profile import Profile
from emr_pipelines.targets.states import JobState
from emr_pipelines.watching.pace import IN_TASK, look_again_in

PATIENCE = 20.0
"""Seconds that a task waits in its own process before it defers: a deferral costs about three."""

_Seen = TypeVar("_Seen")


def wait_briefly(look: Callable[[], _Seen], done: Callable[[_Seen], bool], patience: float = PATIENCE) -> _Seen:
    """Look until done, for at most ``patience`` seconds; return the last state seen."""
    begun = time.monotonic()
    while not done(seen := look()):
        waited = time.monotonic() - begun
        pause = look_again_in(waited, IN_TASK)
        if waited + pause > patience:
            break
        time.sleep(pause)
    return seen


def profile_of(compute: Compute) -> Profile:
    """Return the profile that compute was acquired with.

    :raises ConfigurationError: the environment no longer has it.
    """
    return override(current_environment().profile(compute.profile), compute.overrides)


def target_of(compute: Compute) -> Target:
    """Build the target that speaks for compute, from the profile that it was acquired with."""
    return target_of_profile(profile_of(compute))


def job_state_of(compute: Compute, run: str) -> JobState:
    """Ask how one job run stands."""
    return target_of(compute).poll(compute, [run])[run]
