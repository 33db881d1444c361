"""Records as EMR's answers show them. What an answer's shape does not have, the protocol drops."""

from __future__ import annotations

import hashlib
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

from local_emr.emr.nodes import MARKETS, provisioned, units_of
from local_emr.emr.records import ENDED, ClusterRecord, StepRecord

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
    placement = instances.get("Placement", {})
    zone = placement.get("AvailabilityZone")
    return {
        **{name: instances.get(name) for name in _ATTRIBUTES},
        "Ec2SubnetId": instances.get("Ec2SubnetId") or (subnets[0] if subnets else None),
        "RequestedEc2SubnetIds": subnets,
        "Ec2AvailabilityZone": cluster.availability_zone,
        "RequestedEc2AvailabilityZones": placement.get("AvailabilityZones") or ([zone] if zone else []),
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
        **_storage(group),
        "ShrinkPolicy": group.get("ShrinkPolicy", {}),
        "AutoScalingPolicy": _policy(cluster, group),
        "Status": {
            "State": _group_state(cluster),
            "StateChangeReason": {"Message": ""},
            "Timeline": _timeline(cluster),
        },
    }


def _storage(config: View) -> View:
    """Return the EBS volumes of each instance of a group or of a fleet's type, by their devices."""
    storage = config.get("EbsConfiguration", {})
    specifications = [
        device["VolumeSpecification"]
        for device in storage.get("EbsBlockDeviceConfigs", [])
        for _ in range(device.get("VolumesPerInstance", 1))
    ]
    devices = zip(specifications, ascii_lowercase[1:], strict=False)
    return {
        "EbsBlockDevices": [
            {"VolumeSpecification": specification, "Device": f"/dev/sd{letter}"} for specification, letter in devices
        ],
        "EbsOptimized": storage.get("EbsOptimized", False),
    }


def _policy(cluster: ClusterRecord, group: View) -> View | None:
    """Return a group's automatic scaling policy with its status: attached while there are instances to scale."""
    if "AutoScalingPolicy" not in group:
        return None
    state = "DETACHED" if cluster.state in ENDED else "ATTACHED" if _has_instances(cluster) else "PENDING"
    reason = {"Code": "USER_REQUEST", "Message": ""}
    return {**group["AutoScalingPolicy"], "Status": {"State": state, "StateChangeReason": reason}}


def fleet_view(cluster: ClusterRecord, fleet: View) -> View:
    """Return an instance fleet as ListInstanceFleets shows it."""
    there = {
        market: sum(map(units_of, provisioned(fleet, market))) if _has_instances(cluster) else 0 for market in MARKETS
    }
    return {
        **fleet,
        "ProvisionedOnDemandCapacity": there["ON_DEMAND"],
        "ProvisionedSpotCapacity": there["SPOT"],
        "InstanceTypeSpecifications": [{**one, **_storage(one)} for one in fleet.get("InstanceTypeConfigs", [])],
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
        owner = {"Role": group["InstanceRole"], "InstanceGroupId": group["Id"], "Market": group["Market"]}
        for number in range(group["InstanceCount"]):
            yield _instance(cluster, f"{group['Id']}/{number}", {**owner, "InstanceType": group["InstanceType"]})
    for fleet in cluster.fleets:
        owner = {"Role": fleet["InstanceFleetType"], "InstanceFleetId": fleet["Id"]}
        for market in MARKETS:
            for number, config in enumerate(provisioned(fleet, market)):
                of = {**owner, "Market": market, "InstanceType": config["InstanceType"]}
                yield _instance(cluster, f"{fleet['Id']}/{market}/{number}", of)


def _instance(cluster: ClusterRecord, identity: str, of: View) -> View:
    digest = hashlib.sha256(identity.encode()).hexdigest()
    return {
        **of,
        "Id": f"ci-{digest[:13].upper()}",
        "Ec2InstanceId": f"i-{digest[:17]}",
        "PrivateDnsName": _host(digest),
        "PublicDnsName": _host(digest),
        "Status": {
            "State": _instance_state(cluster),
            "StateChangeReason": {},
            "Timeline": {**_timeline(cluster), "CreationDateTime": cluster.provisioned},
        },
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
