"""What a pipeline's tasks tell: they are executed as a worker and a triggerer do, without a scheduler, and their pauses pass at once.

``docs/states.md`` says what is expected: each row of its tables names a test, and the test compares all that it sees with that row.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import yaml
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from botocore.exceptions import ClientError

from emr_pipelines import EmrJobOperator, EmrPipeline, SparkJob, clients
from emr_pipelines.environments import current_environment
from emr_pipelines.errors import EmrPipelinesError
from emr_pipelines.keys import Key, Lease, Record
from emr_pipelines.operators import RECORD
from emr_pipelines.targets import target_for
from emr_pipelines.targets.base import Compute
from local_emr.endpoint import running
from tests.conformance.cases import until
from tests.conformance.endpoints import LocalService, make_buckets
from tests.local_emr.scripted import ManualClock, ScriptedEngine

if TYPE_CHECKING:
    from collections.abc import Callable

    from emr_pipelines.targets.states import JobState
from emr_pipelines.watching import listening, looking, watcher
from emr_pipelines.watching.pace import Pace

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "states.md"
LOCAL = ROOT / "include" / "compute" / "local.yaml"
SCRIPT = "s3://local-artifacts/any.py"

IDS = re.compile(r"\b([ijs]-[0-9A-Za-z]{10,}|00[0-9a-z]{10,}(/00[0-9a-z]+)?|[0-9a-z]{25})\b")


@dataclass(frozen=True)
class Told:
    """A row of the page between what happened and the test that shows it."""

    emr: str
    here: str
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


class Engine(ScriptedEngine):
    """Runs scripted job runs; a stubborn one goes on although it is cancelled, and the log of one that is cut off shows just that."""

    def start(self, step: Any, *, folder: Path, **surroundings: Any) -> Any:
        started = super().start(step, folder=folder, **surroundings)
        if "cut off" in step.args:
            (folder / "stderr").write_text("Traceback (most recent call last):\n  File ...\nKeyboardInterrupt\n")
        if "stubborn" in step.args:
            started.cancel = lambda: None
        return started


class Stage:
    """An endpoint that can be ended and started again, with the engine in it and a clock that stands still."""

    def __init__(self, data: Path) -> None:
        self.data, self.clock, self.url = data, ManualClock(), ""
        self.engine: Any = None
        self._running: Any = None

    def begin(self) -> None:
        port = urlsplit(self.url).port or 0
        self._running = running(self.data, self._engine, boot_seconds=0.0, port=port, clock=self.clock)
        self.url = self._running.__enter__()
        make_buckets(self.url)

    def end(self) -> None:
        self._running.__exit__(None, None, None)

    def restart(self) -> None:
        self.end()
        self.begin()

    def _engine(self, data: Path, url: str) -> Any:
        self.engine = Engine(data, url)
        return self.engine


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


class KilledError(BaseException):
    """The worker is gone while the task waits."""


def kill() -> None:
    """Let the worker be gone."""
    raise KilledError


class Play:
    """A pipeline of one job and what its tasks tell, one execution after the other."""

    def __init__(self, monkeypatch: Any, service: LocalService, run_id: str, profile: str, *arguments: str) -> None:
        self.pauses = Pauses()
        monkeypatch.setattr(looking, "time", self.pauses)
        self._clients = service.clients
        monkeypatch.setattr(watcher, "_watchers", {})
        monkeypatch.setattr(watcher, "paced_clients", lambda *_: self._clients)
        for module in (listening, watcher):
            monkeypatch.setattr(module, "IN_TRIGGERER", Pace(soonest=0.02, latest=0.1))
        monkeypatch.setattr(clients, "clients_for", lambda *_: self._clients)
        self.target = target_for(current_environment().profile(profile), self._clients)
        with (
            DAG("dag", schedule=None, start_date=datetime(2013, 1, 1, tzinfo=UTC)) as self._dag,
            EmrPipeline("emr", targets=[profile]),
        ):
            EmrJobOperator(task_id="job", job=SparkJob(script=SCRIPT, args=arguments))
        self._run_id = run_id
        self._tries = {"acquire": 0, "job": 0}
        self.when_deferred: Callable[[], None] = lambda: None
        self._acquired: Any = None
        self._stores: dict[str, dict[str, Any]] = {"acquire": {}, "job": {}}
        self.lease = Lease("local", "dag", run_id, "emr")

    @property
    def compute(self) -> Compute:
        """The compute that the pipeline acquired."""
        return Compute.from_json(self._acquired["compute"])

    @property
    def job_run(self) -> str:
        """The job run that the task remembers."""
        record = Record.from_json(self._stores["job"][RECORD])
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
        job, key = SparkJob(script=SCRIPT, args=arguments), Key(self.lease, "emr.another", -1, "nonce")
        return self.target.submit(self.compute, job, {SCRIPT: SCRIPT}, key).id

    def acquire(self, meanwhile: Callable[[], None] | None = None) -> Any:
        """Execute the task that acquires compute, and let something happen while it waits."""
        self.pauses.meanwhile = meanwhile
        self._acquired = self._execute("acquire")
        return self._acquired

    def run(self, meanwhile: Callable[[], None] | None = None) -> Any:
        """Execute the job's task, and let something happen while it waits."""
        self.pauses.meanwhile = meanwhile
        return self._execute("job")

    def told(self, emr: Callable[[Play], str], meanwhile: Callable[[], None] | None = None) -> Told:
        """Run the job and let something happen while it waits, then once more as Airflow's retry would.

        ``emr`` asks the service itself how the job run stands when the task has ended.
        """
        task, message = _told_by(lambda: self.run(meanwhile))
        before, state = self.job_run, self.state()
        try:
            said = emr(self)
        except ClientError as error:
            said = error.response["Error"]["Code"]
        retry = self._retried(task, before)
        assert ("that starts a new job run" in message) == (retry == "a new job run")
        return Told(said, state.state, state.fault or "", task, _first_line(message), retry)

    def told_of_compute(
        self, found: Callable[[], Compute], emr: Callable[[Compute], str], meanwhile: Callable[[], None] | None = None
    ) -> Told:
        """Acquire compute and let something happen while it starts, then once more as Airflow's retry would.

        ``found`` looks for the compute behind the target's back.
        """
        task, message = _told_by(lambda: self.acquire(meanwhile))
        first = found()
        state, said = self.target.state(first), emr(first)
        retry = "adopts it" if self.acquire()["compute"]["id"] == first.id else "has another"
        return Told(said, state.phase, state.fault or "", task, _first_line(message), retry)

    def _retried(self, task: str, before: str) -> str:
        if task == "succeeds":
            return ""
        try:
            self.run(kill)
        except AirflowFailException as error:
            return "fails at once" if "Clear the task again with 'Only failed' off" in str(error) else str(error)
        except (KilledError, EmrPipelinesError):
            pass
        return "the same job run" if self.job_run == before else "a new job run"

    def _execute(self, name: str) -> Any:
        """Execute a task as a worker does; where it defers, look as its trigger does, and resume it."""
        self._tries[name] += 1
        context, task = self.context(name), self.task(name)
        try:
            return task.execute(context)
        except TaskDeferred as deferred:
            self.when_deferred()
            event = asyncio.run(anext(deferred.trigger.run()))
            return getattr(task, deferred.method_name)(context, event.payload, **(deferred.kwargs or {}))

    def task(self, name: str) -> Any:
        """Return one of the pipeline's tasks."""
        return self._dag.get_task(f"emr.{name}")

    def context(self, name: str) -> Any:
        """Return what Airflow would give to the next execution of a task."""
        ti = SimpleNamespace(
            dag_id="dag",
            task_id=f"emr.{name}",
            run_id=self._run_id,
            map_index=-1,
            try_number=self._tries[name],
            max_tries=5,
            log_url="http://127.0.0.1/",
            xcom_pull=lambda **_: self._acquired,
            xcom_push=lambda **_: None,
        )
        store = self._stores[name]
        return {
            "ti": ti,
            "dag": self._dag,
            "dag_run": SimpleNamespace(clear_number=0, conf={}, run_type="manual"),
            "run_id": self._run_id,
            "params": self._dag.params.dump(),
            "task_state_store": SimpleNamespace(get=store.get, set=store.__setitem__),
        }


