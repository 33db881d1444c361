"""Profiles of EMR on EC2: the requests that they mean, written by hand from the EMR API reference, and what is refused."""

from __future__ import annotations

import re

import pytest
from botocore.session import get_session
from botocore.validate import ParamValidator
from pydantic import ValidationError

from emr_pipelines.environments import read_environment
from emr_pipelines.errors import ConfigurationError
from emr_pipelines.keys import Key, Lease, lease_in
from emr_pipelines.targets.applications import KNOWN
from emr_pipelines.targets.ec2_profile import Ec2Profile
from emr_pipelines.targets.ec2_scaling import METRIC_UNITS

RUN_JOB_FLOW = get_session().get_service_model("emr").operation_model("RunJobFlow").input_shape
LEASE = Lease("dev", "flights_daily", "manual__2013-01-15T00:00:00+00:00", "emr")
GROUPS = {"primary": {"type": "m5.xlarge"}, "core": {"type": "r5.xlarge", "count": 2}}
FLEETS = {"primary": {"types": ["m5.xlarge"]}, "core": {"types": ["r5.xlarge"], "capacity": 2}}


def profile(**settings) -> Ec2Profile:
    given = {"name": "ec2", "target": "ec2", "region": "us-east-1", "log_uri": "s3://logs/emr/"}
    if not settings.keys() & {"subnets", "availability_zones"}:
        given["subnet"] = "subnet-1"
    return Ec2Profile.model_validate({**given, **GROUPS, **settings})


def request_of(made: Ec2Profile) -> dict:
    """The request of a profile, which botocore accepts."""
    request = made.request(LEASE, frozenset({"spark"}))
    assert ParamValidator().validate(request, RUN_JOB_FLOW).generate_report() == ""
    return request


def finding(**settings) -> str:
    with pytest.raises(ValidationError) as raised:
        profile(**settings)
    (one,) = raised.value.errors()
    return one["msg"].removeprefix("Value error, ")


# Clusters of a large estate


def test_the_cluster_of_the_financial_markets():
    made = profile(
        release="emr-7.0.0",
        applications=["Spark", "Flink", "ZooKeeper"],
        primary={"type": "m5.xlarge", "volumes": {"size": 100, "iops": 3000, "throughput": 125}},
        core={
            "type": "r5.4xlarge",
            "count": 10,
            "volumes": {"size": 500, "iops": 10000, "throughput": 1000, "per_instance": 2},
            "ebs_optimized": True,
        },
        task={"type": "c5n.4xlarge", "count": 20, "spot": True, "bid": 0.40},
        key_pair="markets",
        subnet="subnet-0123456789abcdef0",
        primary_security_group="sg-1",
        core_security_group="sg-2",
        service_access_security_group="sg-6",
        additional_primary_security_groups=["sg-3"],
        additional_core_security_groups=["sg-4", "sg-5"],
        scaling_role="EMR_AutoScaling_DefaultRole",
        debugging=True,
        concurrent_steps=1,
        setup_steps=[
            {"name": "folders", "command": ["hdfs", "dfs", "-mkdir", "/a"], "on_failure": "TERMINATE_CLUSTER"}
        ],
    )
    request = request_of(made)
    gp3 = {"VolumeType": "gp3"}
    assert request["Instances"] == {
        "InstanceGroups": [
            {
                "Name": "master",
                "InstanceRole": "MASTER",
                "InstanceType": "m5.xlarge",
                "InstanceCount": 1,
                "Market": "ON_DEMAND",
                "EbsConfiguration": {
                    "EbsBlockDeviceConfigs": [
                        {
                            "VolumeSpecification": {**gp3, "SizeInGB": 100, "Iops": 3000, "Throughput": 125},
                            "VolumesPerInstance": 1,
                        }
                    ]
                },
            },
            {
                "Name": "core",
                "InstanceRole": "CORE",
                "InstanceType": "r5.4xlarge",
                "InstanceCount": 10,
                "Market": "ON_DEMAND",
                "EbsConfiguration": {
                    "EbsBlockDeviceConfigs": [
                        {
                            "VolumeSpecification": {**gp3, "SizeInGB": 500, "Iops": 10000, "Throughput": 1000},
                            "VolumesPerInstance": 2,
                        }
                    ],
                    "EbsOptimized": True,
                },
            },
            {
                "Name": "task",
                "InstanceRole": "TASK",
                "InstanceType": "c5n.4xlarge",
                "InstanceCount": 20,
                "Market": "SPOT",
                "BidPrice": "0.4",
            },
        ],
        "KeepJobFlowAliveWhenNoSteps": True,
        "TerminationProtected": False,
        "Ec2SubnetId": "subnet-0123456789abcdef0",
        "Ec2KeyName": "markets",
        "EmrManagedMasterSecurityGroup": "sg-1",
        "EmrManagedSlaveSecurityGroup": "sg-2",
        "ServiceAccessSecurityGroup": "sg-6",
        "AdditionalMasterSecurityGroups": ["sg-3"],
        "AdditionalSlaveSecurityGroups": ["sg-4", "sg-5"],
    }
    assert request["Steps"] == [
        {
            "Name": "Setup Hadoop Debugging",
            "ActionOnFailure": "CONTINUE",
            "HadoopJarStep": {"Jar": "command-runner.jar", "Args": ["state-pusher-script"]},
        },
        {
            "Name": "folders",
            "ActionOnFailure": "TERMINATE_CLUSTER",
            "HadoopJarStep": {"Jar": "command-runner.jar", "Args": ["hdfs", "dfs", "-mkdir", "/a"]},
        },
    ]
    assert (request["ReleaseLabel"], request["AutoScalingRole"], request["StepConcurrencyLevel"]) == (
        "emr-7.0.0",
        "EMR_AutoScaling_DefaultRole",
        1,
    )
    assert [one["Name"] for one in request["Applications"]] == ["Spark", "Flink", "ZooKeeper"]
    assert made.instance_types == ("m5.xlarge", "r5.4xlarge", "c5n.4xlarge")
    assert (made.most_nodes, made.warnings) == (31, ())


