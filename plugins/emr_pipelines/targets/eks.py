"""Virtual clusters of EMR on EKS: the target ``eks``.

A virtual cluster stands for a namespace of an EKS cluster. It belongs to the deployment's profiles of that namespace: it is found by
the namespace and the deployment in its tags, made once, and ended by no run. A job run carries lease and key in its name, and its key
as client token.
API: Amazon EMR on EKS API reference; states: https://docs.aws.amazon.com/emr/latest/EMR-on-EKS-DevelopmentGuide/emr-eks-jobs-states.html.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from emr_pipelines.errors import ComputeError, ComputeReleasedError, JobCapacityError
from emr_pipelines.jobs import Engine, Job
from emr_pipelines.keys import Key, Lease, prefix_of
from emr_pipelines.targets import job_runs
from emr_pipelines.targets.base import Clients, Compute, JobRun, Logs, Owned, Usage
from emr_pipelines.targets.capabilities import Capabilities
from emr_pipelines.targets.consoles import console_of, spark_ui_of
from emr_pipelines.targets.eks_jobs import ENDED_RUNS, LIVE_RUNS, cluster_state, job_state, run_request, usage_of
from emr_pipelines.targets.eks_profile import EksProfile
from emr_pipelines.targets.profile import DEPLOYMENT_TAG, PROFILE_TAG
from emr_pipelines.targets.refusals import REFUSALS, code_of, did_nothing, job_refused, refused
from emr_pipelines.targets.s3_logs import folders_of_logs, log_tails
from emr_pipelines.targets.states import ComputeState, Fault, JobState, Phase, RunState

_STREAMS = ("stdout", "stderr")
_UNKNOWN = ("ResourceNotFoundException", "ValidationException")
"""Which of them a call answers for an id that nobody knows depends on the call."""


class Eks:
    """One virtual cluster for all runs; each job is a job run on it."""

    capabilities = Capabilities(
        title="EMR on EKS",
        engines=frozenset({"spark"}),
        owners=frozenset({"profile"}),
        bills_while_idle=False,
        reports_its_bill=False,
        oldest_release="emr-6.10.0-latest",
    )
    profile_model = EksProfile

    def __init__(self, profile: EksProfile, clients: Clients) -> None:
        self._profile = profile
        self._clients = clients

    @property
    def _client(self) -> Any:
        return self._clients.repeating("emr-containers")

    def acquire(self, lease: Lease, engines: frozenset[Engine]) -> Compute:
        """Find the virtual cluster, or create it once for all who ask at the same moment."""
        del engines
        try:
            found = self._find(lease) or self._create(lease)
        except REFUSALS as error:
            what = f"profile {self._profile.name!r} got no virtual cluster"
            raise refused(error, what, "No job was started, and a virtual cluster costs nothing by itself.") from error
        return self._compute(found, lease.id)

    def lookup(self, lease: Lease) -> list[Compute]:
        """List the profile's virtual cluster, where there is one."""
        try:
            found = self._find(lease)
        except ComputeError:
            return []  # somebody else's: this profile has none
        return [self._compute(found, lease.id)] if found else []

    def owned(self, deployment: str) -> list[Owned]:
        """List the virtual clusters that carry the deployment in their tags, and the leases at work on them and on the named one."""
        owned = []
        for cluster in self._clusters():
            tags = cluster.get("tags", {})
            shared = Compute("eks", tags.get(PROFILE_TAG, self._profile.name), cluster["id"], "", "profile")
            ours = tags.get(DEPLOYMENT_TAG) == deployment
            if ours:
                owned.append(Owned(shared, tags, cluster["createdAt"].timestamp()))
            if ours or cluster["id"] == self._profile.virtual_cluster:
                live = [run for page in self._listed(shared, states=LIVE_RUNS) for run in page]
                runs = ((run.get("tags", {}), run["createdAt"].timestamp()) for run in live)
                owned += job_runs.owned_on(shared, deployment, runs)
        return owned

    def state(self, compute: Compute) -> ComputeState:
        """Translate the virtual cluster's state; one that EMR no longer knows has ended."""
        try:
            return cluster_state(self._describe(compute.id))
        except ClientError as error:
            if code_of(error) in _UNKNOWN:
                return ComputeState(Phase.ENDED, f"EMR on EKS knows no virtual cluster {compute.id}", Fault.SERVICE)
            raise

    def states(self, computes: Iterable[Compute]) -> dict[str, ComputeState]:
        """Ask for each: they are ready in seconds, so hardly anybody waits."""
        return {compute.id: self.state(compute) for compute in computes}

    def submit(self, compute: Compute, job: Job, code: Mapping[str, str], key: Key) -> JobRun:
        """Start a job run with the key as its client token."""
        request = run_request(job, code, key, self._profile)
        try:
            run = self._client.start_job_run(virtualClusterId=compute.id, **request)["id"]
        except REFUSALS as error:
            if known := self._known_already(compute, key, error):
                return known
            raise self._refusal(compute, error) from error
        return JobRun(run, key.name, JobState(RunState.PENDING, "PENDING"))

    def find(self, compute: Compute, key: Key) -> JobRun | None:
        """Find the oldest job run named after the key."""
        named = [run for page in self._pages(compute, name=key.name) for run in page if run.name == key.name]
        return named[-1] if named else None

    def active(self, compute: Compute, lease: Lease) -> list[JobRun]:
        """List the job runs named after the lease that have not ended."""
        return self._active(compute, lease.id)

    def poll(self, compute: Compute, runs: Iterable[str]) -> dict[str, JobState]:
        """Ask for each."""
        return {run: self._ask(compute, run) for run in runs}

    def ended(self, compute: Compute, runs: Iterable[str], since: float) -> Iterator[tuple[str, JobState]]:
        """List what has ended on the virtual cluster."""
        created = datetime.fromtimestamp(since - job_runs.ENDED_SLACK, UTC)
        return job_runs.ended_in(runs, self._pages(compute, createdAfter=created, states=ENDED_RUNS))

    def cancel(self, compute: Compute, run: str) -> None:
        """Cancel a job run; nothing happens when it has ended, is being cancelled already, or nobody knows it."""
        try:
            self._client.cancel_job_run(virtualClusterId=compute.id, id=run)
        except ClientError as error:
            # IAM refuses what does not carry the deployment's tag, and what nobody knows carries none.
            if code_of(error) not in (*_UNKNOWN, "AccessDeniedException"):
                raise
            state = self._ask(compute, run).state
            if not state.ended and state is not RunState.CANCELLING:
                raise

    def release(self, compute: Compute) -> None:
        """Cancel the lease's job runs; the virtual cluster stays for the other runs."""
        for run in self._active(compute, compute.lease):
            self.cancel(compute, run.id)

    def logs(self, compute: Compute, run: str) -> Logs:
        """Read the driver's logs below ``<log_uri>/<virtual cluster>/jobs/<job run>/containers/``, of the latest attempt."""
        address = self._address(compute, run)
        s3 = self._clients.repeating("s3")
        # The pod's name goes on where a retry policy allows more than one driver.
        folders = folders_of_logs(s3, f"{address}containers/", f"/spark-{run}-driver")
        return Logs(log_tails(s3, folders[-1], _STREAMS) if folders else {}, address)

    def links(self, compute: Compute, run: str | None) -> dict[str, str]:
        """Return the EMR and S3 consoles' pages, or the local endpoint's own addresses."""
        endpoint, region = str(self._client.meta.endpoint_url), self._profile.region
        base = f"{self._profile.log_uri.rstrip('/')}/{compute.id}/"
        links = {"compute": console_of(endpoint, region, base)}
        if "amazonaws.com" in endpoint:
            links["compute"] = (
                f"https://{region}.console.aws.amazon.com/emr/home?region={region}#/eks/clusters/{compute.id}"
            )
        links["logs"] = console_of(endpoint, region, self._address(compute, run) if run else base)
        return links | (spark_ui_of(endpoint, run) if run else {})

    def usage(self, compute: Compute, runs: Iterable[str]) -> Usage:
        """Add up what the job runs that EMR knows asked for, times how long they ran; EMR on EKS reports no bill."""
        vcpu = memory = 0.0
        for run in runs:
            if found := self._described(compute, run):
                ended = found["finishedAt"].timestamp() if "finishedAt" in found else time.time()
                # EMR's clock may be ahead of this one.
                used = usage_of(found, max(0.0, ended - found["createdAt"].timestamp()))
                vcpu, memory = vcpu + used.vcpu_hours, memory + used.memory_gb_hours
        return Usage(vcpu, memory)

    def _find(self, lease: Lease) -> dict[str, Any] | None:
        """Return the virtual cluster that the profile names, or else the deployment's in the namespace, whichever profile made it.

        :raises ComputeError: somebody else's has the namespace, or the one that the profile names cannot be used.
        """
        profile = self._profile
        if profile.virtual_cluster:
            return self._named(profile.virtual_cluster)
        held = [one for one in self._clusters() if _namespace_of(one) == profile.namespace]
        if not held:
            return None
        owner = held[0].get("tags", {}).get(DEPLOYMENT_TAG)
        ours = owner == lease.deployment or (owner is None and held[0]["name"] == profile.cluster_name(lease))
        if not ours:
            raise ComputeError(
                f"Namespace {profile.namespace!r} of EKS cluster {profile.eks_cluster!r} is taken by virtual cluster {held[0]['id']} "
                f"({held[0]['name']!r}): put `virtual_cluster: {held[0]['id']}` into profile {profile.name!r} to use it, or choose another "
                "namespace. Nothing was started."
            )
        return held[0]

    def _named(self, cluster: str) -> dict[str, Any]:
        try:
            found = self._describe(cluster)
        except ClientError as error:
            if code_of(error) in _UNKNOWN:
                raise ComputeError(
                    f"There is no virtual cluster {cluster!r} in {self._profile.region}, as `virtual_cluster` of profile "
                    f"{self._profile.name!r} says: give the id of one that there is, or leave it out. Nothing was started."
                ) from error
            raise
        provider = found["containerProvider"]
        if (provider["id"], _namespace_of(found)) != (self._profile.eks_cluster, self._profile.namespace):
            raise ComputeError(
                f"Virtual cluster {cluster!r} is namespace {_namespace_of(found)!r} of EKS cluster {provider['id']!r}, and profile "
                f"{self._profile.name!r} says {self._profile.namespace!r} of {self._profile.eks_cluster!r}: change one of them. "
                "Nothing was started."
            )
        return found

    def _create(self, lease: Lease) -> dict[str, Any]:
        request = self._profile.request(lease)
        try:
            made = job_runs.create_once(
                request,
                lambda token: str(self._client.create_virtual_cluster(clientToken=token, **request)["id"]),
                lambda cluster: cluster_state(self._describe(cluster)).phase is Phase.ENDED,
            )
        except ClientError:
            # Another caller may have taken the namespace for this profile at the same moment.
            if found := self._find(lease):
                return found
            raise
        if made is None:
            raise ComputeError(
                f"Every virtual cluster that was created for {request['name']} has ended again. A retry creates another."
            )
        return self._describe(made)

    def _compute(self, cluster: Mapping[str, Any], lease: str) -> Compute:
        profile = self._profile
        return Compute("eks", profile.name, cluster["id"], lease, "profile", overrides=profile.overrides)

    def _describe(self, cluster: str) -> dict[str, Any]:
        found: dict[str, Any] = self._client.describe_virtual_cluster(id=cluster)["virtualCluster"]
        return found

    def _clusters(self) -> list[dict[str, Any]]:
        """List the virtual clusters on the EKS cluster that hold a namespace, oldest first."""
        pages = self._client.get_paginator("list_virtual_clusters").paginate(
            containerProviderId=self._profile.eks_cluster, containerProviderType="EKS", states=["RUNNING", "ARRESTED"]
        )
        found = [cluster for page in pages for cluster in page["virtualClusters"]]
        return sorted(found, key=lambda one: (one["createdAt"], one["id"]))

    def _refusal(self, compute: Compute, error: ClientError | BotoCoreError) -> ComputeError | JobCapacityError:
        """Say why a job run was not started, or that nobody knows whether it was."""
        with suppress(*REFUSALS):
            state = self.state(compute)
            if state.phase is Phase.ENDED:
                return ComputeReleasedError(
                    f"{compute.id} takes no more jobs: {state.reason}. This job run was not started. "
                    "Clear the task again with 'Only failed' off, so that compute is acquired anew."
                )
        if did_nothing(error, "StartJobRun"):
            what, still = f"virtual cluster {compute.id} refused the job run", "Nothing runs for this task."
        else:
            what = f"virtual cluster {compute.id} may have started the job run"
            still = "A retry finds it, release cancels it."
        return job_refused(error, what, still)

    def _known_already(self, compute: Compute, key: Key, error: Exception) -> JobRun | None:
        """Find what an earlier request under the same client token started, before the profile changed."""
        if isinstance(error, ClientError) and code_of(error) in ("ConflictException", "ValidationException"):
            return self.find(compute, key)
        return None

    def _pages(self, compute: Compute, **filters: Any) -> Iterator[list[JobRun]]:
        for page in self._listed(compute, **filters):
            yield [JobRun(run["id"], run.get("name", ""), job_state(run)) for run in page]

    def _listed(self, compute: Compute, **filters: Any) -> Iterator[list[dict[str, Any]]]:
        pages = self._client.get_paginator("list_job_runs").paginate(virtualClusterId=compute.id, **filters)
        try:
            for page in pages:
                yield page["jobRuns"]
        except ClientError as error:
            if code_of(error) not in _UNKNOWN:
                raise

    def _active(self, compute: Compute, lease: str) -> list[JobRun]:
        live = [run for page in self._pages(compute, states=LIVE_RUNS) for run in page]
        return [run for run in live if run.name.startswith(prefix_of(lease))]

    def _described(self, compute: Compute, run: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self._client.describe_job_run(virtualClusterId=compute.id, id=run)["jobRun"]
        except ClientError as error:
            if code_of(error) in _UNKNOWN:
                return None
            raise
        return found

    def _ask(self, compute: Compute, run: str) -> JobState:
        if (found := self._described(compute, run)) is None:
            return JobState(RunState.LOST, f"EMR on EKS knows no job run {run} on {compute.id}", Fault.SERVICE)
        return job_state(found)

    def _address(self, compute: Compute, run: str) -> str:
        return f"{self._profile.log_uri.rstrip('/')}/{compute.id}/jobs/{run}/"


def _namespace_of(cluster: Mapping[str, Any]) -> str:
    return str(cluster["containerProvider"].get("info", {}).get("eksInfo", {}).get("namespace", ""))
