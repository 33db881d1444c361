"""What a deploy does, in order."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from emr_deploy import dependencies, releases, uploads
from emr_deploy.account import Account
from emr_deploy.needs import regions_of
from emr_deploy.releases import Release
from emr_deploy.steps import Step
from emr_pipelines.artifacts import Artifact
from emr_pipelines.environments import Environment, include_folder


def steps(environment: Environment, artifacts: list[Artifact], release: Release, account: Account | None) -> list[Step]:
    """Return the steps of a deploy: files, and packages of jobs, for each bucket, and last the record that they are there.

    Without an account nothing is asked, and each step may be needed. What else a deploy brings to an account stands here, before
    the record.
    """
    return [
        *_uploads(environment, artifacts, account),
        *dependencies.steps(environment, include_folder(), lambda region: account and account.client("s3", region)),
        *_records(environment, release, account),
    ]


def _buckets(environment: Environment) -> dict[str, str]:
    """Return the artifacts buckets of an environment, each with a region whose runs look there for their code."""
    found: dict[str, str] = {}
    for region in regions_of(environment):
        found.setdefault(environment.buckets_in(region).artifacts, region)
    return found


def _uploads(environment: Environment, artifacts: list[Artifact], account: Account | None) -> list[Step]:
    """Return a step for each artifact and bucket; the buckets are asked many times at once."""
    wanted = [(place, artifact) for place in _buckets(environment).items() for artifact in artifacts]

    def step(one: tuple[tuple[str, str], Artifact]) -> Step:
        (bucket, region), artifact = one
        return uploads.step(account and account.client("s3", region), bucket, artifact, region)

    with ThreadPoolExecutor(account.threads if account else 1) as pool:
        return list(pool.map(step, wanted))


def _records(environment: Environment, release: Release, account: Account | None) -> Iterator[Step]:
    for bucket, region in _buckets(environment).items():
        s3 = account and account.client("s3", region)
        yield Step(
            f"record release {release.release[:12]} in s3://{bucket}/{releases.folder_of(release.deployment)}",
            needed=s3 is None or not releases.is_current(s3, bucket, release),
            do=partial(releases.record, s3, bucket, release),
        )
