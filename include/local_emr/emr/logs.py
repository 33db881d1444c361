"""A step's logs where EMR puts them (Management Guide, "View log files"): `<LogUri>/<cluster>/steps/<step>/<name>.gz`."""

from __future__ import annotations

import gzip
import io
import logging
import re
from typing import TYPE_CHECKING

from local_emr.storage import files

if TYPE_CHECKING:
    from pathlib import Path

    from local_emr.emr.records import ClusterRecord, StepRecord

logger = logging.getLogger(__name__)

NAMES = ("controller", "stdout", "stderr")

_S3_URI = re.compile(r"s3[an]?://(?P<bucket>[^/]+)/?(?P<prefix>.*)")


def is_log_uri(uri: str) -> bool:
    """Say whether logs can be put at `uri`."""
    return _S3_URI.fullmatch(uri) is not None


def location(cluster: ClusterRecord, step: StepRecord, name: str) -> str | None:
    """Return the S3 URI of one log of a step, or None when the cluster keeps no logs."""
    place = _place(cluster)
    return f"s3://{place[0]}/{_key(place[1], cluster, step, name)}" if place else None


def upload(cluster: ClusterRecord, step: StepRecord, folder: Path, buckets: Path) -> None:
    """Put the logs that the step left in `folder` where they belong; a bucket that does not exist is no failure."""
    place = _place(cluster)
    if place is None:
        return
    bucket = buckets / place[0]
    if not (files.is_bucket_name(place[0]) and bucket.is_dir()):
        logger.warning("step %s: its logs stay in %s, for there is no bucket %s", step.id, folder, place[0])
        return
    for name in NAMES:
        path = files.path_of(bucket, _key(place[1], cluster, step, name))
        try:
            uploaded = path is not None and files.write(
                bucket, path, io.BytesIO(gzip.compress((folder / name).read_bytes()))
            )
        except FileNotFoundError:
            continue
        if not uploaded:
            logger.warning("step %s: %s stays in %s, for LogUri makes no usable key", step.id, name, folder)


def _place(cluster: ClusterRecord) -> tuple[str, str] | None:
    match = _S3_URI.fullmatch(cluster.request.get("LogUri", ""))
    return (match["bucket"], match["prefix"].strip("/")) if match else None


def _key(prefix: str, cluster: ClusterRecord, step: StepRecord, name: str) -> str:
    return "/".join(part for part in (prefix, cluster.id, "steps", step.id, f"{name}.gz") if part)