def test_managed_scaling_from_2_to_100():
    made = profile(managed_scaling={"minimum": 2, "maximum": 100, "maximum_on_demand": 20, "maximum_core": 80})
    assert request_of(made)["ManagedScalingPolicy"] == {
        "ComputeLimits": {
            "UnitType": "Instances",
            "MinimumCapacityUnits": 2,
            "MaximumCapacityUnits": 100,
            "MaximumOnDemandCapacityUnits": 20,
            "MaximumCoreCapacityUnits": 80,
        }
    }
    assert made.most_nodes == 101


def rule(name, metric, comparison, threshold, **more):
    return {"name": name, "metric": metric, "comparison": comparison, "threshold": threshold, **more}


RULES = [
    rule("out-memory", "YARNMemoryAvailablePercentage", "LESS_THAN", 15, adjustment=2),
    rule("out-pending", "ContainerPendingRatio", "GREATER_THAN", 0.75, adjustment=2),
    rule("in-memory", "YARNMemoryAvailablePercentage", "GREATER_THAN", 75, adjustment=-1, evaluation_periods=3),
    rule("in-pending", "ContainerPendingRatio", "LESS_THAN", 0.1, adjustment=-1, evaluation_periods=3),
]
SCALED = {"type": "r5.xlarge", "count": 2, "automatic_scaling": {"minimum": 2, "maximum": 20, "rules": RULES}}


def scaling_rule(name, metric, condition, adjustment):
    (metric, unit), (comparison, threshold, periods) = metric, condition
    simple = {"AdjustmentType": "CHANGE_IN_CAPACITY", "ScalingAdjustment": adjustment, "CoolDown": 300}
    alarm = {
        "ComparisonOperator": comparison,
        "EvaluationPeriods": periods,
        "MetricName": metric,
        "Namespace": "AWS/ElasticMapReduce",
        "Period": 300,
        "Statistic": "AVERAGE",
        "Threshold": threshold,
        "Unit": unit,
    }
    return {
        "Name": name,
        "Action": {"SimpleScalingPolicyConfiguration": simple},
        "Trigger": {"CloudWatchAlarmDefinition": alarm},
    }


def test_custom_scaling_by_memory_and_by_what_waits():
    made = profile(task=SCALED, scaling_role="EMR_AutoScaling_DefaultRole")
    request = request_of(made)
    memory, pending = ("YARNMemoryAvailablePercentage", "PERCENT"), ("ContainerPendingRatio", "COUNT")
    assert request["Instances"]["InstanceGroups"][2]["AutoScalingPolicy"] == {
        "Constraints": {"MinCapacity": 2, "MaxCapacity": 20},
        "Rules": [
            scaling_rule("out-memory", memory, ("LESS_THAN", 15.0, 1), 2),
            scaling_rule("out-pending", pending, ("GREATER_THAN", 0.75, 1), 2),
            scaling_rule("in-memory", memory, ("GREATER_THAN", 75.0, 3), -1),
            scaling_rule("in-pending", pending, ("LESS_THAN", 0.1, 3), -1),
        ],
    }
    assert request["AutoScalingRole"] == "EMR_AutoScaling_DefaultRole"
    assert made.most_nodes == 1 + 2 + 20


