"""Cleans the flights of one day: raw CSV in, typed Parquet out.

    spark-submit clean.py --source s3://b/raw/flights/ --destination s3://b/flights/dt=2013-01-15/ --date 2013-01-15

Reads ``<source>/dt=<date>/`` and writes the folder ``<destination>``, replacing all that was in it, so a rerun gives the
same answer. The source is nycflights13, in which NA stands for no value; its columns are described at
https://nycflights13.tidyverse.org/reference/flights.html

- A flight without a departure time was cancelled and is left out.
- Times become UTC timestamps. The source gives the scheduled hour in UTC; the departure is that plus the delay.
- A diverted flight has no arrival delay and no air time; it stays, with NULL there.
- Any other value that is missing or unreadable fails the job, and so does a row of another day. An empty day does, too.

Plain pyspark 3.3 or later and Python 3.9: this file runs alone on any EMR release from 6.10 on.
"""

import argparse
from datetime import date
from typing import List, Tuple

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  # the name that Spark's own guide gives it
from pyspark.sql.types import StringType, StructField, StructType

NUMBERS = (
    "year",
    "month",
    "day",
    "dep_time",
    "sched_dep_time",
    "dep_delay",
    "arr_time",
    "sched_arr_time",
    "arr_delay",
    "flight",
    "air_time",
    "distance",
    "hour",
    "minute",
)
REQUIRED = (
    "year",
    "month",
    "day",
    "sched_dep_time",
    "carrier",
    "flight",
    "origin",
    "dest",
    "distance",
    "hour",
    "minute",
)
COLUMNS = (
    "year",
    "month",
    "day",
    "dep_time",
    "sched_dep_time",
    "dep_delay",
    "arr_time",
    "sched_arr_time",
    "arr_delay",
    "carrier",
    "flight",
    "tailnum",
    "origin",
    "dest",
    "air_time",
    "distance",
    "hour",
    "minute",
    "time_hour",
)
BAD = "_bad"
RAW = StructType([StructField(name, StringType()) for name in (*COLUMNS, BAD)])


def main() -> None:
    """Read, check, clean and write one day."""
    arguments = parse_arguments()
    spark = (
        SparkSession.builder.appName(f"clean flights {arguments.date}")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.ansi.enabled", "false")
        # with pruning, a row that is too long or too short passes unseen
        .config("spark.sql.csv.parser.columnPruning.enabled", "false")
        .getOrCreate()
    )
    source = f"{arguments.source.rstrip('/')}/dt={arguments.date}/"
    raw = read_raw(spark, source)
    rows_in, rows_out = refuse_bad_rows(raw, source, arguments.date)
    cleaned = clean(raw)
    write = cleaned.coalesce(1).sortWithinPartitions("scheduled_departure", "carrier", "flight", "origin").write
    write.mode("overwrite").parquet(arguments.destination)
    print(f"rows in: {rows_in}, rows out: {rows_out}, cancelled: {rows_in - rows_out}")
    spark.stop()


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", required=True, help="folder of the raw days")
    parser.add_argument("--destination", required=True, help="folder to replace, of this day alone")
    parser.add_argument("--date", required=True, type=date.fromisoformat, help="the day, such as 2013-01-15")
    return parser.parse_args()


def read_raw(spark: SparkSession, source: str) -> DataFrame:
    """Read the raw rows as text, NA as NULL; a row of another width is kept whole in one column, to be told."""
    path = spark._jvm.org.apache.hadoop.fs.Path(source)  # noqa: SLF001  # Hadoop is reached through the JVM only
    if not path.getFileSystem(spark._jsc.hadoopConfiguration()).exists(path):  # noqa: SLF001  # likewise
        raise FileNotFoundError(f"There are no raw flights at {source}; land that day first")
    return spark.read.csv(
        source,
        schema=RAW,
        header=True,
        enforceSchema=False,
        nullValue="NA",
        mode="PERMISSIVE",
        columnNameOfCorruptRecord=BAD,
    )


def refuse_bad_rows(raw: DataFrame, source: str, day: date) -> Tuple[int, int]:
    """Count the rows and those that departed; fail when there is none, or when one cannot be read as a flight of this day."""
    fault = fault_of(day)
    counts = raw.agg(
        F.count(F.lit(1)).alias("rows"), F.count("dep_time").alias("departed"), F.count(fault).alias("bad")
    ).first()
    if not counts["rows"]:
        raise ValueError(f"The raw flights at {source} hold no row; land that day again")
    if counts["bad"]:
        sample = raw.withColumn("_fault", fault).filter("_fault IS NOT NULL").first()
        row = sample[BAD] or ",".join("NA" if sample[name] is None else sample[name] for name in COLUMNS)
        raise ValueError(
            f"{counts['bad']} of {counts['rows']} rows at {source} are malformed: {sample['_fault']} in {row}"
        )
    return counts["rows"], counts["departed"]


def fault_of(day: date) -> Column:
    """Say what is wrong with a row; NULL when nothing is."""
    faults = [F.when(F.col(BAD).isNotNull(), "another number of columns")]
    faults += [F.when(F.col(name).isNull(), f"no {name}") for name in (*REQUIRED, "time_hour")]
    faults += [
        F.when(F.col(name).isNotNull() & ~F.col(name).rlike(r"\A-?\d{1,9}\z"), f"{name} is no whole number")
        for name in NUMBERS
    ]
    faults.append(F.when(F.to_timestamp("time_hour").isNull(), "time_hour is no time"))
    faults.append(F.when(F.col("dep_time").isNotNull() & F.col("dep_delay").isNull(), "departed, but no dep_delay"))
    faults.append(F.when(F.make_date(*number("year", "month", "day")) != F.lit(day), "a flight of another day"))
    return F.coalesce(*faults)


def clean(raw: DataFrame) -> DataFrame:
    """Turn the raw rows into typed flights that departed."""
    scheduled = F.timestamp_seconds(F.to_timestamp("time_hour").cast("long") + F.col("minute").cast("long") * 60)
    departed = F.timestamp_seconds(scheduled.cast("long") + F.col("dep_delay").cast("long") * 60)
    return raw.filter(F.col("dep_time").isNotNull()).select(
        "carrier",
        F.col("flight").cast("int"),
        "tailnum",
        "origin",
        "dest",
        F.concat_ws("-", "origin", "dest").alias("route"),
        scheduled.alias("scheduled_departure"),
        departed.alias("departure"),
        F.col("dep_delay").cast("int").alias("departure_delay"),
        F.col("arr_delay").cast("int").alias("arrival_delay"),
        F.col("air_time").cast("int"),
        F.col("distance").cast("int"),
    )


def number(*names: str) -> List[Column]:
    """Read text columns as whole numbers."""
    return [F.col(name).cast("int") for name in names]


if __name__ == "__main__":
    main()
