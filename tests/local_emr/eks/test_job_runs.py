"""Job runs of EMR on EKS through boto3: a real HTTP server, a scripted engine."""

from __future__ import annotations

import gzip
import json
import urllib.request

import pytest

from tests.local_emr.asking import refusal
from tests.local_emr.eks.conftest import ROLE, Namespace, succeed
from tests.local_emr.scripted import eventually

SEE_LOGS = "Please refer logs uploaded to S3/CloudWatch based on your monitoring configuration."


def told(run, *names):
    return tuple(run.get(name) for name in names)


# A job run's life


def test_a_job_run_that_succeeds_is_completed_and_says_for_how_long_it_ran(endpoint, namespace):
    run_id = namespace.start("hold", "a", name="clean")
    eventually(lambda: namespace.state(run_id), "RUNNING")
    endpoint.clock.advance(101)
    succeed(endpoint, "a")
    eventually(lambda: namespace.state(run_id), "COMPLETED")
    run = namespace.run(run_id)
    assert told(run, "name", "stateDetails", "failureReason", "virtualClusterId") == (
        "clean",
        "JobRun completed successfully. It ran for 1 Minutes 41 Seconds",
        None,
        namespace.id,
    )
    assert (run["finishedAt"] - run["createdAt"]).total_seconds() == 101
    assert run["arn"] == (
        f"arn:aws:emr-containers:us-east-1:123456789012:/virtualclusters/{namespace.id}/jobruns/{run_id}"
    )


def test_a_failed_driver_fails_the_job_run_with_its_last_exception(namespace):
    run_id = namespace.start("fail")
    eventually(lambda: namespace.state(run_id), "FAILED")
    expected = ("USER_ERROR", f"JobRun failed. ValueError: no such carrier. {SEE_LOGS}")
    assert told(namespace.run(run_id), "failureReason", "stateDetails") == expected


@pytest.mark.parametrize("boot_seconds", [20.0])
def test_a_driver_takes_half_a_clusters_boot_to_start_and_the_job_run_is_submitted_meanwhile(endpoint, namespace):
    run_id = namespace.start()
    eventually(lambda: namespace.state(run_id), "SUBMITTED")
    endpoint.clock.advance(9.9)
    assert namespace.state(run_id) == "SUBMITTED"
    assert endpoint.engine.started == []
    endpoint.clock.advance(0.1)
    eventually(lambda: namespace.state(run_id), "COMPLETED")


def test_what_runs_is_what_spark_submit_would_be_given(endpoint, namespace):
    spark = {
        "entryPoint": "succeed",
        "entryPointArguments": ["--date", "2013 01 15"],
        "sparkSubmitParameters": "--conf spark.x='a b' --py-files s3://b/c.py",
    }
    defaults = {"classification": "spark-defaults", "properties": {"spark.y": "2"}}
    exports = {"classification": "export", "properties": {"STAGE": "dev"}}
    overrides = {"applicationConfiguration": [defaults, {"classification": "spark-env", "configurations": [exports]}]}
    run_id = namespace.start(jobDriver={"sparkSubmitJobDriver": spark}, configurationOverrides=overrides)
    eventually(lambda: namespace.state(run_id), "COMPLETED")
    (step,) = endpoint.engine.started
    words = ("--conf", "spark.x=a b", "--py-files", "s3://b/c.py", "succeed", "--date", "2013 01 15")
    assert (step.jar, step.args) == ("command-runner.jar", ("spark-submit", *words))
    ((environment, settings),) = endpoint.engine.environments
    assert (environment["STAGE"], environment["AWS_REGION"], settings) == ("dev", "us-east-1", {"spark.y": "2"})
    assert namespace.run(run_id)["configurationOverrides"] == overrides


def test_a_sql_driver_runs_its_script_with_spark_sql(endpoint, namespace):
    sql = {"entryPoint": "succeed", "sparkSqlParameters": "--hivevar dt='2013-01-15'"}
    run_id = namespace.start(jobDriver={"sparkSqlJobDriver": sql})
    eventually(lambda: namespace.state(run_id), "COMPLETED")
    assert [step.args for step in endpoint.engine.started] == [
        ("spark-sql", "--hivevar", "dt=2013-01-15", "-f", "succeed")
    ]


# Cancelling


