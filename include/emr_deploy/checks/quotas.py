"""Whether the quotas of an account have room for what profiles may ask for at most."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from emr_deploy.steps import Missing
from emr_pipelines.targets.ec2_fleets import InstanceFleet
from emr_pipelines.targets.ec2_instances import InstanceGroup, vcpus_of
from emr_pipelines.targets.ec2_profile import Ec2Profile
from emr_pipelines.targets.profile import Profile
from emr_pipelines.targets.serverless_profile import ServerlessProfile

Clients = Callable[[str], Any]

_STANDARD = frozenset("acdhimrtz")
"""First letters of the instance families that EC2 counts as standard ones; others have quotas of their own."""


@dataclass(frozen=True)
class Need:
    """What one profile may use of a quota at most, all its runs together."""

    profile: str
    amount: int


@dataclass(frozen=True)
class Quota:
    """A quota of Service Quotas, and what a profile may use of it."""

    service: str
    code: str
    name: str
    of: Callable[[Profile], int]


def _vcpus(profile: Profile) -> tuple[int, int]:
    """Return how many vCPUs of standard families clusters may have at most: On-Demand, and Spot.

    Of nodes of several types the largest counts; what Spot may be replaced by, is not counted.
    """
    nodes = profile.nodes if isinstance(profile, Ec2Profile) else None
    if nodes is None:
        return 0, 0
    on_demand, spot = _vcpus_of(nodes.primary, nodes.primaries)
    for role in nodes.workers:
        own = _vcpus_of(role, role.most)
        on_demand, spot = on_demand + own[0], spot + own[1]
    scaling = nodes.scaling
    if scaling and nodes.workers:
        largest = max(_largest(role) for role in nodes.workers)
        each = 1 if scaling.unit == "vcpu" else largest
        spot_allowed = any(role.are_spot for role in nodes.workers) or scaling.maximum_on_demand is not None
        most_on_demand = scaling.maximum if scaling.maximum_on_demand is None else scaling.maximum_on_demand
        primary = _vcpus_of(nodes.primary, nodes.primaries)[0]
        on_demand = max(on_demand, primary + most_on_demand * each)
        spot = max(spot, (scaling.maximum - (scaling.maximum_on_demand or 0)) * each) if spot_allowed else spot
    runs = profile.max_concurrent or 1
    return on_demand * runs, spot * runs


def _vcpus_of(nodes: InstanceGroup | InstanceFleet, count: int) -> tuple[int, int]:
    if isinstance(nodes, InstanceGroup):
        vcpus = count * _largest(nodes)
        return (0, vcpus) if nodes.spot else (vcpus, 0)
    # Units of a fleet: a type that weighs as many units as it has vCPUs gives one vCPU for each.
    each = max((_standard(one.type) / one.weight for one in nodes.listed), default=0)
    return int((nodes.capacity - nodes.spot_units) * each), int(nodes.spot_units * each)


def _largest(nodes: InstanceGroup | InstanceFleet) -> int:
    return max((_standard(name) for name in nodes.instance_types), default=0)


def _standard(instance_type: str) -> int:
    """Return the vCPUs of an instance type, and none for one that standard quotas do not count."""
    return (vcpus_of(instance_type) or 0) if instance_type[:1] in _STANDARD else 0


def _serverless(profile: Profile) -> int:
    """Return how many vCPUs a job run, or the capacity of an application, may have at most."""
    if not isinstance(profile, ServerlessProfile):
        return 0
    if profile.maximum_capacity:
        return profile.maximum_capacity.cpu
    workers = profile.spark_workers
    executors = (profile.most_nodes or 1) - 1
    return workers["Driver"].cpu + executors * workers["Executor"].cpu


QUOTAS: Sequence[Quota] = (
    Quota(
        "ec2",
        "L-1216C47A",
        "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
        lambda profile: _vcpus(profile)[0],
    ),
    Quota(
        "ec2",
        "L-34B43A08",
        "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests",
        lambda profile: _vcpus(profile)[1],
    ),
    Quota("emr-serverless", "L-D05C8A75", "Max concurrent vCPUs per account", _serverless),
)
"""Sources: EC2 User Guide, "Amazon EC2 instance type quotas"; EMR Serverless User Guide, "Endpoints and quotas for EMR Serverless"."""


def needs(quota: Quota, profiles: Sequence[Profile]) -> list[Need]:
    """List what profiles of a region may use of a quota, those that use none left out."""
    return [Need(profile.name, amount) for profile in profiles if (amount := quota.of(profile))]


def short(quota: Quota) -> Callable[[Clients, list[Need]], Iterator[Missing]]:
    """Return the check of a quota: one sentence if some profile may ask for more than it is."""

    def check(clients: Clients, needed: list[Need]) -> Iterator[Missing]:
        client = clients("service-quotas")
        told = client.get_service_quota(ServiceCode=quota.service, QuotaCode=quota.code)
        value, most = int(told["Quota"]["Value"]), max(needed, key=lambda need: need.amount)
        if most.amount > value:
            above = sum(need.amount > value for need in needed)
            more = f" and {above - 1} more" if above > 1 else ""
            yield Missing(
                f"the quota {quota.name!r} in {client.meta.region_name} is {value} vCPUs, and a profile may ask for {most.amount} "
                f"(profiles.{most.profile}{more})",
                f"`aws service-quotas request-service-quota-increase --region {client.meta.region_name} --service-code {quota.service} "
                f"--quota-code {quota.code} --desired-value {most.amount}` asks for more, or lower the profile's maximum",
            )

    return check
