"""Whether somebody ended a task, or Airflow only goes on with it elsewhere."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from emr_pipelines import endings
from emr_pipelines.endings import is_unwanted

TASK = SimpleNamespace(dag_id="d", task_id="t", run_id="r", map_index=-1)


@pytest.fixture
def answer(monkeypatch):
    """What Airflow says of the task's states; a function is called first."""

    def answer(states, before=lambda: None):
        def get_task_states(dag_id, task_ids, run_ids, map_index):
            before()
            return {"r": states} if states is not None else {}

        monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", staticmethod(get_task_states))

    return answer


@pytest.mark.parametrize(
    "state", [None, "scheduled", "queued", "running", "up_for_retry", "up_for_reschedule", "deferred"]
)
def test_a_task_that_runs_or_will_run_again_is_not_unwanted(answer, state):
    answer({"t": state})
    assert is_unwanted(TASK) is False


@pytest.mark.parametrize("state", ["failed", "success", "skipped", "restarting", "upstream_failed", "removed"])
def test_a_task_that_somebody_ended_or_cleared_is_unwanted(answer, state):
    answer({"t": state})
    assert is_unwanted(TASK) is True


def test_a_task_of_a_deleted_run_is_unwanted(answer):
    answer(None)
    assert is_unwanted(TASK) is True


def test_where_airflow_gives_no_answer_nobody_is_known_to_have_ended_the_task(answer, monkeypatch):
    never = threading.Event()
    monkeypatch.setattr(endings, "ANSWER_SECONDS", 0.05)
    answer({"t": "failed"}, before=never.wait)
    assert is_unwanted(TASK) is False
    never.set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_where_airflow_is_away_nobody_is_known_to_have_ended_the_task(answer):
    def away():
        raise ConnectionError("the server is away")

    answer({"t": "failed"}, before=away)
    assert is_unwanted(TASK) is False
