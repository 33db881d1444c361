"""Records as EMR on EKS's answers show them. What an answer's shape does not have, the protocol drops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local_emr.eks import lifecycle
from local_emr.runs.logs import ACCOUNT

if TYPE_CHECKING:
    from local_emr.eks.records import EksJobRun, JobTemplate, VirtualCluster

View = dict[str, Any]

CALLER = f"arn:aws:sts::{ACCOUNT}:user/moto"
"""What moto's GetCallerIdentity answers to credentials that it does not know."""


def virtual_cluster_view(cluster: VirtualCluster, live: tuple[EksJobRun, ...]) -> View:
    """Return a virtual cluster; `live` are its job runs that have not ended."""
    counts = {
        "currentInQueueJobRuns": len(lifecycle.queued(live)),
        "currentConcurrentJobRuns": len(lifecycle.concurrent(live)),
    }
    return {
        **cluster.request,
        "id": cluster.id,
        "arn": cluster.arn,
        "state": cluster.state,
        "createdAt": cluster.created,
        "tags": cluster.tags,
        "schedulerConfiguration": cluster.scheduler,
        "schedulerStatus": counts,
    }


def job_run_view(run: EksJobRun) -> View:
    """Return a job run; nothing of a retry policy where it allows one attempt."""
    retried = run.most_attempts > 1
    return {
        **run.job,
        "id": run.id,
        "name": run.request.get("name"),
        "virtualClusterId": run.owner,
        "arn": run.arn,
        "state": run.state,
        "stateDetails": run.attempt.details or None,
        "failureReason": run.failure_reason,
        "clientToken": run.request["clientToken"],
        "createdAt": run.created,
        "createdBy": CALLER,
        "finishedAt": run.attempt.ended,
        "tags": run.tags,
        "retryPolicyConfiguration": run.request["retryPolicyConfiguration"] if retried else None,
        "retryPolicyExecution": {"currentAttemptCount": len(run.attempts)} if retried else None,
    }


def template_view(template: JobTemplate) -> View:
    """Return a job template."""
    return {
        **template.request,
        "id": template.id,
        "arn": template.arn,
        "createdAt": template.created,
        "createdBy": CALLER,
        "tags": template.tags,
    }
