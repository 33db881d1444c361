"""Workers: how many and how large a job run asks for, what fits an application, and what it comes to. Pure.

Sources, all in the Amazon EMR Serverless User Guide: "Understanding application behavior" (worker sizes), "Using Spark
configurations", "Using Hive configurations" (defaults), "Using shuffle-optimized disks"; the API reference's
ResourceUtilization and "Pricing" (a minute for each worker at least, 20 GB of storage free).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_emr.engine.options import memory_megabytes, split_options

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FREE_DISK_GB = 20
SHORTEST_BILLED_SECONDS = 60
SMALLEST_OVERHEAD_MB = 384

MEMORY_GB = {1: (2, 8, 1), 2: (4, 16, 1), 4: (8, 30, 1), 8: (16, 60, 4), 16: (32, 120, 8)}
"""By a worker's vCPUs: its least and most memory, and the steps in between."""

DISK_GB = {"standard": range(20, 200 + 1), "shuffle_optimized": range(20, 2000 + 1)}
"""How large a worker's disk may be, by its type."""

_QUANTITY = re.compile(r"(\d+)\s?(?:vcpu|gb)?", re.IGNORECASE)
_OPTIONS = {
    "--driver-cores": "spark.driver.cores",
    "--driver-memory": "spark.driver.memory",
    "--executor-cores": "spark.executor.cores",
    "--executor-memory": "spark.executor.memory",
    "--num-executors": "spark.executor.instances",
}


@dataclass(frozen=True)
class Capacity:
    """vCPUs, GB of memory and GB of disk."""

    cpu: float = 0
    memory_gb: float = 0
    disk_gb: float = 0

    def __add__(self, other: Capacity) -> Capacity:
        return Capacity(self.cpu + other.cpu, self.memory_gb + other.memory_gb, self.disk_gb + other.disk_gb)

    def __mul__(self, count: float) -> Capacity:
        return Capacity(self.cpu * count, self.memory_gb * count, self.disk_gb * count)


@dataclass(frozen=True)
class Workers:
    """A job run's driver, and `count` further workers of one size."""

    driver: Capacity
    other: Capacity
    count: int

    @property
    def total(self) -> Capacity:
        """What all of them take."""
        return self.driver + self.other * self.count

    @property
    def billed_disk_gb(self) -> float:
        """The disk beyond what each worker has for free."""
        return max(0, self.driver.disk_gb - FREE_DISK_GB) + max(0, self.other.disk_gb - FREE_DISK_GB) * self.count


def quantity(text: str) -> int:
    """Read `4 vCPU`, `16 GB` or `16`. Raises ValueError for anything else."""
    match = _QUANTITY.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no amount such as 4 vCPU or 16 GB")
    return int(match[1])


def worker(cpu: int, memory_gb: float, disk_gb: int, disk_type: str = "standard") -> Capacity:
    """Return the worker that has at least so much memory. Raises ValueError when there is no such worker."""
    if cpu not in MEMORY_GB:
        raise ValueError(f"Worker with {cpu} vCPU is not supported: choose {', '.join(map(str, MEMORY_GB))} vCPU")
    least, most, step = MEMORY_GB[cpu]
    memory = max(least, least + step * math.ceil((memory_gb - least) / step))
    if memory > most:
        raise ValueError(f"Worker with {cpu} vCPU and {memory_gb:g} GB memory is not supported: at most {most} GB")
    sizes = DISK_GB.get(disk_type.lower())
    if sizes is None:
        raise ValueError(f"Disk type {disk_type} is not supported: choose {' or '.join(DISK_GB)}")
    if disk_gb not in sizes:
        raise ValueError(f"Worker with {disk_gb} GB disk is not supported: choose 20 to {sizes[-1]} GB")
    return Capacity(cpu, memory, disk_gb)


def spark_settings(arguments: Sequence[str]) -> dict[str, str]:
    """Return the Spark properties in spark-submit's options. Raises ValueError for options that it would not take."""
    settings = {}
    for name, value in split_options(arguments, mixed=False)[0]:
        if name in {"--conf", "-c"} and value is not None:
            setting, _, given = value.partition("=")
            settings[setting] = given
        elif name in _OPTIONS and value is not None:
            settings[_OPTIONS[name]] = value
    return settings


