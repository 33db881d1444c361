"""How clusters and steps change state: pure decisions on records, no I/O, no clock.

Sources: "Understanding the cluster lifecycle", "Control Amazon EMR cluster termination" and "Cancel steps" in the
Amazon EMR Management Guide; StepConfig, TerminateJobFlows and SetTerminationProtection in the API reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_emr.emr.records import DEFAULT_INSTANCE_TYPE, ENDED, OCCUPYING, ClusterRecord, StepRecord

if TYPE_CHECKING:
    from local_emr.engine import Outcome

JOB_TERMINATED = "Job terminated"


@dataclass(frozen=True)
class Sleep:
    """Nothing to do before something changes, or before `until` (epoch seconds)."""

    until: float | None = None


@dataclass(frozen=True)
class Enter:
    """Go on to another state of a living cluster."""

    state: str
    message: str


@dataclass(frozen=True)
class Start:
    """Start this pending step."""

    step_id: str


@dataclass(frozen=True)
class ShutDown:
    """Begin to end the cluster, for this reason."""

    code: str
    message: str


@dataclass(frozen=True)
class End:
    """Nothing runs any more: the cluster is over."""


Move = Sleep | Enter | Start | ShutDown | End


def next_move(cluster: ClusterRecord, now: float, boot_seconds: float) -> Move:
    """Say what a cluster does next, at `now`, when booting takes `boot_seconds`."""
    if cluster.state in {"STARTING", "BOOTSTRAPPING"}:
        return _boot(cluster, now, boot_seconds)
    occupying = cluster.steps_in(*OCCUPYING)
    if cluster.state == "TERMINATING":
        return Sleep() if occupying else End()
    pending = cluster.steps_in("PENDING")
    if pending and len(occupying) < cluster.step_concurrency:
        return Start(pending[0].id)
    if occupying:
        return Sleep()
    if not cluster.keep_alive:
        return ShutDown("ALL_STEPS_COMPLETED", "Steps completed")
    return _wait(cluster, now)


def _boot(cluster: ClusterRecord, now: float, boot_seconds: float) -> Move:
    starting = cluster.state == "STARTING"
    due = cluster.created + (boot_seconds / 2 if starting else boot_seconds)
    if now < due:
        return Sleep(due)
    return Enter("BOOTSTRAPPING", "Running bootstrap actions") if starting else Enter("RUNNING", "Running step")


def _wait(cluster: ClusterRecord, now: float) -> Move:
    if cluster.state != "WAITING" or cluster.idle_since is None:
        after_steps = "Cluster ready after last step completed."
        return Enter("WAITING", after_steps if cluster.steps else "Cluster ready to run steps.")
    if cluster.idle_timeout is None:
        return Sleep()
    due = cluster.idle_since + cluster.idle_timeout
    if now < due:
        return Sleep(due)
    # AWS documents the act but not the words of this reason.
    return ShutDown("ALL_STEPS_COMPLETED", f"Auto-terminated after {cluster.idle_timeout} idle seconds")


def enter(cluster: ClusterRecord, state: str, message: str, now: float) -> None:
    """Put a living cluster into `state`; its instances are there from BOOTSTRAPPING on."""
    if cluster.provisioned is None:
        cluster.provisioned = now
    if cluster.ready is None and state in {"RUNNING", "WAITING"}:
        cluster.ready = now
    cluster.idle_since = now if state == "WAITING" else None
    cluster.state, cluster.message = state, message


def lack_capacity(cluster: ClusterRecord, now: float) -> None:
    """Begin to end a cluster whose instances EC2 does not have.

    Source: Management Guide, "EC2 is out of capacity" and INTERNAL_ERROR_EC2_INSUFFICIENT_CAPACITY_AZ.
    """
    instance_type, zone = (cluster.instance_types or [DEFAULT_INSTANCE_TYPE])[0], cluster.availability_zone
    message = (
        f"EC2 is out of capacity for {instance_type} in availability zone {zone}. "
        "Learn more at https://docs.aws.amazon.com/console/elasticmapreduce/ERROR_noinstancecapacity"
    )
    guide = "https://docs.aws.amazon.com/emr/latest/ManagementGuide/INTERNAL_ERROR_EC2_INSUFFICIENT_CAPACITY_AZ.html"
    data = [{"instance-type": instance_type}, {"availability-zone": zone}, {"public-doc": guide}]
    cluster.errors = [
        {"ErrorCode": "INTERNAL_ERROR_EC2_INSUFFICIENT_CAPACITY_AZ", "ErrorData": data, "ErrorMessage": message}
    ]
    shut_down(cluster, "INTERNAL_ERROR", message, now)


def begin_step(cluster: ClusterRecord, step: StepRecord, now: float) -> None:
    """Put a pending step, and with it the cluster, to RUNNING."""
    step.state, step.started = "RUNNING", now
    enter(cluster, "RUNNING", "Running step", now)


def shut_down(cluster: ClusterRecord, code: str, message: str, now: float) -> list[StepRecord]:
    """Begin to end the cluster: pending steps are cancelled; return the running ones, whose processes must now end."""
    if cluster.state in ("TERMINATING", *ENDED):
        return []
    cluster.state, cluster.reason_code, cluster.message = "TERMINATING", code, message
    cancel_pending(cluster, JOB_TERMINATED, now)
    running = cluster.steps_in("RUNNING")
    for step in running:
        step.state, step.message = "CANCEL_PENDING", JOB_TERMINATED
    return running


def end(cluster: ClusterRecord, now: float) -> None:
    """End the cluster, with errors unless it was asked to or had nothing left to do."""
    planned = cluster.reason_code in {"ALL_STEPS_COMPLETED", "USER_REQUEST"}
    cluster.state = "TERMINATED" if planned else "TERMINATED_WITH_ERRORS"
    cluster.ended = now


def cancel_pending(cluster: ClusterRecord, message: str, now: float) -> None:
    """Cancel all steps that have not started."""
    for step in cluster.steps_in("PENDING"):
        step.state, step.message, step.ended = "CANCELLED", message, now


def cancel(cluster: ClusterRecord, step: StepRecord, now: float) -> str | None:
    """Cancel one step as CancelSteps does; return why it cannot be, or None when it is under way."""
    if step.state == "PENDING":
        step.state, step.ended = "CANCELLED", now
    elif step.state == "RUNNING" and release_of(cluster) < (5, 28):
        return "A running step can be cancelled on EMR releases 5.28.0 and later only"
    elif step.state == "RUNNING":
        step.state = "CANCEL_PENDING"
    elif step.state not in {"CANCEL_PENDING", "CANCELLED"}:
        return f"The step is {step.state} and can no longer be cancelled"
    return None


def release_of(cluster: ClusterRecord) -> tuple[int, ...]:
    """Return the numbers of the cluster's release label; of `emr-7.10.0`, (7, 10, 0)."""
    label = str(cluster.request["ReleaseLabel"])
    return tuple(int(part) for part in label.removeprefix("emr-").split(".") if part.isdigit())


