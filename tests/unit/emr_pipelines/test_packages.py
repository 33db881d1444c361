"""The packages of a job: what they are made for, where they lie, and how each target gives them to driver and executors."""

from __future__ import annotations

import shlex
from itertools import pairwise
from types import SimpleNamespace

import boto3
import pendulum
import pytest
from airflow.sdk import DAG
from botocore.stub import Stubber
from pydantic import ValidationError

from emr_pipelines import EmrJobOperator, EmrPipeline, SparkJob, artifacts
from emr_pipelines.artifacts import packages_key, pin, read_artifact
from emr_pipelines.environments import current_environment
from emr_pipelines.errors import ComputeError, ConfigurationError
from emr_pipelines.keys import Key, Lease
from emr_pipelines.targets.ec2_profile import Ec2Profile
from emr_pipelines.targets.ec2_steps import step_request
from emr_pipelines.targets.eks_jobs import run_request as eks_request
from emr_pipelines.targets.eks_profile import EksProfile
from emr_pipelines.targets.platforms import Platform, architectures_of
from emr_pipelines.targets.profile import Profile
from emr_pipelines.targets.serverless_jobs import run_request as serverless_request
from emr_pipelines.targets.serverless_profile import ServerlessProfile

COMMON = {"name": "p", "region": "us-east-1", "log_uri": "s3://logs/"}
ROLE = "arn:aws:iam::123456789012:role/jobs"
JOB = SparkJob(script="jobs/clean.py", args=("a",))
LOCK = "jobs/clean.requirements.txt"
CODE = {"jobs/clean.py": "s3://a/clean.py", LOCK: "s3://a/packages/1/packages.tar.gz"}
KEY = Key(Lease("d", "dag", "run", "emr"), "clean", -1, "n")


def ec2(**settings):
    nodes = {} if "cluster" in settings or "primary" in settings else {"primary": {"type": "m5.xlarge"}}
    return Ec2Profile.model_validate({**COMMON, "target": "ec2", "public_subnet": True, **nodes, **settings})


def named(cluster):
    return Ec2Profile.model_validate({**COMMON, "target": "ec2", "cluster": cluster})


def eks(**settings):
    own = {"eks_cluster": "c", "namespace": "n", "execution_role": ROLE}
    return EksProfile.model_validate({**COMMON, "target": "eks", **own, **settings})


def serverless(**settings):
    return ServerlessProfile.model_validate({**COMMON, "target": "serverless", "execution_role": ROLE, **settings})


@pytest.mark.parametrize(
    ("types", "architectures"),
    [
        ("m5.xlarge c5n.4xlarge r5a.large i3.xlarge m7i-flex.large g4dn.xlarge g6e.xlarge p4d.24xlarge", {"X86_64"}),
        (
            "m6g.xlarge c7gn.2xlarge r6gd.large x2gd.medium im4gn.large is4gen.medium i4g.large g5g.xlarge a1.large",
            {"ARM64"},
        ),
        ("m5.xlarge m6g.xlarge", {"X86_64", "ARM64"}),
    ],
)
def test_the_name_of_an_instance_type_says_which_processors_it_has(types, architectures):
    assert architectures_of(types.split()) == architectures


@pytest.mark.parametrize(
    ("profile", "platform"),
    [
        (ec2(), Platform("3.9", "X86_64", "2.34")),
        (ec2(primary={"type": "m7g.xlarge"}, core={"type": "r6gd.xlarge"}), Platform("3.9", "ARM64", "2.34")),
        (ec2(release="emr-7.1.0", python="3.11"), Platform("3.11", "X86_64", "2.34")),
        (ec2(release="emr-6.15.0"), Platform("3.7", "X86_64", "2.26")),
        (serverless(architecture="ARM64"), Platform("3.9", "ARM64", "2.34")),
        (serverless(release="emr-7.0.0"), Platform("3.9", "X86_64", "2.34")),
        (eks(), Platform("3.9", "X86_64", "2.34")),
        (eks(architecture="ARM64", python="3.11"), Platform("3.11", "ARM64", "2.34")),
        (eks(release="emr-6.15.0-20231109"), Platform("3.7", "X86_64", "2.26")),
    ],
)
def test_release_and_processors_of_a_profile_say_what_packages_are_made_for(profile, platform):
    """Amazon EMR Release Guide, "Application versions in Amazon EMR 7.x releases": 7.0.0 has Python 3.9, later ones 3.9 and 3.11."""
    assert profile.platform == platform


