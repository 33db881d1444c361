"""Profiles of EMR Serverless, the requests that they mean, and what the service's states mean."""

from __future__ import annotations

import datetime as dt
import itertools
import shlex
from pathlib import Path

import pytest
from botocore.session import get_session
from botocore.validate import ParamValidator
from pydantic import ValidationError

from emr_pipelines import HiveJob, SparkJob, SparkSqlJob
from emr_pipelines.environments import environment_files, read_environment
from emr_pipelines.keys import LONGEST_NAME, Key, Lease
from emr_pipelines.targets.job_runs import create_once
from emr_pipelines.targets.serverless_jobs import (
    LIVE_RUNS,
    PHASES,
    RUN_STATES,
    application_state,
    hive_sizes,
    job_state,
    run_request,
    spark_sizes,
    was_stopped_by_hand,
)
from emr_pipelines.targets.serverless_profile import ServerlessProfile, differences_of
from emr_pipelines.targets.states import Fault, Phase, RunState

COMPUTE = Path(__file__).parents[3] / "include" / "compute"
MODEL = get_session().get_service_model("emr-serverless")
LEASE = Lease("dev", "flights_daily", "manual__2013-01-15T00:00:00+00:00", "emr")
KEY = Key(LEASE, "emr.clean", -1, "nonce")
ROLE = "arn:aws:iam::123456789012:role/jobs"
CODE = {"jobs/a.py": "s3://code/a.py", "jobs/spark_sql.py": "s3://code/spark_sql.py", "hive/q.hql": "s3://code/q.hql"}
WHEN = dt.datetime(2013, 1, 15, tzinfo=dt.UTC)


def profile(**settings) -> ServerlessProfile:
    given = {"name": "serverless", "region": "us-east-1", "log_uri": "s3://logs/emr/", "execution_role": ROLE}
    return ServerlessProfile(target="serverless", **given | settings)


def errors_of(operation: str, request: dict) -> str:
    return ParamValidator().validate(request, MODEL.operation_model(operation).input_shape).generate_report()


def finding(**settings) -> str:
    with pytest.raises(ValidationError) as raised:
        profile(**settings)
    (one,) = raised.value.errors()
    return f"{'.'.join(map(str, one['loc']))}: {one['msg']}"


def parameters_of(job, **settings) -> list[str]:
    (driver,) = run_request(job, CODE, KEY, profile(**settings))["jobDriver"].values()
    return shlex.split(driver.get("sparkSubmitParameters") or driver.get("parameters"))


EVERYTHING = {
    "owner": "profile",
    "architecture": "ARM64",
    "driver": {"cpu": 2, "memory": 8, "initial": 1},
    "executor": {"cpu": 16, "memory": 120, "disk": 500, "disk_type": "SHUFFLE_OPTIMIZED", "initial": 2},
    "hive_driver": {"cpu": 2, "memory": 4, "initial": 1},
    "tez_task": {"cpu": 2, "memory": 4, "initial": 3},
    "maximum_capacity": {"cpu": 64, "memory": 480, "disk": 2000},
    "maximum_workers": 8,
    "scheduler": {"max_concurrent_runs": 3, "queue_timeout_minutes": 15},
    "network": {"subnets": ["subnet-0123456789abcdef0"], "security_groups": ["sg-0123456789abcdef0"]},
    "cloudwatch": {"log_group": "/emr/dev", "log_stream_prefix": "flights"},
    "configurations": [
        {"classification": "spark-defaults", "properties": {"spark.a": "1"}},
        {"classification": "hive-site", "properties": {"hive.a": "1"}},
    ],
    "mode": "STREAMING",
    "attempts": 2,
    "execution_timeout_minutes": 60,
    "cost_allocation": True,
    "tags": {"team": "data"},
}


@pytest.mark.parametrize("path", environment_files(COMPUTE).values(), ids=lambda path: path.stem)
@pytest.mark.parametrize("engine", ["spark", "hive"])
def test_every_profile_that_is_shipped_makes_a_request_that_botocore_accepts(path, engine):
    profiles = [one for one in read_environment(path).profiles.values() if one.target == "serverless"]
    assert profiles
    for one in profiles:
        assert errors_of("CreateApplication", {"clientToken": "t", **one.request(LEASE, engine)}) == ""


