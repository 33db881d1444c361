"""What a step's command comes to on this machine: a program to run, or a refusal that says why. Pure.

The commands are those of EMR's release guide ("Run commands and scripts on an Amazon EMR cluster") and what the AWS
command line sends for steps of type Spark, Hive, CUSTOM_JAR and STREAMING (awscli.customizations.emr.steputils).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from local_emr.engine.contract import Step
from local_emr.engine.options import SparkOptions, adapt, split_options

SPARK_SUBMIT = "org.apache.spark.deploy.SparkSubmit"
SPARK_SQL = "org.apache.spark.sql.hive.thriftserver.SparkSQLCLIDriver"
FILE_SHELL = "org.apache.hadoop.fs.FsShell"
RUN_JAR = "org.apache.hadoop.util.RunJar"
SPARK_INTERNAL = "spark-internal"  # SparkSubmit's name for "no file of the user's"
RUNS_HERE = (
    "bash, hadoop fs, hadoop jar, hadoop-streaming, hdfs dfs, hive, hive-script, s3-dist-cp, spark-sql, spark-submit"
)
_STREAMING_JAR = re.compile(r"hadoop-streaming(-[\w.]+)?\.jar")
_COPY_JARS = frozenset({"s3-dist-cp.jar", "emr-s3distcp-1.0.jar", "s3distcp.jar"})
_APPLICATION_OF = {
    "flink": "Flink",
    "flink-yarn-session": "Flink",
    "hbase": "HBase",
    "presto-cli": "Presto",
    "trino-cli": "Trino",
}
"""Applications of EMR that no wheel brings along, by their commands."""


@dataclass(frozen=True)
class SparkCommand:
    """A spark-submit: `options` as adapted, then `arguments` (the program and its own arguments)."""

    options: SparkOptions
    arguments: tuple[str, ...]
    uses_metastore: bool = False


@dataclass(frozen=True)
class JavaCommand:
    """A Java program on Hadoop's classpath."""

    main_class: str
    arguments: tuple[str, ...]
    options: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ShellCommand:
    """A program of this machine; `script` is an object in S3 to fetch and run with the arguments."""

    arguments: tuple[str, ...]
    script: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ToolCommand:
    """One of Hadoop's tools, as `local_emr.engine.hadoop` has them: a module's name, and the tool's words."""

    module: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Refusal:
    """Nothing is run: `reason` is the step's failure reason, `message` what to do about it."""

    reason: str
    message: str


Command = SparkCommand | JavaCommand | ShellCommand | ToolCommand


def plan(step: Step) -> Command | Refusal:
    """Return what to run for `step`. Never raises: what cannot be run is a Refusal."""
    name = step.jar.rpartition("/")[2]
    try:
        if name == "command-runner.jar":
            return _plan_command(step.args)
        if name == "script-runner.jar":
            return _plan_script(step.args)
    except ValueError as error:
        return Refusal("Invalid arguments", str(error))
    if "elasticmapreduce/" in step.jar and name not in _COPY_JARS:
        return _no_engine(step.jar)
    return _plan_jar(step.jar, step.main_class, step.args, step.properties)


def _plan_command(args: Sequence[str]) -> Command | Refusal:
    if not args:
        raise ValueError("command-runner.jar needs a command as its first argument, such as spark-submit.")
    planner = _COMMANDS.get(args[0].removeprefix("/usr/bin/"))
    return planner(args[1:]) if planner else _no_engine(args[0])


def _plan_spark_submit(args: Sequence[str]) -> Command | Refusal:
    options, rest = split_options(args, mixed=False)
    if not rest and not any(name in {"--version", "--help", "-h"} for name, _ in options):
        raise ValueError("Missing application resource: spark-submit needs a .py or .jar file after its options.")
    return SparkCommand(adapt(options), tuple(rest))


def _plan_spark_sql(args: Sequence[str]) -> Command | Refusal:
    options, rest = split_options(args, mixed=True)
    return _spark_sql(adapt(options), rest)


def _plan_hive(args: Sequence[str]) -> Command | Refusal:
    return _spark_sql(SparkOptions(notes=("HiveQL is run by Spark SQL's command line: there is no Hive here",)), args)


def _plan_hive_script(args: Sequence[str]) -> Command | Refusal:
    if "--args" not in args:
        raise ValueError(
            "hive-script needs its arguments after --args: --run-hive-script --args -f s3://bucket/script.q"
        )
    return _plan_hive(args[args.index("--args") + 1 :])