@pytest.mark.parametrize(
    ("profile", "why"),
    [
        (named("analytics"), "cluster names one that runs"),
        (ec2(core={"type": "m6g.xlarge"}), "processors of both kinds"),
        (Profile(target="toy", **COMMON), "says no platform for the packages of jobs"),
    ],
)
def test_a_profile_that_cannot_say_says_so(profile, why):
    with pytest.raises(ConfigurationError, match=why):
        _ = profile.platform


@pytest.mark.parametrize("make", [ec2, serverless, eks])
def test_a_python_that_the_release_has_not_is_refused(make):
    suffix = "-latest" if make is eks else ""
    with pytest.raises(ValidationError, match=r"release emr-7\.0\.0\S* has 3\.9: write 3\.9, or change release"):
        make(release=f"emr-7.0.0{suffix}", python="3.11")


def defaults_of(profile):
    found = profile.configurations_of("spark") if isinstance(profile, ServerlessProfile) else profile.all_configurations
    return {
        name: value for one in found if one.classification == "spark-defaults" for name, value in one.properties.items()
    }


@pytest.mark.parametrize("make", [ec2, serverless, eks])
def test_a_python_other_than_the_default_is_what_spark_runs(make):
    assert defaults_of(make(python="3.11"))["spark.pyspark.python"] == "/usr/bin/python3.11"
    assert "spark.pyspark.python" not in defaults_of(make(python="3.9")) | defaults_of(make())


def test_pods_go_to_nodes_with_the_processors_that_the_profile_names():
    selector = "spark.kubernetes.node.selector.kubernetes.io/arch"
    found = [defaults_of(eks(architecture=one)).get(selector) for one in ("ARM64", "X86_64", None)]
    assert found == ["arm64", "amd64", None]


def words_of(profile, job=JOB, code=CODE):
    """spark-submit's words, and its properties by name."""
    if isinstance(profile, Ec2Profile):
        words = step_request(job, code, "n", profile)["HadoopJarStep"]["Args"]
    elif isinstance(profile, EksProfile):
        words = shlex.split(
            eks_request(job, code, KEY, profile)["jobDriver"]["sparkSubmitJobDriver"]["sparkSubmitParameters"]
        )
    else:
        words = shlex.split(
            serverless_request(job, code, KEY, profile)["jobDriver"]["sparkSubmit"]["sparkSubmitParameters"]
        )
    return words, dict(word.split("=", 1) for option, word in pairwise(words) if option == "--conf")


DRIVER = {
    ec2: "spark.yarn.appMasterEnv.PYTHONPATH",
    serverless: "spark.emr-serverless.driverEnv.PYTHONPATH",
    eks: "spark.kubernetes.driverEnv.PYTHONPATH",
}


@pytest.mark.parametrize("make", DRIVER)
def test_driver_and_executors_of_every_target_import_from_the_unpacked_archive(make):
    _, conf = words_of(make())
    names = ("spark.archives", DRIVER[make], "spark.executorEnv.PYTHONPATH")
    assert [conf[name] for name in names] == ["s3://a/packages/1/packages.tar.gz#packages", "./packages", "./packages"]


@pytest.mark.parametrize("make", DRIVER)
def test_a_job_whose_lock_file_was_not_pinned_gets_nothing(make):
    words, _ = words_of(
        make(), SparkJob(script="jobs/clean.py", conf={"spark.x": "y"}), {"jobs/clean.py": "s3://a/clean.py"}
    )
    assert not [word for word in words if "archives" in word or "PYTHONPATH" in word]


@pytest.mark.parametrize("make", DRIVER)
def test_archives_and_paths_that_are_stated_elsewhere_stay(make):
    stated = {"spark.archives": "s3://b/models.zip#models", "spark.executorEnv.PYTHONPATH": "/opt/ours"}
    of_profile = make(configurations=[{"classification": "spark-defaults", "properties": stated}])
    of_job = SparkJob(script="jobs/clean.py", conf=stated)
    for _, conf in (words_of(of_profile), words_of(make(), of_job)):
        assert conf["spark.archives"] == "s3://a/packages/1/packages.tar.gz#packages,s3://b/models.zip#models"
        assert conf["spark.executorEnv.PYTHONPATH"] == "./packages:/opt/ours"


@pytest.mark.parametrize("mode", ["client", "cluster"])
def test_on_a_cluster_a_driver_with_packages_runs_where_yarn_unpacks_them(mode):
    words, _ = words_of(ec2(deploy_mode=mode))
    without, _ = words_of(ec2(deploy_mode=mode), code={"jobs/clean.py": "s3://a/clean.py"})
    assert [found[found.index("--deploy-mode") + 1] for found in (words, without)] == ["cluster", mode]


