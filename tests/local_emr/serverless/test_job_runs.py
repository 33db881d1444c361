"""Job runs of EMR Serverless from their submission to their end: states, retries, timeouts, queues, capacity, the bill."""

from __future__ import annotations

import gzip

import pytest

from tests.local_emr.asking import refusal
from tests.local_emr.scripted import FAILURE, SUCCESS, eventually
from tests.local_emr.serverless.asking import ROLE

MINUTE = 60
SMALL = (
    "--conf spark.driver.cores=1 --conf spark.driver.memory=1g --conf spark.executor.cores=1 "
    "--conf spark.executor.memory=1g --conf spark.executor.instances=1"
)
"""Two workers of 1 vCPU, 2 GB and 20 GB of disk."""


def test_a_job_run_starts_its_application_and_tells_what_it_was_asked(serverless):
    application = serverless.create(networkConfiguration={"subnetIds": ["subnet-1"]})
    asked = {"name": "clean", "tags": {"key": "k"}, "executionTimeoutMinutes": 30, "retryPolicy": {"maxAttempts": 2}}
    run = serverless.submit(application, "succeed", "--date", "2013-01-15", parameters="--conf a='b c'", **asked)
    found = serverless.becomes(application, run, "SUCCESS")
    assert asked == {name: found[name] for name in asked}
    assert (application, run, "BATCH", ROLE, "emr-7.10.0", 1, ["subnet-1"]) == (
        found["applicationId"],
        found["jobRunId"],
        found["mode"],
        found["executionRole"],
        found["releaseLabel"],
        found["attempt"],
        found["networkConfiguration"]["subnetIds"],
    )
    assert found["arn"].endswith(f":/applications/{application}/jobruns/{run}")
    assert serverless.application(application)["state"] == "STARTED"
    assert [step.args for step in serverless.engine.started] == [
        ("spark-submit", "--conf", "a=b c", "succeed", "--date", "2013-01-15")
    ]


def test_a_job_run_passes_through_its_states(slow_serverless):
    clock, client = slow_serverless.clock, slow_serverless.client
    application = client.create_application(releaseLabel="emr-7.10.0", type="Spark")["applicationId"]
    clock.advance(25)
    slow_serverless.application_becomes(application, "CREATED")
    run = slow_serverless.submit(application, "hold", "a")
    slow_serverless.application_becomes(application, "STARTING")
    clock.advance(99)
    assert slow_serverless.state(application, run) == "SUBMITTED"
    clock.advance(1)
    found = slow_serverless.becomes(application, run, "RUNNING")
    assert (found["startedAt"] - found["createdAt"]).total_seconds() == 100
    client.cancel_job_run(applicationId=application, jobRunId=run)
    slow_serverless.becomes(application, run, "CANCELLED")


@pytest.mark.parametrize(
    ("request_", "code", "words"),
    [
        ({"jobDriver": {"hive": {"query": "SELECT 1"}}}, "ValidationException", "is not valid for a Spark application"),
        ({"executionRoleArn": "arn:aws:iam::123456789012:user/me"}, "ValidationException", "regular expression"),
        ({"mode": "STREAMING", "retryPolicy": {"maxAttempts": 2}}, "ValidationException", "not applicable for STREAM"),
        ({"retryPolicy": {"maxFailedAttemptsPerHour": 2}}, "ValidationException", "not applicable for BATCH mode"),
        ({"retryPolicy": {"maxAttempts": 11}}, "ValidationException", "maxAttempts must be between 1 and 10"),
        ({"tags": {"a": "b" * 257}}, "ValidationException", "length less than or equal to 256"),
        (
            {"configurationOverrides": {"monitoringConfiguration": {"s3MonitoringConfiguration": {"logUri": "logs"}}}},
            "ValidationException",
            "The log URI logs is not valid",
        ),
    ],
)
def test_what_no_job_run_can_be_is_refused(serverless, request_, code, words):
    application = serverless.create()
    found, message = refusal(serverless.submit, application=application, script="succeed", **request_)
    assert found == code
    assert words in message
    assert serverless.client.list_job_runs(applicationId=application)["jobRuns"] == []


