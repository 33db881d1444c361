"""The contract of a target: one EMR deployment model behind a vocabulary that all of them share.

A target knows no Airflow. It is built from one profile and the AWS clients that this profile names, and everything that it
does is idempotent: asked twice, it has happened once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Protocol, Self

from emr_pipelines.jobs import Engine, Job
from emr_pipelines.keys import Key, Lease
from emr_pipelines.targets.capabilities import Capabilities
from emr_pipelines.targets.profile import Owner, Profile
from emr_pipelines.targets.secret_references import Secret, unreadable
from emr_pipelines.targets.states import ComputeState, JobState


@dataclass(frozen=True)
class Clients:
    """Makes boto3 clients by service name, such as ``emr`` or ``s3``."""

    repeating: Callable[[str], Any]
    """Clients that repeat a call after a throttle, a 5xx or a lost connection."""
    once: Callable[[str], Any]
    """Clients that send each call once, for calls which AWS cannot tell from their own repetition."""
    secret: Callable[[Secret], str] = unreadable
    """Reads a password that a profile names, and hides it from every log."""


@dataclass(frozen=True)
class Compute:
    """What acquiring a profile gave. Small, JSON, and without a secret: it travels in XCom."""

    target: str
    profile: str
    id: str
    lease: str
    owner: Owner = "run"
    parts: Mapping[str, str] = field(default_factory=dict)
    """Ids by engine, where a service has one thing per engine, as EMR Serverless has applications."""
    overrides: Mapping[str, int | str] = field(default_factory=dict)
    """What the run was triggered with instead of the profile's own settings."""

    def to_json(self) -> dict[str, Any]:
        """Return the XCom value."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Rebuild it from the XCom value."""
        return cls(**value)


@dataclass(frozen=True)
class Owned:
    """Compute, or one lease's live job runs on shared compute; when it was made, or the latest of them, in seconds since 1970."""

    compute: Compute
    tags: Mapping[str, str]
    created: float
    asleep: bool = False  # stopped for being idle: it takes no room


@dataclass(frozen=True)
class JobRun:
    """A job run on compute, found under its key."""

    id: str
    name: str
    state: JobState


@dataclass(frozen=True)
class Logs:
    """The ends of a job run's logs by stream, the most telling stream first, and the address where all of them lie."""

    streams: Mapping[str, str]
    address: str | None


@dataclass(frozen=True)
class Usage:
    """What job runs, or the compute that they ran on, used: the quantities that AWS has a price for."""

    vcpu_hours: float = 0.0
    memory_gb_hours: float = 0.0
    storage_gb_hours: float = 0.0
    instance_hours: Mapping[str, float] = field(default_factory=dict)
    """By instance type."""
    billed: bool = False
    """Whether these are the quantities of AWS's bill; else they are what was asked for, times how long it ran."""


class Target(Protocol):
    """One deployment model, built from one profile and its clients."""

    capabilities: ClassVar[Capabilities]
    profile_model: ClassVar[type[Profile]]

    def acquire(self, lease: Lease, engines: frozenset[Engine]) -> Compute:
        """Return the lease's compute, made if need be, perhaps still starting. Raises ``ComputeUnavailableError``, ``ComputeError``."""

    def lookup(self, lease: Lease) -> list[Compute]:
        """List the lease's compute that has not ended, oldest first; what the profile owns, as long as there is any."""

    def owned(self, deployment: str) -> list[Owned]:
        """List what a deployment has in the profile's place: compute of any profile, and each lease with job runs on shared compute."""

    def state(self, compute: Compute) -> ComputeState:
        """Say how compute stands."""

    def states(self, computes: Iterable[Compute]) -> dict[str, ComputeState]:
        """Say how several stand, by id, with as few calls as the service allows."""

    def submit(self, compute: Compute, job: Job, code: Mapping[str, str], key: Key) -> JobRun:
        """Start a job run under ``key``, once; ``code`` says where in S3 its files lie. Raises ``ComputeError``, ``JobCapacityError``."""

    def find(self, compute: Compute, key: Key) -> JobRun | None:
        """Find the oldest job run under a key, in whatever state."""

    def active(self, compute: Compute, lease: Lease) -> list[JobRun]:
        """List the lease's job runs that have not ended."""

    def poll(self, compute: Compute, runs: Iterable[str]) -> dict[str, JobState]:
        """Say for certain how job runs stand, by id."""

    def ended(self, compute: Compute, runs: Iterable[str], since: float) -> Iterator[tuple[str, JobState]]:
        """Tell which of many have ended, page by page of one listing, which may lag; the oldest of them was submitted then."""

    def cancel(self, compute: Compute, run: str) -> None:
        """Ask a job run to end; nothing happens when it has ended already."""

    def release(self, compute: Compute) -> None:
        """End compute that was made for its lease; of what the profile owns, only cancel the lease's job runs."""

    def logs(self, compute: Compute, run: str) -> Logs:
        """Read the ends of a job run's logs, as far as the service has delivered them."""

    def links(self, compute: Compute, run: str | None) -> dict[str, str]:
        """Return addresses for a browser: ``compute``, ``logs`` of a job run, and where there is one its ``spark_ui``."""

    def usage(self, compute: Compute, runs: Iterable[str]) -> Usage:
        """Say what job runs used, by id; where compute is paid as a whole, what it used until now."""
