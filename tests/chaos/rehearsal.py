"""Watches the endpoint's journal for the points of schedules, and lets their events happen."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psutil

from tests.chaos.engine import identity_in
from tests.chaos.judging import ENDED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.chaos.schedules import Event, Schedule

OPERATIONS = {
    "create": {"ec2": "RunJobFlow", "serverless": "CreateApplication"},
    "submit": {"ec2": "AddJobFlowSteps", "eks": "StartJobRun", "serverless": "StartJobRun"},
    "release": {"ec2": "TerminateJobFlows", "serverless": "StopApplication"},
}
"""What the calls of the three services are to a run."""

CALLS = {operation: call for call, operations in OPERATIONS.items() for operation in operations.values()}


class Rehearsal:
    """The schedules of the runs that go on now. Its `hear` is the endpoint's journal."""

    def __init__(self, schedules: Iterable[Schedule], act: Callable[[Schedule, Event, dict[str, Any]], None]) -> None:
        self.journal: list[dict[str, Any]] = []
        self.troubles: list[str] = []
        self.missed: list[str] = []
        """Of processes that were to die and had gone by then, which run's and how."""
        self._schedules = {schedule.run_id: schedule for schedule in schedules}
        self._act = act
        self._lock = threading.Lock()
        self._owners: dict[str, str] = {}
        self._seen: Counter[tuple[str, str, str]] = Counter()
        self._timers: list[threading.Timer] = []
        self._later = ThreadPoolExecutor(max_workers=8)
        self._pending: defaultdict[str, int] = defaultdict(int)

    def hear(self, entry: dict[str, Any]) -> None:
        """Take down an entry, and let happen what is due at its point; what is due at once happens before a client sees the fact."""
        with self._lock:
            self.journal.append(entry)
            place = self._place(entry)
        if place:
            self.reach(*place, entry)

    def prepare(self, schedule: Schedule) -> None:
        """Let happen what a schedule has before its run begins."""
        for event in schedule.before:
            self._begin(schedule)
            self._do(schedule, event, {})

    def reach(self, run: str, moment: str, what: str, entry: dict[str, Any] | None = None) -> None:
        """Let happen what is due when a run reaches a point."""
        schedule = self._schedules.get(run)
        if schedule is None:
            return
        with self._lock:
            self._seen[run, moment, what] += 1
            times = self._seen[run, moment, what]
        for event in schedule.events:
            if (event.at.moment, event.at.what, event.at.nth) == (moment, what, times):
                self._happen(schedule, event, entry or {})

    def is_over(self, run: str) -> bool:
        """Say whether nothing of a run's schedule is still to come by itself."""
        with self._lock:
            return self._pending[run] == 0

    def close(self) -> None:
        """Let nothing happen any more."""
        for timer in self._timers:
            timer.cancel()
        self._later.shutdown(cancel_futures=True)

    def _happen(self, schedule: Schedule, event: Event, entry: dict[str, Any]) -> None:
        self._begin(schedule)
        if event.act.startswith(("kill-", "hold")) and not event.at.after:
            self._do(schedule, event, entry)
            return
        timer = threading.Timer(event.at.after, lambda: self._later.submit(self._do, schedule, event, entry))
        timer.daemon = True
        self._timers.append(timer)
        timer.start()

    def _begin(self, schedule: Schedule) -> None:
        with self._lock:
            self._pending[schedule.run_id] += 1

    def _do(self, schedule: Schedule, event: Event, entry: dict[str, Any]) -> None:
        done = {"at": time.time(), "what": "act", "run": schedule.run_id, "act": event.act, "of": entry.get("id")}
        try:
            self._act(schedule, event, entry)
            self.journal.append(done)
        except (ProcessLookupError, psutil.NoSuchProcess):
            self.missed.append(f"{schedule.run_id}, {event.act}")
        except Exception as error:  # noqa: BLE001  # an event that cannot happen is told, and the others go on
            self.troubles.append(f"{schedule.run_id}, {event.act}: {type(error).__name__}: {error}")
        finally:
            with self._lock:
                self._pending[schedule.run_id] -= 1

    def _place(self, entry: dict[str, Any]) -> tuple[str, str, str] | None:
        """Return the run, moment and object that an entry tells of, if it is of a run at all."""
        if entry["what"] == "compute":
            if run := self._run_named_in(f"{entry['name']} {entry['tags']}"):
                self._owners[entry["id"]] = run
            return None
        if entry["what"] == "job run":
            job = identity_in(entry["args"])
            moment = "ended" if entry["state"] in ENDED else entry["state"].lower()
            return (job.run, moment, job.task) if job else None
        call = CALLS.get(entry["operation"])
        run = (self._run_named_in(entry["text"]) or self._owner_in(entry["text"])) if call else None
        return (run, entry["what"], str(call)) if run else None

    def _run_named_in(self, text: str) -> str | None:
        return next((run for run in self._schedules if run in text), None)

    def _owner_in(self, text: str) -> str | None:
        return next((run for compute, run in self._owners.items() if compute in text), None)
