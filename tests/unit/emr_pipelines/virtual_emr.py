"""EMR on EC2 in virtual time, without a client token as AWS has it: it tells the truth late, and sometimes not at all.

``VirtualEmr`` is what the target ``ec2`` takes for boto3's client. It keeps every step that was ever added, so that a test can judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError, ConnectionClosedError

LIVE = ("PENDING", "RUNNING", "CANCEL_PENDING")


class Clock:
    """Time that passes only when somebody sleeps; stands for the module ``time``."""

    def __init__(self):
        self.now = 1_000_000.0

    def time(self):
        return self.now

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@dataclass(eq=False)
class Step:
    """One job run. What its arguments say is who asked for it and what work it does, whatever its name claims."""

    id: str
    cluster: str
    name: str
    asked_by: str
    work: str
    created: float
    listed_from: float
    ends_at: float
    outcome: str
    cancelled_at: float | None = None
    cancelling_until: float | None = None

    def state(self, now: float) -> str:
        """Return its state as AWS would give it at that time."""
        if self.cancelling_until is not None:
            return "CANCELLED" if now >= self.cancelling_until else "CANCEL_PENDING"
        return self.outcome if now >= self.ends_at else "RUNNING"


@dataclass
class Behaviour:
    """How the service behaves until it is told otherwise."""

    lag: float = 0.0
    """Seconds until ListSteps shows a new step."""
    lasting: float = 60.0
    outcome: str = "COMPLETED"
    cancelling: float = 2.0
    """Seconds until a step that was cancelled has ended."""
    troubles: Sequence[str] = ()
    """What befalls the next calls of AddJobFlowSteps: ``throttled``, ``request lost``, ``answer lost``."""


class VirtualEmr:
    """The service of one account, for as many deployments as there are in it."""

    meta = SimpleNamespace(endpoint_url="https://elasticmapreduce.us-east-1.amazonaws.com")

    def __init__(self, clock, touched=lambda what, when: None):
        self.clock = clock
        self.behaviour = Behaviour()
        self.clusters: dict[str, dict[str, Any]] = {}
        self.steps: dict[str, Step] = {}
        self.cancelled: list[str] = []
        self._touched = touched

    def live(self) -> list[Step]:
        return [step for step in self.steps.values() if step.state(self.clock.now) in LIVE]

    def describe_security_configuration(self, Name):  # noqa: N803  # botocore's names
        return {"Name": Name}

    def run_job_flow(self, **request):
        cluster = f"j-{len(self.clusters) + 1}"
        self.clusters[cluster] = {
            "name": request["Name"],
            "tags": request["Tags"],
            "at": self.clock.now,
            "ended": False,
        }
        return {"JobFlowId": cluster}

    def add_job_flow_steps(self, JobFlowId, Steps):  # noqa: N803  # botocore's names
        self._touched("submit", "before")
        trouble, *self.behaviour.troubles = self.behaviour.troubles or [None]
        if trouble == "throttled":
            raise _refusal("ThrottlingException", "Rate exceeded", "AddJobFlowSteps")
        if trouble == "request lost":
            raise ConnectionClosedError(endpoint_url=self.meta.endpoint_url)
        if self.clusters[JobFlowId]["ended"]:
            words = "A job flow that is shutting down, terminated, or finished may not be modified."
            raise _refusal("ValidationException", words, "AddJobFlowSteps")
        step = self._add(JobFlowId, Steps[0])
        if trouble == "answer lost":
            raise ConnectionClosedError(endpoint_url=self.meta.endpoint_url)
        self._touched("submit", "after")
        return {"StepIds": [step.id]}

    def cancel_steps(self, ClusterId, StepIds, **_):  # noqa: N803  # botocore's names
        self._touched("cancel", "before")
        for step in (self.steps[one] for one in StepIds):
            self.cancelled.append(step.id)
            if step.state(self.clock.now) == "RUNNING":
                step.cancelled_at = self.clock.now
                step.cancelling_until = self.clock.now + self.behaviour.cancelling
        self._touched("cancel", "after")
        return {}

    def describe_cluster(self, ClusterId):  # noqa: N803  # botocore's names
        ended = self.clusters[ClusterId]["ended"]
        status = {"State": "TERMINATED" if ended else "WAITING", "StateChangeReason": {"Code": "USER_REQUEST"}}
        return {"Cluster": {"Id": ClusterId, "Status": status, "Tags": self.clusters[ClusterId]["tags"]}}

    def describe_step(self, ClusterId, StepId):  # noqa: N803  # botocore's names
        self._touched("look", "before")
        return {"Step": self._shown(self.steps[StepId])}

    def set_termination_protection(self, **_):
        return {}

    def terminate_job_flows(self, JobFlowIds):  # noqa: N803  # botocore's names
        for cluster in JobFlowIds:
            self.clusters[cluster]["ended"] = True
        for step in self.live():
            if step.cluster in JobFlowIds:
                step.cancelled_at = step.cancelling_until = self.clock.now
        return {}

    def get_paginator(self, operation):
        return SimpleNamespace(paginate=getattr(self, f"_{operation}"))

    def _list_clusters(self, **_):
        return [
            {
                "Clusters": [
                    {"Id": cluster, "Name": one["name"], "Status": {"Timeline": {"CreationDateTime": _date(one["at"])}}}
                    for cluster, one in self.clusters.items()
                    if not one["ended"]
                ]
            }
        ]

    def _list_steps(self, ClusterId, StepIds=None, StepStates=None):  # noqa: N803  # botocore's names
        self._touched("look", "before")
        now = self.clock.now
        listed = [step for step in self.steps.values() if step.cluster == ClusterId and now >= step.listed_from]
        chosen = [step for step in listed if (not StepIds or step.id in StepIds)]
        wanted = [step for step in chosen if not StepStates or step.state(now) in StepStates]
        return [{"Steps": [self._shown(step) for step in reversed(wanted)]}]

    def _add(self, cluster, request):
        now, how = self.clock.now, self.behaviour
        asked_by, work = request["HadoopJarStep"]["Args"][-2:]
        number = f"s-{len(self.steps) + 1}"
        step = Step(
            number, cluster, request["Name"], asked_by, work, now, now + how.lag, now + how.lasting, how.outcome
        )
        self.steps[step.id] = step
        return step

    def _shown(self, step):
        times = {"CreationDateTime": _date(step.created), "StartDateTime": _date(step.created)}
        if (state := step.state(self.clock.now)) not in LIVE:
            times["EndDateTime"] = _date(min(self.clock.now, step.cancelling_until or step.ends_at))
        return {"Id": step.id, "Name": step.name, "Status": {"State": state, "Timeline": times}}


class NoLogs:
    """S3 to which no log was delivered."""

    def get_object(self, **_):
        raise _refusal("NoSuchKey", "The specified key does not exist.", "GetObject")


def _refusal(code, words, operation):
    return ClientError(
        {"Error": {"Code": code, "Message": words}, "ResponseMetadata": {"HTTPStatusCode": 400}}, operation
    )


def _date(seconds):
    return datetime.fromtimestamp(seconds, UTC)
