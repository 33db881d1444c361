"""How applications and job runs change state: pure decisions on records, no I/O, no clock.

Sources: "Interacting with your application", "Job run states", "Job concurrency and queuing" and "Job resiliency" in the
Amazon EMR Serverless User Guide; StopApplication, CancelJobRun and StartJobRun in the API reference.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_emr.runs import Sleep, Stop
from local_emr.runs.retries import another_attempt, another_within_the_hour
from local_emr.serverless.records import FAILED_ATTEMPTS_PER_HOUR, STOPPED, Application, ServerlessJobRun
from local_emr.serverless.workers import Capacity, exceeded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local_emr.engine import Outcome
    from local_emr.runs import Situation

LONGEST_DETAILS = 256
"""Characters of stateDetails (API reference, JobRun)."""

AUTO_STOPPED = "AUTO_STOPPING"  # as answers of AWS show it that people published
# AWS documents that these things happen but not in which words it says so.
NO_CAPACITY = "The application could not be started: there is not enough capacity to initialize it"
QUEUE_TIMED_OUT = "The job run has timed out: it was in the queue for {minutes} minutes"
TIMED_OUT = "The job run has timed out: it exceeded its execution timeout of {minutes} minutes"
CANCELLED = "The job run was cancelled by CancelJobRun"


@dataclass(frozen=True)
class EnterApplication:
    """Let the application go on to `state`."""

    state: str
    details: str = ""


@dataclass(frozen=True)
class Idle:
    """The application begins to be idle, or no longer is."""

    since: float | None


@dataclass(frozen=True)
class EnterRun:
    """Let a waiting job run go on to `state`, which may be FAILED or CANCELLED."""

    run_id: str
    state: str
    details: str = ""


@dataclass(frozen=True)
class StartRun:
    """Start the latest attempt of this job run."""

    run_id: str


@dataclass(frozen=True)
class CancelRun:
    """End the process of this running job run."""

    run_id: str
    details: str


Move = EnterApplication | Idle | EnterRun | StartRun | CancelRun


def next_move(view: Situation[Application, ServerlessJobRun], boot_seconds: float) -> Move | Sleep | Stop:
    """Say what an application or one of its job runs does next, when starting takes `boot_seconds`."""
    application, now = view.owner, view.now
    if application.state == "TERMINATED":
        return Stop()
    dues: list[float] = []
    for run in view.live:
        if (due := _times_out(run)) is not None:
            if due <= now:
                return _time_out(run)
            dues.append(due)
    if application.state != "STARTED":
        move = _change(application, waiting=bool(view.live), now=now, boot_seconds=boot_seconds)
    else:
        move = _work(view)
    if isinstance(move, Sleep):
        return Sleep(min((due for due in (*dues, move.until) if due is not None), default=None))
    return move


def _times_out(run: ServerlessJobRun) -> float | None:
    if run.started is None or not run.timeout_minutes or run.state == "CANCELLING":
        return None
    return run.started + 60 * run.timeout_minutes


def _time_out(run: ServerlessJobRun) -> Move:
    details = TIMED_OUT.format(minutes=run.timeout_minutes)
    return CancelRun(run.id, details) if run.state == "RUNNING" else EnterRun(run.id, "CANCELLED", details)


def _change(application: Application, *, waiting: bool, now: float, boot_seconds: float) -> Move | Sleep:
    """Say what an application does that is not STARTED; `waiting`: it has job runs."""
    if application.state in STOPPED:
        return EnterApplication("STARTING") if waiting else Sleep()
    takes = {"STARTING": boot_seconds}.get(application.state, boot_seconds / 4)
    due = application.entered + takes
    if now < due:
        return Sleep(due)
    if application.state == "STOPPING":
        return EnterApplication("STOPPED", application.details)
    return EnterApplication({"CREATING": "CREATED", "STARTING": "STARTED"}[application.state])


def _work(view: Situation[Application, ServerlessJobRun]) -> Move | Sleep:
    """Say what a STARTED application does."""
    application, now = view.owner, view.now
    if not view.live:
        return _rest(application, now)
    if application.idle_since is not None:
        return Idle(None)
    free = _free(application, view.live)
    dues = []
    for run in view.live:
        move = _advance(application, run, slot=free, running=view.live, now=now) if run.is_waiting else None
        if isinstance(move, Sleep):
            dues.append(move.until)
        elif move is not None:
            return move
    return Sleep(min((due for due in dues if due is not None), default=None))


def _rest(application: Application, now: float) -> Move | Sleep:
    if application.idle_since is None:
        return Idle(now)
    if application.idle_seconds is None:
        return Sleep()
    due = application.idle_since + application.idle_seconds
    return Sleep(due) if now < due else EnterApplication("STOPPING", AUTO_STOPPED)


def _free(application: Application, live: Iterable[ServerlessJobRun]) -> bool:
    """Say whether one more job run may be admitted."""
    if application.scheduler is None:
        return True
    admitted = sum(run.state not in {"SUBMITTED", "QUEUED"} for run in live)
    return admitted < application.scheduler["maxConcurrentRuns"]


def _advance(
    application: Application, run: ServerlessJobRun, *, slot: bool, running: Iterable[ServerlessJobRun], now: float
) -> Move | Sleep:
    """Say what a waiting job run does; the oldest is asked first."""
    if run.state in {"SUBMITTED", "QUEUED"}:
        if slot:
            return EnterRun(run.id, "PENDING")
        return EnterRun(run.id, "QUEUED") if run.state == "SUBMITTED" else _queue(application, run, now)
    if run.state == "PENDING":
        return EnterRun(run.id, "SCHEDULED")
    if refusal := run.problem or too_large(application, run):
        return EnterRun(run.id, "FAILED", one_line(refusal))
    taken = sum((other.capacity for other in running if other.holds_workers), Capacity())
    return Sleep() if exceeded(taken + run.capacity, application.settings.get("maximumCapacity")) else StartRun(run.id)


def _queue(application: Application, run: ServerlessJobRun, now: float) -> Move | Sleep:
    assert application.scheduler is not None  # noqa: S101 - nothing is queued without one
    minutes = application.scheduler["queueTimeoutMinutes"]
    due = (run.queued or now) + 60 * minutes
    return Sleep(due) if now < due else EnterRun(run.id, "FAILED", QUEUE_TIMED_OUT.format(minutes=minutes))


def too_large(application: Application, run: ServerlessJobRun) -> str | None:
    """Say, as AWS does, why the job run's workers never fit the application; None: they do."""
    limits = exceeded(run.capacity, application.settings.get("maximumCapacity"))
    if limits is None:
        return None
    words = "Worker could not be allocated as the application has exceeded maximumCapacity settings"
    return f"ApplicationMaxCapacityExceededException: {words}: [{limits}]"


