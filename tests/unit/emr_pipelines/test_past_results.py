"""Results of earlier checks: where they lie, which of them count, and what is told of them."""

from __future__ import annotations

import json
import os
import re
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emr_pipelines.past_results import (
    changed_since,
    depth_needed,
    earlier_measures,
    earlier_result,
    in_order,
    result_address,
    trend,
)
from emr_pipelines.quality import Rule, Ruleset, RuleType, parse_results
from emr_pipelines.quality.ruleset import Arithmetic, Call, Composite, Condition
from local_emr.endpoint import running
from tests.local_emr.conftest import client_of
from tests.local_emr.scripted import ManualClock, ScriptedEngine

SOURCE = "flights.dqdl"
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    """The local endpoint's URL, and the folder of its buckets: S3 has the times of the files."""
    folder = tmp_path_factory.mktemp("endpoint")
    with running(folder, ScriptedEngine, clock=ManualClock()) as url:
        yield url, folder / "s3"


def text_of(rows, *rules, analyzers=()):
    """A result; each rule is (text, outcome, measured), its measure the text's first word."""
    return json.dumps(
        {
            "version": 2,
            "source": SOURCE,
            "data": "s3://b/",
            "rows": rows,
            "seconds": 1.5,
            "schema": [],
            "rules": [
                {
                    "rule": rule,
                    "measure": rule.split()[0],
                    "labels": {},
                    "outcome": outcome,
                    "measured": measured,
                    "bound": "",
                    "reason": "",
                }
                for rule, outcome, measured in rules or [("RowCount > 0", "Passed", rows)]
            ],
            "analyzers": [{"measure": name, "measured": value, "reason": ""} for name, value in analyzers],
            "quarantine": None,
        }
    )


class Past:
    """A bucket of the local endpoint with the results of one dataset; counts the calls."""

    def __init__(self, endpoint):
        url, self.folder = endpoint
        self.s3 = client_of(url, "s3")
        self.bucket = f"b-{uuid.uuid4().hex[:12]}"
        self.s3.create_bucket(Bucket=self.bucket)
        self.calls = []
        self.s3.meta.events.register("before-call.s3", lambda model, **_: self.calls.append(model.name))

    def put(self, partition, text, at=NOON, dataset="flights", key="0123456789abcdef"):
        """Put a result, written by the job run with this key at that time."""
        address = result_address(self.bucket, dataset, partition, key)
        self.s3.put_object(Bucket=self.bucket, Key=address.split("/", 3)[3], Body=text.encode())
        os.utime(self.folder / address.split("/", 2)[2], (at, at))
        self.calls.clear()
        return address

    def measures(self, partition, depth, *names):
        needed = dict.fromkeys(names or ["RowCount"], depth) if depth else {}
        return earlier_measures(self.s3, self.bucket, "flights", partition, needed)


@pytest.fixture
def past(endpoint):
    return Past(endpoint)


# Where they lie


def test_a_job_run_has_one_address_below_its_dataset_and_partition():
    address = result_address("data", "flights", "2013-01-15", "0123456789abcdef")
    assert address == "s3://data/quality-results/flights/2013-01-15/0123456789abcdef.json"


@given(st.lists(st.text(min_size=1), min_size=2, max_size=2))
def test_whatever_a_dataset_and_a_partition_are_called_the_address_has_two_folders_for_them(names):
    address = result_address("data", *names, "ff")
    parts = address.removeprefix("s3://data/quality-results/").split("/")
    assert len(parts) == 3
    assert all(re.fullmatch(r"[A-Za-z0-9_.~%-]+", part) and part.strip(".") for part in parts)


# Which count


def test_earlier_partitions_count_from_the_nearest_on_and_neither_this_nor_later_ones(past):
    for day in range(1, 8):
        past.put(f"2013-01-0{day}", text_of(100 + day))
    past.put("2013-01-01", text_of(999), dataset="flights2")
    assert past.measures("2013-01-06", 3) == {"RowCount": [105, 104, 103]}


def test_of_a_partition_that_was_checked_again_the_newest_result_counts(past):
    past.put("2013-01-01", text_of(3), at=NOON + 60, key="0")
    past.put("2013-01-01", text_of(2), at=NOON, key="f")
    assert past.measures("2013-01-02", 7) == {"RowCount": [3]}


def test_a_backfill_of_an_older_day_finds_only_what_lies_before_it_whenever_that_was_measured(past):
    past.put("2013-01-03", text_of(3), at=NOON)
    past.put("2013-01-01", text_of(1), at=NOON + 3600)
    assert past.measures("2013-01-02", 7) == {"RowCount": [1]}


