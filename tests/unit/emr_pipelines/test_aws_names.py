"""AWS's names for settings: each member of the requests has its setting's name, or a line that says which setting it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from botocore.session import get_session

from emr_pipelines.targets import profile_model
from emr_pipelines.targets.aws_names import AWS_NAMES, SETTINGS, plain
from emr_pipelines.targets.ec2_fleets import FleetType, InstanceFleet
from emr_pipelines.targets.ec2_instances import InstanceGroup, Volumes
from emr_pipelines.targets.ec2_scaling import ManagedScaling, ScalingRule
from emr_pipelines.targets.ec2_setup import BootstrapAction
from emr_pipelines.targets.kerberos import Kerberos

SHAPES = {
    ("emr", "RunJobFlowInput"): profile_model("ec2"),
    ("emr", "JobFlowInstancesConfig"): profile_model("ec2"),
    ("emr", "InstanceGroupConfig"): InstanceGroup,
    ("emr", "InstanceFleetConfig"): InstanceFleet,
    ("emr", "SpotProvisioningSpecification"): InstanceFleet,
    ("emr", "InstanceTypeConfig"): FleetType,
    ("emr", "EbsBlockDeviceConfig"): Volumes,
    ("emr", "VolumeSpecification"): Volumes,
    ("emr", "ComputeLimits"): ManagedScaling,
    ("emr", "CloudWatchAlarmDefinition"): ScalingRule,
    ("emr", "SimpleScalingPolicyConfiguration"): ScalingRule,
    ("emr", "BootstrapActionConfig"): BootstrapAction,
    ("emr", "ScriptBootstrapActionConfig"): BootstrapAction,
    ("emr", "KerberosAttributes"): Kerberos,
    ("emr-serverless", "CreateApplicationRequest"): profile_model("serverless"),
    ("emr-serverless", "StartJobRunRequest"): profile_model("serverless"),
    ("emr-containers", "CreateVirtualClusterRequest"): profile_model("eks"),
    ("emr-containers", "StartJobRunRequest"): profile_model("eks"),
}
NEITHER = {"name", "type"}
"""Members that the package gives itself, by words too common for a line of their own."""


@pytest.mark.parametrize(("shape", "model"), SHAPES.items(), ids=lambda one: one[1] if isinstance(one, tuple) else "")
def test_each_member_of_a_request_leads_to_a_setting_or_to_none_on_purpose(shape, model):
    service, name = shape
    own = {plain(setting) for setting in model.model_fields}
    members = get_session().get_service_model(service).shape_for(name).members
    assert {one for one in members if plain(one) not in own | SETTINGS.keys() | NEITHER} == set()


def test_the_settings_that_they_lead_to_exist():
    page = (Path(__file__).parents[3] / "docs" / "reference" / "profiles.md").read_text(encoding="utf-8")
    known = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert {step for settings in AWS_NAMES.values() for one in settings for step in one.split(".")} <= known


def test_names_are_in_the_spelling_of_yaml_and_no_two_are_the_same():
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in AWS_NAMES)
    assert len(SETTINGS) == len(AWS_NAMES)
