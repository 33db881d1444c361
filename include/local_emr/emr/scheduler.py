"""Runs one cluster: a thread that makes its moves, and one more for each running step."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from local_emr.emr import lifecycle, logs
from local_emr.emr.configurations import environment_of, notes_of, spark_defaults_of
from local_emr.emr.lifecycle import End, Enter, ShutDown, Sleep, Start
from local_emr.emr.records import HAS_INSTANCES
from local_emr.engine import Outcome, Step
from local_emr.faults import Vanish

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local_emr.emr.records import ClusterRecord, StepRecord
    from local_emr.engine import RunningStep
    from local_emr.faults import Act, Faults
    from local_emr.runs import Machine, Records

logger = logging.getLogger(__name__)

SERVICE = "elasticmapreduce"
"""What requests to EMR on EC2 are signed for."""


class Cluster:
    """A cluster at work. Read and change its record only inside `reading()` and `changing()`."""

    def __init__(
        self, record: ClusterRecord, machine: Machine, records: Records[ClusterRecord], faults: Faults
    ) -> None:
        self.record = record
        self.machine = machine
        self._records = records
        self._faults = faults
        self.changed = threading.Condition()
        self.running: dict[str, RunningStep] = {}
        self.closed = False
        self.forgotten: set[str] = set()

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

    def strike(self, fault: Act) -> int:
        """Let a fault strike the cluster or its steps if it means them, and return how much it struck."""
        if isinstance(fault, Vanish):
            with self.reading() as record:
                meant = {step.id for step in record.steps if fault.means(step.id, f"{record.name}/{step.name}")}
                self.forgotten |= meant
            return len(meant)
        with self.changing() as record:
            if record.state not in HAS_INSTANCES or not fault.means(record.id, record.name):
                return 0
            steps = lifecycle.lose_instances(record, self.machine.clock.now())
        self.end_processes(steps)
        return 1

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
        self._records.save(self.record, self.record.id)
        self.machine.announce(SERVICE, self.record)
        for step in self.record.steps:
            self.machine.announce(SERVICE, self.record, step)

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
            if isinstance(move, Enter):
                self._enter(record, move, now)
            if isinstance(move, Start):
                step = next(step for step in record.steps if step.id == move.step_id)
                lifecycle.begin_step(record, step, now)
                threading.Thread(target=self._execute, args=(step,), name=step.id, daemon=True).start()

    def _enter(self, record: ClusterRecord, move: Enter, now: float) -> None:
        """Go on to the next state, unless the cluster cannot be had."""
        for fault, fail in lifecycle.FAILURES.get(record.state, {}).items():
            if self._faults.strikes_compute(fault, SERVICE, record.name):
                fail(record, now)
                return
        lifecycle.enter(record, move.state, move.message, now)

    @property
    def _folder(self) -> Path:
        """The folder of what lives as long as the cluster."""
        return self._records.folder / self.record.id

    def _end(self) -> None:
        try:
            self.machine.engine.release(self._folder)
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
                Step(step.jar, tuple(step.args), step.main_class, step.properties, notes_of(self.record)),
                folder=folder,
                cluster=self._folder,
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