def _spark_sql(options: SparkOptions, args: Sequence[str]) -> Command | Refusal:
    if not {"-e", "-f"}.intersection(args):
        raise ValueError("Nothing to run: give a script with -f or statements with -e; a step has no terminal.")
    single_dash = {"-hivevar": "--hivevar", "-hiveconf": "--hiveconf", "-define": "--define", "-database": "--database"}
    arguments = (single_dash.get(argument, argument) for argument in args)
    return SparkCommand(options, ("--class", SPARK_SQL, SPARK_INTERNAL, *arguments), uses_metastore=True)


def _plan_hadoop(args: Sequence[str]) -> Command | Refusal:
    subcommand = args[0] if args else ""
    if subcommand in {"fs", "dfs"}:
        return JavaCommand(FILE_SHELL, tuple(args[1:]))
    if subcommand == "jar" and len(args) > 1:
        return _plan_jar(args[1], None, args[2:], {})
    return _no_engine(f"hadoop {subcommand}".strip())


def _plan_hdfs(args: Sequence[str]) -> Command | Refusal:
    if args and args[0] == "dfs":
        return JavaCommand(FILE_SHELL, tuple(args[1:]))
    return _no_engine(" ".join(("hdfs", *args[:1])))


def _plan_mapred(args: Sequence[str]) -> Command | Refusal:
    if args and args[0] == "streaming":
        return _plan_streaming(args[1:])
    return _no_engine(" ".join(("mapred", *args[:1])))


def _plan_streaming(args: Sequence[str]) -> Command | Refusal:
    return ToolCommand("streaming", tuple(args))


def _plan_copy(args: Sequence[str]) -> Command | Refusal:
    return ToolCommand("s3_dist_cp", tuple(args))


def _plan_bash(args: Sequence[str]) -> Command | Refusal:
    match args:
        case ["-c", _, command, *_] if command in _APPLICATION_OF:
            return _no_engine(command)  # the shell only fetches a script for it, or waits
    return ShellCommand(("bash", *args))


def _plan_debugging(_: Sequence[str]) -> Command | Refusal:
    return ShellCommand(("true",), notes=("There is no debugging console to set up; logs go to LogUri all the same",))


def _plan_script(args: Sequence[str]) -> Command | Refusal:
    if not args:
        raise ValueError("script-runner.jar needs a script as its first argument, such as s3://bucket/script.sh.")
    if args[0].endswith(("/hive/hive-script", "/libs/hive/hive-script")):
        return _plan_hive_script(args[1:])
    if args[0].endswith("/spark/bin/spark-submit"):
        return _plan_spark_submit(args[1:])
    if "elasticmapreduce/libs/state-pusher/" in args[0]:
        return _plan_debugging(args[1:])
    if "elasticmapreduce/" in args[0]:
        return _no_engine(args[0])
    return ShellCommand(tuple(args[1:]), script=args[0])


def _plan_jar(
    jar: str, main_class: str | None, args: Sequence[str], properties: Mapping[str, str]
) -> Command | Refusal:
    name = jar.rpartition("/")[2]
    if _STREAMING_JAR.fullmatch(name):
        return _plan_streaming(args)
    if name in _COPY_JARS:
        return _plan_copy(args)
    if name.startswith("hadoop-mapreduce-examples") and ":" not in jar:
        return Refusal(
            f"{name} is not on this machine", "Upload the jar to S3 and name it there, or run the step on EMR."
        )
    main = (main_class,) if main_class else ()
    return JavaCommand(
        RUN_JAR,
        (jar, *main, *args),
        options=tuple(f"-D{name}={value}" for name, value in properties.items()),
        notes=("MapReduce runs in one process on this machine",),
    )


def _no_engine(command: str) -> Refusal:
    reason = f"{command} has no engine on this endpoint"
    if application := _APPLICATION_OF.get(command):
        return Refusal(
            reason,
            f"This machine has no {application}: the step would run on an EMR cluster with the application {application}.",
        )
    return Refusal(reason, f"This endpoint runs {RUNS_HERE} and your own jars.")


_COMMANDS: dict[str, Callable[[Sequence[str]], Command | Refusal]] = {
    "bash": _plan_bash,
    "hadoop": _plan_hadoop,
    "hadoop-streaming": _plan_streaming,
    "hdfs": _plan_hdfs,
    "hive": _plan_hive,
    "hive-script": _plan_hive_script,
    "mapred": _plan_mapred,
    "s3-dist-cp": _plan_copy,
    "spark-sql": _plan_spark_sql,
    "spark-submit": _plan_spark_submit,
    "state-pusher-script": _plan_debugging,
}
