import io
from decimal import Decimal

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


def test_equal_tables_have_equal_lines_however_their_rows_are_spread(url, s3):
    def part(rows):
        sink = io.BytesIO()
        parquet.write_table(pa.table({"carrier": [row[0] for row in rows], "delay": [row[1] for row in rows]}), sink)
        return sink.getvalue()

    ua, aa, none = ("UA", Decimal("1.50")), ("AA", Decimal("-2.00")), ("XX", None)
    s3.put_object(Bucket="rows", Key="one/a.parquet", Body=part([ua, aa, none]))
    s3.put_object(Bucket="rows", Key="two/a.parquet", Body=part([none, ua]))
    s3.put_object(Bucket="rows", Key="two/b.parquet", Body=part([aa]))
    expected = ["carrier,delay", "AA,-2.00", "UA,1.50", "XX,"]
    assert Measures(url).canonical_csv("rows", "one/") == expected
    assert Measures(url).canonical_csv("rows", "two/") == expected


def test_a_cluster_is_told_with_how_it_ended(url, client_of):
    emr = client_of("emr")
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
    assert Measures(url).standing({"target": "ec2", "id": cluster}) == [
        f"EMR cluster {cluster} (short): TERMINATED USER_REQUEST"
    ]