@pytest.mark.parametrize("engine", ["spark", "hive"])
def test_every_setting_has_its_place_in_a_request_that_botocore_accepts(engine):
    request = profile(**EVERYTHING).request(LEASE, engine)
    assert errors_of("CreateApplication", {"clientToken": "t", **request}) == ""
    assert request["maximumCapacity"] == {"cpu": "64 vCPU", "memory": "480 GB", "disk": "2000 GB"}
    assert request["schedulerConfiguration"] == {"maxConcurrentRuns": 3, "queueTimeoutMinutes": 15}
    assert request["jobLevelCostAllocationConfiguration"] == {"enabled": True}
    assert {role: one["workerCount"] for role, one in request["initialCapacity"].items()} == (
        {"Driver": 1, "Executor": 2} if engine == "spark" else {"HiveDriver": 1, "TezTask": 3}
    )


JOBS = {
    "spark": SparkJob(script="jobs/a.py", args=("", "a b", "it's"), conf={"spark.x": 'say "hi" now'}),
    "spark_sql": SparkSqlJob(script="hive/q.hql", variables={"dt": "2013-01-15", "quoted": "it's; so"}),
    "hive": HiveJob(script="hive/q.hql", variables={"quoted": "it's; so"}, conf={"hive.x": "a b"}),
}


@pytest.mark.parametrize("settings", [{}, EVERYTHING], ids=["defaults", "everything"])
@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
def test_every_job_makes_a_request_that_botocore_accepts(job, settings):
    request = run_request(job, CODE, KEY, profile(**settings))
    assert errors_of("StartJobRun", {"applicationId": "00abc", **request}) == ""
    assert (request["clientToken"], request["name"]) == (KEY.id, KEY.name)
    assert request["tags"]["emr-pipelines:task"] == "emr.clean"


def test_words_survive_being_one_text():
    words = parameters_of(JOBS["spark"])
    assert words[words.index('spark.x=say "hi" now') - 1] == "--conf"
    words = parameters_of(JOBS["hive"])
    assert words[words.index("quoted=it's; so") - 1] == "--hivevar"
    assert words[words.index("hive.x=a b") - 1] == "--hiveconf"


def test_spark_sql_runs_through_its_runner():
    driver = run_request(JOBS["spark_sql"], CODE, KEY, profile())["jobDriver"]["sparkSubmit"]
    assert driver["entryPoint"] == "s3://code/spark_sql.py"
    assert driver["entryPointArguments"] == [
        "--script",
        "s3://code/q.hql",
        "--variable",
        "dt=2013-01-15",
        "--variable",
        "quoted=it's; so",
    ]


def test_a_job_is_told_the_configurations_of_its_own_engine():
    told = {
        name: run_request(job, CODE, KEY, profile(**EVERYTHING))["configurationOverrides"]["applicationConfiguration"]
        for name, job in JOBS.items()
    }
    spark, hive = (
        {"classification": "spark-defaults", "properties": {"spark.a": "1"}},
        {"classification": "hive-site", "properties": {"hive.a": "1"}},
    )
    assert told == {"spark": [spark], "spark_sql": [spark], "hive": [hive]}


@pytest.mark.parametrize(
    ("mode", "policy"), [("BATCH", {"maxAttempts": 3}), ("STREAMING", {"maxFailedAttemptsPerHour": 3})]
)
def test_attempts_mean_what_the_mode_knows(mode, policy):
    request = run_request(JOBS["spark"], CODE, KEY, profile(mode=mode, attempts=3))
    assert (request["mode"], request["retryPolicy"]) == (mode, policy)


