"""StartJobRun requests of EMR Serverless, and what its states mean. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from emr_pipelines.jobs import Engine, HiveJob, Job, SparkJob, SparkSqlJob
from emr_pipelines.keys import Key
from emr_pipelines.targets.job_runs import (
    NODE_LOST,
    configuration,
    one_text,
    packages_conf,
    settings,
    spark_options,
)
from emr_pipelines.targets.profile import given
from emr_pipelines.targets.serverless_profile import ServerlessProfile, portable
from emr_pipelines.targets.states import ComputeState, Fault, JobState, Phase, RunState

PHASES = {
    "CREATING": Phase.STARTING,
    "CREATED": Phase.STARTING,
    "STARTING": Phase.STARTING,
    "STARTED": Phase.READY,
    "STOPPING": Phase.ENDED,
    "STOPPED": Phase.ENDED,
    "TERMINATED": Phase.ENDED,
}
RUN_STATES = {
    "SUBMITTED": RunState.PENDING,
    "QUEUED": RunState.PENDING,
    "PENDING": RunState.PENDING,
    "SCHEDULED": RunState.PENDING,
    "RUNNING": RunState.RUNNING,
    "CANCELLING": RunState.CANCELLING,
    "SUCCESS": RunState.SUCCEEDED,
    "FAILED": RunState.FAILED,
    "CANCELLED": RunState.CANCELLED,
}
LIVE_RUNS = [name for name, state in RUN_STATES.items() if not state.ended]
ENDED_RUNS = [name for name, state in RUN_STATES.items() if state.ended]

_STOPPED_WHEN_IDLE = re.compile(r"auto[-_]?stop", re.IGNORECASE)
"""``stateDetails`` of an application that stopped because nothing ran on it; they stay when it is started again."""

_NOT_STARTED = re.compile(r"LimitExceeded|limit exceeded|quota|capacity", re.IGNORECASE)
"""``stateDetails`` of an application that did not start for want of capacity or quota."""

_NO_ROOM = re.compile(r"CapacityExceeded|InsufficientCapacity|QuotaExceeded|could not be allocated|in the queue")
_TOO_LONG = re.compile(r"time[ds]?[ -]?out|exceeded.*(duration|time)|maximum.*(duration|time)", re.IGNORECASE)
_INTERNAL = re.compile(r"internal (server |service )?(error|failure)", re.IGNORECASE)


def application_state(application: Mapping[str, Any], *, auto_start: bool) -> ComputeState:
    """Translate an ``Application`` or its summary; one that stopped for being idle starts again with the next job run."""
    state, details = application["state"], application.get("stateDetails") or ""
    words = f"application {application.get('id') or application['applicationId']} is {state}"
    words += f" ({details})" if details else ""
    phase = PHASES[state]
    if state in ("CREATED", "STOPPED") and _NOT_STARTED.search(details):
        return ComputeState(Phase.ENDED, words, Fault.CAPACITY)
    if phase is not Phase.ENDED:
        return ComputeState(phase, words)
    if state == "TERMINATED" or not _STOPPED_WHEN_IDLE.search(details):
        return ComputeState(Phase.ENDED, words, Fault.USER)
    if auto_start:
        return ComputeState(Phase.READY, f"{words}; the next job run starts it")
    return ComputeState(Phase.ENDED, f"{words}, and auto_start is off in its profile", Fault.USER)


def was_stopped_by_hand(application: Mapping[str, Any]) -> bool:
    """Whether somebody stopped an ``Application``: neither did it stop for being idle, nor was its start refused."""
    details = application.get("stateDetails") or ""
    return application["state"] == "STOPPED" and not (
        _STOPPED_WHEN_IDLE.search(details) or _NOT_STARTED.search(details)
    )


def job_state(run: Mapping[str, Any]) -> JobState:
    """Translate a ``JobRun`` or its summary, which tells when it was created and last changed, not when it began to work."""
    state, details = RUN_STATES[run["state"]], run.get("stateDetails") or ""
    began = run.get("startedAt") or (
        None if state is RunState.PENDING else run.get("attemptCreatedAt", run["createdAt"])
    )
    ended = (run.get("endedAt") or run["updatedAt"]) if state.ended else None
    if state is RunState.CANCELLED and _timed_out(run):
        details = (
            details or f"It ran for its executionTimeoutMinutes, {run['executionTimeoutMinutes']}, and was cancelled"
        )
        fault: Fault | None = Fault.JOB
    else:
        fault = _fault(state, details)
    return JobState(state, details, fault, began and began.timestamp(), ended and ended.timestamp())


def _timed_out(run: Mapping[str, Any]) -> bool:
    """Whether a job run had all its time, as a ``JobRun`` tells and its summary does not: AWS documents no words for it."""
    minutes: int = run.get("executionTimeoutMinutes", 0)
    worked: int = run.get("totalExecutionDurationSeconds", 0)
    return 0 < 60 * minutes <= worked


def _fault(state: RunState, details: str) -> Fault | None:
    if state is RunState.CANCELLED:
        return Fault.JOB if _TOO_LONG.search(details) else Fault.USER
    if state is not RunState.FAILED:
        return None
    if _NO_ROOM.search(details) or NODE_LOST.search(details):
        return Fault.CAPACITY
    return Fault.SERVICE if _INTERNAL.search(details) else Fault.JOB


def run_request(job: Job, code: Mapping[str, str], key: Key, profile: ServerlessProfile) -> dict[str, Any]:
    """Return the StartJobRun request of a job, without its application; the key is its client token.

    ``code`` says where in S3 each of the job's files lies.
    """
    engine: Engine = "hive" if isinstance(job, HiveJob) else "spark"
    limit = "maxAttempts" if profile.mode == "BATCH" else "maxFailedAttemptsPerHour"
    return given(
        {
            "clientToken": key.id,
            "name": key.name,
            "executionRoleArn": profile.execution_role,
            "jobDriver": _driver(job, code, profile),
            "configurationOverrides": given(
                {
                    "applicationConfiguration": [configuration(one) for one in profile.configurations_of(engine)]
                    or None,
                    "monitoringConfiguration": profile.monitoring(),
                }
            ),
            "mode": profile.mode,
            "retryPolicy": {limit: profile.attempts} if profile.attempts else None,
            "executionTimeoutMinutes": profile.execution_timeout_minutes,
            "tags": portable(profile.run_tags(key)),
        }
    )


def _driver(job: Job, code: Mapping[str, str], profile: ServerlessProfile) -> dict[str, Any]:
    match job:
        case SparkJob():
            packages = packages_conf(job, code, profile.stated_of_spark(), "spark.emr-serverless.driverEnv")
            words = spark_options(job, code, spark_sizes(profile), profile.table_jars(), packages)
            return _spark_submit(code[job.script], job.args, words)
        case SparkSqlJob():
            arguments = ("--script", code[job.script], *settings("--variable", job.variables))
            return _spark_submit(code[job.runner], arguments, settings("--conf", {**spark_sizes(profile), **job.conf}))
        case HiveJob():
            words = settings("--hiveconf", {**hive_sizes(profile), **job.conf})
            words += settings("--hivevar", job.variables)
            return {"hive": given({"query": code[job.script], "parameters": one_text(words)})}
        case _:
            raise TypeError(f"EMR Serverless runs no {type(job).__name__}")


def _spark_submit(entry_point: str, arguments: tuple[str, ...], words: list[str]) -> dict[str, Any]:
    parts = {
        "entryPoint": entry_point,
        "entryPointArguments": list(arguments),
        "sparkSubmitParameters": one_text(words),
    }
    return {"sparkSubmit": given(parts)}


def spark_sizes(profile: ServerlessProfile) -> dict[str, str]:
    """Return the workers of a Spark job, and whether they talk in secret, as its configuration."""
    sizes = profile.encryption.spark()
    for role, worker in ((role.lower(), worker) for role, worker in profile.spark_workers.items()):
        sizes[f"spark.{role}.cores"] = str(worker.cpu)
        sizes[f"spark.{role}.memory"] = f"{worker.heap}g"
        sizes[f"spark.emr-serverless.{role}.disk"] = f"{worker.disk}g"
        if worker.disk_type != "STANDARD":
            sizes[f"spark.emr-serverless.{role}.disk.type"] = worker.disk_type.lower()
    if profile.maximum_workers:
        sizes["spark.dynamicAllocation.maxExecutors"] = str(profile.maximum_workers)
        # EMR Serverless begins with three, which may be more than that.
        sizes["spark.dynamicAllocation.initialExecutors"] = str(min(3, profile.maximum_workers))
    return profile.settled(sizes)


def hive_sizes(profile: ServerlessProfile) -> dict[str, str]:
    """Return the workers of a Hive job as its configuration."""
    driver, task = profile.hive_driver, profile.tez_task
    return {
        "hive.driver.cores": str(driver.cpu),
        "hive.driver.memory": f"{driver.heap}g",
        "hive.driver.disk": f"{driver.disk}g",
        "hive.tez.cpu.vcores": str(task.cpu),
        "hive.tez.container.size": str(task.heap * 1024),
        "hive.tez.disk.size": f"{task.disk}g",
    }
