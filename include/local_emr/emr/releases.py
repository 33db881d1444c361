"""The releases that ListReleaseLabels names, with the versions of what steps can use here.

Source: Amazon EMR Release Guide, "Application versions". The versions are the releases'; this machine runs its own.
"""

from __future__ import annotations

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
