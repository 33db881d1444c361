"""Instance groups and fleets: from requests to records, how they change, and what EMR refuses of them. Pure.

Sources: JobFlowInstancesConfig, InstanceGroupConfig, InstanceFleetConfig, InstanceTypeConfig, ComputeLimits and AutoScalingPolicy
in the Amazon EMR API reference; "Using automatic scaling with a custom policy for instance groups" and "Launch an Amazon EMR
cluster with multiple primary nodes" in the Management Guide. AWS tells what is refused, and seldom in which words.
"""

from __future__ import annotations

from functools import cache
from itertools import cycle
from typing import TYPE_CHECKING, Any

from moto.utilities.utils import load_resource

from local_emr.emr.records import DEFAULT_INSTANCE_TYPE, ClusterRecord, new_id
from local_emr.emr.refusals import invalid, refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Nodes = dict[str, Any]

MOST_TYPES = 30
MOST_TYPES_WITHOUT_STRATEGY = 5
PRIMARIES = (1, 3)
MARKETS = {"ON_DEMAND": "TargetOnDemandCapacity", "SPOT": "TargetSpotCapacity"}
"""Where a fleet says how many units it wants of each market."""

_SPECIFICATIONS = {"ON_DEMAND": "OnDemandSpecification", "SPOT": "SpotSpecification"}
_EXCLUSIVE = "Instance fleets and instance groups are mutually exclusive."


def groups_and_fleets(instances: Mapping[str, Any]) -> tuple[list[Nodes], list[Nodes]]:
    """Return the groups or the fleets that a request names, or means by its simple counts."""
    simple = "MasterInstanceType" in instances or "InstanceCount" in instances
    groups, fleets = instances.get("InstanceGroups", []), instances.get("InstanceFleets", [])
    if sum((simple, bool(groups), bool(fleets))) != 1:
        raise refused("Specify exactly one of InstanceGroups, InstanceFleets, and instance types with InstanceCount")
    if len(instances.get("Ec2SubnetIds", [])) > 1 and not fleets:
        raise refused("Several Ec2SubnetIds can be specified for clusters with instance fleets only")
    groups = _simple_groups(instances) if simple else groups
    _check_roles([*(group["InstanceRole"] for group in groups), *(fleet["InstanceFleetType"] for fleet in fleets)])
    return [_new_group(group) for group in groups], [_new_fleet(fleet) for fleet in fleets]


def _check_roles(roles: list[str]) -> None:
    if roles.count("MASTER") != 1:
        raise refused(
            f"A cluster has exactly one MASTER instance group or fleet; the request has {roles.count('MASTER')}"
        )
    if roles.count("CORE") > 1:
        raise refused("A cluster has at most one CORE instance group or fleet")


def _simple_groups(instances: Mapping[str, Any]) -> list[Nodes]:
    count = instances.get("InstanceCount", 1)
    master = instances.get("MasterInstanceType")
    if master is None:
        raise refused("MasterInstanceType is required with InstanceCount")
    if count < 1:
        raise refused(f"InstanceCount must be at least 1, not {count}")
    core = instances.get("SlaveInstanceType", master)
    groups = [{"Name": "Master", "InstanceRole": "MASTER", "InstanceType": master, "InstanceCount": 1}]
    if count > 1:
        groups.append({"Name": "Core", "InstanceRole": "CORE", "InstanceType": core, "InstanceCount": count - 1})
    return groups


def _new_group(group: Nodes) -> Nodes:
    """Return the record of an instance group, if EMR allows it."""
    primary, count = group["InstanceRole"] == "MASTER", group["InstanceCount"]
    if primary and count not in PRIMARIES:
        raise refused(f"A MASTER instance group has 1 or 3 instances, not {count}")
    if primary and "AutoScalingPolicy" in group:
        raise refused("An automatic scaling policy cannot be attached to the MASTER instance group")
    if "AutoScalingPolicy" in group:
        check_rules(group["AutoScalingPolicy"])
    _check_types([group["InstanceType"]])
    return {"Id": new_id("ig"), "Market": "ON_DEMAND", **group}


