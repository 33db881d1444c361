"""Instance fleets: nodes of several instance types, of which EMR takes what EC2 has, On-Demand and Spot in a ratio.

Sources: InstanceFleetConfig, InstanceTypeConfig and the specifications that they name in the EMR API reference; "Planning and
configuring instance fleets" in the EMR Management Guide.
"""

from __future__ import annotations

from itertools import product
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from emr_pipelines.targets.ec2_instances import Instances, InstanceType, Price, vcpus_of
from emr_pipelines.targets.ec2_scaling import Unit
from emr_pipelines.targets.profile import Like, Settings, given

SpotAllocation = Literal[
    "capacity-optimized", "price-capacity-optimized", "lowest-price", "diversified", "capacity-optimized-prioritized"
]
OnDemandAllocation = Literal["lowest-price", "prioritized"]

_MOST_TYPES = 30
"""Instance types of a fleet with an allocation strategy (InstanceTypeConfig)."""
_MOST_TYPES_WITHOUT_STRATEGY = 5


class FleetType(Instances):
    """An instance type of a fleet; what it does not say, its fleet does."""

    type: InstanceType
    weight: int = Field(default=1, ge=1)
    """Units of the fleet's capacity that an instance gives."""
    bid: Price | None = None
    """US dollars an hour for a Spot instance, at most; without it the On-Demand price."""
    bid_percent: float | None = Field(default=None, gt=0)
    """The same, as a percentage of the On-Demand price."""
    priority: float | None = Field(default=None, ge=0)
    """0 comes first; for the strategies that are prioritized."""

    @model_validator(mode="after")
    def _one_bid(self) -> Self:
        if self.bid and self.bid_percent:
            raise ValueError("bid and bid_percent are both given: leave one of them out")
        return self

    def request(self, fleet: InstanceFleet) -> dict[str, Any]:
        """Return an ``InstanceTypeConfig``."""
        percent = self.bid_percent or (None if self.bid else fleet.bid_percent)
        return given(
            {
                "InstanceType": self.type,
                "WeightedCapacity": self.weight,
                "BidPrice": self.bid,
                "BidPriceAsPercentageOfOnDemandPrice": percent,
                "Priority": self.priority,
                **fleet.members(),
                **self.members(),
            }
        )


class TypeGrid(Settings):
    """Every size of every family, such as m5, c5 and r5 in xlarge and 2xlarge."""

    families: tuple[Annotated[str, Like(r"[a-z0-9-]+", "m5")], ...]
    sizes: tuple[Annotated[str, Like(r"[a-z0-9-]+", "xlarge")], ...]
    weights: Literal["equal", "vcpu"] = "equal"
    """Units that an instance gives: 1, or its vCPUs by EC2's rule of four for each xlarge."""

    @model_validator(mode="after")
    def _sizes_have_weights(self) -> Self:
        if self.weights == "vcpu" and (unknown := next((size for size in self.sizes if not vcpus_of(size)), None)):
            raise ValueError(f"size {unknown!r} does not tell its vCPUs: list the types with a weight each")
        return self

    def types(self) -> tuple[FleetType, ...]:
        """List the types, family by family."""
        return tuple(
            FleetType(type=f"{family}.{size}", weight=(vcpus_of(size) or 1) if self.weights == "vcpu" else 1)
            for family, size in product(self.families, self.sizes)
        )


def _named(types: Any) -> Any:
    return (
        [{"type": one} if isinstance(one, str) else one for one in types] if isinstance(types, list | tuple) else types
    )


def _form_of_types(types: Any) -> str:
    return "grid" if isinstance(types, dict | TypeGrid) else "list"


FleetTypes = Annotated[
    Annotated[tuple[FleetType, ...], Tag("list")] | Annotated[TypeGrid, Tag("grid")],
    Discriminator(_form_of_types),
    BeforeValidator(_named),
]


class CapacityReservations(Settings):
    """Which On-Demand Capacity Reservations a fleet uses."""

    usage_strategy: Literal["use-capacity-reservations-first"] | None = None
    preference: Literal["open", "none"] | None = None
    resource_group: (
        Annotated[
            str,
            Like(
                r"arn:aws[a-z-]*:resource-groups:\S+",
                "arn:aws:resource-groups:<region>:<account>:group/<name>",
            ),
        ]
        | None
    ) = None
    """ARN of a resource group of reservations."""

    def request(self) -> dict[str, Any]:
        """Return ``OnDemandCapacityReservationOptions``."""
        return given(
            {
                "UsageStrategy": self.usage_strategy,
                "CapacityReservationPreference": self.preference,
                "CapacityReservationResourceGroupArn": self.resource_group,
            }
        )


class Resizing(Settings):
    """How a fleet is resized, by hand or by managed scaling."""

    spot_timeout_minutes: int | None = Field(default=None, ge=5, le=10080)
    """Minutes after which EMR looks for no more Spot instances."""
    spot_allocation: SpotAllocation | None = None
    on_demand_timeout_minutes: int | None = Field(default=None, ge=5, le=10080)
    on_demand_allocation: OnDemandAllocation | None = None
    capacity_reservations: CapacityReservations | None = None

    def request(self) -> dict[str, Any]:
        """Return ``InstanceFleetResizingSpecifications``."""
        spot = {"TimeoutDurationMinutes": self.spot_timeout_minutes, "AllocationStrategy": self.spot_allocation}
        on_demand = {
            "TimeoutDurationMinutes": self.on_demand_timeout_minutes,
            "AllocationStrategy": self.on_demand_allocation,
            "CapacityReservationOptions": self.capacity_reservations and self.capacity_reservations.request(),
        }
        return given(
            {"SpotResizeSpecification": given(spot) or None, "OnDemandResizeSpecification": given(on_demand) or None}
        )


