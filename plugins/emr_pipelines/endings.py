"""Why a task is told to end: because somebody wants it to, or only because Airflow goes on with it elsewhere.

Airflow kills a task's process and calls ``on_kill`` in both cases: when a person or a timeout ends the task, and also when the
scheduler was restarted, when heartbeats were lost, or when another triggerer takes over. A job run is cancelled in the first only.
"""

from __future__ import annotations

import threading
from typing import Any

from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

ANSWER_SECONDS = 2.0
"""Seconds that Airflow's answer may take: five after the signal, the process is killed (``airflow.sdk.execution_time.supervisor``)."""

_GOES_ON = frozenset({None, "scheduled", "queued", "running", "up_for_retry", "up_for_reschedule", "deferred"})
"""States of a task that runs, or will run again without anybody's doing. ``restarting`` is not one of them: a person cleared it."""


def goes_on(state: str | None) -> bool:
    """Say whether a task in this state is still wanted, so that its job run is left to the process that goes on with it."""
    return state in _GOES_ON


def states_of(task_instance: Any) -> list[str | None]:
    """Ask Airflow for the state of a task instance, whoever runs it; nothing when its run was deleted."""
    states = RuntimeTaskInstance.get_task_states(
        dag_id=task_instance.dag_id,
        task_ids=[task_instance.task_id],
        run_ids=[task_instance.run_id],
        map_index=task_instance.map_index,
    )
    return list((states.get(task_instance.run_id) or {}).values())


def is_unwanted(task_instance: Any) -> bool:
    """Say whether somebody ended the task for good; where Airflow gives no answer in time, nobody is known to have.

    Called in a signal's handler, which may have interrupted another question to Airflow: hence a thread, and no waiting for ever.
    """
    answers: list[bool] = []
    asking = threading.Thread(
        target=lambda: answers.append(not any(goes_on(state) for state in states_of(task_instance))), daemon=True
    )
    asking.start()
    asking.join(ANSWER_SECONDS)
    return bool(answers and answers[0])
