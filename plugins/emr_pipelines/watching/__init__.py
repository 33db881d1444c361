"""Waiting for what EMR does: a short wait in the task's process, and one watcher for all triggers of a process that wait longer.

``looking``: the short wait. ``triggers``: what Airflow's triggerer runs; each puts its question to the watcher and awaits the answer.
``watcher``: the thread that asks for all of them. ``board`` (pure): whose turn it is. ``pace`` (pure): when to look again. ``budget``:
how many calls that may take. ``subjects``: what is asked, many at a time. ``metrics``: what Airflow's metrics tell of it.
"""

from emr_pipelines.watching.looking import job_state_of, target_of, wait_briefly
from emr_pipelines.watching.subjects import leases_in
from emr_pipelines.watching.triggers import ComputeTrigger, JobRunTrigger, RoomTrigger

__all__ = [
    "ComputeTrigger",
    "JobRunTrigger",
    "RoomTrigger",
    "job_state_of",
    "leases_in",
    "target_of",
    "wait_briefly",
]
