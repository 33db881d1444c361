"""Running steps: the process, its logs, and how it ended."""

from __future__ import annotations

import shlex
import shutil
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

from local_emr.engine.contract import Outcome
from local_emr.engine.failures import judge

if TYPE_CHECKING:
    from local_emr.engine.contract import Step
    from local_emr.engine.processes import GuardedProcess

TAIL_BYTES = 1 << 18


class Controller:
    """A step's `controller` log, in the words of EMR's own."""

    def __init__(self, folder: Path) -> None:
        self._file: IO[str] = (folder / "controller").open("a", buffering=1)
        self._started = time.monotonic()
        self._command = ""

    def start(self, step: Step) -> None:
        """Say what is run, as EMR does: `hadoop jar` with the step's jar and arguments."""
        main_class = [step.main_class] if step.main_class else []
        self._command = f"hadoop jar {shlex.join([step.jar, *main_class, *step.args])}"
        self.say(f"INFO startExec '{self._command}'")

    def say(self, line: str) -> None:
        """Write one line with the time."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._file.write(f"{now} {line}\n")

    def end(self, outcome: Outcome) -> None:
        """Say how it ended, and write no more."""
        seconds = round(time.monotonic() - self._started)
        if outcome.exit_code is not None:
            self.say(f"INFO waitProcessCompletion ended with exit code {outcome.exit_code} : {self._command}")
        self.say(f"INFO total process run time: {seconds} seconds")
        if outcome.succeeded:
            self.say(f"INFO Step succeeded with exitCode {outcome.exit_code} and took {seconds} seconds")
        else:
            self.say(f"WARN Step failed with exitCode {outcome.exit_code} and took {seconds} seconds: {outcome.reason}")
            if outcome.message:
                self.say(f"WARN {outcome.message}")
        self._file.close()


class EndedStep:
    """A step that was over before anything was started."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome

    def wait(self, timeout: float | None = None) -> Outcome:  # noqa: ARG002 - there is nothing to wait for
        """Return the outcome."""
        return self._outcome

    def cancel(self) -> None:
        """Do nothing: nothing runs."""


class ProcessStep:
    """A step that runs as a process and writes `stdout` and `stderr` in `folder`."""

    def __init__(
        self, process: GuardedProcess, folder: Path, controller: Controller, ended: Callable[[ProcessStep], None]
    ) -> None:
        """Take over a started process; `ended` is called once, when its end is first seen."""
        self._process = process
        self._folder = folder
        self._controller = controller
        self._ended = ended
        self._cancelled = False
        self._lock = threading.Lock()
        self._outcome: Outcome | None = None

    def wait(self, timeout: float | None = None) -> Outcome | None:
        """Return the outcome, or None when `timeout` seconds pass before the end."""
        exit_code = self._process.wait(timeout)
        if exit_code is None:
            return None
        with self._lock:
            if self._outcome is None:
                self._outcome = self._judge(exit_code)
                self._controller.end(self._outcome)
                shutil.rmtree(self._folder / "work", ignore_errors=True)
                self._ended(self)
            return self._outcome

    def cancel(self) -> None:
        """End the process with everything it started."""
        self._cancelled = True
        self._process.end()
        self.wait()

    def _judge(self, exit_code: int) -> Outcome:
        if self._cancelled and exit_code:
            return Outcome(succeeded=False, exit_code=exit_code, reason="Cancelled", message="The step was cancelled.")
        return judge(_tail(self._folder / "stdout"), _tail(self._folder / "stderr"), exit_code)


def _tail(file: Path) -> str:
    with file.open("rb") as log:
        log.seek(max(0, file.stat().st_size - TAIL_BYTES))
        return log.read().decode(errors="replace")
