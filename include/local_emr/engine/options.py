"""Spark's options on one machine: which stay, which change, which go, and what is said about it. Pure.

Names are those of spark-submit (org.apache.spark.launcher.SparkSubmitOptionParser) and of Spark's configuration page.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from local_emr.engine.absent import files_here

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FLAGS = frozenset({"--supervise", "--usage-error", "--verbose", "-v", "--version", "--help", "-h"})
_CLUSTER_OPTIONS = frozenset(
    {
        "--deploy-mode",
        "--driver-cores",
        "--driver-library-path",
        "--executor-cores",
        "--executor-memory",
        "--keytab",
        "--kill",
        "--master",
        "--num-executors",
        "--principal",
        "--proxy-user",
        "--queue",
        "--remote",
        "--status",
        "--supervise",
        "--total-executor-cores",
    }
)
WITH_VALUE = _CLUSTER_OPTIONS - {"--supervise"} | frozenset(
    {
        "--archives",
        "--class",
        "--conf",
        "-c",
        "--driver-class-path",
        "--driver-java-options",
        "--driver-memory",
        "--exclude-packages",
        "--files",
        "--jars",
        "--name",
        "--packages",
        "--properties-file",
        "--py-files",
        "--repositories",
    }
)
_CLUSTER_SETTINGS = (
    "spark.driver.extraLibraryPath",
    "spark.dynamicAllocation.",
    "spark.emr-serverless.",
    "spark.executor.",
    "spark.hadoop.fs.s3",
    "spark.hadoop.hive.metastore.client.factory.class",  # the Glue Data Catalog
    "spark.kubernetes.",
    "spark.master",
    "spark.pyspark.",
    "spark.shuffle.service.",
    "spark.submit.deployMode",
    "spark.yarn.",
)
_ENVIRONMENT = re.compile(
    r"spark\.(?:executorEnv|yarn\.appMasterEnv|kubernetes\.driverEnv|emr-serverless\.driverEnv)\.(?P<name>.+)"
)
# Interpreters and runtimes of EMR's images; here the endpoint's own are used
_RUNTIME_VARIABLES = frozenset({"JAVA_HOME", "PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON", "SPARK_HOME"})
_UNITS = {"": 1, "b": 1 / 2**20, "k": 1 / 2**10, "m": 1, "g": 2**10, "t": 2**20, "p": 2**30}


@dataclass(frozen=True)
class SparkOptions:
    """What is left of a spark-submit's options on this machine.

    `arguments` are spark-submit options to pass on; `settings` Spark properties; `notes` say each change.
    `memory_mb`, `java_options` and `classpath` are the driver JVM's, which we start ourselves.
    """

    arguments: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    memory_mb: int | None = None
    java_options: tuple[str, ...] = ()
    classpath: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def split_options(arguments: Sequence[str], *, mixed: bool) -> tuple[list[tuple[str, str | None]], list[str]]:
    """Split a spark-submit's arguments into its options and the rest.

    Options end at the first argument that is none, unless `mixed`: spark-sql takes its own options in between.
    Raises ValueError when an option has no value, or (unless mixed) is unknown.
    """
    options: list[tuple[str, str | None]] = []
    rest: list[str] = []
    position = 0
    while position < len(arguments):
        name, equals, value = arguments[position].partition("=")
        position += 1
        if name in WITH_VALUE and equals and name.startswith("--"):
            options.append((name, value))
        elif name in WITH_VALUE:
            if position == len(arguments):
                raise ValueError(f"Missing argument for option '{name}'.")
            options.append((name, arguments[position]))
            position += 1
        elif arguments[position - 1] in FLAGS and not mixed:
            options.append((name, None))
        elif mixed:
            rest.append(arguments[position - 1])
        elif name.startswith("-"):
            raise ValueError(f"Unrecognized option: {arguments[position - 1]}")
        else:
            return options, list(arguments[position - 1 :])
    return options, rest


def adapt(options: Iterable[tuple[str, str | None]]) -> SparkOptions:
    """Return what `options` come to on one machine.

    Raises ValueError for a --conf without `=` and for a memory size that Spark would not read.
    """
    adapted = _Adapted()
    for name, value in options:
        adapted.take_option(name, value)
    return adapted.result()


def memory_megabytes(size: str) -> int:
    """Read a size as Spark does (`512m`, `4g`; without a unit it means MiB). Raises ValueError for anything else."""
    if match := re.fullmatch(r"(\d+)\s*([bkmgtp]?)b?", size.strip().lower()):
        return max(1, round(int(match[1]) * _UNITS[match[2]]))
    raise ValueError(f"Not a memory size: {size!r}. Write it as 512m or 4g.")


class _Adapted:
    """Collects what becomes of each option and setting."""

    def __init__(self) -> None:
        self._arguments: list[str] = []
        self._settings: dict[str, str] = {}
        self._environment: dict[str, str] = {}
        self._memory_mb: int | None = None
        self._java_options: list[str] = []
        self._classpath: list[str] = []
        self._notes: list[str] = []

    def result(self) -> SparkOptions:
        return SparkOptions(
            tuple(self._arguments),
            self._settings,
            self._environment,
            self._memory_mb,
            tuple(self._java_options),
            tuple(self._classpath),
            tuple(self._notes),
        )

    def take_option(self, name: str, value: str | None) -> None:
        if name in _CLUSTER_OPTIONS:
            given = name if value is None else f"{name} {value}"
            self._notes.append(f"{given} is dropped: Spark runs in one process on this machine")
        elif value is None:
            self._arguments.append(name)
        elif name in {"--conf", "-c"}:
            setting, equals, setting_value = value.partition("=")
            if not equals:
                raise ValueError(f"Spark config without '=': {value}")
            self.take_setting(setting, setting_value)
        elif name == "--jars":
            if files := self._files_here(value):
                self._arguments += [name, files]
        elif name == "--driver-memory":
            self.take_setting("spark.driver.memory", value)
        elif name == "--driver-java-options":
            self.take_setting("spark.driver.extraJavaOptions", value)
        elif name == "--driver-class-path":
            self.take_setting("spark.driver.extraClassPath", value)
        else:
            self._arguments += [name, value]

    def take_setting(self, name: str, value: str) -> None:
        if match := _ENVIRONMENT.fullmatch(name):
            self._take_variable(match["name"], value)
        elif name == "spark.driver.memory":
            self._memory_mb = memory_megabytes(value)
        elif name in {"spark.driver.extraJavaOptions", "spark.driver.defaultJavaOptions"}:
            self._take_java_options(value)
        elif name == "spark.jars":
            if files := self._files_here(value):
                self._settings[name] = files
        elif name == "spark.driver.extraClassPath":
            self._classpath += value.split(":")
        elif name.startswith(_CLUSTER_SETTINGS):
            self._notes.append(f"{name} is dropped: it speaks of a cluster's machines")
        else:
            self._settings[name] = value

    def _files_here(self, files: str) -> str:
        here, notes = files_here(files)
        self._notes += notes
        return here

    def _take_variable(self, name: str, value: str) -> None:
        if name in _RUNTIME_VARIABLES:
            self._notes.append(f"Environment variable {name} is dropped: the endpoint's own runtime is used")
        else:
            self._environment[name] = value
            self._notes.append(f"Environment variable {name} is set for the whole job: driver and executor are one")

    def _take_java_options(self, value: str) -> None:
        for option in shlex.split(value):
            if option.startswith("-D"):
                self._java_options.append(option)
            else:
                self._notes.append(f"Java option {option} is dropped: the endpoint sets the JVM's memory and collector")
