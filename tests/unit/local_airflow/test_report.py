from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_airflow import report

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(first, last):
    return NOON + timedelta(seconds=first), NOON + timedelta(seconds=last)


def test_a_table_aligns_its_columns():
    made = report.table(["task", "rows"], [["clean", "1,000"], ["x", "7"]], right=frozenset({1}))
    assert made.splitlines() == [
        "task    rows",
        "-----  -----",
        "clean  1,000",
        "x          7",
    ]


def test_a_table_without_rows_is_its_heads():
    assert report.table(["a"], []) == "a\n-"


def test_overlapping_seconds_count_once():
    assert report.union_seconds([at(5, 9), at(0, 2), at(1, 3), at(6, 7)]) == 7


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)).map(sorted)))
def test_the_union_is_the_number_of_seconds_covered(intervals):
    covered = {second for first, last in intervals for second in range(first, last)}
    assert report.union_seconds([at(*interval) for interval in intervals]) == len(covered)


def test_time_is_split_into_jobs_start_of_compute_and_the_rest():
    made = report.split(at(0, 20), jobs=[at(6, 10), at(9, 14)], boots=[at(2, 7)])
    assert (made.wall, made.jobs, made.boot, made.orchestration) == (20, 8, 4, 8)
    assert str(made) == "20.0 s = 8.0 s of jobs + 4.0 s of compute start + 8.0 s of orchestration (40%)"


def test_what_lies_outside_the_run_is_not_its_time():
    made = report.split(at(0, 10), jobs=[at(-5, 2), at(8, 30), at(40, 50)], boots=[])
    assert made.jobs == 4


def test_quality_rules_are_listed_with_what_was_measured():
    rules = [
        {"rule": 'IsComplete "tailnum"', "outcome": "Failed", "measured": 0.99871},
        {"rule": "RowCount > 100", "outcome": "Passed", "measured": 842},
        {"rule": 'ColumnValues "x" > 1', "outcome": "Error", "measured": None},
    ]
    assert report.quality_table({"rules": rules}).splitlines()[2:] == [
        'IsComplete "tailnum"    0.9987  Failed',
        "RowCount > 100             842  Passed",
        'ColumnValues "x" > 1            Error',
    ]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([], "its log is empty"),
        ([{"event": "one"}, {"event": "two", "level": "info"}], "two"),
        ([{"event": "bad\nworse", "level": "error"}, {"event": "later", "level": "error"}], "bad"),
        (
            [
                {
                    "event": "Task failed with exception",
                    "level": "error",
                    "error_detail": [{"exc_type": "ValueError", "exc_value": "no\nmore"}],
                }
            ],
            "ValueError: no",
        ),
    ],
)
def test_the_first_error_of_a_log_is_one_line(entries, expected):
    assert report.first_error(entries) == expected


def test_counts_have_thousands_separated():
    assert (report.number(336776), report.number(0), report.number(None)) == ("336,776", "0", "")


def test_the_choice_of_compute_is_told_with_the_reasons_against_the_others():
    choice = {
        "profile": "ec2",
        "asked": ["serverless", "ec2"],
        "given": True,
        "overrides": {"maximum_workers": 3},
        "refused": [{"profile": "serverless", "reason": "quota"}],
    }
    assert report.choice_lines(choice) == [
        "Profile ec2, by the run's configuration",
        "Not serverless: quota",
        "Instead of the profile's own: maximum_workers = 3",
    ]


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (["a", "1"], ["a", "1"], None),
        (["a", "1"], ["a", "2"], "t, line 1: '1' and '2'"),
        (["a"], ["a", "2"], "t, line 1: 'nothing' and '2'"),
        ([], [], None),
    ],
)
def test_the_first_difference_of_two_tables_is_told(left, right, expected):
    assert report.difference("t", left, right) == expected
