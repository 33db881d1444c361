"""The estate that ships in ``include/compute/``: each of its profiles creates compute, and AWS's API shows what was asked for.

What is expected of a profile was written by hand from what its owners want, in the words of AWS's API. boto3 checks each request
against AWS's model before it sends it.
"""

from __future__ import annotations

import json
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from emr_pipelines.environments import environment_files, read_environment
from emr_pipelines.keys import Lease
from emr_pipelines.targets import capabilities_of, target_for
from emr_pipelines.targets.base import Clients
from emr_pipelines.targets.states import Phase
from tests.conformance.cases import settled
from tests.conformance.endpoints import scripted_endpoint
from tests.support.endpoint import CLIENT_ENVIRONMENT

ENVIRONMENTS = {
    name: read_environment(path)
    for name, path in environment_files(Path(__file__).parents[2] / "include" / "compute").items()
}
PROFILES = {
    f"{environment.name}/{profile.name}": profile
    for environment in ENVIRONMENTS.values()
    for profile in environment.profiles.values()
}
GIB = 1024**3

GP3 = {"VolumeType": "gp3"}
MARKET_DATA = {
    "cluster": {
        "ReleaseLabel": "emr-7.0.0",
        "Applications": [{"Name": "Spark"}, {"Name": "Flink"}, {"Name": "ZooKeeper"}],
        "AutoScalingRole": "EMR_AutoScaling_DefaultRole",
        "Ec2InstanceAttributes": {"Ec2KeyName": "market-data", "IamInstanceProfile": "EMR_EC2_DefaultRole"},
        "ServiceRole": "EMR_DefaultRole",
        "StepConcurrencyLevel": 1,
    },
    "groups": {
        "MASTER": {"InstanceType": "m5.xlarge", "RequestedInstanceCount": 1, "Market": "ON_DEMAND"},
        "CORE": {
            "InstanceType": "r5.4xlarge",
            "RequestedInstanceCount": 10,
            "Market": "ON_DEMAND",
            "EbsOptimized": True,
        },
        "TASK": {"InstanceType": "c5n.4xlarge", "RequestedInstanceCount": 20, "Market": "SPOT", "BidPrice": "0.4"},
    },
    "volumes": {
        "MASTER": [{**GP3, "SizeInGB": 100, "Iops": 3000, "Throughput": 125}],
        "CORE": [{**GP3, "SizeInGB": 500, "Iops": 10000, "Throughput": 1000}] * 2,
    },
    "steps": {
        "Setup Hadoop Debugging": "CONTINUE",
        "folders": "TERMINATE_CLUSTER",
    },
}
ESTATE = {
    "prod/market-data": MARKET_DATA | {"region": "us-east-1", "logs": "s3://example-emr-pipelines-prod-logs/"},
    "prod/market-data-west": MARKET_DATA
    | {"region": "us-west-2", "logs": "s3://example-emr-pipelines-prod-logs-west/"},
    "prod/market-data-europe": MARKET_DATA
    | {"region": "eu-west-1", "logs": "s3://example-emr-pipelines-prod-logs-europe/"},
    "prod/scaled": {
        "scaling": {
            "UnitType": "Instances",
            "MinimumCapacityUnits": 2,
            "MaximumCapacityUnits": 100,
            "MaximumOnDemandCapacityUnits": 20,
            "MaximumCoreCapacityUnits": 80,
        },
    },
    "prod/ec2": {
        "configurations": {
            "spark-defaults": {
                "spark.driver.memory": "2g",
                "spark.driver.cores": "1",
                "spark.executor.memory": "4g",
                "spark.executor.cores": "2",
                "spark.sql.adaptive.enabled": "true",
                "spark.sql.adaptive.coalescePartitions.enabled": "true",
                "spark.serializer": "org.apache.spark.serializer.KryoSerializer",
                "spark.dynamicAllocation.enabled": "true",
                "spark.dynamicAllocation.minExecutors": "1",
                "spark.dynamicAllocation.maxExecutors": "50",
                "spark.dynamicAllocation.initialExecutors": "5",
            },
            "core-site": {"fs.s3a.block.size": "134217728", "fs.s3a.multipart.size": "134217728"},
        },
    },
    "prod/genomics": {
        "configurations": {"spark-defaults": {"spark.sql.adaptive.advisoryPartitionSizeInBytes": "256MB"}}
    },
    "prod/hadoop": {
        "cluster": {"AutoScalingRole": "EMR_AutoScaling_DefaultRole"},
        "configurations": {
            "core-site": {"io.file.buffer.size": "131072"},
            "hdfs-site": {
                "dfs.replication": "3",
                "dfs.blocksize": "134217728",
                "dfs.namenode.handler.count": "100",
                "dfs.datanode.handler.count": "10",
            },
            "mapred-site": {
                "mapreduce.framework.name": "yarn",
                "mapreduce.map.memory.mb": "2048",
                "mapreduce.map.java.opts": "-Xmx1638m",
                "mapreduce.reduce.memory.mb": "4096",
                "mapreduce.reduce.java.opts": "-Xmx3276m",
            },
            "hive-site": {
                "javax.jdo.option.ConnectionURL": "jdbc:mysql://metastore.example.internal:3306/hive?createDatabaseIfNotExist=true",
                "javax.jdo.option.ConnectionUserName": "hive",
                "hive.metastore.warehouse.dir": "s3://example-emr-pipelines-data/hive-warehouse/",
                "hive.exec.dynamic.partition": "true",
                "hive.exec.dynamic.partition.mode": "nonstrict",
                "hive.vectorized.execution.enabled": "true",
            },
        },
        "rules": {  # what makes the task nodes more or fewer: metric, comparison, threshold, minutes, change, pause
            "memory is short": ("YARNMemoryAvailablePercentage", "LESS_THAN", 15.0, 5, 2, 300),
            "containers wait": ("ContainerPendingRatio", "GREATER_THAN", 0.75, 5, 2, 300),
            "memory is free": ("YARNMemoryAvailablePercentage", "GREATER_THAN", 75.0, 15, -1, 300),
            "nothing waits": ("ContainerPendingRatio", "LESS_THAN", 0.1, 15, -1, 300),
        },
    },
    "prod/spot": {
        "fleets": {
            "CORE": {"TargetOnDemandCapacity": 2, "TargetSpotCapacity": 0},
            "TASK": {"TargetOnDemandCapacity": 48, "TargetSpotCapacity": 112},  # 30 % and 70 % of 160
        },
        "types": {
            f"{family}.{size}": weight
            for family in ("m5", "c5", "r5")
            for size, weight in (("xlarge", 4), ("2xlarge", 8), ("4xlarge", 16))
        },
    },
    "prod/iot": {
        "application": {
            "releaseLabel": "emr-7.0.0",
            "type": "Spark",
            "initialCapacity": {
                "Driver": {
                    "workerCount": 1,
                    "workerConfiguration": {"cpu": "2 vCPU", "memory": "4 GB", "disk": "20 GB"},
                },
                "Executor": {
                    "workerCount": 10,
                    "workerConfiguration": {"cpu": "4 vCPU", "memory": "8 GB", "disk": "20 GB"},
                },
            },
            "maximumCapacity": {"cpu": "402 vCPU", "memory": "804 GB", "disk": "2020 GB"},
            "autoStartConfiguration": {"enabled": True},
            "autoStopConfiguration": {"enabled": True, "idleTimeoutMinutes": 15},
        },
    },
    "prod/media": {
        "virtual cluster": {
            "containerProvider": {
                "type": "EKS",
                "id": "content-processing-eks-cluster",
                "info": {"eksInfo": {"namespace": "emr-workloads"}},
            },
        },
    },
}


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with scripted_endpoint(tmp_path_factory.mktemp("estate")) as url:
        yield url


