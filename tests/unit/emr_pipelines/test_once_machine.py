"""A job runs once, whatever dies, is cleared, changed, deleted or late: on histories that hypothesis makes up.

The pipeline's real tasks run in virtual time; ``ONCE_EXAMPLES=5000 pytest <this file>`` tries more histories, and others each time.
"""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from functools import partial
from itertools import product

import pendulum
import pytest
from airflow.sdk import DAG, BaseOperator
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from emr_pipelines import EmrJobOperator, EmrPipeline, SparkJob, acquiring, clients, endings, operators
from emr_pipelines.targets import ec2, ec2_clusters, ec2_named
from emr_pipelines.targets.once import LISTING_LAG, send_once
from emr_pipelines.watching import looking
from tests.unit.emr_pipelines.virtual_airflow import FINAL, Fate, VirtualAirflow
from tests.unit.emr_pipelines.virtual_emr import LIVE, Behaviour

EXAMPLES = int(os.environ.get("ONCE_EXAMPLES", "0"))
ENVIRONMENT = """\
deployment: {deployment}
buckets: {{data: a-data, logs: a-logs, artifacts: a-artifacts}}
profiles:
  ec2: {{target: ec2, region: us-east-1, {cluster}}}
"""
MADE, SHARED = "subnet: subnet-1, primary: {type: m5.xlarge}", "cluster: analytics"
"""A cluster for each run, and one that all runs of both deployments share."""

POINTS = [
    ("submit", "after"),
    ("submit", "before"),
    ("record", "before"),
    ("record", "after"),
    ("run recorded", "before"),
    ("run recorded", "after"),
    ("look", "before"),
    ("sleep", "before"),
    ("cancel", "before"),
    ("cancel", "after"),
    ("report", "before"),
]
"""What a process does before or after which it may come to its end."""

ENDINGS = ["killed", "moved", "cleared", "cleared and killed", "marked failed"]

# One draw each: hypothesis spends more time on drawing than all else takes.
whose = st.sampled_from([("one", "a", 0)] * 3 + [("two", "a", 0), ("one", "a", 1), ("one", "b", 0)])
fates = st.sampled_from([Fate(*one) for one in product(POINTS, [1, 1, 2], ENDINGS, [0.0, 5.0])])
behaviours = st.sampled_from(
    [
        Behaviour(*one)
        for one in product(
            [0.0, 3.0, LISTING_LAG],
            [3.0, 60.0, 3600.0],
            ["COMPLETED", "COMPLETED", "FAILED", "INTERRUPTED"],
            [0.0, 2.0, 50.0, 400.0],
            [(), (), ("throttled",) * 6, ("request lost",), ("answer lost",), ("throttled", "answer lost")],
        )
    ]
)
pauses = st.sampled_from([0.0, 0.0, 0.0, 1.0, 20.0, 4000.0])
betweens = st.sampled_from([(0.0, False), (0.0, False), (20.0, False), (4000.0, False), (0.0, True), (20.0, True)])
"""Seconds that pass, and whether the job is changed."""
any_of = st.integers(0, 11)


