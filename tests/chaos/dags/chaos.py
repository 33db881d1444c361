"""Pipelines whose two jobs take the time, and come to the end, that the run's configuration says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, Param

from emr_pipelines import EmrJobOperator, EmrPipeline, SparkJob

TARGETS = ["ec2", "eks", "serverless"]
JOBS = Param({"first": [1, "succeed"], "second": [1, "succeed"]}, type="object")


def job(task: str, **settings: Any) -> EmrJobOperator:
    """Return a task whose job says whose it is."""
    words = ("chaos", "{{ run_id }}", task, f"{{{{ params.jobs.{task}[0] }}}}", f"{{{{ params.jobs.{task}[1] }}}}")
    return EmrJobOperator(
        task_id=task,
        job=SparkJob(script="jobs/scripted.py", args=words),
        retries=2,
        retry_delay=timedelta(seconds=1),
        **settings,
    )


def pipeline(dag_id: str, deadline: timedelta | None = None, **settings: Any) -> None:
    """Declare one."""
    with (
        DAG(
            dag_id,
            schedule=None,
            start_date=datetime(2013, 1, 1, tzinfo=UTC),
            is_paused_upon_creation=False,
            max_active_runs=1000,
            max_active_tasks=1000,
            params={"jobs": JOBS},
            default_args={"retries": 2, "retry_delay": timedelta(seconds=1)},
            **settings,
        ),
        EmrPipeline("emr", targets=TARGETS),
    ):
        job("first", execution_timeout=deadline) >> job("second")


pipeline("chaos")
pipeline("chaos_times_out", dagrun_timeout=timedelta(seconds=25))
pipeline("chaos_deadline", deadline=timedelta(seconds=15))
pipeline("chaos_late_deadline", deadline=timedelta(seconds=26))