def test_a_failed_job_run_tells_the_driver_s_last_exception(serverless):
    application = serverless.create()
    run = serverless.submit(application, "fail")
    assert serverless.becomes(application, run, "FAILED")["stateDetails"] == (
        "Job failed, please check complete logs in configured logging destination. ExitCode: 1. "
        "Last few exceptions: ValueError: no such carrier"
    )


def test_a_job_run_that_the_endpoint_cannot_start_fails_with_the_reason(serverless):
    application = serverless.create()
    run = serverless.submit(application, "raise")
    assert "the disk is full" in serverless.becomes(application, run, "FAILED")["stateDetails"]


def test_parameters_that_cannot_be_read_fail_the_job_run(serverless):
    application = serverless.create()
    run = serverless.submit(application, "succeed", parameters="--conf 'a=b")
    assert (
        "sparkSubmitParameters cannot be read: No closing"
        in (serverless.becomes(application, run, "FAILED")["stateDetails"])
    )
    assert serverless.engine.started == []


def test_a_running_job_run_is_cancelled_when_its_process_is_gone(serverless):
    application = serverless.create()
    run = serverless.submit(application, "hold", "a")
    serverless.becomes(application, run, "RUNNING")
    cancel = serverless.client.cancel_job_run
    cancelled = cancel(applicationId=application, jobRunId=run, shutdownGracePeriodInSeconds=15)
    assert (application, run) == (cancelled["applicationId"], cancelled["jobRunId"])
    serverless.becomes(application, run, "CANCELLED")
    assert refusal(cancel, applicationId=application, jobRunId=run) == (
        "ValidationException",
        f"Job run {run} cannot be cancelled as it is in CANCELLED state",
    )


def test_a_job_run_that_waits_is_cancelled_at_once(slow_serverless):
    client = slow_serverless.client
    application = client.create_application(releaseLabel="emr-7.10.0", type="Spark")["applicationId"]
    slow_serverless.clock.advance(25)
    slow_serverless.application_becomes(application, "CREATED")
    run = slow_serverless.submit(application, "succeed")
    client.cancel_job_run(applicationId=application, jobRunId=run)
    found = slow_serverless.job_run(application, run)
    assert (found["state"], found["totalExecutionDurationSeconds"]) == ("CANCELLED", 0)
    assert found["billedResourceUtilization"] == {"vCPUHour": 0.0, "memoryGBHour": 0.0, "storageGBHour": 0.0}


def test_a_job_run_that_is_cancelled_while_it_starts_never_runs_on(serverless):
    application = serverless.create()
    run = serverless.submit(application, "start late")
    assert serverless.engine.starting.wait(30)
    serverless.client.cancel_job_run(applicationId=application, jobRunId=run)
    assert serverless.state(application, run) == "CANCELLING"
    serverless.engine.may_start.set()
    serverless.becomes(application, run, "CANCELLED")


def test_a_job_run_that_times_out_ends_cancelled(serverless):
    application = serverless.create()
    run = serverless.submit(application, "hold", "a", executionTimeoutMinutes=2)
    serverless.becomes(application, run, "RUNNING")
    serverless.clock.advance(2 * MINUTE - 1)
    assert serverless.state(application, run) == "RUNNING"
    serverless.clock.advance(1)
    found = serverless.becomes(application, run, "CANCELLED")
    assert found["stateDetails"] == "The job run has timed out: it exceeded its execution timeout of 2 minutes"


def test_a_batch_may_run_half_a_day_and_a_stream_for_ever(serverless):
    application = serverless.create()
    batch = serverless.submit(application, "hold", "batch")
    stream = serverless.submit(application, "hold", "stream", mode="STREAMING")
    free = serverless.submit(application, "hold", "free", executionTimeoutMinutes=0)
    runs = (batch, stream, free)
    eventually(lambda: [serverless.state(application, run) for run in runs], ["RUNNING"] * 3)
    assert [serverless.job_run(application, run)["executionTimeoutMinutes"] for run in runs] == [720, 0, 0]
    serverless.clock.advance(720 * MINUTE)
    serverless.becomes(application, batch, "CANCELLED")
    assert [serverless.state(application, run) for run in runs] == ["CANCELLED", "RUNNING", "RUNNING"]


