"""The same two jobs with the amazon provider's operators, as its guides show them, deferrable, retried, and torn down by Airflow.

Guides: "Amazon EMR", "Amazon EMR Serverless" and "Amazon EMR on Amazon EKS" of apache-airflow-providers-amazon; "Setup and
Teardown" of Airflow. Waiters look often, so that what is measured is what happens and not the waiting.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.amazon.aws.operators.emr import (
    EmrAddStepsOperator,
    EmrContainerOperator,
    EmrCreateJobFlowOperator,
    EmrServerlessCreateApplicationOperator,
    EmrServerlessDeleteApplicationOperator,
    EmrServerlessStartJobOperator,
    EmrTerminateJobFlowOperator,
)
from airflow.sdk import DAG, Param

SETTINGS: dict[str, Any] = {
    "schedule": None,
    "start_date": datetime(2013, 1, 1, tzinfo=UTC),
    "is_paused_upon_creation": False,
    "max_active_runs": 1000,
    "max_active_tasks": 1000,
    "params": {"jobs": Param({"first": [1, "succeed"], "second": [1, "succeed"]}, type="object")},
    "default_args": {"retries": 2, "retry_delay": timedelta(seconds=1)},
}
SCRIPT = "s3://local-artifacts/scripted.py"
ROLE = "arn:aws:iam::123456789012:role/jobs"
LOGS = {"monitoringConfiguration": {"s3MonitoringConfiguration": {"logUri": "s3://local-logs/"}}}


def words(task: str) -> list[str]:
    """Return the arguments of a job that say whose it is."""
    return ["chaos", "{{ run_id }}", task, f"{{{{ params.jobs.{task}[0] }}}}", f"{{{{ params.jobs.{task}[1] }}}}"]


class CreateApplication(EmrServerlessCreateApplicationOperator):
    """The provider's, whose settings may hold templates."""

    template_fields = (*EmrServerlessCreateApplicationOperator.template_fields, "config")


def on_ec2(deadline: timedelta | None) -> None:
    """Declare a cluster, two steps, and the cluster's end."""
    cluster = {
        "Name": "{{ run_id }}",
        "ReleaseLabel": "emr-7.9.0",
        "Applications": [{"Name": "Spark"}],
        "LogUri": "s3://local-logs/",
        "Instances": {
            "InstanceGroups": [
                {"Name": "Primary", "InstanceRole": "MASTER", "InstanceType": "m5.xlarge", "InstanceCount": 1}
            ],
            "KeepJobFlowAliveWhenNoSteps": True,
        },
        "JobFlowRole": "EMR_EC2_DefaultRole",
        "ServiceRole": "EMR_DefaultRole",
        "Tags": [{"Key": "run", "Value": "{{ run_id }}"}],
    }
    create = EmrCreateJobFlowOperator(task_id="create", job_flow_overrides=cluster)

    def step(task: str, **settings: Any) -> EmrAddStepsOperator:
        arguments = ["spark-submit", "--deploy-mode", "cluster", SCRIPT, *words(task)]
        return EmrAddStepsOperator(
            task_id=task,
            job_flow_id=create.output,
            steps=[
                {
                    "Name": f"{{{{ run_id }}}}-{task}",
                    "ActionOnFailure": "CONTINUE",
                    "HadoopJarStep": {"Jar": "command-runner.jar", "Args": arguments},
                }
            ],
            wait_for_completion=True,
            deferrable=True,
            waiter_delay=2,
            waiter_max_attempts=1000,
            **settings,
        )

    remove = EmrTerminateJobFlowOperator(task_id="remove", job_flow_id=create.output)
    create >> step("first", execution_timeout=deadline) >> step("second") >> remove.as_teardown(setups=create)


def on_eks(deadline: timedelta | None) -> None:
    """Declare two job runs on a virtual cluster that is there."""

    def job_run(task: str, **settings: Any) -> EmrContainerOperator:
        return EmrContainerOperator(
            task_id=task,
            name=f"{{{{ run_id }}}}-{task}",
            virtual_cluster_id=os.environ.get("VIRTUAL_CLUSTER", ""),
            execution_role_arn=ROLE,
            release_label="emr-7.9.0-latest",
            job_driver={"sparkSubmitJobDriver": {"entryPoint": SCRIPT, "entryPointArguments": words(task)}},
            configuration_overrides=LOGS,
            poll_interval=2,
            deferrable=True,
            **settings,
        )

    job_run("first", execution_timeout=deadline) >> job_run("second")


def on_serverless(deadline: timedelta | None) -> None:
    """Declare an application, two job runs, and the application's end."""
    create = CreateApplication(
        task_id="create",
        release_label="emr-7.9.0",
        job_type="SPARK",
        config={"name": "application-of-{{ run_id }}", "tags": {"run": "{{ run_id }}"}},
        waiter_delay=2,
    )

    def job_run(task: str, **settings: Any) -> EmrServerlessStartJobOperator:
        return EmrServerlessStartJobOperator(
            task_id=task,
            name=f"{{{{ run_id }}}}-{task}",
            application_id=create.output,
            execution_role_arn=ROLE,
            job_driver={"sparkSubmit": {"entryPoint": SCRIPT, "entryPointArguments": words(task)}},
            configuration_overrides=LOGS,
            waiter_delay=2,
            waiter_max_attempts=1000,
            deferrable=True,
            **settings,
        )

    delete = EmrServerlessDeleteApplicationOperator(task_id="delete", application_id=create.output, waiter_delay=2)
    create >> job_run("first", execution_timeout=deadline) >> job_run("second") >> delete.as_teardown(setups=create)


for target, declare in {"ec2": on_ec2, "eks": on_eks, "serverless": on_serverless}.items():
    with DAG(f"chaos_{target}", **SETTINGS):
        declare(None)
    with DAG(f"chaos_times_out_{target}", **SETTINGS, dagrun_timeout=timedelta(seconds=25)):
        declare(None)
    with DAG(f"chaos_deadline_{target}", **SETTINGS):
        declare(timedelta(seconds=15))
    with DAG(f"chaos_late_deadline_{target}", **SETTINGS):
        declare(timedelta(seconds=26))
