"""A DAG that disappears while a run of it waits: nothing is cancelled, Airflow forgets the run, the reaper ends its compute."""

from __future__ import annotations

import pytest

from emr_pipelines.reaping import Finding, Life
from tests.chaos.judging import job_runs_in, live_compute_in
from tests.chaos.rehearsal import Rehearsal
from tests.chaos.schedules import DEFERRED
from tests.local_emr.scripted import eventually

pytestmark = pytest.mark.slow

RUN = "passes"
DAG = "chaos_passes"
WAITS_FOR_EVER = ("scheduled", "up_for_reschedule")
"""What becomes of a task whose trigger fired: Airflow no longer looks at it, or a worker found no DAG and left it for later."""


def task_states(world) -> dict[str, str]:
    return {task["task_id"]: task["state"] for task in world.rest.task_instances(DAG, RUN)}


def job_states(rehearsal: Rehearsal) -> list[str]:
    return [fact.state for fact in job_runs_in(rehearsal.journal)]


def test_a_dag_that_disappears_cancels_nothing_and_the_reaper_ends_its_compute(world, passing_dags):
    rehearsal = Rehearsal([], lambda *_: None)
    with world.hearing(rehearsal):
        eventually(lambda: world.rest.has_dag(DAG), expected=True, every=0.5)
        conf = {"target": "ec2", "jobs": {"first": [DEFERRED + 12, "succeed"], "second": [1, "succeed"]}}
        world.rest.post(f"dags/{DAG}/dagRuns", {"dag_run_id": RUN, "logical_date": None, "conf": conf})
        eventually(lambda: task_states(world).get("emr.first"), "deferred", every=0.5)
        (passing_dags / "passing.py").unlink()
        eventually(lambda: job_states(rehearsal), ["COMPLETED"], every=0.5)
        eventually(lambda: task_states(world)["emr.first"] in WAITS_FOR_EVER, expected=True, every=0.5)
        found = {row["run"]: row for row in world.reap()}
        assert (found[RUN]["found"], found[RUN]["done"]) == (f"{Finding.ORPHANED}: its run {Life.STRANDED}", "ended")
        eventually(lambda: live_compute_in(rehearsal.journal), {}, every=0.5)
        assert world.rest.run(DAG, RUN)["state"] == "running"