def test_a_failed_attempt_is_followed_by_another_while_the_retry_policy_allows(serverless):
    application = serverless.create()
    run = serverless.submit(application, "hold", "a", retryPolicy={"maxAttempts": 3})
    for attempt in (1, 2):
        eventually(lambda: len(serverless.engine.started), attempt)
        serverless.becomes(application, run, "RUNNING")
        serverless.clock.advance(10)
        serverless.engine.held.pop("a").end(FAILURE)
    eventually(lambda: "a" in serverless.engine.held, True)
    serverless.clock.advance(10)
    serverless.engine.held["a"].end(SUCCESS)
    found = serverless.becomes(application, run, "SUCCESS")
    assert (found["attempt"], found["totalExecutionDurationSeconds"]) == (3, 30)
    assert serverless.job_run(application, run, attempt=1)["state"] == "FAILED"
    first = serverless.client.list_job_run_attempts(applicationId=application, jobRunId=run, maxResults=2)
    rest = serverless.client.list_job_run_attempts(
        applicationId=application, jobRunId=run, nextToken=first["nextToken"]
    )
    attempts = first["jobRunAttempts"] + rest["jobRunAttempts"]
    assert [(entry["attempt"], entry["state"]) for entry in attempts] == [(3, "SUCCESS"), (2, "FAILED"), (1, "FAILED")]
    assert [(entry["createdAt"] - entry["jobCreatedAt"]).total_seconds() for entry in attempts] == [20, 10, 0]


def test_a_stream_is_tried_again_until_it_fails_too_often_in_an_hour(serverless):
    application = serverless.create()
    policy = {"maxFailedAttemptsPerHour": 2}
    run = serverless.submit(application, "hold", "a", mode="STREAMING", retryPolicy=policy)
    for attempt, minutes in ((1, 0), (2, 61), (3, 1)):
        eventually(lambda: len(serverless.engine.started), attempt)
        serverless.becomes(application, run, "RUNNING")
        serverless.clock.advance(minutes * MINUTE)
        serverless.engine.held.pop("a").end(FAILURE)
    assert serverless.becomes(application, run, "FAILED")["attempt"] == 3


def test_the_bill_is_what_was_asked_for_how_long_it_ran_and_a_minute_at_least(serverless):
    application = serverless.create()
    disk = "--conf spark.emr-serverless.executor.disk=30g"
    parameters = f"--driver-memory 4g --conf spark.driver.cores=2 --num-executors 2 {disk}"
    long = serverless.submit(application, "hold", "a", parameters=parameters)
    short = serverless.submit(application, "hold", "b", parameters=SMALL)
    eventually(lambda: sorted(serverless.engine.held), ["a", "b"])
    serverless.clock.advance(36)
    serverless.engine.held["b"].end(SUCCESS)
    found = serverless.becomes(application, short, "SUCCESS")
    # 2 workers of 1 vCPU, 2 GB, 20 GB, for a hundredth of an hour; billed a minute, without disk
    assert found["totalResourceUtilization"] == {"vCPUHour": 0.02, "memoryGBHour": 0.04, "storageGBHour": 0.4}
    assert found["billedResourceUtilization"] == {"vCPUHour": 0.033, "memoryGBHour": 0.067, "storageGBHour": 0.0}
    serverless.clock.advance(3564)
    serverless.engine.held["a"].end(SUCCESS)
    found = serverless.becomes(application, long, "SUCCESS")
    # a driver of 2 vCPU, 4.4 -> 5 GB, 20 GB and two executors of 4 vCPU, 15.4 -> 16 GB, 30 GB, for an hour
    assert found["totalResourceUtilization"] == {"vCPUHour": 10.0, "memoryGBHour": 37.0, "storageGBHour": 80.0}
    assert found["billedResourceUtilization"] == {"vCPUHour": 10.0, "memoryGBHour": 37.0, "storageGBHour": 20.0}


