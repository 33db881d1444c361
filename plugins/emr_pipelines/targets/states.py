"""The vocabulary into which every target translates the states of its service."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """The life of compute."""

    STARTING = "starting"
    READY = "ready"
    ENDED = "ended"
    """Ending or ended: it takes no more work."""


class Fault(StrEnum):
    """Whose fault an end without success was."""

    JOB = "job"
    CAPACITY = "capacity"
    SERVICE = "service"
    USER = "user"


class RunState(StrEnum):
    """The one vocabulary into which a target translates its service's states of a job run."""

    PENDING = "pending"
    RUNNING = "running"
    CANCELLING = "cancelling"
    """Alive, and told to end: nothing that may be adopted."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"
    """The service no longer knows the job run, or its compute ended before the job run's state did."""

    @property
    def ended(self) -> bool:
        """Whether the state is final."""
        return self not in (RunState.PENDING, RunState.RUNNING, RunState.CANCELLING)


@dataclass(frozen=True)
class ComputeState:
    """How compute stands; ``reason`` is the service's own words, ``fault`` is set when it ended without being asked to."""

    phase: Phase
    reason: str = ""
    fault: Fault | None = None


@dataclass(frozen=True)
class JobState:
    """How a job run stands; ``reason`` is the service's own words, ``fault`` is set when it ended without success.

    ``began`` and ``ended`` are when the service saw it work, in seconds since 1970, as far as it tells.
    """

    state: RunState
    reason: str = ""
    fault: Fault | None = None
    began: float | None = None
    ended: float | None = None
