"""Transient EMR clusters on EC2: the target ``ec2``.

A cluster carries its lease in its name and, with the whole identity, in its tags. A step, which EMR lets nobody tag, carries lease
and key in its name. API: Amazon EMR API reference; states: https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-overview.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from emr_pipelines.errors import ComputeError, ComputeReleasedError, JobCapacityError
from emr_pipelines.jobs import CommandJob, Engine, HiveJob, Job, SparkJob, SparkSqlJob
from emr_pipelines.keys import Key, Lease, lease_in, prefix_of
from emr_pipelines.targets.base import Clients, Compute, JobRun, Logs, Owned, Usage
from emr_pipelines.targets.capabilities import Capabilities
from emr_pipelines.targets.consoles import console_of, spark_ui_of
from emr_pipelines.targets.ec2_profile import Ec2Profile
from emr_pipelines.targets.job_runs import ENDED_SLACK, settings, spark_options
from emr_pipelines.targets.once import send_once
from emr_pipelines.targets.profile import DEPLOYMENT_TAG, LEASE_TAG, PROFILE_TAG
from emr_pipelines.targets.refusals import REFUSALS, did_nothing, job_refused, refused
from emr_pipelines.targets.s3_logs import log_tails
from emr_pipelines.targets.states import ComputeState, Fault, JobState, Phase, RunState

_LIVE_CLUSTERS = ["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"]
_STEPS_PER_CALL = 10
"""StepIds that one ListSteps takes (EMR API reference)."""

_PHASES = {
    "STARTING": Phase.STARTING,
    "BOOTSTRAPPING": Phase.STARTING,
    "RUNNING": Phase.READY,
    "WAITING": Phase.READY,
    "TERMINATING": Phase.ENDED,
    "TERMINATED": Phase.ENDED,
    "TERMINATED_WITH_ERRORS": Phase.ENDED,
}
_RUN_STATES = {
    "PENDING": RunState.PENDING,
    "RUNNING": RunState.RUNNING,
    "CANCEL_PENDING": RunState.CANCELLING,
    "COMPLETED": RunState.SUCCEEDED,
    "CANCELLED": RunState.CANCELLED,
    "FAILED": RunState.FAILED,
    "INTERRUPTED": RunState.LOST,
}
_LIVE_STEPS = [name for name, state in _RUN_STATES.items() if not state.ended]
_ENDED_STEPS = [name for name, state in _RUN_STATES.items() if state.ended]
_FAULTS = {
    "INTERNAL_ERROR": Fault.SERVICE,
    "VALIDATION_ERROR": Fault.USER,
    "INSTANCE_FAILURE": Fault.CAPACITY,
    "INSTANCE_FLEET_TIMEOUT": Fault.CAPACITY,
    "BOOTSTRAP_FAILURE": Fault.USER,
    "USER_REQUEST": Fault.USER,
    "STEP_FAILURE": Fault.JOB,
}
_MAY_BE_THE_CLUSTERS = (RunState.FAILED, RunState.CANCELLED, RunState.LOST)
"""Ends of a step that the end of its cluster may have brought about."""

_WITHOUT_WORDS = {RunState.CANCELLED: "The step was cancelled", RunState.LOST: "The step was interrupted"}
"""What to say where EMR only gives the state."""

_CAPACITY_CODE = re.compile(r"CAPACITY|SPOT|INSUFFICIENT|LIMIT_EXCEEDED")
_STREAMS = ("stdout", "stderr", "controller")
_MAY_RUN = "A cluster may run and cost: a retry adopts it, release ends it."


class Ec2:
    """One transient cluster per lease; each job is a step."""

    capabilities = Capabilities(
        title="EMR on EC2",
        engines=frozenset({"spark", "hive", "command"}),
        owners=frozenset({"run"}),
        bills_while_idle=True,
        reports_its_bill=False,
        oldest_release="emr-5.30.0",
        runs_per_call=_STEPS_PER_CALL,
    )
    profile_model = Ec2Profile

    def __init__(self, profile: Ec2Profile, clients: Clients) -> None:
        self._profile = profile
        self._clients = clients

    @property
    def _emr(self) -> Any:
        return self._clients.repeating("emr")

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
        mine = [cluster for cluster in self._live_clusters() if cluster["Name"] == name]
        return [self._compute(cluster["Id"], lease.id) for cluster in mine]

    def owned(self, deployment: str) -> list[Owned]:
        """List the clusters that carry a lease in their name and the deployment in their tags."""
        owned = []
        for cluster in self._live_clusters():
            if lease_in(cluster["Name"]) is None:
                continue
            tags = {tag["Key"]: tag["Value"] for tag in self._describe(cluster["Id"]).get("Tags", [])}
            if tags.get(DEPLOYMENT_TAG) == deployment:
                profile = tags.get(PROFILE_TAG, self._profile.name)
                compute = Compute("ec2", profile, cluster["Id"], tags.get(LEASE_TAG, ""))
                owned.append(Owned(compute, tags, cluster["Status"]["Timeline"]["CreationDateTime"].timestamp()))
        return owned

    def state(self, compute: Compute) -> ComputeState:
        """Translate the cluster's state; a cluster that EMR no longer knows has ended."""
        try:
            status = self._describe(compute.id)["Status"]
        except ClientError as error:
            if _is_unknown(error):
                return ComputeState(Phase.ENDED, f"EMR knows no cluster {compute.id}", Fault.SERVICE)
            raise
        return _state_of(status)

    def states(self, computes: Iterable[Compute]) -> dict[str, ComputeState]:
        """Tell several clusters by one listing of those that have not ended, and ask for each that it does not show."""
        wanted = list(computes)
        listed = {one["Id"]: one["Status"] for one in self._live_clusters()} if len(wanted) > 1 else {}
        shown = {one.id: _state_of(listed[one.id]) for one in wanted if one.id in listed}
        return shown | {one.id: self.state(one) for one in wanted if one.id not in listed}

    def submit(self, compute: Compute, job: Job, code: Mapping[str, str], key: Key) -> JobRun:
        """Add a step named after the key; of two added at the same moment, all callers keep the older one."""
        step = step_request(job, code, key.name, self._profile)

        def send() -> str:
            answer = self._clients.once("emr").add_job_flow_steps(JobFlowId=compute.id, Steps=[step])
            return str(answer["StepIds"][0])

        def find() -> str | None:
            return next((run.id for run in self._steps_named(compute, key)), None)

        try:
            added = send_once(send, find)
            named = self._steps_named(compute, key)
        except REFUSALS as error:
            raise self._refusal(compute, error) from error
        # The listing may lag behind the answer.
        kept, *twins = named or [JobRun(added, key.name, JobState(RunState.PENDING, "PENDING"))]
        for twin in twins:
            if not twin.state.state.ended:
                self.cancel(compute, twin.id)
        return kept

    def find(self, compute: Compute, key: Key) -> JobRun | None:
        """Find the oldest step named after the key."""
        return next(iter(self._steps_named(compute, key)), None)

    def active(self, compute: Compute, lease: Lease) -> list[JobRun]:
        """List the steps named after the lease that have not ended."""
        return [run for run in self._steps(compute, StepStates=_LIVE_STEPS) if run.name.startswith(prefix_of(lease.id))]

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
        for step in self._listed(compute, StepStates=_ENDED_STEPS):
            if not missing or step["Status"]["Timeline"]["CreationDateTime"].timestamp() < since - ENDED_SLACK:
                return
            if step["Id"] in missing:
                missing.remove(step["Id"])
                state = job_state(step["Status"])
                if state.state in _MAY_BE_THE_CLUSTERS:
                    end = end or self.state(compute)
                    state = _blame(state, end)
                yield step["Id"], state

    def cancel(self, compute: Compute, run: str) -> None:
        """Cancel a step; EMR ignores the wish when the step has ended."""
        try:
            self._emr.cancel_steps(ClusterId=compute.id, StepIds=[run], StepCancellationOption="TERMINATE_PROCESS")
        except ClientError as error:
            if not _is_unknown(error) and self.state(compute).phase is not Phase.ENDED:
                raise

    def release(self, compute: Compute) -> None:
        """Terminate the cluster, whoever protected it since."""
        try:
            self._emr.set_termination_protection(JobFlowIds=[compute.id], TerminationProtected=False)
            self._emr.terminate_job_flows(JobFlowIds=[compute.id])
        except ClientError as error:
            if not _is_unknown(error) and self.state(compute).phase is not Phase.ENDED:
                raise

    def logs(self, compute: Compute, run: str) -> Logs:
        """Read ``<log_uri>/<cluster>/steps/<step>/``; EMR delivers it minutes after a step's end."""
        address = f"{self._profile.log_uri.rstrip('/')}/{compute.id}/steps/{run}/"
        return Logs(log_tails(self._clients.repeating("s3"), address, _STREAMS), address)

    def links(self, compute: Compute, run: str | None) -> dict[str, str]:
        """Return the EMR and S3 consoles' pages, or the local endpoint's own addresses."""
        endpoint, region = str(self._emr.meta.endpoint_url), self._profile.region
        base = f"{self._profile.log_uri.rstrip('/')}/{compute.id}/"
        links = {"compute": console_of(endpoint, region, base)}
        if "amazonaws.com" in endpoint:
            links["compute"] = (
                f"https://{region}.console.aws.amazon.com/emr/home?region={region}#/clusterDetails/{compute.id}"
            )
        links["logs"] = console_of(endpoint, region, f"{base}steps/{run}/" if run else base)
        return links | (spark_ui_of(endpoint, run) if run else {})

    def usage(self, compute: Compute, runs: Iterable[str]) -> Usage:
        """Add up the hours of the cluster's instances; steps share them."""
        del runs
        hours: dict[str, float] = {}
        for page in self._emr.get_paginator("list_instances").paginate(ClusterId=compute.id):
            for instance in page["Instances"]:
                times = instance["Status"].get("Timeline", {})
                if begun := times.get("CreationDateTime"):
                    lasted = times.get("EndDateTime", datetime.now(UTC)) - begun
                    kind = instance["InstanceType"]
                    # EMR's clock may be ahead of this one.
                    hours[kind] = hours.get(kind, 0.0) + max(0.0, lasted.total_seconds()) / 3600
        return Usage(instance_hours=hours)

    def _compute(self, cluster: str, lease: str) -> Compute:
        return Compute("ec2", self._profile.name, cluster, lease, overrides=self._profile.overrides)

    def _create(self, lease: Lease, engines: frozenset[Engine]) -> Compute:
        request = self._profile.request(lease, engines)
        try:
            made = send_once(
                lambda: str(self._clients.once("emr").run_job_flow(**request)["JobFlowId"]), lambda: self._oldest(lease)
            )
        except REFUSALS as error:
            still = "Nothing runs." if did_nothing(error, "RunJobFlow") else _MAY_RUN
            raise refused(error, f"profile {self._profile.name!r} got no cluster", still) from error
        return self._compute(made, lease.id)

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
        return job_refused(error, what, still)

    def _oldest(self, lease: Lease) -> str | None:
        return next((compute.id for compute in self._living(lease)), None)

    def _living(self, lease: Lease, made: str | None = None) -> list[Compute]:
        """List the lease's clusters that have not ended: a listing that lags shows those that have, and ``made`` was just made."""
        listed = self.lookup(lease)
        return [one for one in listed if one.id == made or self.state(one).phase is not Phase.ENDED]

    def _describe(self, cluster: str) -> dict[str, Any]:
        description: dict[str, Any] = self._emr.describe_cluster(ClusterId=cluster)["Cluster"]
        return description

    def _live_clusters(self) -> list[dict[str, Any]]:
        pages = self._emr.get_paginator("list_clusters").paginate(ClusterStates=_LIVE_CLUSTERS)
        clusters = [cluster for page in pages for cluster in page["Clusters"]]
        return sorted(clusters, key=lambda cluster: (cluster["Status"]["Timeline"]["CreationDateTime"], cluster["Id"]))

    def _steps(self, compute: Compute, **filters: Any) -> Iterator[JobRun]:
        return (
            JobRun(step["Id"], step["Name"], job_state(step["Status"])) for step in self._listed(compute, **filters)
        )

    def _listed(self, compute: Compute, **filters: Any) -> Iterator[dict[str, Any]]:
        pages = self._emr.get_paginator("list_steps").paginate(ClusterId=compute.id, **filters)
        try:
            for page in pages:
                yield from page["Steps"]
        except ClientError as error:
            if not _is_unknown(error):
                raise

    def _ask(self, compute: Compute, run: str) -> JobState:
        try:
            return job_state(self._emr.describe_step(ClusterId=compute.id, StepId=run)["Step"]["Status"])
        except ClientError as error:
            if not _is_unknown(error):
                raise
        return JobState(RunState.LOST, f"EMR knows no step {run} of cluster {compute.id}", Fault.SERVICE)

    def _steps_named(self, compute: Compute, key: Key) -> list[JobRun]:
        # ListSteps gives the newest first.
        named = [run for run in self._steps(compute) if run.name.startswith(prefix_of(key.lease.id, key.id))]
        return named[::-1]