class OnceMachine(RuleBasedStateMachine):
    """Executions, people and time, in any order."""

    def __init__(self, airflow):
        super().__init__()
        self.airflow = airflow
        self.judged = 0

    @rule(who=whose, pause=pauses, how=behaviours, fate=st.none() | fates)
    def execute(self, who, pause, how, fate):
        task = self.airflow.task(*who)
        self.airflow.sleep(pause)
        self.airflow.emr.behaviour = self.bearable(how)
        if task.state == "deferred":
            if event := self.airflow.look(task):
                self.airflow.resume(task, event, fate)
        elif task.state not in FINAL:
            self.airflow.execute(task, fate)

    def bearable(self, how):
        return replace(how)

    @rule(who=whose, how=behaviours, fate=fates, between=betweens, then=behaviours)
    def execute_twice(self, who, how, fate, between, then):
        """What hypothesis would seldom do by itself: the same task again after its process came to its end."""
        self.execute(who, 0.0, how, fate)
        pause, changed = between
        if changed:
            self.change_the_job(who[0])
        self.execute(who, pause, then, None)

    def deferred(self):
        return [task for task in self.airflow.tasks() if task.state == "deferred"]

    def clearable(self):
        return [task for task in self.airflow.tasks() if task.state is not None]

    @precondition(deferred)
    @rule(which=any_of, fate=st.none() | fates)
    def deadline(self, which, fate):
        """Go on with a deferred task whose time is up."""
        tasks = self.deferred()
        self.airflow.resume(tasks[which % len(tasks)], {"deadline": True}, fate)

    @precondition(deferred)
    @rule(which=any_of, fate=st.none() | fates)
    def woken(self, which, fate):
        """Go on with a deferred task that an event woke, whatever the service says by then."""
        tasks = self.deferred()
        self.airflow.resume(tasks[which % len(tasks)], {"state": "COMPLETED"}, fate)

    @precondition(clearable)
    @rule(which=any_of, trigger_cancels=st.booleans())
    def clear(self, which, trigger_cancels):
        """Clear a task that has ended, waits for its next try, or is deferred; of the last, the trigger may cancel the job run."""
        tasks = self.clearable()
        task = tasks[which % len(tasks)]
        if task.deferred and trigger_cancels:
            self.airflow.cancel(task)
        self.airflow.clear(task)

    @rule(deployment=st.sampled_from(["one", "one", "two"]))
    def change_the_job(self, deployment):
        self.airflow.works[deployment] = "second" if self.airflow.works.get(deployment) != "second" else "first"

    @precondition(clearable)
    @rule(which=any_of, what=st.sampled_from(["run deleted", "database rebuilt", "cluster ended from outside"]))
    def disaster(self, which, what):
        tasks = self.clearable()
        run = tasks[which % len(tasks)].run
        runs = self.airflow.runs
        if what == "cluster ended from outside":
            self.airflow.emr.end(run.acquired["compute"]["id"])
        elif what == "run deleted":
            del runs[run.deployment, run.run_id]
        else:
            self.airflow.runs = {key: one for key, one in runs.items() if one.deployment != run.deployment}

    @precondition(clearable)
    @rule(which=any_of, cleared=st.booleans(), released=st.booleans())
    def everything_ends(self, which, cleared, released):
        """Without faults, the tasks of a run are final after as many executions as they have tries; release leaves nothing."""
        tasks = self.clearable()
        run = tasks[which % len(tasks)].run
        for task in run.tasks.values():
            if cleared:
                self.airflow.clear(task)
            sure = cleared or self.airflow.has_a_free_try(task)
            self.airflow.finish(task)
            assert task.state == "success" or (task.state == "failed" and not sure)
        if released:
            self.let_the_listing_catch_up()
            of_others = [step for step in self.airflow.emr.live() if not step.asked_by.startswith(run.name)]
            self.airflow.release(run)
            assert self.airflow.emr.live() == of_others

    def let_the_listing_catch_up(self):
        """Release of a cluster of the run's own ends what no listing shows yet."""

    @invariant()
    def no_task_has_two_live_job_runs(self):
        steps = list(self.airflow.emr.steps.values())
        for at in range(self.judged, len(steps)):
            others = [one for one in steps[:at] if one.asked_by == steps[at].asked_by]
            assert not [one for one in others if one.state(steps[at].created) in LIVE], "two live job runs"
        self.judged = len(steps)


class SharedOnceMachine(OnceMachine):
    """The same on a cluster that all runs share, and that a platform team keeps."""

    def bearable(self, how):
        # What a deleted run left alive is cancelled by the next run of its name, which waits for its end for a short time only.
        return replace(how, cancelling=min(how.cancelling, 2.0))

    def let_the_listing_catch_up(self):
        self.airflow.sleep(LISTING_LAG)

    @invariant()
    def what_others_keep_is_never_ended(self):
        assert self.airflow.emr.terminated == []


@pytest.fixture
def cluster():
    return MADE


