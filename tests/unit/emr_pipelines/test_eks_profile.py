"""Profiles of EMR on EKS, the requests that they mean, and what the service's states mean."""

from __future__ import annotations

import datetime as dt
import shlex
from pathlib import Path

import pytest
from botocore.session import get_session
from botocore.validate import ParamValidator
from pydantic import ValidationError

from emr_pipelines import HiveJob, SparkJob, SparkSqlJob
from emr_pipelines.environments import environment_files, read_environment
from emr_pipelines.errors import ComputeError
from emr_pipelines.keys import LONGEST_NAME, Key, Lease
from emr_pipelines.targets.eks_jobs import FAULTS, PHASES, RUN_STATES, cluster_state, job_state, run_request, usage_of
from emr_pipelines.targets.eks_profile import EksProfile
from emr_pipelines.targets.states import Fault, Phase, RunState

COMPUTE = Path(__file__).parents[3] / "include" / "compute"
MODEL = get_session().get_service_model("emr-containers")
LEASE = Lease("dev", "flights_daily", "manual__2013-01-15T00:00:00+00:00", "emr")
KEY = Key(LEASE, "emr.clean", -1, "nonce")
ROLE = "arn:aws:iam::123456789012:role/jobs"
CODE = {"jobs/a.py": "s3://code/a.py", "jobs/spark_sql.py": "s3://code/spark_sql.py", "hive/q.hql": "s3://code/q.hql"}
WHEN = dt.datetime(2013, 1, 15, tzinfo=dt.UTC)


def profile(**settings) -> EksProfile:
    given = {"name": "eks", "region": "us-east-1", "log_uri": "s3://logs/emr/", "execution_role": ROLE}
    where = {"eks_cluster": "analytics", "namespace": "emr"}
    return EksProfile(target="eks", **given | where | settings)


def errors_of(operation: str, request: dict) -> str:
    return ParamValidator().validate(request, MODEL.operation_model(operation).input_shape).generate_report()


def finding(**settings) -> str:
    with pytest.raises(ValidationError) as raised:
        profile(**settings)
    (one,) = raised.value.errors()
    return f"{'.'.join(map(str, one['loc']))}: {one['msg']}"


EVERYTHING = {
    "virtual_cluster": None,
    "driver": {"cores": 2, "memory": 4, "template": "s3://config/driver.yaml"},
    "executor": {"cores": 4, "memory": 8, "count": 3, "template": "/opt/executor.yaml"},
    "maximum_workers": 2,
    "configurations": [
        {
            "classification": "spark-defaults",
            "properties": {"spark.a": "1"},
            "configurations": [{"classification": "inner"}],
        }
    ],
    "persistent_ui": False,
    "cloudwatch": {"log_group": "/emr/dev", "log_stream_prefix": "flights"},
    "log_rotation": {"size": "10MB", "files": 3},
    "attempts": 2,
    "max_concurrent_jobs": 5,
    "max_queued_jobs": 50,
    "tags": {"team": "data"},
}
JOBS = {
    "spark": SparkJob(script="jobs/a.py", args=("a b", "it's"), conf={"spark.x": 'say "hi" now'}),
    "spark_sql": SparkSqlJob(script="hive/q.hql", variables={"quoted": "it's; so"}),
    "hive": HiveJob(script="hive/q.hql", variables={"quoted": "it's; so"}, conf={"hive.x": "1"}, spark_sql=True),
}


@pytest.mark.parametrize("path", environment_files(COMPUTE).values(), ids=lambda path: path.stem)
def test_every_profile_that_is_shipped_makes_a_request_that_botocore_accepts(path):
    profiles = [one for one in read_environment(path).profiles.values() if one.target == "eks"]
    assert profiles
    for one in profiles:
        assert errors_of("CreateVirtualCluster", {"clientToken": "t", **one.request(LEASE)}) == ""


