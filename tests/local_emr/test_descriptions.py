"""What EMR on EC2 tells of clusters: descriptions, lists, tags and policies."""

from __future__ import annotations

import re

from tests.local_emr.asking import cluster_of, create, refusal, state_of
from tests.local_emr.scripted import eventually


def test_a_description_gives_back_what_was_asked_for(endpoint):
    asked = {
        "Applications": [{"Name": "Spark"}, {"Name": "Hive"}],
        "Configurations": [{"Classification": "spark-defaults", "Properties": {"a": "b"}}],
        "LogUri": "s3://local-logs/emr/",
        "ServiceRole": "EMR_DefaultRole",
        "Tags": [{"Key": "owner", "Value": "run"}],
        "EbsRootVolumeSize": 20,
        "StepConcurrencyLevel": 5,
    }
    network = {"Ec2SubnetIds": ["subnet-1"], "Ec2KeyName": "key"}
    cluster_id = create(endpoint, Instances=network, JobFlowRole="EMR_EC2_DefaultRole", **asked)
    eventually(lambda: state_of(endpoint, cluster_id), ("WAITING", None))
    found = cluster_of(endpoint, cluster_id)
    assert asked == {name: found[name] for name in asked}
    assert (cluster_id, "flights", False, "INSTANCE_GROUP", True) == (
        found["Id"],
        found["Name"],
        found["AutoTerminate"],
        found["InstanceCollectionType"],
        found["VisibleToAllUsers"],
    )
    assert re.fullmatch(r"j-[A-Z0-9]{13}", cluster_id)
    assert found["ClusterArn"] == f"arn:aws:elasticmapreduce:us-east-1:123456789012:cluster/{cluster_id}"
    assert found["NormalizedInstanceHours"] == 8 + 2 * 16
    attributes = found["Ec2InstanceAttributes"]
    assert (attributes["IamInstanceProfile"], attributes["RequestedEc2SubnetIds"], attributes["Ec2KeyName"]) == (
        "EMR_EC2_DefaultRole",
        ["subnet-1"],
        "key",
    )


def test_simple_counts_become_instance_groups_with_instances(endpoint):
    cluster_id = create(endpoint)
    eventually(lambda: state_of(endpoint, cluster_id), ("WAITING", None))
    groups = endpoint.emr.list_instance_groups(ClusterId=cluster_id)["InstanceGroups"]
    assert [(group["InstanceGroupType"], group["InstanceType"], group["RunningInstanceCount"]) for group in groups] == [
        ("MASTER", "m5.xlarge", 1),
        ("CORE", "m5.2xlarge", 2),
    ]
    core = endpoint.emr.list_instances(ClusterId=cluster_id, InstanceGroupTypes=["CORE"])["Instances"]
    assert [(instance["InstanceGroupId"], instance["Status"]["State"]) for instance in core] == [
        (groups[1]["Id"], "RUNNING")
    ] * 2
    assert len({instance["Ec2InstanceId"] for instance in core}) == 2
    assert refusal(endpoint.emr.list_instance_fleets, ClusterId=cluster_id)[0] == "InvalidRequestException"


def test_fleets_are_told_as_fleets(endpoint):
    types = [{"InstanceType": "r5.4xlarge", "WeightedCapacity": 2}]
    fleets = [
        {
            "InstanceFleetType": "MASTER",
            "TargetOnDemandCapacity": 1,
            "InstanceTypeConfigs": [{"InstanceType": "m5.large"}],
        },
        {"InstanceFleetType": "CORE", "TargetSpotCapacity": 6, "InstanceTypeConfigs": types},
    ]
    cluster_id = endpoint.emr.run_job_flow(
        Name="f",
        ReleaseLabel="emr-7.10.0",
        Instances={"InstanceFleets": fleets, "KeepJobFlowAliveWhenNoSteps": True},
    )["JobFlowId"]
    eventually(lambda: state_of(endpoint, cluster_id), ("WAITING", None))
    found = endpoint.emr.list_instance_fleets(ClusterId=cluster_id)["InstanceFleets"]
    assert [(fleet["InstanceFleetType"], fleet["ProvisionedSpotCapacity"]) for fleet in found] == [
        ("MASTER", 0),
        ("CORE", 6),
    ]
    core = endpoint.emr.list_instances(ClusterId=cluster_id, InstanceFleetType="CORE")["Instances"]
    assert [(instance["InstanceType"], instance["Market"]) for instance in core] == [("r5.4xlarge", "SPOT")] * 3
    assert cluster_of(endpoint, cluster_id)["NormalizedInstanceHours"] == 4 + 3 * 32


