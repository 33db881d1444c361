"""The flights pipeline written by hand with the amazon provider's operators, as its documentation shows: the peer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.amazon.aws.operators.emr import (
    EmrAddStepsOperator,
    EmrCreateJobFlowOperator,
    EmrTerminateJobFlowOperator,
)
from airflow.providers.amazon.aws.sensors.emr import EmrStepSensor
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, CronDataIntervalTimetable

DATA = "s3://local-data"
CODE = "s3://local-artifacts/code"
DAY = "{{ data_interval_start | ds }}"
VERSION = "{{ data_interval_start | ds_nodash }}"
CLUSTER = {
    "Name": "flights",
    "ReleaseLabel": "emr-7.9.0",
    "LogUri": "s3://local-logs/elasticmapreduce/",
    "Applications": [{"Name": "Spark"}, {"Name": "Hive"}],
    "Instances": {
        "InstanceGroups": [
            {"Name": "primary", "InstanceRole": "MASTER", "InstanceType": "m5.xlarge", "InstanceCount": 1},
            {"Name": "core", "InstanceRole": "CORE", "InstanceType": "m5.xlarge", "InstanceCount": 2},
        ],
        "KeepJobFlowAliveWhenNoSteps": True,
    },
    "ServiceRole": "EMR_DefaultRole",
    "JobFlowRole": "EMR_EC2_DefaultRole",
    "AutoTerminationPolicy": {"IdleTimeout": 600},
}


def step(name: str, *words: str) -> dict[str, object]:
    """Return a step of command-runner.jar."""
    return {
        "Name": name,
        "ActionOnFailure": "CONTINUE",
        "HadoopJarStep": {"Jar": "command-runner.jar", "Args": list(words)},
    }


CLEAN = step(
    "clean",
    "spark-submit",
    f"{CODE}/clean.py",
    "--source",
    f"{DATA}/raw/flights/",
    "--destination",
    f"{DATA}/flights/dt={DAY}/",
    "--date",
    DAY,
)
CARRIERS = step(
    "carriers",
    *("hive-script", "--run-hive-script", "--args", "-f", f"{CODE}/carrier_delay.hql", "-d", f"version={VERSION}"),
    *("-d", f"source={DATA}/flights/dt={DAY}/", "-d", f"destination={DATA}/carrier_delay/dt={DAY}/"),
)
CHECK = step(
    "check",
    "spark-submit",
    f"{CODE}/quality_check.py",
    "--plan",
    f"{CODE}/plan.json",
    "--data",
    f"{DATA}/flights/dt={DAY}/",
)

with DAG(
    "flights_by_hand",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2013, 1, 1, tzinfo=UTC),
    end_date=datetime(2013, 12, 31, tzinfo=UTC),
    catchup=False,
    default_args={"retries": 1, "retry_delay": timedelta(seconds=10), "execution_timeout": timedelta(hours=1)},
):
    create = EmrCreateJobFlowOperator(task_id="create", job_flow_overrides=CLUSTER)
    before = create
    for work in (CLEAN, CARRIERS, CHECK):
        add = EmrAddStepsOperator(task_id=f"add_{work['Name']}", job_flow_id=create.output, steps=[work])
        wait = EmrStepSensor(
            task_id=str(work["Name"]),
            job_flow_id=create.output,
            step_id=f"{{{{ ti.xcom_pull(task_ids='add_{work['Name']}')[0] }}}}",
        )
        before >> add >> wait
        before = wait
    terminate = EmrTerminateJobFlowOperator(task_id="terminate", job_flow_id=create.output)
    publish = EmptyOperator(
        task_id="publish",
        outlets=[Asset("flights", uri=f"{DATA}/flights/"), Asset("carrier_delay", uri=f"{DATA}/carrier_delay/")],
    )
    before >> terminate.as_teardown(setups=create)
    before >> publish
