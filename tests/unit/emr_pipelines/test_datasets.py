"""Datasets, the addresses of their partitions and versions, and the jobs that stage them."""

from __future__ import annotations

import string
from types import SimpleNamespace

import pendulum
import pytest
from airflow.sdk import DAG
from hypothesis import given
from hypothesis import strategies as st

from emr_pipelines import STAGED, VERSION, CommandJob, Dataset, EmrJobOperator, EmrPipeline, HiveJob, SparkJob
from emr_pipelines.datasets import Partition, Staged, filled, staged
from emr_pipelines.errors import ConfigurationError, NotStagedError
from tests.unit.emr_pipelines.test_pipeline import include

__all__ = ["include"]

FLIGHTS = Dataset("flights", "s3://data/flights/")


@pytest.fixture(autouse=True)
def dag():
    with DAG("d", schedule=None, start_date=pendulum.datetime(2013, 1, 1)) as dag:
        yield dag


def job(*args):
    return SparkJob(script="jobs/a.py", args=args)


# Names


@pytest.mark.parametrize("name", ["flights", "F", "flights.daily-2_3", "a" * 63])
def test_names_that_assets_and_keys_take_are_taken(name):
    assert Dataset(name, "s3://data/x/").asset.name == name


@pytest.mark.parametrize("name", ["", "a b", "1st", "flights/daily", "{{ name }}", "a" * 64, "self", "context", "é"])
def test_other_names_are_refused(name):
    with pytest.raises(ConfigurationError, match="is no name of a dataset: use at most 63"):
        Dataset(name, "s3://data/x/")


@pytest.mark.parametrize("address", ["s3://data/", "s3://data/flights/", "s3://my-data.eu/a/b_c/D=1/"])
def test_the_folder_of_a_dataset_is_an_address_with_a_slash_at_the_end(address):
    assert Dataset("x", address).partition("1").address == f"{address}dt=1/"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "s3://data",
        "s3://data/flights",
        "s3://data//flights/",
        "s3://Data/flights/",
        "s3://data/{{ ds }}/",
        "s3://data/my flights/",
        "s3a://data/flights/",
        "hdfs:///flights/",
        "/flights/",
    ],
)
def test_other_addresses_are_refused(address):
    with pytest.raises(
        ConfigurationError, match="is no address of a folder: write s3://<bucket>/<prefix>/ with a slash"
    ):
        Dataset("x", address)


@pytest.mark.parametrize("column", ["", "version", "Day", "a b", "dt=", "1"])
def test_a_column_that_no_partition_can_be_named_by_is_refused(column):
    with pytest.raises(ConfigurationError, match="is no column to partition by"):
        Dataset("x", "s3://data/x/", partitioned_by=column)


@pytest.mark.parametrize("table", ["", "Flights", "a.b", "a-b"])
def test_a_table_that_a_catalogue_would_not_name_so_is_refused(table):
    with pytest.raises(ConfigurationError, match="is no name of a table"):
        Dataset("x", "s3://data/x/", table=table)


@pytest.mark.parametrize("value", ["", " ", "None", "\n"])
def test_a_partition_whose_value_renders_to_nothing_is_refused(value):
    with pytest.raises(
        ConfigurationError, match=r"The partition of dataset 'flights' renders to .*: what its template"
    ):
        FLIGHTS.partition(value)


def test_a_partition_is_named_by_a_text():
    with pytest.raises(ConfigurationError, match="is named by a text, and not by 20130115"):
        FLIGHTS.partition(20130115)


# Addresses


def test_a_version_lies_in_the_folder_of_its_partition_and_is_named_by_a_key():
    assert FLIGHTS.partition("2013-01-15").staged("0123456789abcdef") == Staged(
        dataset="flights",
        address="s3://data/flights/",
        partition="2013-01-15",
        version="0123456789abcdef",
        location="s3://data/flights/dt=2013-01-15/version=0123456789abcdef/",
    )


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("2013-01-15", "dt=2013-01-15"),
        ("2013-01-15 06:00:00", "dt=2013-01-15 06%3A00%3A00"),
        ("a/b", "dt=a%2Fb"),
        ("50%", "dt=50%25"),
        ("[x]{y}^z", "dt=%5Bx%5D%7By%7D%5Ez"),
        ("tab\there", "dt=tab%09here"),
        ("Zürich, ~", "dt=Zürich, ~"),
        ("..", "dt=.."),
    ],
)
def test_characters_unfit_for_a_path_are_encoded_as_hive_and_spark_do_it(value, name):
    assert FLIGHTS.partition(value).name == name


