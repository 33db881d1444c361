"""The registry of targets: the class that speaks to each service, which names the model of its profiles.

Adding a target is one module and one line here. A target is imported when a profile asks for it.
"""

from __future__ import annotations

import importlib
from typing import Any

from emr_pipelines.targets.base import Clients, Target
from emr_pipelines.targets.capabilities import Capabilities
from emr_pipelines.targets.profile import Profile

REGISTRY = {
    "ec2": "emr_pipelines.targets.ec2:Ec2",
    "eks": "emr_pipelines.targets.eks:Eks",
    "serverless": "emr_pipelines.targets.serverless:Serverless",
}
"""Class by name of target, as ``module:class``."""


def target_names() -> list[str]:
    """List the targets that there are."""
    return sorted(REGISTRY)


def profile_model(target: str) -> type[Profile]:
    """Return the model of a target's profiles."""
    model: type[Profile] = _class_of(target).profile_model
    return model


def capabilities_of(target: str) -> Capabilities:
    """Return what a target can do."""
    capabilities: Capabilities = _class_of(target).capabilities
    return capabilities


def target_for(profile: Profile, clients: Clients) -> Target:
    """Build the target that a profile configures."""
    target: Target = _class_of(profile.target)(profile, clients)
    return target


def _class_of(target: str) -> Any:
    module, _, name = REGISTRY[target].partition(":")
    return getattr(importlib.import_module(module), name)
