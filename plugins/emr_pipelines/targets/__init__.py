"""The registry of targets: a name, the model of its profiles, and the class that speaks to its service.

Adding a target is one module and one line here.
"""

from __future__ import annotations

from emr_pipelines.targets.base import Capabilities, Clients, Target
from emr_pipelines.targets.ec2 import Ec2
from emr_pipelines.targets.ec2_profile import Ec2Profile

Profile = Ec2Profile
"""Any target's profile."""

_TARGETS: dict[str, tuple[type[Profile], type[Ec2]]] = {"ec2": (Ec2Profile, Ec2)}


def target_names() -> list[str]:
    """List the targets that there are."""
    return sorted(_TARGETS)


def profile_model(target: str) -> type[Profile]:
    """Return the model of a target's profiles."""
    return _TARGETS[target][0]


def capabilities_of(target: str) -> Capabilities:
    """Return what a target can do."""
    return _TARGETS[target][1].capabilities


def target_for(profile: Profile, clients: Clients) -> Target:
    """Build the target that a profile configures."""
    return _TARGETS[profile.target][1](profile, clients)