def test_seventy_percent_spot_over_three_families():
    made = profile(
        **FLEETS,
        task={
            "types": {"families": ["m5", "c5", "r5"], "sizes": ["xlarge", "2xlarge", "4xlarge"]},
            "capacity": 10,
            "spot_percent": 70,
            "spot_allocation": "diversified",
            "spot_timeout_minutes": 15,
        },
        subnets=["subnet-1", "subnet-2"],
    )
    instances = request_of(made)["Instances"]
    names = "m5.xlarge m5.2xlarge m5.4xlarge c5.xlarge c5.2xlarge c5.4xlarge r5.xlarge r5.2xlarge r5.4xlarge"
    assert instances["InstanceFleets"] == [
        {
            "Name": "master",
            "InstanceFleetType": "MASTER",
            "TargetOnDemandCapacity": 1,
            "TargetSpotCapacity": 0,
            "InstanceTypeConfigs": [{"InstanceType": "m5.xlarge", "WeightedCapacity": 1}],
            "LaunchSpecifications": {"OnDemandSpecification": {"AllocationStrategy": "lowest-price"}},
        },
        {
            "Name": "core",
            "InstanceFleetType": "CORE",
            "TargetOnDemandCapacity": 2,
            "TargetSpotCapacity": 0,
            "InstanceTypeConfigs": [{"InstanceType": "r5.xlarge", "WeightedCapacity": 1}],
            "LaunchSpecifications": {"OnDemandSpecification": {"AllocationStrategy": "lowest-price"}},
        },
        {
            "Name": "task",
            "InstanceFleetType": "TASK",
            "TargetOnDemandCapacity": 3,
            "TargetSpotCapacity": 7,
            "InstanceTypeConfigs": [{"InstanceType": name, "WeightedCapacity": 1} for name in names.split()],
            "LaunchSpecifications": {
                "SpotSpecification": {
                    "TimeoutDurationMinutes": 15,
                    "TimeoutAction": "SWITCH_TO_ON_DEMAND",
                    "AllocationStrategy": "diversified",
                },
                "OnDemandSpecification": {"AllocationStrategy": "lowest-price"},
            },
        },
    ]
    assert instances["Ec2SubnetIds"] == ["subnet-1", "subnet-2"]
    assert "Ec2SubnetId" not in instances


# Groups and fleets


def test_a_type_of_a_fleet_says_over_its_fleet_what_it_needs():
    core = {
        "types": [
            "r5.xlarge",
            {
                "type": "r5.2xlarge",
                "weight": 2,
                "bid": 0.3,
                "priority": 1,
                "custom_ami": "ami-2",
                "volumes": {"size": 64},
            },
        ],
        "capacity": 8,
        "spot_percent": 50,
        "bid_percent": 80,
        "custom_ami": "ami-1",
        "volumes": [{"size": 32}, {"type": "io2", "size": 100, "iops": 5000}],
        "configurations": [{"classification": "yarn-site", "properties": {"a": "1"}}],
        "spot_allocation": "capacity-optimized-prioritized",
        "on_demand_allocation": "prioritized",
        "capacity_reservations": {
            "usage_strategy": "use-capacity-reservations-first",
            "resource_group": "arn:aws:resource-groups:us-east-1:123456789012:group/reserved",
        },
        "resize": {"spot_timeout_minutes": 30, "on_demand_timeout_minutes": 60, "on_demand_allocation": "lowest-price"},
    }
    fleet = request_of(profile(**{**FLEETS, "core": core}))["Instances"]["InstanceFleets"][1]
    yarn = [{"Classification": "yarn-site", "Properties": {"a": "1"}, "Configurations": []}]
    assert fleet["InstanceTypeConfigs"] == [
        {
            "InstanceType": "r5.xlarge",
            "WeightedCapacity": 1,
            "BidPriceAsPercentageOfOnDemandPrice": 80.0,
            "EbsConfiguration": {
                "EbsBlockDeviceConfigs": [
                    {"VolumeSpecification": {"VolumeType": "gp3", "SizeInGB": 32}, "VolumesPerInstance": 1},
                    {
                        "VolumeSpecification": {"VolumeType": "io2", "SizeInGB": 100, "Iops": 5000},
                        "VolumesPerInstance": 1,
                    },
                ]
            },
            "CustomAmiId": "ami-1",
            "Configurations": yarn,
        },
        {
            "InstanceType": "r5.2xlarge",
            "WeightedCapacity": 2,
            "BidPrice": "0.3",
            "Priority": 1.0,
            "EbsConfiguration": {
                "EbsBlockDeviceConfigs": [
                    {"VolumeSpecification": {"VolumeType": "gp3", "SizeInGB": 64}, "VolumesPerInstance": 1}
                ]
            },
            "CustomAmiId": "ami-2",
            "Configurations": yarn,
        },
    ]
    reserved = {
        "UsageStrategy": "use-capacity-reservations-first",
        "CapacityReservationResourceGroupArn": "arn:aws:resource-groups:us-east-1:123456789012:group/reserved",
    }
    assert fleet["LaunchSpecifications"]["OnDemandSpecification"] == {
        "AllocationStrategy": "prioritized",
        "CapacityReservationOptions": reserved,
    }
    assert fleet["ResizeSpecifications"] == {
        "SpotResizeSpecification": {"TimeoutDurationMinutes": 30},
        "OnDemandResizeSpecification": {"TimeoutDurationMinutes": 60, "AllocationStrategy": "lowest-price"},
    }


