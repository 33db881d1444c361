"""Environments: YAML files of compute profiles and buckets, checked when a DAG is parsed.

``EMR_PIPELINES_ENVIRONMENT`` picks ``include/compute/<name>.yaml`` (default ``local``); ``EMR_PIPELINES_INCLUDE`` says where
``include/`` lies (default: beside ``plugins/``). A file may ``extends:`` another of its folder, and a profile another profile;
each overrides what it names. A profile takes ``presets:`` too, named pieces that stand under ``presets`` of the file. What
``policy.yaml`` forbids is an error. Every error names the file and the line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from emr_pipelines.documents import Part, read
from emr_pipelines.errors import ConfigurationError, suggestion
from emr_pipelines.policy import Rules, rules_of, violations
from emr_pipelines.profiles import profile_of, profile_part
from emr_pipelines.targets.profile import Like, Profile

_DEPLOYMENT = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
_SETTINGS = (
    "extends",
    "deployment",
    "buckets",
    "regions",
    "catalogue",
    "reaper",
    "watching",
    "metrics",
    "presets",
    "profiles",
)
_SHARED = "defaults"
_POLICY = "policy"
_NO_ENVIRONMENTS = (_SHARED, _POLICY)
"""Files of the folder that are no environments: what these share, and what is forbidden."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class Buckets(BaseModel):
    """The S3 buckets of an environment, by purpose."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str
    logs: str
    artifacts: str


class _Region(BaseModel):
    """What a region has of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    buckets: dict[str, str]


class Reaping(BaseModel):
    """What the reaper does with compute that no run needs any more."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    grace_minutes: int = Field(default=60, ge=0)
    """Age from which it is ended."""
    dry_run: bool = True
    """Whether it is only told, and never ended."""


class Watching(BaseModel):
    """How the triggerers wait for job runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    call_share: float = Field(default=0.5, gt=0, le=1)
    """Share of the calls that AWS allows the account which all triggerers together may take."""
    triggerers: int = Field(default=1, ge=1)
    """How many triggerers this Airflow has: each takes an equal part of the share."""
    events_queue: (
        Annotated[str, Like(r"https?://\S+", "https://sqs.us-east-1.amazonaws.com/123456789012/emr")] | None
    ) = None
    """Address of the SQS queue to which EventBridge sends the ends of job runs; without one they are only looked for."""
    events_connection: str | None = None
    """Airflow connection with which the queue is read."""


class Measuring(BaseModel):
    """What becomes of what is measured; Airflow's own metrics are always told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cloudwatch: bool = False
    """Whether CloudWatch is told, too, in the region of the first profile of the file."""
    run_log: bool = True
    """Whether each run leaves a document in the bucket of logs."""


class Catalogue(BaseModel):
    """The AWS Glue database whose tables publishing switches; reached as the first profile of the file is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    database: Annotated[str, Like(r"[a-z0-9_]{1,255}", "flights")]
    """Database of the tables that datasets name."""


@dataclass(frozen=True)
class Environment:
    """One file: profiles by name, buckets by purpose, the name of this Airflow installation, what its reaper does, how it waits.

    ``catalogue`` is where it publishes tables, if it does; ``metrics`` says who is told what was measured.
    """

    name: str
    deployment: str
    buckets: Buckets
    profiles: Mapping[str, Profile]
    reaper: Reaping
    watching: Watching
    source: Path
    catalogue: Catalogue | None = None
    metrics: Measuring = field(default_factory=Measuring)
    regions: Mapping[str, Buckets] = field(default_factory=dict)
    """Buckets of regions that have their own."""
    rules: Rules = field(default_factory=Rules)
    """What no profile may be, whatever a run is triggered with."""

    def buckets_in(self, region: str) -> Buckets:
        """Return the buckets that compute of a region uses: its own, where the file gives it some, else the environment's."""
        return self.regions.get(region, self.buckets)

    def profile(self, name: str) -> Profile:
        """Return a profile by name.

        :raises ConfigurationError: there is none of that name; the message lists those that there are.
        """
        try:
            return self.profiles[name]
        except KeyError:
            guess = suggestion(name, self.profiles)
            known = ", ".join(sorted(self.profiles))
            raise ConfigurationError(f"There is no profile {name!r} in {self.source}{guess}; it has: {known}") from None


def include_folder() -> Path:
    """Return the folder that job scripts, rulesets and environments are named from."""
    configured = os.environ.get("EMR_PIPELINES_INCLUDE")
    return Path(configured) if configured else Path(__file__).resolve().parents[2] / "include"


def environment_files(folder: Path) -> dict[str, Path]:
    """Return the files of a folder that are environments, by name."""
    return {file.stem: file for file in _files(folder) if file.stem not in _NO_ENVIRONMENTS}


def _files(folder: Path) -> list[Path]:
    """List the YAML files of a folder; those that are hidden are locks and copies of editors, and may lead nowhere."""
    return sorted(file for file in folder.glob("*.yaml") if not file.name.startswith("."))


