"""One Airflow and one endpoint with scripted jobs, in which batches of schedules are run and judged."""

from __future__ import annotations

import json
import shutil
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import boto3
from sqlalchemy import create_engine

from local_airflow import LocalAirflow
from local_airflow.errors import LocalAirflowError
from local_emr.endpoint import running
from tests.chaos.acts import Acts
from tests.chaos.components import Components
from tests.chaos.contestants import OURS
from tests.chaos.engine import Identity, TimedEngine, reason_of
from tests.chaos.judging import RunFact, Tally, doubled, is_wrong, job_runs_in, live_compute_in, tally
from tests.chaos.rehearsal import Rehearsal
from tests.chaos.schedules import CASES, TARGETS, TASKS, Schedule, schedule_of
from tests.support.airflow import ROOT
from tests.support.endpoint import CLIENT_ENVIRONMENT
from tests.support.postgresql import running_postgresql

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sqlalchemy import Engine

    from local_airflow import AirflowClient
    from tests.chaos.contestants import Contestant

IMPATIENT = {
    "AIRFLOW__CORE__PARALLELISM": "12",
    "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "1000",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "2",
    "AIRFLOW__DAG_PROCESSOR__STALE_DAG_THRESHOLD": "2",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "12",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
}
"""Settings of Airflow with which it notices in seconds what it else notices in minutes."""

ENDED = {"success", "failed"}
HUNG_SECONDS = 300.0
"""Seconds after which a run that has not ended is taken to hang: the longest schedule takes some two minutes."""

SETTLE_SECONDS = 20.0
"""Seconds that compute is given to end after its run, before the reaper comes."""


class World:
    """A running Airflow of one contestant, beside an endpoint whose journal the present batch hears."""

    def __init__(
        self, contestant: Contestant, url: str, rest: AirflowClient, components: Components, database: Engine
    ) -> None:
        self.contestant = contestant
        self.url = url
        self.rest = rest
        self.components = components
        self.database = database
        self._rehearsal: Rehearsal | None = None

    def hear(self, entry: dict[str, Any]) -> None:
        """Pass an entry of the endpoint's journal on."""
        if self._rehearsal is not None:
            self._rehearsal.hear({**entry, "at": time.time()})

    @contextmanager
    def hearing(self, rehearsal: Rehearsal) -> Iterator[None]:
        """Let a rehearsal hear the journal inside the block."""
        self._rehearsal = rehearsal
        try:
            yield
        finally:
            rehearsal.close()
            self._rehearsal = None

    def run(self, schedules: Sequence[Schedule]) -> Batch:
        """Run schedules together, and judge them when all have ended."""
        acts = Acts(self)
        rehearsal = Rehearsal(schedules, acts)
        with self.hearing(rehearsal):
            batch = Batch(self, schedules, acts, rehearsal)
            batch.run()
        return batch

    def reap(self) -> list[dict[str, str]]:
        """Let one pass of the reaper, past its grace, end what is left; return what it found."""
        run_id = f"chaos-{time.time_ns()}"
        conf = {"dry_run": False, "grace_minutes": 0}
        self.rest.post("dags/emr_reaper/dagRuns", {"dag_run_id": run_id, "logical_date": None, "conf": conf})
        deadline = time.monotonic() + 120
        while self.rest.run("emr_reaper", run_id)["state"] not in ENDED:
            if time.monotonic() > deadline:
                raise TimeoutError("the reaper did not end")
            time.sleep(0.5)
        return self.rest.xcom("emr_reaper", run_id, "reap") or []


