"""A scripted engine and a clock that stands still: the control plane is what is tested, not Spark and not time.

A step's first argument, or a job's entry point, says how it ends: "succeed", "fail", or "hold" (under the name that
follows) until the test lets it go or cancels it; what is to "linger" takes half a second to end when it is cancelled;
what is to "start late" takes until the test says so to start, and then holds.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from local_emr.engine import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from local_emr.engine import Step

DEADLINE = 240.0

SCRIPTS = ("succeed", "fail", "hold", "linger", "raise", "start late")

SUCCESS = Outcome(succeeded=True, exit_code=0)
FAILURE = Outcome(succeeded=False, exit_code=1, reason="Unknown Error.", message="ValueError: no such carrier")
KILLED = Outcome(succeeded=False, exit_code=143, reason="Unknown Error.", message="killed by signal 15")


class ScriptedStep:
    def __init__(self, outcome: Outcome | None) -> None:
        self.outcome = outcome
        self.ended = threading.Event()
        if outcome:
            self.ended.set()

    def end(self, outcome: Outcome) -> None:
        self.outcome = self.outcome or outcome
        self.ended.set()

    def wait(self, timeout: float | None = None) -> Outcome | None:
        self.ended.wait(timeout)
        return self.outcome

    def cancel(self) -> None:
        self.end(KILLED)


class LingeringStep(ScriptedStep):
    def cancel(self) -> None:
        threading.Timer(0.5, self.end, (KILLED,)).start()


class ScriptedEngine:
    def __init__(self, data: Path, endpoint_url: str) -> None:
        self.data = data
        self.endpoint_url = endpoint_url
        self.started: list[Step] = []
        self.held: dict[str, ScriptedStep] = {}
        self.environments: list[tuple[Mapping[str, str], Mapping[str, str]]] = []
        self.released: list[Path] = []
        self.closed = False
        self.starting, self.may_start = threading.Event(), threading.Event()

    def prepare(self) -> None:
        pass

    def start(self, step, *, folder, cluster, environment, spark_defaults) -> ScriptedStep:
        script, name = _script_of(step)
        if script == "raise":
            raise OSError("the disk is full")
        if script == "start late":
            self.starting.set()
            assert self.may_start.wait(DEADLINE)
        folder.mkdir(parents=True)
        for log in ("controller", "stdout", "stderr"):
            (folder / log).write_text(f"{log} of {script}")
        self.started.append(step)
        self.environments.append((environment, spark_defaults))
        kind = LingeringStep if script == "linger" else ScriptedStep
        running = kind({"succeed": SUCCESS, "fail": FAILURE}.get(script))
        if script in ("hold", "linger"):
            self.held[name] = running
        return running

    def release(self, cluster: Path) -> None:
        self.released.append(cluster)

    def close(self) -> None:
        self.closed = True
        for step in self.held.values():
            step.cancel()


def _script_of(step: Step) -> tuple[str, str]:
    """Return what the step's arguments say, and the name after it."""
    number = next((number for number, word in enumerate(step.args) if word in SCRIPTS), 0)
    return step.args[number], (*step.args, "")[number + 1]


class ManualClock:
    """Time that passes only when a test says so."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._now = now
        self._waiting: set[threading.Condition] = set()

    def now(self) -> float:
        return self._now

    def wait(self, changed: threading.Condition, until: float | None) -> None:
        self._waiting.add(changed)  # before the look at the clock: who moves it after that notifies
        if until is None or until > self._now:
            changed.wait()

    def advance(self, seconds: float) -> None:
        self._now += seconds
        for changed in list(self._waiting):
            with changed:
                changed.notify_all()


def step(script: str, *more: str, name: str = "step", on_failure: str = "CONTINUE") -> dict:
    """Return a StepConfig whose end is scripted."""
    jar = {"Jar": "command-runner.jar", "Args": [script, *more]}
    return {"Name": name, "ActionOnFailure": on_failure, "HadoopJarStep": jar}


def eventually(read: Callable[[], object], expected: object, *, every: float = 0.01, within: float = DEADLINE) -> None:
    """Wait until `read`, asked `every` so many seconds, gives `expected`; fail with what it gives instead."""
    deadline = time.monotonic() + within
    while (found := read()) != expected and time.monotonic() < deadline:
        threading.Event().wait(every)
    assert expected == found
