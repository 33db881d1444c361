"""What the engine makes once per data folder: a jar of its own, and an archive of Spark's classes.

The jar (a second's work) holds the file system behind s3:// and hdfs://, compiled by the compiler in pyspark's jars, and
Hadoop's and log4j's settings. The archive (a minute's work, 200 MB) holds parsed classes and is optional: jobs run
without it, slower. An explicit static archive is used because the JVM's automatic one is written while a job exits,
which doubled the first job's time, and saved less afterwards.

Everything is written beside its final name and moved there, under a file lock; the archive's name carries its
checksum, so a damaged one is thrown away before a JVM trusts it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from local_emr.engine.java import JAVA_HOME, VERSIONS, Java, conf_arguments, spark_jars

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCES = Path(__file__).parent / "java"
TRAINING = Path(__file__).parent / "training.py"
LIMIT_SECONDS = 600.0
CHUNK = 1 << 20
SIGNED_JARS = ("commons-compiler-", "janino-")


class PreparationError(RuntimeError):
    """A JVM did not make what it was asked for; the message says what, and the JVM's last words."""


class Cache:
    """The folder `<parent>/<versions and sources>` and what is in it; `parent` is `<data>/cache` unless it is shared."""

    def __init__(self, data: Path, parent: Path | None = None) -> None:
        self._s3 = data / "s3"
        self.folder = (parent or data / "cache") / f"{VERSIONS}-{_fingerprint()}"

    @property
    def classpath(self) -> tuple[Path, ...]:
        """The engine's jar, then Spark's, with those that are signed replaced by unsigned copies."""
        jars = [self.folder / jar.name if jar.name.startswith(SIGNED_JARS) else jar for jar in spark_jars()]
        return (self.folder / "local-emr.jar", *jars)

    def java(self) -> Java:
        """Return the JVM to run jobs with, its jars made first if need be."""
        self.make_jars()
        return Java(self.classpath, self.archive(), self._s3)

    def make_jars(self) -> None:
        """Make the jars that every JVM needs. Cheap when they are there; safe in many processes at once."""
        if (self.folder / "local-emr.jar").exists():
            return
        with self._workplace("jars") as workplace:
            if (self.folder / "local-emr.jar").exists():
                return
            for jar in spark_jars():
                if jar.name.startswith(SIGNED_JARS):
                    _copy_unsigned(jar, workplace / jar.name)
                    (workplace / jar.name).replace(self.folder / jar.name)
            _compile(workplace / "classes")
            _pack(workplace / "classes", workplace / "local-emr.jar")
            (workplace / "local-emr.jar").replace(self.folder / "local-emr.jar")

    def archive(self) -> Path | None:
        """Return the archive of classes if there is an undamaged one. Reads all of it: a fraction of a second."""
        for archive in sorted(self.folder.glob("classes-*.jsa")):
            if archive.name == _archive_name(archive):
                return archive
            archive.unlink(missing_ok=True)
        return None

    def make_archive(self) -> Path:
        """Make the archive unless it is there, and return it. About a minute's work for one core."""
        self.make_jars()
        with self._workplace("archive") as workplace:
            if found := self.archive():
                return found
            java = replace(self.java(), archive=None, s3=workplace / "s3")
            classes = workplace / "classes.list"
            _run(_training_command(java, workplace), workplace, "list the classes of a Spark job")
            classes.write_text(_without_numbers((workplace / "recorded.list").read_text()))
            made = workplace / "classes.jsa"
            flags = ["-Xshare:dump", f"-XX:SharedClassListFile={classes}", f"-XX:SharedArchiveFile={made}"]
            command = java.command("", (), hdfs=workplace, temporary=workplace, memory_mb=1024, options=flags)
            _run(command[:-1], workplace, "archive the classes of a Spark job")
            if not made.exists():
                raise PreparationError(f"The JVM archived no classes in {workplace}")
            return made.rename(self.folder / _archive_name(made))

    @contextlib.contextmanager
    def _workplace(self, purpose: str) -> Iterator[Path]:
        """Give an empty folder to the one process that makes `purpose`; the others wait for it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{purpose}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for left_over in self.folder.glob(f"{purpose}-*.tmp"):
                shutil.rmtree(left_over, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix=f"{purpose}-", suffix=".tmp", dir=self.folder) as workplace:
                yield Path(workplace)


def _fingerprint() -> str:
    """Return a hash of what the cache is made from: our sources, and where Spark's jars lie and their times."""
    made_from = hashlib.sha256()
    for source in (*sorted(SOURCES.iterdir()), TRAINING):
        made_from.update(source.read_bytes())
    for jar in spark_jars():
        made_from.update(f"{jar} {jar.stat().st_mtime_ns}".encode())
    return made_from.hexdigest()[:12]


def _archive_name(archive: Path) -> str:
    checksum = 0
    with archive.open("rb") as file:
        while chunk := file.read(CHUNK):
            checksum = zlib.crc32(chunk, checksum)
    return f"classes-{checksum:08x}.jsa"


def _copy_unsigned(jar: Path, copy: Path) -> None:
    """Copy a jar without its signature: the JVM shares no classes of signed jars, and checks each as it loads."""
    with zipfile.ZipFile(jar) as source, zipfile.ZipFile(copy, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            if not entry.filename.startswith("META-INF/"):
                target.writestr(entry, source.read(entry))


def _compile(classes: Path) -> None:
    classes.mkdir()
    jars = ":".join(map(str, spark_jars()))
    command = [str(JAVA_HOME / "bin" / "java"), "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", jars]
    command += ["org.codehaus.commons.compiler.samples.CompilerDemo", "-d", str(classes), "-classpath", jars]
    _run([*command, *map(str, sorted(SOURCES.glob("*.java")))], classes, "compile the file system")


def _pack(classes: Path, jar: Path) -> None:
    with zipfile.ZipFile(jar, "w", zipfile.ZIP_DEFLATED) as target:
        for file in sorted(classes.rglob("*.class")):
            target.write(file, file.relative_to(classes))
        for settings in ("core-site.xml", "log4j2.properties"):
            target.write(SOURCES / settings, settings)


def _training_command(java: Java, workplace: Path) -> list[str]:
    settings = {
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.warehouse.dir": "hdfs:///user/hive/warehouse",
        "spark.hadoop.javax.jdo.option.ConnectionURL": "jdbc:derby:memory:training;create=true",
    }
    return java.command(
        "org.apache.spark.deploy.SparkSubmit",
        ["--master", "local[2]", *conf_arguments(settings), str(TRAINING)],
        hdfs=workplace / "hdfs",
        temporary=workplace,
        memory_mb=1024,
        options=[f"-XX:DumpLoadedClassList={workplace / 'recorded.list'}"],
    )


def _without_numbers(recorded: str) -> str:
    """Reduce a recorded class list to names: what other loaders than the JVM's defined cannot be archived here."""
    lines = [line for line in recorded.splitlines() if not line.startswith("#") and " source: " not in line]
    return "\n".join(dict.fromkeys(line.partition(" id: ")[0] for line in lines)) + "\n"


def _run(command: list[str], folder: Path, purpose: str) -> None:
    """Run a JVM for a preparation, or raise PreparationError."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    done = subprocess.run(  # noqa: S603 - our own command line
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=LIMIT_SECONDS,
        check=False,
    )
    if done.returncode:
        raise PreparationError(f"Could not {purpose} (exit code {done.returncode}):\n{done.stdout[-2000:]}")