def current_environment() -> Environment:
    """Return the environment that ``EMR_PIPELINES_ENVIRONMENT`` picks, read once per process and change of its folder's files.

    :raises ConfigurationError: there is no such file, or it is not valid.
    """
    name = os.environ.get("EMR_PIPELINES_ENVIRONMENT", "local")
    folder = include_folder() / "compute"
    files = environment_files(folder)
    if name not in files:
        known = ", ".join(files) or "none"
        raise ConfigurationError(
            f"EMR_PIPELINES_ENVIRONMENT is {name!r}, and there is no environment {folder / name}.yaml{suggestion(name, files)}; "
            f"there are: {known}"
        )
    changed = tuple((file, file.stat().st_mtime_ns) for file in _files(folder) if file.exists())
    return _read_once(files[name], changed, os.environ.get("EMR_PIPELINES_DEPLOYMENT"))


@lru_cache(maxsize=8)
def _read_once(path: Path, _changed: object, deployment: str | None) -> Environment:
    return read_environment(path, deployment)


def read_environment(path: Path, deployment: str | None = None) -> Environment:
    """Read one environment file; ``deployment`` overrides the name of the installation that the file gives.

    :raises ConfigurationError: what is wrong, with file and line.
    """
    document = read_document(path)
    content = document.settings
    name = deployment or content.get("deployment") or ("local" if path.stem == "local" else None)
    document.require(
        isinstance(name, str) and _DEPLOYMENT.fullmatch(name),
        ("deployment",),
        "deployment: name this Airflow installation, here or in EMR_PIPELINES_DEPLOYMENT, with at most 31 lower case letters, "
        "digits and hyphens: compute is found, and ended, by it",
    )
    buckets = _buckets(document.part("buckets"))
    document.require(content["profiles"], ("profiles",), "profiles: at least one profile is needed")
    rules = read_rules(path)
    return Environment(
        name=path.stem,
        deployment=str(name),
        buckets=buckets,
        profiles={name: read_profile(document, name, rules) for name in content["profiles"]},
        reaper=document.part("reaper").model(Reaping),
        watching=document.part("watching").model(Watching),
        source=path,
        metrics=document.part("metrics").model(Measuring),
        catalogue=document.part("catalogue").model(Catalogue) if content.get("catalogue") is not None else None,
        regions={region: _buckets(_buckets_part(document, region)) for region in document.part("regions").settings},
        rules=rules,
    )


def read_document(path: Path) -> Part:
    """Read an environment's file over those that it extends; a profile that is ``null`` there is taken out.

    :raises ConfigurationError: one of them cannot be read, or holds what no environment has.
    """
    document = _extended(path, ())
    profiles = document.part("profiles")
    kept = {str(name): value for name, value in profiles.settings.items() if value is not None}
    return Part({**document.settings, "profiles": kept}, document.places)


def _extended(path: Path, heirs: tuple[Path, ...]) -> Part:
    document = read(path)
    unknown = next((name for name in document.settings if name not in _SETTINGS), None)
    document.require(
        unknown is None, (str(unknown),), f"there is no such setting: {unknown!r}{suggestion(str(unknown), _SETTINGS)}"
    )
    document.require(path not in heirs, ("extends",), f"extends: {path.name} extends itself: take one of the two out")
    parent = document.settings.get("extends")
    if parent is None:
        return document
    known = sorted(file.stem for file in _files(path.parent) if file != path and file.stem != _POLICY)
    document.require(
        isinstance(parent, str) and parent in known,
        ("extends",),
        f"extends: there is no file {path.parent}/{parent}.yaml{suggestion(str(parent), known)}; there are: {', '.join(known) or 'none'}",
    )
    return document.over(_extended(path.with_name(f"{parent}.yaml"), (*heirs, path)))


def _buckets(part: Part) -> Buckets:
    buckets = part.model(Buckets)
    for purpose, bucket in buckets:
        part.require(
            _BUCKET.fullmatch(bucket),
            (purpose,),
            f"{part.name}.{purpose}: {bucket!r} is no name of an S3 bucket: use 3 to 63 lower case letters, digits, dots and hyphens",
        )
    return buckets


def _buckets_part(document: Part, region: str) -> Part:
    """Return a region's buckets over the environment's: it may have some of its own."""
    document.part("regions", region).model(_Region)
    own = document.part("regions", region, "buckets")
    return own.over(document.part("buckets"))


def read_rules(path: Path) -> Rules:
    """Return what the policy beside an environment's file forbids there.

    :raises ConfigurationError: the policy is wrong.
    """
    source = path.with_name(f"{_POLICY}.yaml")
    # What is there and cannot be read is an error, and no leave to do as one likes.
    if not os.path.lexists(source):
        return Rules()
    document, known = read(source), environment_files(path.parent)
    rules = rules_of(document, path.stem)
    for index, name in enumerate(document.settings["environments"]):
        document.require(
            name in known,
            ("environments", index),
            f"environments: there is no file {path.parent}/{name}.yaml{suggestion(name, known)}: nothing would be held against the policy",
        )
    return rules


def read_profile(document: Part, name: str, rules: Rules) -> Profile:
    """Return one profile of a file, as its target and the rules allow it.

    :raises ConfigurationError: what is wrong, with the file and the line where it was written.
    """
    part = profile_part(document, name)
    region = str(part.settings.get("region"))
    regional = region in document.part("regions").settings
    buckets = _buckets_part(document, region) if regional else document.part("buckets")
    profile = profile_of(part, name, logs=str(buckets.settings.get("logs")))
    for violation in violations(rules, profile):
        part.require(False, (violation.setting,), f"{part.name}: {violation.words} (policy.yaml)")
    return profile
