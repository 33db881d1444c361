"""The files that a deploy lays into artifacts buckets: job code under the keys that ``acquire`` looks for, and the environment's files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from emr_deploy.steps import Step
from emr_pipelines.artifacts import Artifact, is_there, put
from emr_pipelines.environments import Environment, include_folder, read_document
from emr_pipelines.errors import ConfigurationError
from emr_pipelines.quality import compile_plan, parse_ruleset

_NO_CODE = ("compute", "infra")
"""Folders of ``include/`` from which no job takes files; nor does any from a Python package, which is a program of its own."""


def artifacts_of(environment: Environment) -> list[Artifact]:
    """Read what jobs may name by a path below ``include/``, and the files of which the environment is made.

    Of a ruleset it is the plan that a check evaluates: what its task would lay there.

    :raises RulesetError: a ruleset is not valid.
    """
    folder = include_folder().resolve()
    named = sorted(path for one in sorted(folder.iterdir()) if _holds_code(one) for path in _files(one))
    return [_artifact(str(path.relative_to(folder)), path) for path in (*named, *_files_of(environment))]


def _artifact(name: str, path: Path) -> Artifact:
    if path.suffix != ".dqdl":
        return Artifact(name, path.name, path.read_bytes())
    ruleset = parse_ruleset(path.read_text(encoding="utf-8"), name)
    return Artifact(name, "plan.json", compile_plan(ruleset).to_json().encode())


def _holds_code(folder: Path) -> bool:
    hidden = folder.name.startswith((".", "_"))
    return folder.is_dir() and not hidden and folder.name not in _NO_CODE and not (folder / "__init__.py").exists()


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder but those that are hidden, what Python has compiled, and links that lead elsewhere."""
    for path in folder.rglob("*"):
        inside = path.relative_to(folder).parts
        hidden = any(part.startswith(".") or part == "__pycache__" for part in inside)
        # No DAG may name what lies outside (`artifacts.source_of`); it may be a key of who deploys.
        if path.is_file() and not hidden and path.resolve().is_relative_to(folder.parent):
            yield path


def _files_of(environment: Environment) -> list[Path]:
    """Return the environment's file, those that it extends, and the policy that it is held against."""
    read = {Path(place.rpartition(":")[0]).resolve() for place in read_document(environment.source).places.values()}
    policy = environment.source.with_name("policy.yaml").resolve()
    return sorted({environment.source.resolve(), *read, *([policy] if policy.exists() else [])})


def step(s3: Any | None, bucket: str, artifact: Artifact, region: str) -> Step:
    """Return the step that lays an artifact into a region's bucket; it is needed unless the bucket holds it, as ``s3`` tells.

    :raises ConfigurationError: whoever asks may not look.
    """
    return Step(
        f"upload {artifact.path} to s3://{bucket}/{artifact.key}",
        needed=s3 is None or not _is_there(s3, bucket, artifact),
        do=lambda: put(s3, bucket, artifact, region),
    )


def _is_there(s3: Any, bucket: str, artifact: Artifact) -> bool:
    try:
        return is_there(s3, bucket, artifact)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 403:  # noqa: PLR2004  # HTTP's own number
            raise
        # S3 answers a HEAD without a body, so AWS's own words are but "Forbidden".
        raise ConfigurationError(
            f"s3://{bucket}/{artifact.key} may not be looked at: whoever deploys needs s3:GetObject and s3:ListBucket in that bucket, "
            "as DeployRole has them, and its policy must not deny him"
        ) from None
