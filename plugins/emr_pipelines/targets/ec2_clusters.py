"""Clusters: how they stand, what steps and instances they have, and those that are made for runs.

A cluster made for a run carries its lease in its name and, with the whole identity, in its tags.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from emr_pipelines.jobs import Engine
from emr_pipelines.keys import Key, Lease, lease_in
from emr_pipelines.targets.base import Clients, Compute, Owned
from emr_pipelines.targets.ec2_profile import Ec2Profile
from emr_pipelines.targets.ec2_security_configurations import secured
from emr_pipelines.targets.once import send_once
from emr_pipelines.targets.profile import DEPLOYMENT_TAG, LEASE_TAG, PROFILE_TAG
from emr_pipelines.targets.refusals import REFUSALS, did_nothing, refused
from emr_pipelines.targets.states import ComputeState, Fault, Phase

PHASES = {
    "STARTING": Phase.STARTING,
    "BOOTSTRAPPING": Phase.STARTING,
    "RUNNING": Phase.READY,
    "WAITING": Phase.READY,
    "TERMINATING": Phase.ENDED,
    "TERMINATED": Phase.ENDED,
    "TERMINATED_WITH_ERRORS": Phase.ENDED,
}
LIVE_CLUSTERS = [name for name, phase in PHASES.items() if phase is not Phase.ENDED]
FAULTS = {
    "INTERNAL_ERROR": Fault.SERVICE,
    "VALIDATION_ERROR": Fault.USER,
    "INSTANCE_FAILURE": Fault.CAPACITY,
    "INSTANCE_FLEET_TIMEOUT": Fault.CAPACITY,
    "BOOTSTRAP_FAILURE": Fault.USER,
    "USER_REQUEST": Fault.USER,
    "STEP_FAILURE": Fault.JOB,
}
_CAPACITY_CODE = re.compile(r"CAPACITY|SPOT|INSUFFICIENT|LIMIT_EXCEEDED")
_MAY_RUN = "A cluster may run and cost: a retry adopts it, release ends it."

ALWAYS = (-math.inf, math.inf)
"""All time, in seconds since 1970."""


class Clusters:
    """The clusters of one place, whoever made them."""

    def __init__(self, profile: Ec2Profile, clients: Clients) -> None:
        self._profile = profile
        self._clients = clients

    @property
    def emr(self) -> Any:
        """The client, which repeats calls."""
        return self._clients.repeating("emr")

    def describe(self, cluster: str) -> dict[str, Any]:
        """Describe a cluster."""
        description: dict[str, Any] = self.emr.describe_cluster(ClusterId=cluster)["Cluster"]
        return description

    def state(self, cluster: str) -> ComputeState:
        """Say how a cluster stands; one that EMR no longer knows has ended."""
        try:
            return state_of(self.describe(cluster)["Status"])
        except ClientError as error:
            if is_unknown(error):
                return ComputeState(Phase.ENDED, f"EMR knows no cluster {cluster}", Fault.SERVICE)
            raise

    def listed(self, states: Iterable[str] = LIVE_CLUSTERS) -> list[dict[str, Any]]:
        """List the clusters in these states, oldest first."""
        pages = self.emr.get_paginator("list_clusters").paginate(ClusterStates=[*states])
        clusters = [cluster for page in pages for cluster in page["Clusters"]]
        return sorted(clusters, key=lambda cluster: (cluster["Status"]["Timeline"]["CreationDateTime"], cluster["Id"]))

    def steps(self, cluster: str, **filters: Any) -> Iterator[dict[str, Any]]:
        """List a cluster's steps, newest first; none of a cluster that EMR does not know."""
        pages = self.emr.get_paginator("list_steps").paginate(ClusterId=cluster, **filters)
        try:
            for page in pages:
                yield from page["Steps"]
        except ClientError as error:
            if not is_unknown(error):
                raise

    def cancel(self, cluster: str, steps: list[str]) -> None:
        """Cancel steps, at most 256; EMR ignores the wish for one that has ended."""
        try:
            self.emr.cancel_steps(ClusterId=cluster, StepIds=steps, StepCancellationOption="TERMINATE_PROCESS")
        except ClientError as error:
            if not is_unknown(error) and self.state(cluster).phase is not Phase.ENDED:
                raise

    def instances(self, cluster: str) -> Iterator[dict[str, Any]]:
        """List the instances that a cluster has, and those that it had."""
        for page in self.emr.get_paginator("list_instances").paginate(ClusterId=cluster):
            yield from page["Instances"]