def test_a_virtual_cluster_is_the_deployments_in_its_namespace():
    request = profile(**EVERYTHING).request(LEASE)
    assert errors_of("CreateVirtualCluster", {"clientToken": "t", **request}) == ""
    assert request["name"] == "dev-eks"
    assert request["containerProvider"] == {
        "type": "EKS",
        "id": "analytics",
        "info": {"eksInfo": {"namespace": "emr"}},
    }
    assert request["schedulerConfiguration"] == {"maxConcurrentJobRuns": 5, "maxInQueueJobRuns": 50}
    assert request["tags"] == {
        "team": "data",
        "emr-pipelines:deployment": "dev",
        "emr-pipelines:profile": "eks",
    }


@pytest.mark.parametrize("settings", [{}, EVERYTHING], ids=["defaults", "everything"])
@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
def test_every_job_makes_a_request_that_botocore_accepts(job, settings):
    request = run_request(job, CODE, KEY, profile(**settings))
    assert errors_of("StartJobRun", {"virtualClusterId": "abc", **request}) == ""
    assert (request["clientToken"], request["name"]) == (KEY.id, KEY.name)
    assert request["tags"]["emr-pipelines:task"] == "emr.clean"
    assert request["releaseLabel"] == "emr-7.9.0-latest"


def test_every_setting_of_a_job_run_has_its_place():
    request = run_request(JOBS["spark"], CODE, KEY, profile(**EVERYTHING))
    assert request["configurationOverrides"] == {
        "applicationConfiguration": [
            {
                "classification": "spark-defaults",
                "properties": {"spark.a": "1"},
                "configurations": [{"classification": "inner", "properties": {}}],
            }
        ],
        "monitoringConfiguration": {
            "persistentAppUI": "DISABLED",
            "s3MonitoringConfiguration": {"logUri": "s3://logs/emr/"},
            "cloudWatchMonitoringConfiguration": {"logGroupName": "/emr/dev", "logStreamNamePrefix": "flights"},
            "containerLogRotationConfiguration": {"rotationSize": "10MB", "maxFilesToKeep": 3},
        },
    }
    assert request["retryPolicyConfiguration"] == {"maxAttempts": 2}
    words = shlex.split(request["jobDriver"]["sparkSubmitJobDriver"]["sparkSubmitParameters"])
    assert words[0::2] == ["--conf"] * (len(words) // 2)
    assert dict(word.split("=", 1) for word in words[1::2]) == {
        "spark.driver.cores": "2",
        "spark.driver.memory": "4g",
        "spark.kubernetes.driver.podTemplateFile": "s3://config/driver.yaml",
        "spark.executor.cores": "4",
        "spark.executor.memory": "8g",
        "spark.kubernetes.executor.podTemplateFile": "/opt/executor.yaml",
        "spark.executor.instances": "2",
        "spark.dynamicAllocation.enabled": "true",
        "spark.dynamicAllocation.shuffleTracking.enabled": "true",
        "spark.dynamicAllocation.maxExecutors": "2",
        "spark.x": 'say "hi" now',
    }


@pytest.mark.parametrize("name", ["spark_sql", "hive"])
def test_sql_runs_as_spark_sql_with_its_variables(name):
    driver = run_request(JOBS[name], CODE, KEY, profile())["jobDriver"]["sparkSqlJobDriver"]
    words = shlex.split(driver["sparkSqlParameters"])
    assert driver["entryPoint"] == "s3://code/q.hql"
    assert words[words.index("quoted=it's; so") - 1] == "--hivevar"
    assert ("spark.hadoop.hive.x=1" in words) == (name == "hive")


TEMPLATE = {
    "id": "abc",
    "parameters": {
        "EntryPoint": "{entry_point}",
        "Date": "{arguments[0]}",
        "Words": "{spark_parameters}",
        "Team": "data",
    },
}


def test_a_job_template_is_the_request_and_the_job_fills_it_in():
    job = SparkJob(script="jobs/a.py", args=("2013-01-15",))
    request = run_request(job, CODE, KEY, profile(job_template=TEMPLATE))
    assert errors_of("StartJobRun", {"virtualClusterId": "abc", **request}) == ""
    assert request["jobTemplateId"] == "abc"
    parameters = request["jobTemplateParameters"]
    assert (parameters["EntryPoint"], parameters["Date"], parameters["Team"]) == (
        "s3://code/a.py",
        "2013-01-15",
        "data",
    )
    assert "spark.driver.cores=1" in shlex.split(parameters["Words"])
    assert "jobDriver" not in request


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("a", "b"), "has no place for argument 1 of the job, 'b'"),
        ((), "names something that the job has not .*: it has 0 arguments"),
    ],
)
def test_a_job_that_does_not_fit_its_template_is_not_started(args, said):
    with pytest.raises(ComputeError, match=said):
        run_request(SparkJob(script="jobs/a.py", args=args), CODE, KEY, profile(job_template=TEMPLATE))


