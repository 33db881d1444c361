"""Records as the answers of EMR Serverless show them. What an answer's shape does not have, the protocol drops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local_emr.runs.logs import ACCOUNT
from local_emr.serverless.records import AUTO_STOP_MINUTES, Application, ServerlessJobRun
from local_emr.serverless.workers import billed_utilization, utilization

if TYPE_CHECKING:
    from local_emr.runs import Attempt

View = dict[str, Any]

CREATED_BY = f"arn:aws:sts::{ACCOUNT}:user/moto"
"""Who calls, as moto's STS tells it of credentials that it does not know."""


def application_summary(application: Application) -> View:
    """Return an application as ListApplications shows it."""
    return {
        "id": application.id,
        "name": application.name or None,
        "arn": application.arn,
        "releaseLabel": application.settings["releaseLabel"],
        "type": application.type,
        "state": application.state,
        "stateDetails": application.details,
        "createdAt": application.created,
        "updatedAt": application.updated,
        "architecture": application.settings.get("architecture", "X86_64"),
    }


def application_view(application: Application) -> View:
    """Return an application as GetApplication shows it, with the defaults that it has."""
    auto_stop = {"enabled": True, "idleTimeoutMinutes": AUTO_STOP_MINUTES}
    return {
        **application.settings,
        **application_summary(application),
        "applicationId": application.id,
        "tags": application.tags,
        "autoStartConfiguration": {"enabled": application.starts_itself},
        "autoStopConfiguration": auto_stop | application.settings.get("autoStopConfiguration", {}),
        "schedulerConfiguration": application.scheduler,
    }


def job_run_summary(run: ServerlessJobRun, attempt: Attempt | None = None) -> View:
    """Return a job run as ListJobRuns shows it, at `attempt` or the latest one."""
    at = attempt or run.attempt
    return {
        "applicationId": run.owner,
        "id": run.id,
        "name": run.request.get("name"),
        "mode": run.mode,
        "arn": run.arn,
        "createdBy": CREATED_BY,
        "createdAt": run.created,
        "updatedAt": at.updated,
        "executionRole": run.request["executionRoleArn"],
        "state": at.state,
        "stateDetails": at.details,
        "releaseLabel": run.release,
        "type": run.type,
        "attempt": at.number,
        "attemptCreatedAt": at.created,
        "attemptUpdatedAt": at.updated,
        "flexExecution": run.request.get("flexExecution"),
    }


def attempt_summary(run: ServerlessJobRun, attempt: Attempt) -> View:
    """Return an attempt as ListJobRunAttempts shows it."""
    return {**job_run_summary(run, attempt), "jobCreatedAt": run.created, "createdAt": attempt.created}


def job_run_view(application: Application, run: ServerlessJobRun, attempt: Attempt) -> View:
    """Return a job run as GetJobRun shows it at `attempt`."""
    return {
        **run.request,
        **job_run_summary(run, attempt),
        "jobRunId": run.id,
        "tags": run.tags,
        "executionTimeoutMinutes": run.timeout_minutes,
        "retryPolicy": run.request.get("retryPolicy"),
        "networkConfiguration": application.settings.get("networkConfiguration"),
        "startedAt": attempt.started,
        "endedAt": attempt.ended,
        "queuedDurationMilliseconds": round(1000 * run.queued_seconds),
        **(_use(run) if run.has_ended else {}),
    }


def _use(run: ServerlessJobRun) -> View:
    """Return what all attempts used and what is billed for it."""
    seconds = [
        attempt.ended - attempt.started
        for attempt in run.attempts
        if attempt.started is not None and attempt.ended is not None
    ]
    return {
        "totalExecutionDurationSeconds": round(sum(seconds)),
        "totalResourceUtilization": utilization(run.capacity, seconds),
        "billedResourceUtilization": billed_utilization(run.capacity, run.billed_disk_gb, seconds),
    }