def test_a_job_template_without_a_place_for_packages_is_told():
    profile = eks(
        job_template={"id": "0123456789abcdefghij", "parameters": {"file": "{entry_point}", "first": "{arguments[0]}"}}
    )
    with pytest.raises(ComputeError, match="no place for the job's variables, settings and files"):
        eks_request(JOB, CODE, KEY, profile)


@pytest.fixture
def include(tmp_path, monkeypatch):
    """An include/ of one environment and one script, without a lock file yet."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs/clean.py").write_text("print()")
    (tmp_path / "compute").mkdir()
    (tmp_path / "compute/dev.yaml").write_text(
        "deployment: dev\nbuckets: {data: d-data, logs: d-logs, artifacts: d-artifacts}\n"
        f"profiles: {{arm: {{target: serverless, region: us-east-1, architecture: ARM64, execution_role: {ROLE}}}}}\n"
    )
    monkeypatch.setenv("EMR_PIPELINES_INCLUDE", str(tmp_path))
    monkeypatch.setenv("EMR_PIPELINES_ENVIRONMENT", "dev")
    return tmp_path


def task_of(job):
    with DAG("d", schedule=None, start_date=pendulum.datetime(2013, 1, 1)), EmrPipeline("emr", targets=["arm"]):
        return EmrJobOperator(task_id="clean", job=job)


def test_a_lock_file_beside_a_script_belongs_to_its_code(include):
    task = task_of(JOB)
    assert task.code_paths() == ["jobs/clean.py"]
    (include / LOCK).write_text("lark==1.3.1\n")
    assert task.code_paths() == ["jobs/clean.py", LOCK]


def test_a_script_that_lies_in_s3_has_no_lock_file(include):
    assert task_of(SparkJob(script="s3://b/clean.py")).code_paths() == []


def test_a_lock_file_that_comes_or_goes_after_its_script_was_pinned_changes_nothing_of_the_run(include):
    task, run = task_of(JOB), SimpleNamespace(environment=None)
    with_packages, without = dict(CODE), {"jobs/clean.py": CODE["jobs/clean.py"]}
    before = task._work(with_packages), task._work(without)
    (include / LOCK).write_text("lark==1.3.1\n")
    assert task._pin_missing(run, None, without) == {}
    assert (task._work(with_packages), task._work(without)) == before
    assert before[0] != before[1]


@pytest.fixture
def s3(monkeypatch):
    client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="local", aws_secret_access_key="local")
    monkeypatch.setattr(artifacts, "s3_of_profile", lambda _: client)
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def test_a_lock_file_is_pinned_as_the_archive_of_its_packages_and_never_uploaded_itself(include, s3):
    (include / LOCK).write_text("lark==1.3.1\n")
    # printf 'lark==1.3.1\n\0003.9\000ARM64\0002.34' | sha256sum
    key = "packages/096709f9134c06fdaa7546bf8302f03a/packages.tar.gz"
    s3.add_response("head_object", {"ContentLength": 1}, {"Bucket": "d-artifacts", "Key": key})
    environment = current_environment()
    assert pin(environment, environment.profile("arm"), [read_artifact(LOCK)]) == {LOCK: f"s3://d-artifacts/{key}"}


def test_an_archive_that_is_not_in_the_bucket_is_told_with_the_command_that_lays_it_there(include, s3):
    (include / LOCK).write_text("lark==1.3.1\n")
    s3.add_client_error("head_object", "404", http_status_code=404)
    environment = current_environment()
    said = (
        r"The packages of jobs/clean\.requirements\.txt for Python 3\.9 on ARM64 \(profile 'arm'\) are not in bucket 'd-artifacts': "
        r"build and upload them with `make deploy ENV=dev`"
    )
    with pytest.raises(ConfigurationError, match=said):
        pin(environment, environment.profile("arm"), [read_artifact(LOCK)])


def test_the_key_of_an_archive_changes_with_the_lock_and_with_each_part_of_the_platform():
    of = Platform("3.9", "ARM64", "2.34")
    keys = [
        packages_key(b"a==1", of),
        packages_key(b"a==2", of),
        packages_key(b"a==1", Platform("3.11", "ARM64", "2.34")),
        packages_key(b"a==1", Platform("3.9", "X86_64", "2.34")),
        packages_key(b"a==1", Platform("3.9", "ARM64", "2.26")),
    ]
    assert len(set(keys)) == 5
