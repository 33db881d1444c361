"""A day of raw flights that somebody spoilt: some tail numbers are in lower case."""

from __future__ import annotations

import csv
import io
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

SPOILT = 7


def spoil(s3: Any, date: str, rows: int = SPOILT) -> list[str]:
    """Write the tail numbers of a day's first flights in lower case; return them as they are then, in order."""
    key = f"raw/flights/dt={date}/flights.csv"
    lines = list(csv.DictReader(io.StringIO(s3.get_object(Bucket="local-data", Key=key)["Body"].read().decode())))
    departed = [line for line in lines if line["dep_time"] != "NA"][:rows]
    for line in departed:
        line["tailnum"] = line["tailnum"].lower()
    text = io.StringIO()
    writer = csv.DictWriter(text, lines[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    s3.put_object(Bucket="local-data", Key=key, Body=text.getvalue().encode())
    return sorted(line["tailnum"] for line in departed)


def rows_at(s3: Any, address: str) -> pd.DataFrame:
    """Read the Parquet files of a folder, and of those below it."""
    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    keys = [found["Key"] for found in listed if found["Key"].endswith(".parquet")]
    files = [io.BytesIO(s3.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in keys]
    return pd.concat([pq.read_table(file).to_pandas() for file in files], ignore_index=True)


def manifest_of(s3: Any, dataset: str, date: str) -> bytes | None:
    """Return the manifest of a day as it lies in S3; ``None`` where nothing is published."""
    key = f"{dataset}/_published/dt={date}.json"
    listed = s3.list_objects_v2(Bucket="local-data", Prefix=key).get("Contents", [])
    return s3.get_object(Bucket="local-data", Key=key)["Body"].read() if listed else None
