"""Starts programs under a guard: none outlives its lifeline, and so none outlives this process."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GUARD = Path(__file__).with_name("guard.py")
# The guard sends KILL five seconds after TERM; a guard that takes longer is stuck itself
END_SECONDS = 20.0


class GuardedProcess:
    """A program running under `guard.py`."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        stdout: IO[bytes],
        stderr: IO[bytes],
    ) -> None:
        """Start `command` in `folder`. Raises OSError when the machine has no room for a process."""
        self._guard = subprocess.Popen(  # noqa: S603 - the command is the caller's, no shell reads it
            [sys.executable, "-I", "-S", str(GUARD), *command],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,  # a ^C in the endpoint's terminal is for the endpoint
        )

    @property
    def pid(self) -> int:
        """The guard's process id."""
        return self._guard.pid

    def wait(self, timeout: float | None = None) -> int | None:
        """Return the exit code (128 + n for signal n), or None when `timeout` seconds pass before the end."""
        try:
            code = self._guard.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        self._let_go()
        return code if code >= 0 else 128 - code

    def end(self) -> None:
        """End the program and all it started, and return when they are gone."""
        self._let_go()
        try:
            self._guard.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._guard.kill()
            self._guard.wait()

    def _let_go(self) -> None:
        if self._guard.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._guard.stdin.close()
