"""Pipelines that meet trouble: a job that waits long, one that never ends, one that fails."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from emr_pipelines import CommandJob, EmrJobOperator, EmrPipeline

SETTINGS = {"schedule": None, "start_date": datetime(2013, 1, 1, tzinfo=UTC), "is_paused_upon_creation": False}


def shell(script: str) -> CommandJob:
    """Return a job that runs a line of shell."""
    return CommandJob(command=("bash", "-c", script))


with DAG("waits_long", **SETTINGS), EmrPipeline("emr"):
    EmrJobOperator(task_id="job", job=shell("sleep 27"))

with DAG("takes_too_long", **SETTINGS), EmrPipeline("emr"):
    EmrJobOperator(task_id="job", job=shell("sleep 600"), execution_timeout=timedelta(seconds=28))

with DAG("is_timed_out", **SETTINGS, dagrun_timeout=timedelta(seconds=20)), EmrPipeline("emr"):
    EmrJobOperator(task_id="job", job=shell("sleep 600"))

with DAG("is_marked_failed", **SETTINGS), EmrPipeline("emr"):
    EmrJobOperator(task_id="job", job=shell("sleep 600"))

with DAG("fails_then_succeeds", **SETTINGS), EmrPipeline("emr"):
    EmrJobOperator(
        task_id="job",
        job=shell("[ {{ ti.try_number }} = 2 ] || { echo 'OSError: not yet' >&2; exit 3; }"),
        retries=1,
        retry_delay=timedelta(seconds=1),
    )

with DAG("runs_mapped", **SETTINGS), EmrPipeline("emr"):
    EmrJobOperator.partial(task_id="job").expand(
        job=[shell(f"exit {code}").model_dump(mode="json") for code in (0, 0, 0)]
    )
