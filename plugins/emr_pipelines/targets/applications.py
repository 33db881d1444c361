"""Which applications EMR on EC2 installs, and with which releases.

Source: Amazon EMR Release Guide, "Application versions in Amazon EMR 5.x, 6.x and 7.x releases" and each application's
"release history"; Trino and Presto do not run on one cluster ("Presto").
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from emr_pipelines.errors import suggestion
from emr_pipelines.targets.releases import version_of

_Number = tuple[int, int]
_ALWAYS: tuple[_Number, _Number] = ((5, 30), (99, 0))
_EVERYWHERE = "Flink HBase HCatalog Hadoop Hive Hue JupyterHub Livy Oozie Phoenix Pig Presto Spark TensorFlow Tez Zeppelin ZooKeeper"

KNOWN: Mapping[str, tuple[_Number, _Number]] = {
    **dict.fromkeys(_EVERYWHERE.split(), _ALWAYS),
    "AmazonCloudWatchAgent": ((7, 0), (99, 0)),
    "Ganglia": ((5, 30), (6, 15)),
    "JupyterEnterpriseGateway": ((5, 32), (99, 0)),
    "Mahout": ((5, 30), (5, 36)),
    "MXNet": ((5, 30), (7, 2)),
    "PrestoSQL": ((6, 1), (6, 3)),
    "Sqoop": ((5, 30), (7, 4)),
    "Trino": ((6, 4), (99, 0)),
}
"""Applications by name, with the first and the last release that has each; 99 is "still there"."""

_SET_BY_CONFIGURATION = {
    "Delta": "delta-defaults with delta.enabled",
    "Iceberg": "iceberg-defaults with iceberg.enabled",
    "Hudi": "hudi-defaults",
}
_QUERY_ENGINES = ("Presto", "PrestoSQL", "Trino")


def checked_applications(names: Iterable[str]) -> tuple[str, ...]:
    """Return names of applications that EMR knows, and that may stand on one cluster.

    :raises ValueError: one is not known, or they exclude each other.
    """
    names = tuple(names)
    for name in names:
        if name in _SET_BY_CONFIGURATION:
            raise ValueError(
                f"{name} is installed with Spark and switched on by configurations: "
                f"write classification {_SET_BY_CONFIGURATION[name]} there, and take it out of applications"
            )
        if name not in KNOWN:
            raise ValueError(
                f"EMR has no application {name!r}{suggestion(name, KNOWN)}; it has: {', '.join(sorted(KNOWN))}"
            )
    engines = [name for name in _QUERY_ENGINES if name in names]
    if len(engines) > 1:
        raise ValueError(
            f"{engines[0]} and {engines[1]} cannot run on one cluster: take one of them out of applications"
        )
    return names


def check_release_has(names: Collection[str], release: str) -> None:
    """Check that a release has applications.

    :raises ValueError: it has one no more, or not yet.
    """
    number = version_of(release)[:2]
    for name in names:
        first, last = KNOWN[name]
        if not first <= number <= last:
            until = "" if last == _ALWAYS[1] else f" to emr-{last[0]}.{last[1]}"
            raise ValueError(
                f"release {release} has no {name}, which is in emr-{first[0]}.{first[1]}{until or ' and later'}: "
                "change the release, or take it out of applications"
            )
