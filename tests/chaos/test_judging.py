"""What counts as a job run twice, as left alive, as a state that lies; on journals written by hand."""

from __future__ import annotations

import pytest

from tests.chaos.judging import RunFact, Tally, machine_line, table, tally

TASKS = ("first", "second")


def job(at: float, id_: str, state: str, task: str = "first", run: str = "chaos-00001") -> dict:
    args = ["--class", "x", "chaos", run, task, "3.0", "succeed"]
    return {
        "at": at,
        "what": "job run",
        "service": "s",
        "compute": "c",
        "id": id_,
        "name": "n",
        "state": state,
        "args": args,
    }


def compute(at: float, state: str, service: str = "elasticmapreduce") -> dict:
    return {"at": at, "what": "compute", "service": service, "id": "c", "name": "n", "state": state, "tags": {}}


def well(task: str, at: float, id_: str) -> list[dict]:
    return [job(at, id_, "PENDING", task), job(at + 1, id_, "RUNNING", task), job(at + 2, id_, "COMPLETED", task)]


GREEN = RunFact("chaos-00001", "success")
RED = RunFact("chaos-00001", "failed")
WELL = [*well("first", 10, "a"), *well("second", 20, "b")]


@pytest.mark.parametrize(
    ("journal", "run", "expected"),
    [
        (WELL, GREEN, Tally(runs=1)),
        ([*WELL, job(11.5, "x", "PENDING"), job(12.5, "x", "CANCELLED")], GREEN, Tally(runs=1, duplicates=1, wrong=1)),
        (
            [*well("first", 10, "a"), *well("first", 15, "x"), *well("second", 20, "b")],
            GREEN,
            Tally(runs=1, duplicates=1),
        ),
        (
            [*well("first", 10, "a"), *well("first", 15, "x"), *well("second", 20, "b")],
            RunFact("chaos-00001", "success", cleared=(13,)),
            Tally(runs=1),
        ),
        ([*well("first", 10, "a"), job(20, "b", "RUNNING", "second")], RED, Tally(runs=1, leaks=1)),
        ([compute(1, "RUNNING"), *WELL], GREEN, Tally(runs=1, leaks=1)),
        ([compute(1, "RUNNING"), *WELL, compute(30, "TERMINATED")], GREEN, Tally(runs=1)),
        ([compute(1, "RUNNING", "emr-containers"), *WELL], GREEN, Tally(runs=1)),
        (well("first", 10, "a"), GREEN, Tally(runs=1, wrong=1)),
        (WELL, RED, Tally(runs=1, wrong=1)),
        (WELL, RunFact("chaos-00001", "failed", meant_to_fail=True), Tally(runs=1)),
        (WELL, RunFact("chaos-00001", None), Tally(runs=1, hung=1)),
        ([job(10, "a", "FAILED"), *well("first", 15, "b"), *well("second", 20, "c")], GREEN, Tally(runs=1)),
        (WELL, RunFact("chaos-00001", "success", reasons_told={"j": False, "k": True}), Tally(runs=1, lost=1)),
    ],
    ids=[
        "all is well",
        "a job runs beside itself",
        "a job that succeeded runs again",
        "a job runs again because it was cleared",
        "a job is left alive",
        "a cluster is left alive",
        "a cluster has ended",
        "a virtual cluster is kept",
        "a green run of which a job never ran",
        "a red run of which all jobs did well",
        "a red run that was meant to be red",
        "a run that never ends",
        "a failure that a retry made good",
        "a reason that is lost",
    ],
)
def test_a_journal_shows_what_was_doubled_left_or_told_wrongly(journal, run, expected):
    assert tally(journal, [run], TASKS) == expected


def test_what_only_the_reaper_ended_is_counted_by_itself():
    assert tally(WELL, [GREEN], TASKS, reaped=["j-1"]) == Tally(runs=1, reaped=1)


def test_the_last_line_is_for_machines_and_the_table_for_people():
    counted = Tally(runs=7, duplicates=1, leaks=2, reaped=3, wrong=4, hung=5, lost=6)
    assert machine_line("ours", counted) == "ours runs=7 duplicates=1 leaks=2 wrong=4 hung=5"
    assert [line.split() for line in table({"ours": counted})[1:]] == [["ours", "7", "1", "2", "3", "4", "5", "6"]]
