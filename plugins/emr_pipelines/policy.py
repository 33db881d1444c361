"""What a platform team forbids: ``include/compute/policy.yaml``, held against every profile when a DAG is parsed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from emr_pipelines.documents import Part
from emr_pipelines.targets.profile import Profile, Relaxed


class Rules(BaseModel):
    """What profiles may be; what is not said is allowed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    regions: tuple[str, ...] | None = None
    """The AWS regions that profiles may be in."""
    instance_families: tuple[str, ...] | None = None
    """EC2 instance families that clusters may have, such as ``m5``."""
    maximum_nodes: int | None = Field(default=None, ge=1)
    """Nodes of a cluster, or workers of one job, at a time; all jobs of a kept application are bounded by its ``maximum_capacity``."""
    required_tags: tuple[str, ...] = ()
    """Tags that every profile gives to what it creates."""
    forbid: tuple[Relaxed, ...] = ()
    """What no profile may be relaxed about."""


class Policy(Rules):
    """The rules of some environments, and stricter ones for some of these."""

    environments: tuple[str, ...] = Field(min_length=1)
    """The environments that the policy is about: files of this folder, without ``.yaml``."""
    stricter: dict[str, Rules] = {}
    """Rules of single environments instead of the general ones, by environment."""


@dataclass(frozen=True)
class Violation:
    """What a profile may not be: the setting at which it is, and a sentence with the cure."""

    setting: str
    words: str


def rules_of(document: Part, environment: str) -> Rules:
    """Return the rules that a policy file has for an environment: none when the policy is not about it.

    :raises ConfigurationError: the file is wrong; all of it is checked, whatever the environment.
    """
    policy = document.model(Policy)
    for name in policy.stricter:
        document.require(
            name in policy.environments,
            ("stricter", name),
            f"stricter.{name}: the policy is not about {name!r}: add it to environments",
        )
    if environment not in policy.environments:
        return Rules()
    own = policy.stricter.get(environment, Rules())
    return policy.model_copy(update={name: getattr(own, name) for name in own.model_fields_set})


def violations(rules: Rules, profile: Profile) -> Iterator[Violation]:
    """Say what of a profile its environment's rules forbid."""
    if rules.regions is not None and profile.region not in rules.regions:
        yield Violation("region", f"{profile.region} is not allowed: use {' or '.join(rules.regions)}")
    families = rules.instance_families
    for kind in profile.instance_types if families is not None else ():
        if kind.partition(".")[0] not in (families or ()):
            yield Violation("", f"instance type {kind} is not allowed: use one of {', '.join(families or ())}")
    yield from _too_many(rules, profile)
    for tag in rules.required_tags:
        if not profile.tags.get(tag):
            yield Violation("tags", f"tag {tag!r} is required: add it to tags")
    for relaxation in profile.relaxations:
        if relaxation.kind in rules.forbid:
            yield Violation("", f"{relaxation.kind} is forbidden, and {relaxation.words}")


def _too_many(rules: Rules, profile: Profile) -> Iterator[Violation]:
    if rules.maximum_nodes is None:
        return
    if profile.most_nodes is None:
        yield Violation(
            "", f"nothing bounds its nodes, and at most {rules.maximum_nodes} are allowed: set maximum_workers"
        )
    elif profile.most_nodes > rules.maximum_nodes:
        yield Violation(
            "",
            f"it may have {profile.most_nodes} nodes, and at most {rules.maximum_nodes} are allowed: take fewer, or set maximum_workers",
        )
