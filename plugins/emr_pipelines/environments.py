"""Environments: YAML files of compute profiles and buckets, checked when a DAG is parsed.

``EMR_PIPELINES_ENVIRONMENT`` picks ``include/compute/<name>.yaml`` (default ``local``); ``EMR_PIPELINES_INCLUDE`` says where
``include/`` lies (default: beside ``plugins/``). A profile may ``extends:`` another of its file and overrides what it names.
Every error names the file and the line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from emr_pipelines.documents import Document, suggestion
from emr_pipelines.errors import ConfigurationError
from emr_pipelines.targets import profile_model, target_names
from emr_pipelines.targets.profile import Profile

_DEPLOYMENT = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
_SETTINGS = ("deployment", "buckets", "catalogue", "reaper", "watching", "profiles")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class Buckets(BaseModel):
    """The S3 buckets of an environment, by purpose."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str
    logs: str
    artifacts: str


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
    events_queue: str | None = Field(default=None, pattern=r"^https?://\S+$")
    """Address of the SQS queue to which EventBridge sends the ends of job runs; without one they are only looked for."""
    events_connection: str | None = None
    """Airflow connection with which the queue is read."""


class Catalogue(BaseModel):
    """The AWS Glue database whose tables publishing switches; reached as the first profile of the file is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    database: str = Field(pattern=r"^[a-z0-9_]{1,255}$")
    """Database of the tables that datasets name."""


@dataclass(frozen=True)
class Environment:
    """One file: profiles by name, buckets by purpose, the name of this Airflow installation, what its reaper does, how it waits.

    ``catalogue`` is where it publishes tables, if it does.
    """

    name: str
    deployment: str
    buckets: Buckets
    profiles: Mapping[str, Profile]
    reaper: Reaping
    watching: Watching
    source: Path
    catalogue: Catalogue | None = None
    regions: Mapping[str, Buckets] = field(default_factory=dict)
    """Buckets of regions that have their own."""

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


def current_environment() -> Environment:
    """Return the environment that ``EMR_PIPELINES_ENVIRONMENT`` picks, read once per process and change of its file.

    :raises ConfigurationError: there is no such file, or it is not valid.
    """
    name = os.environ.get("EMR_PIPELINES_ENVIRONMENT", "local")
    folder = include_folder() / "compute"
    path = folder / f"{name}.yaml"
    if not re.fullmatch(r"[\w-]+", name) or not path.is_file():
        available = sorted(file.stem for file in folder.glob("*.yaml"))
        known = ", ".join(available) or "none"
        raise ConfigurationError(
            f"EMR_PIPELINES_ENVIRONMENT is {name!r}, and there is no {path}{suggestion(name, available)}; there are: {known}"
        )
    return _read_once(path, path.stat().st_mtime_ns, os.environ.get("EMR_PIPELINES_DEPLOYMENT"))


@lru_cache(maxsize=8)
def _read_once(path: Path, _changed: int, deployment: str | None) -> Environment:
    return read_environment(path, deployment)


def read_environment(path: Path, deployment: str | None = None) -> Environment:
    """Read one environment file; ``deployment`` overrides the name of the installation that the file gives.

    :raises ConfigurationError: what is wrong, with file and line.
    """
    document = Document(path)
    content = document.content
    document.require(
        set(content) <= set(_SETTINGS),
        (),
        _unknown(content, *_SETTINGS),
    )
    name = deployment or content.get("deployment") or ("local" if path.stem == "local" else None)
    document.require(
        isinstance(name, str) and _DEPLOYMENT.fullmatch(name),
        ("deployment",),
        "deployment: name this Airflow installation, here or in EMR_PIPELINES_DEPLOYMENT, with at most 31 lower case letters, "
        "digits and hyphens: compute is found, and ended, by it",
    )
    buckets = document.model(Buckets, ("buckets",), content.get("buckets") or {})
    for purpose, bucket in buckets:
        document.require(
            _BUCKET.fullmatch(bucket), ("buckets", purpose), f"buckets.{purpose}: {bucket!r} is no name of an S3 bucket"
        )
    reaper = content.get("reaper", {})
    document.require(
        isinstance(reaper, dict),
        ("reaper",),
        "reaper: settings are needed, such as {grace_minutes: 60, dry_run: false}",
    )
    watching = content.get("watching", {})
    document.require(
        isinstance(watching, dict),
        ("watching",),
        "watching: settings are needed, such as {call_share: 0.5, triggerers: 2}",
    )
    catalogue = content.get("catalogue")
    document.require(
        catalogue is None or isinstance(catalogue, dict),
        ("catalogue",),
        "catalogue: the name of its database is needed, such as {database: flights}",
    )
    profiles = content.get("profiles")
    document.require(isinstance(profiles, dict) and profiles, ("profiles",), "profiles: at least one profile is needed")
    return Environment(
        name=path.stem,
        deployment=str(name),
        buckets=buckets,
        profiles={str(name): _profile(document, str(name), profiles, buckets) for name in profiles},
        reaper=document.model(Reaping, ("reaper",), reaper),
        watching=document.model(Watching, ("watching",), watching),
        source=path,
        catalogue=None if catalogue is None else document.model(Catalogue, ("catalogue",), catalogue),
    )


def _profile(document: Document, name: str, profiles: dict[str, Any], buckets: Buckets) -> Profile:
    settings = _inherited(document, name, profiles, ())
    target = settings.get("target")
    document.require(
        target in target_names(),
        ("profiles", name, "target"),
        f"profiles.{name}.target: {target!r} is no target{suggestion(str(target), target_names())}; "
        f"there are: {', '.join(target_names())}",
    )
    for reserved in ("name", "overrides"):
        document.require(
            reserved not in settings,
            ("profiles", name, reserved),
            f"profiles.{name}: there is no such setting: {reserved!r}",
        )
    settings.setdefault("log_uri", f"s3://{buckets.logs}/elasticmapreduce/")
    return document.model(profile_model(str(target)), ("profiles", name), {**settings, "name": name})


def _inherited(document: Document, name: str, profiles: dict[str, Any], heirs: tuple[str, ...]) -> dict[str, Any]:
    """Return a profile's settings over those of the profile that it extends."""
    where = ("profiles", name)
    own = profiles[name]
    document.require(isinstance(own, dict), where, f"profiles.{name}: settings are needed")
    document.require(name not in heirs, where, f"profiles.{name}: extends itself through {' -> '.join((*heirs, name))}")
    parent = own.get("extends")
    if parent is None:
        return dict(own)
    document.require(
        parent in profiles,
        (*where, "extends"),
        f"profiles.{name}.extends: there is no profile {parent!r}{suggestion(str(parent), profiles)}",
    )
    settings = _merge(_inherited(document, parent, profiles, (*heirs, name)), own)
    del settings["extends"]
    return settings


def _merge(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Merge mappings deeply; any other value over replaces the one under."""
    merged = dict(under)
    for name, value in over.items():
        beneath = merged.get(name)
        merged[name] = _merge(beneath, value) if isinstance(beneath, dict) and isinstance(value, dict) else value
    return merged


def _unknown(content: Mapping[str, Any], *known: str) -> str:
    extra = next((name for name in content if name not in known), "")
    return f"there is no such setting: {extra!r}{suggestion(extra, known)}"
