"""Airflow's part in what a task does more than once, as Airflow 3.3 plays it (``airflow.models.taskinstance.clear_task_instances``).

It runs the pipeline's real tasks, ends their processes where a test wants it, and judges what they did by the service's own steps.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from botocore.exceptions import BotoCoreError, ClientError

from emr_pipelines import EmrJobOperator, SparkJob
from emr_pipelines.errors import EmrPipelinesError
from emr_pipelines.targets.base import Clients, Compute
from emr_pipelines.watching import target_of
from tests.support.triggers import one_look
from tests.unit.emr_pipelines.virtual_emr import Behaviour, Clock, NoLogs, Step, VirtualEmr

RETRIES = 2
FINAL = ("success", "failed")


class Killed(BaseException):
    """kill -9: the process does nothing any more."""


@dataclass(frozen=True)
class Fate:
    """How a process of a task comes to its end, at the ``nth`` time that it does something."""

    point: tuple[str, str]
    nth: int
    ending: str
    grace: float
    """Seconds that it goes on after SIGTERM."""


@dataclass
class DagRun:
    """A run as long as Airflow's database remembers it."""

    deployment: str
    run_id: str
    clear_number: int = 0
    acquired: Any = None
    tasks: dict[int, TaskInstance] = field(default_factory=dict)
    store: dict[str, str] = field(default_factory=dict)
    """What acquire keeps in the task state store."""

    @property
    def name(self):
        return f"{self.deployment}/{self.run_id}/"


@dataclass
class TaskInstance:
    """One mapped index of the task, in the words of Airflow; what follows ``store`` is for the judge."""

    run: DagRun
    map_index: int
    state: str | None = None
    try_number: int = 0
    max_tries: int = RETRIES
    deferred: TaskDeferred | None = None
    store: dict[str, str] = field(default_factory=dict)
    work: str = ""
    """What the last execution was to do."""
    steps: list[Step] = field(default_factory=list)
    """What it started in this life of its run, oldest first."""
    before_clear: frozenset[str] = frozenset()
    """Steps that were there when it was cleared: none of them is an answer any more."""

    task_id: str = "emr.job"
    dag_id = "d"
    log_url = ""

    @property
    def run_id(self):
        return self.run.run_id

    @property
    def name(self):
        return f"{self.run.name}{self.map_index}"

    def xcom_pull(self, task_ids, **earlier):
        if earlier:
            return None
        assert task_ids == "emr.acquire"
        return self.run.acquired

    def xcom_push(self, key, value):
        pass


@dataclass
class Process:
    """The process in which a task's code runs, seen from outside."""

    task: TaskInstance
    operator: EmrJobOperator
    fate: Fate | None
    dies_at: float | None = None
    done: int = 0


class Store:
    """The task state store of one task: JSON, in Airflow's database."""

    def __init__(self, kept, touched):
        self._kept, self._touched = kept, touched

    def get(self, key):
        return json.loads(self._kept[key]) if key in self._kept else None

    def set(self, key, value):
        what = "run recorded" if isinstance(value, dict) and value["job_run"] else "record"
        self._touched(what, "before")
        self._kept[key] = json.dumps(value)
        self._touched(what, "after")