@pytest.mark.parametrize(
    ("capacity", "percent", "spot", "on_demand"),
    [(10, 70, 7, 3), (5, 70, 3, 2), (1, 70, 0, 1), (1, 100, 1, 0), (160, 70, 112, 48), (3, 0, 0, 3)],
)
def test_spot_is_rounded_down_to_whole_units(capacity, percent, spot, on_demand):
    task = {"types": ["m5.xlarge"], "capacity": capacity, "spot_percent": percent}
    fleet = request_of(profile(**FLEETS, task=task))["Instances"]["InstanceFleets"][2]
    assert (fleet["TargetSpotCapacity"], fleet["TargetOnDemandCapacity"]) == (spot, on_demand)
    assert ("SpotSpecification" in fleet["LaunchSpecifications"]) == (spot > 0)


def test_a_grid_weighs_its_types_by_their_vcpus():
    grid = {"families": ["m5"], "sizes": ["large", "xlarge", "12xlarge"], "weights": "vcpu"}
    fleet = request_of(profile(**FLEETS, task={"types": grid, "capacity": 8}))["Instances"]["InstanceFleets"][2]
    weights = {one["InstanceType"]: one["WeightedCapacity"] for one in fleet["InstanceTypeConfigs"]}
    assert weights == {"m5.large": 2, "m5.xlarge": 4, "m5.12xlarge": 48}


def test_three_primary_nodes_are_spread_and_told_to_be_ended_by_nobody_but_us():
    made = profile(primary={"type": "m5.xlarge", "count": 3}, placement_group="SPREAD", applications=["Spark", "Hue"])
    request = request_of(made)
    assert request["PlacementGroupConfigs"] == [{"InstanceRole": "MASTER", "PlacementStrategy": "SPREAD"}]
    assert request["Instances"]["InstanceGroups"][0]["InstanceCount"] == 3
    assert made.most_nodes == 5
    never, metastore = made.warnings
    assert never.startswith("EMR protects a cluster with three primary nodes and never ends it when idle")
    assert metastore == "Hue with three primary nodes needs a metastore outside the cluster: configure one"


def test_groups_that_are_taken_out_by_null_become_fleets():
    out = {"type": None, "count": None, "spot": None}
    made = profile(primary={**out, "types": ["m5.xlarge"]}, core={**out, "types": ["r5.xlarge"], "capacity": 2})
    assert request_of(made) == request_of(profile(**FLEETS))


@pytest.mark.parametrize(
    "settings",
    [
        {"hive": {"metastore": "glue"}},
        {"hive": {"metastore": "thrift://metastore.example.internal:9083"}},
        {
            "configurations": [
                {
                    "classification": "hive-site",
                    "properties": {"javax.jdo.option.ConnectionURL": "jdbc:mysql://host:3306/hive"},
                }
            ]
        },
    ],
)
def test_hive_on_three_primary_nodes_with_a_metastore_elsewhere_is_no_matter(settings):
    three = {"primary": {"type": "m5.xlarge", "count": 3}}
    assert any("Hive with three primary nodes" in said for said in profile(**three).warnings)
    assert not any("metastore" in said for said in profile(**three, **settings).warnings)


def test_security_groups_of_ones_own_in_a_private_subnet_need_that_of_service_access():
    groups = {"primary_security_group": "sg-0123456789abcdef0", "core_security_group": "sg-0123456789abcdef1"}
    private = {**groups, "subnet": "subnet-0123456789abcdef0"}
    (told,) = profile(**private).warnings
    assert told == (
        "EMR refuses security groups of one's own in a private subnet without service_access_security_group: name it, or say "
        "public_subnet: true"
    )
    assert profile(**private, public_subnet=True).warnings == ()
    assert profile(**private, service_access_security_group="sg-0123456789abcdef2").warnings == ()


def test_the_settings_of_the_cluster_become_members_of_its_request():
    key = "arn:aws:kms:us-east-1:123456789012:key/logs"
    request = request_of(
        profile(
            **FLEETS,
            custom_ami="ami-1",
            repository_upgrade="NONE",
            os_release="2023.6.20250218.2",
            root_volume_size=50,
            root_volume_iops=4000,
            root_volume_throughput=1000,
            log_encryption_key=key,
            scale_down_behavior="TERMINATE_AT_INSTANCE_HOUR",
            unhealthy_node_replacement=True,
            termination_protection=True,
            availability_zones=["us-east-1a", "us-east-1b"],
            public_subnet=True,
            managed_scaling={"minimum": 2, "maximum": 10, "performance_index": 75},
        )
    )
    expected = {
        "CustomAmiId": "ami-1",
        "RepoUpgradeOnBoot": "NONE",
        "OSReleaseLabel": "2023.6.20250218.2",
        "EbsRootVolumeSize": 50,
        "EbsRootVolumeIops": 4000,
        "EbsRootVolumeThroughput": 1000,
        "LogEncryptionKmsKeyId": key,
        "ScaleDownBehavior": "TERMINATE_AT_INSTANCE_HOUR",
        "ManagedScalingPolicy": {
            "ComputeLimits": {
                "UnitType": "InstanceFleetUnits",
                "MinimumCapacityUnits": 2,
                "MaximumCapacityUnits": 10,
            },
            "ScalingStrategy": "ADVANCED",
            "UtilizationPerformanceIndex": 75,
        },
    }
    assert expected == {name: request[name] for name in expected}
    assert (request["Instances"]["TerminationProtected"], request["Instances"]["UnhealthyNodeReplacement"]) == (
        True,
        True,
    )
    assert request["Instances"]["Placement"] == {"AvailabilityZones": ["us-east-1a", "us-east-1b"]}


