"""A process of `waiting.py` that is killed and started again, and what its triggers told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]

Serialized = tuple[str, dict[str, Any]]
"""A trigger as Airflow keeps it in its database."""


class KillableTriggerer:
    """Runs triggers until each has told its event; after a kill, all that have not are built again."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.told: dict[str, dict[str, Any]] = {}
        """The events by the names of their triggers."""
        self.told_twice: list[str] = []
        self.kills = 0
        self._environment = {**os.environ, **environment, "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}"}
        self._triggers: dict[str, Serialized] = {}
        self._lock = threading.Lock()
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._end()

    def add(self, name: str, trigger: Serialized) -> None:
        """Let a trigger wait. Raises BrokenPipeError when the process has died by itself."""
        with self._lock:
            self._triggers[name] = trigger
            self._send(name)

    def waiting(self) -> set[str]:
        """Return the names of the triggers that have told nothing yet."""
        with self._lock:
            return set(self._triggers) - set(self.told)

    def kill(self) -> None:
        """Kill the process as a machine's end does, and start another one with the triggers that still wait."""
        with self._lock:
            self._end()
            self.kills += 1
            self._start()
            for name in self._triggers:
                if name not in self.told:
                    self._send(name)

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.watch.waiting"],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reading = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reading.start()

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reading.join()
        assert self._process.stdin  # noqa: S101 - asked for above
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def _send(self, name: str) -> None:
        assert self._process.stdin  # noqa: S101 - asked for above
        print(json.dumps([name, *self._triggers[name]]), file=self._process.stdin, flush=True)

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout  # noqa: S101 - asked for above
        with process.stdout:
            for line in process.stdout:
                # What is not whole was being written when the process died.
                if line.startswith("{") and line.endswith("}\n"):
                    event = json.loads(line)
                    if event["name"] in self.told:
                        self.told_twice.append(event["name"])
                    self.told[event["name"]] = event
