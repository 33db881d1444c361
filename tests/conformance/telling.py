"""What a task tells of its job run: it is executed as a worker and a triggerer do, without a scheduler, and its pauses pass at once.

``docs/states.md`` says what is expected: each row of its tables names a test, and the test compares all that it sees with that row.
"""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from emr_pipelines import EmrJobOperator, EmrPipeline, SparkJob, clients, watching
from emr_pipelines.environments import current_environment
from emr_pipelines.errors import EmrPipelinesError
from emr_pipelines.keys import Key, Lease, Record
from emr_pipelines.targets import target_for
from tests.conformance.cases import ENGINES, settled, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from emr_pipelines.targets.states import JobState

PAGE = Path(__file__).resolve().parents[2] / "docs" / "states.md"

SCRIPT = "s3://local-artifacts/any.py"

IDS = re.compile(r"\b([js]-[0-9A-Z]{10,}|00[0-9a-z]{10,}(/00[0-9a-z]+)?|[0-9a-z]{25})\b")


@dataclass(frozen=True)
class Told:
    """A row of the page between what happened and the test that shows it."""

    emr: str
    job_run: str
    fault: str
    task: str
    first_line: str
    retry: str


def rows() -> dict[tuple[str, str], Told]:
    """Read the page's rows, by target and test."""
    found: dict[tuple[str, str], Told] = {}
    target = ""
    for line in PAGE.read_text().splitlines():
        if head := re.match(r"## .*`(\w+)`", line):
            target = head[1]
        cells = [cell.strip().replace("`", "") for cell in line.strip("|").split("|")]
        if cells[-1].startswith("test_"):
            found[target, cells[-1]] = Told(*cells[1:-1])
    return found


class Pauses:
    """The time of a waiting task: a pause lets happen what shall, and passes at once."""

    def __init__(self) -> None:
        self._passed = 0.0
        self.meanwhile: Callable[[], None] | None = None

    def sleep(self, seconds: float) -> None:
        self._passed += seconds
        happens, self.meanwhile = self.meanwhile, None
        if happens:
            happens()
        threading.Event().wait(0.005)

    def monotonic(self) -> float:
        return self._passed

    def time(self) -> float:
        return time.time() + self._passed


class _WaitsError(BaseException):
    """The task waits for a job run, which is all that was to be seen."""


class Play:
    """A job task whose pipeline has acquired compute: its executions, and what each of them tells."""

    def __init__(self, monkeypatch: Any, service: Any, run_id: str, profile: str, *arguments: str) -> None:
        self._pauses = Pauses()
        monkeypatch.setattr(watching, "time", self._pauses)
        self._clients = service.clients
        monkeypatch.setattr(clients, "clients_for", lambda *_: self._clients)
        self.target = target_for(current_environment().profile(profile), self._clients)
        with (
            DAG("dag", schedule=None, start_date=datetime(2013, 1, 1, tzinfo=UTC)) as self._dag,
            EmrPipeline("emr", targets=[profile]),
        ):
            self._task = EmrJobOperator(task_id="job", job=SparkJob(script=SCRIPT, args=arguments))
        self._run_id = run_id
        self._try_number = 0
        self._store: dict[str, Any] = {}
        self._lease = Lease("local", "dag", run_id, "emr")
        self.compute = self.target.acquire(self._lease, ENGINES)
        settled(self.target, self.compute)

    @property
    def job_run(self) -> str:
        """The job run that the task remembers."""
        (record,) = (Record.from_json(value) for value in self._store.values())
        assert record is not None
        assert record.job_run is not None
        return record.job_run

    def state(self) -> JobState:
        """How the target says that the job run stands."""
        return self.target.poll(self.compute, [self.job_run])[self.job_run]

    def until(self, state: Any) -> None:
        """Wait until the target says that the job run is in this state."""
        until(self.state, lambda seen: seen.state is state)

    def client(self, service: str) -> Any:
        """Return a client of the service, as the target has it."""
        return self._clients.repeating(service)

    def another(self, *arguments: str) -> str:
        """Start another job run on the same compute; return its id."""
        job, key = SparkJob(script=SCRIPT, args=arguments), Key(self._lease, "emr.another", -1, "nonce")
        return self.target.submit(self.compute, job, {SCRIPT: SCRIPT}, key).id

    def told(self, emr: Callable[[Play], str], meanwhile: Callable[[], None] | None = None) -> Told:
        """Execute the task and let something happen while it waits, then execute it once more as Airflow's retry would.

        ``emr`` asks the service itself how the job run stands when the task has ended.
        """
        task, first_line = self._executed(meanwhile)
        run, state, said = self.job_run, self.state(), emr(self)
        retry = "" if task == "succeeds" else self._retried(run)
        return Told(said, state.state, state.fault or "", task, IDS.sub("…", first_line), retry)

    def _executed(self, meanwhile: Callable[[], None] | None) -> tuple[str, str]:
        self._pauses.meanwhile = meanwhile
        try:
            self._execute()
        except (EmrPipelinesError, AirflowFailException) as error:
            return type(error).__name__, str(error).splitlines()[0]
        return "succeeds", ""

    def _retried(self, before: str) -> str:
        def leave() -> None:
            raise _WaitsError

        self._pauses.meanwhile = leave
        try:
            self._execute()
        except AirflowFailException as error:
            return "fails at once" if "Clear the task again with 'Only failed' off" in str(error) else str(error)
        except (_WaitsError, EmrPipelinesError):
            pass
        return "the same job run" if self.job_run == before else "a new job run"

    def _execute(self) -> Any:
        """Execute the task as a worker does; where it defers, look as its trigger does, and resume it."""
        self._try_number += 1
        context = self._context()
        try:
            return self._task.execute(context)
        except TaskDeferred as deferred:
            event = until(deferred.trigger.look, lambda seen: seen is not None)
            return self._task.resume(context, event, **(deferred.kwargs or {}))

    def _context(self) -> Any:
        acquired = {"compute": self.compute.to_json(), "code": {}}
        ti = SimpleNamespace(
            task_id="emr.job",
            map_index=-1,
            try_number=self._try_number,
            max_tries=5,
            xcom_pull=lambda **_: acquired,
            xcom_push=lambda **_: None,
        )
        store = SimpleNamespace(get=self._store.get, set=self._store.__setitem__)
        return {
            "ti": ti,
            "dag": self._dag,
            "dag_run": SimpleNamespace(clear_number=0, conf={}),
            "run_id": self._run_id,
            "params": {},
            "task_state_store": store,
        }