def _state_of(status: Mapping[str, Any]) -> ComputeState:
    phase = _PHASES[status["State"]]
    reason = status.get("StateChangeReason", {})
    words = f"{status['State']}: {reason.get('Message') or reason.get('Code') or 'no reason given'}"
    return ComputeState(phase, words, _fault_of_end(status) if phase is Phase.ENDED else None)


def step_request(job: Job, code: Mapping[str, str], name: str, profile: Ec2Profile) -> dict[str, Any]:
    """Return the StepConfig that runs a job; ``code`` says where in S3 each of its files lies.

    ``CONTINUE``: a failed step must not end the cluster under the other jobs; release ends it.
    """
    return {
        "Name": name,
        "ActionOnFailure": "CONTINUE",
        "HadoopJarStep": {"Jar": "command-runner.jar", "Args": _command(job, code, profile)},
    }


def _command(job: Job, code: Mapping[str, str], profile: Ec2Profile) -> list[str]:
    match job:
        case SparkJob():
            options = ["--deploy-mode", profile.deploy_mode, *spark_options(job, code, {})]
            return ["spark-submit", *options, code[job.script], *job.args]
        case SparkSqlJob():
            words = settings("--conf", job.conf) + settings("--hivevar", job.variables)
            return ["spark-sql", *words, "-f", code[job.script]]
        case HiveJob():
            words = settings("-d", job.variables) + settings("-hiveconf", job.conf)
            return ["hive-script", "--run-hive-script", "--args", "-f", code[job.script], *words]
        case CommandJob():
            return list(job.command)


