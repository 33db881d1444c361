"""Real steps: Spark, Hadoop and shells, over small data."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pyarrow.dataset
import pytest

from local_emr.engine import Engine, Outcome, Step
from tests.support.endpoint import CACHE

CLEAN = """
    import sys
    from pyspark.sql import SparkSession
    source, target, *days = sys.argv[1:]
    spark = SparkSession.builder.config("spark.sql.sources.partitionOverwriteMode", "dynamic").getOrCreate()
    for day in days:
        rows = spark.read.csv(source, header=True, inferSchema=True).where(f"dt = '{day}'")
        rows.write.mode("overwrite").partitionBy("dt").parquet(target)
    print("wrote", spark.read.parquet(target).count())
"""


def test_spark_overwrites_one_partition_and_others_read_what_it_wrote(lab):
    script = lab.put("jobs/clean.py", CLEAN)
    source = lab.put("raw/flights.csv", "dt,flight,delay\n2013-01-15,1,5\n2013-01-15,2,7\n2013-01-16,3,9\n")
    days = ("2013-01-15", "2013-01-16", "2013-01-15")
    outcome = lab.run("spark-submit", "--deploy-mode", "cluster", script, source, "s3a://local-data/clean", *days)
    assert Outcome(succeeded=True, exit_code=0) == outcome
    table = pyarrow.dataset.dataset(lab.bucket / "clean", partitioning="hive", exclude_invalid_files=True).to_table()
    assert sorted(
        zip(table["dt"].to_pylist(), table["flight"].to_pylist(), table["delay"].to_pylist(), strict=True)
    ) == [
        ("2013-01-15", 1, 5),
        ("2013-01-15", 2, 7),
        ("2013-01-16", 3, 9),
    ]
    assert "wrote 3" in lab.log("stdout")
    assert "--deploy-mode cluster is dropped" in lab.log("controller")


def test_a_streaming_query_goes_on_from_its_checkpoint_in_s3(lab):
    script = lab.put(
        "jobs/stream.py",
        """
        from pyspark.sql import SparkSession
        spark = SparkSession.builder.getOrCreate()
        for name in ("one", "two"):
            spark.createDataFrame([(name,)], "name string").coalesce(1).write.mode("append").json("s3://local-data/lines")
            query = (
                spark.readStream.schema("name string").json("s3://local-data/lines").writeStream.format("parquet")
                .option("checkpointLocation", "s3://local-data/checkpoint").trigger(availableNow=True)
                .start("s3://local-data/streamed")
            )
            query.awaitTermination()
        print(sorted(row.name for row in spark.read.parquet("s3://local-data/streamed").collect()))
        """,
    )
    assert lab.run("spark-submit", script).succeeded
    assert "['one', 'two']" in lab.log("stdout")


def test_a_failing_python_job_is_named_by_its_exception(lab):
    script = lab.put("jobs/fail.py", "raise ValueError('only 3 rows for 2013-01-15')\n")
    expected = Outcome(
        succeeded=False, exit_code=1, reason="Unknown Error.", message="ValueError: only 3 rows for 2013-01-15"
    )
    assert expected == lab.run("spark-submit", script)
    assert (
        lab.log("controller")
        .splitlines()[0]
        .endswith("INFO startExec 'hadoop jar command-runner.jar spark-submit s3://local-data/jobs/fail.py'")
    )
    assert "WARN Step failed with exitCode 1" in lab.log("controller")


def test_a_missing_script_is_named(lab):
    outcome = lab.run("spark-submit", "s3://local-data/jobs/nobody-wrote-this.py")
    assert not outcome.succeeded
    assert (
        outcome.message
        == "java.io.FileNotFoundException: No such file or directory: s3://local-data/jobs/nobody-wrote-this.py"
    )


def test_hadoop_lists_a_bucket_and_keeps_files_in_the_clusters_hdfs(lab):
    source = lab.put("listed/one.txt", "1\n")
    assert lab.run("hadoop", "fs", "-ls", "s3://local-data/listed/").succeeded
    assert source in lab.log("stdout")
    assert lab.run("hdfs", "dfs", "-cp", source, "/copied.txt").succeeded
    assert (lab.cluster / "hdfs" / "copied.txt").read_text() == "1\n"


def test_a_shell_commands_exit_code_is_the_steps(lab):
    expected = Outcome(succeeded=False, exit_code=3, reason="Unknown Error.", message="Exit code 3: no input")
    assert expected == lab.run("bash", "-c", "echo no input >&2; exit 3")


def test_a_script_from_s3_is_run_with_its_arguments(lab):
    script = lab.put("jobs/hello.sh", "echo hello $1 from $AWS_ENDPOINT_URL\n")
    runner = "s3://us-east-1.elasticmapreduce/libs/script-runner/script-runner.jar"
    assert lab.run(script, "2013-01-15", jar=runner).succeeded
    assert lab.log("stdout") == "hello 2013-01-15 from http://127.0.0.1:9\n"


@pytest.mark.parametrize(
    ("jar", "args"),
    [
        ("s3://local-data/nobody.jar", ()),
        ("s3://us-east-1.elasticmapreduce/libs/script-runner/script-runner.jar", ("s3://local-data/nobody.jar",)),
    ],
)
def test_a_file_that_is_not_there_fails_the_step_by_name(lab, jar, args):
    expected = "No such file: s3://local-data/nobody.jar. Upload it, or correct the step."
    assert expected == lab.run(*args, jar=jar).message


def test_what_has_no_engine_fails_and_says_so_in_the_log(lab):
    outcome = lab.run("presto-cli", "--execute", "SELECT 1")
    assert (outcome.succeeded, outcome.exit_code) == (False, None)
    assert "presto-cli has no engine on this endpoint" in lab.log("controller")


def test_cancelling_a_spark_job_leaves_no_process(lab, eventually, running):
    script = lab.put(
        "jobs/sleep.py",
        """
        import pathlib, time
        from pyspark.sql import SparkSession
        spark = SparkSession.builder.getOrCreate()
        pathlib.Path("../started").touch()
        spark.sparkContext.parallelize([1]).map(lambda _: time.sleep(300)).collect()
        """,
    )
    step = lab.start("spark-submit", script)
    eventually((lab.folder / "started").exists, "the job has started")
    assert step.wait(0) is None
    step.cancel()
    outcome = step.wait()
    assert (outcome.succeeded, outcome.reason) == (False, "Cancelled")
    assert running(str(lab.folder)) == []
    assert not (lab.folder / "work").exists()


def test_a_killed_endpoint_leaves_no_process(lab_folder, engine, tmp_path, eventually, running):
    holder = textwrap.dedent(
        f"""
        import time
        from pathlib import Path
        from local_emr.engine import Engine, Step
        here = Path({str(tmp_path)!r})
        engine = Engine(Path({str(lab_folder)!r}), "http://127.0.0.1:9", cache=Path({str(CACHE)!r}))
        for name, args in {{
            "sql": ("spark-sql", "-e", "CREATE TABLE held (n INT); SELECT java_method('java.lang.Thread', 'sleep', 300000L)"),
            "shell": ("bash", "-c", "setsid sleep 300 & touch ../started; wait"),
        }}.items():
            engine.start(Step("command-runner.jar", args), folder=here / name, cluster=here / "cluster",
                         environment={{}}, spark_defaults={{}})
        time.sleep(300)
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", holder], env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "include")}
    )
    try:
        eventually((tmp_path / "shell" / "started").exists, "the shell step has started")
        eventually((tmp_path / "cluster" / "metastore_db").exists, "the metastore has started")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    eventually(lambda: running(str(tmp_path)) == [], "everything has ended")


def test_closing_ends_steps_and_refuses_new_ones(lab_folder, engine, tmp_path, eventually, running):
    closing = Engine(lab_folder, "http://127.0.0.1:9", cache=CACHE)
    place = {"folder": tmp_path / "s", "cluster": tmp_path / "cluster", "environment": {}, "spark_defaults": {}}
    step = closing.start(Step("command-runner.jar", ("bash", "-c", "touch ../started; sleep 300")), **place)
    eventually((tmp_path / "s" / "started").exists, "the step has started")
    closing.close()
    assert step.wait(0) is not None
    assert running(str(tmp_path)) == []
    with pytest.raises(RuntimeError, match="starts no more steps"):
        closing.start(Step("command-runner.jar", ("bash", "-c", "true")), **place)


def test_a_cancelled_streaming_step_leaves_no_program_behind(lab, eventually, running):
    source = lab.put("raw/lines.txt", "a\n")
    words = ("-input", source, "-output", "s3://local-data/never", "-mapper", "sleep 304.25")
    step = lab.start("hadoop-streaming", *words)
    eventually(lambda: "sleep 304.25" in running("sleep 304.25"), "the mapper runs")
    step.cancel()
    assert running("sleep 304.25") == []
    assert not (lab.bucket / "never").exists()
