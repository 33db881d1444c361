"""What the control plane knows of an application and its job runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, ClassVar

from local_emr.runs import JobRun, States
from local_emr.runs.logs import ACCOUNT
from local_emr.serverless.workers import Capacity

AUTO_STOP_MINUTES = 15
QUEUE_TIMEOUT_MINUTES = 360
MOST_CONCURRENT_RUNS = 15
EXECUTION_TIMEOUT_MINUTES = 720
FAILED_ATTEMPTS_PER_HOUR = 5

STOPPED = ("CREATED", "STOPPED")
"""States of an application that has no capacity: it may be started, changed and deleted."""


@dataclass
class Application:
    """An application. Times are epoch seconds.

    `request` is CreateApplication's; `settings` are its members with what UpdateApplication changed.
    `entered` is when it came into its state, `rested` the state that a start which fails leads back to, `idle_since`
    when its last job run ended.
    """

    id: str
    region: str
    request: dict[str, Any]
    settings: dict[str, Any]
    created: float
    updated: float
    entered: float
    tags: dict[str, str]
    state: str = "CREATING"
    details: str = ""
    rested: str = "CREATED"
    idle_since: float | None = None

    @property
    def name(self) -> str:
        """The application's name, which may be empty."""
        return str(self.settings.get("name", ""))

    @property
    def type(self) -> str:
        """`Spark` or `Hive`."""
        return str(self.settings["type"])

    @property
    def arn(self) -> str:
        """The application's ARN (Service Authorization Reference, Amazon EMR Serverless)."""
        return f"arn:aws:emr-serverless:{self.region}:{ACCOUNT}:/applications/{self.id}"

    @property
    def starts_itself(self) -> bool:
        """Whether a job run starts it."""
        return bool(self.settings.get("autoStartConfiguration", {}).get("enabled", True))

    @property
    def idle_seconds(self) -> float | None:
        """After how long without job runs it stops itself; None: never."""
        auto_stop = self.settings.get("autoStopConfiguration", {})
        minutes = auto_stop.get("idleTimeoutMinutes", AUTO_STOP_MINUTES)
        return 60.0 * minutes if auto_stop.get("enabled", True) else None

    @property
    def scheduler(self) -> dict[str, int] | None:
        """The scheduler configuration with its defaults; None: every job run starts at once."""
        given = self.settings.get("schedulerConfiguration")
        defaults = {"maxConcurrentRuns": MOST_CONCURRENT_RUNS, "queueTimeoutMinutes": QUEUE_TIMEOUT_MINUTES}
        return None if given is None else defaults | given

    @classmethod
    def read(cls, text: str) -> Application:
        """Return the record that was written. Raises ValueError or TypeError for anything else."""
        return cls(**json.loads(text))

    def enter(self, state: str, now: float, details: str = "") -> None:
        """Go on to `state`."""
        if state == "STARTING":
            self.rested = self.state
        self.state, self.details, self.entered, self.updated, self.idle_since = state, details, now, now, None


@dataclass
class ServerlessJobRun(JobRun):
    """A job run of an application. The capacities are those of all its workers; `problem` is why it cannot run at all."""

    type: str = "Spark"
    release: str = ""
    cpu: float = 0
    memory_gb: float = 0
    disk_gb: float = 0
    billed_disk_gb: float = 0
    problem: str = ""
    queued: float | None = None
    queued_seconds: float = 0

    states: ClassVar[States] = States(
        waiting=("SUBMITTED", "QUEUED", "PENDING", "SCHEDULED"),
        running="RUNNING",
        succeeded="SUCCESS",
        failed="FAILED",
        cancelling="CANCELLING",
        cancelled="CANCELLED",
    )

    @property
    def arn(self) -> str:
        """The job run's ARN."""
        return f"arn:aws:emr-serverless:{self.region}:{ACCOUNT}:/applications/{self.owner}/jobruns/{self.id}"

    @property
    def arguments(self) -> list[str]:
        """What its Spark driver is given; none of Hive."""
        return list(self.request["jobDriver"].get("sparkSubmit", {}).get("entryPointArguments", []))

    @property
    def capacity(self) -> Capacity:
        """What its workers take of the application's maximum capacity."""
        return Capacity(self.cpu, self.memory_gb, self.disk_gb)

    @property
    def mode(self) -> str:
        """`BATCH` or `STREAMING`."""
        return str(self.request.get("mode", "BATCH"))

    @property
    def timeout_minutes(self) -> int:
        """How long it may run, over all attempts; 0: for ever, as streaming does."""
        default = EXECUTION_TIMEOUT_MINUTES if self.mode == "BATCH" else 0
        return int(self.request.get("executionTimeoutMinutes", default))

    @property
    def may_retry(self) -> bool:
        """Whether a failed attempt can be followed by another: always when streaming, for batches if asked for."""
        return self.mode == "STREAMING" or self.request.get("retryPolicy", {}).get("maxAttempts", 1) > 1

    @property
    def started(self) -> float | None:
        """When its first attempt began to run."""
        return self.attempts[0].started

    @property
    def holds_workers(self) -> bool:
        """Whether it has capacity now."""
        return self.attempt.started is not None and not self.has_ended
