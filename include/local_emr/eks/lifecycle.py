"""How virtual clusters and job runs change state: pure decisions on records, no I/O, no clock.

Sources: "Job run states" and "Using job retry policies" in the Amazon EMR on EKS Development Guide; SchedulerConfiguration
and JobRun in the API reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_emr.eks.records import RUNNING, TERMINATED, TERMINATING, EksJobRun, VirtualCluster
from local_emr.runs import Situation, Sleep, Stop
from local_emr.runs.retries import another_attempt

if TYPE_CHECKING:
    from local_emr.engine import Outcome

MOST_CONCURRENT = 1000
"""How many job runs run at a time when the virtual cluster does not say."""

LONGEST_DETAILS = 256
SEE_LOGS = "Please refer logs uploaded to S3/CloudWatch based on your monitoring configuration."
NO_ROOM = (
    "JobRun timed out before spark driver pod started running due to lack of cluster resources. Last event from "
    "default-scheduler: FailedScheduling, message: 0/2 nodes are available: 2 Insufficient cpu, 2 Insufficient memory."
)

View = Situation[VirtualCluster, EksJobRun]


@dataclass(frozen=True)
class Submit:
    """Hand a pending job run to the cluster's scheduler."""

    run_id: str


@dataclass(frozen=True)
class Start:
    """Start the driver of a submitted job run."""

    run_id: str


@dataclass(frozen=True)
class Abandon:
    """End a job run that was cancelled before its driver started."""

    run_id: str


@dataclass(frozen=True)
class End:
    """Nothing runs any more: the virtual cluster is over."""


Move = Submit | Start | Abandon | End


def next_move(view: View, driver_seconds: float) -> Move | Sleep | Stop:
    """Say what a virtual cluster does next, when a driver's pod takes `driver_seconds` to start."""
    if view.owner.state == TERMINATED:
        return Stop()
    for run in view.live:
        if run.state == "CANCEL_PENDING" and run.attempt.started is None:
            return Abandon(run.id)
    pending = [run for run in view.live if run.state == "PENDING"]
    if pending:
        return Submit(pending[0].id)
    if view.owner.state == TERMINATING and not view.live:
        return End()
    return _start(view, driver_seconds)


def _start(view: View, driver_seconds: float) -> Start | Sleep:
    """Start the oldest submitted job run that has room and whose pod has had its time."""
    most = (view.owner.scheduler or {}).get("maxConcurrentJobRuns", MOST_CONCURRENT)
    room = max(0, most - len(concurrent(view.live)))
    submitted = [run for run in view.live if run.state == "SUBMITTED"][:room]
    if not submitted:
        return Sleep()
    first = min(submitted, key=lambda run: run.attempt.updated)
    due = first.attempt.updated + driver_seconds
    return Start(first.id) if due <= view.now else Sleep(due)


def concurrent(runs: tuple[EksJobRun, ...]) -> list[EksJobRun]:
    """List the job runs that count against maxConcurrentJobRuns: those whose driver may be alive."""
    return [run for run in runs if run.attempt.started is not None and not run.has_ended]


def queued(runs: tuple[EksJobRun, ...]) -> list[EksJobRun]:
    """List the job runs that count against maxInQueueJobRuns."""
    return [run for run in runs if run.is_waiting]


def has_room_in_queue(cluster: VirtualCluster, runs: tuple[EksJobRun, ...]) -> bool:
    """Say whether one more job run may wait."""
    most = (cluster.scheduler or {}).get("maxInQueueJobRuns")
    return most is None or len(queued(runs)) < most


def start(run: EksJobRun, now: float) -> None:
    """Put a submitted job run to RUNNING."""
    run.attempt.enter("RUNNING", now)
    run.attempt.started = now


def cancel(run: EksJobRun, now: float) -> bool:
    """Begin to cancel a job run; False when it can no longer be cancelled."""
    if run.has_ended or run.state == "CANCEL_PENDING":
        return False
    run.attempt.enter("CANCEL_PENDING", now)
    return True


def end(run: EksJobRun, state: str, now: float, details: str = "", reason: str | None = None) -> None:
    """End a job run."""
    run.attempt.enter(state, now, details)
    run.attempt.ended, run.failure_reason = now, reason


def lack_room(run: EksJobRun, now: float) -> None:
    """Fail a job run for whose driver the cluster has no room."""
    end(run, "FAILED", now, NO_ROOM, "CLUSTER_UNAVAILABLE")


def settle(run: EksJobRun, outcome: Outcome, now: float) -> None:
    """Record how a driver ended: the job run's end, or its next attempt."""
    if outcome.succeeded:
        seconds = round(now - (run.attempt.started or now))
        end(run, "COMPLETED", now, f"JobRun completed successfully. It ran for {_duration(seconds)}")
    elif run.state == "CANCEL_PENDING":
        end(run, "CANCELLED", now, "JobRun cancelled successfully.")
    else:
        details = failure_details(outcome.message or outcome.reason)
        end(run, "FAILED", now, details, "USER_ERROR")
        if another_attempt(len(run.attempts), run.most_attempts):
            run.retry(now)
            run.attempt.enter("SUBMITTED", now)
            run.failure_reason = None


def failure_details(cause: str | None) -> str:
    """Return a failure's stateDetails, in the words that AWS gives and with the driver's own last exception."""
    if not cause:
        return f"JobRun failed. {SEE_LOGS}"
    room = LONGEST_DETAILS - len(f"JobRun failed. . {SEE_LOGS}")
    return f"JobRun failed. {' '.join(cause.split())[:room].rstrip('.')}. {SEE_LOGS}"


def _duration(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{minutes} Minutes {rest} Seconds" if minutes else f"{rest} Seconds"


def is_open(cluster: VirtualCluster) -> bool:
    """Say whether a virtual cluster takes job runs."""
    return cluster.state == RUNNING
