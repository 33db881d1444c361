"""The task that runs a job, once, on the compute that its pipeline acquired."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowTaskTimeout

from emr_pipelines import failures
from emr_pipelines.artifacts import Artifact, is_address, lock_beside, pin, read_artifact
from emr_pipelines.choosing import override
from emr_pipelines.datasets import STAGED_XCOM, Partition, Staged, check_staging, filled, staged_template
from emr_pipelines.endings import is_unwanted
from emr_pipelines.errors import ComputeReleasedError, ConfigurationError, JobCapacityError, JobDeadlineError, JobError
from emr_pipelines.hints import hint_for
from emr_pipelines.history import usual_seconds
from emr_pipelines.job_checks import check_engine, existing
from emr_pipelines.jobs import Job, job_from
from emr_pipelines.keys import Action, Attempt, Key, Record, Standing, decide, fingerprint
from emr_pipelines.links import JOB_LINKS, show_links
from emr_pipelines.masking import masked
from emr_pipelines.measuring import end_of, tell_end
from emr_pipelines.membership import Run, membership_of
from emr_pipelines.row_counts import ROWS, read_rows, rows_address, says_rows
from emr_pipelines.specification import LOCK
from emr_pipelines.targets import capabilities_of
from emr_pipelines.targets.base import Compute, JobRun, Logs
from emr_pipelines.targets.once import LISTING_LAG
from emr_pipelines.targets.refusals import REFUSALS, is_unreachable
from emr_pipelines.targets.states import ComputeState, Fault, JobState, Phase, RunState
from emr_pipelines.watching import JobRunTrigger, job_state_of, target_of, wait_briefly

if TYPE_CHECKING:
    from airflow.sdk import Context

RECORD = "emr_job_run"
"""Key of the record in Airflow's task state store."""

_SAID = {
    Action.WAIT: "Looking again",
    Action.SUBMIT: "Submitting under the recorded key",
    Action.ADOPT: "Adopting the live job run",
    Action.RETURN: "Reporting the finished job run",
    Action.RENEW: "Starting a new job run",
}
_LOOK_AGAIN_SECONDS = 1.0
_CANCEL_SECONDS = 180.0
_LOG_SECONDS = 60.0
"""Seconds that a failing task waits for EMR to deliver logs; EMR may need some minutes, and then the message says where they will lie."""


