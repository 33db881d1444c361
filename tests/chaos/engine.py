"""An engine without a JVM: a job takes the seconds, and comes to the end, that its arguments say."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from local_emr.engine import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from local_emr.engine import Step

MARK = "chaos"
"""Before the words of a job: its run, its task, its seconds, and its outcome: succeed, fail, or fail-once."""

KILLED = Outcome(succeeded=False, exit_code=143, reason="Unknown Error.", message="killed by signal 15")


class Identity(NamedTuple):
    """Whose a job run is, whatever key it runs under."""

    run: str
    task: str


def identity_in(args: Sequence[str]) -> Identity | None:
    """Return whose job run has these arguments; None: nobody's here."""
    words = _words(args)
    return Identity(words[0], words[1]) if words else None


def reason_of(job: Identity) -> str:
    """Return what a failing job says in its last line, which nobody else does."""
    return f"ValueError: no such carrier in {job.run} {job.task}"


def _words(args: Sequence[str]) -> list[str]:
    return list(args[args.index(MARK) + 1 :][:4]) if MARK in args else []


class TimedStep:
    """A job that ends by itself at a moment, or before it when it is cancelled."""

    def __init__(self, seconds: float, outcome: Outcome) -> None:
        self._ends = time.monotonic() + seconds
        self._outcome = outcome
        self._cancelled = threading.Event()

    def wait(self, timeout: float | None = None) -> Outcome | None:
        """Return how the job ended; None when it has not after so many seconds."""
        left = max(0.0, self._ends - time.monotonic())
        if self._cancelled.wait(left if timeout is None else min(left, timeout)):
            return KILLED
        return self._outcome if time.monotonic() >= self._ends else None

    def cancel(self) -> None:
        """End the job now."""
        self._cancelled.set()


class TimedEngine:
    """Starts jobs that only take time."""

    def __init__(self, data: Path, endpoint_url: str) -> None:
        self.data = data
        self.endpoint_url = endpoint_url
        self._started: Counter[Identity] = Counter()
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Nothing needs to be made ready."""

    def start(
        self,
        step: Step,
        *,
        folder: Path,
        cluster: Path,
        environment: Mapping[str, str],
        spark_defaults: Mapping[str, str],
    ) -> TimedStep:
        """Start a job; a failing one has told its reason in its log."""
        del cluster, environment, spark_defaults
        run, task, seconds, ending = _words(step.args)
        job = Identity(run, task)
        with self._lock:
            self._started[job] += 1
            fails = ending == "fail" or (ending == "fail-once" and self._started[job] == 1)
        said = (
            f'Traceback (most recent call last):\n  File "job.py", line 1, in <module>\n{reason_of(job)}\n'
            if fails
            else ""
        )
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("controller", "stdout", "stderr"):
            (folder / name).write_text(said if name == "stdout" else "")
        failure = Outcome(succeeded=False, exit_code=1, reason="Unknown Error.", message=reason_of(job))
        return TimedStep(float(seconds), failure if fails else Outcome(succeeded=True, exit_code=0))

    def release(self, cluster: Path) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Jobs have no processes."""
