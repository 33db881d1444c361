"""The `aws` command line runs a Spark job and a Spark SQL script on EKS as it would on AWS, and they really run."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.local_emr.conftest import client_of
from tests.local_emr.eks.conftest import ROLE
from tests.local_emr.scripted import eventually
from tests.support.endpoint import CLIENT_ENVIRONMENT, running_endpoint

AWS = Path(sys.executable).with_name("aws")

CLEAN = """
import sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
flights = spark.read.csv(sys.argv[1], header=True, inferSchema=True)
flights.where("dep_delay is not null").write.mode("overwrite").parquet("s3://local-data/flights")
print("cleaned for", spark.conf.get("spark.flights.day"))
"""

DELAYS = """
INSERT OVERWRITE DIRECTORY 's3://local-data/delays/' USING csv
SELECT carrier, SUM(dep_delay) FROM parquet.`s3://local-data/flights` GROUP BY carrier ORDER BY carrier;
"""


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    """Return a function that runs `aws emr-containers` and reads its answer; its `s3` is a client of the endpoint."""
    with running_endpoint(tmp_path_factory.mktemp("eks")) as url:
        environment = {**os.environ, **CLIENT_ENVIRONMENT, "AWS_ENDPOINT_URL": url}

        def call(operation, **options):
            words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
            command = [AWS, "emr-containers", operation, *words, "--output", "json"]
            done = subprocess.run(command, check=True, env=environment, capture_output=True, text=True, timeout=60)
            return json.loads(done.stdout)

        call.s3, call.eks = client_of(url, "s3"), client_of(url, "emr-containers")
        yield call


def test_a_spark_job_and_a_sql_script_run_and_their_output_and_logs_are_in_s3(aws):
    for bucket in ("local-data", "local-logs"):
        aws.s3.create_bucket(Bucket=bucket)
    objects = {
        "raw/flights.csv": "carrier,dep_delay\nUA,2\nUA,4\nAA,\nAA,-3\n",
        "jobs/clean.py": CLEAN,
        "delays.sql": DELAYS,
    }
    for key, body in objects.items():
        aws.s3.put_object(Bucket="local-data", Key=key, Body=body.encode())
    provider = {"type": "EKS", "id": "analytics", "info": {"eksInfo": {"namespace": "etl"}}}
    cluster = aws("create-virtual-cluster", name="etl", container_provider=json.dumps(provider))["id"]
    monitoring = {"s3MonitoringConfiguration": {"logUri": "s3://local-logs/eks"}}

    def run(driver):
        run_id = aws(
            "start-job-run",
            virtual_cluster_id=cluster,
            execution_role_arn=ROLE,
            release_label="emr-7.9.0-latest",
            job_driver=json.dumps(driver),
            configuration_overrides=json.dumps({"monitoringConfiguration": monitoring}),
        )["id"]

        def described():
            return aws.eks.describe_job_run(virtualClusterId=cluster, id=run_id)["jobRun"]

        eventually(lambda: described()["state"] in {"COMPLETED", "FAILED", "CANCELLED"}, expected=True, every=0.5)
        return described()

    parameters = (
        "--conf spark.flights.day=2013-01-15 --conf spark.kubernetes.driver.podTemplateFile=s3://local-data/pod.yaml"
    )
    spark = {"entryPoint": "s3://local-data/jobs/clean.py", "entryPointArguments": ["s3://local-data/raw/flights.csv"]}
    clean = run({"sparkSubmitJobDriver": {**spark, "sparkSubmitParameters": parameters}})
    assert clean["stateDetails"].startswith("JobRun completed successfully. It ran for ")
    delays = run({"sparkSqlJobDriver": {"entryPoint": "s3://local-data/delays.sql"}})
    assert delays["state"] == "COMPLETED", delays["stateDetails"]
    parts = aws.s3.list_objects_v2(Bucket="local-data", Prefix="delays/part-")["Contents"]
    rows = [aws.s3.get_object(Bucket="local-data", Key=part["Key"])["Body"].read() for part in parts]
    assert b"".join(rows) == b"AA,-3\nUA,6\n"
    containers = f"eks/{cluster}/jobs/{clean['id']}/containers"
    logs = {
        found["Key"]: gzip.decompress(aws.s3.get_object(Bucket="local-logs", Key=found["Key"])["Body"].read()).decode()
        for found in aws.s3.list_objects_v2(Bucket="local-logs", Prefix=f"{containers}/")["Contents"]
    }
    driver = f"{containers}/spark-{clean['id']}/spark-{clean['id']}-driver"
    assert "cleaned for 2013-01-15" in logs.pop(f"{driver}/stdout.gz")
    del logs[f"{driver}/stderr.gz"]
    (runner,) = logs.values()
    assert "spark.kubernetes.driver.podTemplateFile is dropped" in runner
    listed = aws("list-job-runs", virtual_cluster_id=cluster, states="COMPLETED")["jobRuns"]
    assert [found["id"] for found in listed] == [delays["id"], clean["id"]]
    aws.eks.delete_virtual_cluster(id=cluster)
    eventually(lambda: aws.eks.describe_virtual_cluster(id=cluster)["virtualCluster"]["state"], "TERMINATED")
