"""What each command comes to, as a table."""

from __future__ import annotations

import pytest

from local_emr.engine import Step
from local_emr.engine.options import SparkOptions
from local_emr.engine.planning import JavaCommand, Refusal, ShellCommand, SparkCommand, ToolCommand, plan

SQL = ("--class", "org.apache.spark.sql.hive.thriftserver.SparkSQLCLIDriver", "spark-internal")
NOTE = SparkOptions(notes=("HiveQL is run by Spark SQL's command line: there is no Hive here",))
SCRIPT_RUNNER = "s3://us-east-1.elasticmapreduce/libs/script-runner/script-runner.jar"
LOCAL_MAPREDUCE = ("MapReduce runs in one process on this machine",)


def command(*args: str) -> Step:
    return Step("command-runner.jar", args)


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (
            command("spark-submit", "s3://b/x.py", "--date", "d"),
            SparkCommand(SparkOptions(), ("s3://b/x.py", "--date", "d")),
        ),
        (
            command("spark-submit", "--class", "com.A", "--jars=s3://b/l.jar", "s3://b/x.jar", "--conf", "mine"),
            SparkCommand(
                SparkOptions(arguments=("--class", "com.A", "--jars", "s3://b/l.jar")),
                ("s3://b/x.jar", "--conf", "mine"),
            ),
        ),
        (
            command("spark-sql", "--conf", "spark.a=b", "-f", "s3://b/x.sql", "-d", "n=1", "--hivevar", "m=2"),
            SparkCommand(
                SparkOptions(settings={"spark.a": "b"}),
                (*SQL, "-f", "s3://b/x.sql", "-d", "n=1", "--hivevar", "m=2"),
                uses_metastore=True,
            ),
        ),
        (
            command("spark-sql", "-e", "SELECT 1"),
            SparkCommand(SparkOptions(), (*SQL, "-e", "SELECT 1"), uses_metastore=True),
        ),
        (
            command("hive-script", "--run-hive-script", "--args", "-f", "s3://b/x.q", "-d", "n=1", "-hivevar", "m=2"),
            SparkCommand(NOTE, (*SQL, "-f", "s3://b/x.q", "-d", "n=1", "--hivevar", "m=2"), uses_metastore=True),
        ),
        (
            command("hive", "-hiveconf", "hive.a=b", "-e", "SHOW TABLES"),
            SparkCommand(NOTE, (*SQL, "--hiveconf", "hive.a=b", "-e", "SHOW TABLES"), uses_metastore=True),
        ),
        (
            Step(
                SCRIPT_RUNNER,
                (
                    "s3://us-east-1.elasticmapreduce/libs/hive/hive-script",
                    "--run-hive-script",
                    "--hive-versions",
                    "latest",
                    "--args",
                    "-f",
                    "s3://b/x.q",
                ),
            ),
            SparkCommand(NOTE, (*SQL, "-f", "s3://b/x.q"), uses_metastore=True),
        ),
        (
            Step(SCRIPT_RUNNER, ("/home/hadoop/spark/bin/spark-submit", "s3://b/x.py")),
            SparkCommand(SparkOptions(), ("s3://b/x.py",)),
        ),
        (command("hadoop", "fs", "-ls", "s3://b/"), JavaCommand("org.apache.hadoop.fs.FsShell", ("-ls", "s3://b/"))),
        (command("hdfs", "dfs", "-ls", "/"), JavaCommand("org.apache.hadoop.fs.FsShell", ("-ls", "/"))),
        (
            command("hadoop", "jar", "s3://b/x.jar", "count"),
            JavaCommand("org.apache.hadoop.util.RunJar", ("s3://b/x.jar", "count"), notes=LOCAL_MAPREDUCE),
        ),
        (
            Step("s3://b/x.jar", ("in", "out"), "com.A", {"k": "v"}),
            JavaCommand(
                "org.apache.hadoop.util.RunJar", ("s3://b/x.jar", "com.A", "in", "out"), ("-Dk=v",), LOCAL_MAPREDUCE
            ),
        ),
        (command("bash", "-c", "exit 3"), ShellCommand(("bash", "-c", "exit 3"))),
        (Step(SCRIPT_RUNNER, ("s3://b/x.sh", "one")), ShellCommand(("one",), script="s3://b/x.sh")),
    ],
)
def test_a_command_is_planned(step, expected):
    assert expected == plan(step)


@pytest.mark.parametrize(
    "step",
    [command("state-pusher-script"), Step(SCRIPT_RUNNER, ("s3://elasticmapreduce/libs/state-pusher/0.1/fetch",))],
)
def test_setting_up_debugging_succeeds_and_says_that_there_is_nothing_to_set_up(step):
    planned = plan(step)
    assert isinstance(planned, ShellCommand)
    assert planned.arguments == ("true",)
    assert planned.notes


