"""What the control plane knows of a cluster and its steps."""

from __future__ import annotations

import json
import secrets
import string
from dataclasses import dataclass, field
from typing import Any

ENDED = ("TERMINATED", "TERMINATED_WITH_ERRORS")
"""States of a cluster that is over."""

HAS_INSTANCES = ("BOOTSTRAPPING", "RUNNING", "WAITING")
"""States of a cluster whose instances may be lost."""

NOT_OPEN = ("TERMINATING", *ENDED)
"""States of a cluster that takes no more work."""

ACTIVE = ("PENDING", "RUNNING", "CANCEL_PENDING")
"""States of a step that count against the limit of 256 steps a cluster."""

OCCUPYING = ("RUNNING", "CANCEL_PENDING")
"""States of a step whose process may be alive."""

DEFAULT_INSTANCE_TYPE = "m5.xlarge"
"""What instances of a fleet are that names no type."""

_ID_LETTERS = string.ascii_uppercase + string.digits


def new_id(prefix: str) -> str:
    """Return an identifier in the form of EMR's: `j-` for a cluster, `s-` a step, `ig-` a group, `if-` a fleet."""
    return f"{prefix}-{''.join(secrets.choice(_ID_LETTERS) for _ in range(13))}"


@dataclass
class StepRecord:
    """A step. Times are epoch seconds."""

    id: str
    name: str
    jar: str
    args: list[str]
    main_class: str | None
    properties: dict[str, str]
    action_on_failure: str
    execution_role: str | None
    created: float
    started: float | None = None
    ended: float | None = None
    state: str = "PENDING"
    message: str | None = None
    failure: dict[str, str] | None = None


@dataclass
class ClusterRecord:
    """A cluster. `request` is the RunJobFlow request, for all that never changes; times are epoch seconds."""

    id: str
    region: str
    request: dict[str, Any]
    groups: list[dict[str, Any]]
    fleets: list[dict[str, Any]]
    created: float
    tags: dict[str, str]
    keep_alive: bool
    termination_protected: bool
    unhealthy_node_replacement: bool
    visible_to_all_users: bool
    step_concurrency: int
    idle_timeout: int | None
    managed_scaling: dict[str, Any] | None
    state: str = "STARTING"
    errors: list[dict[str, Any]] = field(default_factory=list)
    reason_code: str | None = None
    message: str | None = "Configuring cluster software"
    provisioned: float | None = None
    ready: float | None = None
    idle_since: float | None = None
    ended: float | None = None
    steps: list[StepRecord] = field(default_factory=list)

    @classmethod
    def read(cls, text: str) -> ClusterRecord:
        """Return a record from its JSON. Raises ValueError, TypeError or KeyError for anything else."""
        record = json.loads(text)
        steps = [StepRecord(**step) for step in record.pop("steps")]
        return cls(**record, steps=steps)

    @property
    def name(self) -> str:
        """The cluster's name."""
        return str(self.request["Name"])

    @property
    def arn(self) -> str:
        """The cluster's ARN (Service Authorization Reference, Amazon EMR)."""
        return f"arn:aws:elasticmapreduce:{self.region}:{ACCOUNT}:cluster/{self.id}"

    @property
    def availability_zone(self) -> str:
        """The zone of the cluster's instances."""
        placement = self.request["Instances"].get("Placement", {})
        return str(placement.get("AvailabilityZone") or f"{self.region}a")

    @property
    def instance_types(self) -> list[str]:
        """The instance types that the cluster's groups or fleets name, as they stand in the request."""
        configs = [config for fleet in self.fleets for config in fleet.get("InstanceTypeConfigs", [])]
        return [group["InstanceType"] for group in (*self.groups, *configs)]

    def steps_in(self, *states: str) -> list[StepRecord]:
        """List the steps in any of `states`, oldest first."""
        return [step for step in self.steps if step.state in states]


ACCOUNT = "123456789012"
"""The account that moto gives to credentials that it does not know."""
