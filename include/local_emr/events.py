"""Changes of state, announced on the default event bus of moto's EventBridge as the three services announce theirs.

Sources: EventBridge Events Reference, "Amazon EMR events", "Amazon EMR Containers events", "Amazon EMR Serverless events";
EMR Management Guide, "Monitoring Amazon EMR events with CloudWatch"; EMR Serverless User Guide, "Automating EMR
Serverless with Amazon EventBridge". AWS shows no event of EMR on EKS: its detail is what DescribeJobRun would answer.
"""

from __future__ import annotations

import heapq
import json
import logging
import threading
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from local_emr.faults import LateEvent, LoseEvent, RegionDown, RepeatEvent
from local_emr.runs.logs import ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_emr.clock import Clock
    from local_emr.faults import Fault, Faults

    Announce = Callable[..., None]
    """Called as `Events.announce`."""

logger = logging.getLogger(__name__)

SOURCES = {
    "elasticmapreduce": "aws.emr",
    "emr-containers": "aws.emr-containers",
    "emr-serverless": "aws.emr-serverless",
}
"""What events name as their source, by what requests are signed for."""


class Telling(NamedTuple):
    """What is told of a change of state: the event's `detail-type` and its `detail`."""

    kind: str
    detail: dict[str, Any]


class Events:
    """Announces what it is told of, best effort: an event that cannot be delivered is logged, and disturbs nothing else."""

    def __init__(self, faults: Faults, clock: Clock) -> None:
        self._faults = faults
        self._clock = clock
        self._states: dict[tuple[str, str], str] = {}
        self._changed = threading.Condition()
        self._due: list[_Due] = []
        self._numbers = count()
        self._closed = False
        self._thread = threading.Thread(target=self._live, name="events", daemon=True)

    def begin(self) -> None:
        """Deliver from now on."""
        self._thread.start()

    def close(self) -> None:
        """Deliver nothing more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def announce(self, service: str, compute: Any, run: Any = None) -> None:
        """Tell of compute, or of a step or job run on it, if its state is another than was told, or if it is new.

        Their records must have been saved: who hears of a change finds it in the listings. Raises nothing.
        """
        try:
            self._announce(service, compute, run)
        except Exception:
            logger.exception("a change of state at %s was not announced", service)

    def _announce(self, service: str, compute: Any, run: Any) -> None:
        changed = compute if run is None else run
        with self._changed:
            previous = self._states.get((service, changed.id))
            if previous == changed.state:
                return
            self._states[service, changed.id] = changed.state
        telling = telling_of(service, compute, run, previous)
        if telling is not None:
            name = compute.name if run is None else f"{compute.name}/{run.name}"
            self._send(service, name, event_of(service, compute.region, self._clock.now(), telling))

    def _send(self, service: str, name: str, event: dict[str, Any]) -> None:
        fault = self._faults.strike_event(service, event["region"], name, event["detail"]["state"])
        at = self._clock.now()
        with self._changed:
            for due in moments(fault, at):
                heapq.heappush(self._due, _Due(due, next(self._numbers), event))
            self._changed.notify_all()

    def _live(self) -> None:
        while (event := self._next()) is not None:
            deliver(event)

    def _next(self) -> dict[str, Any] | None:
        """Wait for the event that is due next; None: the endpoint ends."""
        with self._changed:
            while not self._closed:
                until = self._due[0].at if self._due else None
                if until is not None and until <= self._clock.now():
                    return heapq.heappop(self._due).event
                self._clock.wait(self._changed, until)
        return None


@dataclass(order=True)
class _Due:
    at: float
    number: int
    event: dict[str, Any] = field(compare=False)


def moments(fault: Fault | None, now: float) -> list[float]:
    """Say when an event of `now` is delivered, which a fault strikes or none."""
    match fault:
        case LoseEvent() | RegionDown():
            return []
        case RepeatEvent():
            return [now, now]
        case LateEvent(seconds=seconds):
            return [now + (seconds or 0.0)]
    return [now]


def event_of(service: str, region: str, now: float, telling: Telling) -> dict[str, Any]:
    """Return the event as EventBridge has it, but for `time`, which is in epoch seconds for moto to write."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": telling.kind,
        "source": SOURCES[service],
        "account": ACCOUNT,
        "time": now,
        "region": region,
        "resources": [],
        "detail": {name: value for name, value in telling.detail.items() if value is not None},
    }


