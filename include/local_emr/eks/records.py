"""What the control plane knows of virtual clusters, job templates and job runs. Times are epoch seconds."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from local_emr.runs import JobRun, Records, States
from local_emr.runs.logs import ACCOUNT

if TYPE_CHECKING:
    from pathlib import Path

    from local_emr.clock import Clock

RUNNING, TERMINATING, TERMINATED = "RUNNING", "TERMINATING", "TERMINATED"
"""States of a virtual cluster; it is RUNNING from the start, for nothing of its own has to boot."""


def arn(region: str, resource: str) -> str:
    """Return an ARN of EMR on EKS (Service Authorization Reference, Amazon EMR on EKS)."""
    return f"arn:aws:emr-containers:{region}:{ACCOUNT}:/{resource}"


@dataclass
class VirtualCluster:
    """A virtual cluster: a namespace of an EKS cluster. `request` is what created it, for all that never changes."""

    id: str
    region: str
    request: dict[str, Any]
    created: float
    tags: dict[str, str]
    scheduler: dict[str, int] | None = None
    state: str = RUNNING

    @property
    def name(self) -> str:
        """The virtual cluster's name."""
        return str(self.request["name"])

    @property
    def arn(self) -> str:
        """The virtual cluster's ARN."""
        return arn(self.region, f"virtualclusters/{self.id}")

    @property
    def namespace(self) -> tuple[str, str]:
        """The EKS cluster and the namespace, which no two virtual clusters share."""
        provider = self.request["containerProvider"]
        return provider["id"], provider["info"]["eksInfo"]["namespace"]

    @classmethod
    def read(cls, text: str) -> VirtualCluster:
        """Return a record from its JSON. Raises ValueError or TypeError for anything else."""
        return cls(**json.loads(text))


@dataclass
class JobTemplate:
    """A job template. `request` is what created it."""

    id: str
    region: str
    request: dict[str, Any]
    created: float
    tags: dict[str, str]

    @property
    def arn(self) -> str:
        """The template's ARN."""
        return arn(self.region, f"jobtemplates/{self.id}")

    @classmethod
    def read(cls, text: str) -> JobTemplate:
        """Return a record from its JSON. Raises ValueError or TypeError for anything else."""
        return cls(**json.loads(text))


@dataclass
class EksJobRun(JobRun):
    """A job run. `job` is what its request and its job template come to: driver, release, role, configuration."""

    job: dict[str, Any] = field(default_factory=dict)
    failure_reason: str | None = None

    states: ClassVar[States] = States(
        waiting=("PENDING", "SUBMITTED"),
        running="RUNNING",
        succeeded="COMPLETED",
        failed="FAILED",
        cancelling="CANCEL_PENDING",
        cancelled="CANCELLED",
    )

    @property
    def arn(self) -> str:
        """The job run's ARN."""
        return arn(self.region, f"virtualclusters/{self.owner}/jobruns/{self.id}")

    @property
    def arguments(self) -> list[str]:
        """What its Spark driver is given; none of SQL."""
        return list(self.job["jobDriver"].get("sparkSubmitJobDriver", {}).get("entryPointArguments", []))

    @property
    def most_attempts(self) -> int:
        """How often its driver may be started in all."""
        return int(self.request.get("retryPolicyConfiguration", {}).get("maxAttempts", 1))


class Store:
    """Where the records are, below the endpoint's data folder."""

    def __init__(self, data: Path, clock: Clock) -> None:
        self.folder = data / "virtual-clusters"
        self.clusters = Records(self.folder, "*/virtual-cluster.json", VirtualCluster.read, clock)
        self.job_runs = Records(self.folder, "*/job-runs/*.json", EksJobRun.read, clock)
        self.templates = Records(data / "job-templates", "*.json", JobTemplate.read, clock)

    def folder_of(self, cluster_id: str) -> Path:
        """Return the folder of what lives as long as the virtual cluster."""
        return self.folder / cluster_id
