import io
from datetime import UTC, datetime, timedelta

import boto3
import pyarrow as pa
import pytest
from pyarrow import parquet

from local_airflow.buckets import create_missing
from local_airflow.measures import Measures
from tests.support.endpoint import CLIENT_ENVIRONMENT, running_endpoint


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with running_endpoint(tmp_path_factory.mktemp("emr")) as address:
        yield address


@pytest.fixture(scope="module")
def client_of(url):
    session = boto3.session.Session(
        aws_access_key_id=CLIENT_ENVIRONMENT["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CLIENT_ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
        region_name=CLIENT_ENVIRONMENT["AWS_DEFAULT_REGION"],
    )
    return lambda service: session.client(service, endpoint_url=url)


@pytest.fixture(scope="module")
def s3(client_of):
    client = client_of("s3")
    client.create_bucket(Bucket="rows")
    return client


def parquet_of(rows):
    sink = io.BytesIO()
    parquet.write_table(pa.table({"n": list(range(rows))}), sink)
    return sink.getvalue()


def test_only_missing_buckets_are_created(s3):
    assert create_missing(s3, "rows", "fresh") == ["fresh"]
    assert create_missing(s3, "rows", "fresh") == []


def test_csv_rows_are_the_lines_but_the_headers(url, s3):
    s3.put_object(Bucket="rows", Key="csv/a.csv", Body=b"h\n1\n2\n")
    s3.put_object(Bucket="rows", Key="csv/b.csv", Body=b"h\n3\n")
    s3.put_object(Bucket="rows", Key="csv/note.txt", Body=b"x\ny\n")
    assert Measures(url).csv_rows("rows", "csv/") == 3


def test_parquet_rows_are_those_of_the_footers(url, s3):
    s3.put_object(Bucket="rows", Key="parquet/a.parquet", Body=parquet_of(5))
    s3.put_object(Bucket="rows", Key="parquet/b.parquet", Body=parquet_of(2))
    s3.put_object(Bucket="rows", Key="parquet/_SUCCESS", Body=b"")
    assert Measures(url).parquet_rows("rows", "parquet/") == 7


def test_where_nothing_lies_there_is_no_number(url, s3):
    assert Measures(url).csv_rows("rows", "none/") is None
    assert Measures(url).parquet_rows("rows", "none/") is None


def test_a_cluster_of_the_time_asked_for_is_found_with_its_end(url, client_of):
    emr = client_of("emr")
    began = datetime.now(UTC) - timedelta(seconds=1)
    cluster = emr.run_job_flow(
        Name="short",
        ReleaseLabel="emr-7.5.0",
        Applications=[{"Name": "Spark"}],
        Instances={"InstanceCount": 1, "MasterInstanceType": "m5.xlarge", "KeepJobFlowAliveWhenNoSteps": True},
        JobFlowRole="EMR_EC2_DefaultRole",
        ServiceRole="EMR_DefaultRole",
    )["JobFlowId"]
    waiting = {"Delay": 1, "MaxAttempts": 30}
    emr.get_waiter("cluster_running").wait(ClusterId=cluster, WaiterConfig=waiting)
    emr.terminate_job_flows(JobFlowIds=[cluster])
    emr.get_waiter("cluster_terminated").wait(ClusterId=cluster, WaiterConfig=waiting)
    [found] = Measures(url).clusters(began, datetime.now(UTC) + timedelta(seconds=1))
    assert (found.identity, found.name, found.state, found.reason, found.steps) == (
        cluster,
        "short",
        "TERMINATED",
        "USER_REQUEST",
        [],
    )
    assert found.boot[0] <= found.boot[1]
    assert Measures(url).clusters(began - timedelta(days=1), began) == []
