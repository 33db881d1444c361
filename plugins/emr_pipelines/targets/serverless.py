"""Applications on EMR Serverless: the target ``serverless``.

An application runs one engine, so a pipeline gets one for each that it needs. It carries its lease, or the deployment that keeps
it, in its name and tags; a job run carries lease and key in its name, and its key as client token. API: Amazon EMR Serverless API
reference; states: https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/applications.html and job-states.html.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from typing import Any

from botocore.exceptions import ClientError

from emr_pipelines.errors import ComputeError, ComputeReleasedError
from emr_pipelines.jobs import Engine, Job
from emr_pipelines.keys import Key, Lease, lease_in, prefix_of
from emr_pipelines.targets import job_runs
from emr_pipelines.targets.base import Clients, Compute, JobRun, Logs, Owned, Usage
from emr_pipelines.targets.capabilities import Capabilities
from emr_pipelines.targets.consoles import console_of, spark_ui_of
from emr_pipelines.targets.profile import LEASE_TAG, PROFILE_TAG
from emr_pipelines.targets.refusals import REFUSALS, code_of, did_nothing, is_unknown, job_refused, refused
from emr_pipelines.targets.s3_logs import folders_of_logs, log_tails
from emr_pipelines.targets.serverless_applications import Applications
from emr_pipelines.targets.serverless_jobs import ENDED_RUNS, job_state, run_request
from emr_pipelines.targets.serverless_profile import ENGINES, ServerlessProfile
from emr_pipelines.targets.states import ComputeState, Fault, JobState, Phase, RunState

_SEARCHED = timedelta(days=7)
"""How far back a job run is looked for by its key: an application that is kept has those of all runs."""

_STREAMS = ("stdout", "stderr")
_WORKERS: dict[Engine, str] = {"spark": "SPARK_DRIVER", "hive": "HIVE_DRIVER"}


class Serverless:
    """One application for each engine; the id of a job run is ``<application>/<job run>``."""

    capabilities = Capabilities(
        title="EMR Serverless",
        engines=frozenset({"spark", "hive"}),
        owners=frozenset({"run", "profile"}),
        bills_while_idle=False,
        reports_its_bill=True,
        oldest_release="emr-6.6.0",
    )
    profile_model = ServerlessProfile

    def __init__(self, profile: ServerlessProfile, clients: Clients) -> None:
        self._profile = profile
        self._clients = clients
        self._applications = Applications(profile, clients)

    def acquire(self, lease: Lease, engines: frozenset[Engine]) -> Compute:
        """Find or create an application for each engine, and start it; of two with one name, all callers keep the older."""
        found: dict[Engine, list[str]] | None = None
        acquired: dict[Engine, str] = {}
        try:
            listed = self._applications.listed()
            found = self._applications.of(lease, listed)
            if self._profile.owner == "run":
                self._applications.sweep(lease.deployment, listed)
            for engine in ENGINES:
                if found[engine] or engine in (engines or {"spark"}):
                    acquired[engine] = next(iter(found[engine]), None) or self._applications.create(lease, engine)
                    self._start(lease, engine, acquired[engine], found[engine][1:])
        except REFUSALS as error:
            what = f"profile {self._profile.name!r} got no application"
            raise refused(error, what, self._gave_back(lease, found, acquired)) from error
        return self._compute(lease.id, acquired)

    def lookup(self, lease: Lease) -> list[Compute]:
        """List the lease's applications by name, oldest first; those that the profile keeps, whoever started them."""
        found = self._applications.of(lease, self._applications.listed())
        rows = zip_longest(*found.values())
        return [self._compute(lease.id, dict(zip(found, row, strict=True))) for row in rows]

    def owned(self, deployment: str) -> list[Owned]:
        """List the applications that carry the deployment in their tags, and the leases at work on those that a profile keeps."""
        owned: dict[tuple[str, str], Owned] = {}
        for application, tags in self._applications.owned(deployment):
            profile, lease = tags.get(PROFILE_TAG, self._profile.name), tags.get(LEASE_TAG, "")
            other = owned.get((profile, lease))
            others = other.compute.parts if other else {}
            asleep = application["state"] == "STOPPED" and (other is None or other.asleep)
            ids = _in_order({application["type"].lower(): application["id"], **others})
            compute = Compute("serverless", profile, "+".join(ids.values()), lease, "run" if lease else "profile", ids)
            owned[profile, lease] = Owned(compute, tags, application["createdAt"].timestamp(), asleep)
        kept = [one.compute for one in owned.values() if one.compute.owner == "profile"]
        return [*owned.values(), *(at_work for compute in kept for at_work in self._at_work(compute, deployment))]

    def state(self, compute: Compute) -> ComputeState:
        """Say how the applications stand: ready when all are, ended when one has."""
        states = [self._applications.state(application) for application in compute.parts.values()]
        for phase in (Phase.ENDED, Phase.STARTING):
            for state in states:
                if state.phase is phase:
                    return state
        return ComputeState(Phase.READY, ", ".join(state.reason for state in states))

    def states(self, computes: Iterable[Compute]) -> dict[str, ComputeState]:
        """Ask for each: they are ready in seconds, so hardly anybody waits."""
        return {compute.id: self.state(compute) for compute in computes}

    def submit(self, compute: Compute, job: Job, code: Mapping[str, str], key: Key) -> JobRun:
        """Start a job run with the key as its client token. Raises ``JobCapacityError`` too, when the application takes no more now."""
        application = self._part_for(compute, job)
        # With auto_start on, a stopped application would start again and outlive its release.
        try:
            state = self._applications.state(application)
        except REFUSALS as error:
            what = f"application {application} could not be asked whether it takes job runs"
            raise job_refused(error, what, "This job run was not started.") from error
        if state.phase is Phase.ENDED:
            raise ComputeReleasedError(
                f"{compute.id} takes no more jobs: {state.reason}. This job run was not started. "
                "Clear the task again with 'Only failed' off, so that compute is acquired anew."
            )
        request = run_request(job, code, key, self._profile)
        try:
            run = self._client.start_job_run(applicationId=application, **request)["jobRunId"]
        except REFUSALS as error:
            if code_of(error) == "ConflictException" and (known := self.find(compute, key)):
                return known  # its request was another one, from before the profile changed
            what, still = f"application {application} refused the job run", "Nothing runs for this task."
            if not did_nothing(error, "StartJobRun"):
                what = f"application {application} may have started the job run"
                still = "A retry finds it, release cancels it."
            raise job_refused(error, what, still) from error
        return JobRun(f"{application}/{run}", key.name, JobState(RunState.PENDING, "SUBMITTED"))

    def find(self, compute: Compute, key: Key) -> JobRun | None:
        """Find the job run named after the key, of the last week; an older one its client token still tells."""
        since = datetime.now(UTC) - _SEARCHED
        for application in compute.parts.values():
            for page in self._pages(application, createdAtAfter=since):
                for run in page:
                    if run.name == key.name:
                        return run
        return None

    def active(self, compute: Compute, lease: Lease) -> list[JobRun]:
        """List the job runs named after the lease that have not ended."""
        return [_job_run(run) for run in self._live_runs(compute, lease.id)]

    def poll(self, compute: Compute, runs: Iterable[str]) -> dict[str, JobState]:
        """Ask for each: AWS allows ten times as many such calls as listings."""
        del compute  # the ids name their applications
        return {run: self._ask(run) for run in runs}

    def ended(self, compute: Compute, runs: Iterable[str], since: float) -> Iterator[tuple[str, JobState]]:
        """List what has ended on each application that the job runs are on; those of a deleted one are lost."""
        del compute  # the ids name their applications
        wanted: dict[str, list[str]] = {}
        for run in runs:
            wanted.setdefault(run.partition("/")[0], []).append(run)
        created = datetime.fromtimestamp(since - job_runs.ENDED_SLACK, UTC)
        for application, ids in wanted.items():
            try:
                pages = self._listed(application, createdAtAfter=created, states=ENDED_RUNS)
                yield from job_runs.ended_in(ids, pages)
            except ClientError as error:
                if not is_unknown(error):
                    raise
                lost = JobState(RunState.LOST, f"EMR Serverless knows no application {application}", Fault.SERVICE)
                yield from ((run, lost) for run in ids)

    def cancel(self, compute: Compute, run: str) -> None:
        """Cancel a job run; nothing happens when it has ended."""
        del compute
        application, _, job_run = run.partition("/")
        self._applications.cancel(application, job_run)

    def release(self, compute: Compute) -> None:
        """End the applications, or cancel the lease's job runs on those that the profile keeps."""
        if compute.owner == "run":
            self._applications.end(compute.parts.values())
            return
        for run in self._live_runs(compute, compute.lease):
            self._applications.cancel(run["applicationId"], run["id"])

    def logs(self, compute: Compute, run: str) -> Logs:
        """Read the driver's logs below ``<log_uri>/applications/<application>/jobs/<job run>/``, of the latest attempt."""
        address = self._address(run)
        s3 = self._clients.repeating("s3")
        # Where a retry policy allows more than one attempt, each has a folder of its own between the two.
        folders = folders_of_logs(s3, address, f"/{_WORKERS[self._engine_of(compute, run)]}/")
        return Logs(log_tails(s3, folders[-1], _STREAMS) if folders else {}, address)

    def links(self, compute: Compute, run: str | None) -> dict[str, str]:
        """Return the EMR and S3 consoles' pages, or the local endpoint's own addresses with the Spark UI of a job run."""
        first = next(iter(compute.parts.values()))
        endpoint, region = str(self._client.meta.endpoint_url), self._profile.region
        base = f"{self._profile.log_uri.rstrip('/')}/applications/{first}/"
        links = {"compute": console_of(endpoint, region, base)}
        if "amazonaws.com" in endpoint:
            links["compute"] = f"https://{region}.console.aws.amazon.com/emr/home?region={region}#/serverless"
        links["logs"] = console_of(endpoint, region, self._address(run) if run else base)
        if run and self._engine_of(compute, run) == "spark":
            links |= spark_ui_of(endpoint, run)
        return links

    def usage(self, compute: Compute, runs: Iterable[str]) -> Usage:
        """Add up what AWS billed for the job runs that it knows; for those that it has not billed yet, what they used."""
        del compute
        total, billed = {"vCPUHour": 0.0, "memoryGBHour": 0.0, "storageGBHour": 0.0}, True
        for run in runs:
            found = self._described(run) or {}
            used = found.get("billedResourceUtilization")
            billed = billed and used is not None
            for quantity, hours in (used or found.get("totalResourceUtilization") or {}).items():
                total[quantity] += hours
        return Usage(total["vCPUHour"], total["memoryGBHour"], total["storageGBHour"], billed=billed)

    @property
    def _client(self) -> Any:
        return self._applications.client

    def _start(self, lease: Lease, engine: Engine, application: str, twins: list[str]) -> None:
        settled = self._applications.settled(application)
        if self._profile.owner == "profile":
            self._applications.check_kept(settled, lease, engine)
        else:
            self._applications.end(twins)
        self._applications.start(settled)

    def _gave_back(self, lease: Lease, found: Mapping[Engine, list[str]] | None, acquired: Mapping[Engine, str]) -> str:
        """End what was made before the rest was refused, and say what is left: job runs may work on what was found."""
        if found is None:
            return "Nothing was started."
        if self._profile.owner == "profile":
            return "What the profile keeps is left as it is."
        left = any(found.values())
        try:
            self._applications.end(one for engine, one in acquired.items() if one not in found[engine])
        except (ComputeError, *REFUSALS):
            left = True
        return f"What lease {lease.id} had before may still run; release ends it." if left else "Nothing runs."

    def _at_work(self, kept: Compute, deployment: str) -> list[Owned]:
        """List the leases with live job runs on kept applications; the listing has no tags, so the latest of each is asked for."""
        live = [run for application in kept.parts.values() for run in self._applications.live_runs(application)]
        latest = {lease_in(run.get("name", "")): run for run in sorted(live, key=lambda run: run["createdAt"])}
        latest.pop(None, None)
        asked = [(self._described(f"{run['applicationId']}/{run['id']}") or {}, run) for run in latest.values()]
        runs = ((found.get("tags", {}), run["createdAt"].timestamp()) for found, run in asked)
        return job_runs.owned_on(kept, deployment, runs)

    def _compute(self, lease: str, parts: Mapping[Engine, str | None]) -> Compute:
        ids = _in_order({engine: part for engine, part in parts.items() if part})
        owner, overrides = self._profile.owner, self._profile.overrides
        return Compute("serverless", self._profile.name, "+".join(ids.values()), lease, owner, ids, overrides)

    def _part_for(self, compute: Compute, job: Job) -> str:
        engine = job.engine_on(self.capabilities.engines)
        if engine not in compute.parts:
            raise ComputeError(
                f"{compute.id} has no application for {engine}: the job was added after compute was acquired. Nothing was started. "
                "Clear the task with 'Only failed' off, so that compute is acquired anew."
            )
        return compute.parts[engine]

    def _engine_of(self, compute: Compute, run: str) -> Engine:
        application = run.partition("/")[0]
        return next((engine for engine in ENGINES if compute.parts.get(engine) == application), "spark")

    def _pages(self, application: str, **filters: Any) -> Iterator[list[JobRun]]:
        try:
            yield from self._listed(application, **filters)
        except ClientError as error:
            if not is_unknown(error):
                raise

    def _listed(self, application: str, **filters: Any) -> Iterator[list[JobRun]]:
        pages = self._client.get_paginator("list_job_runs").paginate(
            applicationId=application, PaginationConfig={"PageSize": 50}, **filters
        )
        for page in pages:
            yield [_job_run(run) for run in page["jobRuns"]]

    def _live_runs(self, compute: Compute, lease: str) -> list[dict[str, Any]]:
        live = [run for application in compute.parts.values() for run in self._applications.live_runs(application)]
        return [run for run in live if run.get("name", "").startswith(prefix_of(lease))]

    def _described(self, run: str) -> dict[str, Any] | None:
        application, _, job_run = run.partition("/")
        try:
            found: dict[str, Any] = self._client.get_job_run(applicationId=application, jobRunId=job_run)["jobRun"]
        except ClientError as error:
            if is_unknown(error):
                return None
            raise
        return found

    def _ask(self, run: str) -> JobState:
        if (found := self._described(run)) is None:
            return JobState(RunState.LOST, f"EMR Serverless knows no job run {run}", Fault.SERVICE)
        return job_state(found)

    def _address(self, run: str) -> str:
        application, _, job_run = run.partition("/")
        return f"{self._profile.log_uri.rstrip('/')}/applications/{application}/jobs/{job_run}/"


def _job_run(run: Mapping[str, Any]) -> JobRun:
    return JobRun(f"{run['applicationId']}/{run['id']}", run.get("name", ""), job_state(run))


def _in_order(parts: Mapping[Any, str]) -> dict[str, str]:
    return {engine: parts[engine] for engine in ENGINES if engine in parts}
