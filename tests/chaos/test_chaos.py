"""A short chaos run: a case for each way of dying, failing and clicking, on a real Airflow, together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.judging import job_runs_in
from tests.chaos.schedules import FIRST, SECOND, case_of

if TYPE_CHECKING:
    from tests.chaos.world import Batch

pytestmark = pytest.mark.slow

KEPT = {
    # what happens: on which target; the job goes on, and runs once
    "the process dies between submit and record": "ec2",
    "the worker dies between submit and record": "serverless",
    "the process dies while the job runs": "eks",
    "the process dies after the end, before the report": "ec2",
    "the answer to a submit is lost": "ec2",
    "listings lag and the process dies between submit and record": "ec2",
    "the triggerer is killed": "ec2",
    "the triggerer is restarted": "eks",
    "the scheduler is killed": "serverless",
    "Airflow's API is away": "ec2",
    "a bystander is cleared": "ec2",
}
CANCELLED = {
    # what a person does: on which target; the job is cancelled at once
    "the task is marked failed": "ec2",
    "the task is marked failed while deferred": "serverless",
    "the run is marked failed": "eks",
    "the run is marked failed while deferred": "ec2",
    "the running task is cleared": "serverless",
    "the deferred task is cleared": "eks",
    "the run is deleted and run again": "ec2",
    "the run is deleted while deferred and run again": "eks",
    "the run times out": "eks",
    "the job takes too long": "serverless",
    "the deferred job takes too long": "ec2",
}
FAILED = {
    "a job fails for good": "serverless",
    "instances are lost": "ec2",
    "somebody ends the compute": "ec2",
    "a bootstrap action fails": "ec2",
}
AGAIN = {"the running task is cleared", "the deferred task is cleared"} | {
    case for case in CANCELLED if case.endswith("run again")
}
"""Cases after which the job runs once more."""

AT_ONCE = 20.0
"""Seconds within which a job run is cancelled; release would come as soon, but only after a run of two tasks."""


@pytest.fixture(scope="module")
def batches(world):
    """Two, because nobody is cancelled at once while Airflow's parts die, and SQLite bears no more runs at a time."""
    return [world.run([case_of(case, target) for case, target in some.items()]) for some in (KEPT | FAILED, CANCELLED)]


def batch_of(batches, case: str) -> tuple[Batch, str]:
    """The batch in which a case had its run, and the run."""
    found = ((batch, one.run_id) for batch in batches for one in batch.schedules if one.case == case)
    return next(found)


def of(batches, case: str, task: str) -> list:
    batch, run = batch_of(batches, case)
    return [fact for fact in job_runs_in(batch.rehearsal.journal) if fact.job == (run, task)]


def test_everything_happened_that_was_scheduled(batches):
    assert [batch.rehearsal.troubles for batch in batches] == [[], []]
    assert (
        len([missed for batch in batches for missed in batch.rehearsal.missed]) <= 1
    )  # a busy machine lets a process end first


def test_nothing_is_doubled_nothing_is_left_and_every_run_ends_and_tells_the_truth(batches):
    assert [batch.findings() for batch in batches] == [[], []]


@pytest.mark.parametrize("case", KEPT)
def test_the_job_runs_once_and_is_not_cancelled_when(batches, case):
    assert [fact.succeeded for fact in of(batches, case, FIRST)] == [True]


@pytest.mark.parametrize("case", CANCELLED)
def test_the_job_is_cancelled_when(batches, case):
    first, *later = of(batches, case, FIRST)
    assert first.state == "CANCELLED"
    assert [fact.succeeded for fact in later] == ([True] if case in AGAIN else [False] * len(later))


@pytest.mark.parametrize("case", [case for case in CANCELLED if "too long" not in case and "times out" not in case])
def test_the_job_is_cancelled_at_once_when(batches, case):
    batch, _ = batch_of(batches, case)
    cancelled = of(batches, case, FIRST)[0]
    asked = next(entry["at"] for entry in batch.rehearsal.journal if entry.get("run") == cancelled.job.run)
    assert cancelled.at - asked < AT_ONCE


@pytest.mark.parametrize("case", FAILED)
def test_the_run_is_red_when(batches, case):
    batch, run = batch_of(batches, case)
    expected = "success" if case == "a bootstrap action fails" else "failed"  # its retry gets another cluster
    assert next(fact.state for fact in batch.facts if fact.run == run) == expected


def test_a_job_that_fails_for_good_is_tried_as_often_as_airflow_says(batches):
    assert [fact.state for fact in of(batches, "a job fails for good", SECOND)] == ["FAILED"] * 3
