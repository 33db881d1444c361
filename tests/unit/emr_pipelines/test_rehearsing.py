"""Which profiles follow one another when a region is lost, and what a rehearsal tells."""

from __future__ import annotations

import pytest

from emr_pipelines.environments import read_environment
from emr_pipelines.errors import ComputeError
from emr_pipelines.rehearsing import chains_across_regions, outcome

ENVIRONMENT = """\
buckets: {data: a-data, logs: a-logs, artifacts: a-artifacts}
regions:
  us-west-2: {buckets: {artifacts: west-artifacts}}
profiles:
  east: {target: ec2, region: us-east-1, subnet: subnet-1, primary: {type: m5.xlarge}, core: {type: m5.xlarge, count: 2}}
  east-too: {extends: east}
  west: {extends: east, region: us-west-2}
  europe: {extends: east, region: eu-west-1}
  eks: {target: eks, region: us-east-1, eks_cluster: a, namespace: a, execution_role: "arn:aws:iam::123456789012:role/a"}
"""


@pytest.fixture
def environment(tmp_path):
    path = tmp_path / "local.yaml"
    path.write_text(ENVIRONMENT)
    return read_environment(path)


def acquired(*asked, used):
    refused = [{"profile": name, "reason": f"{name} is down"} for name in asked[: asked.index(used)]]
    return {"choice": {"asked": list(asked), "profile": used, "refused": refused}}


def test_every_region_of_a_target_comes_first_once_and_a_target_of_one_region_is_left_out(environment):
    assert chains_across_regions(environment) == [
        ["east", "west", "europe"],
        ["west", "europe", "east"],
        ["europe", "east", "west"],
    ]


def test_a_rehearsal_tells_which_region_was_lost_and_where_the_run_and_its_code_went(environment):
    assert outcome(environment, acquired("east", "west", "europe", used="west")) == {
        "lost": "us-east-1",
        "went_to": "us-west-2",
        "profile": "west",
        "code": "west-artifacts",
        "reason": "east is down",
    }


def test_a_rehearsal_of_a_region_that_answers_fails(environment):
    with pytest.raises(
        ComputeError, match="'east' was acquired in us-east-1, which should be lost: nothing was rehearsed"
    ):
        outcome(environment, acquired("east", "west", used="east"))


def test_a_rehearsal_fails_when_the_code_would_have_been_lost_with_the_region(environment):
    with pytest.raises(
        ComputeError, match=r"code of eu-west-1 lies in bucket 'a-artifacts', as that of us-east-1 does"
    ):
        outcome(environment, acquired("east", "europe", used="europe"))