@pytest.mark.parametrize(
    ("step", "name"),
    [
        (command("presto-cli", "--execute", "select 1"), "presto-cli"),
        (command("trino-cli"), "trino-cli"),
        (command("flink", "run"), "flink"),
        (command("pig-script", "--run-pig-script"), "pig-script"),
        (command("bash", "-c", "fetch", "trino-cli", "s3://b/x.sql"), "trino-cli"),
        (command("bash", "-c", "wait", "flink", "s3://b/x.jar"), "flink"),
        (command("hbase", "shell"), "hbase"),
        (command("mapred", "job"), "mapred job"),
        (command("spark-example", "SparkPi", "10"), "spark-example"),
        (command("hadoop", "distcp", "a", "b"), "hadoop distcp"),
        (command("hdfs", "fsck"), "hdfs fsck"),
        (
            Step(SCRIPT_RUNNER, ("s3://us-east-1.elasticmapreduce/libs/pig/pig-script",)),
            "s3://us-east-1.elasticmapreduce/libs/pig/pig-script",
        ),
        (Step("s3://us-east-1.elasticmapreduce/libs/x.jar"), "s3://us-east-1.elasticmapreduce/libs/x.jar"),
    ],
)
def test_a_command_without_an_engine_is_refused_by_name(step, name):
    planned = plan(step)
    assert isinstance(planned, Refusal)
    assert planned.reason == f"{name} has no engine on this endpoint"


def test_an_application_that_no_wheel_brings_along_is_refused_with_where_it_would_run():
    assert plan(command("flink", "run", "x.jar")) == Refusal(
        "flink has no engine on this endpoint",
        "This machine has no Flink: the step would run on an EMR cluster with the application Flink.",
    )


def test_hadoops_examples_are_not_on_this_machine_but_may_be_uploaded():
    refused = Refusal(
        "hadoop-mapreduce-examples.jar is not on this machine",
        "Upload the jar to S3 and name it there, or run the step on EMR.",
    )
    jar = "/usr/lib/hadoop-mapreduce/hadoop-mapreduce-examples.jar"
    assert plan(command("hadoop", "jar", jar, "wordcount")) == refused
    assert plan(Step(jar, ("wordcount",))) == refused
    assert isinstance(plan(Step("s3://b/hadoop-mapreduce-examples.jar", ("wordcount",))), JavaCommand)


@pytest.mark.parametrize(
    ("step", "tool"),
    [
        (command("hadoop-streaming", "-mapper", "cat"), "streaming"),
        (command("/usr/bin/hadoop-streaming", "-mapper", "cat"), "streaming"),
        (command("mapred", "streaming", "-mapper", "cat"), "streaming"),
        (command("hadoop", "jar", "/usr/lib/hadoop-mapreduce/hadoop-streaming.jar", "-mapper", "cat"), "streaming"),
        (Step("/home/hadoop/contrib/streaming/hadoop-streaming.jar", ("-mapper", "cat")), "streaming"),
        (Step("hadoop-streaming-3.3.6.jar", ("-mapper", "cat")), "streaming"),
        (command("s3-dist-cp", "-mapper", "cat"), "s3_dist_cp"),
        (Step("/usr/share/aws/emr/s3-dist-cp/lib/s3-dist-cp.jar", ("-mapper", "cat")), "s3_dist_cp"),
        (Step("s3://us-east-1.elasticmapreduce/libs/s3distcp/1.latest/s3distcp.jar", ("-mapper", "cat")), "s3_dist_cp"),
    ],
)
def test_hadoops_tools_are_the_engines_own(step, tool):
    assert plan(step) == ToolCommand(tool, ("-mapper", "cat"))


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (command(), "command-runner.jar needs a command as its first argument, such as spark-submit."),
        (Step(SCRIPT_RUNNER), "script-runner.jar needs a script as its first argument, such as s3://bucket/script.sh."),
        (command("spark-submit", "--nonsense", "x.py"), "Unrecognized option: --nonsense"),
        (command("spark-submit", "--name"), "Missing argument for option '--name'."),
        (
            command("spark-submit", "--name", "x"),
            "Missing application resource: spark-submit needs a .py or .jar file after its options.",
        ),
        (command("spark-submit", "--conf", "spark.a", "x.py"), "Spark config without '=': spark.a"),
        (
            command("spark-submit", "--driver-memory", "much", "x.py"),
            "Not a memory size: 'much'. Write it as 512m or 4g.",
        ),
        (command("spark-sql"), "Nothing to run: give a script with -f or statements with -e; a step has no terminal."),
        (
            command("hive-script", "-f", "s3://b/x.q"),
            "hive-script needs its arguments after --args: --run-hive-script --args -f s3://bucket/script.q",
        ),
    ],
)
def test_a_command_that_cannot_be_is_refused_with_what_is_wrong(step, message):
    assert Refusal("Invalid arguments", message) == plan(step)
