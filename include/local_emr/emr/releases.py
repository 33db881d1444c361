"""Which releases there are, and those that ListReleaseLabels names with the versions of what steps can use here.

Source: Amazon EMR Release Guide, "Application versions". The versions are the releases'; this machine runs its own.
"""

from __future__ import annotations

import re

NEWEST_MINORS = {"4": 9, "5": 36, "6": 15, "7": 14, "spark-8": 1}
"""The newest release of each line: emr-7.14.0, emr-spark-8.1.0."""

_LABEL = re.compile(r"emr-(?P<line>(?:spark-)?\d+)\.(?P<minor>\d+)\.\d")


def is_release(label: str) -> bool:
    """Say whether there is a release `label`, such as `emr-7.10.0` or `emr-spark-8.0.0`."""
    match = _LABEL.fullmatch(label)
    return match is not None and int(match["minor"]) <= NEWEST_MINORS.get(match["line"], -1)


def number_of(label: str) -> tuple[int, ...]:
    """Return the number of a release, to compare: (7, 10, 0) of `emr-7.10.0`."""
    return tuple(int(part) for part in label.rpartition("-")[2].split("."))


RELEASES = {
    "emr-7.10.0": {"Hive": "3.1.3", "Spark": "3.5.5"},
    "emr-7.9.0": {"Hive": "3.1.3", "Spark": "3.5.5"},
    "emr-7.8.0": {"Hive": "3.1.3", "Spark": "3.5.4"},
    "emr-7.7.0": {"Hive": "3.1.3", "Spark": "3.5.3"},
    "emr-7.6.0": {"Hive": "3.1.3", "Spark": "3.5.3"},
    "emr-7.5.0": {"Hive": "3.1.3", "Spark": "3.5.2"},
    "emr-7.4.0": {"Hive": "3.1.3", "Spark": "3.5.2"},
    "emr-7.3.0": {"Hive": "3.1.3", "Spark": "3.5.1"},
    "emr-7.2.0": {"Hive": "3.1.3", "Spark": "3.5.1"},
    "emr-7.1.0": {"Hive": "3.1.3", "Spark": "3.5.0"},
    "emr-7.0.0": {"Hive": "3.1.3", "Spark": "3.5.0"},
    "emr-6.15.0": {"Hive": "3.1.3", "Spark": "3.4.1"},
}