def test_a_job_run_that_never_fits_its_application_fails_in_aws_s_words(serverless):
    application = serverless.create(maximumCapacity={"cpu": "8 vCPU", "memory": "64 GB", "disk": "40 GB"})
    run = serverless.submit(application, "succeed")
    assert serverless.becomes(application, run, "FAILED")["stateDetails"] == (
        "ApplicationMaxCapacityExceededException: Worker could not be allocated as the application has exceeded "
        "maximumCapacity settings: [cpu: 8 vCPU, disk: 40 GB]"
    )
    run = serverless.submit(application, "succeed", parameters="--conf spark.driver.cores=3")
    assert "Worker with 3 vCPU is not supported" in serverless.becomes(application, run, "FAILED")["stateDetails"]
    assert serverless.engine.started == []


def test_a_job_run_waits_for_capacity_that_another_holds(serverless):
    application = serverless.create(maximumCapacity={"cpu": "3 vCPU", "memory": "64 GB"})
    first = serverless.submit(application, "hold", "a", parameters=SMALL)
    serverless.becomes(application, first, "RUNNING")
    second = serverless.submit(application, "succeed", parameters=SMALL)
    serverless.becomes(application, second, "SCHEDULED")
    serverless.engine.held["a"].end(SUCCESS)
    serverless.becomes(application, second, "SUCCESS")


def test_job_runs_beyond_the_concurrency_are_queued_and_the_oldest_comes_next(serverless):
    application = serverless.create(schedulerConfiguration={"maxConcurrentRuns": 1, "queueTimeoutMinutes": 15})
    runs = []
    for name in "abc":
        runs.append(serverless.submit(application, "hold", name))
        serverless.clock.advance(1)
    states = ["RUNNING", "QUEUED", "QUEUED"]
    eventually(lambda: [serverless.state(application, run) for run in runs], states)
    serverless.clock.advance(10)
    serverless.engine.held["a"].end(SUCCESS)
    states = ["SUCCESS", "RUNNING", "QUEUED"]
    eventually(lambda: [serverless.state(application, run) for run in runs], states)
    assert serverless.job_run(application, runs[1])["queuedDurationMilliseconds"] == 12_000
    serverless.clock.advance(15 * MINUTE)
    found = serverless.becomes(application, runs[2], "FAILED")
    assert found["stateDetails"] == "The job run has timed out: it was in the queue for 15 minutes"
    assert serverless.state(application, runs[1]) == "RUNNING"


def test_the_same_token_and_request_make_one_job_run(serverless):
    application = serverless.create()
    first = serverless.submit(application, "fail", clientToken="token")
    serverless.becomes(application, first, "FAILED")
    assert serverless.submit(application, "fail", clientToken="token") == first
    assert refusal(serverless.submit, application=application, script="succeed", clientToken="token") == (
        "ConflictException",
        "Client token token was already used with other parameters",
    )
    other = serverless.create()
    assert serverless.submit(other, "fail", clientToken="token") != first


def test_job_runs_are_listed_newest_first_by_page_state_time_and_mode(serverless):
    application = serverless.create()
    runs = []
    for script, mode in (("succeed", "BATCH"), ("fail", "BATCH"), ("hold", "STREAMING"), ("fail", "BATCH")):
        runs.append(serverless.submit(application, script, "x", mode=mode, name=script))
        serverless.clock.advance(10)
    states = ["SUCCESS", "FAILED", "RUNNING", "FAILED"]
    eventually(lambda: [serverless.state(application, run) for run in runs], states)

    def listed(**more):
        return serverless.client.list_job_runs(applicationId=application, **more)

    first = listed(maxResults=3)
    rest = listed(nextToken=first["nextToken"])
    assert [entry["id"] for entry in first["jobRuns"] + rest["jobRuns"]] == runs[::-1]
    grouped = listed(states=["SUCCESS", "FAILED"])["jobRuns"]
    assert [entry["id"] for entry in grouped] == [runs[0], runs[3], runs[1]]
    assert [entry["id"] for entry in listed(mode="STREAMING")["jobRuns"]] == [runs[2]]
    created = serverless.job_run(application, runs[1])["createdAt"]
    assert [entry["id"] for entry in listed(createdAtAfter=created)["jobRuns"]] == [runs[3], runs[2], runs[1]]
    assert [entry["id"] for entry in listed(createdAtBefore=created)["jobRuns"]] == [runs[1], runs[0]]
    paginator = serverless.client.get_paginator("list_job_runs")
    pages = paginator.paginate(applicationId=application, PaginationConfig={"PageSize": 1})
    assert [entry["id"] for page in pages for entry in page["jobRuns"]] == runs[::-1]
    assert first["jobRuns"][0]["name"] == "fail"