def test_a_running_job_run_is_cancel_pending_until_its_process_is_gone(endpoint, namespace):
    run_id = namespace.start("start late", "b")
    assert endpoint.engine.starting.wait(60)
    assert namespace.cancel(run_id)["id"] == run_id
    assert namespace.state(run_id) == "CANCEL_PENDING"
    endpoint.engine.may_start.set()
    eventually(lambda: namespace.state(run_id), "CANCELLED")
    assert "failureReason" not in namespace.run(run_id)


@pytest.mark.parametrize("boot_seconds", [20.0])
def test_a_job_run_that_waits_is_cancelled_without_having_started(endpoint, namespace):
    run_id = namespace.start()
    namespace.cancel(run_id)
    eventually(lambda: namespace.state(run_id), "CANCELLED")
    assert endpoint.engine.started == []


def test_an_ended_job_run_cannot_be_cancelled(namespace):
    run_id = namespace.start()
    eventually(lambda: namespace.state(run_id), "COMPLETED")
    expected = ("ValidationException", f"Job run {run_id} is not in a cancellable state")
    assert expected == refusal(namespace.eks.cancel_job_run, virtualClusterId=namespace.id, id=run_id)


# Attempts


def test_a_driver_is_started_again_as_often_as_the_retry_policy_says(endpoint, namespace):
    run_id = namespace.start("fail", retryPolicyConfiguration={"maxAttempts": 3})
    eventually(lambda: namespace.state(run_id), "FAILED")
    run = namespace.run(run_id)
    assert len(endpoint.engine.started) == 3
    assert told(run, "retryPolicyConfiguration", "retryPolicyExecution") == (
        {"maxAttempts": 3},
        {"currentAttemptCount": 3},
    )


def test_a_cancelled_attempt_is_not_followed_by_another(endpoint, namespace):
    run_id = namespace.start("hold", "c", retryPolicyConfiguration={"maxAttempts": 3})
    eventually(lambda: namespace.state(run_id), "RUNNING")
    namespace.cancel(run_id)
    eventually(lambda: namespace.state(run_id), "CANCELLED")
    assert namespace.run(run_id)["retryPolicyExecution"] == {"currentAttemptCount": 1}


def test_a_job_run_without_retries_tells_nothing_of_them(namespace):
    run = namespace.run(namespace.start(retryPolicyConfiguration={"maxAttempts": 1}))
    assert told(run, "retryPolicyConfiguration", "retryPolicyExecution") == (None, None)


# The scheduler's limits


def test_as_many_job_runs_run_at_a_time_as_the_virtual_cluster_allows(endpoint):
    namespace = Namespace(endpoint, schedulerConfiguration={"maxConcurrentJobRuns": 1})
    first, second = namespace.start("hold", "1"), namespace.start("hold", "2")
    eventually(lambda: (namespace.state(first), namespace.state(second)), ("RUNNING", "SUBMITTED"))
    assert namespace.described()["schedulerStatus"] == {"currentInQueueJobRuns": 1, "currentConcurrentJobRuns": 1}
    succeed(endpoint, "1")
    eventually(lambda: (namespace.state(first), namespace.state(second)), ("COMPLETED", "RUNNING"))


def test_a_full_queue_refuses_job_runs_until_there_is_room(endpoint):
    limits = {"maxConcurrentJobRuns": 1, "maxInQueueJobRuns": 1}
    namespace = Namespace(endpoint, schedulerConfiguration=limits)
    first = namespace.start("hold", "1")
    eventually(lambda: namespace.state(first), "RUNNING")
    namespace.start("hold", "2")
    code, message = refusal(namespace.start)
    assert (code, message) == ("ValidationException", f"The job run queue of virtual cluster {namespace.id} is full")
    namespace.eks.update_virtual_cluster(id=namespace.id, schedulerConfiguration={"maxConcurrentJobRuns": 2})
    assert namespace.described()["schedulerConfiguration"] == {"maxConcurrentJobRuns": 2}
    third = namespace.start()
    eventually(lambda: namespace.described()["schedulerStatus"]["currentConcurrentJobRuns"], 2)
    assert namespace.state(third) == "SUBMITTED"


# Client tokens