class VirtualAirflow(Clock):
    """Two deployments of Airflow, the account that they share, and the one clock that all go by."""

    def __init__(self, dag, choose_deployment):
        super().__init__()
        self.dag, self.choose_deployment = dag, choose_deployment
        self.emr = VirtualEmr(self, self.touched)
        self.runs: dict[tuple[str, str], DagRun] = {}
        self.works: dict[str, str] = {}
        self.process: Process | None = None
        self.seen_clear_number: dict[str, int] = {}
        """By step: the clears of its run that the last execution knew which submitted or adopted it."""

    def clients(self, connection, region):
        def client(service):
            return {"emr": self.emr, "s3": NoLogs()}[service]

        return Clients(repeating=client, once=client)

    def tasks(self) -> list[TaskInstance]:
        return [task for run in self.runs.values() for task in run.tasks.values()]

    def task(self, deployment, run_id, map_index) -> TaskInstance:
        if (deployment, run_id) not in self.runs:
            run = self.runs[deployment, run_id] = DagRun(deployment, run_id)
            self.acquire(run)
        run = self.runs[deployment, run_id]
        return run.tasks.setdefault(map_index, TaskInstance(run, map_index))

    def acquire(self, run):
        operator = self.dag.get_task("emr.acquire").prepare_for_execution()
        self.choose_deployment(run.deployment)
        run.acquired = operator.execute(
            self._context(run, TaskInstance(run, -1, task_id="emr.acquire", store=run.store))
        )

    def release(self, run):
        operator = self.dag.get_task("emr.release").prepare_for_execution()
        self.choose_deployment(run.deployment)
        operator.execute(self._context(run, TaskInstance(run, -1, task_id="emr.release")))

    def look(self, task):
        """Do what the trigger does."""
        self.choose_deployment(task.run.deployment)
        return one_look(task.deferred.trigger)

    def cancel(self, task):
        """Do what the trigger does when it is told that the task was ended, if it comes to it."""
        self.choose_deployment(task.run.deployment)
        compute = Compute.from_json(task.deferred.kwargs["compute"])
        target_of(compute).cancel(compute, task.deferred.kwargs["job_run"])

    def clear(self, task):
        """Clear a task that no process works on, and its setup with it."""
        task.run.clear_number += 1
        task.max_tries = task.try_number + RETRIES
        task.state, task.deferred, task.before_clear = None, None, frozenset(self.emr.steps)
        self.acquire(task.run)

    def has_a_free_try(self, task):
        """Say whether the next execution finds compute and nothing that is alive: only its own job run decides how it ends."""
        compute = self.emr.clusters[task.run.acquired["compute"]["id"]]
        alive = any(step in self.emr.live() for step in task.steps)
        return task.state in ("up_for_retry", "restarting") and not compute["ended"] and not alive

    def finish(self, task):
        """Execute a task until Airflow would do it no more, and let all go well."""
        self.emr.behaviour = Behaviour()
        for _ in range(2 * (RETRIES + 2)):
            if task.state == "deferred":
                self.sleep(4000.0)
                self.resume(task, self.look(task))
            elif task.state not in FINAL:
                self.execute(task)

    def _context(self, run, task):
        return {
            "ti": task,
            "dag": self.dag,
            "run_id": run.run_id,
            "params": {"target": "ec2"},
            "dag_run": SimpleNamespace(clear_number=run.clear_number, conf={}, run_type="manual"),
            "task_state_store": Store(task.store, self.touched),
        }

    def sleep(self, seconds):
        self.touched("sleep", "before")
        if self.process and self.process.dies_at is not None and self.now + seconds >= self.process.dies_at:
            raise Killed
        super().sleep(seconds)
        self.touched("sleep", "after")

    def touched(self, what, when):
        """Let fate strike the process, if this is where it does."""
        process = self.process
        if process is None or process.fate is None or (what, when) != process.fate.point:
            return
        process.done += 1
        if process.done == process.fate.nth:
            fate, process.fate = process.fate, None
            self.strike(process, fate)

    def strike(self, process, fate):
        if fate.ending.startswith("cleared"):
            process.task.run.clear_number += 1
            process.task.state = "restarting"
        if fate.ending == "marked failed":
            process.task.state = "failed"
        if fate.ending.endswith("killed"):
            raise Killed
        process.operator.on_kill()
        if not fate.grace:
            raise Killed
        process.dies_at = self.now + fate.grace

    def execute(self, task, fate=None):
        task.try_number += 1
        if task.state == "restarting":
            # What had ended before an execution after the clear is no answer to it.
            ended = {step.id for step in self.emr.steps.values() if step not in self.emr.live()}
            task.before_clear |= ended
        task.state = "running"
        task.work = self.works.get(task.run.deployment, "first")
        self._work(task, fate, lambda operator, context: operator.execute(context))

    def resume(self, task, event, fate=None):
        kwargs = task.deferred.kwargs
        task.state, task.deferred = "running", None
        self._work(task, fate, lambda operator, context: operator.resume(context, event, **kwargs))

    def _work(self, task, fate, work):
        operator = self.dag.get_task("emr.job").prepare_for_execution()
        operator.job = SparkJob(script="s3://a-artifacts/a.py", args=(task.name, task.work)).model_dump(mode="json")
        self.choose_deployment(task.run.deployment)
        known, cancelled, clear_number = len(self.emr.steps), len(self.emr.cancelled), task.run.clear_number
        self.process = Process(task, operator, fate)
        deferred, result = None, None
        try:
            result = work(operator, self._context(task.run, task))
            self.touched("report", "before")
            ending = "success"
        except TaskDeferred as error:
            ending, deferred = "deferred", error
            self.seen_clear_number[error.kwargs["job_run"]] = clear_number
        except AirflowFailException:
            ending = "failed"
        except (EmrPipelinesError, ClientError, BotoCoreError, Killed):
            ending = "up_for_retry" if task.try_number <= task.max_tries else "failed"
        finally:
            self.process = None
        self._judge(task, list(self.emr.steps.values())[known:], self.emr.cancelled[cancelled:], clear_number)
        if task.state != "running":
            return  # Somebody has ended the task meanwhile, and Airflow does not listen to its process any more.
        task.state, task.deferred = ending, deferred
        if result and ending == "success":
            self._judge_success(task, self.emr.steps[result["job_run"]])

    def _judge(self, task, started, cancelled, clear_number):
        for step in started:
            assert step.asked_by == task.name, "a job run of another task"
            before = task.steps[-1] if task.steps else step
            if before.work == step.work and before.state(step.created) == "COMPLETED":
                assert clear_number > self.seen_clear_number[before.id], "a success ran again without a clear"
            self.seen_clear_number[step.id] = clear_number
            task.steps.append(step)
        for step in cancelled:
            assert self.emr.steps[step].asked_by == task.name, "another task's job run was cancelled"

    def _judge_success(self, task, step):
        assert step.state(self.now) == "COMPLETED", "a success that was none"
        assert step.work == task.work, "a success of other work"
        assert step in task.steps, "a success of another task, or of another life of its run"
        assert step.id not in task.before_clear, "a success from before the clear"