def test_a_group_lies_in_one_zone():
    instances = request_of(profile(availability_zones=["us-east-1a"], public_subnet=True))["Instances"]
    assert instances["Placement"] == {"AvailabilityZone": "us-east-1a"}
    assert request_of(profile(subnets=["subnet-1"]))["Instances"]["Ec2SubnetId"] == "subnet-1"


def test_a_set_up_step_runs_a_jar_and_is_never_taken_for_a_job():
    jar = {"name": "load", "jar": "s3://code/load.jar", "main_class": "a.Load", "args": ["x"]}
    made = profile(setup_steps=[jar])
    assert request_of(made)["Steps"] == [
        {
            "Name": "load",
            "ActionOnFailure": "CONTINUE",
            "HadoopJarStep": {"Jar": "s3://code/load.jar", "MainClass": "a.Load", "Args": ["x"]},
        }
    ]
    assert made.warnings == ("concurrent_steps is 4: jobs do not wait for set-up steps; with 1 they do",)
    job = Key(LEASE, "emr.clean", -1, "nonce").name
    assert lease_in(job) == LEASE.id
    assert "would pass for a job of a run" in finding(setup_steps=[{"name": job, "command": ["ls"]}])


def test_a_protected_cluster_is_warned_of():
    assert "only release and the reaper surely end it" in profile(termination_protection=True).warnings[0]


def test_a_metastore_of_hive_without_hive_is_warned_of():
    secret = "arn:aws:secretsmanager:us-east-1:123456789012:secret:hive-AbCdEf"
    hive = {"database": {"url": "jdbc:mysql://db:3306/hive", "user": "hive", "password_secret": secret}}
    assert profile(hive=hive).warnings == ()
    (warning,) = profile(hive=hive, applications=["Spark"]).warnings
    assert "applications has no Hive" in warning


@pytest.mark.parametrize("kind", ["group", "fleet"])
def test_spot_instances_where_their_loss_hurts_are_warned_of(kind):
    spot = {"group": {"type": "m5.xlarge", "spot": True}, "fleet": {"types": ["m5.xlarge"], "spot_percent": 100}}[kind]
    primary, core = profile(primary=spot, core=spot, task=spot).warnings
    assert primary == "primary is Spot: when EC2 takes it back, the cluster and all its jobs end"
    assert core.startswith("core is Spot: when EC2 takes instances back, HDFS may lose blocks")
    kept = {"group": GROUPS, "fleet": FLEETS}[kind]
    assert profile(**kept, task=spot).warnings == ()


# Bounds


WEIGHED = {"types": [{"type": "m5.2xlarge", "weight": 2}, {"type": "m5.4xlarge", "weight": 4}], "capacity": 20}


@pytest.mark.parametrize(
    ("settings", "workers", "sizes", "most"),
    [
        # sizes: capacities or counts of core and task, then the bounds of automatic and of managed scaling
        ({"task": SCALED, "scaling_role": "r"}, 50, [2, 2, (2, 20)], 23),
        ({"task": SCALED, "scaling_role": "r"}, 6, [2, 2, (2, 4)], 7),
        ({"task": SCALED, "scaling_role": "r"}, 3, [2, 1, (1, 1)], 4),
        ({"task": SCALED, "scaling_role": "r"}, 2, [2], 3),
        ({"core": SCALED, "scaling_role": "r"}, 5, [2, (2, 5)], 6),
        ({**FLEETS, "task": WEIGHED}, 50, [2, 20], 13),  # at most 10 of the smaller type
        ({**FLEETS, "task": WEIGHED}, 5, [2, 6], 6),  # three of the smaller type are 6 units
        (
            {**FLEETS, "task": {**WEIGHED, "spot_percent": 50}},
            4,
            [2, 4],
            5,
        ),  # 2 units Spot and 2 On-Demand: an instance each
    ],
)
def test_maximum_workers_bounds_groups_fleets_and_rules(settings, workers, sizes, most):
    made = profile(**settings).overridden({"maximum_workers": workers})
    instances = request_of(made)["Instances"]
    seen: list[object] = []
    for nodes in [*instances.get("InstanceGroups", []), *instances.get("InstanceFleets", [])][1:]:
        fleet = nodes.get("TargetOnDemandCapacity", 0) + nodes.get("TargetSpotCapacity", 0)
        seen.append(nodes.get("InstanceCount") or fleet)
        if policy := nodes.get("AutoScalingPolicy"):
            seen.append((policy["Constraints"]["MinCapacity"], policy["Constraints"]["MaxCapacity"]))
    assert (seen, made.most_nodes) == (sizes, most)


