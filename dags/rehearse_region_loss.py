"""A region is lost: does a run end well in another one? There is no such DAG where no target has profiles in several regions.

It switches nothing off. Switch off the region of the first profile that it is triggered with, trigger it, and switch the region on again.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import DAG, task

from emr_pipelines import EmrJobOperator, EmrPipeline, SparkJob, current_environment
from emr_pipelines.rehearsing import chains_across_regions, outcome

if chains := chains_across_regions(current_environment()):
    with DAG(
        "rehearse_region_loss",
        description="Acquires compute while the first region is lost, runs a job in the next, and tells what came of it",
        schedule=None,
        start_date=datetime(2013, 1, 1, tzinfo=UTC),
        catchup=False,
        is_paused_upon_creation=False,
        tags=["emr"],
    ):
        with EmrPipeline("emr", targets=chains) as emr:
            EmrJobOperator(task_id="job", job=SparkJob(script="jobs/rehearse.py"))

        @task
        def tell(ti: Any = None) -> dict[str, str]:
            """Fail where the rehearsal showed nothing, or that the region's loss would take more with it."""
            return outcome(current_environment(), ti.xcom_pull(task_ids="emr.acquire"))

        emr >> tell()
