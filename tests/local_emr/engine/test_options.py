"""What becomes of Spark's options on one machine."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from local_emr.engine.options import adapt, memory_megabytes, split_options


def adapted(*arguments: str):
    options, _ = split_options([*arguments, "x.py"], mixed=False)
    return adapt(options)


@pytest.mark.parametrize(
    "option",
    [
        ("--master", "yarn"),
        ("--deploy-mode", "cluster"),
        ("--num-executors", "4"),
        ("--executor-memory", "8g"),
        ("--queue", "default"),
        ("--conf", "spark.executor.memory=8g"),
        ("--conf", "spark.dynamicAllocation.enabled=true"),
        ("--conf", "spark.yarn.maxAppAttempts=1"),
        ("--conf", "spark.kubernetes.namespace=jobs"),
        ("--conf", "spark.hadoop.fs.s3.impl=com.amazon.ws.emr.hadoop.fs.EmrFileSystem"),
        ("--conf", "spark.hadoop.fs.s3a.endpoint=s3.amazonaws.com"),
        ("--supervise",),
    ],
)
def test_what_speaks_of_a_cluster_is_dropped_and_said(option):
    result = adapted(*option)
    assert result.arguments == ()
    assert result.settings == {}
    assert len(result.notes) == 1
    assert option[-1].split("=")[0] in result.notes[0]


def test_what_means_the_same_here_is_kept_without_a_word():
    result = adapted(
        "--name", "clean", "--py-files", "s3://b/a.zip", "--verbose", "--conf", "spark.sql.shuffle.partitions=4"
    )
    assert result.arguments == ("--name", "clean", "--py-files", "s3://b/a.zip", "--verbose")
    assert result.settings == {"spark.sql.shuffle.partitions": "4"}
    assert result.notes == ()


@pytest.mark.parametrize(
    "name",
    [
        "spark.executorEnv.STAGE",
        "spark.yarn.appMasterEnv.STAGE",
        "spark.kubernetes.driverEnv.STAGE",
        "spark.emr-serverless.driverEnv.STAGE",
    ],
)
def test_a_variable_of_the_driver_or_executors_is_one_of_the_job(name):
    assert adapted("--conf", f"{name}=test").environment == {"STAGE": "test"}


def test_another_machines_python_is_not_looked_for_here():
    result = adapted("--conf", "spark.yarn.appMasterEnv.PYSPARK_PYTHON=./environment/bin/python")
    assert result.environment == {}
    assert "PYSPARK_PYTHON" in result.notes[0]


def test_the_drivers_java_options_keep_properties_and_lose_flags_of_the_machine():
    result = adapted("--driver-java-options", "-Da=b -XX:+UseG1GC '-Dc=d e'")
    assert result.java_options == ("-Da=b", "-Dc=d e")
    assert len(result.notes) == 1
    assert "-XX:+UseG1GC" in result.notes[0]


def test_a_value_may_hold_an_equals_sign():
    assert adapted("--conf=spark.a=b=c").settings == {"spark.a": "b=c"}


@pytest.mark.parametrize(
    ("size", "expected"),
    [("512m", 512), ("4g", 4096), ("2GB", 2048), ("1t", 1 << 20), ("2048", 2048), ("1048576k", 1024)],
)
def test_memory_sizes_are_sparks(size, expected):
    assert expected == memory_megabytes(size)


@given(some.lists(some.sampled_from(["--name", "--conf", "a=b", "--verbose", "x.py", "-e", "SELECT 1"])))
def test_arguments_after_the_program_are_never_touched(own):
    _, rest = split_options(["--name", "n", "program.py", *own], mixed=False)
    assert rest == ["program.py", *own]
