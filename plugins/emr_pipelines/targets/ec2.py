"""EMR clusters on EC2: the target ``ec2``.

A cluster is made for each run, or is one that the profile names; each job is a step there. A step, which EMR lets nobody tag, carries
lease and key in its name.
API: Amazon EMR API reference; states: https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-overview.html.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, get_args

from botocore.exceptions import BotoCoreError, ClientError

from emr_pipelines.errors import ComputeError, ComputeReleasedError, JobCapacityError
from emr_pipelines.jobs import Engine, Job
from emr_pipelines.keys import Key, Lease, prefix_of
from emr_pipelines.targets.base import Clients, Compute, JobRun, Logs, Owned, Usage
from emr_pipelines.targets.capabilities import Capabilities
from emr_pipelines.targets.consoles import console_of, spark_ui_of
from emr_pipelines.targets.ec2_clusters import ALWAYS, RunClusters, instance_hours, is_unknown, state_of
from emr_pipelines.targets.ec2_named import NamedCluster
from emr_pipelines.targets.ec2_profile import Ec2Profile
from emr_pipelines.targets.ec2_steps import LIVE_STEPS, job_state, step_request
from emr_pipelines.targets.job_runs import ENDED_SLACK
from emr_pipelines.targets.once import send_once
from emr_pipelines.targets.profile import given
from emr_pipelines.targets.refusals import REFUSALS, did_nothing, job_refused
from emr_pipelines.targets.s3_logs import log_tails
from emr_pipelines.targets.states import ComputeState, Fault, JobState, Phase, RunState

_STEPS_PER_CALL = 10
"""StepIds that one ListSteps takes (EMR API reference)."""

_TWINS_WITHIN = 3600.0
"""Seconds within which whoever submits under the same key does so: longer than any process pauses between looking and submitting."""

_SEARCHED_WITHIN = 24 * 3600.0
"""Seconds after which a task that died between its submit and its record is not tried again, or a step that has ended since runs again."""

_MAY_BE_THE_CLUSTERS = (RunState.FAILED, RunState.CANCELLED, RunState.LOST)
"""Ends of a step that the end of its cluster may have brought about."""

_STREAMS = ("stdout", "stderr", "controller")


class Ec2:
    """A cluster per lease, or the one that the profile names; each job is a step."""

    capabilities = Capabilities(
        title="EMR on EC2",
        engines=frozenset(get_args(Engine)),
        owners=frozenset({"run", "profile"}),
        bills_while_idle=True,
        reports_its_bill=False,
        oldest_release="emr-5.30.0",
        runs_per_call=_STEPS_PER_CALL,
    )
    profile_model = Ec2Profile

    def __init__(self, profile: Ec2Profile, clients: Clients) -> None:
        self._profile = profile
        self._clients = clients
        self._clusters: RunClusters | NamedCluster = (
            NamedCluster(profile, clients) if profile.cluster else RunClusters(profile, clients)
        )

    def acquire(self, lease: Lease, engines: frozenset[Engine]) -> Compute:
        """Adopt or create the lease's cluster, or find the one that the profile names."""
        return self._clusters.acquire(lease, engines)

    def lookup(self, lease: Lease) -> list[Compute]:
        """List the clusters that this profile made for the lease, oldest first, or the one that it names."""
        return self._clusters.lookup(lease)

    def owned(self, deployment: str) -> list[Owned]:
        """List the clusters of a deployment's runs, or the leases at work on the one that the profile names."""
        return self._clusters.owned(deployment)

    def state(self, compute: Compute) -> ComputeState:
        """Translate the cluster's state; a cluster that EMR no longer knows has ended."""
        return self._clusters.state(compute.id)

    def states(self, computes: Iterable[Compute]) -> dict[str, ComputeState]:
        """Tell several clusters by one listing of those that have not ended, and ask for each that it does not show."""
        wanted = list(computes)
        listed = {one["Id"]: one["Status"] for one in self._clusters.listed()} if len(wanted) > 1 else {}
        shown = {one.id: state_of(listed[one.id]) for one in wanted if one.id in listed}
        return shown | {one.id: self.state(one) for one in wanted if one.id not in listed}

    def submit(self, compute: Compute, job: Job, code: Mapping[str, str], key: Key) -> JobRun:
        """Add a step named after the key; of two added at the same moment, all callers keep the older one."""
        step = step_request(job, code, self._clusters.step_name(key), self._profile)

        def send() -> str:
            role = given({"ExecutionRoleArn": self._profile.execution_role})
            answer = self._clients.once("emr").add_job_flow_steps(JobFlowId=compute.id, Steps=[step], **role)
            return str(answer["StepIds"][0])

        def find() -> str | None:
            return next((run.id for run in self._steps_named(compute, key, _TWINS_WITHIN)), None)

        try:
            added = send_once(send, find)
            named = self._steps_named(compute, key, _TWINS_WITHIN)
        except REFUSALS as error:
            raise self._refusal(compute, error) from error
        # The listing may lag behind the answer.
        kept, *twins = named or [JobRun(added, step["Name"], JobState(RunState.PENDING, "PENDING"))]
        for twin in twins:
            if not twin.state.state.ended:
                self.cancel(compute, twin.id)
        return kept

    def find(self, compute: Compute, key: Key) -> JobRun | None:
        """Find the oldest step named after the key."""
        return next(iter(self._steps_named(compute, key, _SEARCHED_WITHIN)), None)

    def active(self, compute: Compute, lease: Lease) -> list[JobRun]:
        """List the steps named after the lease that have not ended."""
        return [run for run in self._steps(compute, StepStates=LIVE_STEPS) if run.name.startswith(prefix_of(lease.id))]

    def poll(self, compute: Compute, runs: Iterable[str]) -> dict[str, JobState]:
        """List the steps by id, ten to a call; the listing may lag, so each that it does not show is asked for by itself."""
        wanted = list(runs)
        states: dict[str, JobState] = {}
        for start in range(0, len(wanted), _STEPS_PER_CALL):
            found = self._steps(compute, StepIds=wanted[start : start + _STEPS_PER_CALL])
            states.update({run.id: run.state for run in found})
        states |= {run: self._ask(compute, run) for run in wanted if run not in states}
        if any(state.state in _MAY_BE_THE_CLUSTERS for state in states.values()):
            end = self.state(compute)
            states = {run: _blame(state, end) for run, state in states.items()}
        return states

    def ended(self, compute: Compute, runs: Iterable[str], since: float) -> Iterator[tuple[str, JobState]]:
        """List what has ended on the cluster, newest first; ListSteps knows no dates."""
        missing = set(runs)
        end: ComputeState | None = None
        # EMR promises the order of a listing only where it filters nothing.
        for step in self._clusters.steps(compute.id):
            if not missing or step["Status"]["Timeline"]["CreationDateTime"].timestamp() < since - ENDED_SLACK:
                return
            state = job_state(step["Status"])
            if step["Id"] in missing and state.state.ended:
                missing.remove(step["Id"])
                if state.state in _MAY_BE_THE_CLUSTERS:
                    end = end or self.state(compute)
                    state = _blame(state, end)
                yield step["Id"], state

    def cancel(self, compute: Compute, run: str) -> None:
        """Cancel a step; EMR ignores the wish when the step has ended."""
        self._clusters.cancel(compute.id, [run])

    def release(self, compute: Compute) -> None:
        """Terminate a cluster that was made for its lease; on one that the profile names, cancel the lease's steps."""
        self._clusters.release(compute)

    def logs(self, compute: Compute, run: str) -> Logs:
        """Read ``<log_uri>/<cluster>/steps/<step>/``; EMR delivers it minutes after a step's end."""
        address = f"{self._folder_of_logs(compute)}steps/{run}/"
        return Logs(log_tails(self._clients.repeating("s3"), address, _STREAMS), address)

    def links(self, compute: Compute, run: str | None) -> dict[str, str]:
        """Return the EMR and S3 consoles' pages, or the local endpoint's own addresses."""
        endpoint, region = str(self._clusters.emr.meta.endpoint_url), self._profile.region
        base = self._folder_of_logs(compute)
        links = {"compute": console_of(endpoint, region, base)}
        if "amazonaws.com" in endpoint:
            links["compute"] = (
                f"https://{region}.console.aws.amazon.com/emr/home?region={region}#/clusterDetails/{compute.id}"
            )
        links["logs"] = console_of(endpoint, region, f"{base}steps/{run}/" if run else base)
        return links | (spark_ui_of(endpoint, run) if run else {})

    def usage(self, compute: Compute, runs: Iterable[str]) -> Usage:
        """Add up the hours of the cluster's instances; steps share them.

        Of a cluster that the profile names, the hours while these job runs ran: other runs may have shared them, so that the hours of all
        runs together can be more than the cluster's.
        """
        spells = [ALWAYS]
        if compute.owner == "profile":
            states = self.poll(compute, runs).values()
            spells = [(state.began, state.ended or math.inf) for state in states if state.began]
        return Usage(instance_hours=instance_hours(self._clusters.instances(compute.id), spells))

    def _refusal(self, compute: Compute, error: ClientError | BotoCoreError) -> ComputeError | JobCapacityError:
        """Say why a step was not added, or that nobody knows whether it was."""
        with suppress(*REFUSALS):
            state = self.state(compute)
            if state.phase is Phase.ENDED:
                return ComputeReleasedError(
                    f"Cluster {compute.id} takes no more steps: it is {state.reason}. This step was not started. "
                    "Clear the task again with 'Only failed' off, so that compute is acquired anew."
                )
        if did_nothing(error, "AddJobFlowSteps"):
            what, still = f"cluster {compute.id} refused the step", f"Cluster {compute.id} still runs."
        else:
            what = f"cluster {compute.id} may have got the step"
            still = f"A retry finds it. Cluster {compute.id} runs until its release."
            if compute.owner == "profile":
                still = "A retry finds it, release cancels it."
        return job_refused(error, what, still)

    def _steps(self, compute: Compute, **filters: Any) -> Iterator[JobRun]:
        return (_job_run(step) for step in self._clusters.steps(compute.id, **filters))

    def _folder_of_logs(self, compute: Compute) -> str:
        return f"{self._clusters.log_uri(compute.id).rstrip('/')}/{compute.id}/"

    def _ask(self, compute: Compute, run: str) -> JobState:
        try:
            return job_state(self._clusters.emr.describe_step(ClusterId=compute.id, StepId=run)["Step"]["Status"])
        except ClientError as error:
            if not is_unknown(error):
                raise
        return JobState(RunState.LOST, f"EMR knows no step {run} of cluster {compute.id}", Fault.SERVICE)

    def _steps_named(self, compute: Compute, key: Key, within: float) -> list[JobRun]:
        searched = (_job_run(step) for step in self._clusters.searched(compute.id, within))
        # ListSteps gives the newest first.
        return [run for run in searched if run.name.startswith(prefix_of(key.lease.id, key.id))][::-1]


def _job_run(step: Mapping[str, Any]) -> JobRun:
    return JobRun(step["Id"], step["Name"], job_state(step["Status"]))


def _blame(state: JobState, end: ComputeState) -> JobState:
    """Lay a job run's end on what ended its cluster, where the cluster ended; a failure only on what took its instances."""
    brought = state.state is not RunState.FAILED or end.fault in (Fault.CAPACITY, Fault.SERVICE)
    if end.phase is not Phase.ENDED or state.state not in _MAY_BE_THE_CLUSTERS or not brought:
        return state
    reason = f"Its cluster is {end.reason}" + (f" (the step: {state.reason})" if state.reason else "")
    return replace(state, reason=reason, fault=end.fault or state.fault)
