"""How a cluster's size follows its work: managed scaling, by EMR, or custom automatic scaling, by rules on CloudWatch's metrics.

Sources: ManagedScalingPolicy, ComputeLimits and AutoScalingPolicy in the EMR API reference; "Using automatic scaling with a
custom policy for instance groups" and "Monitoring metrics with CloudWatch" in the EMR Management Guide.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from emr_pipelines.errors import suggestion
from emr_pipelines.targets.profile import Settings, given

Unit = Literal["instances", "vcpu", "fleet_units"]
_UNIT_TYPES: dict[Unit, str] = {"instances": "Instances", "vcpu": "VCPU", "fleet_units": "InstanceFleetUnits"}

_UNIT_OF_METRIC = {"YARNMemoryAvailablePercentage": "PERCENT", "ContainerPendingRatio": "COUNT"}
"""Units in which EMR gives CloudWatch its metrics: an alarm that says another never sees a value."""

_SIZES = tuple(f"{times}{unit}" for unit in ("BYTES", "BITS") for times in ("", "KILO_", "MEGA_", "GIGA_", "TERA_"))
_RATES = tuple(f"{unit}_PER_SECOND" for unit in (*_SIZES, "COUNT"))
METRIC_UNITS = ("NONE", "SECONDS", "MICRO_SECONDS", "MILLI_SECONDS", *_SIZES, "PERCENT", "COUNT", *_RATES)
"""Units that CloudWatch's metrics may have."""


def _metric_unit(unit: str) -> str:
    if unit not in METRIC_UNITS:
        raise ValueError(
            f"{unit!r} is no unit of CloudWatch{suggestion(unit, METRIC_UNITS)}: take one of {', '.join(METRIC_UNITS)}"
        )
    return unit


class ManagedScaling(Settings):
    """Bounds between which EMR sizes core and task by itself."""

    unit: Unit | None = None
    """What the bounds count. Of groups ``instances``, the default, or ``vcpu``; of fleets their units."""
    minimum: int = Field(ge=1)
    maximum: int = Field(ge=1)
    maximum_on_demand: int | None = Field(default=None, ge=0)
    """What is above it is Spot."""
    maximum_core: int | None = Field(default=None, ge=1)
    """What is above it is task nodes."""
    performance_index: Literal[1, 25, 50, 75, 100] | None = None
    """Advanced scaling, from emr-7.0: 1 saves most, 100 is fastest."""

    @model_validator(mode="after")
    def _bounds_are_ordered(self) -> Self:
        if self.minimum > self.maximum:
            raise ValueError(
                f"minimum {self.minimum} is above maximum {self.maximum}: write the smaller one as minimum"
            )
        for name in ("maximum_on_demand", "maximum_core"):
            if (getattr(self, name) or 0) > self.maximum:
                raise ValueError(
                    f"{name} {getattr(self, name)} is above maximum {self.maximum}: write at most {self.maximum}, or a larger maximum"
                )
        return self

    def up_to(self, maximum: int) -> Self:
        """Return these bounds with that maximum; the others give way to it."""
        given_way = {
            name: min(value, maximum)
            for name in ("minimum", "maximum_on_demand", "maximum_core")
            if (value := getattr(self, name)) is not None
        }
        return self.model_copy(update={**given_way, "maximum": maximum})

    def request(self, unit: Unit) -> dict[str, Any]:
        """Return a ``ManagedScalingPolicy`` whose bounds count that."""
        limits = {
            "UnitType": _UNIT_TYPES[unit],
            "MinimumCapacityUnits": self.minimum,
            "MaximumCapacityUnits": self.maximum,
            "MaximumOnDemandCapacityUnits": self.maximum_on_demand,
            "MaximumCoreCapacityUnits": self.maximum_core,
        }
        advanced = {"ScalingStrategy": "ADVANCED", "UtilizationPerformanceIndex": self.performance_index}
        return {"ComputeLimits": given(limits), **(advanced if self.performance_index else {})}


