"""What a target can do, whatever its profile."""

from __future__ import annotations

from dataclasses import dataclass

from emr_pipelines.jobs import Engine
from emr_pipelines.targets.profile import Owner


@dataclass(frozen=True)
class Capabilities:
    """What a target can do."""

    title: str
    """AWS's name of the service."""
    engines: frozenset[Engine]
    owners: frozenset[Owner]
    """Whose its compute can be: made for a run and ended with it, or kept by the profile."""
    bills_while_idle: bool
    reports_its_bill: bool
    oldest_release: str
    runs_per_call: int = 1
    """Job runs that one call tells of for certain."""