def test_numbers_in_partitions_count_by_size(past):
    for hour in ("9", "10", "11"):
        past.put(hour, text_of(int(hour)))
    assert past.measures("11", 7) == {"RowCount": [10, 9]}


def test_a_partition_of_any_characters_is_found_again(past):
    past.put("2013-01-15T05:00 a/b=c%20é", text_of(7))
    assert past.measures("2013-01-15T06:00", 1) == {"RowCount": [7]}


def test_analyzers_are_remembered_and_what_was_not_measured_is_not(past):
    rules = [("Mean > 1", "Error", None), ("Sum > 1", "Failed", 0.5)]
    past.put("1", text_of(9, *rules, analyzers=[("Entropy", 2.5), ("Uniqueness", None)]))
    past.put("2", text_of(8, ("Mean > 1", "Passed", 4)))
    assert past.measures("3", 1, "Entropy") == {"Mean": [4], "Sum": [0.5], "Entropy": [2.5]}


@pytest.mark.parametrize("garbage", ["", "{", "[]", "null", '{"rules": []}', text_of(1)[:-40]])
def test_a_garbage_result_is_said_and_the_one_before_it_counts(past, caplog, garbage):
    past.put("1", text_of(1), at=NOON)
    address = past.put("1", garbage, at=NOON + 60, key="0")
    past.put("0", text_of(0))
    assert past.measures("2", 2) == {"RowCount": [1, 0]}
    assert [record.getMessage().partition(": ")[0] for record in caplog.records] == [
        f"The earlier result {address} is passed over"
    ]


def test_bytes_that_are_no_text_and_other_objects_are_passed_over(past):
    past.put("1", text_of(1))
    for key in ("2/x.json", "3/readme.txt", "loose.json", "1/0123456789abcdef.history"):
        past.s3.put_object(Bucket=past.bucket, Key=f"quality-results/flights/{key}", Body=b"\xff\xfe")
    assert past.measures("9", 9) == {"RowCount": [1]}


def test_a_partition_without_a_readable_result_makes_room_for_one_further_back(past):
    past.put("1", text_of(1))
    past.put("2", "garbage")
    assert past.measures("3", 1) == {"RowCount": [1]}


def test_one_listing_and_a_call_for_each_partition_are_made_and_none_without_dynamic_rules(past):
    for day in range(10, 30):
        past.put(f"2013-01-{day}", text_of(day))
    assert past.measures("2013-01-25", 7) == {"RowCount": [24, 23, 22, 21, 20, 19, 18]}
    assert past.calls == ["ListObjectsV2"] + ["GetObject"] * 7
    past.calls.clear()
    assert past.measures("2013-01-25", 0) == {}
    assert past.calls == []


def test_where_a_measure_was_not_taken_the_partition_before_counts_instead(past):
    for day in range(10, 20):
        past.put(
            f"2013-01-{day}", text_of(day, ("Mean > 1", "Error", None) if day == 17 else ("Mean > 1", "Passed", day))
        )
    assert past.measures("2013-01-20", 3, "Mean") == {"Mean": [19, 18, 16]}
    assert past.calls == ["ListObjectsV2"] + ["GetObject"] * 4


def test_a_measure_that_was_never_taken_is_not_looked_for_in_all_of_the_past(past):
    for day in range(10, 30):
        past.put(f"2013-01-{day}", text_of(day))
    assert past.measures("2013-01-30", 2, "RowCount", "Mean") == {"RowCount": [29, 28, 27, 26, 25, 24]}
    assert past.calls == ["ListObjectsV2"] + ["GetObject"] * 6


def test_a_dataset_that_was_never_checked_has_no_past(past):
    assert past.measures("2013-01-25", 7) == {}


@given(st.lists(st.dates(), min_size=1, unique=True))
def test_days_are_in_order_of_date(days):
    assert sorted((day.isoformat() for day in days), key=in_order) == [day.isoformat() for day in sorted(days)]


@given(st.lists(st.text(max_size=5), max_size=9))
def test_any_partitions_can_be_put_in_order(partitions):
    ordered = sorted(partitions, key=in_order)
    assert sorted(ordered) == sorted(partitions)


