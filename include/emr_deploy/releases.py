"""Releases: what was deployed to an artifacts bucket, when and by whom, one JSON object for each; the last one is current.

``releases/<deployment>/<time>-<first twelve letters of its hash>.json``. None is ever changed: going back to an older release is
one more of them. The hash is of the files and of whom they are for, so that deploying the same again adds nothing.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from emr_pipelines.artifacts import Artifact
from emr_pipelines.environments import Environment

_SHORT = 12


@dataclass(frozen=True)
class Release:
    """What was deployed. ``files`` are the artifacts by the paths that DAGs name, each with its SHA-256 and its key in the bucket."""

    release: str
    """SHA-256 of environment, deployment and files."""
    environment: str
    deployment: str
    files: dict[str, dict[str, str]]
    at: str
    """When, in UTC."""
    by: str | None
    """ARN of who deployed it."""
    commit: str | None
    """The git commit of the checkout, with ``+`` behind it when files of ``include/`` were changed; ``None`` outside of git."""

    @property
    def key(self) -> str:
        """Where it lies in a bucket."""
        return f"{folder_of(self.deployment)}{self.at.replace(':', '-')}-{self.release[:_SHORT]}.json"

    @property
    def content(self) -> bytes:
        """What lies there."""
        return json.dumps(asdict(self), indent=2).encode()


def folder_of(deployment: str) -> str:
    """Return the prefix of a deployment's releases."""
    return f"releases/{deployment}/"


def release_of(
    environment: Environment, artifacts: Iterable[Artifact], when: datetime, by: str | None, commit: str | None
) -> Release:
    """Return the release of some artifacts."""
    files = {
        artifact.path: {"sha256": hashlib.sha256(artifact.content).hexdigest(), "key": artifact.key}
        for artifact in artifacts
    }
    name, deployment = environment.name, environment.deployment
    identity = json.dumps([name, deployment, files], sort_keys=True).encode()
    at = when.isoformat(timespec="seconds").replace("+00:00", "Z")
    return Release(hashlib.sha256(identity).hexdigest(), name, deployment, files, at, by, commit)


def is_current(s3: Any, bucket: str, release: Release) -> bool:
    """Whether the last release of a bucket is this one. Without the bucket there is none."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder_of(release.deployment))
    try:
        keys = [one["Key"] for page in pages for one in page.get("Contents", [])]
    except s3.exceptions.NoSuchBucket:
        return False
    return bool(keys) and max(keys).endswith(f"-{release.release[:_SHORT]}.json")


def record(s3: Any, bucket: str, release: Release) -> None:
    """Lay a release into a bucket."""
    s3.put_object(Bucket=bucket, Key=release.key, Body=release.content, ContentType="application/json")


def commit_of(folder: Path) -> str | None:
    """Return the git commit of a folder, with ``+`` where files in it were changed since; ``None`` where there is no git."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    return commit.strip() + ("+" if _git(folder, "status", "--porcelain", "--", ".") else "")


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=False)  # noqa: S603, S607  # git of the path, with words of ours
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None