@pytest.mark.parametrize(
    ("settings", "unit", "maximum", "most"),
    [
        ({"managed_scaling": {"minimum": 1, "maximum": 40}}, "Instances", 5, 6),
        # an r5.xlarge has 4 vCPUs: five of them have 20
        ({"managed_scaling": {"minimum": 1, "maximum": 400, "unit": "vcpu"}}, "VCPU", 20, 6),
        # five of the type that gives the fewest units, two
        (
            {**FLEETS, "core": WEIGHED, "managed_scaling": {"minimum": 1, "maximum": 400}},
            "InstanceFleetUnits",
            10,
            6,
        ),
    ],
)
def test_maximum_workers_takes_the_place_of_the_maximum_of_managed_scaling(settings, unit, maximum, most):
    made = profile(**settings).overridden({"maximum_workers": 5})
    limits = request_of(made)["ManagedScalingPolicy"]["ComputeLimits"]
    assert (limits["UnitType"], limits["MaximumCapacityUnits"], made.most_nodes) == (unit, maximum, most)


def test_the_most_nodes_of_scaling_in_units_are_those_of_the_smallest_instances():
    scaled = {"minimum": 1, "maximum": 401, "unit": "vcpu"}
    assert profile(managed_scaling=scaled).most_nodes == 1 + 101  # 401 / 4, begun ones too


# What is refused