def settle(cluster: ClusterRecord, step: StepRecord, outcome: Outcome, log_file: str, now: float) -> list[StepRecord]:
    """Record how a step ended and do what its ActionOnFailure says; return the steps whose processes must now end.

    A cancelled step does not trigger its ActionOnFailure, nor does any step of a cluster that runs several at a time.
    With termination protection a cluster that is kept alive survives TERMINATE_CLUSTER and cancels what is left.
    """
    cancelled, step.ended = step.state == "CANCEL_PENDING", now
    if outcome.succeeded or cancelled:
        step.state = "COMPLETED" if outcome.succeeded else "CANCELLED"
        return []
    step.state = "FAILED"
    details = {"Reason": outcome.reason or "Unknown Error.", "Message": outcome.message, "LogFile": log_file}
    step.failure = {name: value for name, value in details.items() if value}
    if cluster.step_concurrency > 1 or step.action_on_failure == "CONTINUE":
        return []
    survives = cluster.termination_protected and cluster.keep_alive
    if step.action_on_failure in {"TERMINATE_CLUSTER", "TERMINATE_JOB_FLOW"} and not survives:
        return shut_down(cluster, "STEP_FAILURE", "Shut down as step failed", now)
    cancel_pending(cluster, f"Cancelled because step {step.id} failed", now)
    return []


def lose(cluster: ClusterRecord, now: float) -> None:
    """End a cluster whose endpoint went away: its running steps were interrupted."""
    for step in cluster.steps_in(*OCCUPYING):
        step.state, step.message, step.ended = "INTERRUPTED", "endpoint was restarted", now
    cancel_pending(cluster, JOB_TERMINATED, now)
    cluster.reason_code, cluster.message = "INTERNAL_ERROR", "endpoint was restarted"
    end(cluster, now)
