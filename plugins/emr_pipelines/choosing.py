"""What a person may choose when a run is triggered: profiles, the first of which that can be had is used, and settings within bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from emr_pipelines.environments import Environment
from emr_pipelines.errors import ConfigurationError
from emr_pipelines.policy import violations
from emr_pipelines.targets import capabilities_of
from emr_pipelines.targets.profile import Profile

TARGET = "target"
"""Name of the run parameter in which a person chooses."""

_NEVER = frozenset(
    {"name", "target", "region", "connection", "log_uri", "tags", "description", "overrides", "owner", "max_concurrent"}
)
"""What decides where compute is, whose it is and how it is found again: no form may change it."""


@dataclass(frozen=True)
class Between:
    """A whole number that may be chosen, from ``minimum`` to ``maximum``."""

    minimum: int
    maximum: int

    def __post_init__(self) -> None:
        if self.minimum > self.maximum:
            raise ConfigurationError(
                f"Between({self.minimum}, {self.maximum}) holds no number: the smaller one comes first"
            )

    def schema(self) -> dict[str, Any]:
        """Return it as JSON Schema, for a run parameter that may be left empty."""
        return {"type": ["null", "integer"], "minimum": self.minimum, "maximum": self.maximum}

    def samples(self) -> tuple[int, ...]:
        """Return the values that a profile must take."""
        return (self.minimum, self.maximum)


@dataclass(frozen=True)
class OneOf:
    """One of some texts, such as release labels."""

    values: tuple[str, ...]

    def __init__(self, *values: str) -> None:
        if not values:
            raise ConfigurationError("OneOf() holds no text: name what may be chosen")
        object.__setattr__(self, "values", values)

    def schema(self) -> dict[str, Any]:
        """Return it as JSON Schema, for a run parameter that may be left empty."""
        return {"type": ["null", "string"], "enum": [None, *self.values]}

    def samples(self) -> tuple[str, ...]:
        """Return the values that a profile must take."""
        return self.values


Bounds = Between | OneOf
"""What a setting may be overridden with."""


@dataclass(frozen=True)
class Choice:
    """What one run was triggered with."""

    profiles: tuple[str, ...]
    """To be tried in this order."""
    overrides: Mapping[str, int | str] = field(default_factory=dict)
    given: bool = True
    """Whether the run was given it; else it is the DAG's default."""


@dataclass(frozen=True)
class Offer:
    """What a DAG lets a person choose from: ``chains`` of profile names, the default first, and overrides by setting."""

    chains: tuple[tuple[str, ...], ...]
    overrides: Mapping[str, Bounds] = field(default_factory=dict)

    @classmethod
    def of(cls, targets: Sequence[str | Sequence[str]], overrides: Mapping[str, Bounds]) -> Offer:
        """Read what a DAG's author wrote.

        :raises ConfigurationError: it is no list of different profiles and lists of different profiles.
        """
        if isinstance(targets, str) or not targets:
            raise ConfigurationError(f"targets= is a list of profile names, and it is {targets!r}")
        chains = tuple((entry,) if isinstance(entry, str) else tuple(entry) for entry in targets)
        for chain in (*chains, chains):
            if not chain or len(set(chain)) != len(chain):
                raise ConfigurationError(f"targets= names different profiles, and it is {list(targets)!r}")
        for setting, bounds in overrides.items():
            if not isinstance(bounds, Between | OneOf):
                raise ConfigurationError(
                    f"overrides= bounds {setting!r} by Between(...) or OneOf(...), and it is {bounds!r}"
                )
        return cls(chains, dict(overrides))

    @property
    def profiles(self) -> tuple[str, ...]:
        """Every profile that a run may use."""
        return tuple(dict.fromkeys(name for chain in self.chains for name in chain))

    def check(self, environment: Environment) -> None:
        """Check that the profiles exist and take every override that is allowed.

        :raises ConfigurationError: which one does not, and why.
        """
        for name in self.profiles:
            profile = environment.profile(name)
            for setting, bounds in self.overrides.items():
                for value in bounds.samples():
                    _allow(environment, override(profile, {setting: value}))

    def labels(self, environment: Environment) -> dict[str, str]:
        """Return what the form shows for each value of the parameter."""
        return {value_of(chain): _label(chain, environment) for chain in self.chains}

    def choice(self, params: Mapping[str, Any], conf: Mapping[str, Any] | None) -> Choice:
        """Read what a run was triggered with; ``conf`` is what it was given, ``params`` are defaults too.

        :raises ConfigurationError: the DAG does not offer it.
        """
        chosen = str(params[TARGET])
        chains = {value_of(chain): chain for chain in self.chains}
        if chosen not in chains:
            raise ConfigurationError(
                f"The run asks for target {chosen!r}, and this DAG offers: {'; '.join(chains)}. Trigger it with one of these."
            )
        overrides = {name: params[name] for name in self.overrides if params.get(name) is not None}
        return Choice(chains[chosen], overrides, given=TARGET in (conf or {}))


def said_of(choice: Choice) -> str:
    """Say what a run was asked to use, and who asked."""
    what = ", then ".join(choice.profiles)
    asked = (
        f"The run was given target {what}"
        if choice.given
        else f"The run was given no target and uses the DAG's default, {what}"
    )
    changes = "".join(f"; instead of the profile's own, {name} is {value}" for name, value in choice.overrides.items())
    return f"{asked}{changes}."


def why(choice: Choice, profile: str, refused: Sequence[Mapping[str, str]]) -> str:
    """Say why a run uses the compute that it uses; ``refused`` are the profiles before it, each with its ``reason``."""
    others = [f"Not {one['profile']}: {one['reason']}" for one in refused]
    return "\n".join([said_of(choice), *others, f"Used: {profile}"])


def value_of(chain: Sequence[str]) -> str:
    """Return the parameter's value for profiles to be tried in turn."""
    return ",".join(chain)


def override(profile: Profile, values: Mapping[str, int | str]) -> Profile:
    """Return a profile with settings overridden.

    :raises ConfigurationError: which setting does not exist, may not be changed, or does not take its value.
    """
    if forbidden := sorted(_NEVER & set(values)):
        raise ConfigurationError(f"overrides= may not change {forbidden[0]!r}: make another profile for it")
    try:
        return profile.overridden(values)
    except ValidationError as error:
        finding = error.errors(include_url=False)[0]
        setting = ".".join(str(part) for part in finding["loc"]) or ", ".join(values)
        what = "there is no such setting" if finding["type"] == "extra_forbidden" else finding["msg"]
        raise ConfigurationError(
            f"overrides= cannot set {setting!r} to {values.get(setting)!r} in profile {profile.name!r} (target {profile.target!r}): {what}"
        ) from None


def _allow(environment: Environment, profile: Profile) -> None:
    for violation in violations(environment.rules, profile):
        changed = ", ".join(f"{name} to {value!r}" for name, value in profile.overrides.items())
        raise ConfigurationError(
            f"overrides= would set {changed} in profile {profile.name!r}, and policy.yaml does not allow it: {violation.words}"
        )


def _label(chain: Sequence[str], environment: Environment) -> str:
    if len(chain) > 1:
        return ", then ".join(chain)
    profile = environment.profile(chain[0])
    title = capabilities_of(profile.target).title
    return f"{profile.name}: {profile.description or f'{title} in {profile.region}'}"