REFUSED = [
    ({"task": {"type": "m5.xlarge"}, "core": None}, "task instances need core instances"),
    ({"core": {"types": ["r5.xlarge"]}}, "make them all one kind"),
    ({"core": {"types": ["r5.xlarge"], "type": "r5.xlarge"}}, "type is of an instance group and types of a fleet"),
    ({"primary": {"type": "m5.xlarge", "count": 2}}, "primary.count is 2: a cluster has 1 primary node, or 3"),
    ({**FLEETS, "primary": {"types": ["m5.xlarge"], "capacity": 2}}, "a primary fleet has capacity 1, or 3"),
    (
        {**FLEETS, "primary": {"types": [{"type": "m5.xlarge", "weight": 2}]}},
        "a primary fleet has capacity 1, or 3 for high availability, of types with weight 1",
    ),
    (
        {**FLEETS, "primary": {"types": ["m5.xlarge"], "spot_percent": 50}},
        "primary.spot_percent is 50: a primary fleet is all Spot (100) or none (0)",
    ),
    ({"placement_group": "SPREAD"}, "write primary.count: 3, or leave it out"),
    ({"core": {"type": "r5.xlarge", "bid": 0.4}}, "bid is a price of Spot instances: add spot: true"),
    (
        {**FLEETS, "core": {"types": [{"type": "r5.xlarge", "bid": 1, "bid_percent": 50}]}},
        "bid and bid_percent are both given",
    ),
    ({**FLEETS, "core": {"types": ["r5.xlarge", "r5.xlarge"]}}, "r5.xlarge stands twice among the types"),
    (
        {
            **FLEETS,
            "core": {"types": {"families": ["m5", "c5", "r5", "m4"], "sizes": [f"{n}xlarge" for n in range(1, 9)]}},
        },
        "at most 30 types with allocation strategies and 5 without, and here are 32",
    ),
    (
        {**FLEETS, "core": {"types": {"families": list("abcdef"), "sizes": ["x"]}, "on_demand_allocation": None}},
        "and here are 6: leave some out",
    ),
    (
        {**FLEETS, "core": {"types": {"families": ["m5"], "sizes": ["metal"], "weights": "vcpu"}}},
        "size 'metal' does not tell its vCPUs",
    ),
    (
        {**FLEETS, "core": {"types": ["m5.xlarge"], "on_demand_allocation": None, "capacity_reservations": {}}},
        "capacity_reservations need on_demand_allocation",
    ),
    ({"core": {"type": "r5.xlarge", "volumes": {"type": "gp2", "size": 9, "throughput": 125}}}, "takes no throughput"),
    ({"core": {"type": "r5.xlarge", "volumes": {"type": "st1", "size": 500, "iops": 500}}}, "takes no iops"),
    ({"core": {"type": "r5.xlarge", "volumes": {"type": "io1", "size": 500}}}, "a volume of type io1 needs iops"),
    ({"core": {"type": "r5.xlarge", "volumes": {"size": 5, "iops": 4000}}}, "a gp3 volume of 5 GiB has at most 3000"),
    ({"core": {"type": "r5.xlarge", "volumes": {"size": 5, "iops": 1000}}}, "a gp3 volume has at least 3000"),
    ({"core": {"type": "r5.xlarge", "volumes": {"size": 500, "throughput": 1000}}}, "needs at least 4000 iops for it"),
    ({"root_volume_throughput": 1000}, "needs at least 4000 iops for it"),
    (
        {"core": {"type": "r5.xlarge", "volumes": [{"size": 5, "per_instance": 20}, {"size": 9, "per_instance": 6}]}},
        "volumes are 26 per instance: EMR attaches at most 25",
    ),
    (
        {"task": SCALED, "scaling_role": "r", "managed_scaling": {"minimum": 1, "maximum": 2}},
        "managed_scaling and automatic_scaling exclude each other",
    ),
    ({"task": SCALED}, "automatic_scaling needs scaling_role"),
    ({"primary": {**SCALED, "count": 1}, "scaling_role": "r"}, "primary nodes are never scaled"),
    (
        {"managed_scaling": {"minimum": 1, "maximum": 2, "unit": "fleet_units"}},
        "managed_scaling.unit is fleet_units: of these nodes it is instances or vcpu",
    ),
    (
        {**FLEETS, "managed_scaling": {"minimum": 1, "maximum": 2, "unit": "vcpu"}},
        "managed_scaling.unit is vcpu: of these nodes it is fleet_units",
    ),
    ({"managed_scaling": {"minimum": 1, "maximum": 2, "maximum_core": 3}}, "maximum_core 3 is above maximum 2"),
    ({"subnet": "subnet-1", "availability_zones": ["us-east-1a"]}, "exclude each other: a subnet lies in one zone"),
    ({"subnets": ["subnet-1", "subnet-2"]}, "several subnets or availability_zones need instance fleets"),
    ({"availability_zones": ["eu-west-1a"]}, "availability zone eu-west-1a is not in region us-east-1"),
    ({"primary_security_group": "sg-1"}, "primary_security_group and core_security_group go together"),
    (
        {"setup_steps": [{"name": "a", "command": ["ls"], "on_failure": "CANCEL_AND_WAIT"}]},
        "set-up step 'a' has on_failure: CANCEL_AND_WAIT, and EMR takes only CONTINUE",
    ),
    ({"setup_steps": [{"name": "a"}]}, "a set-up step runs either a command, such as [bash, -c, ls], or a jar"),
    ({"setup_steps": [{"name": "a", "command": ["ls"], "args": ["x"]}]}, "args and main_class are of a jar"),
    ({"release": "7.9.0"}, "'7.9.0' is no release label: write emr-<major>.<minor>.<patch>, such as emr-7.9.0"),
    ({"release": "emr-7.99.0"}, "release emr-7.99.0 is not known here: take one of emr-5.30 to emr-5.36, emr-6.1"),
    ({"release": "emr-6.0.0"}, "release emr-6.0.0 is not known here"),
    ({"release": "emr-5.29.0"}, "release emr-5.29.0 is not known here"),
    ({"applications": ["Sparkk"]}, "EMR has no application 'Sparkk' (did you mean 'Spark'?); it has: AmazonCloudWatch"),
    ({"applications": ["Spark", "Delta"]}, "write classification delta-defaults with delta.enabled there"),
    ({"applications": ["Trino", "Presto"]}, "Presto and Trino cannot run on one cluster"),
    ({"applications": ["Ganglia"]}, "release emr-7.9.0 has no Ganglia, which is in emr-5.30 to emr-6.15"),
    (
        {"applications": ["Trino"], "release": "emr-6.3.0"},
        "release emr-6.3.0 has no Trino, which is in emr-6.4 and later",
    ),
    ({"root_volume_iops": 4000, "release": "emr-6.14.0"}, "emr-6.15.0 and later do"),
    (
        {"managed_scaling": {"minimum": 1, "maximum": 2, "performance_index": 50}, "release": "emr-6.15.0"},
        "takes no managed_scaling.performance_index",
    ),
    ({"repository_upgrade": "NONE"}, "repository_upgrade is of a custom AMI: give custom_ami"),
]


@pytest.mark.parametrize(("settings", "says"), REFUSED, ids=lambda value: value if isinstance(value, str) else "")
def test_what_emr_would_refuse_is_refused_in_one_sentence(settings, says):
    said = finding(**settings)
    assert says in said
    assert not said.endswith(".")


def scaled(**changed) -> dict:
    policy = {**SCALED["automatic_scaling"], "rules": [{**RULES[0], **changed}]}
    return {"task": {**SCALED, "automatic_scaling": policy}, "scaling_role": "r"}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"adjustment": 0}, "adjustment is 0: write how many instances to add, or to remove as a negative number"),
        ({"adjustment": -2, "adjustment_type": "EXACT_CAPACITY"}, "adjustment is -2"),
        ({"metric_unit": "PERCENTAGE"}, "'PERCENTAGE' is no unit of CloudWatch (did you mean 'PERCENT'?): take one of"),
        ({"period_seconds": 60}, "period_seconds is 60: EMR gives its metrics every 300 seconds, so write 300"),
    ],
)
def test_a_rule_that_could_never_work_is_refused(changed, says):
    assert says in finding(**scaled(**changed))


