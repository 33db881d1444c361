"""Ends what no run needs any more: compute whose run has ended or was deleted, when nothing else ended it."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param

from emr_pipelines import EmrReaperOperator, current_environment

REAPER = current_environment().reaper

with DAG(
    "emr_reaper",
    description="Lists the EMR compute of this deployment, matches it with live runs, and ends what is orphaned",
    schedule="*/15 * * * *",  # without a start_date, the first pass does not come in the midst of Airflow's first start
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    dagrun_timeout=timedelta(hours=1),
    params={
        "dry_run": Param(
            REAPER.dry_run, type="boolean", title="Dry run", description="Only tell what is orphaned, and end nothing."
        ),
        "grace_minutes": Param(
            REAPER.grace_minutes,
            type="integer",
            minimum=0,
            title="Grace period",
            description="Minutes after which orphaned compute is ended, counted from its creation.",
        ),
    },
    tags=["emr"],
):
    EmrReaperOperator(task_id="reap")
