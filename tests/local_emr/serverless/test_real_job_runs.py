"""The `aws` command line runs a Spark and a Hive job on EMR Serverless as it would on AWS, and they really run."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.local_emr.conftest import client_of
from tests.local_emr.scripted import eventually
from tests.local_emr.serverless.asking import ROLE
from tests.support.endpoint import CLIENT_ENVIRONMENT, running_endpoint

AWS = Path(sys.executable).with_name("aws")

CLEAN = """
import sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.appName("clean the flights").getOrCreate()
flights = spark.read.csv(sys.argv[1], header=True, inferSchema=True)
print("rows:", flights.where("dep_delay is not null").count())
"""

DELAYS = """
CREATE EXTERNAL TABLE flights (carrier STRING, dep_delay INT)
ROW FORMAT DELIMITED FIELDS TERMINATED BY ',' LOCATION 's3://local-data/raw/' TBLPROPERTIES ('skip.header.line.count'='1');
INSERT OVERWRITE DIRECTORY '${out}' ROW FORMAT DELIMITED FIELDS TERMINATED BY ','
SELECT carrier, SUM(dep_delay) FROM flights WHERE carrier <> 'carrier' GROUP BY carrier ORDER BY carrier;
"""


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    """Return a function that runs `aws emr-serverless` and reads its answer; it also has clients of the endpoint."""
    with running_endpoint(tmp_path_factory.mktemp("serverless")) as url:
        environment = {**os.environ, **CLIENT_ENVIRONMENT, "AWS_ENDPOINT_URL": url}

        def call(operation, **options):
            words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
            command = [AWS, "emr-serverless", operation, *words, "--output", "json"]
            done = subprocess.run(command, check=True, env=environment, capture_output=True, text=True, timeout=60)
            return json.loads(done.stdout or "{}")

        call.serverless, call.s3, call.logs = (client_of(url, service) for service in ("emr-serverless", "s3", "logs"))
        for bucket in ("local-data", "local-logs"):
            call.s3.create_bucket(Bucket=bucket)
        objects = {"raw/flights.csv": "carrier,dep_delay\nUA,2\nUA,4\nAA,\nAA,-3\n", "clean.py": CLEAN, "d.hql": DELAYS}
        for key, body in objects.items():
            call.s3.put_object(Bucket="local-data", Key=key, Body=body.encode())
        call.url = url
        yield call


ENDED = {"SUCCESS", "FAILED", "CANCELLED"}


def create(aws, **asked):
    """Create an application through the command line, wait until it is there, and return its id."""
    application = aws("create-application", release_label="emr-7.10.0", **asked)["applicationId"]
    get = aws.serverless.get_application
    eventually(lambda: get(applicationId=application)["application"]["state"], "CREATED")
    return application


def ended(aws, application, job_run):
    """Wait until a job run has ended, and return its description."""
    key = {"applicationId": application, "jobRunId": job_run}
    get = aws.serverless.get_job_run
    eventually(lambda: get(**key)["jobRun"]["state"] in ENDED, expected=True, every=0.5, within=180)
    return get(**key)["jobRun"]


def test_spark_runs_with_logs_a_bill_and_a_dashboard(aws):
    monitoring = {
        "s3MonitoringConfiguration": {"logUri": "s3://local-logs/serverless/"},
        "cloudWatchLoggingConfiguration": {"enabled": True},
    }
    application = create(aws, type="SPARK", monitoring_configuration=json.dumps(monitoring))
    spark = {"entryPoint": "s3://local-data/clean.py", "entryPointArguments": ["s3://local-data/raw/flights.csv"]}
    driver = {"sparkSubmit": {**spark, "sparkSubmitParameters": "--conf spark.driver.cores=2"}}
    asked = {"application_id": application, "execution_role_arn": ROLE}
    started = aws("start-job-run", **asked, job_driver=json.dumps(driver))
    good = ended(aws, application, started["jobRunId"])
    listed = aws("list-job-runs", application_id=application, states="SUCCESS")["jobRuns"]
    assert [started["jobRunId"]] == [entry["id"] for entry in listed], good["stateDetails"]
    assert good["billedResourceUtilization"]["vCPUHour"] >= round((2 + 3 * 4) / 60, 3)
    place = f"/applications/{application}/jobs/{good['jobRunId']}/SPARK_DRIVER/stdout"
    body = aws.s3.get_object(Bucket="local-logs", Key=f"serverless{place}.gz")["Body"].read()
    assert "rows: 3" in gzip.decompress(body).decode()
    events = aws.logs.get_log_events(logGroupName="/aws/emr-serverless", logStreamName=place)["events"]
    assert "rows: 3" in [event["message"] for event in events]

    url = aws("get-dashboard-for-job-run", application_id=application, job_run_id=good["jobRunId"])["url"]
    assert url.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(url) as page:
        assert "clean the flights - Spark Jobs" in page.read().decode()
    with urllib.request.urlopen(f"{aws.url}/_local_emr/spark-ui/{application}/{good['jobRunId']}") as page:
        assert page.url == url
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{aws.url}/_local_emr/spark-ui/s-NEVER")
    assert (caught.value.code, json.loads(caught.value.read())["message"]) == (
        404,
        "There is no Spark UI of 's-NEVER': Spark has written no event log for it",
    )


def test_hive_runs_a_script_with_its_variables(aws):
    application = create(aws, type="HIVE")
    parameters = "--hiveconf hive.exec.scratchdir=s3://local-data/scratch -d out=s3://local-data/delays/"
    driver = {"hive": {"query": "s3://local-data/d.hql", "parameters": parameters}}
    asked = {"application_id": application, "execution_role_arn": ROLE, "job_driver": json.dumps(driver)}
    hive = ended(aws, application, aws("start-job-run", **asked)["jobRunId"])
    assert hive["state"] == "SUCCESS", hive["stateDetails"]
    parts = aws.s3.list_objects_v2(Bucket="local-data", Prefix="delays/part-")["Contents"]
    rows = [aws.s3.get_object(Bucket="local-data", Key=part["Key"])["Body"].read() for part in parts]
    assert b"".join(rows) == b"AA,-3\nUA,6\n"
