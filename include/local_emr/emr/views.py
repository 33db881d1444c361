"""Records as EMR's answers show them. What an answer's shape does not have, the protocol drops."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from local_emr.emr.records import DEFAULT_INSTANCE_TYPE, ENDED, ClusterRecord, StepRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

View = dict[str, Any]

_GROUP_STATES = {"STARTING": "PROVISIONING", "WAITING": "RUNNING", "TERMINATED_WITH_ERRORS": "TERMINATED"}
_ATTRIBUTES = (
    "EmrManagedMasterSecurityGroup",
    "EmrManagedSlaveSecurityGroup",
    "ServiceAccessSecurityGroup",
    "AdditionalMasterSecurityGroups",
    "AdditionalSlaveSecurityGroups",
    "Ec2KeyName",
)


def cluster_summary(cluster: ClusterRecord, now: float) -> View:
    """Return a cluster as ListClusters shows it."""
    return {
        "Id": cluster.id,
        "Name": cluster.name,
        "Status": _cluster_status(cluster),
        "NormalizedInstanceHours": normalized_instance_hours(cluster, now),
        "ClusterArn": cluster.arn,
    }


def cluster_view(cluster: ClusterRecord, now: float) -> View:
    """Return a cluster as DescribeCluster shows it."""
    return {
        "ScaleDownBehavior": "TERMINATE_AT_TASK_COMPLETION",
        **cluster.request,
        **cluster_summary(cluster, now),
        "Ec2InstanceAttributes": _instance_attributes(cluster),
        "InstanceCollectionType": "INSTANCE_FLEET" if cluster.fleets else "INSTANCE_GROUP",
        "AutoTerminate": not cluster.keep_alive,
        "TerminationProtected": cluster.termination_protected,
        "UnhealthyNodeReplacement": cluster.unhealthy_node_replacement,
        "VisibleToAllUsers": cluster.visible_to_all_users,
        "Tags": [{"Key": key, "Value": value} for key, value in cluster.tags.items()],
        "MasterPublicDnsName": _host(cluster.id) if cluster.ready is not None else None,
        "StepConcurrencyLevel": cluster.step_concurrency,
        "PlacementGroups": cluster.request.get("PlacementGroupConfigs"),
    }


def _cluster_status(cluster: ClusterRecord) -> View:
    return {
        "State": cluster.state,
        "StateChangeReason": {"Code": cluster.reason_code, "Message": cluster.message},
        "Timeline": _timeline(cluster),
        "ErrorDetails": cluster.errors or None,
    }


def _timeline(cluster: ClusterRecord) -> View:
    return {"CreationDateTime": cluster.created, "ReadyDateTime": cluster.ready, "EndDateTime": cluster.ended}


def _instance_attributes(cluster: ClusterRecord) -> View:
    instances = cluster.request["Instances"]
    subnets = instances.get("Ec2SubnetIds", [])
    zone = instances.get("Placement", {}).get("AvailabilityZone")
    return {
        **{name: instances.get(name) for name in _ATTRIBUTES},
        "Ec2SubnetId": instances.get("Ec2SubnetId") or (subnets[0] if subnets else None),
        "RequestedEc2SubnetIds": subnets,
        "Ec2AvailabilityZone": cluster.availability_zone,
        "RequestedEc2AvailabilityZones": [zone] if zone else [],
        "IamInstanceProfile": cluster.request.get("JobFlowRole"),
    }


def step_view(step: StepRecord) -> View:
    """Return a step as DescribeStep and ListSteps show it."""
    config = {"Jar": step.jar, "Properties": step.properties, "MainClass": step.main_class, "Args": step.args}
    timeline = {"CreationDateTime": step.created, "StartDateTime": step.started, "EndDateTime": step.ended}
    return {
        "Id": step.id,
        "Name": step.name,
        "Config": config,
        "ActionOnFailure": step.action_on_failure,
        "ExecutionRoleArn": step.execution_role,
        "Status": {
            "State": step.state,
            "StateChangeReason": {"Message": step.message},
            "FailureDetails": step.failure,
            "Timeline": timeline,
        },
    }


def group_view(cluster: ClusterRecord, group: View) -> View:
    """Return an instance group as ListInstanceGroups shows it."""
    return {
        **group,
        "InstanceGroupType": group["InstanceRole"],
        "RequestedInstanceCount": group["InstanceCount"],
        "RunningInstanceCount": group["InstanceCount"] if _has_instances(cluster) else 0,
        "EbsBlockDevices": [],
        "ShrinkPolicy": {},
        "AutoScalingPolicy": None,
        "Status": {
            "State": _group_state(cluster),
            "StateChangeReason": {"Message": ""},
            "Timeline": _timeline(cluster),
        },
    }


def fleet_view(cluster: ClusterRecord, fleet: View) -> View:
    """Return an instance fleet as ListInstanceFleets shows it."""
    provisioned = _has_instances(cluster)
    return {
        **fleet,
        "ProvisionedOnDemandCapacity": fleet.get("TargetOnDemandCapacity", 0) if provisioned else 0,
        "ProvisionedSpotCapacity": fleet.get("TargetSpotCapacity", 0) if provisioned else 0,
        "InstanceTypeSpecifications": fleet.get("InstanceTypeConfigs", []),
        "Status": {
            "State": _group_state(cluster),
            "StateChangeReason": {"Message": ""},
            "Timeline": _timeline(cluster),
        },
    }


def instances(cluster: ClusterRecord) -> Iterator[View]:
    """Yield the instances of all groups and fleets, each with the role it plays as `Role`.

    EC2 bills an instance from its CreationDateTime to its EndDateTime.
    """
    if cluster.provisioned is None:
        return
    for group in cluster.groups:
        yield from _instances_of(cluster, group["InstanceRole"], "InstanceGroupId", group, group["InstanceCount"])
    for fleet in cluster.fleets:
        first = {
            "InstanceType": DEFAULT_INSTANCE_TYPE,
            **(fleet.get("InstanceTypeConfigs") or [{}])[0],
            "Id": fleet["Id"],
        }
        spot = fleet.get("TargetSpotCapacity", 0)
        count = -(-(fleet.get("TargetOnDemandCapacity", 0) + spot) // (first.get("WeightedCapacity") or 1))
        first["Market"] = "SPOT" if spot and not fleet.get("TargetOnDemandCapacity") else "ON_DEMAND"
        yield from _instances_of(cluster, fleet["InstanceFleetType"], "InstanceFleetId", first, count)


def _instances_of(cluster: ClusterRecord, role: str, of: str, group: View, count: int) -> Iterator[View]:
    timeline = {**_timeline(cluster), "CreationDateTime": cluster.provisioned}
    for number in range(count):
        digest = hashlib.sha256(f"{group['Id']}/{number}".encode()).hexdigest()
        yield {
            "Role": role,
            "Id": f"ci-{digest[:13].upper()}",
            "Ec2InstanceId": f"i-{digest[:17]}",
            "PrivateDnsName": _host(digest),
            "PublicDnsName": _host(digest),
            of: group["Id"],
            "Market": group.get("Market", "ON_DEMAND"),
            "InstanceType": group["InstanceType"],
            "Status": {"State": _instance_state(cluster), "StateChangeReason": {}, "Timeline": timeline},
        }


def _instance_state(cluster: ClusterRecord) -> str:
    if cluster.state in ENDED:
        return "TERMINATED"
    return "BOOTSTRAPPING" if cluster.ready is None else "RUNNING"


def _has_instances(cluster: ClusterRecord) -> bool:
    return cluster.ready is not None and cluster.state not in ENDED


def _group_state(cluster: ClusterRecord) -> str:
    return _GROUP_STATES.get(cluster.state, cluster.state)


def _host(seed: str) -> str:
    digest = hashlib.sha256(seed.encode()).digest()
    return f"ip-10-{digest[0]}-{digest[1]}-{digest[2]}.ec2.internal"


_SIZES = {"small": 1, "medium": 2, "large": 4, "xlarge": 8}


def normalized_instance_hours(cluster: ClusterRecord, now: float) -> int:
    """Return m1.small hours: instances times size times begun hours (EC2's normalization factors)."""
    if cluster.ready is None:
        return 0
    hours = int(((cluster.ended or now) - cluster.ready) // 3600) + 1
    return hours * sum(_normalization_factor(instance["InstanceType"]) for instance in instances(cluster))


def _normalization_factor(instance_type: str) -> int:
    size = instance_type.rpartition(".")[2]
    if size.endswith("xlarge") and size.removesuffix("xlarge").isdigit():
        return 8 * int(size.removesuffix("xlarge"))
    return _SIZES.get(size, 8)
