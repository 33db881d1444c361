"""Pipelines that leave compute behind: one without its release, and one whose run waits for ever, since it is paused."""

from __future__ import annotations

from datetime import UTC, datetime
from unittest.mock import patch

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task

from emr_pipelines import EmrPipeline, pipeline

SETTINGS = {"schedule": None, "start_date": datetime(2013, 1, 1, tzinfo=UTC)}


@task
def fails() -> None:
    """Fail."""
    raise RuntimeError("of its own")


with (
    patch.object(pipeline, "ReleaseOperator", EmptyOperator),
    DAG("is_never_released", **SETTINGS, is_paused_upon_creation=False),
    EmrPipeline("emr", targets=["ec2", "serverless"]),
):
    fails()

with DAG("waits_for_ever", **SETTINGS, is_paused_upon_creation=True):
    EmptyOperator(task_id="never")
