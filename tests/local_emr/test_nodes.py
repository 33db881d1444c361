"""Instance groups and fleets of EMR on EC2: what they are asked to be, how they change, what is refused of them."""

from __future__ import annotations

from collections import Counter
from itertools import product

from tests.local_emr.asking import cluster_of, refusal, state_of
from tests.local_emr.scripted import eventually

PRIMARY = {"InstanceRole": "MASTER", "InstanceType": "m5.xlarge", "InstanceCount": 1}
CORE = {"Name": "core", "InstanceRole": "CORE", "InstanceType": "r5.xlarge", "InstanceCount": 2, "Market": "ON_DEMAND"}
PRIMARY_FLEET = {
    "InstanceFleetType": "MASTER",
    "TargetOnDemandCapacity": 1,
    "InstanceTypeConfigs": [{"InstanceType": "m5.xlarge"}],
}
CORE_FLEET = {
    "InstanceFleetType": "CORE",
    "TargetOnDemandCapacity": 2,
    "InstanceTypeConfigs": [{"InstanceType": "r5.xlarge"}],
}
ALARM = {
    "ComparisonOperator": "LESS_THAN",
    "MetricName": "YARNMemoryAvailablePercentage",
    "Period": 300,
    "Threshold": 15.0,
}
RULE = {
    "Name": "out",
    "Action": {"SimpleScalingPolicyConfiguration": {"ScalingAdjustment": 1}},
    "Trigger": {"CloudWatchAlarmDefinition": ALARM},
}
POLICY = {"Constraints": {"MinCapacity": 2, "MaxCapacity": 10}, "Rules": [RULE]}
LIMITS = {"UnitType": "Instances", "MinimumCapacityUnits": 1, "MaximumCapacityUnits": 5}


def request(*, groups=None, fleets=None, instances=None, **more):
    nodes = {"InstanceFleets": fleets} if fleets else {"InstanceGroups": groups or [PRIMARY, CORE]}
    held = {**nodes, "KeepJobFlowAliveWhenNoSteps": True, **(instances or {})}
    return {"Name": "flights", "ReleaseLabel": "emr-7.10.0", "Instances": held, **more}


def ready(endpoint, **settings):
    """Create a cluster and return its id once it waits."""
    cluster_id = endpoint.emr.run_job_flow(**request(**settings))["JobFlowId"]
    eventually(lambda: state_of(endpoint, cluster_id), ("WAITING", None))
    return cluster_id


def groups_of(endpoint, cluster_id):
    listed = endpoint.emr.list_instance_groups(ClusterId=cluster_id)["InstanceGroups"]
    return {group["InstanceGroupType"]: group for group in listed}


def instances_of(endpoint, cluster_id, **of):
    listed = endpoint.emr.list_instances(ClusterId=cluster_id, **of)["Instances"]
    return Counter((instance["InstanceType"], instance["Market"]) for instance in listed)


def test_a_group_is_told_with_its_volumes_its_bid_and_its_policy(endpoint):
    volume = {"VolumeType": "gp3", "SizeInGB": 500, "Iops": 10000, "Throughput": 1000}
    storage = {
        "EbsBlockDeviceConfigs": [{"VolumeSpecification": volume, "VolumesPerInstance": 2}],
        "EbsOptimized": True,
    }
    core = {**CORE, "Market": "SPOT", "BidPrice": "0.40", "EbsConfiguration": storage, "AutoScalingPolicy": POLICY}
    found = groups_of(endpoint, ready(endpoint, groups=[PRIMARY, core], AutoScalingRole="Scaler"))["CORE"]
    assert found["EbsBlockDevices"] == [
        {"VolumeSpecification": volume, "Device": "/dev/sdb"},
        {"VolumeSpecification": volume, "Device": "/dev/sdc"},
    ]
    assert (found["EbsOptimized"], found["Market"], found["BidPrice"]) == (True, "SPOT", "0.40")
    status = {"State": "ATTACHED", "StateChangeReason": {"Code": "USER_REQUEST", "Message": ""}}
    assert found["AutoScalingPolicy"] == {**POLICY, "Status": status}


