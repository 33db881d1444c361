"""The `aws` command line and boto3 use EMR Serverless and EMR on EKS as AWS documents them; job runs are scripted."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.local_emr.asking import create, refusal
from tests.local_emr.commands import ROLE, SMALL, command_line_of, provider
from tests.local_emr.scripted import eventually, step


@pytest.fixture
def aws(endpoint, monkeypatch, capsys):
    """Return the command line of a user of an endpoint whose job runs end as their entry point says."""
    return command_line_of(endpoint.url, monkeypatch, capsys)


def client(endpoint, service):
    """Return a client that leaves every check of its input to the service."""
    config = Config(parameter_validation=False, retries={"total_max_attempts": 1})
    keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    return boto3.client(service, endpoint_url=endpoint.url, region_name="us-east-1", config=config, **keys)


@pytest.fixture
def serverless(endpoint):
    return client(endpoint, "emr-serverless")


@pytest.fixture
def eks(endpoint):
    return client(endpoint, "emr-containers")


def application_of(serverless, release="emr-7.10.0", **more):
    """Create an application and return its id once it is there."""
    made = serverless.create_application(**{"releaseLabel": release, "type": "SPARK", **more})["applicationId"]
    eventually(lambda: serverless.get_application(applicationId=made)["application"]["state"], "CREATED")
    return made


def spark(*arguments, **more):
    """Return the members of a Serverless job run whose arguments say how it ends."""
    entry_point, *rest = arguments
    driver = {"sparkSubmit": {"entryPoint": entry_point, "entryPointArguments": rest}}
    return {"executionRoleArn": ROLE, "jobDriver": driver, **more}


def becomes(serverless, application, run, state):
    """Wait until a Serverless job run is in `state`, and return its description."""
    asked = {"applicationId": application, "jobRunId": run}
    eventually(lambda: serverless.get_job_run(**asked)["jobRun"]["state"], state)
    return serverless.get_job_run(**asked)["jobRun"]


def on_eks(entry_point="succeed", **more):
    """Return the members of a job run on EKS."""
    driver = {"sparkSubmitJobDriver": {"entryPoint": entry_point}}
    return {"executionRoleArn": ROLE, "releaseLabel": "emr-7.9.0-latest", "jobDriver": driver, **more}


# The command line, as "Getting started from the AWS CLI" and the pages after it write it


def test_an_application_goes_through_the_steps_of_getting_started(aws):
    created = aws(
        'aws emr-serverless create-application --release-label emr-6.6.0 --type "SPARK" --name my-application'
    )
    aws.names["ID"] = created["applicationId"]
    state = "aws emr-serverless get-application --application-id $ID --query application.state --output text"
    eventually(lambda: aws(state), "CREATED")
    aws("aws emr-serverless start-application --application-id $ID")
    eventually(lambda: aws(state), "STARTED")
    aws.names["SMALL"] = SMALL
    aws.names["RUN"] = aws("""
        aws emr-serverless start-job-run --application-id $ID --execution-role-arn $ROLE --name job-run-name
            --execution-timeout-minutes 15 --tags 'team=flights,cost-center=1'
            --job-driver '{
                "sparkSubmit": {
                    "entryPoint": "succeed",
                    "entryPointArguments": ["s3://amzn-s3-demo-bucket/emr-serverless-spark/output"],
                    "sparkSubmitParameters": "$SMALL"
                }
            }'
            --configuration-overrides '{
                "monitoringConfiguration": {"s3MonitoringConfiguration": {"logUri": "s3://amzn-s3-demo-bucket/logs"}}
            }'
        """)["jobRunId"]
    described = "aws emr-serverless get-job-run --application-id $ID --job-run-id $RUN --query jobRun"
    eventually(lambda: aws(f"{described}.state --output text"), "SUCCESS")
    assert aws(f"{described}.[name,executionTimeoutMinutes,tags]") == [
        "job-run-name",
        15,
        {"team": "flights", "cost-center": "1"},
    ]
    listed = "aws emr-serverless list-job-runs --application-id $ID --query 'jobRuns[].[name,state]' --output text"
    assert [aws(f"{listed} {more}") for more in ("--states SUCCESS FAILED", "--states FAILED", "--mode STREAMING")] == [
        "job-run-name\tSUCCESS",
        "",
        "",
    ]
    aws("aws emr-serverless stop-application --application-id $ID")
    eventually(lambda: aws(state), "STOPPED")
    aws("aws emr-serverless delete-application --application-id $ID")
    assert aws("aws emr-serverless list-applications --states CREATED STARTED STOPPED") == {"applications": []}


@pytest.mark.parametrize(
    ("kind", "first", "second", "disk"),
    [
        ("HIVE", "DRIVER", "TEZ_TASK", '"disk": "30gb"'),
        ("SPARK", "DRIVER", "EXECUTOR", '"disk": "500GB", "diskType": "SHUFFLE_OPTIMIZED"'),
        ("Hive", "HiveDriver", "TezTask", '"disk": "200 GB", "diskType": "Standard"'),
        ("spark", "Driver", "Executor", '"disk": "20 GB"'),
    ],
)
def test_workers_are_initialized_as_the_user_guide_writes_them(aws, kind, first, second, disk):
    aws.names |= {"TYPE": kind, "FIRST": first, "SECOND": second, "DISK": disk}
    created = aws("""
        aws emr-serverless create-application --type $TYPE --name my-application-name --release-label emr-7.1.0
            --initial-capacity '{
                "$FIRST": {"workerCount": 5, "workerConfiguration": {"cpu": "2vCPU", "memory": "4GB"}},
                "$SECOND": {"workerCount": 50, "workerConfiguration": {"cpu": "4vCPU", "memory": "8GB", $DISK}}
            }'
            --maximum-capacity '{"cpu": "400vCPU", "memory": "1024GB"}'
        """)
    aws.names["ID"] = created["applicationId"]
    query = f"--query application.initialCapacity.{second}.workerCount"
    assert aws(f"aws emr-serverless get-application --application-id $ID {query}") == "50"


@pytest.mark.parametrize(
    ("kind", "driver", "expected"),
    [
        ("SPARK", "spark.emr-serverless.executor.disk=500G", ("FAILED", "choose 20 to 200 GB")),
        ("SPARK", "spark.emr-serverless.executor.disk.type=shuffle_optimized", ("SUCCESS", "")),
        ("HIVE", "hive.tez.disk.type=shuffle_optimized", ("SUCCESS", "")),
        ("HIVE", "hive.driver.disk.type=fast", ("FAILED", "choose standard or shuffle_optimized")),
    ],
)
def test_job_runs_have_shuffle_optimized_disks_if_they_ask_for_them(serverless, kind, driver, expected):
    application = application_of(serverless, "emr-7.1.0", type=kind)
    sizes = "--conf spark.emr-serverless.executor.disk=500G --conf"
    drivers = {
        "SPARK": {"sparkSubmit": {"entryPoint": "succeed", "sparkSubmitParameters": f"{sizes} {driver}"}},
        "HIVE": {"hive": {"query": "succeed", "parameters": f"--hiveconf hive.tez.disk.size=500G --hiveconf {driver}"}},
    }
    asked = {"executionRoleArn": ROLE, "jobDriver": drivers[kind]}
    run = serverless.start_job_run(applicationId=application, **asked)["jobRunId"]
    assert expected[1] in becomes(serverless, application, run, expected[0])["stateDetails"]


def test_the_command_line_goes_on_where_a_listing_was_left(aws, serverless):
    aws.names["ID"] = application = application_of(serverless)
    names = [f"run-{number}" for number in range(5)]
    for name in names:
        serverless.start_job_run(applicationId=application, name=name, **spark("hold", name))
    listing = "aws emr-serverless list-job-runs --application-id $ID"
    first = aws(f"{listing} --page-size 2 --max-items 3")
    rest = aws(f"{listing} --page-size 2 --starting-token {first['NextToken']}")
    assert sorted(run["name"] for page in (first, rest) for run in page["jobRuns"]) == names
    assert len(aws(f"{listing} --max-results 2 --no-paginate")["jobRuns"]) == 2


def test_times_are_understood_in_every_way_that_iso_8601_writes_them(aws, serverless, endpoint):
    aws.names["ID"] = application = application_of(serverless)
    serverless.start_job_run(applicationId=application, **spark("hold", "a"))
    now = datetime.fromtimestamp(endpoint.clock.now(), UTC)
    in_kolkata = now.astimezone(timezone(timedelta(hours=5, minutes=30)))
    listed = "aws emr-serverless list-job-runs --application-id $ID --query 'length(jobRuns)'"
    for moment in (now.isoformat(), in_kolkata.isoformat(), f"{now:%Y-%m-%dT%H:%M:%SZ}", str(int(now.timestamp()))):
        assert aws(f"{listed} --created-at-after {moment} --created-at-before {moment}") == "1", moment
    later = (in_kolkata + timedelta(seconds=1)).isoformat()
    assert [aws(f"{listed} --created-at-after {later}"), aws(f"{listed} --created-at-before 2013-01-15")] == ["0", "0"]


def test_job_runs_on_eks_come_from_request_files_and_templates(aws, tmp_path):
    aws.names["VC"] = aws(f"""
        aws emr-containers create-virtual-cluster --name analytics --tags team=flights
            --container-provider '{json.dumps(provider("spark"))}'
        """)["id"]
    overrides = {
        "applicationConfiguration": [{"classification": "spark-defaults", "properties": {"spark.driver.memory": "2G"}}],
        "monitoringConfiguration": {
            "persistentAppUI": "ENABLED",
            "s3MonitoringConfiguration": {"logUri": "s3://amzn-s3-demo-bucket"},
        },
    }
    parameters = "--conf spark.executor.instances=2 --conf spark.driver.cores=${Cores}"
    driver = {"entryPoint": "succeed", "entryPointArguments": ["${Day}", "é"], "sparkSubmitParameters": parameters}
    job = {
        "executionRoleArn": ROLE,
        "releaseLabel": "emr-6.7.0-latest",
        "jobDriver": {"sparkSubmitJobDriver": driver},
        "configurationOverrides": overrides,
    }
    configuration = {"Day": {"type": "STRING"}, "Cores": {"type": "NUMBER", "defaultValue": "1"}}
    template = {"name": "daily", "jobTemplateData": {**job, "parameterConfiguration": configuration}}
    (tmp_path / "template.json").write_text(json.dumps(template))
    template_id = aws(f"aws emr-containers create-job-template --cli-input-json file://{tmp_path}/template.json")["id"]
    request = {"name": "by-template", "jobTemplateId": template_id, "jobTemplateParameters": {"Day": "2013-01-15"}}
    (tmp_path / "request.json").write_text(json.dumps(request))
    start = "aws emr-containers start-job-run --virtual-cluster-id $VC"
    aws.names["RUN"] = aws(f"{start} --cli-input-json file://{tmp_path}/request.json")["id"]
    run = aws("aws emr-containers describe-job-run --virtual-cluster-id $VC --id $RUN")["jobRun"]
    assert run["configurationOverrides"] == overrides
    assert run["jobDriver"]["sparkSubmitJobDriver"] == {
        "entryPoint": "succeed",
        "entryPointArguments": ["2013-01-15", "é"],
        "sparkSubmitParameters": "--conf spark.executor.instances=2 --conf spark.driver.cores=1",
    }
    assert "no default" in aws.refused(f"{start} --job-template-id {template_id}")
    listing = "aws emr-containers list-job-runs --virtual-cluster-id $VC --name by-template --query 'jobRuns[].state'"
    eventually(lambda: aws(f"{listing} --states COMPLETED FAILED"), ["COMPLETED"])
    assert aws(f"{listing} --created-after 2100-01-01T00:00:00+09:00") == []


# boto3


def test_every_paginator_shows_everything_once(serverless, eks):
    application = application_of(serverless)
    owner = eks.create_virtual_cluster(name="owner", containerProvider=provider("owner"))["id"]
    failing = spark("fail", retryPolicy={"maxAttempts": 5})
    tried = serverless.start_job_run(applicationId=application, **failing)["jobRunId"]
    for number in range(4):
        serverless.create_application(releaseLabel="emr-7.10.0", type="HIVE")
        serverless.start_job_run(applicationId=application, **spark("succeed"))
        eks.create_virtual_cluster(name=f"etl-{number}", containerProvider=provider(f"etl-{number}"))
    for _ in range(5):
        eks.start_job_run(virtualClusterId=owner, **on_eks())
        eks.create_job_template(name="template", jobTemplateData=on_eks())
    run = {"applicationId": application, "jobRunId": tried}
    eventually(lambda: serverless.get_job_run(**run)["jobRun"]["attempt"], 5)
    listings = [
        (serverless, "list_applications", "applications", {}),
        (serverless, "list_job_runs", "jobRuns", {"applicationId": application}),
        (serverless, "list_job_run_attempts", "jobRunAttempts", run),
        (eks, "list_virtual_clusters", "virtualClusters", {}),
        (eks, "list_job_runs", "jobRuns", {"virtualClusterId": owner}),
        (eks, "list_job_templates", "templates", {}),
    ]
    for service, operation, members, request in listings:
        pages = service.get_paginator(operation).paginate(**request, PaginationConfig={"PageSize": 2})
        found = [page[members] for page in pages]
        assert [len(page) for page in found] == [2, 2, 1], operation
        keys = {json.dumps(item, default=str) for page in found for item in page}
        assert len(keys) == 5, operation


def test_what_is_not_there_is_named(serverless, eks):
    for call, request in (
        (serverless.list_sessions, {"applicationId": "00a"}),
        (eks.list_managed_endpoints, {"virtualClusterId": "a"}),
        (eks.list_security_configurations, {}),
    ):
        code, message = refusal(call, **request)
        assert (code, "does not implement yet" in message) == ("NotImplementedException", True)


def test_unusual_but_legal_input_comes_back_as_it_was_sent(serverless, eks):
    longest = "a" * 64
    application = application_of(
        serverless,
        name=longest,
        tags={"k" * 128: "v" * 256, "empty": ""},
        runtimeConfiguration=[],
        maximumCapacity={"cpu": "400", "memory": "1024"},
    )
    found = serverless.get_application(applicationId=application)["application"]
    assert (found["name"], found["tags"]) == (longest, {"k" * 128: "v" * 256, "empty": ""})
    name, arguments = "日次 “flights” é 🛫".ljust(256, "x"), ["日本", "a b", "--x='1'", "line\nline", "$HOME", "\\"]
    asked = spark("succeed", *arguments, name=name, tags={}, configurationOverrides={"applicationConfiguration": []})
    run = serverless.start_job_run(applicationId=application, **asked)["jobRunId"]
    found = serverless.get_job_run(applicationId=application, jobRunId=run)["jobRun"]
    assert (found["name"], found["jobDriver"]) == (name, asked["jobDriver"])
    everything = {"states": [], "createdAtAfter": datetime(2013, 1, 15, tzinfo=timezone(timedelta(hours=-5)))}
    assert [
        listed["id"] for listed in serverless.list_job_runs(applicationId=application, **everything)["jobRuns"]
    ] == [run]

    tags = {"ключ": "значение é", "空": "-"}
    cluster = eks.create_virtual_cluster(name="./_-#" + "a" * 59, containerProvider=provider("n" * 63), tags=tags)
    assert eks.list_tags_for_resource(resourceArn=cluster["arn"])["tags"] == tags
    eks.untag_resource(resourceArn=cluster["arn"], tagKeys=["空", "not there"])
    assert eks.list_tags_for_resource(resourceArn=cluster["arn"])["tags"] == {"ключ": "значение é"}
    eks.start_job_run(virtualClusterId=cluster["id"], name="team/etl#1", clientToken="日" * 64, **on_eks())
    assert len(eks.list_job_runs(virtualClusterId=cluster["id"], states=[], name="team/etl#1")["jobRuns"]) == 1


@pytest.mark.parametrize("service", ["emr-serverless", "emr-containers"])
def test_a_token_sent_by_many_at_once_starts_one_job_run(endpoint, service):
    calls = client(endpoint, service)
    if service == "emr-serverless":
        owner, request, identity = {"applicationId": application_of(calls)}, spark("hold", "a"), "jobRunId"
    else:
        made = calls.create_virtual_cluster(name="etl", containerProvider=provider("etl"))
        owner, request, identity = {"virtualClusterId": made["id"]}, on_eks(), "id"
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: calls.start_job_run(**owner, **request, clientToken="once"), range(16)))
    assert len({answer[identity] for answer in answers}) == 1
    assert len(calls.list_job_runs(**owner)["jobRuns"]) == 1
    other = calls.exceptions.ConflictException if service == "emr-serverless" else calls.exceptions.ValidationException
    with pytest.raises(other, match="once"):
        calls.start_job_run(**owner, **request, name="another", clientToken="once")


NOT_JOB_RUNS = [
    spark("succeed", executionTimeoutMinutes=-1),
    spark("succeed", executionRoleArn="role"),
    spark("succeed", name=""),
    spark("succeed", name="x" * 257),
    spark("succeed", mode="batch"),
    spark("succeed", retryPolicy={"maxAttempts": 0}),
    spark("succeed", clientToken="a b"),
    spark("succeed", tags={"é": "a"}),
    {"executionRoleArn": ROLE},
    {"executionRoleArn": ROLE, "jobDriver": {}},
    {"executionRoleArn": ROLE, "jobDriver": {"sparkSubmit": {}}},
    {"executionRoleArn": ROLE, "jobDriver": {"sparkSubmit": {"entryPoint": "a"}, "hive": {"query": "b"}}},
]


def test_what_is_no_job_run_is_a_validation_exception(serverless):
    application = application_of(serverless)
    for request in NOT_JOB_RUNS:
        code, message = refusal(serverless.start_job_run, applicationId=application, **request)
        assert code == "ValidationException", (request, message)
    assert serverless.list_job_runs(applicationId=application)["jobRuns"] == []


def test_errors_have_the_classes_that_the_models_name(serverless, eks):
    gone = serverless.exceptions.ResourceNotFoundException
    with pytest.raises(gone, match="00never") as raised:
        serverless.get_application(applicationId="00never")
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    with pytest.raises(gone):
        serverless.get_job_run(applicationId=application_of(serverless), jobRunId="00never")
    with pytest.raises(gone):
        serverless.list_tags_for_resource(
            resourceArn="arn:aws:emr-serverless:us-east-1:123456789012:/applications/00never"
        )
    with pytest.raises(eks.exceptions.ResourceNotFoundException) as raised:
        eks.describe_virtual_cluster(id="never")
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    for wrong in ({"maxResults": 0}, {"maxResults": 51}, {"maxResults": "many"}, {"nextToken": "bm9uZQ=="}):
        with pytest.raises(serverless.exceptions.ValidationException):
            serverless.list_applications(**wrong)
    with pytest.raises(ClientError, match="ValidationException"):
        eks.list_virtual_clusters(states=["ALIVE"])


# What depends on the release or the state


@pytest.mark.parametrize(
    ("release", "request_", "words"),
    [
        ("emr-7.0.0", {"mode": "STREAMING"}, "STREAMING mode is supported with release labels emr-7.1.0 and above"),
        ("emr-7.0.0", {"retryPolicy": {"maxAttempts": 2}}, "retryPolicy is supported with release labels emr-7.1.0"),
        ("emr-7.11.0", {"executionTimeoutMinutes": 0}, "between 1 and 10080; it is 0"),
        ("emr-7.11.0", {"executionTimeoutMinutes": 10081}, "between 1 and 10080; it is 10081"),
    ],
)
def test_a_job_run_is_refused_what_its_release_does_not_have(serverless, release, request_, words):
    application = application_of(serverless, release)
    code, message = refusal(serverless.start_job_run, applicationId=application, **spark("succeed", **request_))
    assert (code, words in message) == ("ValidationException", True), message


def test_a_job_run_has_what_its_release_has(serverless):
    for release, request in (
        ("emr-7.0.0", {"executionTimeoutMinutes": 0}),
        ("emr-7.1.0", {"mode": "STREAMING"}),
        ("emr-7.11.0", {"mode": "STREAMING", "executionTimeoutMinutes": 0}),
        ("emr-7.11.0", {"executionTimeoutMinutes": 10080, "retryPolicy": {"maxAttempts": 2}}),
    ):
        application = application_of(serverless, release)
        serverless.start_job_run(applicationId=application, **spark("succeed", **request))


def test_hive_does_not_stream(serverless):
    application = application_of(serverless, type="HIVE")
    hive = {"executionRoleArn": ROLE, "jobDriver": {"hive": {"query": "SELECT 1"}}, "mode": "STREAMING"}
    assert refusal(serverless.start_job_run, applicationId=application, **hive) == (
        "ValidationException",
        "STREAMING mode is not supported for applications of type Hive",
    )


def test_spark_sql_and_retries_on_eks_need_the_releases_that_brought_them(eks):
    cluster = eks.create_virtual_cluster(name="etl", containerProvider=provider("etl"))["id"]
    sql, retries = {"sparkSqlJobDriver": {"entryPoint": "succeed"}}, {"maxAttempts": 2}
    for old, new, request, words in (
        ("emr-6.6.0-latest", "emr-6.7.0-latest", {"jobDriver": sql}, "6.7.0 and higher"),
        ("emr-6.8.0-latest", "emr-6.9.0-20230509", {"retryPolicyConfiguration": retries}, "6.9.0 and higher"),
    ):
        job = on_eks(**request)
        code, message = refusal(eks.start_job_run, virtualClusterId=cluster, **job | {"releaseLabel": old})
        assert (code, words in message) == ("ValidationException", True)
        eks.start_job_run(virtualClusterId=cluster, **job | {"releaseLabel": new})


def test_a_started_application_takes_more_capacity_without_being_stopped(serverless):
    application = application_of(
        serverless,
        maximumCapacity={"cpu": "4 vCPU", "memory": "16 GB"},
        schedulerConfiguration={"maxConcurrentRuns": 1, "queueTimeoutMinutes": 30},
    )
    serverless.start_application(applicationId=application)

    def described():
        return serverless.get_application(applicationId=application)["application"]

    eventually(lambda: described()["state"], "STARTED")
    update = serverless.update_application
    update(applicationId=application, maximumCapacity={"cpu": "64 vCPU", "memory": "256 GB"})
    update(applicationId=application, schedulerConfiguration={"maxConcurrentRuns": 5})
    assert (described()["maximumCapacity"]["cpu"], described()["schedulerConfiguration"]) == (
        "64 vCPU",
        {"maxConcurrentRuns": 5, "queueTimeoutMinutes": 30},
    )
    run = serverless.start_job_run(applicationId=application, **spark("succeed"))["jobRunId"]
    becomes(serverless, application, run, "SUCCESS")
    for fixed in ({"architecture": "ARM64"}, {"schedulerConfiguration": {"queueTimeoutMinutes": 60}}):
        code, message = refusal(update, applicationId=application, **fixed)
        assert (code, message.partition(":")[0]) == (
            "ValidationException",
            "Only the following configurations can be updated when an application is in STARTED state",
        )


def test_a_grace_period_is_none_or_between_15_seconds_and_half_an_hour(serverless):
    application = application_of(serverless)
    run = serverless.start_job_run(applicationId=application, **spark("hold", "a"))["jobRunId"]
    cancel, asked = serverless.cancel_job_run, {"applicationId": application, "jobRunId": run}
    for seconds in (-1, 14, 1801):
        code, message = refusal(cancel, **asked, shutdownGracePeriodInSeconds=seconds)
        assert (code, f"it is {seconds}" in message) == ("ValidationException", True)
    cancel(**asked, shutdownGracePeriodInSeconds=15)
    becomes(serverless, application, run, "CANCELLED")


def test_there_is_no_dashboard_before_a_job_run_runs(serverless):
    application = application_of(serverless, maximumCapacity={"cpu": "16 vCPU", "memory": "64 GB"})
    runs = [serverless.start_job_run(applicationId=application, **spark("hold", name))["jobRunId"] for name in "ab"]
    becomes(serverless, application, runs[1], "SCHEDULED")
    assert refusal(serverless.get_dashboard_for_job_run, applicationId=application, jobRunId=runs[1]) == (
        "ValidationException",
        "Dashboard cannot be served for job in SCHEDULED state",
    )


def test_what_emr_s_images_have_elsewhere_is_not_looked_for_there(endpoint, serverless, eks):
    exports = {
        "PYSPARK_PYTHON": "/usr/bin/python3",
        "JAVA_HOME": "/usr/lib/jvm/java-17-amazon-corretto",
        "STAGE": "dev",
    }
    export = [{"classification": "export", "properties": exports}]
    overrides = {"applicationConfiguration": [{"classification": "spark-env", "configurations": export}]}
    application = application_of(serverless)
    serverless.start_job_run(applicationId=application, **spark("succeed", configurationOverrides=overrides))
    cluster = eks.create_virtual_cluster(name="etl", containerProvider=provider("etl"))["id"]
    eks.start_job_run(virtualClusterId=cluster, **on_eks(configurationOverrides=overrides))
    export = [{"Classification": "export", "Properties": exports}]
    create(endpoint, step("succeed"), Configurations=[{"Classification": "hadoop-env", "Configurations": export}])
    eventually(lambda: len(endpoint.engine.environments), 3)
    found = [{name: given.get(name) for name in exports} for given, _ in endpoint.engine.environments]
    assert found == [{"PYSPARK_PYTHON": None, "JAVA_HOME": None, "STAGE": "dev"}] * 3
