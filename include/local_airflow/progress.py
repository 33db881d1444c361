"""What is shown while a DAG run works: which task changed its state, and when."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

WAITING = frozenset({None, "scheduled", "queued"})  # moments on the way to running: no news for a person
STYLES = {"success": "green", "failed": "red", "upstream_failed": "red", "up_for_retry": "yellow", "running": "cyan"}


@dataclass(frozen=True)
class Task:
    """One task instance: its name (with the map index, if mapped), state, attempt and the times of that attempt."""

    name: str
    state: str | None
    attempt: int
    started: datetime | None
    ended: datetime | None

    def seconds(self, now: datetime) -> float | None:
        """Return how long the attempt took, or has taken until `now`; None when it has not started."""
        return ((self.ended or now) - self.started).total_seconds() if self.started else None


def tasks(instances: Sequence[Mapping[str, Any]]) -> list[Task]:
    """Return the REST API's task instances in the order of their start, those still waiting last."""
    found = [
        Task(
            name=f"{one['task_id']}[{one['map_index']}]" if one["map_index"] >= 0 else one["task_id"],
            state=one["state"],
            attempt=one["try_number"],
            started=moment(one["start_date"]),
            ended=moment(one["end_date"]),
        )
        for one in instances
    ]
    return sorted(found, key=lambda task: (task.started or datetime.max.replace(tzinfo=UTC), task.name))


def moment(text: str | None) -> datetime | None:
    """Read a time as the REST API writes it."""
    return datetime.fromisoformat(text) if text else None


def changes(before: Sequence[Task], after: Sequence[Task]) -> list[Task]:
    """Return the tasks whose state or attempt is new and worth a line."""
    known = {task.name: (task.state, task.attempt) for task in before}
    return [task for task in after if task.state not in WAITING and known.get(task.name) != (task.state, task.attempt)]


def line(task: Task, since_start: float, now: datetime) -> str:
    """Write a change as one line: when, which task, its state, how long it took once it has ended."""
    took = task.seconds(now) if task.ended and task.state != "running" else None
    duration = f"  {took:.1f} s" if took is not None else ""
    again = f" (try {task.attempt})" if task.attempt > 1 and task.state == "running" else ""
    return f"{since_start:6.1f} s  {task.name:<16} {task.state}{again}{duration}".rstrip()


def block(current: Sequence[Task], now: datetime) -> Text:
    """Write all tasks that have started, a line each, and how many wait."""
    shown = [task for task in current if task.started]
    text = Text()
    for task in shown:
        state = task.state or "waiting"
        text.append(f"  {task.name:<16} ")
        text.append(f"{state:<16}", style=STYLES.get(state, ""))
        text.append(f"{task.seconds(now):8.1f} s\n")
    waiting = len(current) - len(shown)
    return text.append(f"  {waiting} more to come" if waiting else "")


class Progress:
    """Shows a run's tasks: a block that rewrites itself on a terminal, a line per change elsewhere."""

    def __init__(self, output: TextIO | None = None, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._output = output or sys.stdout
        self._clock = clock
        self._began = clock()
        self._last: list[Task] = []
        self._live = Live(console=Console(file=self._output), auto_refresh=False) if self._output.isatty() else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, current: Sequence[Task]) -> None:
        """Show what is new."""
        now = self._clock()
        if self._live:
            self._live.update(block(current, now), refresh=True)
            return
        for task in changes(self._last, current):
            print(line(task, (now - self._began).total_seconds(), now), file=self._output, flush=True)
        self._last = list(current)