def client_of(url, service, region):
    return boto3.client(
        service,
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=CLIENT_ENVIRONMENT["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CLIENT_ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": 1}),
    )


def cluster_as_shown(emr, cluster):
    shown = emr.describe_cluster(ClusterId=cluster)["Cluster"]
    seen = {
        "cluster": shown,
        "logs": shown.get("LogUri", "").removesuffix("elasticmapreduce/"),
        "configurations": {one["Classification"]: one["Properties"] for one in shown.get("Configurations", [])},
        "scaling": emr.get_managed_scaling_policy(ClusterId=cluster)
        .get("ManagedScalingPolicy", {})
        .get("ComputeLimits"),
        "steps": {one["Name"]: one["ActionOnFailure"] for one in emr.list_steps(ClusterId=cluster)["Steps"]},
    }
    if shown["InstanceCollectionType"] == "INSTANCE_FLEET":
        fleets = {
            one["InstanceFleetType"]: one for one in emr.list_instance_fleets(ClusterId=cluster)["InstanceFleets"]
        }
        types = {one["InstanceType"]: one["WeightedCapacity"] for one in fleets["TASK"]["InstanceTypeSpecifications"]}
        return seen | {"fleets": fleets, "types": types}
    groups = {one["InstanceGroupType"]: one for one in emr.list_instance_groups(ClusterId=cluster)["InstanceGroups"]}
    volumes = {role: [one["VolumeSpecification"] for one in group["EbsBlockDevices"]] for role, group in groups.items()}
    policy = groups.get("TASK", {}).get("AutoScalingPolicy", {})
    return seen | {"groups": groups, "volumes": volumes, "rules": dict(map(rule_as_shown, policy.get("Rules", [])))}