class InstanceFleet(Instances):
    """Instances of several types; what is said beside ``types`` holds for each that does not say it itself."""

    types: FleetTypes
    """Types by name, types with their own settings, or every size of every family."""
    capacity: int = Field(default=1, ge=1)
    """Units to provide; without weights an instance is one. Of ``primary``: 1, or 3 for high availability."""
    spot_percent: int = Field(default=0, ge=0, le=100)
    """Percentage of the units that are Spot, rounded down to whole units; the others are On-Demand."""
    bid_percent: float | None = Field(default=None, gt=0)
    """What a Spot instance costs at most, as a percentage of the On-Demand price; without it 100."""
    spot_allocation: SpotAllocation | None = "price-capacity-optimized"
    spot_timeout_minutes: int = Field(default=20, ge=5, le=1440)
    """Minutes in which a new cluster must get its Spot instances."""
    spot_timeout_action: Literal["SWITCH_TO_ON_DEMAND", "TERMINATE_CLUSTER"] = "SWITCH_TO_ON_DEMAND"
    on_demand_allocation: OnDemandAllocation | None = "lowest-price"
    capacity_reservations: CapacityReservations | None = None
    resize: Resizing | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_no_group(cls, settings: Any) -> Any:
        if not isinstance(settings, dict):
            return settings
        group = {name for name in ("type", "count", "spot") if name in settings}
        if mixed := {name for name in group if settings[name] is not None}:
            raise ValueError(
                f"{min(mixed)} is of an instance group and types of a fleet: write type, count and spot, "
                "or types, capacity and spot_percent (what extends another profile keeps its settings: take them out by null)"
            )
        return {name: value for name, value in settings.items() if name not in group}

    @model_validator(mode="after")
    def _types_fit(self) -> Self:
        names = [one.type for one in self.listed]
        if not names:
            raise ValueError("types names no instance type: write at least one, such as [m5.xlarge]")
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"{twice} stands twice among the types: leave one out")
        strategies = [self.on_demand_allocation, *([self.spot_allocation] if self.are_spot else [])]
        most = _MOST_TYPES if all(strategies) else _MOST_TYPES_WITHOUT_STRATEGY
        if len(names) > most:
            raise ValueError(
                f"a fleet has at most {_MOST_TYPES} types with allocation strategies and {_MOST_TYPES_WITHOUT_STRATEGY} "
                f"without, and here are {len(names)}: leave some out"
            )
        if self.capacity_reservations and not self.on_demand_allocation:
            raise ValueError(
                "capacity_reservations need on_demand_allocation: write lowest-price, or leave it to its default"
            )
        return self

    @property
    def listed(self) -> tuple[FleetType, ...]:
        """The types, each with its settings."""
        return self.types.types() if isinstance(self.types, TypeGrid) else self.types

    @property
    def by_type(self) -> tuple[tuple[str, int], ...]:
        """How many instances of each type there are, were the types to have equal shares of the capacity."""
        return tuple((one.type, max(1, self.capacity // (one.weight * len(self.listed)))) for one in self.listed)

    @property
    def instance_types(self) -> tuple[str, ...]:
        """The types' names."""
        return tuple(one.type for one in self.listed)

    @property
    def spot_units(self) -> int:
        """Units that are Spot."""
        return self.capacity * self.spot_percent // 100

    @property
    def instances(self) -> int:
        """Instances at the start, at most: when all are of the type that gives the fewest units."""
        fewest = self.units("fleet_units")
        return -(-self.spot_units // fewest) - (-(self.capacity - self.spot_units) // fewest)

    @property
    def are_spot(self) -> bool:
        """Whether some of the instances are Spot."""
        return self.spot_units > 0

    @property
    def most(self) -> int:
        """Instances at most, unless managed scaling adds some."""
        return self.instances

    def units(self, unit: Unit) -> int:
        """Return how many units of managed scaling an instance counts for, at least."""
        if unit == "vcpu":
            return min(vcpus_of(name) or 1 for name in self.instance_types)
        return min(one.weight for one in self.listed)

    def at_most(self, count: int) -> Self:
        """Return this fleet with no more capacity than that many instances give, whatever their types."""
        most = min(self.capacity, count * self.units("fleet_units"))
        smaller = (self.model_copy(update={"capacity": capacity}) for capacity in range(most, 0, -1))
        return next(fleet for fleet in smaller if fleet.instances <= count)

    def request(self, role: str) -> dict[str, Any]:
        """Return an ``InstanceFleetConfig`` for MASTER, CORE or TASK."""
        return given(
            {
                "Name": role.lower(),
                "InstanceFleetType": role,
                "TargetOnDemandCapacity": self.capacity - self.spot_units,
                "TargetSpotCapacity": self.spot_units,
                "InstanceTypeConfigs": [one.request(self) for one in self.listed],
                "LaunchSpecifications": self._launch() or None,
                "ResizeSpecifications": self.resize and self.resize.request(),
            }
        )

    def _launch(self) -> dict[str, Any]:
        """Return ``InstanceFleetProvisioningSpecifications``; what EMR switches to On-Demand has a strategy too."""
        spot = {
            "TimeoutDurationMinutes": self.spot_timeout_minutes,
            "TimeoutAction": self.spot_timeout_action,
            "AllocationStrategy": self.spot_allocation,
        }
        on_demand = {
            "AllocationStrategy": self.on_demand_allocation,
            "CapacityReservationOptions": self.capacity_reservations and self.capacity_reservations.request(),
        }
        return given(
            {
                "SpotSpecification": given(spot) if self.spot_units else None,
                "OnDemandSpecification": given(on_demand) or None,
            }
        )
