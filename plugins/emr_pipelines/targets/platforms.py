"""What the packages of a job are made for: the Python and the processors of the compute that runs it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from emr_pipelines.targets.releases import version_of

Architecture = Literal["X86_64", "ARM64"]
"""Processors, in the words of EMR Serverless."""

_GRAVITON = re.compile(r"(a1|[a-z]+\d+g[a-z]*)\.")
"""Instance types with AWS's ARM processors: a ``g`` behind the generation (EC2, "Amazon EC2 instance type naming conventions")."""

_AMAZON_LINUX_2023 = (7,)
"""First release of EMR on Amazon Linux 2023, which has glibc 2.34; Amazon Linux 2 before it has 2.26."""


@dataclass(frozen=True)
class Platform:
    """A Python, such as ``3.9``, on processors and a C library."""

    python: str
    architecture: Architecture
    glibc: str

    def __str__(self) -> str:
        return f"Python {self.python} on {self.architecture}"


def platform(release: str, python: str | None, architecture: Architecture) -> Platform:
    """Return the platform of a release: with its default Python, unless another one is named."""
    glibc = "2.34" if version_of(release) >= _AMAZON_LINUX_2023 else "2.26"
    return Platform(python or pythons_of(release)[0], architecture, glibc)


def pythons_of(release: str) -> tuple[str, ...]:
    """Return the Pythons that a release has, its default first.

    Source: Amazon EMR Release Guide, "Application versions in Amazon EMR 7.x releases", row Python; likewise of 6.x, with 3.7 for Spark.
    """
    version = version_of(release)
    if version >= (8,):
        return ("3.11", "3.12", "3.13")
    if version >= (7, 1):
        return ("3.9", "3.11")
    return ("3.9",) if version >= (7,) else ("3.7",)


def architectures_of(instance_types: Iterable[str]) -> set[Architecture]:
    """Return the processors that EC2 instances of these types have."""
    return {"ARM64" if _GRAVITON.match(one) else "X86_64" for one in instance_types}
