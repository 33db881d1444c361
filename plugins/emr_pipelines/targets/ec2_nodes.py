"""A cluster's nodes together: groups or fleets, what EMR demands of them, and how many there may be.

Sources: JobFlowInstancesConfig and ComputeLimits in the EMR API reference; "Launch an Amazon EMR cluster with multiple primary
nodes" and "Using automatic scaling with a custom policy for instance groups" in the EMR Management Guide.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import Discriminator, Tag

from emr_pipelines.targets.ec2_fleets import InstanceFleet
from emr_pipelines.targets.ec2_instances import InstanceGroup
from emr_pipelines.targets.ec2_scaling import ManagedScaling, Unit
from emr_pipelines.targets.profile import given

_PRIMARIES = (1, 3)


def _form_of(nodes: Any) -> str:
    fleet = "types" in nodes if isinstance(nodes, dict) else isinstance(nodes, InstanceFleet)
    return "fleet" if fleet else "group"


Nodes = Annotated[
    Annotated[InstanceGroup, Tag("group")] | Annotated[InstanceFleet, Tag("fleet")], Discriminator(_form_of)
]
"""An instance group, or an instance fleet: what has ``types``."""


@dataclass(frozen=True)
class ClusterNodes:
    """The nodes of a cluster, and the managed scaling that sizes core and task."""

    primary: InstanceGroup | InstanceFleet
    core: InstanceGroup | InstanceFleet | None
    task: InstanceGroup | InstanceFleet | None
    scaling: ManagedScaling | None

    @property
    def workers(self) -> list[InstanceGroup | InstanceFleet]:
        """Core and task, where there are some."""
        return [nodes for nodes in (self.core, self.task) if nodes]

    @property
    def are_fleets(self) -> bool:
        """Whether they are instance fleets, and not instance groups."""
        return isinstance(self.primary, InstanceFleet)

    @property
    def primaries(self) -> int:
        """Primary nodes."""
        return self.primary.capacity if isinstance(self.primary, InstanceFleet) else self.primary.count

    @property
    def instance_types(self) -> tuple[str, ...]:
        """EC2 instance types that the cluster may have, each once."""
        return tuple(dict.fromkeys(name for nodes in (self.primary, *self.workers) for name in nodes.instance_types))

    @property
    def most(self) -> int:
        """Instances that the cluster may have at a time, the primary ones among them."""
        workers = sum(nodes.most for nodes in self.workers)
        managed = -(-self.scaling.maximum // self._units_of_a_worker) if self.scaling else 0
        return self.primaries + max(workers, managed)

    @property
    def are_scaled(self) -> bool:
        """Whether EMR adds and removes some of them by itself."""
        ruled = any(isinstance(nodes, InstanceGroup) and nodes.automatic_scaling for nodes in self.workers)
        return ruled or self.scaling is not None

    @property
    def _unit(self) -> Unit:
        """What the bounds of managed scaling count."""
        default: Unit = "fleet_units" if self.are_fleets else "instances"
        return (self.scaling.unit if self.scaling else None) or default

    @property
    def _units_of_a_worker(self) -> int:
        """Units of managed scaling that an instance of core or task counts for, at least."""
        return min((nodes.units(self._unit) for nodes in self.workers), default=1)

    @property
    def warnings(self) -> list[str]:
        """What EMR allows and may end the cluster too early, or never."""
        said = []
        if self.primary.are_spot:
            said.append("primary is Spot: when EC2 takes it back, the cluster and all its jobs end")
        if self.core and self.core.are_spot:
            said.append(
                "core is Spot: when EC2 takes instances back, HDFS may lose blocks and jobs their shuffled data"
            )
        if self.primaries > 1:
            said.append(
                "EMR protects a cluster with three primary nodes and never ends it when idle: only release and the reaper end it"
            )
        return said

    def up_to(self, workers: int) -> ClusterNodes:
        """Return these nodes with no more instances beside the primary ones than that; core instances come first."""
        core = self.core and self.core.at_most(workers)
        left = workers - (core.most if core else 0)
        task = self.task.at_most(left) if self.task and left else None
        scaling = self.scaling and self.scaling.up_to(workers * self._units_of_a_worker)
        return replace(self, core=core, task=task, scaling=scaling)

    def members(self) -> dict[str, Any]:
        """Return the member of ``JobFlowInstancesConfig`` that names the nodes."""
        roles = {"MASTER": self.primary, "CORE": self.core, "TASK": self.task}
        nodes = [one.request(role) for role, one in roles.items() if one]
        return {"InstanceFleets" if self.are_fleets else "InstanceGroups": nodes}

    def policy(self) -> dict[str, Any] | None:
        """Return the ``ManagedScalingPolicy``, where there is one."""
        return self.scaling.request(self._unit) if self.scaling else None

    def check(self) -> None:
        """Check that EMR would make a cluster of them.

        :raises ValueError: it would not.
        """
        if self.task and not self.core:
            raise ValueError("task instances need core instances: EMR keeps HDFS on the core nodes")
        if len({type(nodes) for nodes in (self.primary, *self.workers)}) > 1:
            raise ValueError(
                "primary, core and task are instance groups (type, count) and instance fleets (types, capacity): make them all one kind"
            )
        if isinstance(self.primary, InstanceFleet):
            _check_primary_fleet(self.primary)
        elif self.primaries not in _PRIMARIES:
            raise ValueError(
                f"primary.count is {self.primaries}: a cluster has 1 primary node, or 3 for high availability"
            )

    def check_scaling(self, role: str | None) -> None:
        """Check that they scale in one way, which they can; ``role`` is that of automatic scaling.

        :raises ValueError: they do not.
        """
        ruled = [nodes for nodes in self.workers if isinstance(nodes, InstanceGroup) and nodes.automatic_scaling]
        if isinstance(self.primary, InstanceGroup) and self.primary.automatic_scaling:
            raise ValueError("primary nodes are never scaled: leave primary.automatic_scaling out")
        if ruled and self.scaling:
            raise ValueError("managed_scaling and automatic_scaling exclude each other: leave one of them out")
        if ruled and not role:
            raise ValueError("automatic_scaling needs scaling_role: name a role such as EMR_AutoScaling_DefaultRole")
        core = self.core.automatic_scaling if isinstance(self.core, InstanceGroup) else None
        if core and core.minimum < 1:
            raise ValueError(
                "core.automatic_scaling.minimum is 0: EMR keeps HDFS on the core nodes, so write 1 or more"
            )
        if self.scaling and (self._unit == "fleet_units") != self.are_fleets:
            allowed = "fleet_units" if self.are_fleets else "instances or vcpu"
            raise ValueError(f"managed_scaling.unit is {self._unit}: of these nodes it is {allowed}")


def _check_primary_fleet(fleet: InstanceFleet) -> None:
    if fleet.capacity not in _PRIMARIES or any(one.weight > 1 for one in fleet.listed):
        raise ValueError("a primary fleet has capacity 1, or 3 for high availability, of types with weight 1")
    if fleet.spot_percent not in (0, 100):
        raise ValueError(f"primary.spot_percent is {fleet.spot_percent}: a primary fleet is all Spot (100) or none (0)")


def place_members(nodes: ClusterNodes, subnets: tuple[str, ...], availability_zones: tuple[str, ...]) -> dict[str, Any]:
    """Return the members of ``JobFlowInstancesConfig`` that say where the nodes are: fleets may have several places."""
    several, zones = list(subnets), list(availability_zones)
    if nodes.are_fleets:
        return given({"Ec2SubnetIds": several or None, "Placement": {"AvailabilityZones": zones} if zones else None})
    return given(
        {
            "Ec2SubnetId": several[0] if several else None,
            "Placement": {"AvailabilityZone": zones[0]} if zones else None,
        }
    )
