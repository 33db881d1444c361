"""What helps against the causes that many jobs die of.

Sources: EMR Management Guide, "Troubleshoot a cluster"; Spark's "Error Conditions"; YARN's and Kubernetes' exit codes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from emr_pipelines.failures import tail_of


@dataclass(frozen=True)
class KnownCause:
    """How the lines of a cause look, and what helps."""

    pattern: re.Pattern[str]
    hint: str


def _lines(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives))


CATALOGUE: Mapping[str, KnownCause] = {
    "out of memory": KnownCause(
        _lines("OutOfMemoryError", "MemoryError", r"exceeding (?:\w+ )?memory limits", "OOMKilled"),
        "Give it more memory (spark.executor.memory or spark.driver.memory, and their memoryOverhead), or smaller partitions.",
    ),
    "killed from outside": KnownCause(
        _lines(r"(?i:\bexit[a-z]*(?: with)?(?: ?(?:code|status))?[:= ]*137)\b", "Container killed on request"),
        "Exit code 137 is a kill, mostly for memory: give the container more (memoryOverhead), or keep less in it.",
    ),
    "spot loss": KnownCause(
        _lines(
            "(?i:spot (?:instance )?(?:interruption|termination))",
            "(?i:spot instance.* (?:reclaimed|interrupted|terminated))",
            "NODE_LOST",
            "Lost node",
        ),
        "Its node was taken away: run it again, and keep the driver and the core nodes On-Demand.",
    ),
    "disk full": KnownCause(
        _lines("No space left on device", "Disk quota exceeded"),
        "Give the nodes or workers larger disks, or let it shuffle and cache less.",
    ),
    "access denied": KnownCause(
        _lines(
            "AccessDenied", "Access Denied", "AccessControlException", "not authorized to perform", "Status Code: 403"
        ),
        "The role of the job lacks a permission: the instance profile on ec2, execution_role on eks and serverless.",
    ),
    "missing class or module": KnownCause(
        _lines(
            "ClassNotFoundException",
            "NoClassDefFoundError",
            "ModuleNotFoundError",
            "No module named",
            "NoSuchMethodError",
        ),
        "Ship it with the job (jars=, py_files=), in the version that this release runs.",
    ),
    "schema mismatch": KnownCause(
        _lines(
            "SchemaColumnConvertNotSupported",
            "Parquet column cannot be converted",
            "UNRESOLVED_COLUMN",
            "INCOMPATIBLE_(?:DATA_)?SCHEMA",
            "ClassCastException",
            "CAST_INVALID_INPUT",
            "Failed to merge incompatible",
        ),
        "The data does not have the columns or types that the job reads: compare it with data that it could read.",
    ),
    "missing input": KnownCause(
        _lines(
            "PATH_NOT_FOUND",
            "Path does not exist",
            "NoSuchKey",
            "NoSuchBucket",
            "FileNotFoundException",
            "TABLE_OR_VIEW_NOT_FOUND",
        ),
        "What it reads is not there: has it been written, and under this address?",
    ),
}
"""By name; the first that matches counts."""


def hint_for(cause: str, streams: Mapping[str, str]) -> str | None:
    """Return what helps against a well-known cause: one in the line that says why, else in the last lines of the logs."""
    for text in (cause, *("\n".join(tail_of(stream)) for stream in streams.values())):
        for known in CATALOGUE.values():
            if known.pattern.search(text):
                return known.hint
    return None
