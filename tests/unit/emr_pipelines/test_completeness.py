"""Which partitions of a dataset are published, which are missing, and what is told of them."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace

import pandas as pd
import pytest
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.execution_time import macros
from hypothesis import given
from hypothesis import strategies as st

from emr_pipelines import completeness
from emr_pipelines.completeness import Found, PartitionsCheckOperator, Span, expected_partitions, spans, trouble_of
from emr_pipelines.datasets import Dataset
from emr_pipelines.errors import ConfigurationError, DataError
from emr_pipelines.manifests import Manifest, write_manifest
from emr_pipelines.targets.base import Clients
from local_emr.endpoint import running
from tests.local_emr.conftest import client_of
from tests.local_emr.scripted import ManualClock, ScriptedEngine
from tests.support.endpoint import ROOT

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
NOON = datetime(2013, 2, 1, 12, tzinfo=UTC)
DATES = st.dates(date(2000, 1, 1), date(2050, 1, 1))


# What is expected


@given(DATES, st.integers(0, 800), st.integers(1, 40))
def test_days_are_expected_as_pandas_counts_them(first, days, step):
    last = first + timedelta(days=days)
    expected = [f"{day:%Y-%m-%d}" for day in pd.date_range(first, last, freq=f"{step}D")]
    assert expected_partitions(first.isoformat(), last.isoformat(), timedelta(days=step)) == expected


@pytest.mark.parametrize(
    ("first", "last", "every", "expected"),
    [
        ("2013-12-31", "2014-01-01", DAY, ["2013-12-31", "2014-01-01"]),
        ("20121231", "20130101", DAY, ["20121231", "20130101"]),
        ("2013-01-01T22", "2013-01-02T01", HOUR, ["2013-01-01T22", "2013-01-01T23", "2013-01-02T00", "2013-01-02T01"]),
        ("2013-01-01T23:30", "2013-01-02T00:29", HOUR / 2, ["2013-01-01T23:30", "2013-01-02T00:00"]),
        ("2013-01-01 23:00:00", "2013-01-02 05:00:00", HOUR * 6, ["2013-01-01 23:00:00", "2013-01-02 05:00:00"]),
        ("2013-01-15", "2013-01-15", DAY, ["2013-01-15"]),
        (None, None, ["EWR", "JFK", "EWR"], ["EWR", "JFK"]),
        ("2013-01-03", "2013-01-08", ["2013-01-02", "2013-01-08", "2013-01-03"], ["2013-01-03", "2013-01-08"]),
        ("9", None, ["10", "9", "8"], ["9", "10"]),
    ],
)
def test_partitions_are_expected_from_the_first_to_the_last_in_the_form_of_the_first(first, last, every, expected):
    assert expected_partitions(first, last, every) == expected


BAD = [
    (
        "2013-01-02",
        "2013-01-01",
        DAY,
        "No partition is expected from 2013-01-02 to 2013-01-01: first= comes before last=",
    ),
    ("yesterday", "2013-01-01", DAY, "'yesterday' is no time that partitions are named by: write such as 2013-01-15"),
    ("2013-1-5", "2013-01-09", DAY, "'2013-1-5' is no time"),
    ("2013-02-30", "2013-03-01", DAY, "'2013-02-30' is no time"),
    ("", "", DAY, "'' is no time"),
    ("None", "None", DAY, "'None' is no time"),
    ("2013-01-01T00:00:00+00:00", "2013-01-02T00:00:00+00:00", DAY, "is no time .* as {{ data_interval_start"),
    ("2013-01-01", "20130102", DAY, "'20130102' is written otherwise than '2013-01-01'"),
    ("2013-01-01", "garbage", DAY, "'garbage' is written otherwise"),
    ("2013-01-01", "2013-01-03", HOUR, "every=1:00:00 falls between partitions that are written as 2013-01-01"),
    ("2013-01-01", "2013-01-09", HOUR * 36, "falls between partitions"),
    ("2013-01-01", "2013-01-03", timedelta(), "every= is the time from one partition to the next, and it is 0:00:00"),
    ("2013-01-01", "2013-01-03", -DAY, "every= is the time"),
    ("0001-01-01", "9999-12-31", DAY, "'0001-01-01' is no time|More than 100000 partitions are expected"),
    ("2013-01-01", None, DAY, "first= and last= say from when to when"),
    ("2014-01-01", None, ["2013-01-01"], "No partition is expected from 2014-01-01 to None"),
    (None, None, [], "No partition is expected"),
    (None, None, "daily", "every= is a timedelta, or a list of partitions, and it is 'daily'"),
]


@pytest.mark.parametrize(("first", "last", "every", "said"), BAD)
def test_bounds_that_make_no_sense_are_refused_with_the_task_when_the_dag_is_parsed(first, last, every, said):
    with pytest.raises(ConfigurationError, match=f"Task 'complete': .*(?:{said})"):
        PartitionsCheckOperator(task_id="complete", dataset=FLIGHTS, first=first, last=last, every=every)


# What is missing

FLIGHTS = Dataset("flights", "s3://data/flights/")
JANUARY = [f"2013-01-{day:02}" for day in range(1, 11)]


def test_partitions_that_follow_one_another_are_told_as_one_range():
    published = set(JANUARY) - {"2013-01-03", "2013-01-04", "2013-01-05", "2013-01-09"}
    assert spans(JANUARY, published) == [
        Span("2013-01-01", "2013-01-02", 2, True),
        Span("2013-01-03", "2013-01-05", 3, False),
        Span("2013-01-06", "2013-01-08", 3, True),
        Span("2013-01-09", "2013-01-09", 1, False),
        Span("2013-01-10", "2013-01-10", 1, True),
    ]


@given(st.lists(st.integers(0, 60), unique=True, min_size=1).map(sorted), st.sets(st.integers(0, 60)))
def test_ranges_hold_every_partition_once_and_neighbours_differ(numbers, there):
    expected, published = [str(number) for number in numbers], {str(number) for number in there}
    found = spans(expected, published)
    assert sum(span.partitions for span in found) == len(expected)
    assert sum(span.partitions for span in found if span.published) == len(set(expected) & published)
    assert all(one.published != next_one.published for one, next_one in pairwise(found))
    assert (found[0].first, found[-1].last) == (expected[0], expected[-1])


def looked(missing=(), age=HOUR):
    newest = max(set(JANUARY) - set(missing), default=None)
    published_at = (NOON - age).isoformat() if newest else None
    return Found("flights", 10, list(missing), newest, published_at), spans(JANUARY, set(JANUARY) - set(missing))


def test_nothing_is_wrong_when_all_are_there_and_the_newest_is_fresh():
    assert trouble_of(*looked(), 0, HOUR, NOON) is None
    assert trouble_of(*looked(), 0, None, NOON) is None


def test_missing_days_are_named_as_ranges():
    trouble = trouble_of(*looked(["2013-01-03", "2013-01-04", "2013-01-05", "2013-01-09"]), 3, None, NOON)
    assert trouble == (
        "4 of 10 partitions of dataset 'flights' are not published: 2013-01-03 to 2013-01-05, 2013-01-09"
    )


def test_as_many_as_are_allowed_may_be_missing():
    assert trouble_of(*looked(["2013-01-03", "2013-01-09"]), 2, None, NOON) is None


def test_many_ranges_are_cut():
    days = [f"{day:%Y-%m-%d}" for day in pd.date_range("2013-01-01", "2013-03-01")]
    missing = days[::2]
    found = Found("flights", len(days), missing, days[-1])
    trouble = trouble_of(found, spans(days, set(days) - set(missing)), 0, None, NOON)
    assert trouble.endswith(f", {missing[19]} and {len(missing) - 20} more ranges")


@pytest.mark.parametrize(
    ("age", "within", "told"),
    [
        (timedelta(hours=26), DAY, "was published 26 hours ago, and fresh_within is 24 hours"),
        (timedelta(days=3, hours=12), 2 * DAY, "was published 3.5 days ago, and fresh_within is 2 days"),
        (timedelta(minutes=90), HOUR, "was published 90 minutes ago, and fresh_within is 60 minutes"),
        (timedelta(seconds=61), timedelta(seconds=60), "was published 61 seconds ago, and fresh_within is 60 seconds"),
    ],
)
def test_a_newest_partition_that_is_too_old_is_told_with_its_age(age, within, told):
    trouble = trouble_of(*looked(age=age), 0, within, NOON)
    assert trouble == f"the newest partition of dataset 'flights', 2013-01-10, {told}"


def test_missing_and_stale_are_both_told():
    trouble = trouble_of(*looked(["2013-01-10"], age=2 * DAY), 0, DAY, NOON)
    assert trouble == (
        "1 of 10 partitions of dataset 'flights' are not published: 2013-01-10; "
        "the newest partition of dataset 'flights', 2013-01-09, was published 2 days ago, and fresh_within is 24 hours"
    )


# The task


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with running(tmp_path_factory.mktemp("endpoint"), ScriptedEngine, clock=ManualClock()) as url:
        yield url


class Published:
    """A dataset in a bucket of the local endpoint, which the task reads."""

    def __init__(self, url):
        self.s3 = client_of(url, "s3")
        bucket = f"b-{uuid.uuid4().hex[:12]}"
        self.s3.create_bucket(Bucket=bucket)
        self.dataset = Dataset("flights", f"s3://{bucket}/flights/")
        self.calls, self.xcom = [], {}
        self.s3.meta.events.register("before-call.s3", lambda model, **_: self.calls.append(model.name))

    def publish(self, *days, at="2013-01-31T12:00:00+00:00"):
        for day in days:
            partition = self.dataset.partition(day)
            write_manifest(self.s3, partition, Manifest("flights", day, f"{partition.address}version=1/", at, {}))
        self.calls.clear()

    def check(self, **settings):
        operator = PartitionsCheckOperator(
            **{"task_id": "complete", "dataset": self.dataset, "first": "2013-01-01", "last": "2013-01-04", **settings}
        )
        ti = SimpleNamespace(xcom_push=lambda key, value: self.xcom.update({key: value}))
        operator.execute({"ti": ti})

    def told(self):
        return self.xcom["return_value"]


@pytest.fixture
def published(url, monkeypatch):
    made = Published(url)
    clients = Clients(repeating={"s3": made.s3}.__getitem__, once={}.__getitem__)
    monkeypatch.setattr(completeness, "clients_of_environment", lambda environment: clients)
    return made


def test_a_complete_dataset_passes_with_one_call(published):
    published.publish("2013-01-01", "2013-01-02", "2013-01-03", "2013-01-04", "2013-01-05")
    published.check()
    assert published.calls == ["ListObjectsV2"]
    assert published.told() == {
        "dataset": "flights",
        "expected": 4,
        "missing": [],
        "newest": "2013-01-04",
        "published_at": None,
    }


def test_missing_days_fail_the_task_whose_xcom_and_log_tell_them(published, capsys):
    published.publish("2013-01-01", "2013-01-04")
    with pytest.raises(DataError) as failed:
        published.check()
    assert str(failed.value).splitlines()[0] == (
        "2 of 4 partitions of dataset 'flights' are not published: 2013-01-02 to 2013-01-03."
    )
    assert published.told()["missing"] == ["2013-01-02", "2013-01-03"]
    said = [re.split(r"  +|\[airflow", line.partition("] ")[2])[:3] for line in capsys.readouterr().out.splitlines()]
    assert said[-4:] == [
        ["partitions", "how many", "state "],
        ["2013-01-01", "1", "published "],
        ["2013-01-02 to 2013-01-03", "2", "MISSING "],
        ["2013-01-04", "1", "published "],
    ]


def test_the_newest_partitions_manifest_says_whether_it_is_fresh(published):
    published.publish("2013-01-01", "2013-01-02", "2013-01-03", at=datetime.now(UTC).isoformat())
    published.publish("2013-01-04")
    with pytest.raises(
        DataError, match=r"the newest partition of dataset 'flights', 2013-01-04, was published .* days ago"
    ):
        published.check(fresh_within=DAY)
    assert published.calls == ["ListObjectsV2", "GetObject"]
    published.publish("2013-01-04", at=datetime.now(UTC).isoformat())
    published.check(fresh_within=DAY)


def test_a_dataset_of_which_nothing_is_published_is_missing_as_a_whole(published):
    with pytest.raises(
        DataError, match="4 of 4 partitions of dataset 'flights' are not published: 2013-01-01 to 2013-01-04"
    ):
        published.check(fresh_within=DAY)
    assert published.told()["newest"] is None


def test_a_partition_published_meanwhile_is_found_by_a_retry(published):
    published.publish("2013-01-01", "2013-01-02", "2013-01-03")
    with pytest.raises(DataError):
        published.check()
    published.publish("2013-01-04")
    published.check()


def test_bounds_that_are_templates_are_judged_when_they_are_rendered(published):
    operator = PartitionsCheckOperator(
        task_id="complete", dataset=published.dataset, first="{{ first }}", last="{{ ds }}", every=DAY
    )
    operator.render_template_fields({"first": "2013-01-02", "ds": "2013-01-01"})
    with pytest.raises(
        AirflowFailException, match="Task 'complete': No partition is expected from 2013-01-02 to 2013-01-01"
    ):
        operator.execute({})
    assert published.calls == []


def test_the_dataset_is_what_the_task_reads_for_airflow_too():
    (inlet,) = PartitionsCheckOperator(task_id="c", dataset=FLIGHTS, every=["a"]).inlets
    assert inlet == FLIGHTS.asset


def test_the_pages_example_expects_the_thirty_days_before_its_run(published):
    page = (ROOT / "docs/how-to/quality-history.md").read_text()
    (text,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    made: dict[str, object] = {}
    exec(compile(text, "flights_complete.py", "exec"), made)
    operator = made["complete"]
    operator.render_template_fields({"ds": "2013-02-01", "macros": macros})
    operator.dataset = published.dataset
    published.publish(*(f"2013-01-{day:02}" for day in range(2, 32)), at=datetime.now(UTC).isoformat())
    operator.execute({"ti": SimpleNamespace(xcom_push=lambda key, value: published.xcom.update({key: value}))})
    assert (published.told()["expected"], published.told()["newest"]) == (30, "2013-01-31")