def logs_of(serverless, bucket):
    """Return the objects of a bucket and what they hold."""
    keys = [entry["Key"] for entry in serverless.s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
    return {
        key: gzip.decompress(serverless.s3.get_object(Bucket=bucket, Key=key)["Body"].read()).decode() for key in keys
    }


def test_logs_are_in_s3_when_the_job_run_is_seen_as_ended_each_attempt_in_its_own_folder(serverless):
    serverless.s3.create_bucket(Bucket="local-logs")
    monitoring = {"s3MonitoringConfiguration": {"logUri": "s3://local-logs/emr/"}}
    application = serverless.create(monitoringConfiguration=monitoring)
    once = serverless.submit(application, "succeed")
    twice = serverless.submit(application, "fail", retryPolicy={"maxAttempts": 2})
    eventually(lambda: [serverless.state(application, run) for run in (once, twice)], ["SUCCESS", "FAILED"])
    jobs = f"emr/applications/{application}/jobs"
    places = [
        (f"{jobs}/{once}", "succeed"),
        (f"{jobs}/{twice}/attempts/1", "fail"),
        (f"{jobs}/{twice}/attempts/2", "fail"),
    ]
    assert logs_of(serverless, "local-logs") == {
        f"{place}/SPARK_DRIVER/{name}.gz": f"{name} of {script}"
        for place, script in places
        for name in ("stdout", "stderr")
    }


def test_a_job_run_s_own_log_destination_overrides_the_application_s(serverless):
    for bucket in ("application-logs", "job-logs"):
        serverless.s3.create_bucket(Bucket=bucket)
    application = serverless.create(
        monitoringConfiguration={"s3MonitoringConfiguration": {"logUri": "s3://application-logs"}}
    )
    overrides = {"monitoringConfiguration": {"s3MonitoringConfiguration": {"logUri": "s3://job-logs"}}}
    run = serverless.submit(application, "succeed", configurationOverrides=overrides)
    serverless.becomes(application, run, "SUCCESS")
    assert logs_of(serverless, "application-logs") == {}
    assert len(logs_of(serverless, "job-logs")) == 2


def test_a_bucket_that_does_not_exist_fails_no_job(serverless, caplog):
    application = serverless.create(monitoringConfiguration={"s3MonitoringConfiguration": {"logUri": "s3://none/x"}})
    run = serverless.submit(application, "succeed")
    serverless.becomes(application, run, "SUCCESS")
    assert "no log is put at s3://none/x/applications" in caplog.text


@pytest.mark.parametrize(
    ("configuration", "group", "expected"),
    [
        ({}, "/aws/emr-serverless", {"stdout", "stderr"}),
        ({"logGroupName": "mine", "logStreamNamePrefix": "pre"}, "mine", {"stdout", "stderr"}),
        ({"logTypes": {"SPARK_DRIVER": ["STDERR"]}}, "/aws/emr-serverless", {"stderr"}),
    ],
)
def test_logs_are_in_cloudwatch_where_they_are_wanted(serverless, endpoint, configuration, group, expected):
    application = serverless.create()
    monitoring = {"cloudWatchLoggingConfiguration": {"enabled": True, **configuration}}
    run = serverless.submit(application, "succeed", configurationOverrides={"monitoringConfiguration": monitoring})
    serverless.becomes(application, run, "SUCCESS")
    logs = endpoint.client("logs")
    prefix = f"{configuration.get('logStreamNamePrefix', '')}/applications/{application}/jobs/{run}/SPARK_DRIVER/"
    streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=prefix)["logStreams"]
    assert {stream["logStreamName"] for stream in streams} == {f"{prefix}{name}" for name in expected}
    for name in expected:
        events = logs.get_log_events(logGroupName=group, logStreamName=f"{prefix}{name}")["events"]
        assert [event["message"] for event in events] == [f"{name} of succeed"]


