"""How clusters and steps change state: pure decisions on records, no I/O, no clock.

Sources: "Understanding the cluster lifecycle", "Control Amazon EMR cluster termination" and "Cancel steps" in the
Amazon EMR Management Guide; StepConfig, TerminateJobFlows and SetTerminationProtection in the API reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_emr.emr.records import DEFAULT_INSTANCE_TYPE, ENDED, OCCUPYING, ClusterRecord, StepRecord
from local_emr.emr.views import instances
from local_emr.faults import BootstrapFailure, RefuseCapacity, ValidationFailure

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_emr.engine import Outcome
    from local_emr.faults import ComputeFault

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
    data = {"instance-type": instance_type, "availability-zone": zone}
    _fail(cluster, "INTERNAL_ERROR_EC2_INSUFFICIENT_CAPACITY_AZ", data, message, now)


def fail_validation(cluster: ClusterRecord, now: float) -> None:
    """Begin to end a cluster whose instance type is not to be had where it shall be.

    Source: Management Guide, VALIDATION_ERROR_INSTANCE_TYPE_NOT_SUPPORTED.
    """
    instance_type = (cluster.instance_types or [DEFAULT_INSTANCE_TYPE])[0]
    message = (
        f"The requested instance type {instance_type} is not supported in the requested availability zone. "
        "Learn more at https://docs.aws.amazon.com/console/elasticmapreduce/ERROR_noinstancetype"
    )
    data = {"instance-types": instance_type, "availability-zones": cluster.availability_zone}
    _fail(cluster, "VALIDATION_ERROR_INSTANCE_TYPE_NOT_SUPPORTED", data, message, now)


def fail_bootstrap(cluster: ClusterRecord, now: float) -> None:
    """Begin to end a cluster whose first bootstrap action failed.

    Source: Management Guide, BOOTSTRAP_FAILURE_PRIMARY_WITH_NON_ZERO_CODE.
    """
    primary = next(instance["Ec2InstanceId"] for instance in instances(cluster) if instance["Role"] == "MASTER")
    message = f"On the master instance ({primary}), bootstrap action 1 returned a non-zero return code"
    scripts = [action["ScriptBootstrapAction"]["Path"] for action in cluster.request.get("BootstrapActions", [])]
    data = {"primary-instance-id": primary, "bootstrap-action": "1", "return-code": "1"}
    where = {"amazon-s3-path": scripts[0]} if scripts else {}
    _fail(cluster, "BOOTSTRAP_FAILURE_PRIMARY_WITH_NON_ZERO_CODE", data | where, message, now)


FAILURES: dict[str, dict[type[ComputeFault], Callable[[ClusterRecord, float], None]]] = {
    "STARTING": {RefuseCapacity: lack_capacity, ValidationFailure: fail_validation},
    "BOOTSTRAPPING": {BootstrapFailure: fail_bootstrap},
}
"""The faults that may strike a cluster on its way out of a state, and what they do to it."""

_REASONS = ("INTERNAL_ERROR", "VALIDATION_ERROR", "BOOTSTRAP_FAILURE")


def _fail(cluster: ClusterRecord, code: str, data: dict[str, str], message: str, now: float) -> None:
    """Begin to end a cluster with one of the error codes of the Management Guide, "Error codes with ErrorDetail"."""
    data = {**data, "public-doc": f"https://docs.aws.amazon.com/emr/latest/ManagementGuide/{code}.html"}
    told = [{name: value} for name, value in data.items()]
    cluster.errors = [{"ErrorCode": code, "ErrorData": told, "ErrorMessage": message}]
    shut_down(cluster, next(reason for reason in _REASONS if code.startswith(reason)), message, now)


def lose_instances(cluster: ClusterRecord, now: float) -> list[StepRecord]:
    """Begin to end a cluster whose instances EC2 took back; return the steps whose processes must now end.

    EMR calls the steps that ran CANCELLED. The words, which AWS's FAQ names, and the states are as users have met them
    (https://github.com/Yelp/mrjob/issues/1822).
    """
    alone = len(list(instances(cluster))) == 1
    message = "All instances in the job flow are terminated" if alone else "The master node was terminated"
    return shut_down(cluster, "INSTANCE_FAILURE", message, now)


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