def deliver(event: dict[str, Any]) -> None:
    """Hand an event to the rules of its region's default bus; what a rule makes of it is moto's, but for input transformers."""
    try:
        from moto.events.models import events_backends  # noqa: PLC0415 - see `local_emr.server.moto`

        rules = events_backends[ACCOUNT][event["region"]].event_buses["default"].rules
        for rule in list(rules.values()):
            if rule.state == "ENABLED":
                _hand(rule.send_to_targets, event, rule.name)
    except Exception:
        logger.exception("event %s was not delivered", event["id"])


def _hand(send: Callable[..., None], event: dict[str, Any], rule: str) -> None:
    try:
        # moto's own transformation drops the account, and takes half a second to load.
        send(event, transform_input=False)
    except Exception:
        logger.exception("rule %s did not deliver event %s", rule, event["id"])


# What is told


def telling_of(service: str, compute: Any, run: Any, previous: str | None) -> Telling | None:
    """Return what AWS tells of this state; None: nothing, as of a virtual cluster or of a cluster's TERMINATING."""
    if service == "elasticmapreduce":
        return _of_cluster(compute) if run is None else _of_step(compute, run)
    if service == "emr-containers":
        return None if run is None else _of_eks_job_run(run)
    return _of_application(compute) if run is None else _of_serverless_job_run(run, previous)


CLUSTER_SEVERITIES = {
    "STARTING": "INFO",
    "RUNNING": "INFO",
    "WAITING": "INFO",
    "TERMINATED": "INFO",
    "TERMINATED_WITH_ERRORS": "CRITICAL",
}
"""The states of a cluster that AWS tells of."""

STEP_SEVERITIES = {
    "PENDING": "INFO",
    "CANCEL_PENDING": "WARN",
    "RUNNING": "INFO",
    "COMPLETED": "INFO",
    "CANCELLED": "WARN",
    "FAILED": "ERROR",
}
"""The states of a step that AWS tells of."""


def _of_cluster(cluster: Any) -> Telling | None:
    if cluster.state not in CLUSTER_SEVERITIES:
        return None
    reason = {"code": cluster.reason_code or ""} | ({"message": cluster.message} if cluster.reason_code else {})
    return Telling(
        "EMR Cluster State Change",
        {
            "severity": CLUSTER_SEVERITIES[cluster.state],
            "stateChangeReason": json.dumps(reason, separators=(",", ":")),
            "name": cluster.name,
            "clusterId": cluster.id,
            "state": cluster.state,
            "message": f"Amazon EMR cluster {cluster.id} ({cluster.name}) is {cluster.state}.",
        },
    )


def _of_step(cluster: Any, step: Any) -> Telling | None:
    if step.state not in STEP_SEVERITIES:
        return None
    return Telling(
        "EMR Step Status Change",
        {
            "severity": STEP_SEVERITIES[step.state],
            "actionOnFailure": step.action_on_failure,
            "stepId": step.id,
            "name": step.name,
            "clusterId": cluster.id,
            "state": step.state,
            "message": f"Step {step.id} ({step.name}) in Amazon EMR cluster {cluster.id} ({cluster.name}) is {step.state}.",
        },
    )


def _of_eks_job_run(run: Any) -> Telling:
    return Telling(
        "EMR Job Run State Change",
        {
            "id": run.id,
            "name": run.name or None,
            "virtualClusterId": run.owner,
            "arn": run.arn,
            "state": run.state,
            "stateDetails": run.attempt.details or None,
            "failureReason": run.failure_reason,
            "releaseLabel": run.job.get("releaseLabel"),
            "executionRoleArn": run.job.get("executionRoleArn"),
            "createdAt": _moment(run.created),
            "finishedAt": _moment(run.attempt.ended),
        },
    )


def _of_application(application: Any) -> Telling:
    return Telling(
        "EMR Serverless Application State Change",
        {
            "applicationId": application.id,
            "applicationName": application.name or None,
            "arn": application.arn,
            "releaseLabel": application.settings["releaseLabel"],
            "state": application.state,
            "type": application.type.upper(),
            "createdAt": _moment(application.created),
            "updatedAt": _moment(application.updated),
        },
    )


def _of_serverless_job_run(run: Any, previous: str | None) -> Telling:
    return Telling(
        "EMR Serverless Job Run State Change",
        {
            "jobRunId": run.id,
            "jobRunName": run.name or None,
            "applicationId": run.owner,
            "arn": run.arn,
            "releaseLabel": run.release,
            "state": run.state,
            "previousState": previous,
            "updatedAt": _moment(run.attempt.updated),
            "createdAt": _moment(run.created),
        },
    )


def _moment(seconds: float | None) -> str | None:
    """Return epoch seconds as the services write them in events."""
    return None if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