def test_configurations_reach_the_job_its_own_last(serverless):
    application = serverless.create(
        runtimeConfiguration=[
            {"classification": "spark-defaults", "properties": {"a": "application", "b": "application"}},
            {"classification": "hive-site", "properties": {"hive.metastore.warehouse.dir": "s3://local-data/w"}},
        ]
    )
    exports = {"classification": "export", "properties": {"CARRIER": "UA"}}
    overrides = [
        {"classification": "spark-defaults", "properties": {"b": "job"}},
        {"classification": "spark-env", "configurations": [exports]},
    ]
    run = serverless.submit(application, "succeed", configurationOverrides={"applicationConfiguration": overrides})
    serverless.becomes(application, run, "SUCCESS")
    environment, defaults = serverless.engine.environments[0]
    assert environment == {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", "CARRIER": "UA"}
    assert defaults == {
        "a": "application",
        "b": "job",
        "spark.hadoop.hive.metastore.warehouse.dir": "s3://local-data/w",
        "spark.sql.warehouse.dir": "s3://local-data/w",
    }


@pytest.mark.parametrize(
    ("hive", "expected"),
    [
        ({"query": "SELECT 1;\nSELECT 2"}, ("hive", "-e", "SELECT 1;\nSELECT 2")),
        ({"query": "s3://local-artifacts/delays.hql"}, ("hive", "-f", "s3://local-artifacts/delays.hql")),
        (
            {
                "query": "s3://a/q.hql",
                "initQueryFile": "s3://a/init.hql",
                "parameters": "--hiveconf k='v w' --hivevar x=y -d z=1",
            },
            (
                *("hive", "--hiveconf", "k=v w", "--hivevar", "x=y", "-d", "z=1"),
                *("-i", "s3://a/init.hql", "-f", "s3://a/q.hql"),
            ),
        ),
    ],
)
def test_a_hive_driver_runs_a_file_or_a_text(serverless, hive, expected):
    application = serverless.create(type="HIVE")
    request = {"applicationId": application, "executionRoleArn": ROLE}
    serverless.client.start_job_run(**request, jobDriver={"hive": hive})
    eventually(lambda: [step.args for step in serverless.engine.started], [expected])
    spark = {"sparkSubmit": {"entryPoint": "s3://a/b.py"}}
    message = refusal(serverless.client.start_job_run, **request, jobDriver=spark)[1]
    assert message == "The job driver is not valid for a Hive application: give hive"


def test_there_is_no_dashboard_before_spark_has_begun_and_none_of_hive(serverless):
    application = serverless.create()
    run = serverless.submit(application, "hold", "a")
    serverless.becomes(application, run, "RUNNING")
    dashboard = serverless.client.get_dashboard_for_job_run
    assert refusal(dashboard, applicationId=application, jobRunId=run) == (
        "ValidationException",
        (
            f"The application UI of job run {run} is not available: Spark has written no event log in attempt 1, "
            "which is RUNNING"
        ),
    )
    hive = serverless.create(type="Hive")
    driver = {"hive": {"query": "SELECT 1"}}
    run = serverless.client.start_job_run(applicationId=hive, executionRoleArn=ROLE, jobDriver=driver)["jobRunId"]
    assert refusal(dashboard, applicationId=hive, jobRunId=run)[1] == (
        f"The application UI of job run {run} is not available: it runs no Spark"
    )