def test_a_worker_has_room_for_its_process_and_a_tenth_more():
    # The user guide's own default: 16 GB and 14g.
    sizes = spark_sizes(profile(driver={"cpu": 4, "memory": 16}, executor={"cpu": 4, "memory": 30}))
    assert (sizes["spark.driver.memory"], sizes["spark.executor.memory"]) == ("14g", "27g")
    for cpu, memory in ((1, 2), (1, 8), (16, 120)):
        heap = profile(executor={"cpu": cpu, "memory": memory}).executor.heap
        assert heap + max(0.375, heap * 0.1) <= memory
    assert hive_sizes(profile(tez_task={"cpu": 2, "memory": 6}))["hive.tez.container.size"] == "5120"


def test_the_jobs_own_settings_come_after_the_profiles():
    job = SparkJob(script="jobs/a.py", conf={"spark.executor.memory": "1g"})
    assert "spark.executor.memory=1g" in parameters_of(job)
    assert not [word for word in parameters_of(job) if word.startswith("spark.executor.memory=14")]


def test_maximum_workers_bound_the_job_and_the_application_that_is_made_for_the_run():
    settings = {"maximum_workers": 2, "scheduler": {"max_concurrent_runs": 1}, "driver": {"cpu": 1, "memory": 2}}
    request = profile(executor={"cpu": 4, "memory": 16, "disk": 100}, **settings).request(LEASE, "spark")
    assert request["maximumCapacity"] == {"cpu": "9 vCPU", "memory": "34 GB", "disk": "220 GB"}
    words = parameters_of(JOBS["spark"], **settings)
    assert {"spark.dynamicAllocation.maxExecutors=2", "spark.dynamicAllocation.initialExecutors=2"} <= set(words)


def test_a_stated_capacity_is_never_exceeded_by_maximum_workers():
    request = profile(maximum_workers=1000, maximum_capacity={"cpu": 8, "memory": 32}).request(LEASE, "spark")
    assert (request["maximumCapacity"]["cpu"], request["maximumCapacity"]["memory"]) == ("8 vCPU", "32 GB")


def test_an_application_that_all_runs_share_says_nothing_of_one_of_them():
    request = profile(owner="profile").request(LEASE, "spark")
    assert request["name"] == "dev-spark-serverless"
    assert request["tags"] == {"emr-pipelines:deployment": "dev", "emr-pipelines:profile": "serverless"}


def test_an_application_of_a_run_is_named_and_tagged_with_its_lease():
    request = profile().request(LEASE, "hive")
    assert request["name"].startswith(f"{LEASE.id}-hive-serverless-")
    assert LEASE.tags.items() <= request["tags"].items()


