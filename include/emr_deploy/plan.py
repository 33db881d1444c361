"""What a deploy does, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from emr_deploy import releases, uploads
from emr_deploy.needs import regions_of
from emr_deploy.releases import Release
from emr_deploy.steps import Step
from emr_pipelines.artifacts import Artifact
from emr_pipelines.environments import Environment

S3Of = Callable[[str], Any | None]
"""Gives the S3 client of a region; ``None`` where AWS is not asked, and each step may be needed."""

_THREADS = 16


def steps(environment: Environment, artifacts: list[Artifact], release: Release, s3_of: S3Of) -> list[Step]:
    """Return the steps of a deploy: what is uploaded to each bucket, and last the record that it was.

    What else a deploy brings to an account stands here, before the record.
    """
    return [
        *_uploads(environment, artifacts, s3_of),
        *_records(environment, release, s3_of),
    ]


def _buckets(environment: Environment) -> dict[str, str]:
    """Return the artifacts buckets of an environment, each with a region whose runs look there for their code."""
    found: dict[str, str] = {}
    for region in regions_of(environment):
        found.setdefault(environment.buckets_in(region).artifacts, region)
    return found


def _uploads(environment: Environment, artifacts: list[Artifact], s3_of: S3Of) -> list[Step]:
    """Return a step for each artifact and bucket; the buckets are asked many times at once."""
    wanted = [(bucket, region, artifact) for bucket, region in _buckets(environment).items() for artifact in artifacts]
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(lambda one: uploads.step(s3_of(one[1]), one[0], one[2], one[1]), wanted))


def _records(environment: Environment, release: Release, s3_of: S3Of) -> Iterator[Step]:
    for bucket, region in _buckets(environment).items():
        s3 = s3_of(region)
        yield Step(
            f"record release {release.release[:12]} in s3://{bucket}/{releases.folder_of(release.deployment)}",
            needed=s3 is None or not releases.is_current(s3, bucket, release),
            do=lambda s3=s3, bucket=bucket: releases.record(s3, bucket, release),
        )
