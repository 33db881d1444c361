"""Real Hive scripts: tables live as long as the cluster and are shared by steps that run at once."""

from __future__ import annotations

import pyarrow.dataset

from local_emr.engine import Step

DELAYS = """
    CREATE DATABASE IF NOT EXISTS air;
    CREATE EXTERNAL TABLE IF NOT EXISTS air.delays (carrier STRING, delay DOUBLE)
      PARTITIONED BY (dt STRING) STORED AS PARQUET LOCATION '${hivevar:out}';
    CREATE TEMPORARY VIEW flights AS SELECT * FROM VALUES
      ('2013-01-15', 'UA', 4), ('2013-01-15', 'UA', 8), ('2013-01-15', 'B6', 1), ('2013-01-16', 'UA', 9)
      AS rows (dt, carrier, delay);
    SET hive.exec.dynamic.partition.mode=nonstrict;
    INSERT OVERWRITE TABLE air.delays PARTITION (dt)
      SELECT carrier, avg(delay), dt FROM flights WHERE dt = '${dt}' GROUP BY carrier, dt;
"""


def hive_script(script: str, *variables: str) -> tuple[str, ...]:
    return (
        "hive-script",
        "--run-hive-script",
        "--args",
        "-f",
        script,
        "-hivevar",
        "out=s3://local-data/delays",
        *variables,
    )


def rows(folder) -> list[tuple[str, str, float]]:
    table = pyarrow.dataset.dataset(folder, partitioning="hive", exclude_invalid_files=True).to_table()
    return sorted(zip(*(table[name].to_pylist() for name in ("dt", "carrier", "delay")), strict=True))


SECTIONS = {
    "spark.sql.adaptive.advisoryPartitionSizeInBytes": "256MB",
    "spark.serializer": "org.apache.spark.serializer.KryoSerializer",
    "spark.executor.memory": "36g",
    "spark.hadoop.hive.execution.engine": "tez",
    "spark.hadoop.hive.vectorized.execution.enabled": "true",
    "spark.hadoop.hive.metastore.uris": "thrift://metastore.internal:9083",
    "spark.hadoop.javax.jdo.option.ConnectionURL": "jdbc:mysql://db.internal:3306/hive",
    "spark.hadoop.EMR.secret@javax.jdo.option.ConnectionPassword": "arn:aws:secretsmanager:us-east-1:123456789012:secret:x",
    "spark.jars": "/usr/share/aws/delta/lib/delta-spark.jar",
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}
"""What the sections of a profile become: some of it means something here, the rest would break the job."""


def test_two_steps_at_once_write_partitions_of_one_table_and_a_third_reads_them_under_all_sections(lab, tmp_path):
    script = lab.put("hive/delays.hql", DELAYS)
    days = ("2013-01-15", "2013-01-16")
    steps = [
        lab.engine.start(
            Step("command-runner.jar", hive_script(script, "-d", f"dt={day}")),
            folder=tmp_path / day,
            cluster=lab.cluster,
            environment={},
            spark_defaults={},
        )
        for day in days
    ]
    assert [(outcome.succeeded, outcome.exit_code) for outcome in (s.wait(150) for s in steps)] == [
        (True, 0),
        (True, 0),
    ]
    assert rows(lab.bucket / "delays") == [
        ("2013-01-15", "B6", 1.0),
        ("2013-01-15", "UA", 6.0),
        ("2013-01-16", "UA", 9.0),
    ]

    reader = lab.put(
        "jobs/read.py",
        """
        from pyspark.sql import SparkSession
        spark = SparkSession.builder.enableHiveSupport().getOrCreate()
        print("partitions", spark.sql("SHOW PARTITIONS air.delays").count())
        print([spark.conf.get(name) for name in ("spark.sql.adaptive.advisoryPartitionSizeInBytes", "spark.serializer")])
        """,
    )
    note = "Nothing on this machine reads classification hdfs-site"
    outcome = lab.start_step(Step("command-runner.jar", ("spark-submit", reader), notes=(note,)), SECTIONS).wait(150)
    assert outcome is not None
    assert outcome.succeeded
    assert "partitions 2\n['256MB', 'org.apache.spark.serializer.KryoSerializer']" in lab.log("stdout")
    assert f"INFO {note}" in lab.log("controller")
    assert "spark.sql.catalog.spark_catalog is dropped" in lab.log("controller")


def test_an_overwritten_dynamic_partition_leaves_the_others(lab):
    script = lab.put(
        "hive/dynamic.hql",
        """
        SET hive.exec.dynamic.partition.mode=nonstrict;
        CREATE TABLE months (n INT) PARTITIONED BY (month INT) STORED AS PARQUET LOCATION 's3://local-data/months';
        INSERT OVERWRITE TABLE months PARTITION (month) VALUES (1, 1), (2, 2);
        INSERT OVERWRITE TABLE months PARTITION (month) VALUES (3, 1);
        """,
    )
    assert lab.run("hive", "-f", script).succeeded
    table = pyarrow.dataset.dataset(lab.bucket / "months", partitioning="hive", exclude_invalid_files=True).to_table()
    assert sorted(zip(table["month"].to_pylist(), table["n"].to_pylist(), strict=True)) == [(1, 3), (2, 2)]


def test_a_statement_that_fails_is_named_and_ends_the_script(lab):
    outcome = lab.run("spark-sql", "-e", "SELECT * FROM nobody_made_this; CREATE DATABASE never_made")
    assert outcome.exit_code == 1
    assert outcome.message.startswith("[TABLE_OR_VIEW_NOT_FOUND] The table or view `nobody_made_this` cannot be found.")
    assert not (lab.cluster / "hdfs" / "user" / "hive" / "warehouse" / "never_made.db").exists()


def test_tables_without_a_location_are_made_filled_and_read(lab):
    script = lab.put(
        "hive/managed.hql",
        """
        CREATE TABLE carriers AS SELECT 'UA' AS carrier, 1 AS flights;
        INSERT INTO carriers VALUES ('B6', 2);
        CREATE TABLE days (carrier STRING) PARTITIONED BY (dt STRING) LOCATION 'hdfs:///data/days';
        INSERT OVERWRITE TABLE days PARTITION (dt = '2013-01-15') SELECT carrier FROM carriers;
        SELECT concat('seen ', carrier, ' ', flights) FROM carriers ORDER BY carrier;
        SELECT concat('seen ', dt, ' ', count(*)) FROM days GROUP BY dt;
        """,
    )
    assert lab.run(*hive_script(script)).succeeded
    assert [line for line in lab.log("stdout").splitlines() if "seen" in line] == [
        "seen B6 2",
        "seen UA 1",
        "seen 2013-01-15 2",
    ]
