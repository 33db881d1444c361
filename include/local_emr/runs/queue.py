"""The job runs of one application or virtual cluster: a thread makes its moves, and one more runs each attempt."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from local_emr.engine import Outcome
from local_emr.faults import Vanish
from local_emr.runs.execution import Execution
from local_emr.runs.records import JobRun

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from local_emr.clock import Clock
    from local_emr.engine import Engine
    from local_emr.events import Announce
    from local_emr.faults import Act
    from local_emr.journal import Journal
    from local_emr.runs.execution import Work

logger = logging.getLogger(__name__)

NODE_LOST = Outcome(succeeded=False, exit_code=137, message="The driver's node was lost: terminated with exit code 137")
"""How a driver ends whose instance is taken back: killed, as 128 + SIGKILL says; AWS does not document the words."""


class _Owner(Protocol):
    @property
    def name(self) -> str: ...


Owner = TypeVar("Owner", bound=_Owner)
Run = TypeVar("Run", bound=JobRun)


def _nobody(service: str, compute: Any, run: Any = None) -> None:
    """Announce nothing."""


@dataclass(frozen=True)
class Machine:
    """What all queues of an endpoint share. `data` is its data folder, `announce` as `Events.announce`."""

    data: Path
    engine: Engine
    clock: Clock
    boot_seconds: float
    journal: Journal
    announce: Announce = _nobody


@dataclass(frozen=True)
class Sleep:
    """Nothing to do before something changes, or before `until` (epoch seconds)."""

    until: float | None = None


@dataclass(frozen=True)
class Stop:
    """Nothing will ever be to do any more."""


@dataclass(frozen=True)
class Situation(Generic[Owner, Run]):
    """What a decision looks at: the owner's record, its job runs that have not ended (oldest first), and the time."""

    owner: Owner
    live: tuple[Run, ...]
    now: float


Move = TypeVar("Move")


class JobQueue(ABC, Generic[Owner, Run, Move]):
    """An application or virtual cluster at work. Read and change records only inside `reading()` and `changing()`.

    A service decides in `next_move`, does what was decided in `make`, and says in `save_owner` and `save_run` where
    records are kept.
    """

    def __init__(self, owner: Owner, runs: Iterable[Run], machine: Machine) -> None:
        self.owner = owner
        self.runs = {run.id: run for run in runs}
        self.machine = machine
        self.changed = threading.Condition(threading.RLock())
        self.closed = False
        self.forgotten: set[str] = set()
        self._lost: set[str] = set()
        self._execution = Execution(machine.engine, machine.data / "s3")

    @abstractmethod
    def next_move(self, view: Situation[Owner, Run]) -> Move | Sleep | Stop:
        """Say what to do next. Best left to a pure function."""

    @abstractmethod
    def make(self, move: Move) -> None:
        """Do what was decided, inside `changing()`."""

    @abstractmethod
    def settle(self, run: Run, outcome: Outcome) -> None:
        """Record how the run's attempt ended, inside `changing()`; its logs are where they belong."""

    @abstractmethod
    def save_owner(self) -> None:
        """Write the owner's record."""

    @abstractmethod
    def save_run(self, run: Run) -> None:
        """Write a job run's record."""

    def now(self) -> float:
        """Return epoch seconds."""
        return self.machine.clock.now()

    @contextmanager
    def reading(self) -> Iterator[Owner]:
        """Hold all records still."""
        with self.changed:
            yield self.owner

    @contextmanager
    def changing(self, *ended: Run) -> Iterator[Owner]:
        """Hold all records; afterwards save the owner's, those of live runs and of `ended` ones, and let threads see them."""
        with self.changed:
            touched = {run.id: run for run in (*self.live(), *ended)}
            yield self.owner
            if not self.closed:
                self.save_owner()
                for run in (touched | {run.id: run for run in self.live()}).values():
                    self.save_run(run)
            self.changed.notify_all()

    def live(self) -> tuple[Run, ...]:
        """Return the job runs that have not ended, oldest first."""
        return tuple(run for run in self.runs.values() if not run.has_ended)

    def begin(self) -> None:
        """Save all that lives and start the thread that makes the moves."""
        with self.changing():
            threading.Thread(target=self._live, name=f"{type(self).__name__}", daemon=True).start()

    def close(self) -> None:
        """Make no further move and save nothing more: the endpoint ends, and the engine ends what runs."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def execute(self, run: Run, work: Work) -> None:
        """Start the latest attempt of `run`; `settle` follows when it has ended."""
        self._execution.start(run.id, work, lambda outcome: self._ended(run, outcome))

    def end_process(self, run: Run) -> None:
        """Let the process of `run` end, without waiting for it."""
        self._execution.cancel(run.id)

    def strike(self, fault: Act) -> int:
        """Let a fault strike the job runs that it means, and return how many it struck."""
        with self.changing():
            meant = [run for run in self.runs.values() if fault.means(run.id, f"{self.owner.name}/{run.name}")]
            if isinstance(fault, Vanish):
                self.forgotten |= {run.id for run in meant}
                return len(meant)
            running = [run for run in meant if run.state == run.states.running]
            self._lost |= {run.id for run in running}
            for run in running:
                self.end_process(run)
            return len(running)

    def _live(self) -> None:
        with self.changed:
            while not self.closed:
                move = self.next_move(Situation(self.owner, self.live(), self.now()))
                if isinstance(move, Stop):
                    return
                if isinstance(move, Sleep):
                    self.machine.clock.wait(self.changed, move.until)
                else:
                    with self.changing():
                        self.make(move)

    def _ended(self, run: Run, outcome: Outcome) -> None:
        if self.closed:
            return
        with self.changing():
            lost = run.id in self._lost and not outcome.succeeded
            self._lost.discard(run.id)
            self.settle(run, NODE_LOST if lost else outcome)