def _told_by(execute: Callable[[], Any]) -> tuple[str, str]:
    try:
        execute()
    except (EmrPipelinesError, AirflowFailException) as error:
        return type(error).__name__, str(error)
    return "succeeds", ""


def _first_line(message: str) -> str:
    return IDS.sub("…", message.partition("\n")[0])


class Staged:
    """What a class of tests needs to begin plays on one target."""

    target: str
    service_name: str
    attempts = 5
    """How often a call that may be repeated is sent."""

    @pytest.fixture(scope="class")
    @classmethod
    def stage(cls, tmp_path_factory):
        stage = Stage(tmp_path_factory.mktemp("endpoint"))
        stage.begin()
        yield stage
        stage.end()

    @pytest.fixture
    def service(self, stage):
        service = LocalService(stage.url, self.service_name, {}, self.attempts)
        yield service
        service.forget_faults()

    @pytest.fixture
    def name(self, request):
        """The name of the run, under which the engine holds its job run."""
        return request.node.name

    @pytest.fixture
    def begin(self, monkeypatch, tmp_path, service, name):
        """Begin a play whose job run ends as its arguments say, or else holds; settings change the profile."""
        begun = []
        monkeypatch.setenv("EMR_PIPELINES_ENVIRONMENT", "local")
        monkeypatch.setenv("EMR_PIPELINES_INCLUDE", str(tmp_path))
        (tmp_path / "compute").mkdir()

        def begin(*arguments, run_id=name, **settings):
            environment = yaml.safe_load(LOCAL.read_text())
            environment["profiles"][self.target] |= settings
            (tmp_path / "compute" / "local.yaml").write_text(yaml.safe_dump(environment))
            play = Play(monkeypatch, service, run_id, self.target, *(arguments or ("hold", name)))
            begun.append(play)
            return play

        yield begin
        service.forget_faults()
        for play in begun:
            for compute in play.target.lookup(play.lease):
                play.target.release(compute)