def test_a_client_token_starts_one_job_run_however_often_it_is_sent(endpoint, namespace):
    ids = {namespace.start("hold", "1", clientToken="once") for _ in range(3)}
    assert len(ids) == 1
    assert [run["clientToken"] for run in namespace.eks.list_job_runs(virtualClusterId=namespace.id)["jobRuns"]] == [
        "once"
    ]


def test_a_client_token_of_another_request_is_refused(namespace):
    namespace.start(clientToken="once")
    code, message = refusal(namespace.start, script="fail", clientToken="once")
    assert (code, message) == ("ValidationException", "Client token once was already used with other parameters")


# Listings


def test_job_runs_are_listed_newest_first_by_pages_by_state_name_and_time(endpoint, namespace):
    made = []
    for number in range(5):
        made.append(namespace.start("fail" if number % 2 else "succeed", name=f"n{number}"))
        endpoint.clock.advance(10)
    eventually(lambda: {namespace.state(run_id) for run_id in made}, {"COMPLETED", "FAILED"})

    def listed(**wanted):
        pages = namespace.eks.get_paginator("list_job_runs").paginate(
            virtualClusterId=namespace.id, PaginationConfig={"PageSize": 2}, **wanted
        )
        return [made.index(run["id"]) for page in pages for run in page["jobRuns"]]

    eventually(lambda: listed(states=["COMPLETED"]), [4, 2, 0])
    assert listed() == [4, 3, 2, 1, 0]
    assert listed(states=["COMPLETED", "FAILED"], name="n3") == [3]
    at = namespace.run(made[2])["createdAt"]
    assert (listed(createdAfter=at), listed(createdBefore=at)) == ([4, 3, 2], [2, 1, 0])


def test_a_job_run_that_starts_between_pages_moves_no_other(endpoint, namespace):
    ids = []
    for _ in range(3):
        ids.append(namespace.start())
        endpoint.clock.advance(1)
    first = namespace.eks.list_job_runs(virtualClusterId=namespace.id, maxResults=2)
    namespace.start()
    second = namespace.eks.list_job_runs(virtualClusterId=namespace.id, nextToken=first["nextToken"])
    assert [run["id"] for run in first["jobRuns"] + second["jobRuns"]] == ids[::-1]


# Logs


def test_logs_are_in_s3_and_cloudwatch_before_the_job_run_is_seen_as_ended(endpoint, namespace):
    endpoint.s3.create_bucket(Bucket="local-logs")
    monitoring = {
        "s3MonitoringConfiguration": {"logUri": "s3://local-logs/eks/"},
        "cloudWatchMonitoringConfiguration": {"logGroupName": "/eks/jobs", "logStreamNamePrefix": "flights"},
    }
    run_id = namespace.start(configurationOverrides={"monitoringConfiguration": monitoring})
    eventually(lambda: namespace.state(run_id), "COMPLETED")
    containers = f"{namespace.id}/jobs/{run_id}/containers"
    driver = f"{containers}/spark-{run_id}/spark-{run_id}-driver"
    for name in ("stdout", "stderr"):
        stored = endpoint.s3.get_object(Bucket="local-logs", Key=f"eks/{driver}/{name}.gz")["Body"].read()
        assert gzip.decompress(stored).decode() == f"{name} of succeed"
        events = endpoint.client("logs").get_log_events(
            logGroupName="/eks/jobs", logStreamName=f"flights/{driver}/{name}"
        )["events"]
        assert [event["message"] for event in events] == [f"{name} of succeed"]
    keys = [found["Key"] for found in endpoint.s3.list_objects_v2(Bucket="local-logs")["Contents"]]
    (runner,) = [key for key in keys if driver not in key]
    assert runner.startswith(f"eks/{containers}/{run_id}-")


def test_each_attempts_driver_has_a_pod_and_logs_of_its_own(endpoint, namespace):
    endpoint.s3.create_bucket(Bucket="local-logs")
    monitoring = {"s3MonitoringConfiguration": {"logUri": "s3://local-logs"}}
    run_id = namespace.start(
        "fail",
        retryPolicyConfiguration={"maxAttempts": 2},
        configurationOverrides={"monitoringConfiguration": monitoring},
    )
    eventually(lambda: namespace.state(run_id), "FAILED")
    prefix = f"{namespace.id}/jobs/{run_id}/containers/spark-{run_id}/spark-{run_id}-driver-"
    found = endpoint.s3.list_objects_v2(Bucket="local-logs", Prefix=prefix)["Contents"]
    assert len({key["Key"].removeprefix(prefix).partition("/")[0] for key in found}) == 2
    assert len(found) == 4


