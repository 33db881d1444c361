"""The logs that EMR delivers to S3, as far as they have arrived."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable
from operator import itemgetter
from typing import Any

from botocore.exceptions import ClientError

TAIL_BYTES = 64 * 1024
"""Kept of the end of each log."""


def bucket_and_key(address: str) -> tuple[str, str]:
    """Split an ``s3://bucket/key`` address."""
    bucket, _, key = address.removeprefix("s3://").partition("/")
    return bucket, key


def log_tail(s3: Any, address: str) -> str | None:
    """Read the end of one gzipped log; ``None`` while it is not there, and of one cut short what can be read."""
    bucket, key = bucket_and_key(address)
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"]
    except ClientError as error:
        if error.response["Error"].get("Code") in ("NoSuchKey", "NoSuchBucket", "404"):
            return None
        raise
    tail = b""
    try:
        with gzip.GzipFile(fileobj=body) as log:
            while chunk := log.read(1024 * 1024):
                tail = (tail + chunk)[-TAIL_BYTES:]
    except (EOFError, gzip.BadGzipFile, zlib.error):
        pass
    return tail.decode(errors="replace")


def folders_of_logs(s3: Any, address: str, folder: str) -> list[str]:
    """List the folders below an address whose path holds ``folder``, by when they were last written to, oldest first."""
    bucket, prefix = bucket_and_key(address)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    try:
        found = [one for page in pages for one in page.get("Contents", []) if folder in one["Key"]]
    except ClientError as error:
        if error.response["Error"].get("Code") == "NoSuchBucket":
            return []
        raise
    written = {
        one["Key"].rpartition("/")[0]: one["LastModified"] for one in sorted(found, key=itemgetter("LastModified"))
    }
    return [f"s3://{bucket}/{key}/" for key in sorted(written, key=lambda key: (written[key], key))]


def log_tails(s3: Any, folder: str, streams: Iterable[str]) -> dict[str, str]:
    """Read the ends of the logs ``<stream>.gz`` of a folder, as far as they have arrived."""
    tails = {stream: log_tail(s3, f"{folder}{stream}.gz") for stream in streams}
    return {stream: tail for stream, tail in tails.items() if tail is not None}
