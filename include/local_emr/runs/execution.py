"""Runs attempts through the engine, one thread for each: process, then logs, then the news of its end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from local_emr.engine import Outcome, Step
from local_emr.runs import logs

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_emr.engine import Engine, RunningStep

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Work:
    """What an attempt runs, and where: in its own `folder`, beside what lives as long as `cluster` (tables, HDFS).

    `logs` say where its files `stdout`, `stderr` and `controller` go before its end is seen.
    """

    step: Step
    folder: Path
    cluster: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    spark_defaults: Mapping[str, str] = field(default_factory=dict)
    logs: tuple[logs.Log, ...] = ()


class Execution:
    """The attempts that run now. May be used from any thread."""

    def __init__(self, engine: Engine, buckets: Path) -> None:
        self._engine = engine
        self._buckets = buckets
        self._lock = threading.Lock()
        self._running: dict[str, RunningStep | None] = {}  # None: not started yet
        self._unwanted: set[str] = set()

    def start(self, key: str, work: Work, ended: Callable[[Outcome], None]) -> None:
        """Run `work` in a thread of its own, under a key that no other has; `ended` gets its outcome."""
        with self._lock:
            self._running[key] = None
        threading.Thread(target=self._run, args=(key, work, ended), name=key, daemon=True).start()

    def cancel(self, key: str) -> None:
        """Let the process end, without waiting for it; an attempt that has ended is left alone."""
        with self._lock:
            if key not in self._running:
                return
            self._unwanted.add(key)
            step = self._running[key]
        if step is not None:
            threading.Thread(target=step.cancel, name=f"{key}-cancel", daemon=True).start()

    def _run(self, key: str, work: Work, ended: Callable[[Outcome], None]) -> None:
        outcome = self._outcome(key, work)
        logs.deliver(work.logs, work.folder, self._buckets)
        with self._lock:
            self._running.pop(key, None)
            self._unwanted.discard(key)
        ended(outcome)

    def _outcome(self, key: str, work: Work) -> Outcome:
        try:
            step = self._engine.start(
                work.step,
                folder=work.folder,
                cluster=work.cluster,
                environment=work.environment,
                spark_defaults=work.spark_defaults,
            )
            with self._lock:
                self._running[key] = step
                unwanted = key in self._unwanted
            if unwanted:  # cancelled between its start and here
                step.cancel()
            return step.wait() or Outcome(succeeded=False, exit_code=None, reason="The attempt never ended")
        except Exception as error:
            logger.exception("%s could not be run", key)
            return Outcome(succeeded=False, exit_code=None, reason="Unknown Error.", message=f"{error}")
