"""The templates, and the order in which an environment's stacks are made of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cfnlint.api import lint

from emr_deploy.templates import LARGEST, Template, read_stacks, read_template
from emr_pipelines.environments import read_environment
from emr_pipelines.errors import ConfigurationError
from tests.support.endpoint import ROOT

INFRA = ROOT / "include" / "infra"
TEMPLATES = sorted(INFRA.glob("*.yaml"))
ENVIRONMENTS = ["dev", "test", "prod"]


def environment(name):
    return read_environment(ROOT / "include" / "compute" / f"{name}.yaml")


@pytest.fixture
def folder(tmp_path):
    """A copy of include/infra, whose parameters of dev a test may write."""
    copied = tmp_path / "infra"
    shutil.copytree(INFRA, copied)
    return copied


def stacks_of(folder: Path, parameters: str):
    (folder / "parameters" / "dev.yaml").write_text(parameters)
    return {stack.key: stack for stack in read_stacks(environment("dev"), folder)}


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_a_template_is_what_cloudformation_takes_in_the_regions_of_the_policy(path):
    found = lint(path.read_text(), regions=["us-east-1", "us-west-2", "eu-west-1"])
    assert [str(one) for one in found if one.rule.severity != "informational"] == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_a_template_fits_into_a_request_with_room_to_spare(path):
    assert len(path.read_bytes()) < 51_200


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_stack_stands_behind_those_whose_outputs_it_is_given(name):
    made = []
    for stack in read_stacks(environment(name), INFRA):
        assert set(stack.wanted.values()) - set(made) == set()
        made.append(stack.key)
    assert len(made) == len(set(made)) >= 4


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_region_of_an_environment_with_buckets_of_its_own_has_its_storage(name):
    estate = environment(name)
    stacks = {stack.key: stack for stack in read_stacks(estate, INFRA)}
    for region, buckets in estate.regions.items():
        values = stacks[region, "storage"].values({})
        assert (values["LogsBucket"], values["ArtifactsBucket"]) == (buckets.logs, buckets.artifacts)
        assert values["DataBucket"] == ""


def test_a_parameter_has_what_the_file_says_then_an_output_then_what_the_environment_says(folder):
    stacks = stacks_of(
        folder, "us-east-1: {storage: {}, audit: {DataBucket: written-here, AuditDays: 90}, vpc: {}, endpoints: {}}"
    )
    audit = stacks["us-east-1", "audit"]
    assert audit.values({("us-east-1", "storage"): {"ArtifactsBucket": "told", "KeyArn": "arn:key"}}) == {
        "Deployment": "dev",
        "DataBucket": "written-here",
        "ArtifactsBucket": "told",
        "KeyArn": "arn:key",
        "AuditDays": "90",
    }
    assert audit.values({})["ArtifactsBucket"] == "example-emr-pipelines-dev-artifacts"
    assert "KeyArn" not in audit.values({})


def test_an_output_of_another_region_is_given_only_where_that_is_written(folder):
    replica = "us-west-2: {replica: {ReplicaBucket: b}}"
    silent = stacks_of(folder, f"us-east-1: {{storage: {{}}}}\n{replica}")
    assert silent["us-east-1", "storage"].wanted == {}
    said = stacks_of(folder, f"us-east-1: {{storage: {{ReplicaBucketArn: {{from: us-west-2}}}}}}\n{replica}")
    assert said["us-east-1", "storage"].wanted == {"ReplicaBucketArn": ("us-west-2", "replica")}


def test_a_list_is_given_as_cloudformation_takes_lists(folder):
    endpoints = "{VpcId: vpc-1, VpcCidr: 10.0.0.0/16, PrivateSubnets: [subnet-1, subnet-2], RouteTables: [rtb-1]}"
    stacks = stacks_of(folder, f"us-east-1: {{endpoints: {endpoints}}}")
    assert stacks["us-east-1", "endpoints"].given["PrivateSubnets"] == "subnet-1,subnet-2"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("us-east: {storage: {}}", "dev.yaml:1: 'us-east' is no region: write such as us-east-1"),
        (
            "us-east-1:\n  storages: {}",
            "dev.yaml:2: there is no template 'storages' (did you mean 'storage'?); there are: ",
        ),
        (
            "us-east-1:\n  storage: {LogsDays: 3}",
            "dev.yaml:2: template 'storage' has no parameter 'LogsDays' (did you mean 'LogDays'?); it has: ",
        ),
        (
            "us-east-1:\n  endpoints: {}",
            "dev.yaml:2: 'endpoints' needs a value for VpcId: give it one here, or have the stack vpc in its region",
        ),
        (
            "us-east-1:\n  storage: {ReplicaKeyArn: {from: us-west-2}}",
            "dev.yaml:2: ReplicaKeyArn is a value, or {from: <region>} of a region in this file where one stack has that output",
        ),
        (
            "us-east-1:\n  storage: {Encryption: true}",
            "dev.yaml:2: Encryption is neither a text, a number nor a list: put it in quotes",
        ),
    ],
)
def test_a_mistake_is_told_with_its_line_and_cure(parameters, message, folder):
    with pytest.raises(ConfigurationError) as told:
        stacks_of(folder, parameters)
    assert message in str(told.value)


def test_an_output_that_two_stacks_have_must_be_written(folder):
    (folder / "second.yaml").write_text(
        "Resources: {T: {Type: AWS::SNS::Topic}}\nOutputs: {QueueUrl: {Value: x}, VpcId: {Value: y}}"
    )
    with pytest.raises(
        ConfigurationError, match="VpcId of 'endpoints' is an output of vpc and second: give it a value here"
    ):
        stacks_of(folder, "us-east-1: {vpc: {}, second: {}, endpoints: {}}")


def test_stacks_that_want_each_others_outputs_are_refused(folder):
    for name, other in (("a", "b"), ("b", "a")):
        (folder / f"{name}.yaml").write_text(
            f"Parameters: {{{other}: {{Type: String}}}}\nResources: {{T: {{Type: AWS::SNS::Topic}}}}\n"
            f"Outputs: {{{name}: {{Value: x}}}}"
        )
    with pytest.raises(
        ConfigurationError, match=r"each of these stacks wants an output of the next: [ab] -> [ab] -> [ab]"
    ):
        stacks_of(folder, "us-east-1: {a: {}, b: {}}")


def test_an_environment_without_a_file_of_stacks_is_told_which_there_are(folder):
    (folder / "parameters" / "dev.yaml").unlink()
    with pytest.raises(
        ConfigurationError, match=r"which stacks environment 'dev' has: write .*dev.yaml; there are: prod, test"
    ):
        read_stacks(environment("dev"), folder)


@pytest.mark.parametrize("text", ["", "[]", "Resources: [", "Outputs: 3"])
def test_what_is_no_template_is_told(text, tmp_path):
    (tmp_path / "odd.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match=r"odd.yaml is no template of CloudFormation"):
        read_template(tmp_path / "odd.yaml")


def test_a_template_that_is_too_large_is_refused_before_aws_does(tmp_path):
    (tmp_path / "large.yaml").write_text("Resources: {}\n#" + "x" * LARGEST)
    with pytest.raises(ConfigurationError, match=r"large.yaml has more than 51200 bytes"):
        read_template(tmp_path / "large.yaml")


def test_a_template_is_read_with_its_functions(tmp_path):
    (tmp_path / "small.yaml").write_text(
        'Parameters: {A: {Type: String}, B: {Type: String, Default: ""}}\n'
        "Resources: {T: {Type: AWS::SNS::Topic, Properties: {TopicName: !Join ['', [!Ref A, !If [x, {a: !GetAtt b.c}, d]]]}}}\n"
        "Outputs: {TopicArn: {Value: !Ref T}}\n"
    )
    body = (tmp_path / "small.yaml").read_text()
    assert read_template(tmp_path / "small.yaml") == Template(
        "small", body, {"A": False, "B": True}, frozenset({"TopicArn"})
    )
