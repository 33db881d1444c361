"""What a run may choose, and what it may not."""

from __future__ import annotations

import jsonschema
import pytest

from emr_pipelines import Between, OneOf
from emr_pipelines.choosing import Choice, Offer, override, why
from emr_pipelines.environments import read_environment
from emr_pipelines.errors import ConfigurationError

ENVIRONMENT = """\
buckets: {data: a-data, logs: a-logs, artifacts: a-artifacts}
profiles:
  small:
    target: ec2
    region: us-east-1
    description: for one day
    subnet: subnet-1
    primary: {type: m5.xlarge}
    core: {type: m5.xlarge, count: 2}
  scaled:
    extends: small
    description: ""
    region: eu-west-1
    task: {type: m5.xlarge, count: 4}
    managed_scaling: {minimum: 2, maximum: 10, maximum_core: 4}
"""


@pytest.fixture
def environment(tmp_path):
    path = tmp_path / "local.yaml"
    path.write_text(ENVIRONMENT)
    return read_environment(path)


def offer(*targets, **overrides):
    return Offer.of(targets, overrides)


def test_every_profile_is_offered_once_in_the_order_of_its_first_mention():
    assert offer("a", ["b", "a"], "c").profiles == ("a", "b", "c")


@pytest.mark.parametrize("targets", [(), ("a", "a"), (["a", "a"],), ([],), (["a", "b"], ["a", "b"])])
def test_targets_that_are_not_different_are_refused(targets):
    with pytest.raises(ConfigurationError, match="targets="):
        offer(*targets)


def test_the_form_shows_what_a_profile_is_for_and_in_which_order_profiles_are_tried(environment):
    assert offer("small", "scaled", ["scaled", "small"]).labels(environment) == {
        "small": "small: for one day",
        "scaled": "scaled: EMR on EC2 in eu-west-1",
        "scaled,small": "scaled, then small",
    }


@pytest.mark.parametrize(
    ("params", "conf", "expected"),
    [
        ({"target": "a"}, None, Choice(("a",), given=False)),
        ({"target": "a"}, {}, Choice(("a",), given=False)),
        ({"target": "a"}, {"target": "a"}, Choice(("a",), given=True)),
        ({"target": "b,a"}, {"target": "b,a"}, Choice(("b", "a"), given=True)),
        (
            {"target": "a", "maximum_workers": 7},
            {"maximum_workers": 7},
            Choice(("a",), {"maximum_workers": 7}, given=False),
        ),
        ({"target": "a", "maximum_workers": None, "idle_minutes": 5}, {}, Choice(("a",), given=False)),
    ],
    ids=["default", "an empty configuration", "asked for", "in turn", "an override", "nothing that is not offered"],
)
def test_a_runs_choice_is_read_from_its_parameters(params, conf, expected):
    assert offer("a", ["b", "a"], maximum_workers=Between(1, 100)).choice(params, conf) == expected


def test_a_target_that_is_not_offered_is_refused_with_those_that_are():
    with pytest.raises(ConfigurationError) as caught:
        offer("a", ["b", "a"]).choice({"target": "c"}, {"target": "c"})
    assert (
        str(caught.value) == "The run asks for target 'c', and this DAG offers: a; b,a. Trigger it with one of these."
    )


@pytest.mark.parametrize(
    ("value", "valid"), [(None, True), (1, True), (100, True), (0, False), (101, False), ("9", False)]
)
def test_a_form_takes_whole_numbers_within_the_bounds_or_nothing(value, valid):
    assert jsonschema.Draft202012Validator(Between(1, 100).schema()).is_valid(value) is valid


@pytest.mark.parametrize(("value", "valid"), [(None, True), ("emr-7.9.0", True), ("emr-7.8.0", False)])
def test_a_form_takes_one_of_the_texts_or_nothing(value, valid):
    assert jsonschema.Draft202012Validator(OneOf("emr-7.9.0").schema()).is_valid(value) is valid


def test_bounds_that_a_profile_does_not_take_are_refused_when_the_dag_is_parsed(environment):
    with pytest.raises(
        ConfigurationError, match=r"cannot set 'maximum_workers' to 0 in profile 'small' \(target 'ec2'\)"
    ):
        offer("small", maximum_workers=Between(0, 5)).check(environment)


def test_a_setting_that_a_profile_does_not_have_is_refused(environment):
    with pytest.raises(ConfigurationError, match=r"cannot set 'workers' to 1 in profile 'small'.*no such setting"):
        offer("small", workers=Between(1, 5)).check(environment)


@pytest.mark.parametrize(
    "setting",
    [
        *("connection", "region", "name", "tags", "log_uri", "owner", "max_concurrent"),
        *("security", "security_configuration", "public_subnet", "encryption"),
    ],
)
def test_no_form_changes_whose_and_where_compute_is_or_how_strict(environment, setting):
    with pytest.raises(ConfigurationError, match=f"may not change '{setting}'"):
        override(environment.profile("small"), {setting: "x"})


@pytest.mark.parametrize(
    ("profile", "workers", "expected"),
    [
        ("small", 1, (1, None, None)),
        ("small", 2, (2, None, None)),
        ("small", 50, (2, None, None)),
        ("scaled", 1, (1, None, (1, 1, 1))),
        ("scaled", 3, (2, 1, (2, 3, 3))),
        ("scaled", 50, (2, 4, (2, 50, 4))),
    ],
)
def test_an_override_of_the_workers_bounds_every_instance_beside_the_primary(
    environment, lease, profile, workers, expected
):
    request = override(environment.profile(profile), {"maximum_workers": workers}).request(lease, frozenset({"spark"}))
    counts = {group["InstanceRole"]: group["InstanceCount"] for group in request["Instances"]["InstanceGroups"]}
    limits = request.get("ManagedScalingPolicy", {}).get("ComputeLimits")
    bounds = limits and tuple(limits[f"{name}CapacityUnits"] for name in ("Minimum", "Maximum", "MaximumCore"))
    assert (counts.get("CORE"), counts.get("TASK"), bounds) == expected


@pytest.fixture
def lease():
    from emr_pipelines.keys import Lease

    return Lease("local", "dag", "run", "emr")


def test_an_overridden_profile_remembers_what_was_overridden(environment):
    profile = environment.profile("small")
    assert override(profile, {"maximum_workers": 3}).overrides == {"maximum_workers": 3}
    assert override(profile, {}) == profile


@pytest.mark.parametrize(
    ("choice", "refused", "expected"),
    [
        (Choice(("a",), given=False), [], ["The run was given no target and uses the DAG's default, a.", "Used: b"]),
        (
            Choice(("a", "b"), {"maximum_workers": 3}),
            [{"profile": "a", "reason": "no capacity"}],
            [
                "The run was given target a, then b; instead of the profile's own, maximum_workers is 3.",
                "Not a: no capacity",
                "Used: b",
            ],
        ),
    ],
)
def test_why_compute_is_used_is_told_with_who_asked_and_what_others_lacked(choice, refused, expected):
    assert why(choice, "b", refused).splitlines() == expected


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Between(5, 1), r"Between\(5, 1\) holds no number"),
        (OneOf, r"OneOf\(\) holds no text"),
        (lambda: offer("a", maximum_workers=5), r"'maximum_workers' by Between\(...\) or OneOf\(...\), and it is 5"),
    ],
)
def test_bounds_that_hold_nothing_are_refused(make, says):
    with pytest.raises(ConfigurationError, match=says):
        make()
