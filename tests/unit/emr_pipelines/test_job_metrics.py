"""What is measured: the arithmetic, and the words in which CloudWatch and Airflow are told."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emr_pipelines import job_metrics
from emr_pipelines.job_metrics import (
    METRICS,
    JobEnd,
    covered_seconds,
    data_of_job,
    metric_data,
    stats_data,
    use_of,
)

END = JobEnd("emr.clean", -1, "SparkJob", "ec2", "j-1", "s-1", "succeeded", 1000.0, 1040.0, rows=200)
CLOUDWATCHS_UNITS = ["Count", "Seconds", "Percent", "Count/Second"]


def told(end, dag="flights"):
    return {datum.metric.name: datum.value for datum in data_of_job(end, "dev", dag, now=5000.0)}


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (END, {"JobRuns": 1, "JobFailures": 0, "JobDuration": 40.0, "Rows": 200, "RowsPerSecond": 5.0}),
        (replace(END, rows=0), {"JobRuns": 1, "JobFailures": 0, "JobDuration": 40.0, "Rows": 0, "RowsPerSecond": 0.0}),
        (replace(END, rows=None), {"JobRuns": 1, "JobFailures": 0, "JobDuration": 40.0}),
        (replace(END, ended=1000.0), {"JobRuns": 1, "JobFailures": 0, "JobDuration": 0.0, "Rows": 200}),
        (replace(END, began=None, rows=None, state="failed"), {"JobRuns": 1, "JobFailures": 1}),
        (replace(END, rows=None, state="cancelled"), {"JobRuns": 1, "JobFailures": 1, "JobDuration": 40.0}),
        (replace(END, began=None, ended=None, rows=None, state="lost"), {"JobRuns": 1, "JobFailures": 1}),
    ],
    ids=["with rows", "of no row", "of unknown rows", "of no length", "never began", "cancelled", "lost"],
)
def test_nothing_is_told_of_what_nobody_has_measured(end, expected):
    assert expected == told(end)


def test_a_value_is_of_the_moment_when_its_job_run_ended_as_aws_tells_it():
    assert {1040.0} == {datum.at for datum in data_of_job(END, "dev", "flights", now=5000.0)}
    assert {5000.0} == {datum.at for datum in data_of_job(replace(END, ended=None), "dev", "flights", now=5000.0)}


def test_cloudwatch_is_told_each_combination_of_dimensions():
    expected = [
        ("JobRuns", {"Deployment": "dev"}, 1.0, "Count"),
        ("JobRuns", {"Deployment": "dev", "JobType": "SparkJob", "Target": "ec2"}, 1.0, "Count"),
        ("JobFailures", {"Deployment": "dev"}, 0.0, "Count"),
        ("JobFailures", {"Deployment": "dev", "JobType": "SparkJob", "Target": "ec2"}, 0.0, "Count"),
        ("JobDuration", {"Deployment": "dev", "JobType": "SparkJob", "Target": "ec2"}, 40.0, "Seconds"),
        ("JobDuration", {"Deployment": "dev", "Dag": "flights", "Task": "emr.clean"}, 40.0, "Seconds"),
        ("Rows", {"Deployment": "dev", "Dag": "flights", "Task": "emr.clean"}, 200.0, "Count"),
        ("RowsPerSecond", {"Deployment": "dev", "Dag": "flights", "Task": "emr.clean"}, 5.0, "Count/Second"),
    ]
    sent = metric_data(data_of_job(END, "dev", "flights", now=5000.0))
    assert expected == [
        (one["MetricName"], {d["Name"]: d["Value"] for d in one["Dimensions"]}, one["Value"], one["Unit"])
        for one in sent
    ]
    assert {datetime(1970, 1, 1, 0, 17, 20, tzinfo=UTC)} == {one["Timestamp"] for one in sent}


def test_a_dimension_holds_only_what_cloudwatch_allows():
    (datum,) = data_of_job(replace(END, state="failed"), "dev", "vols_é" + "x" * 2000, now=0.0)[2:3]
    by_task = metric_data([datum])[1]
    assert [one["Value"] for one in by_task["Dimensions"]][1] == "vols__" + "x" * 1018


def test_airflow_is_told_counts_times_in_milliseconds_and_levels():
    job_type, task = {"job_type": "SparkJob", "target": "ec2"}, {"dag": "flights", "task": "emr.clean"}
    expected = [
        ("counter", "emr_pipelines.job.runs", 1, job_type),
        ("timer", "emr_pipelines.job.duration", 40000.0, job_type | task),
        ("gauge", "emr_pipelines.job.rows", 200, task),
        ("gauge", "emr_pipelines.job.rows_per_second", 5.0, task),
    ]
    assert expected == list(stats_data(data_of_job(END, "dev", "flights", now=0.0)))
    failed = [name for _, name, *_ in stats_data(data_of_job(replace(END, state="failed"), "dev", "flights", now=0.0))]
    assert failed[1] == "emr_pipelines.job.failures"


def test_units_are_cloudwatchs_and_names_are_given_once():
    assert [metric.unit for metric in METRICS if metric.unit not in CLOUDWATCHS_UNITS] == []
    assert len({metric.name for metric in METRICS}) == len({metric.stat for metric in METRICS}) == len(METRICS)
    defined = [one for one in vars(job_metrics).values() if isinstance(one, job_metrics.Metric)]
    assert defined == list(METRICS)


@pytest.mark.parametrize(
    ("spells", "seconds"),
    [
        ([], 0),
        ([(10, 20)], 10),
        ([(10, 20), (15, 30)], 20),
        ([(10, 30), (15, 20)], 20),
        ([(10, 20), (20, 30)], 20),
        ([(40, 50), (10, 20)], 20),
        ([(-10, 5)], 5),
        ([(90, 300)], 10),
        ([(-20, -10), (200, 300)], 0),
        ([(30, 20)], 0),
    ],
    ids=["none", "one", "over", "in", "end to end", "apart", "early", "late", "outside", "backwards"],
)
def test_seconds_covered_of_a_hundred(spells, seconds):
    assert seconds == covered_seconds(spells, 0, 100)


@given(
    st.lists(st.tuples(st.integers(-20, 60), st.integers(-20, 60)), max_size=8), st.integers(0, 20), st.integers(20, 40)
)
def test_the_seconds_covered_are_those_of_which_some_spell_holds_each(spells, begin, end):
    """Computed another way: second by second."""
    held = [second for second in range(begin, end) if any(began <= second < ended for began, ended in spells)]
    assert len(held) == covered_seconds(spells, begin, end)


def test_use_is_a_share_of_the_whole_life():
    ends = [END, replace(END, began=1030.0, ended=1060.0), replace(END, began=None)]
    assert use_of(ends, 980.0, 1080.0) == 60.0
    assert use_of([], 980.0, 1080.0) == 0.0
    assert use_of(ends, 980.0, 980.0) is None


def test_an_end_travels_as_json_and_is_read_by_other_versions_as_far_as_it_goes():
    told = json.loads(json.dumps(END.to_json()))
    assert JobEnd.from_json(told) == END
    assert JobEnd.from_json(told | {"of_another_version": 1}) == END