def test_a_fleet_provides_each_market_by_the_weights_of_its_types(endpoint):
    types = [
        {"InstanceType": "m5.xlarge", "WeightedCapacity": 4},
        {"InstanceType": "c5.2xlarge", "WeightedCapacity": 8},
    ]
    spot = {"TimeoutDurationMinutes": 10, "TimeoutAction": "TERMINATE_CLUSTER", "AllocationStrategy": "diversified"}
    task = {
        "InstanceFleetType": "TASK",
        "TargetOnDemandCapacity": 6,
        "TargetSpotCapacity": 14,
        "InstanceTypeConfigs": types,
        "LaunchSpecifications": {"SpotSpecification": spot},
    }
    cluster_id = ready(endpoint, fleets=[PRIMARY_FLEET, CORE_FLEET, task])
    found = endpoint.emr.list_instance_fleets(ClusterId=cluster_id)["InstanceFleets"][2]
    # On-Demand 4 + 4 units exceed 6; Spot 4 + 8 + 4 exceed 14, in turns.
    assert (found["ProvisionedOnDemandCapacity"], found["ProvisionedSpotCapacity"]) == (8, 16)
    assert (found["TargetOnDemandCapacity"], found["TargetSpotCapacity"]) == (6, 14)
    assert found["LaunchSpecifications"] == {"SpotSpecification": spot}
    assert [one["InstanceType"] for one in found["InstanceTypeSpecifications"]] == ["m5.xlarge", "c5.2xlarge"]
    assert instances_of(endpoint, cluster_id, InstanceFleetType="TASK") == {
        ("m5.xlarge", "ON_DEMAND"): 2,
        ("m5.xlarge", "SPOT"): 2,
        ("c5.2xlarge", "SPOT"): 1,
    }
    assert cluster_of(endpoint, cluster_id)["InstanceCollectionType"] == "INSTANCE_FLEET"


def test_a_prioritized_fleet_takes_what_comes_first(endpoint):
    types = [{"InstanceType": "r5.xlarge", "Priority": 1.0}, {"InstanceType": "r5a.xlarge", "Priority": 0.0}]
    prioritized = {"OnDemandSpecification": {"AllocationStrategy": "prioritized"}}
    core = {**CORE_FLEET, "InstanceTypeConfigs": types, "LaunchSpecifications": prioritized}
    cluster_id = ready(endpoint, fleets=[PRIMARY_FLEET, core])
    assert instances_of(endpoint, cluster_id, InstanceFleetType="CORE") == {("r5a.xlarge", "ON_DEMAND"): 2}


def test_a_description_tells_what_a_cluster_was_asked_to_be(endpoint):
    asked = {
        "AutoScalingRole": "Scaler",
        "ScaleDownBehavior": "TERMINATE_AT_INSTANCE_HOUR",
        "CustomAmiId": "ami-1",
        "RepoUpgradeOnBoot": "NONE",
        "OSReleaseLabel": "2023.6.20250218.2",
        "EbsRootVolumeSize": 50,
        "EbsRootVolumeIops": 4000,
        "EbsRootVolumeThroughput": 250,
        "LogEncryptionKmsKeyId": "arn:aws:kms:us-east-1:123456789012:key/logs",
    }
    spread = [{"InstanceRole": "MASTER", "PlacementStrategy": "SPREAD"}]
    place = {
        "Placement": {"AvailabilityZones": ["us-east-1a", "us-east-1b"]},
        "UnhealthyNodeReplacement": True,
        "AdditionalMasterSecurityGroups": ["sg-1"],
        "AdditionalSlaveSecurityGroups": ["sg-2"],
    }
    primaries = {**PRIMARY_FLEET, "TargetOnDemandCapacity": 3}
    cluster_id = ready(endpoint, fleets=[primaries, CORE_FLEET], instances=place, PlacementGroupConfigs=spread, **asked)
    found = cluster_of(endpoint, cluster_id)
    assert asked == {name: found[name] for name in asked}
    assert (found["PlacementGroups"], found["TerminationProtected"], found["UnhealthyNodeReplacement"]) == (
        spread,
        True,
        True,
    )
    attributes = found["Ec2InstanceAttributes"]
    assert attributes["RequestedEc2AvailabilityZones"] == ["us-east-1a", "us-east-1b"]
    assert attributes["AdditionalMasterSecurityGroups"] == ["sg-1"]
    assert attributes["AdditionalSlaveSecurityGroups"] == ["sg-2"]
    assert len(endpoint.emr.list_instances(ClusterId=cluster_id, InstanceFleetType="MASTER")["Instances"]) == 3


def test_a_cluster_with_three_primary_nodes_is_protected_and_never_ends_when_idle(endpoint):
    three = [{**PRIMARY, "InstanceCount": 3}, CORE]
    cluster_id = ready(endpoint, groups=three, AutoTerminationPolicy={"IdleTimeout": 60})
    assert cluster_of(endpoint, cluster_id)["TerminationProtected"]
    assert "AutoTerminationPolicy" not in endpoint.emr.get_auto_termination_policy(ClusterId=cluster_id)
    assert "termination protected" in refusal(endpoint.emr.terminate_job_flows, JobFlowIds=[cluster_id])[1]
    endpoint.emr.set_termination_protection(JobFlowIds=[cluster_id], TerminationProtected=False)
    endpoint.emr.terminate_job_flows(JobFlowIds=[cluster_id])
    eventually(lambda: state_of(endpoint, cluster_id)[0], "TERMINATED")


