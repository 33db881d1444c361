"""A platform team's policy: what it forbids is an error where the profile was written."""

from __future__ import annotations

import pytest

from emr_pipelines.choosing import Between, Offer
from emr_pipelines.environments import read_environment
from emr_pipelines.errors import ConfigurationError

PROFILES = """\
deployment: team-a
buckets: {data: a-data, logs: a-logs, artifacts: a-artifacts}
profiles:
  ec2:
    target: ec2
    region: us-east-1
    primary: {type: m5.xlarge}
    core: {type: r5.2xlarge, count: 9}
    subnet: subnet-0123456789abcdef0
    tags: {team: flights}
"""


def read(folder, policy, profiles=PROFILES):
    (folder / "policy.yaml").write_text(policy)
    (folder / "dev.yaml").write_text(profiles)
    (folder / "prod.yaml").write_text(profiles)
    return read_environment(folder / "dev.yaml")


@pytest.mark.parametrize(
    ("rules", "line", "says"),
    [
        ("regions: [eu-west-1, eu-central-1]", 6, "us-east-1 is not allowed: use eu-west-1 or eu-central-1"),
        ("instance_families: [m5, c5]", 4, "instance type r5.2xlarge is not allowed: use one of m5, c5"),
        ("maximum_nodes: 9", 4, "it may have 10 nodes, and at most 9 are allowed: take fewer"),
        ("required_tags: [team, cost-centre]", 10, "tag 'cost-centre' is required: add it to tags"),
        ("forbid: [unencrypted_disks]", 4, "unencrypted_disks is forbidden, and "),
        ("stricter: {dev: {maximum_nodes: 2}}", 4, "it may have 10 nodes, and at most 2 are allowed"),
    ],
)
def test_what_a_policy_forbids_is_an_error_where_it_was_written(tmp_path, rules, line, says):
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, f"environments: [dev]\n{rules}\n")
    assert str(caught.value).startswith(f"{tmp_path / 'dev.yaml'}:{line}: profiles.ec2: {says}")
    assert str(caught.value).endswith(" (policy.yaml)")


@pytest.mark.parametrize(
    "policy",
    [
        "environments: [dev]",
        "environments: [prod]\nregions: [eu-west-1]",
        "environments: [dev, prod]\nstricter: {prod: {maximum_nodes: 1}}",
        "environments: [dev]\nregions: [eu-west-1]\nstricter: {dev: {regions: [us-east-1]}}",
        "environments: [dev]\nregions: [us-east-1]\ninstance_families: [m5, r5]\nmaximum_nodes: 10\nrequired_tags: [team]",
    ],
)
def test_what_a_policy_does_not_forbid_is_allowed(tmp_path, policy):
    assert list(read(tmp_path, policy).profiles) == ["ec2"]


@pytest.mark.parametrize(
    ("policy", "line", "says"),
    [
        ("environments: [dev]\nregion: [eu-west-1]", 2, "region: there is no such setting (did you mean 'regions'?)"),
        ("regions: [eu-west-1]", 1, "environments: this setting is missing: add it"),
        ("environments: []", 1, "environments: "),
        ("environments:\n- dev\n- prd", 3, "prd.yaml (did you mean 'prod'?): nothing would be held against the policy"),
        ("environments: dev", 1, "environments: 'dev' is no list"),
        ("environments: [dev, 1]", 1, "environments.1: 1 is no text"),
        ("environments: [dev]\nstricter: [prod]", 2, "stricter: "),
        ("environments: [dev]\nstricter: {dev: }", 2, "stricter.dev: nothing stands there: write a value"),
        ("environments: [dev]\nforbid: [public]", 2, "forbid.0: 'public' is not possible"),
        (
            "environments: [dev]\nstricter: {prod: {maximum_nodes: 1}}",
            2,
            "stricter.prod: the policy is not about 'prod'",
        ),
        ("environments: [dev]\nstricter: {dev: {nodes: 1}}", 2, "stricter.dev.nodes: there is no such setting"),
        ("environments: [dev]\nmaximum_nodes: 0", 2, "maximum_nodes: 0 is too little: at least 1 is needed"),
    ],
)
def test_a_mistake_in_the_policy_is_named_with_its_line(tmp_path, policy, line, says):
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, policy)
    assert str(caught.value).startswith(f"{tmp_path / 'policy.yaml'}:{line}: ")
    assert says in str(caught.value)


def test_a_policy_that_is_there_and_cannot_be_read_does_not_count_as_none(tmp_path):
    (tmp_path / "dev.yaml").write_text(PROFILES)
    (tmp_path / "policy.yaml").symlink_to(tmp_path / "nowhere.yaml")
    with pytest.raises(ConfigurationError, match=r"policy\.yaml cannot be read: No such file"):
        read_environment(tmp_path / "dev.yaml")


def test_a_value_that_may_be_chosen_when_a_run_is_triggered_keeps_to_the_policy(tmp_path):
    scaled = PROFILES.replace("count: 9}", "count: 2}\n    managed_scaling: {minimum: 1, maximum: 9}")
    environment = read(tmp_path, "environments: [dev]\nmaximum_nodes: 10\n", profiles=scaled)
    Offer.of(["ec2"], {"maximum_workers": Between(1, 9)}).check(environment)
    said = r"overrides= would set maximum_workers to 40 in profile 'ec2', and policy\.yaml does not allow it: it may have 41"
    with pytest.raises(ConfigurationError, match=said):
        Offer.of(["ec2"], {"maximum_workers": Between(1, 40)}).check(environment)


@pytest.mark.parametrize(
    "profile",
    [
        "{target: ec2, region: us-east-1, cluster: analytics}",
        "{target: ec2, region: us-east-1, subnet: subnet-1, primary: {type: m5.xlarge}, security_configuration: theirs}",
    ],
)
def test_what_is_only_named_can_be_forbidden(tmp_path, profile):
    profiles = PROFILES.partition("  ec2:")[0] + f"  named: {profile}\n"
    assert list(read(tmp_path, "environments: [dev]\n", profiles).profiles) == ["named"]
    with pytest.raises(
        ConfigurationError, match=r"dev.yaml:4: .*unknown_security is forbidden, and .* is not known here"
    ):
        read(tmp_path, "environments: [dev]\nforbid: [unknown_security]\n", profiles)
