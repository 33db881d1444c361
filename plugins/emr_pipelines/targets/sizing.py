"""Sizes of Spark executors for the nodes of a cluster, and what of a profile's sizes cannot fit. Pure.

The method is AWS's (https://aws.amazon.com/blogs/big-data/best-practices-for-successfully-managing-memory-for-apache-spark-applications-on-amazon-emr/):
one vCPU of a node for its daemons, five to an executor, nine tenths of an executor's memory to its heap, and one executor less
than there is room for, for the driver. Where the post divides a node's memory, less one GB, this divides what EMR leaves to YARN.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil

from emr_pipelines.targets.instance_sizes import InstanceSize, size_of

_MIB = 1024
_CORES = 5
_LEAST_OVERHEAD = 384
"""MiB beside a heap, at least, unless it is said (Spark: ``spark.executor.memoryOverhead``)."""

_OVERHEAD_PERCENT = 10


@dataclass(frozen=True)
class Nodes:
    """Instances of one type that run executors, or the tasks of MapReduce."""

    type: str
    count: int


@dataclass(frozen=True)
class Executors:
    """Executors of one size: vCPUs; heap, and memory beside it, in GB; and how many there are, where that is known."""

    cores: int
    memory: int
    overhead: int | None = None
    count: int | None = None

    @property
    def container(self) -> int:
        """MiB that an executor takes of a node, at least: without a stated overhead Spark adds a tenth, and EMR may add more."""
        if self.overhead is not None:
            return (self.memory + self.overhead) * _MIB
        return self.memory * _MIB + max(_LEAST_OVERHEAD, self.memory * _MIB * _OVERHEAD_PERCENT // 100)

    def fitting(self, node: InstanceSize) -> int:
        """Return how many of them find memory on a node."""
        return node.yarn_memory // self.container


def executors_for(nodes: Sequence[Nodes]) -> Executors | None:
    """Return executors that every one of these nodes can run; ``None`` when there are none, or a type is unknown."""
    sizes = [(size_of(one.type), one.count) for one in nodes]
    known = [(size, count) for size, count in sizes if size is not None]
    if not known or len(known) < len(sizes):
        return None
    shares = [_share(size) for size, _ in known]
    cores, total = min(cores for cores, _ in shares), min(memory for _, memory in shares)
    places = sum(count * room(_split(cores, total), size) for size, count in known)
    # The application master needs a container, too: with room for one executor alone it gets a GB of that.
    return replace(_split(cores, total if places > 1 else max(1, total - 1)), count=max(1, places - 1))


def _split(cores: int, total: int) -> Executors:
    """Return an executor of so many GB in all; one of a single GB has no overhead of its own."""
    overhead = ceil(total * _OVERHEAD_PERCENT / 100) if total > 1 else 0
    return Executors(cores, total - overhead, overhead)


def room(one: Executors, size: InstanceSize) -> int:
    """Return how many executors a node has room for beside its daemons."""
    return min(one.fitting(size), max(1, (size.vcpus - 1) // one.cores))


def _share(size: InstanceSize) -> tuple[int, int]:
    """Return vCPUs and whole GB of memory of one executor on a node."""
    executors = max(1, (size.vcpus - 1) // _CORES)
    return max(1, min(_CORES, size.vcpus - 1)), max(1, size.yarn_memory // executors // _MIB)


def executor_warnings(executors: Executors, nodes: Iterable[Nodes]) -> list[str]:
    """Say why executors of this size, or so many of them, cannot run on these nodes; nothing of types that are unknown."""
    known = [(one, size) for one in nodes if (size := size_of(one.type))]
    told = [
        f"An executor of {executors.cores} cores is larger than a node: {one.type} has {size.vcpus} vCPUs"
        for one, size in known
        if executors.cores > size.vcpus
    ]
    told += [
        f"An executor takes {executors.container} MiB (memory and overhead), and YARN has {size.yarn_memory} MiB on {one.type}: "
        "none runs there"
        for one, size in known
        if not executors.fitting(size)
    ]
    room = sum(one.count * executors.fitting(size) for one, size in known)
    if executors.count is not None and len(known) == len(list(nodes)) and 0 < room < executors.count:
        told.append(f"{executors.count} executors are asked for, and the nodes have memory for {room}")
    return told


def container_warnings(what: str, memory: int, nodes: Iterable[Nodes]) -> list[str]:
    """Say on which nodes a container of so many MiB does not fit; ``what`` names it."""
    return [
        f"{what} takes {memory} MiB, and YARN has {size.yarn_memory} MiB on {one.type}: none runs there"
        for one in nodes
        if (size := size_of(one.type)) and memory > size.yarn_memory
    ]
