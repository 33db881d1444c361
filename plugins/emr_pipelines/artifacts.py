"""Job code in S3: uploaded once per content, under an address that its content decides.

What a DAG names by a path below ``include/`` is pinned when compute is acquired: a retry runs the same bytes, and acquiring again
takes what the file holds then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from botocore.exceptions import ClientError

from emr_pipelines.clients import s3_of_profile
from emr_pipelines.environments import Environment, include_folder
from emr_pipelines.errors import ConfigurationError
from emr_pipelines.targets.profile import Profile
from emr_pipelines.targets.refusals import REFUSALS, refused

_FRESH = timedelta(days=30)
"""Age up to which an object is taken as it is; ``CodeDays`` of include/infra/storage.yaml, for which it is kept, is at least twice that."""


@dataclass(frozen=True)
class Artifact:
    """Bytes to lie in S3: ``path`` is what the DAG calls them, ``name`` is their file name there."""

    path: str
    name: str
    content: bytes

    @property
    def key(self) -> str:
        """The object's key: the same content always has the same one."""
        return f"code/{hashlib.sha256(self.content).hexdigest()[:32]}/{self.name}"


def is_address(path: str) -> bool:
    """Whether a path already is an address in S3, taken as it is."""
    return path.startswith("s3://")


def source_of(path: str) -> Path:
    """Return the file that a path below ``include/`` names.

    :raises ConfigurationError: there is none, or it lies outside ``include/``.
    """
    folder = include_folder().resolve()
    source = (folder / path).resolve()
    if not source.is_relative_to(folder):
        raise ConfigurationError(f"{path!r} leads out of {folder}: name a file below it, or an s3:// address")
    if not source.is_file():
        siblings = (
            sorted(file.name for file in source.parent.glob(f"*{source.suffix}")) if source.parent.is_dir() else []
        )
        beside = f"; beside it are: {', '.join(siblings)}" if siblings else ""
        raise ConfigurationError(f"There is no file {path!r} in {folder}{beside}")
    return source


def read_artifact(path: str) -> Artifact:
    """Read a file below ``include/``."""
    return Artifact(path, PurePosixPath(path).name, source_of(path).read_bytes())


def pin(environment: Environment, profile: Profile, artifacts: Iterable[Artifact]) -> dict[str, str]:
    """Upload what the bucket of a profile's region does not hold yet; return the address of each artifact by its path.

    :raises ConfigurationError: the bucket does not exist.
    :raises ComputeUnavailableError: S3 could not be reached there, throttled, or failed.
    :raises ComputeError: S3 refused.
    """
    bucket = environment.buckets_in(profile.region).artifacts
    addresses: dict[str, str] = {}
    try:
        for artifact in artifacts:
            if artifact.path not in addresses:
                _put_once(s3_of_profile(profile), bucket, artifact, profile.region)
                addresses[artifact.path] = f"s3://{bucket}/{artifact.key}"
    except REFUSALS as error:
        what = f"the job code could not be laid into bucket {bucket!r} for profile {profile.name!r} in {profile.region}"
        raise refused(error, what, "No job was started for it.") from error
    return addresses


def _put_once(s3: Any, bucket: str, artifact: Artifact, region: str) -> None:
    try:
        head = s3.head_object(Bucket=bucket, Key=artifact.key)
        # A bucket may let old code expire: what a run is about to use is written anew, and young again.
        if head["ContentLength"] == len(artifact.content) and datetime.now(UTC) - head["LastModified"] < _FRESH:
            return
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:  # noqa: PLR2004  # HTTP's own number
            raise
    try:
        s3.put_object(Bucket=bucket, Key=artifact.key, Body=artifact.content)
    except s3.exceptions.NoSuchBucket:
        raise ConfigurationError(
            f"There is no bucket {bucket!r} for the job code of region {region}: create it, or change buckets.artifacts in the "
            "environment's file, there or below `regions`"
        ) from None
