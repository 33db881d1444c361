"""What is checked of a task's job when its DAG is parsed, in the name of the task."""

from __future__ import annotations

from emr_pipelines.artifacts import source_of
from emr_pipelines.errors import ConfigurationError
from emr_pipelines.jobs import Job
from emr_pipelines.targets import capabilities_of
from emr_pipelines.targets.profile import Profile


def check_engine(job: Job, task_id: str, profile: Profile) -> None:
    """Check that a profile's target can run a task's job.

    :raises ConfigurationError: it cannot; the message names task, target and cure.
    """
    try:
        job.engine_on(capabilities_of(profile.target).engines)
    except ConfigurationError as error:
        raise ConfigurationError(
            f"Task {task_id!r} cannot run on target {profile.target!r} (profile {profile.name!r}): it {error}. "
            f"Take {profile.name!r} out of targets=, or change the job."
        ) from None


def existing(path: str, task_id: str) -> None:
    """Refuse a path that leads to no file, in the name of the task that needs it."""
    try:
        source_of(path)
    except ConfigurationError as error:
        raise ConfigurationError(f"Task {task_id!r}: {error}") from None