def enter(run: ServerlessJobRun, state: str, now: float, details: str = "") -> None:
    """Put a waiting job run into `state`."""
    if run.state == "QUEUED" and run.queued is not None:
        run.queued_seconds, run.queued = run.queued_seconds + now - run.queued, None
    if state == "QUEUED":
        run.queued = now
    run.attempt.enter(state, now, details)
    if state == "RUNNING":
        run.attempt.started = now
    if run.has_ended:
        run.attempt.ended = now


def cancel(run: ServerlessJobRun, now: float, details: str = CANCELLED) -> str | None:
    """Cancel a job run; return why it cannot be, or None when it is under way."""
    if run.has_ended:
        return f"Job run {run.id} cannot be cancelled as it is in {run.state} state"
    if run.is_waiting:
        enter(run, "CANCELLED", now, details)
    elif run.state == "RUNNING":
        run.attempt.enter("CANCELLING", now, details)
    return None


def settle(run: ServerlessJobRun, outcome: Outcome, now: float) -> None:
    """Record how the latest attempt ended; a failed one may be followed by another."""
    cancelled = run.state == "CANCELLING"
    run.attempt.ended = now
    if outcome.succeeded:
        run.attempt.enter("SUCCESS", now, "")
    elif cancelled:
        run.attempt.enter("CANCELLED", now)
    else:
        run.attempt.enter("FAILED", now, failure(outcome))
        if _is_tried_again(run, now):
            run.retry(now)


def _is_tried_again(run: ServerlessJobRun, now: float) -> bool:
    policy = run.request.get("retryPolicy", {})
    if run.mode == "STREAMING":
        failed = (attempt.ended for attempt in run.attempts if attempt.ended is not None)
        return another_within_the_hour(failed, policy.get("maxFailedAttemptsPerHour", FAILED_ATTEMPTS_PER_HOUR), now)
    return another_attempt(len(run.attempts), policy.get("maxAttempts", 1))


def failure(outcome: Outcome) -> str:
    """Return the stateDetails of an attempt that failed, as AWS words them."""
    if outcome.exit_code is None:
        said = (part for part in (outcome.reason, outcome.message) if part and part != "Unknown Error.")
        return one_line(f"Job failed. {': '.join(said)}")
    where = "Job failed, please check complete logs in configured logging destination."
    return one_line(f"{where} ExitCode: {outcome.exit_code}. Last few exceptions: {outcome.message}")


def one_line(details: str) -> str:
    """Return `details` as stateDetails can hold them."""
    return re.sub(r"\s+", " ", details).strip()[:LONGEST_DETAILS]


def lose(application: Application, now: float) -> None:
    """Leave an application, whose endpoint went away, without capacity."""
    if application.state == "CREATING":
        application.enter("CREATED", now)
    elif application.state in {"STARTING", "STARTED", "STOPPING"}:
        application.enter("STOPPED", now, "endpoint was restarted")