def test_groups_are_added_and_resized(endpoint):
    cluster_id = ready(endpoint)
    task = {"InstanceRole": "TASK", "InstanceType": "c5.xlarge", "InstanceCount": 3, "Market": "SPOT"}
    (added,) = endpoint.emr.add_instance_groups(JobFlowId=cluster_id, InstanceGroups=[task])["InstanceGroupIds"]
    assert groups_of(endpoint, cluster_id)["TASK"]["Id"] == added
    doomed = endpoint.emr.list_instances(ClusterId=cluster_id, InstanceGroupId=added)["Instances"][0]["Ec2InstanceId"]
    endpoint.emr.modify_instance_groups(
        InstanceGroups=[{"InstanceGroupId": added, "EC2InstanceIdsToTerminate": [doomed]}]
    )
    core = groups_of(endpoint, cluster_id)["CORE"]["Id"]
    change = {"InstanceGroupId": core, "InstanceCount": 5, "ShrinkPolicy": {"DecommissionTimeout": 60}}
    endpoint.emr.modify_instance_groups(ClusterId=cluster_id, InstanceGroups=[change])
    found = groups_of(endpoint, cluster_id)
    assert [found[role]["RunningInstanceCount"] for role in ("MASTER", "CORE", "TASK")] == [1, 5, 2]
    assert found["CORE"]["ShrinkPolicy"] == {"DecommissionTimeout": 60}


def test_fleets_are_added_and_resized(endpoint):
    cluster_id = ready(endpoint, fleets=[PRIMARY_FLEET, CORE_FLEET])
    types = [{"InstanceType": "c5.xlarge"}]
    task = {"InstanceFleetType": "TASK", "TargetSpotCapacity": 2, "InstanceTypeConfigs": types}
    added = endpoint.emr.add_instance_fleet(ClusterId=cluster_id, InstanceFleet=task)["InstanceFleetId"]
    change = {"InstanceFleetId": added, "TargetSpotCapacity": 4, "TargetOnDemandCapacity": 1}
    endpoint.emr.modify_instance_fleet(ClusterId=cluster_id, InstanceFleet=change)
    assert instances_of(endpoint, cluster_id, InstanceFleetId=added) == {
        ("c5.xlarge", "ON_DEMAND"): 1,
        ("c5.xlarge", "SPOT"): 4,
    }
    second = refusal(endpoint.emr.add_instance_fleet, ClusterId=cluster_id, InstanceFleet=task)
    assert second == ("InvalidRequestException", "The cluster already has an instance fleet of type TASK")


def test_a_policy_is_attached_and_taken_away(endpoint):
    cluster_id = ready(endpoint, AutoScalingRole="Scaler")
    core = groups_of(endpoint, cluster_id)["CORE"]["Id"]
    which = {"ClusterId": cluster_id, "InstanceGroupId": core}
    attached = endpoint.emr.put_auto_scaling_policy(**which, AutoScalingPolicy=POLICY)
    assert attached["AutoScalingPolicy"]["Rules"] == [RULE]
    managed = {"ClusterId": cluster_id, "ManagedScalingPolicy": {"ComputeLimits": LIMITS}}
    assert "mutually exclusive" in refusal(endpoint.emr.put_managed_scaling_policy, **managed)[1]
    endpoint.emr.remove_auto_scaling_policy(**which)
    assert "AutoScalingPolicy" not in groups_of(endpoint, cluster_id)["CORE"]
    endpoint.emr.put_managed_scaling_policy(**managed)
    assert "mutually exclusive" in refusal(endpoint.emr.put_auto_scaling_policy, **which, AutoScalingPolicy=POLICY)[1]
    assert "AutoScalingPolicy" not in groups_of(endpoint, cluster_id)["CORE"]


def test_the_primary_nodes_are_never_resized_nor_scaled(endpoint):
    cluster_id = ready(endpoint, AutoScalingRole="Scaler")
    primary = groups_of(endpoint, cluster_id)["MASTER"]["Id"]
    change = [{"InstanceGroupId": primary, "InstanceCount": 3}]
    words = refusal(endpoint.emr.modify_instance_groups, ClusterId=cluster_id, InstanceGroups=change)
    assert words == ("InvalidRequestException", "The MASTER instance group cannot be resized")
    code, message = refusal(
        endpoint.emr.put_auto_scaling_policy, ClusterId=cluster_id, InstanceGroupId=primary, AutoScalingPolicy=POLICY
    )
    assert (code, "MASTER" in message) == ("ValidationException", True)


