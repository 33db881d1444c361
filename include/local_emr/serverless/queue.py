"""An application at work: does what `lifecycle` decides."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from local_emr.faults import RefuseCapacity
from local_emr.runs import JobQueue, Situation, Sleep, Stop, Work
from local_emr.runs.requests import environment_of
from local_emr.serverless import drivers, lifecycle
from local_emr.serverless.lifecycle import CancelRun, EnterApplication, EnterRun, Idle, StartRun
from local_emr.serverless.records import Application, ServerlessJobRun

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from local_emr.engine import Outcome
    from local_emr.faults import Faults
    from local_emr.runs import Machine, Records

logger = logging.getLogger(__name__)

SERVICE = "emr-serverless"
"""What requests to EMR Serverless are signed for."""


class ApplicationQueue(JobQueue[Application, ServerlessJobRun, lifecycle.Move]):
    """An application and its job runs."""

    def __init__(  # noqa: PLR0913 - each is a part of its own
        self,
        application: Application,
        runs: Iterable[ServerlessJobRun],
        machine: Machine,
        *,
        applications: Records[Application],
        job_runs: Records[ServerlessJobRun],
        faults: Faults,
    ) -> None:
        super().__init__(application, runs, machine)
        self._applications = applications
        self._job_runs = job_runs
        self._faults = faults

    @property
    def folder(self) -> Path:
        """The folder of what lives as long as the application: tables, and its job runs' HDFS."""
        return self._applications.folder / self.owner.id

    def save_owner(self) -> None:
        """Write the application's record."""
        self.machine.journal.compute(SERVICE, self.owner)
        self._applications.save(self.owner, self.owner.id)
        self.machine.announce(SERVICE, self.owner)

    def save_run(self, run: ServerlessJobRun) -> None:
        """Write a job run's record."""
        self.machine.journal.job_run(SERVICE, run.owner, run, run.arguments)
        self._job_runs.save(run, self.owner.id, run.id)
        self.machine.announce(SERVICE, self.owner, run)

    def next_move(self, view: Situation[Application, ServerlessJobRun]) -> lifecycle.Move | Sleep | Stop:
        """Say what to do next."""
        return lifecycle.next_move(view, self.machine.boot_seconds)

    def make(self, move: lifecycle.Move) -> None:
        """Do what was decided."""
        match move:
            case EnterApplication("STARTED") if self._faults.strikes_compute(RefuseCapacity, SERVICE, self.owner.name):
                self._refuse()
            case EnterApplication(state, details):
                self.owner.enter(state, self.now(), details)
                if state in {"STOPPED", "TERMINATED"}:
                    self._release()
            case Idle(since):
                self.owner.idle_since = since
            case EnterRun(run_id, state, details):
                lifecycle.enter(self.runs[run_id], state, self.now(), details)
            case StartRun(run_id):
                self._start(self.runs[run_id])
            case CancelRun(run_id, details):
                lifecycle.cancel(self.runs[run_id], self.now(), details)
                self.end_process(self.runs[run_id])

    def settle(self, run: ServerlessJobRun, outcome: Outcome) -> None:
        """Record how the run's attempt ended."""
        lifecycle.settle(run, outcome, self.now())

    def _refuse(self) -> None:
        """Leave the application as it was before its start, and its job runs without capacity."""
        self.owner.enter(self.owner.rested, self.now(), lifecycle.NO_CAPACITY)
        for run in self.live():
            lifecycle.enter(run, "FAILED", self.now(), lifecycle.NO_CAPACITY)

    def _start(self, run: ServerlessJobRun) -> None:
        lifecycle.enter(run, "RUNNING", self.now())
        configurations = drivers.configurations_of(self.owner, run.request)
        self.execute(
            run,
            Work(
                drivers.step_of(run.request["jobDriver"]),
                folder=self.machine.data / "jobs" / run.id / str(run.attempt.number),
                cluster=self.folder,
                environment=environment_of(run.region, configurations),
                spark_defaults=drivers.defaults_of(run.request["jobDriver"], configurations),
                logs=drivers.logs_of(self.owner, run),
            ),
        )

    def _release(self) -> None:
        """End what serves the application beside its job runs; its tables stay."""
        try:
            self.machine.engine.release(self.folder)
        except Exception:
            logger.exception("what served application %s could not be ended", self.owner.id)


def event_log_name(run: ServerlessJobRun, attempt: int) -> str:
    """Return the name of an attempt's event logs, as the engine gives it."""
    return f"{run.id}-{attempt}"