def job_state(status: Mapping[str, Any]) -> JobState:
    """Translate a StepStatus."""
    state = _RUN_STATES[status["State"]]
    details = status.get("FailureDetails", {})
    words = details.get("Message") or details.get("Reason") or status.get("StateChangeReason", {}).get("Message")
    fault = {RunState.FAILED: Fault.JOB, RunState.CANCELLED: Fault.USER, RunState.LOST: Fault.SERVICE}.get(state)
    times = status.get("Timeline", {})
    began, ended = (times[name].timestamp() if name in times else None for name in ("StartDateTime", "EndDateTime"))
    return JobState(state, words or _WITHOUT_WORDS.get(state, ""), fault, began, ended)


def _blame(state: JobState, end: ComputeState) -> JobState:
    """Lay a job run's end on what ended its cluster, where the cluster ended; a failure only on what took its instances."""
    brought = state.state is not RunState.FAILED or end.fault in (Fault.CAPACITY, Fault.SERVICE)
    if end.phase is not Phase.ENDED or state.state not in _MAY_BE_THE_CLUSTERS or not brought:
        return state
    reason = f"Its cluster is {end.reason}" + (f" (the step: {state.reason})" if state.reason else "")
    return replace(state, reason=reason, fault=end.fault or state.fault)


def _fault_of_end(status: Mapping[str, Any]) -> Fault | None:
    codes = [detail.get("ErrorCode", "") for detail in status.get("ErrorDetails", [])]
    if any(_CAPACITY_CODE.search(code) for code in codes):
        return Fault.CAPACITY
    return _FAULTS.get(status.get("StateChangeReason", {}).get("Code", ""))


def _is_unknown(error: ClientError) -> bool:
    """Whether EMR says that it does not know the id (it has no error of its own for that)."""
    message = error.response["Error"].get("Message", "")
    return bool(re.search(r"is not valid|does not exist|not found", message, re.IGNORECASE))