class Batch:
    """Some schedules, run together."""

    def __init__(self, world: World, schedules: Sequence[Schedule], acts: Acts, rehearsal: Rehearsal) -> None:
        self.schedules = schedules
        self.rehearsal = rehearsal
        self.facts: list[RunFact] = []
        self.reaped: list[str] = []
        self._world = world
        self._acts = acts

    @property
    def tally(self) -> Tally:
        """What happened, counted."""
        return tally(self.rehearsal.journal, self.facts, TASKS, self.reaped)

    def run(self) -> None:
        """Start all runs, wait for their ends, let the reaper pass, and learn what Airflow says."""
        for schedule in self.schedules:
            self.rehearsal.prepare(schedule)
            self._acts.trigger(schedule)
            self.rehearsal.reach(schedule.run_id, "start", "run")
        states = self._await_ends()
        self._settle()
        self.reaped = self._reap()
        self.facts = [self._fact(schedule, states.get(schedule.run_id)) for schedule in self.schedules]

    def findings(self) -> list[str]:
        """Say in words what broke an invariant."""
        journal = self.rehearsal.journal
        facts = job_runs_in(journal)
        cleared = {fact.run: fact.cleared for fact in self.facts}
        cases = {schedule.run_id: schedule.case for schedule in self.schedules}
        found = [
            f"{fact.job.run} ({cases.get(fact.job.run)}): {fact.job.task} doubled by {fact.id}"
            for fact in doubled(facts, cleared)
        ]
        found += [
            f"{fact.job.run} ({cases.get(fact.job.run)}): {fact.id} is {fact.state}"
            for fact in facts
            if fact.ended is None
        ]
        found += [f"left alive: {id_} {name}" for id_, name in live_compute_in(journal).items()]
        for fact in self.facts:
            said = f"{fact.run} ({cases[fact.run]})"
            if fact.state is None:
                found.append(f"{said} hangs")
            elif is_wrong(fact, facts, TASKS):
                found.append(f"{said} is {fact.state}, and its jobs say otherwise")
            found += [
                f"{said}: the reason of {job.task} is lost"
                for job, told in (fact.reasons_told or {}).items()
                if not told
            ]
        return found + [f"only the reaper ended {what}" for what in self.reaped]

    def _await_ends(self) -> dict[str, str]:
        """Wait until all runs have ended, and nothing more is to happen to them."""
        deadline = time.monotonic() + HUNG_SECONDS
        reached: set[str] = set()
        ended: dict[str, str] = {}
        while time.monotonic() < deadline:
            self._world.components.mend()
            states = self._states()
            ended = {run: state for run, state in states.items() if state in ENDED}
            for run in ended.keys() - reached:
                reached.add(run)
                self.rehearsal.reach(run, "end", "run")
            if (
                len(ended) == len(self.schedules)
                and all(map(self.rehearsal.is_over, ended))
                and self._states() == ended
            ):
                break
            time.sleep(1)
        return ended

    def _states(self) -> dict[str, str]:
        try:
            dags = {self._world.contestant.dag_id(schedule) for schedule in self.schedules}
            mine = {schedule.run_id for schedule in self.schedules}
            return {
                run["dag_run_id"]: run["state"]
                for dag in dags
                for run in self._world.rest.get(f"dags/{dag}/dagRuns", limit=100, order_by="-id")["dag_runs"]
                if run["dag_run_id"] in mine
            }
        except LocalAirflowError:  # it is away on purpose
            return {}

    def _settle(self) -> None:
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline and not _is_quiet(self.rehearsal.journal):
            time.sleep(0.5)

    def _reap(self) -> list[str]:
        if self._world.contestant.name != OURS.name:
            return []
        rows = self._world.reap()
        self._settle()
        return [f"{row['what']} of {row['run']}: {row['found']}" for row in rows if row["done"] == "ended"]

    def _fact(self, schedule: Schedule, state: str | None) -> RunFact:
        told = (
            {job: self._is_told(schedule, job) for job in self._failed_for_good(schedule)} if state == "failed" else {}
        )
        return RunFact(schedule.run_id, state, schedule.red, tuple(self._acts.cleared[schedule.run_id]), told)

    def _failed_for_good(self, schedule: Schedule) -> list[Identity]:
        last = {fact.job: fact.state for fact in job_runs_in(self.rehearsal.journal) if fact.job.run == schedule.run_id}
        return [
            job
            for job, state in last.items()
            if state == "FAILED" and schedule.outcomes[TASKS.index(job.task)] == "fail"
        ]

    def _is_told(self, schedule: Schedule, job: Identity) -> bool:
        dag, task = self._world.contestant.dag_id(schedule), self._world.contestant.task(job.task)
        instances = self._world.rest.task_instances(dag, schedule.run_id)
        tries = next(instance["try_number"] for instance in instances if instance["task_id"] == task)
        return any(
            reason_of(job) in json.dumps(self._world.rest.log(dag, schedule.run_id, task, attempt))
            for attempt in range(1, tries + 1)
        )


def _is_quiet(journal: list[dict[str, Any]]) -> bool:
    return not live_compute_in(journal) and all(fact.ended is not None for fact in job_runs_in(journal))


@contextmanager
def running_world(contestant: Contestant, folder: Path) -> Iterator[World]:
    """Run an endpoint and a contestant's Airflow inside the block; afterwards nothing of them is left."""
    hearing: list[World] = []

    def hear(entry: dict[str, Any]) -> None:
        for world in hearing:
            world.hear(entry)

    with ExitStack() as stack:
        url = stack.enter_context(running(folder / "emr", TimedEngine, boot_seconds=1.0, journal=hear))
        for bucket in ("local-data", "local-logs", "local-artifacts"):
            boto3.client("s3", endpoint_url=url, **_credentials()).create_bucket(Bucket=bucket)
        database = stack.enter_context(running_postgresql(idle_seconds=5))
        airflow = LocalAirflow(
            folder / "airflow",
            ROOT if contestant.name == OURS.name else _empty_root(folder / "root"),
            0,
            endpoint_url=url,
            dag_folders=contestant.dags,
            environment={
                **IMPATIENT,
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
                "EMR_PIPELINES_INCLUDE": str(_include(folder / "include")),
            },
            python=contestant.python,
        )
        stack.callback(airflow.stop)
        airflow.start()
        rest = stack.enter_context(airflow.client())
        engine = create_engine(database)
        stack.callback(engine.dispose)
        world = World(contestant, url, rest, Components(airflow), engine)
        _await_dags(rest, contestant)
        hearing.append(world)
        yield world


def _credentials() -> dict[str, str]:
    return {
        "region_name": CLIENT_ENVIRONMENT["AWS_DEFAULT_REGION"],
        "aws_access_key_id": CLIENT_ENVIRONMENT["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": CLIENT_ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
    }


def _include(folder: Path) -> Path:
    """Return what pipelines are made of: the profiles as they are shipped, and a job whose file nobody reads."""
    for name in ("jobs", "hive", "quality", "compute"):
        shutil.copytree(ROOT / "include" / name, folder / name)
    (folder / "jobs" / "scripted.py").write_text("")
    return folder


def _empty_root(folder: Path) -> Path:
    """Return a checkout that has no plugins of ours."""
    for name in ("plugins", "include"):
        (folder / name).mkdir(parents=True)
    return folder


def _await_dags(rest: AirflowClient, contestant: Contestant) -> None:
    wanted = {contestant.dag_id(schedule_of(seed, target)) for seed in range(len(CASES)) for target in TARGETS}
    deadline = time.monotonic() + 120
    while not all(map(rest.has_dag, wanted)):
        if time.monotonic() > deadline:
            raise TimeoutError(f"the DAGs {sorted(wanted)} did not appear: {rest.import_errors()}")
        threading.Event().wait(0.5)