def test_names_and_tags_of_any_length_and_letters_are_accepted():
    lease = Lease("d" * 31, "d" * 250, "ünïcode " * 30, "g" * 250)
    request = profile().request(lease, "spark")
    assert errors_of("CreateApplication", {"clientToken": "t", **request}) == ""
    assert len(request["name"]) <= LONGEST_NAME
    assert all(value.isascii() for value in request["tags"].values())
    kept = profile(owner="profile", name="p" * 26)
    names = {kept.application_name(lease, engine) for engine in ("spark", "hive")}
    assert all(name.endswith("p" * 26) for name in names)
    assert len(names) == 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"execution_role": "jobs"},
            "execution_role: Value error, 'jobs' is no ARN of a role: write arn:aws:iam::<account of 12 digits>:role/<name>",
        ),
        (
            {"executor": {"cpu": 4, "memory": 64}},
            "executor: Value error, memory is 64: a worker of 4 vCPU has 8 to 30 GB, in steps of 1",
        ),
        (
            {"executor": {"cpu": 8, "memory": 18}},
            "executor: Value error, memory is 18: a worker of 8 vCPU has 16 to 60 GB, in steps of 4",
        ),
        ({"executor": {"cpu": 3, "memory": 16}}, "executor.cpu: Input should be 1, 2, 4, 8 or 16"),
        (
            {"executor": {"cpu": 4, "memory": 16, "disk": 300}},
            "executor: Value error, disk is 300: above 200 GB it needs disk_type: SHUFFLE_OPTIMIZED",
        ),
        (
            {"owner": "profile", "max_concurrent": 2},
            (
                ": Value error, max_concurrent counts applications made for runs, and owner: profile shares them: "
                "use scheduler.max_concurrent_runs"
            ),
        ),
        (
            {"owner": "profile", "name": "p" * 27},
            ": Value error, a profile with owner: profile has a name of at most 26 characters",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_work_is_said_with_its_cure(settings, said):
    assert finding(**settings) == said


def test_a_run_may_change_its_own_jobs_and_not_what_all_runs_share():
    kept = profile(owner="profile")
    assert kept.overridden({"maximum_workers": 3}).maximum_workers == 3
    with pytest.raises(
        ValidationError,
        match=r"release shapes an application that all runs share: override attempts, .*, or use owner: run",
    ):
        kept.overridden({"release": "emr-7.8.0"})
    assert profile().overridden({"release": "emr-7.8.0"}).release == "emr-7.8.0"


def test_every_state_that_the_service_knows_has_a_meaning():
    assert set(PHASES) == set(MODEL.shape_for("ApplicationState").enum)
    assert set(RUN_STATES) == set(MODEL.shape_for("JobRunState").enum)
    # "states" of ListJobRuns takes no more.
    assert len(LIVE_RUNS) <= MODEL.shape_for("JobRunStateSet").metadata["max"]


@pytest.mark.parametrize(
    ("state", "details", "auto_start", "phase", "fault"),
    [
        ("CREATING", "", True, Phase.STARTING, None),
        ("CREATED", "", True, Phase.STARTING, None),
        ("STARTING", "", True, Phase.STARTING, None),
        ("STARTED", "", True, Phase.READY, None),
        ("STARTED", "AUTO_STOPPING", True, Phase.READY, None),  # the details stay when it is started again
        ("STOPPING", "", True, Phase.ENDED, Fault.USER),
        ("STOPPED", "", True, Phase.ENDED, Fault.USER),
        ("STOPPED", "AUTO_STOPPING", True, Phase.READY, None),
        ("STOPPED", "Auto-stopped: the application was idle for 15 minutes", True, Phase.READY, None),
        ("STOPPED", "AUTO_STOPPING", False, Phase.ENDED, Fault.USER),
        ("STOPPED", "There is not enough capacity to start it", True, Phase.ENDED, Fault.CAPACITY),
        ("CREATED", "Service quota for vCPUs is exceeded", True, Phase.ENDED, Fault.CAPACITY),
        ("TERMINATED", "AUTO_STOPPING", True, Phase.ENDED, Fault.USER),
    ],
)
def test_what_an_applications_state_means(state, details, auto_start, phase, fault):
    seen = application_state({"id": "00abc", "state": state, "stateDetails": details}, auto_start=auto_start)
    assert (seen.phase, seen.fault) == (phase, fault)
    assert "00abc" in seen.reason
    assert details in seen.reason


FAILED = "Job failed, please check complete logs in configured logging destination. ExitCode: 1. Last few exceptions: "


@pytest.mark.parametrize(
    ("state", "details", "meaning", "fault"),
    [
        ("QUEUED", "", RunState.PENDING, None),
        ("CANCELLING", "", RunState.CANCELLING, None),
        ("SUCCESS", "", RunState.SUCCEEDED, None),
        ("FAILED", f"{FAILED}ValueError: no such carrier", RunState.FAILED, Fault.JOB),
        ("FAILED", f"{FAILED}ApplicationMaxCapacityExceededException: Worker", RunState.FAILED, Fault.CAPACITY),
        ("FAILED", "The job run was in the queue for 15 minutes", RunState.FAILED, Fault.CAPACITY),
        ("FAILED", "Internal server error", RunState.FAILED, Fault.SERVICE),
        ("CANCELLED", "", RunState.CANCELLED, Fault.USER),
        ("CANCELLED", "The job run has timed out: it exceeded 60 minutes", RunState.CANCELLED, Fault.JOB),
    ],
)
def test_what_a_job_runs_state_means(state, details, meaning, fault):
    run = {"state": state, "stateDetails": details, "createdAt": WHEN, "updatedAt": WHEN + dt.timedelta(minutes=1)}
    seen = job_state(run)
    assert (seen.state, seen.fault, seen.reason) == (meaning, fault, details)
    assert seen.began == (None if meaning is RunState.PENDING else 1358208000)
    assert seen.ended == (1358208060 if meaning.ended else None)


class Remembering:
    """A service that answers a client token with what it made for it, however long that has ended."""

    def __init__(self) -> None:
        self.made: dict[str, str] = {}
        self.ended: set[str] = set()

    def acquire(self, listed=()) -> str | None:
        return create_once(
            {"name": "one"},
            lambda token: self.made.setdefault(token, f"a-{len(self.made)}"),
            lambda made: made in self.ended,
            lambda: listed,
        )


def test_what_has_ended_is_followed_by_another_however_often_and_whatever_a_listing_shows():
    service = Remembering()
    for number in range(30):
        acquired = service.acquire()
        assert acquired == service.acquire() == f"a-{number}"
        service.ended.add(acquired)
    assert service.acquire(listed=sorted(service.ended)[:7]) == "a-30"


def test_creating_is_given_up_when_all_that_is_created_has_ended():
    answers = itertools.count()
    assert create_once({}, lambda _: f"a-{next(answers)}", lambda _: True) is None
    assert next(answers) <= 200
    assert create_once({}, lambda _: "always the same", lambda _: True) is None


def test_an_image_of_ones_own_is_asked_for_and_missed():
    image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/jobs:1.0"
    says = profile(owner="profile", image=image).request(LEASE, "spark")
    assert says["imageConfiguration"] == {"imageUri": image}
    has = profile(owner="profile").request(LEASE, "spark")
    assert differences_of(says, has) == [f"imageConfiguration.imageUri is not set, and the profile says {image}"]
    assert differences_of(has, says) == [f"imageConfiguration.imageUri is {image}, and the profile says nothing"]


def test_what_a_kept_application_has_otherwise_than_its_profile_is_named():
    kept = {"executor": {"cpu": 4, "memory": 16, "initial": 2}, "scheduler": {}, "owner": "profile"}
    kept["network"] = {"subnets": ["subnet-b0", "subnet-a0"]}
    says = profile(**kept).request(LEASE, "spark")
    # AWS's own spelling, order and defaults are no difference; "disk" of maximumCapacity nobody asked for.
    has = profile(**kept | {"network": {"subnets": ["subnet-a0", "subnet-b0"]}}).request(LEASE, "spark")
    has["initialCapacity"]["Executor"]["workerConfiguration"]["memory"] = "16GB"
    has["maximumCapacity"] = {"cpu": "400 vCPU", "memory": "3000 GB", "disk": "20000 GB"}
    assert differences_of(says, has) == []
    has["initialCapacity"]["Executor"]["workerCount"] = 3
    has["architecture"] = "ARM64"
    del has["schedulerConfiguration"]
    assert differences_of(says, has) == [
        "architecture is ARM64, and the profile says X86_64",
        "initialCapacity.Executor.workerCount is 3, and the profile says 2",
        "schedulerConfiguration.maxConcurrentRuns is not set, and the profile says 15",
        "schedulerConfiguration.queueTimeoutMinutes is not set, and the profile says 360",
    ]
    without = differences_of(profile(owner="profile").request(LEASE, "spark"), {**has, "architecture": "X86_64"})
    assert [one.partition(" is ")[0] for one in without if one.endswith("nothing")] == [
        "initialCapacity.Executor.workerCount",
        "initialCapacity.Executor.workerConfiguration.cpu",
        "initialCapacity.Executor.workerConfiguration.memory",
        "initialCapacity.Executor.workerConfiguration.disk",
        "initialCapacity.Executor.workerConfiguration.diskType",
        "networkConfiguration.subnetIds",
    ]


def test_whoever_stopped_an_application_is_told_apart():
    details = {"": True, "AUTO_STOPPING": False, "There is not enough capacity to start it": False}
    assert {said: was_stopped_by_hand({"state": "STOPPED", "stateDetails": said}) for said in details} == details
    assert not was_stopped_by_hand({"state": "STARTED"})
