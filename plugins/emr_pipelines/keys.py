"""Who asks for what: deployments, leases, keys, and what to do about a job run that may exist already.

Everything here is pure: the same question gets the same answer on every machine, before anything was created.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Self

LONGEST_NAME = 64
"""Characters in a name: the shortest limit of the three services (EMR Serverless and EMR on EKS StartJobRun, ``name``)."""

_DIGITS = 16
"""Hexadecimal digits of a lease or key: 64 bits, so that a million of them collide with a chance below one in ten million."""

_LEASED = re.compile(rf"([0-9a-f]{{{_DIGITS}}})-")


@dataclass(frozen=True)
class Lease:
    """The identity of one run's claim on compute, known before anything is created.

    The same deployment, DAG, run and task group always give the same ``id``: compute is found and released by it.
    """

    deployment: str
    dag_id: str
    run_id: str
    group_id: str

    @property
    def id(self) -> str:
        """16 hexadecimal digits, the first part of every name."""
        return _digest(self.deployment, self.dag_id, self.run_id, self.group_id)

    @property
    def tags(self) -> dict[str, str]:
        """The full identity, as the tags that compute carries. Values are cut to the 256 characters that AWS allows."""
        identity = {
            "emr-pipelines:deployment": self.deployment,
            "emr-pipelines:lease": self.id,
            "emr-pipelines:dag": self.dag_id,
            "emr-pipelines:run": self.run_id,
            "emr-pipelines:group": self.group_id,
        }
        return {name: _taggable(value) for name, value in identity.items()}

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> Self | None:
        """Read the identity back; ``None`` where the tags do not hold it exactly: a value was cut, or changed to be allowed."""
        named = [tags.get(f"emr-pipelines:{part}", "") for part in ("deployment", "dag", "run", "group")]
        lease = cls(*named)
        return lease if lease.id == tags.get("emr-pipelines:lease") else None


@dataclass(frozen=True)
class Key:
    """The identity of one job run: a task of a leased run, and the nonce that its task state store keeps."""

    lease: Lease
    task_id: str
    map_index: int
    nonce: str

    @property
    def id(self) -> str:
        """16 hexadecimal digits, the second part of the job run's name, and its client token where a service takes one."""
        return _digest(
            self.lease.deployment, self.lease.dag_id, self.lease.run_id, self.task_id, str(self.map_index), self.nonce
        )

    @property
    def name(self) -> str:
        """The job run's name, ``<lease>-<key>-<task>``."""
        return name_of(self.lease.id, self.id, self.task_id)


def name_of(*parts: str) -> str:
    """Join identity and words into a name of at most 64 safe characters; the identity comes first and is never cut."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", "-".join(parts))[:LONGEST_NAME].rstrip("-.")


def prefix_of(*parts: str) -> str:
    """Return how the name of everything that carries this identity begins."""
    return "-".join(parts) + "-"


def lease_in(name: str) -> str | None:
    """Return the id of the lease that a name begins with, if there is one."""
    match = _LEASED.match(name)
    return match[1] if match else None


def fingerprint(work: dict[str, Any]) -> str:
    """Hash what a job run would do: its code's content addresses, arguments and settings (any JSON value)."""
    return _digest(json.dumps(work, sort_keys=True))


def _digest(*parts: str) -> str:
    # JSON keeps ("a", "bc") and ("ab", "c") apart.
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:_DIGITS]


def _taggable(value: str) -> str:
    """Keep what EMR's tags allow: letters, digits, spaces and ``+-=._:/@``, at most 256 characters."""
    return re.sub(r"[^\w +\-=.:/@]", "_", value)[:256]