@settings(max_examples=15, deadline=timedelta(seconds=10))
@given(
    kept=st.dictionaries(st.integers(1, 40), st.lists(st.integers(0, 99), min_size=1, max_size=3), max_size=12),
    asked=st.integers(1, 40),
    depth=st.integers(0, 14),
)
def test_whatever_is_kept_the_newest_of_each_of_the_nearest_earlier_days_count(endpoint, kept, asked, depth):
    past = Past(endpoint)
    for number, values in kept.items():
        day = (datetime(2013, 1, 1, tzinfo=UTC) + timedelta(days=number)).date().isoformat()
        for turn, value in enumerate(values):
            past.put(day, text_of(value), at=NOON + turn, key=f"{7 - turn}")
    day = (datetime(2013, 1, 1, tzinfo=UTC) + timedelta(days=asked)).date().isoformat()
    expected = [kept[number][-1] for number in range(asked - 1, 0, -1) if number in kept][:depth]
    assert past.measures(day, depth).get("RowCount", []) == expected


# The same partition


def test_the_result_before_this_one_of_the_same_partition_is_found(past):
    past.put("1", text_of(5), at=NOON, key="c")
    past.put("1", text_of(6), at=NOON + 1, key="b")
    this = past.put("1", text_of(7), at=NOON + 2, key="d")
    past.put("1", text_of(8), at=NOON + 3, key="a")
    past.put("10", text_of(9), at=NOON + 1)
    assert earlier_result(past.s3, this, SOURCE).rows == 6
    assert past.calls == ["ListObjectsV2", "GetObject"]


def test_the_first_result_of_a_partition_has_none_before(past):
    assert earlier_result(past.s3, past.put("1", text_of(5)), SOURCE) is None


def test_what_changed_between_two_checks_of_a_partition_is_told_by_rule():
    earlier = parse_results(
        text_of(894, ("RowCount > 0", "Passed", 894), ("IsUnique a", "Failed", 0.98), ("Old", "Passed", 1))
    )
    now = parse_results(
        text_of(1881, ("RowCount > 0", "Passed", 1881), ("IsUnique a", "Passed", 1), ("New", "Error", None))
    )
    assert changed_since(earlier, now) == [
        "894 rows became 1,881",
        "RowCount > 0: was Passed, is Passed; measured 894, now 1,881",
        "IsUnique a: was Failed, is Passed; measured 0.98, now 1",
        "New: is new, Error",
        "Old: is no longer checked",
    ]


def test_nothing_is_told_of_a_check_that_found_the_same():
    assert changed_since(parse_results(text_of(5)), parse_results(text_of(5))) == []


def test_a_trend_goes_from_the_oldest_value_to_this_one_and_shows_a_week():
    earlier = {"RowCount": [9, 8, 7, 6, 5, 4, 3, 2], "Mean": [0.25], "Sum": []}
    assert trend(earlier, {"RowCount": 1000, "Mean": 0.5, "Sum": 1, "Entropy": 2}) == [
        "RowCount  4 -> 5 -> 6 -> 7 -> 8 -> 9 -> 1,000",
        "Mean      0.25 -> 0.5",
    ]
    assert trend({}, {"RowCount": 1}) == []


# How far back


def last(count):
    return Call("last", (Decimal(count),))


def rule(*operands, **tags):
    return Rule(RuleType.ROW_COUNT, condition=Condition(">", operands) if operands else None, tags=tags)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([rule(Decimal(5))], {}),
        ([Rule(RuleType.IS_COMPLETE, ("a",))], {}),
        ([rule(last(7))], {"RowCount": 7}),
        ([rule(Call("avg", (last(3),))), rule(Call("max", (last(10),)))], {"RowCount": 10}),
        ([rule(Arithmetic("*", Decimal("0.9"), Call("avg", (last(4),))))], {"RowCount": 4}),
        ([rule(Arithmetic("+", Call("index", (last(6), Decimal(5))), Decimal(20)))], {"RowCount": 6}),
        ([rule(Call("percentile", (last(9), Decimal(50))))], {"RowCount": 9}),
        ([rule(Decimal(1), threshold=Condition(">", (Call("min", (last(2),)),)))], {"RowCount": 2}),
        ([Composite("or", (rule(Decimal(1)), Composite("and", (rule(last(8)), rule(last(5))))))], {"RowCount": 8}),
        ([rule(Decimal(0), Arithmetic("/", Decimal(1), last(12)))], {"RowCount": 12}),
        ([rule(Call("last"))], {"RowCount": 1}),
        (
            [rule(last(2)), Rule(RuleType.MEAN, ("a",), condition=Condition(">", (last(5),)))],
            {"RowCount": 2, 'Mean "a"': 5},
        ),
    ],
)
def test_the_past_is_needed_as_far_back_as_the_greatest_last_says(rules, expected):
    assert depth_needed(Ruleset(tuple(rules), "a.dqdl")) == expected