def test_the_rules_and_bounds_of_a_group_hold_together():
    twice = {**SCALED["automatic_scaling"], "rules": [RULES[0], RULES[0]]}
    assert "two rules are called 'out-memory'" in finding(task={**SCALED, "automatic_scaling": twice})
    assert "automatic_scaling has no rules" in finding(
        task={**SCALED, "automatic_scaling": {"minimum": 1, "maximum": 2, "rules": []}}
    )
    none = {**SCALED, "automatic_scaling": {**SCALED["automatic_scaling"], "minimum": 0}}
    assert "core.automatic_scaling.minimum is 0" in finding(core=none, scaling_role="r")
    assert profile(task=none, scaling_role="r").most_nodes == 23
    turned = {**SCALED["automatic_scaling"], "minimum": 30}
    assert "minimum 30 is above maximum 20" in finding(task={**SCALED, "automatic_scaling": turned})


def test_a_metric_of_ones_own_has_its_own_period_and_dimensions():
    own = {"namespace": "Own", "metric": "Waiting", "metric_unit": "COUNT", "dimensions": {"Queue": "q"}}
    made = profile(**scaled(**own, period_seconds=60))
    policy = request_of(made)["Instances"]["InstanceGroups"][2]["AutoScalingPolicy"]
    alarm = policy["Rules"][0]["Trigger"]["CloudWatchAlarmDefinition"]
    assert (alarm["Namespace"], alarm["Period"], alarm["Unit"], alarm["Dimensions"]) == (
        "Own",
        60,
        "COUNT",
        [{"Key": "Queue", "Value": "q"}],
    )


def test_the_units_of_metrics_are_those_of_the_service():
    assert sorted(METRIC_UNITS) == sorted(get_session().get_service_model("emr").shape_for("Unit").enum)


@pytest.mark.parametrize("release", ["emr-5.30.0", "emr-5.36.2", "emr-6.1.0", "emr-6.15.0", "emr-7.0.0", "emr-7.14.0"])
def test_releases_from_the_first_that_ends_clusters_by_itself_to_the_newest_are_known(release):
    old = {"security": {"instance_metadata_v1": True}} if release in ("emr-5.30.0", "emr-6.1.0") else {}
    assert request_of(profile(release=release, **old))["ReleaseLabel"] == release


def test_an_application_that_a_job_needs_is_known():
    assert {"Spark", "Hive"} <= set(KNOWN)


# What a file's mistakes are called


FILE = """\
deployment: team-a
buckets: {{data: a-data, logs: a-logs, artifacts: a-artifacts}}
profiles:
  ec2:
    target: ec2
    region: us-east-1
    primary: {primary}
    core: {core}
    subnet: subnet-1
"""


@pytest.mark.parametrize(
    ("primary", "core", "says"),
    [
        (
            "{type: m5.xlarge}",
            "{type: m5.xlarge, cuont: 2}",
            "profiles.ec2.core.cuont: there is no such setting (did you mean 'count'?)",
        ),
        (
            "{types: [m5.xlarge]}",
            "{types: [{type: m5.xlarge, wieght: 2}]}",
            "0.wieght: there is no such setting (did you mean 'weight'?)",
        ),
        ("{type: m5.xlarge}", "{count: 2}", "profiles.ec2.core.type: this setting is missing: add it"),
        ("{type: m5.xlarge}", "m5.xlarge", "profiles.ec2.core: 'm5.xlarge' stands where settings are needed"),
        (
            "{types: [m5.xlarge]}",
            "{types: [m5.xlarge], capacity: 0}",
            "profiles.ec2.core.capacity: 0 is too little: at least 1 is needed",
        ),
        (
            "{types: [m5.xlarge]}",
            "{types: [m5.xlarge, m5]}",
            "profiles.ec2.core.types.1: 'm5' has not the form that is needed",
        ),
        (
            "{types: [m5.xlarge]}",
            "{types: [{weight: 2}]}",
            "profiles.ec2.core.types.0.type: this setting is missing: add it",
        ),
        ("{types: [m5.xlarge]}", "{types: []}", "profiles.ec2.core: types names no instance type"),
        (
            "{types: [m5.xlarge]}",
            "{types: {sizes: [xlarge]}}",
            "profiles.ec2.core.types.families: this setting is missing: add it",
        ),
        (
            "{type: m5.xlarge}",
            "{type: m5.xlarge, bid: 1}",
            "profiles.ec2.core: bid is a price of Spot",
        ),
        (
            "{type: m5.xlarge}",
            "{type: m5.xlarge, volumes: {size: 0}}",
            "profiles.ec2.core.volumes.size: 0 is too little: at least 1 is needed",
        ),
    ],
)
def test_a_mistake_is_named_as_its_setting_is_in_the_file(tmp_path, primary, core, says):
    path = tmp_path / "dev.yaml"
    path.write_text(FILE.format(primary=primary, core=core))
    with pytest.raises(ConfigurationError, match=rf"^{re.escape(str(path))}:8: .*{re.escape(says)}"):
        read_environment(path)
