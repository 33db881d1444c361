"""What a job run comes to: the engine's step, its surroundings, and where its logs go. Pure.

Sources: "Spark Driver and Executor Logs" in AWS's EMR Containers Best Practices Guides; "Finding logs for drivers and
executors" in the Amazon EMR on EKS Development Guide.
"""

from __future__ import annotations

import hashlib
import shlex
from typing import TYPE_CHECKING, Any

from local_emr.engine import Step
from local_emr.runs import Work
from local_emr.runs.images import on_this_machine
from local_emr.runs.logs import CloudWatchLog, S3Log
from local_emr.runs.requests import environment_of, spark_defaults_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local_emr.eks.records import EksJobRun
    from local_emr.runs.logs import Log


def work_of(run: EksJobRun, data: Path, cluster: Path) -> Work:
    """Return what the latest attempt of `run` runs beside `cluster`, what lives as long as its virtual cluster."""
    configurations = run.job.get("configurationOverrides", {}).get("applicationConfiguration", [])
    return Work(
        step=step_of(run.job["jobDriver"]),
        folder=data / "jobs" / run.id / str(run.attempt.number),
        cluster=cluster,
        environment=environment_of(run.region, configurations),
        spark_defaults=spark_defaults_of(configurations),
        logs=tuple(logs_of(run)),
    )


def step_of(driver: dict[str, Any]) -> Step:
    """Return the command that a job driver means. Raises ValueError for parameters whose quotes do not match."""
    if spark := driver.get("sparkSubmitJobDriver"):
        parameters = shlex.split(spark.get("sparkSubmitParameters", ""))
        entry_point = on_this_machine(spark["entryPoint"])
        arguments = ("spark-submit", *parameters, entry_point, *spark.get("entryPointArguments", []))
    else:
        sql = driver["sparkSqlJobDriver"]
        arguments = ("spark-sql", *shlex.split(sql.get("sparkSqlParameters", "")), "-f", sql["entryPoint"])
    return Step("command-runner.jar", arguments)


def logs_of(run: EksJobRun) -> Iterator[Log]:
    """Yield where the latest attempt's logs go: the driver's, and what the engine says as the job runner's."""
    monitoring = run.job.get("configurationOverrides", {}).get("monitoringConfiguration", {})
    containers = f"{run.owner}/jobs/{run.id}/containers"
    pods = {
        "stdout": f"{containers}/spark-{run.id}/{driver_pod(run)}/stdout",
        "stderr": f"{containers}/spark-{run.id}/{driver_pod(run)}/stderr",
        "controller": f"{containers}/{run.id}-{_suffix(run.id)}/stdout",
    }
    if s3 := monitoring.get("s3MonitoringConfiguration"):
        for file, name in pods.items():
            yield S3Log(file, f"{s3['logUri'].rstrip('/')}/{name}.gz")
    if cloud_watch := monitoring.get("cloudWatchMonitoringConfiguration"):
        prefix = cloud_watch.get("logStreamNamePrefix")
        for file, name in pods.items():
            yield CloudWatchLog(
                file, run.region, cloud_watch["logGroupName"], "/".join(part for part in (prefix, name) if part)
            )


def driver_pod(run: EksJobRun) -> str:
    """Return the name of the latest driver's pod; it has a suffix where there may be several."""
    pod = f"spark-{run.id}-driver"
    return f"{pod}-{_suffix(f'{run.id}/{run.attempt.number}')}" if run.most_attempts > 1 else pod


def _suffix(seed: str) -> str:
    return hashlib.sha256(seed.encode()).hexdigest()[:5]
