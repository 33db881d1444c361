"""A cluster's Configurations (Amazon EMR Release Guide, "Configure applications") as settings of its steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local_emr.engine.options import adapt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from local_emr.emr.records import ClusterRecord

# On EC2 the instance profile gives a step its credentials; here any will do.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}

_READ = frozenset({"hadoop-env", "hive-site", "spark-defaults", "spark-env"})
"""Classifications that reach a step."""


def spark_defaults_of(cluster: ClusterRecord) -> dict[str, str]:
    """Return spark-defaults, and hive-site as the Hadoop settings that Spark passes on to Hive."""
    configurations = cluster.request.get("Configurations", [])
    hive = {f"spark.hadoop.{key}": value for key, value in _properties(configurations, "hive-site").items()}
    return {**hive, **_properties(configurations, "spark-defaults")}


def environment_of(cluster: ClusterRecord) -> dict[str, str]:
    """Return what a step finds in its environment: region, credentials, and the exports of spark-env and hadoop-env."""
    exports: dict[str, str] = {}
    for configuration in cluster.request.get("Configurations", []):
        if configuration.get("Classification") in {"hadoop-env", "spark-env"}:
            exports |= _properties(configuration.get("Configurations", []), "export")
    return {"AWS_REGION": cluster.region, "AWS_DEFAULT_REGION": cluster.region, **CREDENTIALS, **usable(exports)}


def notes_of(cluster: ClusterRecord) -> tuple[str, ...]:
    """Say which classifications are kept for DescribeCluster alone."""
    names = {configuration.get("Classification", "") for configuration in cluster.request.get("Configurations", [])}
    unread = sorted(names - _READ)
    return (f"Nothing on this machine reads classification {', '.join(unread)}",) if unread else ()


def usable(exports: Mapping[str, str]) -> dict[str, str]:
    """Return of a classification's exports those that mean something here: all but where EMR's images have their runtimes."""
    return adapt(("--conf", f"spark.yarn.appMasterEnv.{name}={value}") for name, value in exports.items()).environment


def _properties(configurations: list[dict[str, Any]], classification: str) -> dict[str, str]:
    merged: dict[str, str] = {}
    for properties in _of_class(configurations, classification):
        merged |= properties
    return merged


def _of_class(configurations: list[dict[str, Any]], classification: str) -> Iterator[dict[str, str]]:
    for configuration in configurations:
        if configuration.get("Classification") == classification:
            yield configuration.get("Properties", {})