def _new_fleet(fleet: Nodes) -> Nodes:
    """Return the record of an instance fleet, if EMR allows it."""
    _check_targets(fleet)
    types = [config["InstanceType"] for config in fleet.get("InstanceTypeConfigs", [])]
    if len(set(types)) < len(types):
        raise refused("An instance fleet names each instance type once")
    specifications = fleet.get("LaunchSpecifications", {})
    bought = [_SPECIFICATIONS[market] for market, target in MARKETS.items() if fleet.get(target)]
    strategies = all(specifications.get(name, {}).get("AllocationStrategy") for name in bought)
    most = MOST_TYPES if strategies else MOST_TYPES_WITHOUT_STRATEGY
    if len(types) > most:
        raise refused(f"An instance fleet has at most {most} instance types here, and the request has {len(types)}")
    _check_types(types)
    return {"Id": new_id("if"), **fleet}


def _check_targets(fleet: Nodes) -> None:
    on_demand, spot = (fleet.get(target, 0) for target in MARKETS.values())
    if on_demand + spot == 0:
        raise refused("At least one of TargetSpotCapacity and TargetOnDemandCapacity should be greater than 0")
    if fleet["InstanceFleetType"] == "MASTER":
        weights = {config.get("WeightedCapacity", 1) for config in fleet.get("InstanceTypeConfigs", [])}
        if (on_demand and spot) or on_demand + spot not in PRIMARIES or weights - {1}:
            raise refused(
                "For a MASTER instance fleet, only one of TargetSpotCapacity and TargetOnDemandCapacity can be specified, "
                "its value must be 1, and WeightedCapacity is 1"
            )


def _check_types(types: Iterable[str]) -> None:
    for instance_type in types:
        if instance_type not in _known_instance_types():
            raise refused(f"Instance type '{instance_type}' is not supported.")


@cache
def _known_instance_types() -> frozenset[str]:
    """Return EC2's instance types, from the answer of DescribeInstanceTypes that moto keeps."""
    return frozenset(load_resource("ec2/resources/instance_types.json"))


def primaries_of(groups: list[Nodes], fleets: list[Nodes]) -> int:
    """Return how many primary nodes there are."""
    counts = [group["InstanceCount"] for group in groups if group["InstanceRole"] == "MASTER"]
    targets = [
        fleet.get(target, 0)
        for fleet in fleets
        if fleet["InstanceFleetType"] == "MASTER"
        for target in MARKETS.values()
    ]
    return int(sum(counts + targets))


def check_scaling(cluster: ClusterRecord, groups: list[Nodes], managed: Nodes | None) -> None:
    """Refuse groups and a managed scaling policy by which a cluster would scale in both ways, or in one that it cannot."""
    if any("AutoScalingPolicy" in group for group in groups):
        if not cluster.request.get("AutoScalingRole"):
            raise refused("AutoScalingRole is required for automatic scaling policies")
        if managed:
            raise refused("Managed scaling and automatic scaling policies are mutually exclusive")
    limits = (managed or {}).get("ComputeLimits")
    if not limits:
        return
    if (limits["UnitType"] == "InstanceFleetUnits") != bool(cluster.fleets):
        kind = "instance fleets" if cluster.fleets else "instance groups"
        raise refused(f"UnitType {limits['UnitType']} is not valid for a cluster with {kind}")
    if limits["MinimumCapacityUnits"] > limits["MaximumCapacityUnits"]:
        raise refused("MinimumCapacityUnits must not be greater than MaximumCapacityUnits")


def check_rules(policy: Mapping[str, Any]) -> None:
    """Refuse an automatic scaling policy whose bounds or rules contradict each other."""
    if policy["Constraints"]["MinCapacity"] > policy["Constraints"]["MaxCapacity"]:
        raise refused("MinCapacity must not be greater than MaxCapacity")
    names = [rule["Name"] for rule in policy["Rules"]]
    if len(set(names)) < len(names):
        raise refused("Rule names must be unique within a scaling policy")


def add_groups(cluster: ClusterRecord, groups: list[Nodes]) -> list[str]:
    """Add instance groups to a cluster; return their ids."""
    if cluster.fleets:
        raise invalid(_EXCLUSIVE)
    _check_roles([group["InstanceRole"] for group in (*cluster.groups, *groups)])
    added = [_new_group(group) for group in groups]
    _change_groups(cluster, [*cluster.groups, *added])
    return [group["Id"] for group in added]


