"""vCPUs and memory of EC2 instance types, worked out from their names, and what of it EMR leaves to YARN. Pure.

A family has a fixed memory per vCPU, and a size says how many vCPUs there are (https://aws.amazon.com/ec2/instance-types/). Memory of
YARN: https://docs.aws.amazon.com/emr/latest/ReleaseGuide/emr-hadoop-task-config.html, ``yarn.nodemanager.resource.memory-mb``
without HBase, which takes about half of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_MIB = 1024

_FAMILIES = {
    2.0: "c5 c5a c5ad c5d c6a c6g c6gd c6gn c6i c6id c6in c7a c7g c7gd c7gn c7i c7i-flex c8g c8gd",
    2.625: "c5n",
    4.0: "m4 m5 m5a m5ad m5d m5dn m5n m5zn m6a m6g m6gd m6i m6id m6idn m6in m7a m7g m7gd m7i m7i-flex m8g m8gd d3en g4dn g5 g6 im4gn",
    6.0: "is4gen",
    7.625: "i3 r4",
    8.0: "r5 r5a r5ad r5b r5d r5dn r5n r6a r6g r6gd r6i r6id r6idn r6in r7a r7g r7gd r7i r7iz r8g r8gd d3 g6e i3en i4g i4i z1d",
    16.0: "x2gd x2idn",
    32.0: "x2iedn",
}
GIB_PER_VCPU = {family: gib for gib, families in _FAMILIES.items() for family in families.split()}
"""Memory by family; other families are unknown here."""

_OTHERWISE = {"c5n.9xlarge": 96, "c5n.18xlarge": 192}
"""GiB of types that have not what their family has."""

_COUNTED_WHOLE = frozenset(
    {"c5", "c5d", "c5n", "g4dn", "i3", "i3en", "m4", "m5", "m5a", "m5d", "r4", "r5", "r5a", "r5d", "z1d"}
)
"""Families of whose memory EMR counts all; of younger ones it counts what their kernel sees, 61 parts in 64."""

_RESERVED_MIB = 8 * _MIB
"""What EMR keeps from YARN on instances with more than 32 GiB; on smaller ones it keeps a quarter."""

_SIZE = re.compile(r"(?P<family>[a-z0-9-]+)\.(?:(?P<small>medium|large)|(?P<times>\d*)xlarge)")
_SMALL = {"medium": 1, "large": 2}


@dataclass(frozen=True)
class InstanceSize:
    """What an instance has: vCPUs, memory, and memory that YARN may give to containers, both in MiB."""

    vcpus: int
    memory: int
    yarn_memory: int


def size_of(instance_type: str) -> InstanceSize | None:
    """Return what an instance of a type has; ``None`` for a type that is unknown here."""
    match = _SIZE.fullmatch(instance_type)
    if match is None or match["family"] not in GIB_PER_VCPU:
        return None
    vcpus = _SMALL[match["small"]] if match["small"] else 4 * int(match["times"] or 1)
    memory = int(_OTHERWISE.get(instance_type, vcpus * GIB_PER_VCPU[match["family"]]) * _MIB)
    return InstanceSize(vcpus, memory, _yarn_memory(memory, whole=match["family"] in _COUNTED_WHOLE))


def _yarn_memory(memory: int, *, whole: bool) -> int:
    if not whole and memory <= _RESERVED_MIB:
        return memory * 11 // 16
    counted = memory if whole else memory * 61 // 64
    return counted * 3 // 4 if memory <= 4 * _RESERVED_MIB else counted - _RESERVED_MIB