# What is refused


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"virtualClusterId": "none"}, "ResourceNotFoundException", "Virtual cluster none doesn't exist."),
        (
            {"releaseLabel": "emr-7.99.0-latest"},
            "ResourceNotFoundException",
            "Release emr-7.99.0-latest doesn't exist.",
        ),
        ({"releaseLabel": "emr-7.9.0"}, "ResourceNotFoundException", "Release emr-7.9.0 doesn't exist."),
        ({"executionRoleArn": "arn:aws:iam::1:role/job"}, "ValidationException", "'executionRoleArn' failed"),
        ({"name": "a b"}, "ValidationException", "'name' failed"),
        ({"jobDriver": {}}, "ValidationException", "jobDriver needs exactly one of"),
        ({"jobDriver": {"sparkSqlJobDriver": {}}}, "ValidationException", "sparkSqlJobDriver needs an entryPoint"),
        (
            {"jobDriver": {"sparkSubmitJobDriver": {"entryPoint": "a", "sparkSubmitParameters": "--conf 'a"}}},
            "ValidationException",
            "cannot be split into words: No closing quotation",
        ),
        (
            {"retryPolicyConfiguration": {"maxAttempts": 0}},
            "ValidationException",
            "Retry policy configuration's parameter value of maxAttempts is invalid",
        ),
        (
            {"configurationOverrides": {"monitoringConfiguration": {"s3MonitoringConfiguration": {"logUri": "/l"}}}},
            "ValidationException",
            "logUri /l is not valid: it must be s3://bucket/prefix",
        ),
        ({"jobTemplateId": "none"}, "ResourceNotFoundException", "Job template none doesn't exist."),
    ],
)
def test_a_job_run_that_aws_would_refuse_is_refused_with_the_cause(namespace, change, code, words):
    found_code, message = refusal(namespace.start, **change)
    assert (found_code, words in message) == (code, True), message
    assert namespace.eks.list_job_runs(virtualClusterId=namespace.id)["jobRuns"] == []


@pytest.mark.parametrize("member", ["executionRoleArn", "releaseLabel", "jobDriver"])
def test_what_only_a_template_could_give_instead_is_required(namespace, member):
    job = {
        "executionRoleArn": ROLE,
        "releaseLabel": "emr-7.9.0-latest",
        "jobDriver": {"sparkSubmitJobDriver": {"entryPoint": "succeed"}},
    }
    del job[member]
    code, message = refusal(namespace.eks.start_job_run, virtualClusterId=namespace.id, **job)
    assert (code, message.partition(" ")[0]) == ("ValidationException", member)


def test_what_is_not_there_is_called_so(namespace):
    unknown = {"virtualClusterId": namespace.id, "id": "none"}
    assert refusal(namespace.eks.describe_job_run, **unknown) == (
        "ResourceNotFoundException",
        "Job run none doesn't exist.",
    )
    assert refusal(namespace.eks.cancel_job_run, **unknown)[0] == "ValidationException"
    assert refusal(namespace.eks.list_job_runs, virtualClusterId="none")[0] == "ValidationException"


# No capacity


def test_a_driver_that_finds_no_room_fails_the_job_run_as_the_clusters_fault(endpoint, namespace):
    fault = {"service": "emr-containers", "fault": "refuse_capacity", "name_contains": "etl/clean"}
    arm = urllib.request.Request(f"{endpoint.url}/_local_emr/faults", json.dumps(fault).encode())
    with urllib.request.urlopen(arm):
        pass
    other, refused = namespace.start(name="carriers"), namespace.start(name="clean")
    eventually(lambda: (namespace.state(other), namespace.state(refused)), ("COMPLETED", "FAILED"))
    run = namespace.run(refused)
    assert run["failureReason"] == "CLUSTER_UNAVAILABLE"
    assert "due to lack of cluster resources" in run["stateDetails"]
    assert len(endpoint.engine.started) == 1
    again = namespace.start(name="clean")
    eventually(lambda: namespace.state(again), "COMPLETED")
