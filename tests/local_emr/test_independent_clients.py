"""The `aws` command line, boto3's waiters and the amazon provider's hooks run real work on the endpoint."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import botocore
import pyarrow.dataset
import pytest
from botocore.exceptions import WaiterError

from tests.local_emr.conftest import client_of
from tests.support.endpoint import CLIENT_ENVIRONMENT, running_endpoint

AWS = Path(sys.executable).with_name("aws")

SPARK_JOB = """
import sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
flights = spark.read.csv("s3://local-data/raw/flights.csv", header=True, inferSchema=True)
flights.where("dep_delay is not null").write.mode("overwrite").parquet(sys.argv[1])
"""

HIVE_SCRIPT = """
CREATE EXTERNAL TABLE flights (carrier STRING, dep_delay INT) STORED AS PARQUET LOCATION 's3://local-data/flights/';
CREATE EXTERNAL TABLE delays (carrier STRING, delay BIGINT) STORED AS PARQUET LOCATION '${out}';
INSERT OVERWRITE TABLE delays SELECT carrier, SUM(dep_delay) FROM flights GROUP BY carrier;
"""

FLIGHTS = "carrier,dep_delay\nUA,2\nUA,4\nAA,\nAA,-3\n"

HOOK = """
from airflow.providers.amazon.aws.hooks.emr import EmrHook
instances = {"MasterInstanceType": "m5.xlarge", "InstanceCount": 1, "KeepJobFlowAliveWhenNoSteps": True}
hook = EmrHook(aws_conn_id=None, emr_conn_id=None)
overrides = {"Name": "provider", "ReleaseLabel": "emr-7.10.0", "Instances": instances}
cluster_id = hook.create_job_flow(overrides)["JobFlowId"]
assert hook.get_cluster_id_by_name("provider", ["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"]) == cluster_id
jar = {"Jar": "command-runner.jar", "Args": ["bash", "-c", "true"]}
step = {"Name": "true", "ActionOnFailure": "CONTINUE", "HadoopJarStep": jar}
ids = hook.add_job_flow_steps(cluster_id, [step], wait_for_completion=True, waiter_delay=1, waiter_max_attempts=60)
state = hook.conn.describe_step(ClusterId=cluster_id, StepId=ids[0])["Step"]["Status"]["State"]
hook.conn.terminate_job_flows(JobFlowIds=[cluster_id])
hook.get_waiter("job_flow_terminated").wait(ClusterId=cluster_id, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
print("the step is", state)
"""


@pytest.fixture(scope="module")
def real_endpoint(tmp_path_factory):
    """Yield the URL of an endpoint that runs real steps, with buckets, flights and job code in place."""
    with running_endpoint(tmp_path_factory.mktemp("real")) as url:
        s3 = client_of(url, "s3")
        for bucket in ("local-data", "local-logs", "local-artifacts"):
            s3.create_bucket(Bucket=bucket)
        for bucket, key, body in (
            ("local-data", "raw/flights.csv", FLIGHTS),
            ("local-artifacts", "clean.py", SPARK_JOB),
            ("local-artifacts", "delays.hql", HIVE_SCRIPT),
        ):
            s3.put_object(Bucket=bucket, Key=key, Body=body.encode())
        yield url


@pytest.fixture
def aws(real_endpoint, tmp_path):
    """Return a function that runs the `aws` command line, which asks every second, and returns its answer."""
    source = Path(botocore.__file__).parent / "data/emr/2009-03-31"
    waiters = json.loads(next(source.glob("waiters-2.json*")).read_text())
    for waiter in waiters["waiters"].values():
        waiter |= {"delay": 1, "maxAttempts": 150}
    models = tmp_path / "models/emr/2009-03-31"
    models.mkdir(parents=True)
    (models / "waiters-2.json").write_text(json.dumps(waiters))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_ENDPOINT_URL": real_endpoint,
        "AWS_DATA_PATH": str(tmp_path / "models"),
        **CLIENT_ENVIRONMENT,
    }

    def run(*arguments):
        done = subprocess.run(
            [AWS, "--output", "json", *arguments],
            check=False,
            capture_output=True,
            text=True,
            env=environment,
            timeout=180,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.startswith("{") else done.stdout

    return run


def test_the_aws_command_line_runs_spark_and_hive(aws, real_endpoint, tmp_path):
    created = aws(
        *("emr", "create-cluster", "--name", "independent", "--release-label", "emr-7.10.0", "--use-default-roles"),
        *("--applications", "Name=Spark", "Name=Hive", "--instance-type", "m5.xlarge", "--instance-count", "3"),
        *("--log-uri", "s3://local-logs/emr/", "--tags", "owner=test"),
    )
    cluster = ("--cluster-id", created["ClusterId"])
    aws("emr", "wait", "cluster-running", *cluster)
    common = "ActionOnFailure=CONTINUE"
    out = "s3://local-data/delays/"
    steps = [
        f"Type=Spark,Name=clean,{common},Args=[s3://local-artifacts/clean.py,s3://local-data/flights/]",
        f"Type=Hive,Name=delays,{common},Args=[-f,s3://local-artifacts/delays.hql,-d,out={out}]",
        f'Type=CUSTOM_JAR,Name=hello,{common},Jar=command-runner.jar,Args=[bash,-c,"echo hello"]',
    ]
    ids = aws("emr", "add-steps", *cluster, "--steps", *steps)["StepIds"]
    aws("emr", "wait", "step-complete", *cluster, "--step-id", ids[-1])
    steps = aws("emr", "list-steps", *cluster)["Steps"]
    assert [step["Status"]["State"] for step in steps] == ["COMPLETED"] * 3, steps
    assert "_SUCCESS" in aws("s3", "ls", "s3://local-data/flights/")
    described = aws("emr", "describe-cluster", *cluster)["Cluster"]
    assert [group["InstanceGroupType"] for group in described["InstanceGroups"]] == ["MASTER", "CORE"]
    assert {"Key": "owner", "Value": "test"} in described["Tags"]
    aws("emr", "terminate-clusters", "--cluster-ids", created["ClusterId"])
    aws("emr", "wait", "cluster-terminated", *cluster)

    log = f"emr/{created['ClusterId']}/steps/{ids[2]}/stdout.gz"
    body = client_of(real_endpoint, "s3").get_object(Bucket="local-logs", Key=log)["Body"].read()
    assert gzip.decompress(body) == b"hello\n"

    aws("s3", "sync", out, str(tmp_path / "delays"))
    parts = [path for path in (tmp_path / "delays").iterdir() if path.name.startswith("part-")]
    rows = pyarrow.dataset.dataset(parts).to_table().to_pylist()
    assert sorted((row["carrier"], row["delay"]) for row in rows) == [("AA", -3), ("UA", 2 + 4)]


def test_the_aws_command_line_copies_syncs_lists_and_removes(aws, tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "dt=2013-01-15").mkdir(parents=True)
    content = os.urandom(20 * 1024 * 1024)  # more than one part of a multipart upload
    (source / "big").write_bytes(content)
    (source / "dt=2013-01-15/é +.csv").write_text("carrier\n")
    aws("s3", "mb", "s3://synced")
    assert "upload:" in aws("s3", "sync", str(source), "s3://synced/deep/")
    assert aws("s3", "sync", str(source), "s3://synced/deep/") == ""
    aws("s3", "cp", "s3://synced/deep/big", "s3://synced/copy")
    listed = aws("s3", "ls", "--recursive", "s3://synced")
    assert [line.split(maxsplit=3)[2:] for line in listed.splitlines()] == [
        ["20971520", "copy"],
        ["20971520", "deep/big"],
        ["8", "deep/dt=2013-01-15/é +.csv"],
    ]
    aws("s3", "sync", "s3://synced", str(target))
    assert (target / "copy").read_bytes() == content
    aws("s3", "rm", "--recursive", "s3://synced/deep")
    assert [line.split()[-1] for line in aws("s3", "ls", "--recursive", "s3://synced").splitlines()] == ["copy"]
    aws("s3", "rb", "--force", "s3://synced")
    assert "synced" not in aws("s3", "ls")


def test_boto3_waiters_see_a_transient_cluster_fail_with_the_cause(real_endpoint):
    emr = client_of(real_endpoint, "emr")
    jar = {
        "Jar": "command-runner.jar",
        "Args": ["spark-submit", "s3://local-artifacts/clean.py", "s3://no-such-bucket/x"],
    }
    cluster_id = emr.run_job_flow(
        Name="failing",
        ReleaseLabel="emr-7.10.0",
        Instances={"MasterInstanceType": "m5.xlarge", "InstanceCount": 1},
        Steps=[{"Name": "fails", "ActionOnFailure": "TERMINATE_CLUSTER", "HadoopJarStep": jar}],
    )["JobFlowId"]
    with pytest.raises(WaiterError, match="TERMINATED_WITH_ERRORS"):
        emr.get_waiter("cluster_terminated").wait(ClusterId=cluster_id, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
    status = emr.describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]
    assert (status["State"], status["StateChangeReason"]["Code"]) == ("TERMINATED_WITH_ERRORS", "STEP_FAILURE")
    details = emr.list_steps(ClusterId=cluster_id)["Steps"][0]["Status"]["FailureDetails"]
    assert "no-such-bucket" in details["Message"]


def test_the_amazon_provider_s_hook_runs_a_step(real_endpoint, tmp_path):
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "AWS_ENDPOINT_URL": real_endpoint,
        **CLIENT_ENVIRONMENT,
    }
    done = subprocess.run(
        [sys.executable, "-c", HOOK], check=False, capture_output=True, text=True, env=environment, timeout=180
    )
    assert done.returncode == 0, done.stderr
    assert "the step is COMPLETED" in done.stdout
