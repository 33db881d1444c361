"""Environments: what a platform team writes, and what it hears when it errs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import boto3
import pytest
from botocore.session import get_session
from botocore.validate import ParamValidator
from pydantic import TypeAdapter

from emr_pipelines.environments import Reaping, current_environment, environment_files, read_environment
from emr_pipelines.errors import ConfigurationError
from emr_pipelines.keys import Lease
from emr_pipelines.targets import profile_model, target_names
from emr_pipelines.targets.profile import Settings

COMPUTE = Path(__file__).parents[3] / "include" / "compute"
LEASE = Lease("dev", "flights_daily", "manual__2013-01-15T00:00:00+00:00", "emr")

GOOD = """\
deployment: team-a
buckets: {data: a-data, logs: a-logs, artifacts: a-artifacts}
profiles:
  ec2:
    target: ec2
    region: us-east-1
    primary: {type: m5.xlarge}
    subnet: subnet-1
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "dev.yaml"
    path.write_text(text)
    return path


def run_job_flow_errors(request: dict) -> str:
    client = boto3.client("emr", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    shape = client.meta.service_model.operation_model("RunJobFlow").input_shape
    return ParamValidator().validate(request, shape).generate_report()


@pytest.mark.parametrize("path", environment_files(COMPUTE).values(), ids=lambda path: path.stem)
def test_every_profile_of_clusters_that_is_shipped_makes_a_request_that_botocore_accepts(path):
    profiles = [
        profile
        for profile in read_environment(path).profiles.values()
        if profile.target == "ec2" and not profile.cluster
    ]
    assert profiles
    for profile in profiles:
        assert run_job_flow_errors(profile.request(LEASE, frozenset({"spark", "hive"}))) == ""


def models_below(model: type[Settings]) -> list[type[Settings]]:
    below = [one for child in model.__subclasses__() for one in (child, *models_below(child))]
    return [one for one in below if one.__module__.startswith("emr_pipelines.")]


def test_every_default_of_every_setting_is_one_that_could_be_written():
    assert [
        profile_model(target) for target in target_names() if profile_model(target) not in models_below(Settings)
    ] == []
    for model in models_below(Settings):
        for name, field in model.model_fields.items():
            if not field.is_required():
                default = field.get_default(call_default_factory=True)
                taken = TypeAdapter(Annotated[field.annotation, field]).validate_python(default)
                assert taken == default, f"{model.__name__}.{name}"


@pytest.mark.parametrize(
    ("target", "service", "operation"),
    [("eks", "emr-containers", "StartJobRun"), ("serverless", "emr-serverless", "CreateApplication")],
)
def test_a_profile_without_a_release_asks_for_one_that_the_service_takes(target, service, operation):
    release = profile_model(target).model_fields["release"].default
    shape = get_session().get_service_model(service).operation_model(operation).input_shape.members["releaseLabel"]
    assert re.fullmatch(shape.metadata["pattern"], release)
    assert len(release) <= shape.metadata["max"]


def test_the_request_carries_the_lease_and_ends_by_itself(tmp_path):
    profile = read_environment(written(tmp_path, GOOD)).profile("ec2")
    request = profile.request(LEASE, frozenset({"spark"}))
    tags = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
    assert request["Name"].startswith(f"{LEASE.id}-")
    assert tags["emr-pipelines:lease"] == LEASE.id
    assert tags["emr-pipelines:deployment"] == "dev"
    assert request["AutoTerminationPolicy"] == {"IdleTimeout": 1800}
    assert request["LogUri"] == "s3://a-logs/elasticmapreduce/"
    assert request["Instances"]["InstanceGroups"] == [
        {
            "Name": "master",
            "InstanceRole": "MASTER",
            "InstanceType": "m5.xlarge",
            "InstanceCount": 1,
            "Market": "ON_DEMAND",
        }
    ]


def test_an_engine_that_a_job_needs_joins_the_applications(tmp_path):
    profile = read_environment(written(tmp_path, GOOD + "    applications: [Hadoop]\n")).profile("ec2")
    applications = profile.request(LEASE, frozenset({"hive", "spark"}))["Applications"]
    assert applications == [{"Name": "Hadoop"}, {"Name": "Hive"}, {"Name": "Spark"}]


def test_a_profile_inherits_deeply_and_overrides_what_it_names(tmp_path):
    text = (
        GOOD
        + "    core: {type: m5.xlarge, count: 2}\n  large:\n    extends: ec2\n    core: {count: 9}\n    idle_minutes: 5\n"
    )
    large = read_environment(written(tmp_path, text)).profile("large")
    assert (large.core.type, large.core.count, large.idle_minutes) == ("m5.xlarge", 9, 5)
    assert large.name == "large"


SHARED = """\
presets:
  adaptive:
    configurations: [{classification: spark-defaults, properties: {spark.sql.adaptive.enabled: "true"}}]
    idle_minutes: 7
  tagged: {tags: {team: flights}, idle_minutes: 8}
profiles:
  ec2:
    target: ec2
    region: us-east-1
    primary: {type: m5.xlarge}
    core: {type: m5.xlarge, count: 2}
    tags: {layer: shared}
    subnet: subnet-1
  large:
    extends: ec2
    presets: [adaptive, tagged]
    core: {count: 9}
"""

HEIR = """\
extends: defaults
deployment: team-a
buckets: {data: a-data, logs: a-logs, artifacts: a-artifacts}
"""


def shared(tmp_path: Path, heir: str = HEIR, beneath: str = SHARED) -> Path:
    (tmp_path / "defaults.yaml").write_text(beneath)
    return written(tmp_path, heir)


def test_a_file_takes_over_what_the_file_says_that_it_extends(tmp_path):
    environment = read_environment(shared(tmp_path))
    assert list(environment.profiles) == ["ec2", "large"]
    assert environment.profile("large").core.count == 9
    assert environment.profile("ec2").log_uri == "s3://a-logs/elasticmapreduce/"


def test_a_file_overrides_profiles_of_the_file_that_it_extends_and_takes_them_out(tmp_path):
    heir = HEIR + "profiles:\n  ec2: {core: {count: 3}}\n  large: null\n  more: {extends: ec2, idle_minutes: 5}\n"
    environment = read_environment(shared(tmp_path, heir))
    assert {name: (one.core.count, one.idle_minutes) for name, one in environment.profiles.items()} == {
        "ec2": (3, 30),
        "more": (3, 5),
    }


def test_presets_lie_over_what_a_profile_extends_and_beneath_what_it_says_the_later_over_the_earlier(tmp_path):
    profile = read_environment(shared(tmp_path)).profile("large")
    assert (profile.idle_minutes, profile.tags) == (8, {"layer": "shared", "team": "flights"})
    assert [one.classification for one in profile.configurations] == ["spark-defaults"]


SHARED_WRONG = [
    # in the heir and beneath it: what is changed, the file and line that the message names, what it says
    ("extends: defaults", "extends: default", "dev.yaml:1", "there is no file", "there are: defaults"),
    ("deployment: team-a", "preset: {}", "dev.yaml:2", "there is no such setting: 'preset' (did you mean 'presets'?)"),
    ("count: 9", "count: nine", "defaults.yaml:17", "profiles.large.core.count: 'nine' is no whole number: write one"),
    ("idle_minutes: 7", "idle_minute: 7", "defaults.yaml:4", "profiles.large.idle_minute: there is no such setting"),
    ("idle_minutes: 8", "idle_minutes: 0", "defaults.yaml:5", "profiles.large.idle_minutes: 0 is too little"),
    ("[adaptive, tagged]", "[adaptve]", "defaults.yaml:16", "there is no preset 'adaptve' (did you mean 'adaptive'?)"),
    ("[adaptive, tagged]", "adaptive", "defaults.yaml:16", "presets: write a list, such as [adaptive, kryo]"),
    ("idle_minutes: 7", "target: ec2", "defaults.yaml:4", "presets.adaptive: a preset has no target: leave it out"),
    ("presets:\n", "extends: dev\npresets:\n", "dev.yaml:1", "extends: dev.yaml extends itself"),
    (
        "  tagged: {tags: {team: flights}, idle_minutes: 8}",
        "  tagged: 8",
        "defaults.yaml:5",
        "settings are needed here",
    ),
]


@pytest.mark.parametrize(("good", "bad", "place", "says"), [(*wrong[:3], wrong[3:]) for wrong in SHARED_WRONG])
def test_a_mistake_is_named_with_the_file_and_line_in_which_it_was_written(tmp_path, good, bad, place, says):
    path = shared(tmp_path, HEIR.replace(good, bad, 1), SHARED.replace(good, bad, 1))
    with pytest.raises(ConfigurationError) as caught:
        read_environment(path)
    assert str(caught.value).startswith(f"{tmp_path / place}: ")
    assert [words for words in says if words not in str(caught.value)] == []


def test_an_inherited_setting_that_a_heir_replaced_is_named_where_the_heir_wrote_it(tmp_path):
    path = shared(tmp_path, HEIR + "profiles:\n  large:\n    core: {count: 0}\n")
    with pytest.raises(ConfigurationError, match=re.escape(f"{path}:6: profiles.large.core.count: 0 is too little")):
        read_environment(path)


def test_a_region_may_have_buckets_of_its_own_and_keeps_the_others(tmp_path):
    text = GOOD + "  far: {extends: ec2, region: eu-west-1}\nregions:\n  eu-west-1: {buckets: {logs: eu-logs}}\n"
    environment = read_environment(written(tmp_path, text))
    assert environment.buckets_in("us-east-1") == environment.buckets
    assert environment.buckets_in("eu-west-1").model_dump() == {
        "data": "a-data",
        "logs": "eu-logs",
        "artifacts": "a-artifacts",
    }
    assert environment.profile("far").log_uri == "s3://eu-logs/elasticmapreduce/"
    assert environment.profile("ec2").log_uri == "s3://a-logs/elasticmapreduce/"


def test_what_environments_share_and_the_policy_are_no_environments(tmp_path, monkeypatch):
    (tmp_path / "compute").mkdir()
    shared(tmp_path / "compute")
    monkeypatch.setenv("EMR_PIPELINES_INCLUDE", str(tmp_path))
    monkeypatch.setenv("EMR_PIPELINES_ENVIRONMENT", "defaults")
    with pytest.raises(ConfigurationError, match=r"there are: dev$"):
        current_environment()


def test_an_edit_of_the_file_that_is_extended_is_read_again(tmp_path, monkeypatch):
    (tmp_path / "compute").mkdir()
    shared(tmp_path / "compute")
    monkeypatch.setenv("EMR_PIPELINES_INCLUDE", str(tmp_path))
    monkeypatch.setenv("EMR_PIPELINES_ENVIRONMENT", "dev")
    before = current_environment().profile("large").core.count
    (tmp_path / "compute" / "defaults.yaml").write_text(SHARED.replace("count: 9", "count: 11"))
    assert (before, current_environment().profile("large").core.count) == (9, 11)


def test_the_environment_variable_names_the_deployment_over_the_file(tmp_path):
    assert read_environment(written(tmp_path, GOOD), "team-b").deployment == "team-b"


def test_the_reaper_only_tells_unless_the_file_lets_it_end(tmp_path):
    assert read_environment(written(tmp_path, GOOD)).reaper == Reaping(grace_minutes=60, dry_run=True)
    shipped = {path.stem: read_environment(path).reaper.dry_run for path in environment_files(COMPUTE).values()}
    assert shipped == {"dev": True, "local": False, "prod": False, "test": False}


def test_an_edited_file_is_read_again(tmp_path, monkeypatch):
    (tmp_path / "compute").mkdir()
    path = written(tmp_path / "compute", GOOD)
    monkeypatch.setenv("EMR_PIPELINES_INCLUDE", str(tmp_path))
    monkeypatch.setenv("EMR_PIPELINES_ENVIRONMENT", "dev")
    before = current_environment().deployment
    path.write_text(GOOD.replace("team-a", "team-c"))
    assert (before, current_environment().deployment) == ("team-a", "team-c")


WRONG = [
    # what is changed in the good file, the line that the message names, what it says
    ("target: ec2", "target: ec3", 5, "'ec3' is no target (did you mean 'ec2'?)"),
    (
        "region: us-east-1",
        "region: us-east-1\n    overrides: {release: emr-7.1.0}",
        7,
        "there is no such setting: 'overrides'",
    ),
    ("region: us-east-1", "regoin: us-east-1", 6, "there is no such setting (did you mean 'region'?)"),
    ("region: us-east-1", "region: virginia", 6, "profiles.ec2.region"),
    ("type: m5.xlarge", "typ: m5.xlarge", 7, "profiles.ec2.primary"),
    ("type: m5.xlarge", "type: large", 7, "profiles.ec2.primary.type"),
    ("type: m5.xlarge", "type: m5.xlarge, count: 2", 7, "a cluster has 1 primary node, or 3 for high availability"),
    ("data: a-data, ", "", 2, "buckets.data: this setting is missing: add it"),
    ("data: a-data", "data: A_Data", 2, "'A_Data' is no name of an S3 bucket"),
    ("deployment: team-a", "deployment: Team A", 1, "name this Airflow installation"),
    ("deployment: team-a", "deploy: team-a", 1, "there is no such setting: 'deploy' (did you mean 'deployment'?)"),
    ("profiles:", "reaper: {grace_minute: 5}\nprofiles:", 3, "no such setting (did you mean 'grace_minutes'?)"),
    (
        "profiles:",
        "reaper: {grace_minutes: -1}\nprofiles:",
        3,
        "reaper.grace_minutes: -1 is too little: at least 0 is needed",
    ),
    ("profiles:", "reaper:\n  dry_run: perhaps\nprofiles:", 4, "reaper.dry_run: 'perhaps' is neither true nor false"),
    ("profiles:", "reaper: false\nprofiles:", 3, "reaper: settings are needed here, as name: value"),
    ("target: ec2", "extends: other", 5, "there is no profile 'other'"),
    ("target: ec2", "extends: ec2", 4, "extends itself through ec2 -> ec2"),
    ("target: ec2", "target: ec2\n    target: ec2", 6, "'target' stands here a second time"),
    ("target: ec2", "target: [", 7, "not valid YAML"),
]


@pytest.mark.parametrize(("good", "bad", "line", "says"), WRONG, ids=lambda value: str(value)[:40])
def test_a_mistake_is_named_with_its_file_and_line(tmp_path, good, bad, line, says):
    path = written(tmp_path, GOOD.replace(good, bad, 1))
    with pytest.raises(ConfigurationError) as caught:
        read_environment(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert says in str(caught.value)


def test_outside_local_a_deployment_must_have_a_name(tmp_path):
    with pytest.raises(ConfigurationError, match="EMR_PIPELINES_DEPLOYMENT"):
        read_environment(written(tmp_path, GOOD.replace("deployment: team-a\n", "")))


def test_an_unknown_profile_gets_the_names_that_there_are(tmp_path):
    environment = read_environment(written(tmp_path, GOOD))
    with pytest.raises(
        ConfigurationError, match=re.escape("There is no profile 'ec1'") + ".*did you mean 'ec2'.*it has: ec2"
    ):
        environment.profile("ec1")


@pytest.mark.parametrize("name", ["nowhere", "../compute/local", ""])
def test_an_unknown_environment_gets_the_names_that_there_are(monkeypatch, name):
    monkeypatch.setenv("EMR_PIPELINES_INCLUDE", str(COMPUTE.parent))
    monkeypatch.setenv("EMR_PIPELINES_ENVIRONMENT", name)
    with pytest.raises(ConfigurationError, match="there are: dev, local, prod, test"):
        current_environment()
