"""A spoilt day in a real Airflow: it stops at the gate, and a person who rejects it keeps it from readers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.pipelines.test_faults import until
from tests.pipelines.test_flights import DAG_ID, live_clusters, states
from tests.support.airflow import ended_run
from tests.support.corrupted import SPOILT, manifest_of, rows_at, spoil

YESTERDAY, TODAY = "2013-02-19", "2013-02-20"
RUN = "spoilt"
DATASETS = ("flights", "carrier_delay")


def trigger(rest, run_id: str, date: str) -> None:
    rest.unpause(DAG_ID)
    day = datetime.fromisoformat(date).replace(tzinfo=UTC)
    rest.trigger(DAG_ID, run_id, logical_date=day, start=day, end=day + timedelta(days=1), conf={"target": "eks"})


@pytest.fixture(scope="module")
def published(rest, client_of):
    """The manifests of the day before, published by a run that nobody had to approve."""
    trigger(rest, "yesterday", YESTERDAY)
    assert ended_run(rest, DAG_ID, "yesterday")["state"] == "success"
    return {dataset: manifest_of(client_of("s3"), dataset, YESTERDAY) for dataset in DATASETS}


@dataclass
class Waiting:
    """What there was to see while a spoilt day's run waited for a person."""

    tail_numbers: list[str]
    states: dict[str, str | None]
    clusters: list[str]
    asked: dict[str, Any]
    quality: dict[str, Any]


@pytest.fixture(scope="module")
def waiting(rest, client_of, published):
    tail_numbers = spoil(client_of("s3"), TODAY)
    trigger(rest, RUN, TODAY)
    until(lambda: states(rest, DAG_ID, RUN).get("approve") == "awaiting_input", 300)
    asked = rest.get(f"dags/{DAG_ID}/dagRuns/{RUN}/taskInstances/approve/-1/hitlDetails")
    quality = rest.xcom(DAG_ID, RUN, "emr.check", "quality")
    return Waiting(tail_numbers, states(rest, DAG_ID, RUN), live_clusters(client_of), asked, quality)


def test_a_clean_day_is_published_and_nobody_is_asked(rest, published):
    assert states(rest, DAG_ID, "yesterday")["approve"] == "success"
    manifest = json.loads(published["flights"])
    assert (manifest["quality"]["decision"], manifest["quality"]["approved_by"]) == ("pass", None)
    assert manifest["rows"] == rest.xcom(DAG_ID, "yesterday", "emr.check", "quality")["rows"]


def test_a_spoilt_day_waits_for_a_person_and_no_compute_with_it(waiting):
    assert {name: waiting.states[name] for name in ("emr.check", "emr.release", "approve", "publish")} == {
        "emr.check": "success",
        "emr.release": "success",
        "approve": "awaiting_input",
        "publish": None,
    }
    assert waiting.clusters == []


def test_the_person_sees_the_rule_what_was_measured_and_where_the_rows_are(waiting):
    share = (waiting.quality["rows"] - SPOILT) / waiting.quality["rows"]
    assert 'ColumnValues "tailnum" matches' in waiting.asked["body"]
    assert f"| {share:.4f} |" in waiting.asked["body"]
    assert waiting.quality["quarantine"]["address"] in waiting.asked["body"]
    assert waiting.asked["options"] == ["Approve", "Reject"]


def test_its_bad_rows_are_quarantined_with_the_rule_that_they_broke(client_of, waiting):
    rows = rows_at(client_of("s3"), waiting.quality["quarantine"]["address"])
    assert sorted(rows["tailnum"]) == waiting.tail_numbers
    assert {tuple(rules) for rules in rows["failed_rules"]} == {
        ('ColumnValues "tailnum" matches "[A-Z][A-Z0-9]{4,5}"',)
    }


def test_rejected_it_is_never_published_and_the_run_fails_with_the_reason(rest, client_of, published, waiting):
    rest.patch(
        f"dags/{DAG_ID}/dagRuns/{RUN}/taskInstances/approve/-1/hitlDetails",
        {"chosen_options": ["Reject"], "params_input": {"reason": "ask the airline first"}},
    )
    assert ended_run(rest, DAG_ID, RUN)["state"] == "failed"
    seen = states(rest, DAG_ID, RUN)
    assert (seen["approve"], seen["publish"]) == ("failed", "upstream_failed")
    assert "admin rejected the data: ask the airline first." in str(rest.log(DAG_ID, RUN, "approve", 1))
    assert [manifest_of(client_of("s3"), dataset, TODAY) for dataset in DATASETS] == [None, None]
    assert {dataset: manifest_of(client_of("s3"), dataset, YESTERDAY) for dataset in DATASETS} == published
