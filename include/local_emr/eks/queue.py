"""Runs one virtual cluster: makes the moves that `lifecycle` decides."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from local_emr.eks import lifecycle
from local_emr.eks.lifecycle import Abandon, End, Move, Submit
from local_emr.eks.records import TERMINATED, EksJobRun, VirtualCluster
from local_emr.eks.work import work_of
from local_emr.faults import RefuseCapacity
from local_emr.runs import JobQueue, Machine, Sleep, Stop

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local_emr.eks.records import Store
    from local_emr.engine import Outcome
    from local_emr.faults import Faults

logger = logging.getLogger(__name__)

SERVICE = "emr-containers"
"""What requests to EMR on EKS are signed for."""


class VirtualClusterQueue(JobQueue[VirtualCluster, EksJobRun, Move]):
    """A virtual cluster at work."""

    def __init__(
        self,
        cluster: VirtualCluster,
        runs: Iterable[EksJobRun],
        machine: Machine,
        store: Store,
        faults: Faults,
    ) -> None:
        super().__init__(cluster, runs, machine)
        self._store = store
        self._faults = faults

    def next_move(self, view: lifecycle.View) -> Move | Sleep | Stop:
        """Ask `lifecycle`; a driver's pod starts in half of the time that a cluster boots in."""
        return lifecycle.next_move(view, self.machine.boot_seconds / 2)

    def make(self, move: Move) -> None:
        """Do what was decided."""
        if isinstance(move, End):
            self._end()
            return
        run = self.runs[move.run_id]
        if isinstance(move, Submit):
            run.attempt.enter("SUBMITTED", self.now())
        elif isinstance(move, Abandon):
            lifecycle.end(run, "CANCELLED", self.now(), "JobRun cancelled successfully.")
        elif self._faults.strikes_compute(RefuseCapacity, SERVICE, f"{self.owner.name}/{run.name}"):
            lifecycle.lack_room(run, self.now())
        else:
            lifecycle.start(run, self.now())
            self.execute(run, work_of(run, self.machine.data, self._store.folder_of(self.owner.id)))

    def settle(self, run: EksJobRun, outcome: Outcome) -> None:
        """Record how a driver ended."""
        lifecycle.settle(run, outcome, self.now())

    def save_owner(self) -> None:
        """Write the virtual cluster's record."""
        self.machine.journal.compute(SERVICE, self.owner)
        self._store.clusters.save(self.owner, self.owner.id)
        self.machine.announce(SERVICE, self.owner)

    def save_run(self, run: EksJobRun) -> None:
        """Write a job run's record."""
        self.machine.journal.job_run(SERVICE, run.owner, run, run.arguments)
        self._store.job_runs.save(run, run.owner, run.id)
        self.machine.announce(SERVICE, self.owner, run)

    def _end(self) -> None:
        try:
            self.machine.engine.release(self._store.folder_of(self.owner.id))
        except Exception:
            logger.exception("what served virtual cluster %s could not be ended", self.owner.id)
        self.owner.state = TERMINATED