def add_fleet(cluster: ClusterRecord, fleet: Nodes) -> str:
    """Add an instance fleet to a cluster; return its id. Each role has one."""
    if cluster.groups:
        raise invalid(_EXCLUSIVE)
    if fleet["InstanceFleetType"] in [one["InstanceFleetType"] for one in cluster.fleets]:
        raise invalid(f"The cluster already has an instance fleet of type {fleet['InstanceFleetType']}")
    cluster.fleets = [*cluster.fleets, _new_fleet(fleet)]
    return str(cluster.fleets[-1]["Id"])


def modify_group(cluster: ClusterRecord, change: Nodes) -> None:
    """Change count, configurations and the like of an instance group."""
    group = group_of(cluster, change["InstanceGroupId"])
    ended = change.get("EC2InstanceIdsToTerminate", [])
    count = change.get("InstanceCount", group["InstanceCount"] - len(ended))
    if group["InstanceRole"] == "MASTER" and count != group["InstanceCount"]:
        raise invalid("The MASTER instance group cannot be resized")
    if count < (1 if group["InstanceRole"] == "CORE" else 0):
        raise invalid(f"InstanceCount of the {group['InstanceRole']} instance group cannot be {count}")
    kept: Nodes = {name: change[name] for name in ("ShrinkPolicy", "Configurations") if name in change}
    group.update(kept, InstanceCount=count)


def modify_fleet(cluster: ClusterRecord, change: Nodes) -> None:
    """Change the target capacities of an instance fleet, how it is resized, and its types."""
    fleet = next((one for one in cluster.fleets if one["Id"] == change["InstanceFleetId"]), None)
    if fleet is None:
        raise invalid(f"Instance fleet id '{change['InstanceFleetId']}' is not valid.")
    if fleet["InstanceFleetType"] == "MASTER":
        raise invalid("The MASTER instance fleet cannot be resized")
    named = (*MARKETS.values(), "ResizeSpecifications", "InstanceTypeConfigs")
    changed = {**fleet, **{name: change[name] for name in named if name in change}}
    _check_types(config["InstanceType"] for config in changed.get("InstanceTypeConfigs", []))
    fleet.update(changed)


def attach(cluster: ClusterRecord, group_id: str, policy: Nodes) -> Nodes:
    """Attach an automatic scaling policy to an instance group, which is returned."""
    group = group_of(cluster, group_id)
    scaled = {**group, "AutoScalingPolicy": policy}
    if group["InstanceRole"] == "MASTER":
        raise refused("An automatic scaling policy cannot be attached to the MASTER instance group")
    check_rules(policy)
    _change_groups(cluster, [scaled if one is group else one for one in cluster.groups])
    return scaled


def detach(cluster: ClusterRecord, group_id: str) -> None:
    """Take the automatic scaling policy from an instance group."""
    group_of(cluster, group_id).pop("AutoScalingPolicy", None)


def manage(cluster: ClusterRecord, policy: Nodes) -> None:
    """Let managed scaling size a cluster."""
    check_scaling(cluster, cluster.groups, policy)
    cluster.managed_scaling = policy


def _change_groups(cluster: ClusterRecord, groups: list[Nodes]) -> None:
    check_scaling(cluster, groups, cluster.managed_scaling)
    cluster.groups = groups


def group_of(cluster: ClusterRecord, group_id: str) -> Nodes:
    """Return an instance group by its id."""
    for group in cluster.groups:
        if group["Id"] == group_id:
            return group
    raise invalid(f"Instance group id '{group_id}' is not valid.")


def provisioned(fleet: Nodes, market: str) -> list[Nodes]:
    """Return the type configurations of a fleet's instances of a market: as many as fulfil the target, or exceed it.

    There are no prices and no scarcity here: a diversified fleet takes its types in turn, a prioritized one that which comes
    first, and any other the first that it names.
    """
    configs = fleet.get("InstanceTypeConfigs") or [{"InstanceType": DEFAULT_INSTANCE_TYPE}]
    strategy = fleet.get("LaunchSpecifications", {}).get(_SPECIFICATIONS[market], {}).get("AllocationStrategy", "")
    if "prioritized" in strategy:
        configs = sorted(configs, key=lambda config: config.get("Priority", float("inf")))
    taken, units = [], 0
    for config in cycle(configs if strategy == "diversified" else configs[:1]):
        if units >= fleet.get(MARKETS[market], 0):
            break
        taken.append(config)
        units += units_of(config)
    return taken


def units_of(config: Nodes) -> int:
    """Return the units that an instance of a type configuration gives."""
    return int(config.get("WeightedCapacity") or 1)
