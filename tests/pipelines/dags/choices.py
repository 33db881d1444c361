"""Pipelines that choose: compute that cannot be had, runs that wait for one another, settings within bounds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable
from airflow.sdk.definitions.retry_policy import ExceptionRetryPolicy, RetryAction, RetryRule

from emr_pipelines import Between, CommandJob, EmrJobOperator, EmrPipeline, SparkJob
from emr_pipelines.errors import JobCapacityError

SETTINGS = {"schedule": None, "start_date": datetime(2013, 1, 1, tzinfo=UTC), "is_paused_upon_creation": False}
ELSEWHERE = ["serverless", "ec2"]


def shell(script: str) -> CommandJob:
    """Return a job that runs a line of shell."""
    return CommandJob(command=("bash", "-c", script))


with DAG("moves_on", **SETTINGS), EmrPipeline("emr", targets=["ec2", ELSEWHERE]):
    EmrJobOperator(task_id="job", job=SparkJob(script="jobs/says_hello.py"))

with (
    DAG("stays", **SETTINGS),
    EmrPipeline("emr", targets=[["ec2", "ec2-one-at-a-time"]], overrides={"maximum_workers": Between(1, 100)}),
):
    EmrJobOperator(task_id="job", job=shell("echo 'OSError: of its own' >&2; exit 3"))

with DAG("waits_for_room", **SETTINGS), EmrPipeline("emr", targets=["ec2-one-at-a-time"]):
    EmrJobOperator(task_id="job", job=shell("sleep 1"))

with DAG("is_refused_once", **SETTINGS), EmrPipeline("emr", targets=["eks"]):
    EmrJobOperator(
        task_id="job",
        job=SparkJob(script="jobs/says_hello.py"),
        retries=1,
        retry_policy=ExceptionRetryPolicy(
            rules=[RetryRule(exception=JobCapacityError, action=RetryAction.RETRY, retry_delay=timedelta(seconds=1))],
            default=RetryAction.FAIL,
        ),
    )

DAILY = {**SETTINGS, "schedule": CronDataIntervalTimetable("0 0 * * *", timezone="UTC"), "catchup": False}
with (
    DAG("is_backfilled", **DAILY, end_date=datetime(2013, 1, 2, tzinfo=UTC)),
    EmrPipeline("emr", targets=["ec2", "ec2-one-at-a-time"]),
):
    EmrJobOperator(task_id="job", job=shell("true"))
