"""From RunJobFlow and AddJobFlowSteps requests to records; what AWS refuses is refused, in its words where known.

Sources: RunJobFlow, JobFlowInstancesConfig, StepConfig and AutoTerminationPolicy in the Amazon EMR API reference.
"""

from __future__ import annotations

from typing import Any

from local_emr.emr import logs, nodes
from local_emr.emr.records import ACTIVE, ClusterRecord, StepRecord, new_id
from local_emr.emr.refusals import refused
from local_emr.emr.releases import is_release

MOST_STEPS = 256
"""Steps that may be active at a time, and that one request may bring."""

LONGEST_STEP = 10_240
"""Characters in all strings of a step's HadoopJarStep."""

IDLE_TIMEOUT = range(60, 604_800 + 1)
STEP_CONCURRENCY = range(1, 256 + 1)

_NAME_FORBIDS = set("<>$|`")

Request = dict[str, Any]


def new_cluster(request: Request, region: str, now: float) -> ClusterRecord:
    """Return the record of the cluster that a RunJobFlow request asks for."""
    _check_names(request)
    _check_roles(request)
    instances = request["Instances"]
    idle = request.get("AutoTerminationPolicy", {}).get("IdleTimeout")
    groups, fleets = nodes.groups_and_fleets(instances)
    # EMR protects a cluster with several primary nodes, whatever it was asked for, and keeps it when idle.
    several = nodes.primaries_of(groups, fleets) > 1
    cluster = ClusterRecord(
        id=new_id("j"),
        region=region,
        request={name: value for name, value in request.items() if name != "Steps"},
        groups=groups,
        fleets=fleets,
        created=now,
        tags=tags_of(request.get("Tags", [])),
        keep_alive=several or instances.get("KeepJobFlowAliveWhenNoSteps", False),
        termination_protected=several or instances.get("TerminationProtected", False),
        unhealthy_node_replacement=instances.get("UnhealthyNodeReplacement", False),
        visible_to_all_users=request.get("VisibleToAllUsers", True),
        step_concurrency=checked_concurrency(request.get("StepConcurrencyLevel", 1)),
        idle_timeout=None if idle is None or several else checked_idle_timeout(idle),
        managed_scaling=request.get("ManagedScalingPolicy"),
    )
    nodes.check_scaling(cluster, cluster.groups, cluster.managed_scaling)
    role = request.get("StepExecutionRoleArn")
    cluster.steps = new_steps(cluster, request.get("Steps", []), role, now)
    return cluster


def _check_names(request: Request) -> None:
    if _NAME_FORBIDS & set(request["Name"]):
        raise refused("Invalid cluster name: it can't contain the characters <, >, $, |, or ` (backtick)")
    label = request.get("ReleaseLabel")
    if label is None:
        raise refused("ReleaseLabel is required: clusters of AMI versions cannot be created any more")
    if not is_release(label):
        raise refused(f"The supplied release label is invalid: {label}.")
    if "LogUri" in request and not logs.is_log_uri(request["LogUri"]):
        raise refused(f"The log URI {request['LogUri']} is not valid: it must be s3://bucket/prefix")


def _check_roles(request: Request) -> None:
    """Refuse a role that is named and empty; a cluster without roles is taken, for none are assumed here."""
    for member, name in {"JobFlowRole": "InstanceProfile", "ServiceRole": "ServiceRole"}.items():
        if not request.get(member, "-").strip():
            raise refused(f"{name} is required for creating cluster")


def new_steps(cluster: ClusterRecord, steps: list[Request], role: str | None, now: float) -> list[StepRecord]:
    """Return the records of the steps that a request brings to `cluster`."""
    if len(steps) + len(cluster.steps_in(*ACTIVE)) > MOST_STEPS:
        raise refused(
            "Maximum number of active steps(State = 'Running', 'Pending' or 'Cancel_Pending') for cluster exceeded."
        )
    return [_new_step(cluster, step, role, now) for step in steps]


def _new_step(cluster: ClusterRecord, step: Request, role: str | None, now: float) -> StepRecord:
    jar = step["HadoopJarStep"]
    properties = {prop.get("Key", ""): prop.get("Value", "") for prop in jar.get("Properties", [])}
    texts = [jar["Jar"], jar.get("MainClass", ""), *jar.get("Args", []), *properties, *properties.values()]
    if sum(map(len, texts)) > LONGEST_STEP:
        raise refused(
            f"The strings of HadoopJarStep of step {step['Name']!r} exceed {LONGEST_STEP} characters in total"
        )
    concurrent = cluster.step_concurrency > 1
    action = step.get("ActionOnFailure", "CONTINUE" if concurrent else "TERMINATE_CLUSTER")
    if concurrent and action != "CONTINUE":
        raise refused(
            f"The ActionOnFailure setting {action} of step {step['Name']!r} is not valid: "
            "a cluster whose StepConcurrencyLevel is greater than 1 allows CONTINUE only"
        )
    return StepRecord(
        id=new_id("s"),
        name=step["Name"],
        jar=jar["Jar"],
        args=list(jar.get("Args", [])),
        main_class=jar.get("MainClass"),
        properties=properties,
        action_on_failure=action,
        execution_role=role,
        created=now,
    )


def checked_concurrency(level: int) -> int:
    """Return the step concurrency level, if EMR allows it."""
    if level not in STEP_CONCURRENCY:
        raise refused(f"StepConcurrencyLevel must be from 1 to 256, not {level}")
    return level


def checked_idle_timeout(seconds: int) -> int:
    """Return the idle timeout of an auto-termination policy, if EMR allows it."""
    if seconds not in IDLE_TIMEOUT:
        raise refused(f"IdleTimeout must be from 60 to 604800 seconds, not {seconds}")
    return seconds


def tags_of(tags: list[Request]) -> dict[str, str]:
    """Return a request's tags as a mapping."""
    return {tag["Key"]: tag.get("Value", "") for tag in tags if "Key" in tag}
