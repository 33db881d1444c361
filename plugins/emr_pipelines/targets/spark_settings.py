"""Spark's settings in a profile, and the properties of Spark that they become.

Names: https://spark.apache.org/docs/latest/configuration.html. On EMR: https://docs.aws.amazon.com/emr/latest/ReleaseGuide/emr-spark-configure.html.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from emr_pipelines.targets.profile import Like, Settings, given
from emr_pipelines.targets.secret_names import Properties
from emr_pipelines.targets.sizing import Executors

_NUMBERS_OF_EXECUTORS = (
    "spark.dynamicAllocation.initialExecutors",
    "spark.dynamicAllocation.maxExecutors",
    "spark.dynamicAllocation.minExecutors",
    "spark.executor.instances",
)

ByteSize = Annotated[str, Like(r"[1-9]\d*[KMG]B", "256MB")]


class SparkDriver(Settings):
    """The driver: vCPUs, memory of its heap in GB, and memory beside it in GB, which Spark works out unless it is said."""

    cores: int | None = Field(default=None, ge=1, le=128)
    memory: int | None = Field(default=None, ge=1, le=1024)
    overhead: int | None = Field(default=None, ge=1, le=1024)

    @property
    def sized(self) -> bool:
        """Whether this says a size."""
        return bool(self.cores or self.memory or self.overhead)

    def properties(self, role: str) -> dict[str, str]:
        """Return the properties of a ``driver`` or ``executor`` of this size."""
        return given(
            {
                f"spark.{role}.cores": self.cores and str(self.cores),
                f"spark.{role}.memory": self.memory and f"{self.memory}g",
                f"spark.{role}.memoryOverhead": self.overhead and f"{self.overhead}g",
            }
        )


class SparkExecutor(SparkDriver):
    """Each executor: vCPUs, memory of its heap in GB, memory beside it in GB, and their number."""

    count: int | None = Field(default=None, ge=1)
    """Executors of a job; with ``dynamic_allocation`` those that it begins with, if they are more than ``initial``."""


class Adaptive(Settings):
    """Adaptive query execution: plans that change with what they find (https://spark.apache.org/docs/latest/sql-performance-tuning.html)."""

    enabled: bool = True
    coalesce_partitions: bool = True
    """Whether small partitions after a shuffle become one."""
    advisory_partition_size: ByteSize | None = None
    """Size that partitions after a shuffle come near to, such as ``256MB``."""

    def properties(self) -> dict[str, str]:
        """Return the properties of Spark SQL."""
        return given(
            {
                "spark.sql.adaptive.enabled": _word(self.enabled),
                "spark.sql.adaptive.coalescePartitions.enabled": _word(self.coalesce_partitions),
                "spark.sql.adaptive.advisoryPartitionSizeInBytes": self.advisory_partition_size,
            }
        )


class DynamicAllocation(Settings):
    """Bounds between which Spark adds and removes executors while a job runs, and how many it begins with."""

    minimum: int = Field(default=0, ge=0)
    maximum: int | None = Field(default=None, ge=1)
    initial: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _bounds_are_ordered(self) -> Self:
        if self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(
                f"minimum {self.minimum} is above maximum {self.maximum}: write the smaller one as minimum"
            )
        if self.initial is None:
            return self
        if self.initial < self.minimum or (self.maximum is not None and self.initial > self.maximum):
            most = "" if self.maximum is None else f" to {self.maximum}"
            raise ValueError(
                f"initial {self.initial} lies outside of the bounds: write {self.minimum}{most}, or leave it out"
            )
        return self

    def properties(self) -> dict[str, str]:
        """Return the properties of dynamic allocation."""
        return given(
            {
                "spark.dynamicAllocation.enabled": "true",
                "spark.dynamicAllocation.minExecutors": str(self.minimum),
                "spark.dynamicAllocation.maxExecutors": self.maximum and str(self.maximum),
                "spark.dynamicAllocation.initialExecutors": None if self.initial is None else str(self.initial),
            }
        )


class SparkSettings(Settings):
    """What every target's Spark settings have in common."""

    driver: SparkDriver | None = None
    adaptive: Adaptive | None = None
    kryo: bool = False
    """Whether objects are serialized by Kryo."""
    dynamic_allocation: DynamicAllocation | None = None
    shuffle_partitions: int | None = Field(default=None, ge=1)
    """Partitions after a shuffle, before adaptive execution makes fewer of them."""
    conf: Properties = Field(default={})
    """Further properties of Spark, which win over those above."""

    @model_validator(mode="after")
    def _are_of_spark(self) -> Self:
        if other := [name for name in self.conf if not name.removeprefix("EMR.secret@").startswith("spark.")]:
            raise ValueError(
                f"conf: {other[0]!r} is no property of Spark: begin it with 'spark.', for Hadoop's with 'spark.hadoop.'"
            )
        bounds, count = self.dynamic_allocation, self._count
        if bounds and bounds.maximum and count and count > bounds.maximum:
            raise ValueError(
                f"executor.count {count} is above dynamic_allocation.maximum {bounds.maximum}: lower it, or leave it out"
            )
        return self

    @property
    def sized_executor(self) -> SparkExecutor | None:
        """The executor, where its size is stated."""
        return None

    @property
    def _count(self) -> int | None:
        return self.sized_executor.count if self.sized_executor else None

    def sizes(self) -> dict[str, str]:
        """Return the sizes of driver and executors."""
        roles = {"driver": self.driver, "executor": self.sized_executor}
        return {name: value for role, size in roles.items() if size for name, value in size.properties(role).items()}

    def allocation(self) -> dict[str, str]:
        """Return how many executors there are: so many, or between bounds."""
        own = {"spark.executor.instances": str(self._count)} if self._count else {}
        if self.dynamic_allocation:
            return {**own, **self.dynamic_allocation.properties()}
        return {"spark.dynamicAllocation.enabled": "false", **own} if own else {}

    def others(self) -> dict[str, str]:
        """Return what concerns neither sizes nor numbers, and ``conf``."""
        serializer = {"spark.serializer": "org.apache.spark.serializer.KryoSerializer"} if self.kryo else {}
        partitions = {"spark.sql.shuffle.partitions": str(self.shuffle_partitions)} if self.shuffle_partitions else {}
        return {**(self.adaptive.properties() if self.adaptive else {}), **serializer, **partitions, **self.conf}


class Spark(SparkSettings):
    """Settings of every Spark job; what the job itself says in ``conf`` wins, and so does ``configurations``."""

    executor: SparkExecutor | None = None

    @property
    def sized_executor(self) -> SparkExecutor | None:
        """The executor, where its size is stated."""
        return self.executor


def _size_or_fit(value: Any) -> Any:
    """Read an executor's size by itself, so that a mistake in it is told by its own name."""
    if isinstance(value, Mapping):
        return SparkExecutor.model_validate(value)
    if value is None or value == "fit" or isinstance(value, SparkExecutor):
        return value
    given = repr(value) if isinstance(value, str | int) else "what stands there"
    raise ValueError(f"{given} is no size of executors: write fit, or {{cores: 4, memory: 8}}")


class ClusterSpark(SparkSettings):
    """Settings of every Spark job of a cluster; what the job itself says in ``conf`` wins, and so does ``configurations``."""

    executor: Annotated[SparkExecutor | Literal["fit"] | None, BeforeValidator(_size_or_fit)] = None
    """Size of each executor and their number; ``fit`` works them out from the core and task nodes."""
    maximize_resource_allocation: bool = False
    """Whether EMR itself makes executors as large as a node (``maximizeResourceAllocation``)."""

    @model_validator(mode="after")
    def _has_one_size(self) -> Self:
        if self.maximize_resource_allocation and self.executor is not None:
            raise ValueError("maximize_resource_allocation sizes the executors: leave out executor, or that")
        return self

    @property
    def sized_executor(self) -> SparkExecutor | None:
        """The executor, where its size is stated."""
        return self.executor if isinstance(self.executor, SparkExecutor) else None

    def fitted(self, executors: Executors | None, *, counted: bool) -> Self:
        """Return these settings with ``fit`` in numbers; ``counted`` says whether one job has them all."""
        if self.executor != "fit" or executors is None:
            return self
        count = executors.count if counted and self.dynamic_allocation is None else None
        size = SparkExecutor(
            cores=executors.cores, memory=executors.memory, overhead=executors.overhead or None, count=count
        )
        return self.model_copy(update={"executor": size})


def settled(properties: Mapping[str, str], stated: Mapping[str, str], maximum: int | None) -> dict[str, str]:
    """Return properties with the values that were stated for them elsewhere, and no more executors than ``maximum``."""
    numbers = {} if maximum is None else {name: stated[name] for name in _NUMBERS_OF_EXECUTORS if name in stated}
    values = {name: stated.get(name, value) for name, value in properties.items()} | numbers
    return {
        name: _at_most(value, maximum) if name in _NUMBERS_OF_EXECUTORS else value for name, value in values.items()
    }


def _at_most(number: str, maximum: int | None) -> str:
    stated = number_in(number)
    return number if maximum is None or stated is None else str(min(stated, maximum))


def number_in(text: str) -> int | None:
    """Return the whole number that Spark reads in a text, which may have blanks and a sign about it."""
    return int(text) if re.fullmatch(r"\s*[+-]?\d+\s*", text) else None


def _word(holds: bool) -> str:
    return "true" if holds else "false"