def rule_as_shown(rule):
    alarm = rule["Trigger"]["CloudWatchAlarmDefinition"]
    change = rule["Action"]["SimpleScalingPolicyConfiguration"]
    minutes = alarm["EvaluationPeriods"] * alarm["Period"] // 60
    how = (alarm["MetricName"], alarm["ComparisonOperator"], alarm["Threshold"], minutes)
    return rule["Name"], (*how, change["ScalingAdjustment"], change["CoolDown"])


def as_shown(url, profile, compute):
    """Return what AWS's API shows of compute, by kinds of things."""
    if profile.target == "ec2":
        found = cluster_as_shown(client_of(url, "emr", profile.region), compute.id)
    elif profile.target == "eks":
        shown = client_of(url, "emr-containers", profile.region).describe_virtual_cluster(id=compute.id)
        found = {"virtual cluster": shown["virtualCluster"]}
    else:
        serverless = client_of(url, "emr-serverless", profile.region)
        found = {"application": serverless.get_application(applicationId=compute.parts["spark"])["application"]}
    return found | {"region": profile.region}


def picked(seen, like):
    """Return of what is seen what an expectation is about."""
    if isinstance(like, dict):
        return {name: picked(seen.get(name), value) for name, value in like.items()}
    return seen


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_creates_compute_that_is_shown_as_it_was_asked_for(name, url):
    profile = PROFILES[name]
    clients = Clients(
        repeating=lambda service: client_of(url, service, profile.region),
        once=lambda service: client_of(url, service, profile.region),
    )
    if name == "prod/analysts":  # a cluster that somebody keeps
        nodes = {"MasterInstanceType": "m5.xlarge", "InstanceCount": 1, "KeepJobFlowAliveWhenNoSteps": True}
        kept = {
            "Name": "analytics",
            "ReleaseLabel": "emr-7.9.0",
            "Applications": [{"Name": "Spark"}],
            "Instances": nodes,
        }
        clients.once("emr").run_job_flow(**kept)
    engines = frozenset({"spark"}) & capabilities_of(profile.target).engines
    target = target_for(profile, clients)
    compute = target.acquire(Lease(name.partition("/")[0], "estate", name, "emr"), engines)
    try:
        assert settled(target, compute).phase is Phase.READY
        expected = ESTATE.get(name, {})
        assert picked(as_shown(url, profile, compute), expected) == expected
    finally:
        target.release(compute)


def test_what_is_expected_is_of_profiles_that_there_are():
    assert set(ESTATE) - set(PROFILES) == set()


def test_the_same_market_data_cluster_is_in_three_regions_each_with_keys_of_its_own():
    clusters = {name: PROFILES[name] for name in ESTATE if "market-data" in name}
    assert {one.region for one in clusters.values()} == {"us-east-1", "us-west-2", "eu-west-1"}
    for profile in clusters.values():
        settings = json.dumps(profile.security_settings)
        assert f"arn:aws:kms:{profile.region}:" in settings
        assert "s3://example-emr-pipelines-prod-artifacts" in settings