def spark_workers(settings: Mapping[str, str]) -> Workers:
    """Return the workers that Spark starts with. Raises ValueError when a size is none or not to be had."""
    return Workers(_spark_worker("driver", settings), _spark_worker("executor", settings), _executors(settings))


def _spark_worker(role: str, settings: Mapping[str, str]) -> Capacity:
    heap = memory_megabytes(settings.get(f"spark.{role}.memory", "14g"))
    factor = float(settings.get("spark.emr-serverless.memoryOverheadFactor", "0.1"))
    overhead = settings.get(f"spark.{role}.memoryOverhead")
    extra = memory_megabytes(overhead) if overhead else max(SMALLEST_OVERHEAD_MB, heap * factor)
    disk = f"spark.emr-serverless.{role}.disk"
    return worker(
        int(settings.get(f"spark.{role}.cores", "4")),
        (heap + extra) / 1024,
        memory_megabytes(settings.get(disk, "20g")) // 1024,
        settings.get(f"{disk}.type", "standard"),
    )


def _executors(settings: Mapping[str, str]) -> int:
    """Return how many executors Spark asks for first (org.apache.spark.util.Utils.getDynamicAllocationInitialExecutors)."""
    dynamic = "spark.dynamicAllocation."
    if settings.get(f"{dynamic}enabled", "true") == "false":
        return int(settings.get("spark.executor.instances", "3"))
    names = ("spark.executor.instances", f"{dynamic}initialExecutors", f"{dynamic}minExecutors")
    wanted = max((int(settings[name]) for name in names if name in settings), default=3)
    return min(wanted, int(settings.get(f"{dynamic}maxExecutors", wanted)))


def hive_workers(settings: Mapping[str, str]) -> Workers:
    """Return a Hive driver and one Tez task. Raises ValueError when a size is none or not to be had."""
    driver = worker(
        int(settings.get("hive.driver.cores", "2")),
        memory_megabytes(settings.get("hive.driver.memory", "4g")) / 1024,
        memory_megabytes(settings.get("hive.driver.disk", "20g")) // 1024,
        settings.get("hive.driver.disk.type", "standard"),
    )
    task = worker(
        int(settings.get("hive.tez.cpu.vcores", "2")),
        int(settings.get("hive.tez.container.size", "6144")) / 1024,
        memory_megabytes(settings.get("hive.tez.disk.size", "20g")) // 1024,
        settings.get("hive.tez.disk.type", "standard"),
    )
    return Workers(driver, task, 1)


def maximum(given: Mapping[str, str] | None) -> Capacity:
    """Return an application's maximumCapacity; what it leaves open is without limit."""
    asked = given or {}
    cpu, memory, disk = (quantity(asked[name]) if name in asked else math.inf for name in ("cpu", "memory", "disk"))
    return Capacity(cpu, memory, disk)


def exceeded(wanted: Capacity, given: Mapping[str, str] | None) -> str | None:
    """Say which limits of a maximumCapacity `wanted` exceeds, as AWS writes them; None: it fits."""
    limit = maximum(given)
    over = [
        f"{name}: {quantity((given or {})[name])} {unit}"
        for name, unit, asked, most in (
            ("cpu", "vCPU", wanted.cpu, limit.cpu),
            ("memory", "GB", wanted.memory_gb, limit.memory_gb),
            ("disk", "GB", wanted.disk_gb, limit.disk_gb),
        )
        if asked > most
    ]
    return ", ".join(over) or None


def utilization(capacity: Capacity, seconds: Iterable[float]) -> dict[str, float]:
    """Return what workers of `capacity` used in attempts of so many seconds, each rounded up to a whole one."""
    hours = sum(math.ceil(duration) for duration in seconds) / 3600
    return _hours(capacity * hours)


def billed_utilization(capacity: Capacity, billed_disk_gb: float, seconds: Iterable[float]) -> dict[str, float]:
    """Return what is billed for it: a minute at least for each worker, and no disk that is free."""
    hours = sum(max(SHORTEST_BILLED_SECONDS, math.ceil(duration)) for duration in seconds) / 3600
    return _hours(Capacity(capacity.cpu, capacity.memory_gb, billed_disk_gb) * hours)


def _hours(used: Capacity) -> dict[str, float]:
    return {
        "vCPUHour": round(used.cpu, 3),
        "memoryGBHour": round(used.memory_gb, 3),
        "storageGBHour": round(used.disk_gb, 3),
    }
