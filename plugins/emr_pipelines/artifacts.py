"""Job code in S3: uploaded once per content, under an address that its content decides.

What a DAG names by a path below ``include/`` is pinned when compute is acquired: a retry runs the same bytes, and acquiring again
takes what the file holds then, in the version of the DAG's bundle that the run has. The packages of a lock file are one archive for
each platform, which ``make deploy`` has built and laid there: no worker of Airflow builds it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from botocore.exceptions import ClientError

from emr_pipelines.bundles import code_folder
from emr_pipelines.clients import s3_of_profile
from emr_pipelines.environments import Environment, include_folder
from emr_pipelines.errors import ConfigurationError
from emr_pipelines.jobs import Job, SparkSqlJob
from emr_pipelines.specification import LOCK
from emr_pipelines.targets.platforms import Platform
from emr_pipelines.targets.profile import Profile
from emr_pipelines.targets.refusals import REFUSALS, refused

CHECK_SCRIPT = "jobs/quality_check.py"
"""The job that measures data."""

RUNNERS = (SparkSqlJob.runner, CHECK_SCRIPT)
"""Jobs that belong to this package, and are of its version, not of a bundle's."""

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


def packages_key(lock: bytes, platform: Platform) -> str:
    """Return the key of the archive with a lock file's packages: the same lock and platform always have the same one."""
    made_of = b"\0".join((lock, platform.python.encode(), platform.architecture.encode(), platform.glibc.encode()))
    return f"packages/{hashlib.sha256(made_of).hexdigest()[:32]}/packages.tar.gz"


def is_address(path: str) -> bool:
    """Whether a path already is an address in S3, taken as it is."""
    return path.startswith("s3://")


def source_of(path: str) -> Path:
    """Return the file that a path below ``include/`` names.

    :raises ConfigurationError: there is none, or it lies outside ``include/``.
    """
    folder = (include_folder() if path in RUNNERS else code_folder()).resolve()
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


def lock_beside(job: Job) -> list[str]:
    """List the lock file of a job's script, where there is one beside it."""
    path = job.lock()
    return [path] if path and not is_address(path) and (code_folder() / path).is_file() else []


def read_artifact(path: str) -> Artifact:
    """Read a file below ``include/``."""
    return Artifact(path, PurePosixPath(path).name, source_of(path).read_bytes())


def pin(environment: Environment, profile: Profile, artifacts: Iterable[Artifact]) -> dict[str, str]:
    """Upload what the bucket of a profile's region does not hold yet; return the address of each artifact by its path.

    The address of a lock file is that of its packages.

    :raises ConfigurationError: the bucket does not exist, or the archive of a lock file's packages does not.
    :raises ComputeUnavailableError: S3 could not be reached there, throttled, or failed.
    :raises ComputeError: S3 refused.
    """
    bucket = environment.buckets_in(profile.region).artifacts
    addresses: dict[str, str] = {}
    try:
        for artifact in artifacts:
            if artifact.path in addresses:
                continue
            s3 = s3_of_profile(profile)
            if artifact.path.endswith(LOCK):
                key = packages_key(artifact.content, profile.platform)
                if head_of(s3, bucket, key) is None:
                    raise ConfigurationError(
                        f"The packages of {artifact.path} for {profile.platform} (profile {profile.name!r}) are not in bucket {bucket!r}: "
                        f"build and upload them with `make deploy ENV={environment.name}`"
                    )
            else:
                key = artifact.key
                if not is_there(s3, bucket, artifact):
                    put(s3, bucket, artifact, profile.region)
            addresses[artifact.path] = f"s3://{bucket}/{key}"
    except REFUSALS as error:
        what = f"the job code could not be laid into bucket {bucket!r} for profile {profile.name!r} in {profile.region}"
        raise refused(error, what, "No job was started for it.") from error
    return addresses


def is_there(s3: Any, bucket: str, artifact: Artifact) -> bool:
    """Whether a bucket holds an artifact whole, and young enough: it may let old code expire, and what is written anew is young again.

    Without the bucket there is none.
    """
    head = head_of(s3, bucket, artifact.key)
    if head is None or head["ContentLength"] != len(artifact.content):
        return False
    return bool(datetime.now(UTC) - head["LastModified"] < _FRESH)


def head_of(s3: Any, bucket: str, key: str) -> Any | None:
    """Return what S3 tells of an object; ``None`` when there is none, or no such bucket."""
    try:
        return s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:  # noqa: PLR2004  # HTTP's own number
            raise
        return None


def put(s3: Any, bucket: str, artifact: Artifact, region: str) -> None:
    """Lay an artifact into the bucket of a region.

    :raises ConfigurationError: the bucket does not exist.
    """
    try:
        s3.put_object(Bucket=bucket, Key=artifact.key, Body=artifact.content)
    except s3.exceptions.NoSuchBucket:
        raise ConfigurationError(
            f"There is no bucket {bucket!r} for the job code of region {region}: create it, or change buckets.artifacts in the "
            "environment's file, there or below `regions`"
        ) from None