class RunClusters(Clusters):
    """One cluster per lease, made for it and ended with it."""

    def acquire(self, lease: Lease, engines: frozenset[Engine]) -> Compute:
        """Adopt the lease's cluster, or create it. Of two created at the same moment, all callers keep the same one."""
        try:
            clusters = self._living(lease)
            if not clusters:
                made = self._create(lease, engines)
                clusters = self._living(lease, made.id) or [made]
            for twin in clusters[1:]:
                self.release(twin)
        except REFUSALS as error:
            what = f"the clusters of profile {self._profile.name!r} could not be listed"
            raise refused(error, what, _MAY_RUN) from error
        return clusters[0]

    def lookup(self, lease: Lease) -> list[Compute]:
        """List the clusters that this profile made for the lease by name, oldest first."""
        name = self._profile.cluster_name(lease)
        return [self._compute(cluster["Id"], lease.id) for cluster in self.listed() if cluster["Name"] == name]

    def owned(self, deployment: str) -> list[Owned]:
        """List the clusters that carry a lease in their name and the deployment in their tags."""
        owned = []
        for cluster in self.listed():
            if lease_in(cluster["Name"]) is None:
                continue
            tags = {tag["Key"]: tag["Value"] for tag in self.describe(cluster["Id"]).get("Tags", [])}
            if tags.get(DEPLOYMENT_TAG) == deployment:
                profile = tags.get(PROFILE_TAG, self._profile.name)
                compute = Compute("ec2", profile, cluster["Id"], tags.get(LEASE_TAG, ""))
                owned.append(Owned(compute, tags, cluster["Status"]["Timeline"]["CreationDateTime"].timestamp()))
        return owned

    def release(self, compute: Compute) -> None:
        """Terminate the cluster, whoever protected it since."""
        try:
            self.emr.set_termination_protection(JobFlowIds=[compute.id], TerminationProtected=False)
            self.emr.terminate_job_flows(JobFlowIds=[compute.id])
        except ClientError as error:
            if not is_unknown(error) and self.state(compute.id).phase is not Phase.ENDED:
                raise

    def step_name(self, key: Key) -> str:
        """Return a step's name: what else there is to know stands in the cluster's tags."""
        return key.name

    def searched(self, cluster: str, within: float) -> Iterator[dict[str, Any]]:
        """List the steps among which that of a key is looked for, newest first: all, for they are one run's."""
        del within
        return self.steps(cluster)

    def log_uri(self, cluster: str) -> str:
        """Return the folder of the clusters' logs."""
        del cluster
        return self._profile.log_uri

    def _compute(self, cluster: str, lease: str) -> Compute:
        return Compute("ec2", self._profile.name, cluster, lease, overrides=self._profile.overrides)

    def _create(self, lease: Lease, engines: frozenset[Engine]) -> Compute:
        request = self._profile.request(lease, engines) | secured(self._profile, self._clients)
        try:
            made = send_once(
                lambda: str(self._clients.once("emr").run_job_flow(**request)["JobFlowId"]), lambda: self._oldest(lease)
            )
        except REFUSALS as error:
            still = "Nothing runs." if did_nothing(error, "RunJobFlow") else _MAY_RUN
            raise refused(error, f"profile {self._profile.name!r} got no cluster", still) from error
        return self._compute(made, lease.id)

    def _oldest(self, lease: Lease) -> str | None:
        return next((compute.id for compute in self._living(lease)), None)

    def _living(self, lease: Lease, made: str | None = None) -> list[Compute]:
        """List the lease's clusters that have not ended: a listing that lags shows those that have, and ``made`` was just made."""
        listed = self.lookup(lease)
        return [one for one in listed if one.id == made or self.state(one.id).phase is not Phase.ENDED]


def state_of(status: Mapping[str, Any]) -> ComputeState:
    """Translate a ClusterStatus."""
    phase = PHASES[status["State"]]
    reason = status.get("StateChangeReason", {})
    words = f"{status['State']}: {reason.get('Message') or reason.get('Code') or 'no reason given'}"
    return ComputeState(phase, words, fault_of_end(status) if phase is Phase.ENDED else None)


def fault_of_end(status: Mapping[str, Any]) -> Fault | None:
    """Say whose fault the end of a cluster was, by its ClusterStatus."""
    codes = [detail.get("ErrorCode", "") for detail in status.get("ErrorDetails", [])]
    if any(_CAPACITY_CODE.search(code) for code in codes):
        return Fault.CAPACITY
    return FAULTS.get(status.get("StateChangeReason", {}).get("Code", ""))


def is_unknown(error: ClientError) -> bool:
    """Whether EMR says that it does not know an id (it has no error of its own for that)."""
    message = error.response["Error"].get("Message", "")
    return bool(re.search(r"is not valid|does not exist|not found", message, re.IGNORECASE))


def instance_hours(instances: Iterable[Mapping[str, Any]], spells: Iterable[tuple[float, float]]) -> dict[str, float]:
    """Add up, by type, the hours that instances were there within some spells (from and to, in seconds since 1970)."""
    apart: list[tuple[float, float]] = []
    for began, ended in sorted(spells):
        if apart and began <= apart[-1][1]:
            apart[-1] = (apart[-1][0], max(apart[-1][1], ended))
        else:
            apart.append((began, ended))
    hours: dict[str, float] = {}
    for instance in instances:
        times = instance["Status"].get("Timeline", {})
        if "CreationDateTime" not in times:
            continue
        there = times["CreationDateTime"].timestamp()
        gone = times["EndDateTime"].timestamp() if "EndDateTime" in times else time.time()
        # EMR's clock may be ahead of this one.
        seconds = sum(max(0.0, min(gone, ended) - max(there, began)) for began, ended in apart)
        hours[instance["InstanceType"]] = hours.get(instance["InstanceType"], 0.0) + seconds / 3600
    return hours
