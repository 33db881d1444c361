import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import pytest

from local_airflow import LocalAirflowError, demo
from local_airflow.progress import Task
from tests.support.airflow import ROOT

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2013-01-01", "2013-12-31", "2013-02-03"])
def test_every_day_of_2013_can_be_run(text):
    assert str(demo.flights_day(text)) == text


@pytest.mark.parametrize("text", ["2012-12-31", "2014-01-01", "2013-02-30", "yesterday", "", "2013-1-5"])
def test_any_other_date_is_refused_in_one_sentence(text):
    with pytest.raises(LocalAirflowError) as caught:
        demo.flights_day(text)
    assert str(caught.value) == (
        f"DATE must be a day from 2013-01-01 to 2013-12-31, the year of the flights; it was {text!r}."
    )


def test_every_new_run_has_an_id_of_its_own():
    assert len({demo.run_id_for(date(2013, 1, 15)) for _ in range(10)}) == 10


def test_rows_stand_beside_the_tasks_they_are_known_for():
    done = [
        Task("emr.clean", "success", 1, NOON, NOON + timedelta(seconds=9)),
        Task("publish", None, 0, None, None),
    ]
    assert demo.task_table(done, {"emr.clean": (1234, 1200)}, NOON).splitlines() == [
        "task       state    seconds  rows in  rows out",
        "---------  -------  -------  -------  --------",
        "emr.clean  success      9.0    1,234     1,200",
        "publish",
    ]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"began": 0.0, "ended": 90.0}, None),
        (
            {"began": 60.0, "ended": 90.0},
            (datetime(1970, 1, 1, 0, 1, tzinfo=UTC), datetime(1970, 1, 1, 0, 1, 30, tzinfo=UTC)),
        ),
        ({"began": None, "ended": 90.0}, None),
        ({}, None),
        (None, None),
        ("text", None),
    ],
)
def test_a_task_that_told_no_times_has_no_interval(told, expected):
    assert demo.interval_of(told) == expected


def test_the_command_that_lists_the_output_is_complete():
    prefixes = ["flights/dt=2013-01-15/version=a/", "carrier_delay/dt=2013-01-15/version=b/"]
    text = demo.output_text(ROOT, "http://127.0.0.1:4566", prefixes)
    assert text.splitlines()[0] == (
        "Published: s3://local-data/flights/dt=2013-01-15/version=a/ and s3://local-data/carrier_delay/dt=2013-01-15/version=b/"
    )
    assert "AWS_ENDPOINT_URL=http://127.0.0.1:4566 " in text
    assert text.endswith("aws s3 ls --recursive s3://local-data/flights/dt=2013-01-15/version=a/")


def seeding(script):
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=dict(os.environ),
    )


def test_seeding_says_its_last_line():
    with seeding("print('a'); print('365 objects')") as process:
        assert demo.finish_seeding(process) == "365 objects"


def test_a_failed_seeding_says_its_cause():
    with (
        seeding("raise RuntimeError('no flights')") as process,
        pytest.raises(LocalAirflowError, match=r"^The flights could not be landed in S3: RuntimeError: no flights$"),
    ):
        demo.finish_seeding(process)
