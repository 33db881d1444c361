"""What an environment needs of its account: every name in its profiles and beside them, once, with the settings that name it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from emr_pipelines.environments import Environment
from emr_pipelines.targets.names import Named
from emr_pipelines.targets.profile import Profile

_TOLD = 2
"""Settings that a sentence names; the others it counts."""

_GLOBAL = frozenset({"role", "eks_role", "instance_profile"})
"""Kinds that IAM has, for all regions."""

_ARN = re.compile(r"arn:[^:]+:[^:]+:(?P<region>[a-z0-9-]+):")
_IMAGE = re.compile(r"\d{12}\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.")


@dataclass(frozen=True)
class Use:
    """A setting that names a thing, and what the thing must fit there (``Named.of``)."""

    setting: str
    of: str = ""


@dataclass(frozen=True)
class Thing:
    """What there has to be: a ``Kind`` of ``targets.names``, or ``bucket``, ``queue``, ``database``."""

    kind: str
    name: str
    region: str
    """Where; empty of what lies in no region."""
    uses: tuple[Use, ...]

    @property
    def told(self) -> str:
        """The settings that name it, in brackets, for the end of a cause."""
        settings = list(dict.fromkeys(use.setting for use in self.uses))
        more = f" and {len(settings) - _TOLD} more" if len(settings) > _TOLD else ""
        return f"({', '.join(settings[:_TOLD])}{more})"

    @property
    def fits(self) -> dict[str, Thing]:
        """What it must fit, each with the thing as those settings alone use it."""
        wanted = dict.fromkeys(use.of for use in self.uses if use.of)
        return {of: replace(self, uses=tuple(use for use in self.uses if use.of == of)) for of in wanted}


def things_of(environment: Environment) -> list[Thing]:
    """List what an environment needs, in the order in which its file names it."""
    uses: dict[tuple[str, str, str], list[Use]] = {}
    for kind, name, region, use in (*_beside_profiles(environment), *_in_profiles(environment)):
        uses.setdefault((kind, name, region), []).append(use)
    return [Thing(*place, tuple(used)) for place, used in uses.items()]


def home_of(environment: Environment) -> str:
    """Return the region of what belongs to no profile: that of the first one in the file."""
    return next(iter(environment.profiles.values())).region


def regions_of(environment: Environment) -> list[str]:
    """List the regions of an environment's profiles, each once."""
    return list(dict.fromkeys(profile.region for profile in environment.profiles.values()))


_Needed = tuple[str, str, str, Use]


def _beside_profiles(environment: Environment) -> Iterator[_Needed]:
    yield "bucket", environment.buckets.data, "", Use("buckets.data")
    for region in regions_of(environment):
        own = f"regions.{region}." if region in environment.regions else ""
        buckets = environment.buckets_in(region)
        yield "bucket", buckets.logs, "", Use(f"{own}buckets.logs", region)
        yield "bucket", buckets.artifacts, "", Use(f"{own}buckets.artifacts", region)
    if queue := environment.watching.events_queue:
        yield "queue", queue, home_of(environment), Use("watching.events_queue")
    if environment.catalogue:
        yield "database", environment.catalogue.database, home_of(environment), Use("catalogue.database")


def _in_profiles(environment: Environment) -> Iterator[_Needed]:
    ours = {environment.buckets.data, *_regional(environment)}
    for profile in environment.profiles.values():
        for named in profile.named:
            needed = _needed(named, profile)
            if needed and not (needed[0] == "bucket" and needed[1] in ours):
                yield needed


def _regional(environment: Environment) -> Iterable[str]:
    for region in regions_of(environment):
        buckets = environment.buckets_in(region)
        yield from (buckets.logs, buckets.artifacts)


def _needed(named: Named, profile: Profile) -> _Needed | None:
    """Return what a name of a profile asks for; ``None`` for files of images and clusters, which no API knows."""
    use = Use(f"profiles.{profile.name}.{named.setting}", named.of)
    if named.kind in ("folder", "object"):
        bucket, _, key = re.sub(r"^(s3://|arn:[^:]+:s3:::)", "", named.name).partition("/")
        if bucket == named.name.partition("/")[0]:
            return None
        return ("bucket", bucket, "", use) if named.kind == "folder" else ("object", f"s3://{bucket}/{key}", "", use)
    if named.kind in _GLOBAL:
        return named.kind, named.name, "", use
    elsewhere = _ARN.match(named.name) or _IMAGE.match(named.name)
    return named.kind, named.name, elsewhere["region"] if elsewhere else profile.region, use