UNSIZED = {**TEMPLATE, "parameters": {"EntryPoint": "{entry_point}"}}


@pytest.mark.parametrize(
    "job",
    [
        SparkJob(script="jobs/a.py", conf={"spark.x": "1"}),
        SparkJob(script="jobs/a.py", py_files=("jobs/a.py",)),
        SparkSqlJob(script="hive/q.hql", variables={"dt": "2013-01-15"}),
        HiveJob(script="hive/q.hql", conf={"hive.x": "1"}, spark_sql=True),
    ],
    ids=["conf", "files", "variables", "settings of Hive"],
)
def test_a_job_template_must_have_a_place_for_what_a_job_tells_spark(job):
    with pytest.raises(ComputeError, match=r"no place for the job's variables.*'\{spark_parameters\}'\. Nothing was"):
        run_request(job, CODE, KEY, profile(job_template=UNSIZED))
    assert "jobTemplateParameters" in run_request(
        job,
        CODE,
        KEY,
        profile(job_template={"id": "abc", "parameters": {"A": "{entry_point}", "B": "{spark_parameters}"}}),
    )


def test_the_profiles_own_sizes_may_be_the_job_templates_to_say():
    request = run_request(SparkJob(script="jobs/a.py"), CODE, KEY, profile(job_template=UNSIZED, maximum_workers=2))
    assert request["jobTemplateParameters"] == {"EntryPoint": "s3://code/a.py"}


def test_an_override_that_a_job_template_would_drop_is_refused():
    with pytest.raises(ValidationError, match="maximum_workers would have no effect, as the job template says it"):
        profile(job_template=UNSIZED).overridden({"maximum_workers": 3})
    with pytest.raises(ValidationError, match="release would have no effect, as the job template says it"):
        profile(job_template=TEMPLATE).overridden({"release": "emr-7.1.0-latest"})
    changed = profile(job_template=TEMPLATE).overridden({"maximum_workers": 3, "attempts": 2})
    assert (changed.maximum_workers, changed.attempts) == (3, 2)


def test_an_empty_argument_is_refused_with_its_cure():
    with pytest.raises(ComputeError, match="takes no empty argument, and args= has one: give it another value"):
        run_request(SparkJob(script="jobs/a.py", args=("a", "")), CODE, KEY, profile())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"max_concurrent": 2},
            ": Value error, max_concurrent counts compute made for runs, and a virtual cluster is shared: use max_concurrent_jobs",
        ),
        (
            {"execution_role": "jobs"},
            "execution_role: Value error, 'jobs' is no ARN of a role: write arn:aws:iam::<account of 12 digits>:role/<name>",
        ),
        (
            {"job_template": {"id": "abc", "parameters": {"A": "{entry}", "B": "{entry_point}"}}},
            "job_template.parameters: Value error, there is no {entry}: a value may name arguments, entry_point, spark_parameters",
        ),
        (
            {"job_template": {"id": "abc", "parameters": {"A": "x"}}},
            "job_template.parameters: Value error, one of them must be '{entry_point}': without it every job would run the same file",
        ),
        ({"name": "p" * 33}, ": Value error, a profile of target eks has a name of at most 32 characters"),
    ],
    ids=["max_concurrent", "role", "unknown field", "no entry point", "long name"],
)
def test_what_cannot_work_is_said_with_its_cure(settings, said):
    assert finding(**settings) == said


def test_a_run_may_not_change_what_all_runs_share():
    with pytest.raises(ValidationError, match="namespace shapes a virtual cluster that all runs share"):
        profile().overridden({"namespace": "other"})
    assert profile().overridden({"maximum_workers": 3}).maximum_workers == 3


