"""From a planned command to a process: command line, environment, Spark's settings. Pure but for the machine's facts."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from local_emr.engine.absent import present
from local_emr.engine.java import JAVA_HOME, Java, conf_arguments
from local_emr.engine.options import adapt
from local_emr.engine.planning import SPARK_SUBMIT, Command, JavaCommand, ShellCommand, SparkCommand

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_MEMORY_MB = 1024
SMALLEST_LIMIT_MB = 1024
WAREHOUSE = "hdfs:///user/hive/warehouse"  # EMR's default, hive.metastore.warehouse.dir
# What a job may see of the endpoint's environment; everything else could be somebody's secret
_PASSED_ON = ("HOME", "LANG", "LC_ALL", "TZ", "USER")


@dataclass(frozen=True)
class Place:
    """Where a step runs: its own folders, its cluster's HDFS and metastore, and the endpoint it may call."""

    work: Path
    hdfs: Path
    s3: Path
    events: Path
    endpoint_url: str
    metastore_uri: str

    def local(self, uri: str) -> Path:
        """Return the file behind an s3:// (s3a://, s3n://) or file: URI, or a plain path as it is."""
        scheme, separator, path = uri.partition("://")
        if separator and scheme in {"s3", "s3a", "s3n"}:
            return self.s3 / path
        return Path(uri.removeprefix("file://").removeprefix("file:"))


@dataclass(frozen=True)
class Launch:
    """A process to start, and what to say about how it differs from what was asked."""

    arguments: list[str]
    environment: dict[str, str]
    notes: tuple[str, ...] = ()


def launch(
    command: Command, java: Java, place: Place, environment: Mapping[str, str], spark_defaults: Mapping[str, str]
) -> Launch:
    """Return the process that `command` comes to in `place`. Raises ValueError for a `spark_defaults` size it cannot read."""
    variables = job_environment(place.endpoint_url) | {"SPARK_LOCAL_DIRS": str(place.work)} | dict(environment)
    if isinstance(command, SparkCommand):
        return _launch_spark(command, java, place, variables, spark_defaults)
    if isinstance(command, JavaCommand):
        arguments = [str(place.local(part)) if part.endswith(".jar") else part for part in command.arguments[:1]]
        started = java.command(
            command.main_class,
            [*arguments, *command.arguments[1:]],
            hdfs=place.hdfs,
            temporary=place.work,
            memory_mb=DEFAULT_MEMORY_MB,
            options=command.options,
        )
        return Launch(started, variables, command.notes)
    return Launch(_shell_arguments(command, place), variables, command.notes)


def job_environment(endpoint_url: str) -> dict[str, str]:
    """Return the environment variables of every job: its runtime, and the endpoint as its AWS.

    SPARK_HOME is left out: with it Spark puts a zip of pyspark first on Python's path, whose modules are compiled again
    in every job (0.9 s); without it Python takes the installed pyspark.
    """
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | {
        "PATH": path,
        "JAVA_HOME": str(JAVA_HOME),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }


def properties_text(settings: Mapping[str, str]) -> str:
    """Write `settings` as a Java properties file, which spark-defaults.conf is."""
    lines = (f"{name}={_escaped(value)}" for name, value in settings.items())
    return "\n".join((*lines, ""))


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")


def _launch_spark(
    command: SparkCommand, java: Java, place: Place, variables: dict[str, str], spark_defaults: Mapping[str, str]
) -> Launch:
    options = command.options
    here, absent = present(spark_defaults)
    defaults = adapt(("--conf", f"{name}={value}") for name, value in here.items())
    asked_mb = options.memory_mb or defaults.memory_mb or DEFAULT_MEMORY_MB
    memory_mb = min(asked_mb, memory_limit_mb())
    notes = (*absent, *defaults.notes, *options.notes)
    if memory_mb < asked_mb:
        notes = (*notes, f"Driver memory is {memory_mb}m instead of {asked_mb}m: a quarter of this machine's")
    given = list(options.arguments)
    if "--properties-file" not in given:
        file = place.work / "spark-defaults.conf"
        file.write_text(properties_text(_spark_settings(place) | defaults.settings))
        given = ["--properties-file", str(file), *given]
    started = java.command(
        SPARK_SUBMIT,
        ["--master", "local[*]", *given, *conf_arguments(options.settings), *command.arguments],
        hdfs=place.hdfs,
        temporary=place.work,
        memory_mb=memory_mb,
        options=(*defaults.java_options, *options.java_options),
        classpath=[Path(entry) for entry in (*options.classpath, *defaults.classpath)],
    )
    return Launch(started, variables | defaults.environment | options.environment, notes)


def _spark_settings(place: Place) -> dict[str, str]:
    """Return Spark's settings on this machine, all of which a cluster's or a job's own settings override."""
    return {
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": place.events.as_uri(),
        "spark.sql.shuffle.partitions": "8",
        "spark.sql.warehouse.dir": WAREHOUSE,
        "spark.hadoop.hive.metastore.uris": place.metastore_uri,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }


def memory_limit_mb() -> int:
    """Return the most memory a driver gets, in MiB: a quarter of the machine's, for others work here too."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return max(SMALLEST_LIMIT_MB, physical // 4)


def _shell_arguments(command: ShellCommand, place: Place) -> list[str]:
    if command.script is None:
        return list(command.arguments)
    script = place.work / Path(command.script).name
    return ["bash", "-c", '"$0" "$@"', str(script), *command.arguments]  # bash also runs a script without a #! line
