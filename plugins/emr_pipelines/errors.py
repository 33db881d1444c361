"""Every error that this package raises on purpose.

    EmrPipelinesError
    ├── ConfigurationError              an environment, profile, job or pipeline that cannot work: raised when a DAG is parsed
    ├── ComputeError                    compute that could not be created, or ended before its work did
    │   ├── ComputeReleasedError        a job asks for compute that has already ended
    │   ├── ComputeOccupiedError        job runs were to end and are not known to have ended
    │   └── ComputeUnavailableError     capacity, quota or the service itself stood in the way
    ├── JobError                        a job run that did not succeed
    │   ├── JobCapacityError            the job run never worked or was cut off, for want of capacity
    │   └── JobDeadlineError            the job run was cancelled because its time was up
    └── DataError                       data that is not where it should be, or not as it should be
        ├── NotStagedError              a task asks for what another one has not staged in this run
        └── NotPublishedError           a reader asks for a partition of which no version was published

Each message is for the person at 3 a.m.: the cause first, then what still runs and costs, then what to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class EmrPipelinesError(Exception):
    """The root of everything raised on purpose here."""


class ConfigurationError(EmrPipelinesError):
    """An environment, profile, job or pipeline that cannot work. Seen as a DAG import error."""


class ComputeError(EmrPipelinesError):
    """Compute could not be created, or it ended before its work did."""


class ComputeReleasedError(ComputeError):
    """A job asks for compute that has already ended; only acquiring again helps."""


class ComputeOccupiedError(ComputeError):
    """Job runs were to end, and are not known to have ended: nothing may start beside them. A later try may find them gone."""


class ComputeUnavailableError(ComputeError):
    """Compute could not be had for want of capacity or quota, or the service failed: another profile may have it."""


class JobError(EmrPipelinesError):
    """A job run did not succeed."""


class JobCapacityError(JobError):
    """A job run never worked, or lost its instances, for want of capacity; the same job may well run later (``RetryPolicy``)."""


class JobDeadlineError(JobError):
    """A job run was cancelled because it ran longer than its task's ``execution_timeout``."""


class DataError(EmrPipelinesError):
    """Data is not where it should be, or not as it should be."""


class NotStagedError(DataError):
    """A task asks for what another one has not staged in this run."""


class NotPublishedError(DataError):
    """A reader asks for a partition of which no version was published."""


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return `` (did you mean ...?)`` when a known word is close, else nothing."""
    close = get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
