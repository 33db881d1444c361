"""A small Spark job that loads the classes of usual ones, so that an archive of them can be made.

Run by spark-submit in a folder of its own: reads CSV, writes and reads Parquet, and does the same by Hive tables.
"""

import csv
from pathlib import Path

from pyspark.sql import SparkSession, Window, functions

HIVE = """
CREATE EXTERNAL TABLE lines (day STRING, carrier STRING, delay DOUBLE, flight INT)
  ROW FORMAT DELIMITED FIELDS TERMINATED BY ',' LOCATION 's3://training/lines' TBLPROPERTIES ('skip.header.line.count' = '1');
CREATE EXTERNAL TABLE delays (carrier STRING, delay DOUBLE, flights BIGINT)
  PARTITIONED BY (day STRING) STORED AS PARQUET LOCATION 's3://training/delays';
SET hive.exec.dynamic.partition.mode=nonstrict;
INSERT OVERWRITE TABLE delays PARTITION (day)
  SELECT carrier, avg(delay), count(*), day FROM lines WHERE delay IS NOT NULL GROUP BY carrier, day;
INSERT OVERWRITE TABLE delays PARTITION (day = '2013-01-03')
  SELECT carrier, round(avg(delay), 2), sum(CASE WHEN delay > 15 THEN 1 ELSE 0 END) FROM lines GROUP BY carrier;
ALTER TABLE delays ADD IF NOT EXISTS PARTITION (day = '2013-01-04');
MSCK REPAIR TABLE delays;
SHOW TABLES
"""


def main() -> None:
    """Exercise what jobs usually do, over a few hundred rows."""
    folder = Path("s3/training/lines").resolve()
    folder.mkdir(parents=True)
    with (folder / "lines.csv").open("w", newline="") as file:
        rows = [[f"2013-01-0{n % 2 + 1}", "ABC"[n % 3], n % 50 if n % 7 else "", n] for n in range(500)]
        csv.writer(file).writerows([["day", "carrier", "delay", "flight"], *rows])

    spark = (
        SparkSession.builder.enableHiveSupport()
        .config("spark.sql.sources.partitionOverwriteMode", "dynamic")
        .getOrCreate()
    )
    lines = spark.read.csv("s3://training/lines/", header=True, inferSchema=True)
    clean = (
        lines.where("delay IS NOT NULL")
        .withColumn("late", functions.col("delay") > functions.lit(15))
        .withColumn("at", functions.to_timestamp(functions.concat_ws(" ", "day", functions.lit("05:15:00"))))
        .withColumn("rank", functions.row_number().over(Window.partitionBy("carrier").orderBy("flight")))
        .dropDuplicates(["flight"])
    )
    clean.repartition("day").write.mode("overwrite").partitionBy("day").parquet("s3://training/clean")
    written = spark.read.parquet("s3://training/clean")
    totals = written.groupBy("carrier").agg(
        functions.avg("delay"), functions.count("*"), functions.countDistinct("flight"), functions.max("at")
    )
    totals.join(written.select("carrier").distinct(), "carrier").orderBy("carrier").show()
    written.select(functions.sum(functions.col("late").cast("int"))).collect()
    spark.createDataFrame([("A", 1)], ["carrier", "n"]).write.mode("overwrite").json("s3://training/json")
    spark.read.json("s3://training/json").toPandas()
    for statement in HIVE.split(";"):
        spark.sql(statement).collect()
    spark.stop()


if __name__ == "__main__":
    main()