class ScalingRule(Settings):
    """Instances added or removed while a metric is above or below a threshold."""

    name: str = Field(min_length=1)
    description: str | None = None
    metric: str = Field(min_length=1)
    """A metric of CloudWatch, such as ``YARNMemoryAvailablePercentage`` or ``ContainerPendingRatio``."""
    namespace: str = "AWS/ElasticMapReduce"
    dimensions: dict[str, str] | None = None
    """Without them the cluster's own metric."""
    statistic: Literal["SAMPLE_COUNT", "AVERAGE", "SUM", "MINIMUM", "MAXIMUM"] = "AVERAGE"
    metric_unit: Annotated[str, AfterValidator(_metric_unit)] | None = None
    """As CloudWatch has it, such as ``PERCENT``; of the two metrics above it is known."""
    comparison: Literal["GREATER_THAN_OR_EQUAL", "GREATER_THAN", "LESS_THAN", "LESS_THAN_OR_EQUAL"]
    threshold: float = Field(ge=0)
    evaluation_periods: int = Field(default=1, ge=1)
    """Periods in a row for which the comparison holds."""
    period_seconds: int = Field(default=300, ge=1, multiple_of=60)
    """EMR gives its metrics every 300 seconds."""
    adjustment: int
    """Instances to add, or to remove when negative."""
    adjustment_type: Literal["CHANGE_IN_CAPACITY", "PERCENT_CHANGE_IN_CAPACITY", "EXACT_CAPACITY"] = (
        "CHANGE_IN_CAPACITY"
    )
    cooldown_seconds: int = Field(default=300, ge=0)
    """After an adjustment, until the next."""

    @model_validator(mode="after")
    def _adjusts(self) -> Self:
        exact = self.adjustment_type == "EXACT_CAPACITY"
        if self.adjustment == 0 or (exact and self.adjustment < 0):
            raise ValueError(
                f"adjustment is {self.adjustment}: write how many instances to add, or to remove as a negative number"
            )
        if self.namespace == "AWS/ElasticMapReduce" and self.period_seconds % 300:
            raise ValueError(
                f"period_seconds is {self.period_seconds}: EMR gives its metrics every 300 seconds, so write 300"
            )
        return self

    def request(self) -> dict[str, Any]:
        """Return a ``ScalingRule``."""
        alarm = {
            "ComparisonOperator": self.comparison,
            "EvaluationPeriods": self.evaluation_periods,
            "MetricName": self.metric,
            "Namespace": self.namespace,
            "Period": self.period_seconds,
            "Statistic": self.statistic,
            "Threshold": self.threshold,
            "Unit": self.metric_unit or _UNIT_OF_METRIC.get(self.metric),
            "Dimensions": self.dimensions and [{"Key": key, "Value": value} for key, value in self.dimensions.items()],
        }
        simple = {
            "AdjustmentType": self.adjustment_type,
            "ScalingAdjustment": self.adjustment,
            "CoolDown": self.cooldown_seconds,
        }
        return given(
            {
                "Name": self.name,
                "Description": self.description,
                "Action": {"SimpleScalingPolicyConfiguration": simple},
                "Trigger": {"CloudWatchAlarmDefinition": given(alarm)},
            }
        )


class AutomaticScaling(Settings):
    """Rules by which an instance group grows and shrinks between two counts."""

    minimum: int = Field(ge=0)
    maximum: int = Field(ge=1)
    rules: tuple[ScalingRule, ...]

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if self.minimum > self.maximum:
            raise ValueError(
                f"minimum {self.minimum} is above maximum {self.maximum}: write the smaller one as minimum"
            )
        if not self.rules:
            raise ValueError(
                "automatic_scaling has no rules: write at least one that adds instances and one that removes them"
            )
        names = [rule.name for rule in self.rules]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"two rules are called {twice!r}: give each a name of its own")
        return self

    def up_to(self, maximum: int) -> Self:
        """Return these rules with bounds that are no higher than that."""
        return self.model_copy(update={"minimum": min(self.minimum, maximum), "maximum": min(self.maximum, maximum)})

    def request(self) -> dict[str, Any]:
        """Return an ``AutoScalingPolicy``."""
        return {
            "Constraints": {"MinCapacity": self.minimum, "MaxCapacity": self.maximum},
            "Rules": [rule.request() for rule in self.rules],
        }
