"""Settings that name what a cluster has and this machine has not: left out and said, so that other jobs run."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from local_emr.emr.configurations import notes_of
from local_emr.engine.absent import files_here, present
from local_emr.engine.options import adapt

SECTIONS = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension,com.example.Mine",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.catalog.iceberg": "org.apache.iceberg.spark.SparkCatalog",
    "spark.sql.catalog.iceberg.warehouse": "s3://data/iceberg/",
    "spark.hadoop.hive.metastore.uris": "thrift://metastore.internal:9083",
    "spark.hadoop.hive.metastore.client.factory.class": "com.amazonaws.glue.catalog.metastore.Factory",
    "spark.hadoop.javax.jdo.option.ConnectionURL": "jdbc:mysql://db.internal:3306/hive",
    "spark.hadoop.EMR.secret@some.password": "arn:aws:secretsmanager:us-east-1:123456789012:secret:x",
    "spark.hadoop.some.token": "EMR.secret@x",
}


def test_what_names_another_machines_things_is_left_out_and_said():
    kept, notes = present({**SECTIONS, "spark.sql.adaptive.enabled": "true"})
    assert kept == {"spark.sql.extensions": "com.example.Mine", "spark.sql.adaptive.enabled": "true"}
    assert sorted(note.partition(" is dropped: ")[0] for note in notes) == sorted(
        ["Extension io.delta.sql.DeltaSparkSessionExtension", *(name for name in SECTIONS if "extensions" not in name)]
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"spark.sql.catalog.mine": "com.example.Catalog", "spark.sql.catalog.mine.uri": "http://x"},
        {"spark.sql.warehouse.dir": "s3://data/warehouse/"},
        {"spark.jars.packages": "io.delta:delta-spark_2.12:3.2.0"},
        {"spark.hadoop.hive.exec.dynamic.partition.mode": "nonstrict"},
    ],
)
def test_what_means_something_here_stays(settings):
    assert present(settings) == (settings, ())


def test_files_of_emrs_images_are_left_out_of_a_list():
    files = "local:///usr/share/aws/delta/lib/delta-spark.jar,s3://code/a.jar,/usr/lib/hudi/hudi-spark-bundle.jar"
    here, notes = files_here(files)
    assert here == "s3://code/a.jar"
    assert len(notes) == 2


@pytest.mark.parametrize("option", [("--jars",), ("--conf", "spark.jars=")])
def test_jars_of_emrs_images_are_left_out_however_they_are_named(option):
    *name, start = option
    bundle = "/usr/lib/hudi/hudi-spark-bundle.jar"
    of_both = adapt([(name[0] if name else start, f"{start if name else ''}{bundle},s3://code/a.jar")])
    of_one = adapt([(name[0] if name else start, f"{start if name else ''}{bundle}")])
    said = of_both.settings.get("spark.jars") or of_both.arguments[1]
    assert (said, of_one.settings, of_one.arguments) == ("s3://code/a.jar", {}, ())
    assert of_one.notes == (f"File {bundle} is dropped: EMR's images have it, and this machine has not",)


def test_a_cluster_says_which_classifications_nothing_reads():
    def cluster(*names):
        return SimpleNamespace(request={"Configurations": [{"Classification": name} for name in names]})

    assert notes_of(cluster("spark-defaults", "hive-site")) == ()
    assert notes_of(cluster("spark-defaults", "mapred-site", "hdfs-site")) == (
        "Nothing on this machine reads classification hdfs-site, mapred-site",
    )
