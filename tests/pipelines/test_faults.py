"""Pipelines that meet trouble, in a real Airflow: the truth is told, and nothing is left running."""

from __future__ import annotations

import time

import pytest

from tests.pipelines.test_flights import live_clusters, states
from tests.support.airflow import ended_run

RUN = "trouble"


@pytest.fixture(scope="module", autouse=True)
def started(rest):
    """All of them are started together: most of their time is waiting."""
    for dag_id in (
        "waits_long",
        "takes_too_long",
        "is_timed_out",
        "is_marked_failed",
        "fails_then_succeeds",
        "runs_mapped",
    ):
        rest.post(f"dags/{dag_id}/dagRuns", {"dag_run_id": RUN, "logical_date": None})


def until(look, seconds=120.0):
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)
    return seen


def leased_steps(client_of, cluster: str) -> list[tuple[str, str]]:
    steps = client_of("emr").list_steps(ClusterId=cluster)["Steps"]
    return [(step["Name"], step["Status"]["State"]) for step in reversed(steps)]


def cluster_of(rest, dag_id: str) -> str:
    return rest.xcom(dag_id, RUN, "emr.acquire")["compute"]["id"]


def events(rest, dag_id: str, attempt: int = 1) -> str:
    return "\n".join(str(entry.get("event")) for entry in rest.log(dag_id, RUN, "emr.job", attempt))


def errors(rest, dag_id: str, attempt: int = 1) -> list[str]:
    return [str(entry["event"]) for entry in rest.log(dag_id, RUN, "emr.job", attempt) if entry.get("level") == "error"]


def test_a_run_marked_failed_while_its_job_runs_cancels_the_job_and_ends_the_cluster(rest, client_of):
    until(lambda: states(rest, "is_marked_failed", RUN).get("emr.job") == "running")
    cluster = cluster_of(rest, "is_marked_failed")
    until(lambda: [state for _, state in leased_steps(client_of, cluster)] == ["RUNNING"])
    rest.patch(f"dags/is_marked_failed/dagRuns/{RUN}", {"state": "failed"})
    until(lambda: cluster not in live_clusters(client_of))
    assert ended_run(rest, "is_marked_failed", RUN)["state"] == "failed"
    assert [state for _, state in leased_steps(client_of, cluster)] == ["CANCELLED"]


def test_a_retry_after_a_failure_is_a_new_job_run_and_the_first_error_is_the_jobs_own(rest, client_of):
    assert ended_run(rest, "fails_then_succeeds", RUN)["state"] == "success"
    steps = leased_steps(client_of, cluster_of(rest, "fails_then_succeeds"))
    assert [state for _, state in steps] == ["FAILED", "COMPLETED"]
    assert len({name for name, _ in steps}) == 2
    assert "not yet" in errors(rest, "fails_then_succeeds")[0]


def test_mapped_jobs_run_once_each(rest, client_of):
    assert ended_run(rest, "runs_mapped", RUN)["state"] == "success"
    steps = leased_steps(client_of, cluster_of(rest, "runs_mapped"))
    assert [state for _, state in steps] == ["COMPLETED"] * 3
    assert len({name for name, _ in steps}) == 3


def test_a_long_job_is_waited_for_deferred_and_runs_once(rest, client_of):
    assert ended_run(rest, "waits_long", RUN)["state"] == "success"
    assert "waiting deferred" in events(rest, "waits_long")
    assert [state for _, state in leased_steps(client_of, cluster_of(rest, "waits_long"))] == ["COMPLETED"]


def test_a_deferred_job_is_cancelled_when_its_time_is_up(rest, client_of):
    assert ended_run(rest, "takes_too_long", RUN)["state"] == "failed"
    assert [state for _, state in leased_steps(client_of, cluster_of(rest, "takes_too_long"))] == ["CANCELLED"]
    assert "ran longer than this task's execution_timeout of 0:00:28" in str(
        rest.log("takes_too_long", RUN, "emr.job", 1)
    )


def test_a_run_that_airflow_times_out_leaves_no_cluster(rest, client_of):
    assert ended_run(rest, "is_timed_out", RUN)["state"] == "failed"
    assert set(states(rest, "is_timed_out", RUN).values()) & {"skipped"} == {"skipped"}
    cluster = cluster_of(rest, "is_timed_out")
    until(lambda: cluster not in live_clusters(client_of))


def test_nothing_is_left_at_the_end(client_of):
    until(lambda: live_clusters(client_of) == [])


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("a_missing_script.py", "Task 'emr.job': There is no file 'jobs/flights/claen.py'"),
        ("a_missing_profile.py", "EmrPipeline 'emr': There is no profile 'ec2-big'"),
        ("a_missing_setting.py", "argz: Extra inputs are not permitted"),
    ],
)
def test_a_dag_that_cannot_work_is_an_import_error_that_says_what_and_where(rest, file, says):
    found = {error["filename"].rsplit("/", 1)[-1]: error["stack_trace"] for error in rest.import_errors()}
    assert says in found[file]


def test_other_dags_are_unharmed_by_those_that_cannot_be_read(rest):
    assert rest.has_dag("flights_daily")
    assert not rest.has_dag("missing_script")