@pytest.fixture
def new_airflow(cluster, tmp_path, monkeypatch):
    (tmp_path / "compute").mkdir()
    for deployment in ("one", "two"):
        text = ENVIRONMENT.format(deployment=deployment, cluster=cluster)
        (tmp_path / "compute" / f"{deployment}.yaml").write_text(text)
    monkeypatch.setenv("EMR_PIPELINES_INCLUDE", str(tmp_path))
    monkeypatch.setenv("EMR_PIPELINES_ENVIRONMENT", "one")
    silent = logging.getLogger("silent")
    silent.disabled = True
    monkeypatch.setattr(BaseOperator, "log", silent, raising=False)
    with (
        DAG("d", schedule=None, start_date=pendulum.datetime(2013, 1, 1)) as dag,
        EmrPipeline("emr", targets=["ec2"]),
    ):
        EmrJobOperator(task_id="job", job=SparkJob(script="s3://a-artifacts/a.py"))

    def made():
        airflow = VirtualAirflow(dag, lambda deployment: monkeypatch.setenv("EMR_PIPELINES_ENVIRONMENT", deployment))
        monkeypatch.setattr(clients, "clients_for", airflow.clients)
        monkeypatch.setattr(endings, "states_of", lambda task: [task.state])
        for module in (ec2, ec2_clusters):
            monkeypatch.setattr(module, "send_once", partial(send_once, sleep=airflow.sleep, now=airflow.monotonic))
        for module in (acquiring, operators, looking, ec2_named):
            monkeypatch.setattr(module, "time", airflow)
        if cluster == SHARED:
            airflow.emr.keep("analytics")
        return airflow

    return made


@pytest.mark.parametrize(
    ("cluster", "machine", "examples"),
    [(MADE, OnceMachine, 100), (SHARED, SharedOnceMachine, 20)],
    ids=["made", "shared"],
)
def test_a_job_runs_once_on_every_history(new_airflow, machine, examples):
    run_state_machine_as_test(
        lambda: machine(new_airflow()),
        settings=settings(
            max_examples=EXAMPLES or examples,
            stateful_step_count=40,
            derandomize=not EXAMPLES,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


# Histories that take long to find by chance

TASK = ("one", "a", 0)
WELL = Behaviour(lag=LISTING_LAG, lasting=60.0)


@pytest.fixture
def machine(new_airflow):
    return OnceMachine(new_airflow())


def states_of_steps(machine):
    return [step.state(machine.airflow.now) for step in machine.airflow.emr.steps.values()]


@pytest.mark.parametrize(
    "point", [("submit", "after"), ("run recorded", "before"), ("run recorded", "after"), ("sleep", "before")]
)
def test_a_retry_adopts_what_a_killed_process_left_alive(machine, point):
    machine.execute(TASK, 0.0, WELL, Fate(point, 1, "killed", 0.0))
    machine.execute(TASK, 0.0, WELL, None)
    assert machine.airflow.task(*TASK).state == "deferred"
    assert states_of_steps(machine) == ["RUNNING"]


def test_a_task_that_was_cleared_while_it_ran_runs_again_though_its_job_run_succeeded(machine):
    machine.execute(TASK, 0.0, WELL, Fate(("look", "before"), 1, "cleared and killed", 0.0))
    machine.execute(TASK, 4000.0, WELL, None)
    assert states_of_steps(machine) == ["COMPLETED", "RUNNING"]


def test_a_clear_that_an_adoption_has_answered_runs_nothing_again(machine):
    machine.execute(TASK, 0.0, WELL, Fate(("sleep", "before"), 1, "cleared and killed", 0.0))
    machine.execute(TASK, 0.0, WELL, None)
    machine.execute(TASK, 4000.0, WELL, Fate(("report", "before"), 1, "killed", 0.0))
    machine.execute(TASK, 0.0, WELL, None)
    assert machine.airflow.task(*TASK).state == "success"
    assert states_of_steps(machine) == ["COMPLETED"]


@pytest.mark.parametrize("cluster", [MADE, SHARED])
def test_release_leaves_the_job_run_of_another_deployment_with_the_same_dag_and_run(machine):
    machine.execute(TASK, 0.0, WELL, None)
    machine.execute(("two", "a", 0), 0.0, WELL, None)
    machine.airflow.release(machine.airflow.task(*TASK).run)
    assert states_of_steps(machine) == ["CANCELLED", "RUNNING"]


def test_a_task_that_is_woken_before_its_job_run_has_ended_waits_on_for_the_same_one(machine):
    machine.execute(TASK, 0.0, WELL, None)
    task = machine.airflow.task(*TASK)
    before = task.deferred.kwargs
    machine.airflow.resume(task, {"state": "COMPLETED"})
    assert (task.state, task.deferred.kwargs) == ("deferred", before)
    machine.execute(TASK, 4000.0, WELL, None)
    assert (task.state, states_of_steps(machine)) == ("success", ["COMPLETED"])
