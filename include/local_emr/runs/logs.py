"""An attempt's logs where its service puts them: gzipped in S3, as events in CloudWatch Logs."""

from __future__ import annotations

import gzip
import io
import logging
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_emr.storage import files

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

logger = logging.getLogger(__name__)

ACCOUNT = "123456789012"
"""The account that moto gives to credentials that it does not know."""

LONGEST_EVENT = 256 * 1024
"""Bytes of one log event (CloudWatch Logs quotas); longer lines are cut."""

_S3_URI = re.compile(r"s3[an]?://(?P<bucket>[^/]+)/?(?P<key>.*)")


@dataclass(frozen=True)
class S3Log:
    """`file` of the attempt's folder, gzipped, as the object `uri` (its slashes are made single)."""

    file: str
    uri: str


@dataclass(frozen=True)
class CloudWatchLog:
    """`file` of the attempt's folder, line by line, as events of a log stream."""

    file: str
    region: str
    group: str
    stream: str


Log = S3Log | CloudWatchLog


def deliver(logs: Iterable[Log], folder: Path, buckets: Path) -> None:
    """Put each of `logs` where it belongs. What cannot be is said in the endpoint's log and fails no job."""
    for log in logs:
        try:
            content = (folder / log.file).read_bytes()
        except FileNotFoundError:
            continue
        try:
            if isinstance(log, S3Log):
                _put_object(log.uri, content, buckets)
            else:
                _put_events(log, content)
        except Exception:
            logger.exception("%s stays in %s", log.file, folder)


def is_s3_uri(uri: str) -> bool:
    """Say whether logs can be put at `uri`."""
    return _S3_URI.fullmatch(uri) is not None


def _put_object(uri: str, content: bytes, buckets: Path) -> None:
    match = _S3_URI.fullmatch(uri)
    bucket = buckets / match["bucket"] if match and files.is_bucket_name(match["bucket"]) else None
    if match is None or bucket is None or not bucket.is_dir():
        logger.warning("no log is put at %s, for there is no such bucket", uri)
        return
    path = files.path_of(bucket, re.sub("/+", "/", match["key"].strip("/")))
    if path is None or not files.write(bucket, path, io.BytesIO(gzip.compress(content))):
        logger.warning("no log is put at %s, for it is no usable key", uri)


def _put_events(log: CloudWatchLog, content: bytes) -> None:
    from moto.logs.models import logs_backends  # noqa: PLC0415 - a third of a second, for whoever wants it

    backend = logs_backends[ACCOUNT][log.region]
    backend.ensure_log_group(log.group)
    backend.ensure_log_stream(log.group, log.stream)
    now = int(time.time() * 1000)  # CloudWatch Logs takes events of these days only
    lines = (line[:LONGEST_EVENT].decode(errors="replace") for line in content.splitlines())
    events = [{"timestamp": now, "message": line} for line in lines if line]
    if events:
        backend.put_log_events(log.group, log.stream, events)