FAMILIES = ("m5", "c5", "r5", "m5a", "r5a", "m5d", "r5d", "c5d", "m6i", "c6i", "r6i")
SIZES = ("xlarge", "2xlarge", "4xlarge")


def types(count):
    """That many instance types, each another."""
    return [{"InstanceType": f"{family}.{size}"} for family, size in product(FAMILIES, SIZES)][:count]


LOWEST = {"OnDemandSpecification": {"AllocationStrategy": "lowest-price"}}


REFUSED = [
    ({"groups": [PRIMARY], "instances": {"InstanceFleets": [PRIMARY_FLEET]}}, "exactly one of InstanceGroups"),
    ({"groups": [CORE]}, "exactly one MASTER instance group or fleet; the request has 0"),
    ({"groups": [PRIMARY, CORE, CORE]}, "at most one CORE"),
    ({"groups": [{**PRIMARY, "InstanceCount": 2}]}, "has 1 or 3 instances, not 2"),
    ({"instances": {"Ec2SubnetIds": ["subnet-1", "subnet-2"]}}, "Several Ec2SubnetIds"),
    ({"groups": [PRIMARY, {**CORE, "AutoScalingPolicy": POLICY}]}, "AutoScalingRole is required"),
    (
        {"groups": [{**PRIMARY, "AutoScalingPolicy": POLICY}], "AutoScalingRole": "r"},
        "cannot be attached to the MASTER instance group",
    ),
    (
        {
            "groups": [PRIMARY, {**CORE, "AutoScalingPolicy": POLICY}],
            "AutoScalingRole": "r",
            "ManagedScalingPolicy": {"ComputeLimits": LIMITS},
        },
        "mutually exclusive",
    ),
    (
        {"groups": [PRIMARY, {**CORE, "AutoScalingPolicy": {**POLICY, "Rules": [RULE, RULE]}}]},
        "Rule names must be unique",
    ),
    (
        {"ManagedScalingPolicy": {"ComputeLimits": {**LIMITS, "UnitType": "InstanceFleetUnits"}}},
        "InstanceFleetUnits is not valid for a cluster with instance groups",
    ),
    (
        {"fleets": [PRIMARY_FLEET], "ManagedScalingPolicy": {"ComputeLimits": LIMITS}},
        "Instances is not valid for a cluster with instance fleets",
    ),
    (
        {"ManagedScalingPolicy": {"ComputeLimits": {**LIMITS, "MinimumCapacityUnits": 6}}},
        "must not be greater than MaximumCapacityUnits",
    ),
    ({"fleets": [{**PRIMARY_FLEET, "TargetOnDemandCapacity": 2}]}, "its value must be 1"),
    ({"fleets": [{**PRIMARY_FLEET, "TargetSpotCapacity": 1}]}, "only one of TargetSpotCapacity"),
    ({"fleets": [PRIMARY_FLEET, {**CORE_FLEET, "TargetOnDemandCapacity": 0}]}, "should be greater than 0"),
    (
        {"fleets": [PRIMARY_FLEET, {**CORE_FLEET, "InstanceTypeConfigs": types(1) * 2}]},
        "names each instance type once",
    ),
    ({"fleets": [PRIMARY_FLEET, {**CORE_FLEET, "InstanceTypeConfigs": types(6)}]}, "at most 5 instance types"),
    (
        {
            "fleets": [
                PRIMARY_FLEET,
                {**CORE_FLEET, "InstanceTypeConfigs": types(31), "LaunchSpecifications": LOWEST},
            ]
        },
        "at most 30 instance types",
    ),
    (
        {"fleets": [PRIMARY_FLEET, {**CORE_FLEET, "InstanceTypeConfigs": [{"InstanceType": "r5.xlrage"}]}]},
        "Instance type 'r5.xlrage' is not supported.",
    ),
]


def test_nodes_that_emr_would_refuse_are_refused_with_the_cause(endpoint):
    refusals = [refusal(endpoint.emr.run_job_flow, **request(**settings)) for settings, _ in REFUSED]
    assert {code for code, _ in refusals} == {"ValidationException"}
    assert [(words, said) for (_, words), (_, said) in zip(REFUSED, refusals, strict=True) if words not in said] == []
    assert endpoint.emr.list_clusters()["Clusters"] == []


def test_thirty_types_with_a_strategy_are_taken(endpoint):
    core = {**CORE_FLEET, "InstanceTypeConfigs": types(30), "LaunchSpecifications": LOWEST}
    assert endpoint.emr.run_job_flow(**request(fleets=[PRIMARY_FLEET, core]))["JobFlowId"].startswith("j-")
