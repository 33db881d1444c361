"""What a profile names in AWS is told by the types of its settings, and for every kind there is a check."""

from __future__ import annotations

from typing import get_args

from emr_deploy.checks import EACH, TOGETHER
from emr_pipelines.targets import profile_model
from emr_pipelines.targets.names import Kind

ROLE = "arn:aws:iam::123456789012:role/jobs"
KEY = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:password"
COMMON = {"name": "p", "region": "us-east-1", "log_uri": "s3://logs/emr/"}


def named(target, **settings):
    profile = profile_model(target)(target=target, **COMMON, **settings)
    return {(one.kind, one.name, one.setting, one.of) for one in profile.named}


def test_a_cluster_for_a_run_names_what_it_is_made_of():
    assert named(
        "ec2",
        subnet="subnet-1",
        primary={"type": "m5.xlarge"},
        core={"type": "r5.xlarge", "custom_ami": "ami-1"},
        applications=["Spark"],
        key_pair="pair",
        additional_core_security_groups=["sg-1", "sg-2"],
        bootstrap_actions=[{"name": "a", "script": "s3://scripts/a.sh"}],
        setup_steps=[{"name": "b", "jar": "/usr/lib/b.jar"}],
        security={"disks": {"key": KEY}, "kerberos": {"realm": "A.B", "admin_password": {"secret": "kdc"}}},
    ) == {
        ("folder", "s3://logs/emr/", "log_uri", ""),
        ("release", "emr-7.9.0", "release", ""),
        ("application", "Spark", "applications", "emr-7.9.0"),
        ("subnet", "subnet-1", "subnet", "private"),
        ("instance_type", "m5.xlarge", "primary", "subnet-1"),
        ("instance_type", "r5.xlarge", "core", "subnet-1"),
        ("ami", "ami-1", "core.custom_ami", ""),
        ("key_pair", "pair", "key_pair", ""),
        ("security_group", "sg-1", "additional_core_security_groups", "subnet-1"),
        ("security_group", "sg-2", "additional_core_security_groups", "subnet-1"),
        ("role", "EMR_DefaultRole", "service_role", "elasticmapreduce.amazonaws.com"),
        ("instance_profile", "EMR_EC2_DefaultRole", "instance_profile", "ec2.amazonaws.com"),
        ("object", "s3://scripts/a.sh", "bootstrap_actions.script", ""),
        ("object", "/usr/lib/b.jar", "setup_steps.jar", ""),
        ("kms_key", KEY, "security.disks.key", ""),
        ("secret", "kdc", "security.kerberos.admin_password.secret", ""),
    }


def test_a_cluster_that_is_only_named_needs_nothing_of_what_shapes_one():
    assert named("ec2", cluster="analytics", execution_role=ROLE) == {
        ("cluster", "analytics", "cluster", ""),
        ("folder", "s3://logs/emr/", "log_uri", ""),
        ("role", ROLE, "execution_role", ""),
    }


def test_a_subnet_that_may_be_public_needs_not_be_private():
    names = named("ec2", subnet="subnet-1", public_subnet=True, primary={"type": "m5.xlarge"})
    assert ("subnet", "subnet-1", "subnet", "") in names


def test_job_runs_on_eks_name_cluster_namespace_and_role():
    settings = {"eks_cluster": "analytics", "namespace": "emr", "execution_role": ROLE}
    whole = {
        ("folder", "s3://logs/emr/", "log_uri", ""),
        ("eks_release", "emr-7.9.0-latest", "release", ""),
        ("eks_cluster", "analytics", "eks_cluster", ""),
        ("eks_role", ROLE, "execution_role", ""),
    }
    assert named("eks", **settings) == whole | {("namespace", "emr", "namespace", "analytics")}
    assert named("eks", **settings, virtual_cluster="abc") == whole | {
        ("virtual_cluster", "abc", "virtual_cluster", "")
    }


def test_applications_of_serverless_name_network_keys_and_image():
    image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/jobs:1.0"
    assert named(
        "serverless",
        execution_role=ROLE,
        image=image,
        network={"subnets": ["subnet-1"], "security_groups": ["sg-1"]},
        encryption={"disks": KEY},
        hive={"database": {"url": "jdbc:mysql://db:3306/hive", "user": "hive", "password_secret": SECRET}},
    ) == {
        ("folder", "s3://logs/emr/", "log_uri", ""),
        ("serverless_release", "emr-7.9.0", "release", ""),
        ("role", ROLE, "execution_role", "emr-serverless.amazonaws.com"),
        ("image", image, "image", ""),
        ("subnet", "subnet-1", "network.subnets", ""),
        ("security_group", "sg-1", "network.security_groups", ""),
        ("kms_key", KEY, "encryption.disks", ""),
        ("secret", SECRET, "hive.database.password_secret", ""),
    }


def test_for_every_kind_of_names_there_is_one_check():
    assert set(EACH) & set(TOGETHER) == set()
    beside = {"bucket", "queue", "database"}
    assert (set(EACH) | set(TOGETHER)) - beside == set(get_args(Kind)) - {"folder"}
