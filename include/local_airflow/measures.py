"""What a demo run moved and used, asked of S3 and EMR through the endpoint."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import boto3
from pyarrow import parquet  # type: ignore[import-untyped]  # it ships no types

from local_airflow.buckets import create_missing
from local_airflow.report import Interval
from local_airflow.settings import CREDENTIALS, REGION

if TYPE_CHECKING:
    from mypy_boto3_emr.client import EMRClient
    from mypy_boto3_s3.client import S3Client

CHUNK = 1 << 20


@dataclass(frozen=True)
class Cluster:
    """An EMR cluster after its work: who it was, how it ended, when it started and when its steps worked."""

    identity: str
    name: str
    state: str
    reason: str
    boot: Interval | None
    steps: list[Interval]


class Measures:
    """Reads what lies in the endpoint's buckets and which clusters it ran."""

    def __init__(self, endpoint_url: str) -> None:
        session = boto3.session.Session(
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            region_name=REGION,
        )
        self._s3: S3Client = session.client("s3", endpoint_url=endpoint_url)
        self._emr: EMRClient = session.client("emr", endpoint_url=endpoint_url)

    def create_buckets(self, *names: str) -> None:
        """Create the buckets that do not exist."""
        create_missing(self._s3, *names)

    def csv_rows(self, bucket: str, prefix: str) -> int | None:
        """Return the number of lines, headers excluded, of the CSV objects under a prefix; None without objects."""
        counts = [
            sum(chunk.count(b"\n") for chunk in self._s3.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(CHUNK))
            - 1
            for key in self._keys(bucket, prefix, ".csv")
        ]
        return sum(counts) if counts else None

    def parquet_rows(self, bucket: str, prefix: str) -> int | None:
        """Return the number of rows that the Parquet footers under a prefix state; None without objects."""
        counts = [
            parquet.read_metadata(io.BytesIO(self._s3.get_object(Bucket=bucket, Key=key)["Body"].read())).num_rows
            for key in self._keys(bucket, prefix, ".parquet")
        ]
        return sum(counts) if counts else None

    def clusters(self, created_after: datetime, created_before: datetime) -> list[Cluster]:
        """Return the clusters created between two times, the oldest first."""
        pages = self._emr.get_paginator("list_clusters").paginate(
            CreatedAfter=created_after, CreatedBefore=created_before
        )
        listed = [cluster for page in pages for cluster in page["Clusters"]]
        return [self._cluster(cluster["Id"]) for cluster in reversed(listed)]

    def _cluster(self, identity: str) -> Cluster:
        """Return one cluster with its steps."""
        cluster = self._emr.describe_cluster(ClusterId=identity)["Cluster"]
        status, times = cluster["Status"], cluster["Status"]["Timeline"]
        boot = (times["CreationDateTime"], times["ReadyDateTime"]) if "ReadyDateTime" in times else None
        pages = self._emr.get_paginator("list_steps").paginate(ClusterId=identity)
        timelines = [step["Status"]["Timeline"] for page in pages for step in page["Steps"]]
        steps = [
            (line["StartDateTime"], line["EndDateTime"])
            for line in timelines
            if "StartDateTime" in line and "EndDateTime" in line
        ]
        reason = status.get("StateChangeReason", {}).get("Code", "")
        return Cluster(identity, cluster["Name"], status["State"], reason, boot, steps)

    def _keys(self, bucket: str, prefix: str, ending: str) -> Iterator[str]:
        """Yield the keys under a prefix that end so."""
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            yield from (item["Key"] for item in page.get("Contents", []) if item["Key"].endswith(ending))