def test_names_are_never_longer_than_allowed():
    lease = Lease("d" * 31, "d" * 250, "r" * 250, "g")
    assert profile(name="p" * 32).cluster_name(lease) == "d" * 31 + "-" + "p" * 32
    assert len(profile(name="p" * 32).cluster_name(lease)) == LONGEST_NAME


def test_every_state_that_the_service_knows_has_a_meaning():
    assert set(PHASES) == set(MODEL.shape_for("VirtualClusterState").enum)
    assert set(RUN_STATES) == set(MODEL.shape_for("JobRunState").enum)
    assert set(FAULTS) == set(MODEL.shape_for("FailureReason").enum)


@pytest.mark.parametrize(
    ("state", "phase", "fault"),
    [
        ("RUNNING", Phase.READY, None),
        ("ARRESTED", Phase.ENDED, Fault.SERVICE),
        ("TERMINATING", Phase.ENDED, Fault.USER),
        ("TERMINATED", Phase.ENDED, Fault.USER),
    ],
)
def test_what_a_virtual_clusters_state_means(state, phase, fault):
    seen = cluster_state({"id": "abc", "name": "dev-eks", "state": state})
    assert (seen.phase, seen.fault) == (phase, fault)


@pytest.mark.parametrize(
    ("state", "reason", "meaning", "fault"),
    [
        ("PENDING", None, RunState.PENDING, None),
        ("CANCEL_PENDING", None, RunState.CANCELLING, None),
        ("COMPLETED", None, RunState.SUCCEEDED, None),
        ("FAILED", "USER_ERROR", RunState.FAILED, Fault.JOB),
        ("FAILED", "INTERNAL_ERROR", RunState.FAILED, Fault.SERVICE),
        ("FAILED", "VALIDATION_ERROR", RunState.FAILED, Fault.USER),
        ("FAILED", "CLUSTER_UNAVAILABLE", RunState.FAILED, Fault.CAPACITY),
        ("FAILED", None, RunState.FAILED, Fault.JOB),
        ("CANCELLED", None, RunState.CANCELLED, Fault.USER),
    ],
)
def test_what_a_job_runs_state_means(state, reason, meaning, fault):
    run = {"state": state, "stateDetails": "words", "createdAt": WHEN, "finishedAt": WHEN + dt.timedelta(minutes=1)}
    seen = job_state(run | ({"failureReason": reason} if reason else {}))
    assert (seen.state, seen.fault) == (meaning, fault)
    assert seen.reason.endswith("words")
    assert (seen.began, seen.ended) == (
        None if meaning is RunState.PENDING else 1358208000,
        1358208060 if meaning.ended else None,
    )


def test_what_a_job_run_used_is_what_it_asked_for_times_how_long_it_ran():
    job = SparkJob(script="jobs/a.py")
    sizes = {"driver": {"cores": 1, "memory": 2}, "executor": {"cores": 4, "memory": 10, "count": 3}}
    used = usage_of(run_request(job, CODE, KEY, profile(**sizes)), seconds=1800)
    # Python adds four tenths to each pod's memory.
    assert (used.vcpu_hours, used.memory_gb_hours, used.billed) == (0.5 * 13, pytest.approx(0.5 * 1.4 * 32), False)


def test_what_a_jar_used_counts_the_smaller_overhead_and_its_own_settings():
    job = SparkJob(
        script="a.jar", main_class="A", conf={"spark.executor.instances": "1", "spark.executor.memory": "512m"}
    )
    used = usage_of(run_request(job, {"a.jar": "s3://code/a.jar"}, KEY, profile()), seconds=3600)
    assert used.vcpu_hours == 2
    assert used.memory_gb_hours == pytest.approx((2 + 0.375) + (0.5 + 0.375))


def test_what_a_job_run_used_that_tells_no_driver_is_what_spark_would_ask_for_by_itself():
    used = usage_of({"state": "COMPLETED"}, seconds=3600)
    assert (used.vcpu_hours, used.memory_gb_hours) == (3, pytest.approx(3 * 1.375))