def test_tags_and_policies_come_and_go(endpoint):
    cluster_id = create(endpoint, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    endpoint.emr.add_tags(ResourceId=cluster_id, Tags=[{"Key": "b", "Value": "3"}, {"Key": "c"}])
    endpoint.emr.remove_tags(ResourceId=cluster_id, TagKeys=["a", "none"])
    assert cluster_of(endpoint, cluster_id)["Tags"] == [{"Key": "b", "Value": "3"}, {"Key": "c", "Value": ""}]
    endpoint.emr.put_auto_termination_policy(ClusterId=cluster_id, AutoTerminationPolicy={"IdleTimeout": 3600})
    found = endpoint.emr.get_auto_termination_policy(ClusterId=cluster_id)
    assert found["AutoTerminationPolicy"] == {"IdleTimeout": 3600}
    endpoint.emr.remove_auto_termination_policy(ClusterId=cluster_id)
    assert "AutoTerminationPolicy" not in endpoint.emr.get_auto_termination_policy(ClusterId=cluster_id)
    limits = {"UnitType": "Instances", "MinimumCapacityUnits": 1, "MaximumCapacityUnits": 5}
    policy = {"ComputeLimits": limits}
    endpoint.emr.put_managed_scaling_policy(ClusterId=cluster_id, ManagedScalingPolicy=policy)
    assert endpoint.emr.get_managed_scaling_policy(ClusterId=cluster_id)["ManagedScalingPolicy"] == policy
    endpoint.emr.remove_managed_scaling_policy(ClusterId=cluster_id)
    assert "ManagedScalingPolicy" not in endpoint.emr.get_managed_scaling_policy(ClusterId=cluster_id)


def test_flags_are_told_as_they_were_set(endpoint):
    cluster_id = create(endpoint)
    endpoint.emr.set_visible_to_all_users(JobFlowIds=[cluster_id], VisibleToAllUsers=False)
    endpoint.emr.set_unhealthy_node_replacement(JobFlowIds=[cluster_id], UnhealthyNodeReplacement=True)
    found = cluster_of(endpoint, cluster_id)
    assert (found["VisibleToAllUsers"], found["UnhealthyNodeReplacement"]) == (False, True)


def test_bootstrap_actions_are_recorded(endpoint):
    action = {"Name": "install", "ScriptBootstrapAction": {"Path": "s3://b/install.sh", "Args": ["x"]}}
    cluster_id = create(endpoint, BootstrapActions=[action])
    assert endpoint.emr.list_bootstrap_actions(ClusterId=cluster_id)["BootstrapActions"] == [
        {"Name": "install", "ScriptPath": "s3://b/install.sh", "Args": ["x"]}
    ]


def test_clusters_are_listed_newest_first_by_pages_of_50_by_state_and_by_time(endpoint):
    ids = []
    for _ in range(51):
        ids.append(create(endpoint))
        endpoint.clock.advance(10)
    newest_first = ids[::-1]
    first = endpoint.emr.list_clusters()
    new = create(endpoint)
    second = endpoint.emr.list_clusters(Marker=first["Marker"])
    assert [entry["Id"] for entry in first["Clusters"] + second["Clusters"]] == newest_first
    endpoint.emr.terminate_job_flows(JobFlowIds=[new])
    eventually(lambda: state_of(endpoint, new)[0], "TERMINATED")
    terminated = endpoint.emr.list_clusters(ClusterStates=["TERMINATED"])["Clusters"]
    assert [entry["Id"] for entry in terminated] == [new]
    created = cluster_of(endpoint, ids[1])["Status"]["Timeline"]["CreationDateTime"]
    older = endpoint.emr.list_clusters(CreatedBefore=created)["Clusters"]
    assert [entry["Id"] for entry in older] == [ids[1], ids[0]]
    assert refusal(endpoint.emr.list_clusters, Marker="none")[0] == "InvalidRequestException"


def test_a_region_sees_its_own_clusters_only(endpoint):
    europe = endpoint.client("emr", "eu-west-1")
    cluster_id = create(endpoint, client=europe)
    assert endpoint.emr.list_clusters()["Clusters"] == []
    assert [entry["Id"] for entry in europe.list_clusters()["Clusters"]] == [cluster_id]
    assert refusal(endpoint.emr.describe_cluster, ClusterId=cluster_id)[0] == "InvalidRequestException"


def test_releases_can_be_asked_for(endpoint):
    labels = endpoint.emr.list_release_labels(Filters={"Prefix": "emr-7", "Application": "Spark@3.5.4"})
    assert labels["ReleaseLabels"] == ["emr-7.8.0"]
    found = endpoint.emr.describe_release_label(ReleaseLabel="emr-7.8.0")
    assert {"Name": "Spark", "Version": "3.5.4"} in found["Applications"]
    assert refusal(endpoint.emr.describe_release_label, ReleaseLabel="emr-0.0.0")[0] == "InvalidRequestException"
