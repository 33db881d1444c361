"""What a demo run moved, used and left, asked of S3 and EMR through the endpoint."""

import io
import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from pyarrow import parquet  # type: ignore[import-untyped]  # it ships no types

from local_airflow.buckets import create_missing
from local_airflow.compute import standing
from local_airflow.settings import CREDENTIALS, REGION

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

CHUNK = 1 << 20


def prefix_of(told: Mapping[str, Any]) -> str:
    """Return the prefix of a version's folder, from a manifest or from what a task says it has staged."""
    return str(told["location"]).removeprefix("s3://").partition("/")[2]


class Measures:
    """Reads what lies in the endpoint's buckets and how compute stands there."""

    def __init__(self, endpoint_url: str) -> None:
        session = boto3.session.Session(
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            region_name=REGION,
        )
        self._client_of: Any = cache(lambda service: session.client(service, endpoint_url=endpoint_url))
        self._s3: S3Client = self._client_of("s3")

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
        counts = [parquet.read_metadata(content).num_rows for content in self._parquet(bucket, prefix)]
        return sum(counts) if counts else None

    def canonical_csv(self, bucket: str, prefix: str) -> list[str]:
        """Return the rows of the Parquet objects under a prefix as lines, sorted, under one line of column names.

        Equal tables give equal lines, however their rows are ordered and spread over files.
        """
        tables = [parquet.read_table(content) for content in self._parquet(bucket, prefix)]
        heads = sorted({",".join(table.column_names) for table in tables})
        rows = [
            ",".join("" if value is None else str(value) for value in row.values())
            for table in tables
            for row in table.to_pylist()
        ]
        return [*heads, *sorted(rows)]

    def published(self, bucket: str, dataset: str, partition: str) -> str | None:
        """Return the prefix of what readers of a dataset's partition see, as its manifest says; None when nothing is published."""
        try:
            answer = self._s3.get_object(Bucket=bucket, Key=f"{dataset}/_published/{partition}.json")
        except self._s3.exceptions.NoSuchKey:
            return None
        return prefix_of(json.loads(answer["Body"].read()))

    def standing(self, compute: Mapping[str, Any]) -> list[str]:
        """Return how compute stands, one line for each thing that it is made of."""
        return standing(compute, self._client_of)

    def _parquet(self, bucket: str, prefix: str) -> Iterator[io.BytesIO]:
        """Yield the Parquet objects under a prefix."""
        for key in self._keys(bucket, prefix, ".parquet"):
            yield io.BytesIO(self._s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    def _keys(self, bucket: str, prefix: str, ending: str) -> Iterator[str]:
        """Yield the keys under a prefix that end so."""
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            yield from (item["Key"] for item in page.get("Contents", []) if item["Key"].endswith(ending))
