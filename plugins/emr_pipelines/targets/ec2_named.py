"""A cluster that a profile names: others keep it, all runs share it, and none ends it.

EMR lets nobody tag a step, so a step there carries its run's whole identity in its name, behind what every step's name holds: a step's
name has 256 characters (Amazon EMR API reference, StepConfig).
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from emr_pipelines.errors import ComputeError, ComputeUnavailableError
from emr_pipelines.jobs import Engine
from emr_pipelines.keys import Key, Lease, lease_in, prefix_of
from emr_pipelines.targets.base import Compute, Owned
from emr_pipelines.targets.ec2_clusters import LIVE_CLUSTERS, PHASES, Clusters, is_unknown, state_of
from emr_pipelines.targets.ec2_profile import applications_of
from emr_pipelines.targets.ec2_steps import LIVE_STEPS
from emr_pipelines.targets.job_runs import owned_on
from emr_pipelines.targets.profile import DEPLOYMENT_TAG, LEASE_TAG
from emr_pipelines.targets.refusals import REFUSALS, refused
from emr_pipelines.targets.states import Fault, Phase

_LONGEST_STEP_NAME = 256
_IDENTITY = (DEPLOYMENT_TAG, "emr-pipelines:dag", "emr-pipelines:group", "emr-pipelines:run")
"""What stands behind a step's name, in this order: a run's id alone may hold a slash."""

_log = logging.getLogger(__name__)


class NamedCluster(Clusters):
    """The cluster that a profile names."""

    def acquire(self, lease: Lease, engines: frozenset[Engine]) -> Compute:
        """Find the cluster, and check that it takes jobs and has what they need.

        :raises ComputeError: there is none, or more than one, or an application is missing.
        :raises ComputeUnavailableError: it ended for want of capacity or the service's fault, or the service failed now.
        """
        try:
            cluster = self._one()
        except REFUSALS as error:
            what = f"the cluster {self._profile.cluster!r} of profile {self._profile.name!r} could not be looked for"
            raise refused(error, what, "Nothing was started.") from error
        self._check_takes_jobs(cluster)
        self._check_applications(cluster, engines)
        for warning in warnings_of(cluster):
            _log.warning("Cluster %s (%r) %s", cluster["Id"], cluster["Name"], warning)
        return self._compute(cluster["Id"], lease.id)

    def lookup(self, lease: Lease) -> list[Compute]:
        """List the clusters that are meant and have not ended: where a second one took the name, the lease may be at work on each."""
        return [self._compute(cluster, lease.id) for cluster in self._alive()]

    def owned(self, deployment: str) -> list[Owned]:
        """List the leases of a deployment with live steps on the cluster, which itself is nobody's here."""
        owned = []
        for cluster in self._alive():
            live = self.steps(cluster, StepStates=LIVE_STEPS)
            steps = [(identity_in(step["Name"]), created_of(step)) for step in live]
            owned += owned_on(self._compute(cluster, ""), deployment, steps)
        return owned

    def release(self, compute: Compute) -> None:
        """Cancel the lease's steps, which are no more than the 256 that EMR lets be active; the cluster stays for the other runs."""
        live = self.steps(compute.id, StepStates=LIVE_STEPS)
        if mine := [step["Id"] for step in live if step["Name"].startswith(prefix_of(compute.lease))]:
            self.cancel(compute.id, mine)

    def step_name(self, key: Key) -> str:
        """Return a step's name, with the run's whole identity as far as there is room."""
        lease = key.lease
        identity = f"{lease.deployment}/{lease.dag_id}/{lease.group_id}/{lease.run_id}"
        return f"{key.name} {identity}"[:_LONGEST_STEP_NAME]

    def searched(self, cluster: str, within: float) -> Iterator[dict[str, Any]]:
        """List the steps among which that of a key is looked for, newest first: those of so many last seconds, and all that are alive.

        A cluster that runs for months has thousands, EMR lists 50 at a time, and allows one listing every two seconds.
        """
        oldest = time.time() - within
        for step in self.steps(cluster):
            if created_of(step) < oldest:
                break
            yield step
        yield from (step for step in self.steps(cluster, StepStates=LIVE_STEPS) if created_of(step) < oldest)

    def log_uri(self, cluster: str) -> str:
        """Return the folder of the cluster's logs, as it says itself, or the profile's where it keeps none or has been forgotten."""
        try:
            said = self.describe(cluster).get("LogUri")
        except ClientError as error:
            if not is_unknown(error):
                raise
            said = None
        return re.sub(r"^s3[an]://", "s3://", said or self._profile.log_uri)

    def _compute(self, cluster: str, lease: str) -> Compute:
        return Compute("ec2", self._profile.name, cluster, lease, "profile", overrides=self._profile.overrides)

    def _alive(self) -> list[str]:
        if (id_ := self._profile.cluster_id) is None:
            return [cluster["Id"] for cluster in self.listed() if cluster["Name"] == self._profile.cluster]
        return [id_] if self.state(id_).phase is not Phase.ENDED else []

    def _one(self) -> dict[str, Any]:
        """Describe the cluster that is meant; of one that is ending where there is no other.

        :raises ComputeError: there is none, or more than one.
        """
        profile = self._profile
        if profile.cluster_id:
            try:
                return self.describe(profile.cluster_id)
            except ClientError as error:
                if not is_unknown(error):
                    raise
                raise self._none() from error
        named = [one for one in self.listed([*LIVE_CLUSTERS, "TERMINATING"]) if one["Name"] == profile.cluster]
        live = [one["Id"] for one in named if PHASES[one["Status"]["State"]] is not Phase.ENDED]
        if len(live) > 1:
            raise ComputeError(
                f"Clusters {', '.join(live)} in {profile.region} are all called {profile.cluster!r}, as `cluster` of profile "
                f"{profile.name!r} says: give the id of the one that is meant, or end the others. Nothing was started."
            )
        if not named:
            raise self._none()
        return self.describe(live[0] if live else named[-1]["Id"])

    def _none(self) -> ComputeError:
        profile = self._profile
        return ComputeError(
            f"There is no cluster {profile.cluster!r} in {profile.region}, as `cluster` of profile {profile.name!r} says: start it, or "
            "give the id or name of one that runs. Nothing was started."
        )

    def _check_takes_jobs(self, cluster: Mapping[str, Any]) -> None:
        state = state_of(cluster["Status"])
        if state.phase is not Phase.ENDED:
            return
        kind = ComputeUnavailableError if state.fault in (Fault.CAPACITY, Fault.SERVICE) else ComputeError
        raise kind(
            f"Cluster {cluster['Id']} ({cluster['Name']!r}) of profile {self._profile.name!r} takes no more jobs, it is {state.reason}: "
            "start another, and let `cluster` name that. Nothing was started."
        )

    def _check_applications(self, cluster: Mapping[str, Any], engines: frozenset[Engine]) -> None:
        has = [application["Name"] for application in cluster.get("Applications", [])]
        known = {name.lower() for name in has}
        if missing := [name for name in applications_of(engines) if name.lower() not in known]:
            raise ComputeError(
                f"Cluster {cluster['Id']} ({cluster['Name']!r}) has no {' and no '.join(missing)}, which this run's jobs need; it has "
                f"{', '.join(has) or 'nothing'}: let `cluster` of profile {self._profile.name!r} name one that has. Nothing was started."
            )


def warnings_of(cluster: Mapping[str, Any]) -> list[str]:
    """Say, of a Cluster, what makes it less fit to be shared."""
    warnings = []
    if cluster.get("StepConcurrencyLevel", 1) == 1:
        warnings.append(
            "runs one step at a time: jobs wait for one another, those of other runs too (StepConcurrencyLevel)"
        )
    if not cluster.get("LogUri"):
        warnings.append("keeps no logs in S3: why a job failed cannot be told (LogUri)")
    if cluster.get("AutoTerminate"):
        warnings.append("ends by itself after its last step: other runs may lose it (KeepJobFlowAliveWhenNoSteps)")
    return warnings


def identity_in(name: str) -> dict[str, str]:
    """Read the tags that a step would have from its name; a run's identity that was cut matches no run, as with tags."""
    lease = lease_in(name)
    _, _, identity = name.partition(" ")
    return {**dict(zip(_IDENTITY, identity.split("/", 3), strict=False)), LEASE_TAG: lease} if lease else {}


def created_of(step: Mapping[str, Any]) -> float:
    """Return when a step was added, in seconds since 1970."""
    created: float = step["Status"]["Timeline"]["CreationDateTime"].timestamp()
    return created
