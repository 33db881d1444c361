"""One real Airflow and one real endpoint for all tests of a session; a folder's conftest imports these fixtures."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from local_airflow import AirflowClient
from local_airflow.demo import await_dag
from local_airflow.settings import local_bundles
from tests.support.airflow import ROOT, running_airflow
from tests.support.endpoint import CLIENT_ENVIRONMENT, running_endpoint
from tests.support.postgresql import running_postgresql
from tests.support.repository import Repository

SEEDED = ["2013-01-15:2013-01-15", "2013-02-01:2013-03-03"]

CATCHUP = (ROOT / "dags" / "flights_daily.py").read_text()
CATCHUP_CHANGES = [
    ('"flights_daily"', '"flights_catchup"'),
    ("start_date=datetime(2013, 1, 1", "start_date=datetime(2013, 2, 1"),
    ("end_date=datetime(2013, 12, 31", "end_date=datetime(2013, 2, 2"),
    ("catchup=False", "catchup=True"),
]


def catchup_dag() -> str:
    """The pipeline as it is shipped, with a schedule that has two days to catch up with."""
    text = CATCHUP
    for shipped, changed in CATCHUP_CHANGES:
        assert shipped in text
        text = text.replace(shipped, changed)
    return text


PROFILES = """
  ec2-one-at-a-time:
    extends: ec2
    max_concurrent: 1

  ec2-west:
    extends: ec2
    region: us-west-2

  ec2-europe:
    extends: ec2
    region: eu-west-1

regions:
  us-west-2: {buckets: {artifacts: local-artifacts-west, logs: local-logs-west}}
  eu-west-1: {buckets: {artifacts: local-artifacts-europe, logs: local-logs-europe}}
"""
REGIONS = {"us-west-2": "west", "eu-west-1": "europe"}
"""Regions that have buckets of their own, and how their names end."""

SAYS_HELLO = """\
from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
print("hello", spark.range(3).count())
spark.stop()
"""


def include_folder(home: Path) -> Path:
    """What pipelines are made of, as it is shipped, with profiles and a job for the tests' own DAGs besides."""
    for name in ("jobs", "hive", "quality", "compute"):
        shutil.copytree(ROOT / "include" / name, home / name)
    (home / "jobs" / "says_hello.py").write_text(SAYS_HELLO)
    local = home / "compute" / "local.yaml"
    local.write_text(local.read_text() + PROFILES)
    return home


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory):
    with running_endpoint(tmp_path_factory.mktemp("emr"), boot_seconds=1.0) as url:
        yield url


def regional_client(endpoint: str, service: str, region: str):
    """Return a client of the endpoint in a region."""
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=CLIENT_ENVIRONMENT["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CLIENT_ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
    )


@pytest.fixture(scope="session")
def client_of(endpoint):
    def client(service: str, region: str = CLIENT_ENVIRONMENT["AWS_DEFAULT_REGION"]):
        return regional_client(endpoint, service, region)

    return client


@pytest.fixture(scope="session")
def repository(tmp_path_factory):
    return Repository(tmp_path_factory.mktemp("git") / "repository")


@pytest.fixture(scope="session")
def airflow(endpoint, client_of, repository, tmp_path_factory):
    s3 = client_of("s3")
    for bucket in ("local-data", "local-logs", "local-artifacts"):
        s3.create_bucket(Bucket=bucket)
    for dates in SEEDED:
        subprocess.run(
            [sys.executable, "-m", "seed_flights", "--bucket", "local-data", "--dates", dates],
            check=True,
            env={**os.environ, **CLIENT_ENVIRONMENT, "AWS_ENDPOINT_URL": endpoint, "PYTHONPATH": str(ROOT / "include")},
        )
    for region, name in REGIONS.items():
        for purpose in ("logs", "artifacts"):
            where = {"LocationConstraint": region}
            regional_client(endpoint, "s3", region).create_bucket(
                Bucket=f"local-{purpose}-{name}", CreateBucketConfiguration=where
            )
    dags = tmp_path_factory.mktemp("dags")
    (dags / "flights_catchup.py").write_text(catchup_dag())
    extra = [dags, ROOT / "tests" / "pipelines" / "dags"]
    home = tmp_path_factory.mktemp("airflow")
    bundles = [*local_bundles([ROOT / "dags", *extra]), repository.bundle()]
    with running_postgresql() as database:
        environment = {
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(home / "bundles"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
            "EMR_PIPELINES_INCLUDE": str(include_folder(tmp_path_factory.mktemp("include"))),
        }
        with running_airflow(home, endpoint_url=endpoint, extra_dags=extra, environment=environment) as airflow:
            yield airflow


@pytest.fixture(scope="session")
def rest(airflow) -> AirflowClient:
    with airflow.client() as client:
        await_dag(client, "flights_daily")
        yield client