class EmrJobOperator(BaseOperator):
    """Runs a job, once, on the compute that its pipeline acquired.

    Its XCom is ``{"compute": <id>, "job_run": <id>, "began": ..., "ended": ...}``, times in seconds since 1970; with ``stages``
    it has a second one, ``staged``: ``{"dataset", "address", "partition", "version", "location"}``. ``job_ends`` lists how the task's
    job runs have ended.

    :param job: what to run; its texts may hold templates. ``ROWS`` in them becomes a folder into which the job may write how many rows
        it has handled.
    :param stages: the dataset's partition that the job writes; its value may be a template. Each job run writes a version of its
        own: ``STAGED`` in the job's texts becomes that version's folder, ``VERSION`` its name. Later tasks of the run name the
        folder by this task's ``staged``; readers see it when it is published.
    :raises ConfigurationError: the task stands in no pipeline, its job's code does not exist, or it stages what its job does not write.
    """

    template_fields = ("job", "partition")
    template_fields_renderers = {"job": "json"}  # noqa: RUF012  # Airflow's convention
    operator_extra_links = JOB_LINKS
    ui_color = "#f5e6d8"

    def __init__(self, *, job: Job | dict[str, Any], stages: Partition | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        membership_of(self)
        specification = job_from(job) if isinstance(job, dict) else job
        for path in specification.code():
            if not is_address(path):
                existing(path, self.task_id)
        self.job: dict[str, Any] = specification.model_dump(mode="json")
        check_staging(self.task_id, self.job, stages)
        self.stages = stages
        self.partition = stages.value if stages else None
        self._running: tuple[Compute, str] | None = None
        self._claimed: tuple[Compute, Key] | None = None
        self.job_type = type(specification).__name__
        self.rows: int | None = None
        self._task_instance: Any = None
        self._store: Any = None
        self._unwanted = False

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Begin a mapped task.

        :raises ConfigurationError: it stages: there is one version of a partition to publish, and each of its job runs would write one.
        """
        if kwargs.get("stages") is not None:
            raise ConfigurationError(_mapped(kwargs.get("task_id")))
        return super().partial(**kwargs)

    @property
    def staged(self) -> str:
        """The template that gives later tasks of a run the folder which this task's job run has written.

        :raises ConfigurationError: the task stages nothing.
        """
        if self.stages is None:
            raise ConfigurationError(f"Task {self.task_id!r} stages nothing: give it stages=<dataset>.partition(...)")
        return staged_template(self.task_id)

    def code_paths(self) -> list[str]:
        """List what the job needs in S3 and the DAG names by a path below ``include/``."""
        job = job_from(self.job)
        return [*(path for path in job.code() if not is_address(path)), *lock_beside(job)]

    def artifact(self, path: str) -> Artifact:
        """Read one of them."""
        return read_artifact(path)

    def execute(self, context: Context) -> Any:
        """Start the job run, or adopt the one that an earlier execution started, and wait for its end."""
        try:
            return self._run(context)
        except AirflowTaskTimeout:
            if running := self._running or self._submitted_just_now():
                self._cancelled(*running)
            raise

    def _run(self, context: Context) -> Any:
        self._task_instance, self._store = context["ti"], context["task_state_store"]
        run = Run.of(context)
        try:
            compute, job_run, submitted_at = self._start(run)
        except ComputeReleasedError as error:
            # A retry cannot help: acquire runs again only when it is cleared.
            raise AirflowFailException(str(error)) from error
        show_links(context, target_of(compute).links(compute, job_run))
        return self._wait(context, compute, job_run, submitted_at)

    def _wait(self, context: Context, compute: Compute, job_run: str, submitted_at: float) -> Any:
        """Wait for the end of the job run: a while in this process, then deferred."""
        self._running = (compute, job_run)
        state = self._look(compute, job_run)
        if not state.state.ended:
            deadline = submitted_at + self.execution_timeout.total_seconds() if self.execution_timeout else None
            usual = usual_seconds(context)
            known = f": it took {usual:.0f} s the last time" if usual else ""
            self.log.info("Job run %s is %s; waiting deferred%s", job_run, state.state, known)
            self.defer(
                trigger=JobRunTrigger(compute.to_json(), job_run, deadline, submitted_at, usual),
                method_name="resume",
                kwargs={"compute": compute.to_json(), "job_run": job_run, "submitted_at": submitted_at},
            )
        return self._ended(context, compute, job_run, state)

    def _look(self, compute: Compute, job_run: str) -> JobState:
        """Look for a while. What AWS does not tell now the watcher may see later: the job run works on, or has ended."""
        try:
            return wait_briefly(lambda: job_state_of(compute, job_run), lambda state: state.state.ended)
        except REFUSALS as error:
            if not is_unreachable(error):
                raise
            self.log.warning("Job run %s cannot be looked at now: %s", job_run, error)
            return JobState(RunState.RUNNING, "out of sight")

    def resume(
        self, context: Context, event: dict[str, Any], compute: dict[str, str], job_run: str, submitted_at: float
    ) -> Any:
        """Go on after a deferred wait."""
        self._task_instance, self._store = context["ti"], context["task_state_store"]
        where = Compute.from_json(compute)
        self._running = (where, job_run)
        if event.get("deadline"):
            self._cancel_late(where, job_run)
            left = self._left(where)
            raise JobDeadlineError(
                f"Job run {job_run} ran longer than this task's execution_timeout of {self.execution_timeout} and was cancelled.\n"
                f"{_still(where, left)} {self._retry(context, left)}"
            )
        if "error" in event:
            raise JobError(
                f"{event['error']}: job run {job_run} could not be looked at. It still runs on {where.id}; a retry of this task adopts it."
            )
        # Who asks may be told later than who was woken: an event comes before the service's answers agree with it.
        return self._wait(context, where, job_run, submitted_at)

    def on_kill(self) -> None:
        """Cancel the job run when somebody ended the task; leave it to the process that Airflow goes on with, which adopts it."""
        self._unwanted = is_unwanted(self._task_instance)
        if self._unwanted:
            self._cancel_job_run()
        else:
            self.log.warning("Airflow ends this process and not the task: its job run is left to the one that follows")

    def _cancel_job_run(self) -> None:
        running = self._running or self._submitted_just_now()
        if running:
            compute, job_run = running
            target_of(compute).cancel(compute, job_run)
            self.log.info("Cancelled job run %s on %s", job_run, compute.id)

    def _submitted_just_now(self) -> tuple[Compute, str] | None:
        """Find the job run of a submit that was interrupted before its answer came."""
        if self._claimed is None:
            return None
        compute, key = self._claimed
        found = target_of(compute).find(compute, key)
        return (compute, found.id) if found else None

    def succeeded(self, run: Run, compute: Compute, job_run: str) -> dict[str, Any]:
        """Return the task's XCom after a success."""
        del run
        return {"compute": compute.id, "job_run": job_run}

    def prepare(self, run: Run, code: Mapping[str, str], key: Key) -> Job:
        """Return the job to submit under a key."""
        del run, code, key
        return job_from(self.job)

    def _start(self, run: Run) -> tuple[Compute, str, float]:
        """Submit, adopt, or find the job run; return where it is, its id, and when it was submitted."""
        store = run.context["task_state_store"]
        ti = run.context["ti"]
        record = Record.from_json(store.get(RECORD))
        compute, code = run.acquired()
        code |= self._pin_missing(run, compute, code)
        attempt = Attempt(
            max_tries=ti.max_tries,
            clear_number=getattr(run.context["dag_run"], "clear_number", None) or 0,
            fingerprint=fingerprint(self._work(code)),
        )
        action, standing, existing = self._decision(run, record, attempt)
        if record and existing and action in (Action.ADOPT, Action.RETURN):
            store.set(RECORD, record.adopted(existing, attempt).to_json())
            return Compute.from_json(record.compute), existing, record.written_at
        if record is None or action is Action.RENEW:
            self._cancel_older(record, standing, existing)
            record = attempt.record(record.generation + 1 if record else 1)
        record = record.on(compute.to_json(), time.time())
        store.set(RECORD, record.to_json())
        started = self._submit(run, compute, code, record)
        self._running = (compute, started.id)
        if self._unwanted:
            # The task was ended while the service answered: its handler could not find the job run yet.
            self._cancel_job_run()
        store.set(RECORD, record.with_run(started.id).to_json())
        self.log.info("Started job run %s (%s) on %s", started.id, started.name, compute.id)
        return compute, started.id, record.written_at

    def _work(self, code: Mapping[str, str]) -> dict[str, Any]:
        """Return what says whether two job runs would do the same; not where: each writes a version of its own."""
        work = {"job": self.job, "code": [code[path] for path in self._pinned(code)]}
        return work if self.stages is None else {**work, "stages": self._partition().address}

    def _pinned(self, code: Mapping[str, str]) -> list[str]:
        """List what the job needs of what was pinned; a lock file that came or went since then changes nothing."""
        paths = [*self.code_paths(), job_from(self.job).lock()]
        return [path for path in dict.fromkeys(paths) if path and path in code]

    def _partition(self) -> Partition:
        """Return the partition that this run stages, now that its value is rendered."""
        assert self.stages is not None  # noqa: S101  # asked only of tasks that stage
        if self._task_instance.map_index not in (None, -1):
            raise AirflowFailException(_mapped(self.task_id))
        try:
            return self.stages.dataset.partition(str(self.partition))
        except ConfigurationError as error:
            raise AirflowFailException(str(error)) from None

    def _staged_by(self, key: Key) -> Staged:
        return self._partition().staged(key.id)

    def _submit(self, run: Run, compute: Compute, code: Mapping[str, str], record: Record) -> JobRun:
        key = self._key(run, record)
        job = self.prepare(run, code, key)
        staged = self._staged_by(key).words if self.stages is not None else {}
        words = staged | {ROWS: rows_address(run.environment, key)}
        job = job_from(filled(job.model_dump(mode="json"), words))
        # What a mapped task runs may be known only now.
        check_engine(job, self.task_id, run.environment.profile(compute.profile))
        if self._unwanted:
            raise AirflowFailException("This task was ended before its job run was submitted. Nothing was started.")
        self._claimed = (compute, key)
        addresses = {path: code.get(path, path) for path in job.code()}
        if (lock := job.lock()) and lock in code:
            addresses[lock] = code[lock]
        return target_of(compute).submit(compute, job, addresses, key)

    def _key(self, run: Run, record: Record) -> Key:
        ti = run.context["ti"]
        return Key(run.lease, ti.task_id, ti.map_index if ti.map_index is not None else -1, record.nonce)

    def _decision(self, run: Run, record: Record | None, attempt: Attempt) -> tuple[Action, Standing, str | None]:
        """Decide, once the service's answer can be trusted; return the earlier job run's standing and id, too."""
        begun = time.monotonic()
        while True:
            standing, existing = self._standing(run, record, time.monotonic() - begun)
            decision = decide(record, attempt, standing)
            self.log.info("%s: %s", _SAID[decision.action], decision.reason)
            if decision.action is not Action.WAIT:
                return decision.action, standing, existing
            time.sleep(_LOOK_AGAIN_SECONDS)

    def _standing(self, run: Run, record: Record | None, looked: float) -> tuple[Standing, str | None]:
        """Ask how the recorded job run stands, and under which id the service knows it; ``looked`` for so many seconds already."""
        if record is None:
            return Standing.ABSENT, None
        try:
            compute = Compute.from_json(record.compute)
            target = target_of(compute)
        except (ConfigurationError, TypeError) as error:
            self.log.warning("The earlier job run cannot be asked about, so it counts as ended: %s", error)
            return Standing.ENDED, record.job_run
        try:
            if record.job_run:
                return self._seen(compute, record.job_run, job_state_of(compute, record.job_run)), record.job_run
            if found := target.find(compute, self._key(run, record)):
                return self._seen(compute, found.id, found.state), found.id
        except REFUSALS as error:
            raise JobError(
                f"{error}: how the earlier job run of this task on {compute.id} (profile {compute.profile!r}) stands could not be asked. "
                "It may still work, so no other is started; a retry asks again. To go on elsewhere before AWS answers, delete this DAG run "
                "and trigger it again: its tasks know nothing of what this one started."
            ) from error
        # Nobody knows when a process that died had submitted: the lag counts from the first look for it.
        return (Standing.UNSEEN if looked < LISTING_LAG else Standing.ABSENT), None

    def _seen(self, compute: Compute, job_run: str, state: JobState) -> Standing:
        """Say how the earlier job run stands; tell of an end that nobody was there to tell of."""
        if state.state.ended and state.state is not RunState.SUCCEEDED:
            self._tell_end(compute, job_run, state)
        return _standing_of(state)

    def _tell_end(self, compute: Compute, job_run: str, state: JobState, reason: str = "") -> None:
        ti = self._task_instance
        end = end_of(ti, compute, job_run, state, kind=self.job_type, reason=reason, rows=self.rows)
        tell_end(ti, self._store, end)

    def _cancel_older(self, record: Record | None, standing: Standing, existing: str | None) -> None:
        """End what an older generation left alive before the next one starts."""
        # What the service lost may still work: nobody knows.
        if record is None or existing is None or standing not in (Standing.LIVE, Standing.CANCELLING, Standing.LOST):
            return
        self.log.info("Cancelling job run %s of generation %s", existing, record.generation)
        state = self._cancelled(Compute.from_json(record.compute), existing)
        if not state.state.ended:
            raise JobError(
                f"Job run {existing} of an earlier execution is still {state.state} {_CANCEL_SECONDS:.0f} s after it was cancelled. "
                "It costs; a retry waits for it again."
            )

    def _cancelled(self, compute: Compute, job_run: str) -> JobState:
        """Cancel a job run and wait for its end: what is only being cancelled is live, and a retry would adopt it."""
        target_of(compute).cancel(compute, job_run)
        state = wait_briefly(lambda: job_state_of(compute, job_run), lambda state: state.state.ended, _CANCEL_SECONDS)
        if state.state.ended:
            self._tell_end(compute, job_run, state)
        return state

    def _cancel_late(self, compute: Compute, job_run: str) -> None:
        """Cancel a job run whose time is up.

        :raises JobDeadlineError: AWS does not answer, so that it may work on.
        """
        try:
            self._cancelled(compute, job_run)
        except REFUSALS as error:
            raise JobDeadlineError(
                f"Job run {job_run} ran longer than this task's execution_timeout of {self.execution_timeout}, and could not be cancelled: "
                f"{error}.\nIt may still work and cost on {compute.id}. Release ends it, or the reaper once AWS answers again; until then "
                "a retry starts nothing."
            ) from error

    def _pin_missing(self, run: Run, compute: Compute, code: Mapping[str, str]) -> dict[str, str]:
        """Upload what acquire could not know of: the code of a mapped task."""
        missing = [path for path in self.code_paths() if path not in code]
        # A lock file alone has come after its script was pinned.
        if all(path.endswith(LOCK) for path in missing):
            return {}
        profile = override(run.environment.profile(compute.profile), compute.overrides)
        return pin(run.environment, profile, [self.artifact(path) for path in missing])

    def _ended(self, context: Context, compute: Compute, job_run: str, state: JobState) -> Any:
        self._running = None
        if state.state is RunState.SUCCEEDED:
            run = Run.of(context)
            self._tell_staged(run)
            self._count_rows(run)
            try:
                return self.succeeded(run, compute, job_run) | {"began": state.began, "ended": state.ended}
            finally:
                self._tell_end(compute, job_run, state)
        logs = self._logs(compute, job_run)
        found = failures.cause_in(logs.streams)
        # Of a job run that was ended from outside, its own log only shows how it was cut off.
        by_itself = state.state is RunState.FAILED and state.fault is Fault.JOB
        told = (found or state.reason) if by_itself else (state.reason or found)
        told = told or f"The job run ended {state.state} and gave no reason"
        cause = masked(told)
        for line in (cause, *failures.tails_of(logs.streams)):
            self.log.error("%s", line)
        left = self._left(compute)
        fault = f" (fault of: {state.fault})" if state.fault else ""
        kind = JobCapacityError if state.fault is Fault.CAPACITY else JobError
        message = failures.failure_message(
            cause,
            hint=hint_for(told, logs.streams),
            run=f"Job run {job_run} on {compute.id} ended as {state.state}{fault}.",
            still=_still(compute, left),
            retry=self._retry(context, left),
            address=logs.address,
        )
        self._tell_end(compute, job_run, state, cause)
        raise kind(message)

    def _count_rows(self, run: Run) -> None:
        record = Record.from_json(self._store.get(RECORD)) if says_rows(self.job) else None
        self.rows = read_rows(run.environment, self._key(run, record)) if record else None

    def _tell_staged(self, run: Run) -> None:
        """Tell later tasks what the job run has written."""
        if self.stages is None:
            return
        record = Record.from_json(run.context["task_state_store"].get(RECORD))
        if record is None:
            raise JobError(
                "The record of this task's job run is gone from the task state store, and with it the name of the version that it "
                "wrote. Clear this task with its downstream to write another one."
            )
        staged = self._staged_by(self._key(run, record))
        run.context["ti"].xcom_push(key=STAGED_XCOM, value=asdict(staged))
        self.log.info("Staged %s, which readers see once it is published", staged.location)

    def _logs(self, compute: Compute, job_run: str) -> Logs:
        """Read the logs, waiting a while for EMR to deliver them."""
        target = target_of(compute)
        try:
            return wait_briefly(lambda: target.logs(compute, job_run), lambda logs: bool(logs.streams), _LOG_SECONDS)
        except Exception as error:  # noqa: BLE001  # the job's own failure must be told even when its logs cannot be read
            self.log.warning("The logs could not be read: %s", error)
            return Logs({}, None)

    def _left(self, compute: Compute) -> ComputeState:
        """Ask how the compute stands; where that cannot be learned, it is told as what still costs."""
        try:
            return target_of(compute).state(compute)
        except Exception as error:  # noqa: BLE001  # the job's own failure must be told whatever becomes of its compute
            self.log.warning("How %s stands could not be learned: %s", compute.id, error)
            return ComputeState(Phase.READY)

    def _retry(self, context: Context, left: ComputeState) -> str:
        ti = context["ti"]
        if left.phase is Phase.ENDED:
            return "A retry cannot help: clear this task with 'Only failed' off, so that compute is acquired anew."
        if ti.try_number <= ti.max_tries:
            return "Airflow will retry this task: that starts a new job run."
        return "No retry is left: after mending the cause, clear this task with 'Only failed' off."


def _mapped(task_id: str | None) -> str:
    return (
        f"Task {task_id!r} is mapped, and each of its job runs would stage a version of its own, of which one can be published. "
        "Write a task for each partition, or let one job write the partition"
    )


def _still(compute: Compute, state: ComputeState) -> str:
    """Say what still runs and costs."""
    if state.phase is Phase.ENDED:
        return f"{compute.id} has ended: {state.reason}."
    if compute.owner == "profile":
        return f"{compute.id} is shared and stays; nothing else of this job run is left."
    if not capabilities_of(compute.target).bills_while_idle:
        return f"{compute.id} stays until release, and costs while jobs work on it."
    return f"{compute.id} still runs and costs until release."


def _standing_of(state: JobState) -> Standing:
    if state.state.ended:
        return {RunState.SUCCEEDED: Standing.SUCCEEDED, RunState.LOST: Standing.LOST}.get(state.state, Standing.ENDED)
    return Standing.CANCELLING if state.state is RunState.CANCELLING else Standing.LIVE
