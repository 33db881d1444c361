"""Command lines, environment and settings of jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from local_emr.engine.java import Java
from local_emr.engine.launching import Place, job_environment, launch, memory_limit_mb, properties_text
from local_emr.engine.options import SparkOptions
from local_emr.engine.planning import JavaCommand, ShellCommand, SparkCommand


@pytest.fixture
def place(tmp_path) -> Place:
    (tmp_path / "work").mkdir()
    return Place(
        work=tmp_path / "work",
        hdfs=tmp_path / "hdfs",
        s3=tmp_path / "s3",
        events=tmp_path / "events",
        endpoint_url="http://127.0.0.1:4620",
        metastore_uri="thrift://127.0.0.1:4621",
    )


@pytest.fixture
def java(tmp_path) -> Java:
    return Java((Path("/a.jar"), Path("/b.jar")), None, tmp_path / "s3")


def after(option: str, arguments: list[str]) -> str:
    return arguments[arguments.index(option) + 1]


def test_a_jobs_own_setting_comes_after_the_clusters(java, place):
    command = SparkCommand(SparkOptions(settings={"spark.a": "job"}), ("x.py",))
    launched = launch(command, java, place, {}, {"spark.a": "cluster", "spark.b": "cluster"})
    defaults = Path(after("--properties-file", launched.arguments)).read_text().splitlines()
    assert "spark.a=cluster" in defaults
    assert "spark.b=cluster" in defaults
    assert after("--conf", launched.arguments) == "spark.a=job"


def test_a_cluster_may_change_what_the_endpoint_sets(java, place):
    launched = launch(SparkCommand(SparkOptions(), ("x.py",)), java, place, {}, {"spark.sql.shuffle.partitions": "3"})
    defaults = Path(after("--properties-file", launched.arguments)).read_text().splitlines()
    assert "spark.sql.shuffle.partitions=3" in defaults
    assert "spark.sql.shuffle.partitions=8" not in defaults


def test_a_job_with_a_properties_file_keeps_it(java, place):
    command = SparkCommand(SparkOptions(arguments=("--properties-file", "/mine.conf")), ("x.py",))
    launched = launch(command, java, place, {}, {})
    assert launched.arguments.count("--properties-file") == 1
    assert after("--properties-file", launched.arguments) == "/mine.conf"


def test_memory_that_the_machine_has_not_is_cut_and_said(java, place):
    launched = launch(SparkCommand(SparkOptions(memory_mb=1 << 30), ("x.py",)), java, place, {}, {})
    assert f"-Xmx{memory_limit_mb()}m" in launched.arguments
    assert any("Driver memory" in note for note in launched.notes)


def test_a_driver_class_path_comes_after_sparks(java, place):
    launched = launch(SparkCommand(SparkOptions(classpath=("/mine.jar",)), ("x.py",)), java, place, {}, {})
    assert after("-cp", launched.arguments) == "/a.jar:/b.jar:/mine.jar"


def test_a_jar_in_s3_is_run_from_its_file(java, place):
    command = JavaCommand("org.apache.hadoop.util.RunJar", ("s3://b/x.jar", "s3://b/in"))
    assert launch(command, java, place, {}, {}).arguments[-2:] == [str(place.s3 / "b" / "x.jar"), "s3://b/in"]


def test_a_shell_command_is_run_as_it_is(java, place):
    assert launch(ShellCommand(("bash", "-c", "ls")), java, place, {}, {}).arguments == ["bash", "-c", "ls"]


def test_a_cluster_adds_variables(java, place):
    launched = launch(ShellCommand(("true",)), java, place, {"STAGE": "test"}, {})
    assert launched.environment["STAGE"] == "test"


def test_a_job_sees_the_endpoint_and_none_of_its_holders_secrets(monkeypatch):
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    environment = job_environment("http://127.0.0.1:4620")
    assert environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4620"
    assert "secret" not in "".join(environment.values())


def test_settings_survive_javas_reading_of_a_properties_file():
    assert properties_text({"a": "b\\c\nd", "e": "f=g"}) == "a=b\\\\c\\nd\ne=f=g\n"
