"""Runs one cluster: a thread that makes its moves, and one more for each running step."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from local_emr.emr import lifecycle, logs
from local_emr.emr.configurations import environment_of, spark_defaults_of
from local_emr.emr.lifecycle import End, Enter, ShutDown, Sleep, Start
from local_emr.engine import Outcome, Step

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local_emr.emr.records import ClusterRecord, Records, StepRecord
    from local_emr.engine import RunningStep
    from local_emr.faults import Faults
    from local_emr.runs import Machine

logger = logging.getLogger(__name__)

SERVICE = "elasticmapreduce"
"""What requests to EMR on EC2 are signed for."""


class Cluster:
    """A cluster at work. Read and change its record only inside `reading()` and `changing()`."""

    def __init__(self, record: ClusterRecord, machine: Machine, records: Records, faults: Faults) -> None:
        self.record = record
        self.machine = machine
        self._records = records
        self._faults = faults
        self.changed = threading.Condition()
        self.running: dict[str, RunningStep] = {}
        self.closed = False

    @contextmanager
    def reading(self) -> Iterator[ClusterRecord]:
        """Hold the record still."""
        with self.changed:
            yield self.record

    @contextmanager
    def changing(self) -> Iterator[ClusterRecord]:
        """Hold the record, save what the block made of it, and let the cluster's threads see it."""
        with self.changed:
            yield self.record
            if not self.closed:
                self._save()
            self.changed.notify_all()

    def begin(self) -> None:
        """Save the record and start the cluster's thread."""
        with self.changing():
            threading.Thread(target=self._live, name=self.record.id, daemon=True).start()

    def close(self) -> None:
        """Make no further move and save nothing more: the endpoint ends, and the engine ends the steps."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def terminate(self, code: str, message: str) -> None:
        """Begin to end the cluster."""
        with self.changing() as record:
            steps = lifecycle.shut_down(record, code, message, self.machine.clock.now())
        self.end_processes(steps)

    def end_processes(self, steps: list[StepRecord]) -> None:
        """Let the processes of `steps` end, without waiting for it."""
        for step in steps:
            running = self.running.get(step.id)
            if running is not None:
                threading.Thread(target=running.cancel, name=f"{step.id}-cancel", daemon=True).start()

    def _save(self) -> None:
        self.machine.journal.compute(SERVICE, self.record)
        for step in self.record.steps:
            self.machine.journal.job_run(SERVICE, self.record.id, step, step.args)
        self._records.save(self.record)

    def _live(self) -> None:
        """Make one move after the other; what is decided is done before anything else can change the record."""
        while not self.closed:
            with self.changed:
                move = lifecycle.next_move(self.record, self.machine.clock.now(), self.machine.boot_seconds)
                if isinstance(move, Sleep) and not self.closed:
                    self.machine.clock.wait(self.changed, move.until)
                elif not isinstance(move, End):
                    self._make(move)
            if isinstance(move, End):
                self._end()
                return

    def _make(self, move: lifecycle.Move) -> None:
        if isinstance(move, ShutDown):
            self.terminate(move.code, move.message)
            return
        with self.changing() as record:
            now = self.machine.clock.now()
            if isinstance(move, Enter) and self._lacks_capacity(record):
                lifecycle.lack_capacity(record, now)
            elif isinstance(move, Enter):
                lifecycle.enter(record, move.state, move.message, now)
            if isinstance(move, Start):
                step = next(step for step in record.steps if step.id == move.step_id)
                lifecycle.begin_step(record, step, now)
                threading.Thread(target=self._execute, args=(step,), name=step.id, daemon=True).start()

    def _lacks_capacity(self, record: ClusterRecord) -> bool:
        return record.state == "STARTING" and self._faults.capacity_refused(SERVICE, record.name)

    def _end(self) -> None:
        try:
            self.machine.engine.release(self._records.folder_of(self.record.id))
        except Exception:
            logger.exception("what served cluster %s could not be ended", self.record.id)
        with self.changing() as record:
            lifecycle.end(record, self.machine.clock.now())

    def _execute(self, step: StepRecord) -> None:
        """Run one step to its end: process, logs, record, in this order."""
        folder = self.machine.data / "jobs" / step.id
        outcome = self._outcome(step, folder)
        if self.closed:
            return
        try:
            logs.upload(self.record, step, folder, self.machine.data / "s3")
        except OSError:
            logger.exception("the logs of step %s stay in %s", step.id, folder)
        with self.changing() as record:
            self.running.pop(step.id, None)
            log_file = logs.location(record, step, "stderr") or str(folder / "stderr")
            others = lifecycle.settle(record, step, outcome, log_file, self.machine.clock.now())
        self.end_processes(others)

    def _outcome(self, step: StepRecord, folder: Path) -> Outcome:
        try:
            running = self.machine.engine.start(
                Step(step.jar, tuple(step.args), step.main_class, step.properties),
                folder=folder,
                cluster=self._records.folder_of(self.record.id),
                environment=environment_of(self.record),
                spark_defaults=spark_defaults_of(self.record),
            )
            with self.changed:
                self.running[step.id] = running
                unwanted = step.state == "CANCEL_PENDING"
            if unwanted:  # cancelled between its start and here
                running.cancel()
            return running.wait() or Outcome(succeeded=False, exit_code=None, reason="The step never ended")
        except Exception as error:
            logger.exception("step %s could not be run", step.id)
            return Outcome(succeeded=False, exit_code=None, reason="Unknown Error.", message=f"{error}")