@dataclass(frozen=True)
class Record:
    """What a task remembers of its job run, in Airflow's task state store: it survives retries and clears."""

    nonce: str
    generation: int = 0
    max_tries: int = -1
    clear_number: int = -1
    fingerprint: str = ""
    compute: dict[str, str] = field(default_factory=dict)
    written_at: float = 0.0
    job_run: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON value that the store keeps."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> Self | None:
        """Read what the store kept; ``None`` when there is nothing by which a job run could be found.

        What another version of this package wrote is read as far as it goes: its job run must be found, to be adopted or cancelled.
        What is missing equals no attempt, and so begins a new generation.
        """
        kept = value if isinstance(value, dict) else {}
        if not (isinstance(kept.get("nonce"), str) and isinstance(kept.get("compute"), dict)):
            return None
        return cls(**{one.name: kept[one.name] for one in fields(cls) if one.name in kept})

    def on(self, compute: dict[str, str], now: float) -> Record:
        """Return this record as it is to be written before a submit: on which compute, and when (seconds since 1970)."""
        return replace(self, compute=compute, written_at=now)

    def with_run(self, job_run: str) -> Record:
        """Return this record, knowing the id of its job run."""
        return replace(self, job_run=job_run)

    def adopted(self, job_run: str, attempt: Attempt) -> Record:
        """Return this record of a job run that an attempt adopts: what was cleared before is done with then."""
        return replace(self, job_run=job_run, clear_number=attempt.clear_number)


@dataclass(frozen=True)
class Attempt:
    """What this execution of the task knows of itself, besides its record.

    ``max_tries`` rises on a clear of a finished or deferred task and never on a retry; ``clear_number`` rises when any task of
    the run is cleared, and is all that a clear of a running task leaves behind (``airflow.models.taskinstance.clear_task_instances``).
    """

    max_tries: int
    clear_number: int
    fingerprint: str

    def record(self, generation: int) -> Record:
        """Return the record of a new generation, under a nonce that nobody can guess or repeat."""
        return Record(secrets.token_hex(8), generation, self.max_tries, self.clear_number, self.fingerprint)


class Standing(StrEnum):
    """How the recorded job run stands, as far as the next step is concerned."""

    UNSEEN = "not seen yet"
    """The service shows none, and may yet: its listing lags behind."""
    ABSENT = "absent"
    LIVE = "live"
    CANCELLING = "being cancelled"
    """Somebody told it to end: it is alive, and will not succeed for this task."""
    SUCCEEDED = "succeeded"
    ENDED = "ended"
    """It failed, or was cancelled."""
    LOST = "lost"
    """The service no longer knows it, or its compute ended before it did."""


class Action(StrEnum):
    """What to do about a job run."""

    WAIT = "wait"
    """Look again soon, then decide."""
    SUBMIT = "submit"
    """Submit under the recorded key: nothing was ever started under it."""
    ADOPT = "adopt"
    """Wait for the live job run."""
    RETURN = "return"
    """The job run already succeeded: report that."""
    RENEW = "renew"
    """Begin a new generation: cancel whatever the older one left alive, then submit under a new key."""


@dataclass(frozen=True)
class Decision:
    """What to do, and why, in words for the task's log."""

    action: Action
    reason: str


def decide(  # noqa: C901, PLR0911  # a table reads best as its rows
    record: Record | None, attempt: Attempt, standing: Standing
) -> Decision:
    """Decide what this execution of a task does about its job run. Pure: ``docs/how-it-works.md`` holds it as a table."""
    if record is None:
        return Decision(Action.RENEW, "first execution of this task")
    if standing is Standing.UNSEEN:
        return Decision(Action.WAIT, "what an earlier execution submitted may not be listed yet")
    if record.max_tries != attempt.max_tries:
        return Decision(Action.RENEW, "the task was cleared")
    if standing is Standing.ENDED:
        return Decision(Action.RENEW, "the earlier job run did not succeed")
    if standing is Standing.CANCELLING:
        return Decision(Action.RENEW, "the earlier job run is being cancelled")
    if standing is Standing.LOST:
        return Decision(Action.RENEW, "the earlier job run is lost")
    if standing is Standing.ABSENT:
        if record.fingerprint != attempt.fingerprint:
            return Decision(Action.RENEW, "the job changed before anything was started")
        return Decision(Action.SUBMIT, "nothing was started under the recorded key")
    if record.fingerprint != attempt.fingerprint:
        return Decision(Action.RENEW, "the job changed since the earlier job run")
    if standing is Standing.LIVE:
        return Decision(Action.ADOPT, "the job run of an earlier execution is still alive")
    if record.clear_number != attempt.clear_number:
        return Decision(Action.RENEW, "the task was cleared while it ran, and its job run has ended since")
    return Decision(Action.RETURN, "the job run of an earlier execution succeeded")