@given(st.text(min_size=1).filter(lambda value: value.strip() not in ("", "None")))
def test_every_value_has_one_folder_and_is_read_back_from_its_name(value):
    partition = FLIGHTS.partition(value)
    assert partition.address.count("/") == "s3://data/flights/dt=x/".count("/")
    assert Partition.from_name(FLIGHTS, partition.name) == partition


@given(st.sampled_from(string.printable))
def test_letters_and_digits_are_never_encoded(character):
    assert not character.isalnum() or FLIGHTS.partition(character).name == f"dt={character}"


# What a job's texts become


def test_placeholders_are_filled_wherever_they_stand():
    version = FLIGHTS.partition("1").staged("ff")
    texts = {"args": ["--to", STAGED, f"to={STAGED}x"], "conf": {"name": f"t_{VERSION}"}, "none": None, "flag": True}
    assert filled(texts, version.words) == {
        "args": ["--to", "s3://data/flights/dt=1/version=ff/", "to=s3://data/flights/dt=1/version=ff/x"],
        "conf": {"name": "t_ff"},
        "none": None,
        "flag": True,
    }


# What tasks are refused


@pytest.mark.parametrize(
    "said",
    [
        job("--destination", STAGED),
        job(f"destination={STAGED}"),
        HiveJob(script="jobs/a.py", variables={"destination": STAGED, "version": VERSION}),
        CommandJob(command=("hadoop", "fs", "-cp", "s3://a/b", STAGED)),
    ],
    ids=lambda said: said.kind,
)
def test_a_job_says_anywhere_where_it_writes(said):
    with EmrPipeline("emr"):
        task = EmrJobOperator(task_id="clean", job=said, stages=FLIGHTS.partition("{{ ds }}"))
    assert task.partition == "{{ ds }}"


@pytest.mark.parametrize("placeholder", [STAGED, VERSION])
def test_a_placeholder_without_a_partition_is_refused(placeholder):
    with EmrPipeline("emr"), pytest.raises(ConfigurationError, match=r"'emr.clean': its job names STAGED or VERSION"):
        EmrJobOperator(task_id="clean", job=job("--destination", placeholder))


def test_a_partition_that_no_placeholder_is_for_is_refused():
    with (
        EmrPipeline("emr"),
        pytest.raises(ConfigurationError, match=r"its job does not say where it writes. Put STAGED"),
    ):
        EmrJobOperator(task_id="clean", job=job("--destination", "s3://x/"), stages=FLIGHTS.partition("1"))


def test_a_mapped_task_stages_nothing():
    with (
        EmrPipeline("emr"),
        pytest.raises(ConfigurationError, match=r"Task 'clean' is mapped, and each of its job runs"),
    ):
        EmrJobOperator.partial(task_id="clean", stages=FLIGHTS.partition("1")).expand(job=[job(STAGED)])


def test_a_mapped_task_that_stages_nothing_is_what_it_was():
    with EmrPipeline("emr"):
        mapped = EmrJobOperator.partial(task_id="each").expand(job=[job("1"), job("2")])
    assert mapped.task_id == "emr.each"


def test_what_stages_nothing_has_nothing_to_name():
    with EmrPipeline("emr"):
        task = EmrJobOperator(task_id="clean", job=job())
    with pytest.raises(ConfigurationError, match=r"Task 'emr.clean' stages nothing: give it stages="):
        _ = task.staged


# What later tasks are told


def instance(**told):
    return SimpleNamespace(xcom_pull=lambda task_ids, key: told.get(f"{task_ids}/{key}"))


def test_a_task_in_a_group_is_named_by_its_whole_id():
    with EmrPipeline("emr"):
        task = EmrJobOperator(task_id="clean", job=job(STAGED), stages=FLIGHTS.partition("1"))
    assert task.staged == "{{ macros.emr_pipelines.staged(ti, 'emr.clean') }}"


def test_a_later_task_is_given_the_folder():
    ti = instance(**{"emr.clean/staged": vars(FLIGHTS.partition("1").staged("ff"))})
    assert staged(ti, "emr.clean") == "s3://data/flights/dt=1/version=ff/"


def test_a_later_task_is_told_what_is_missing():
    with pytest.raises(
        NotStagedError, match=r"^Task 'emr.clean' has staged nothing in this run. Put it before this task"
    ):
        staged(instance(), "emr.clean")
