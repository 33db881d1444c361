"""What acquire does about profiles that cannot be had, limits, and its own earlier tries; the target is the conformance suite's toy."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import asdict, replace
from types import SimpleNamespace

import pendulum
import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import TaskDeferred
from botocore.exceptions import EndpointConnectionError

from emr_pipelines import EmrJobOperator, EmrPipeline, SparkJob, acquiring, clients, releasing
from emr_pipelines.environments import current_environment
from emr_pipelines.errors import ComputeError, ComputeOccupiedError, ComputeUnavailableError
from emr_pipelines.keys import Key, Lease
from emr_pipelines.targets import REGISTRY, target_for
from emr_pipelines.targets.base import Clients, Compute
from emr_pipelines.targets.profile import Relaxation
from emr_pipelines.targets.states import ComputeState, Fault, Phase
from tests.conformance.toy import Toy, ToyCloud, ToyProfile
from tests.support.triggers import one_look

PROFILES = {"first": "us-east-1", "second": "us-west-2", "third": "eu-west-1", "single": "eu-west-2"}
ENVIRONMENT = """\
deployment: toys
buckets: {data: a-data, logs: a-logs, artifacts: a-artifacts}
profiles:
  first: {target: toy, region: us-east-1}
  second: {target: toy, region: us-west-2}
  third: {target: toy, region: eu-west-1}
  single: {target: toy, region: eu-west-2, max_concurrent: 1}
"""


class Ti:
    """What acquire uses of a task instance."""

    task_id = "emr.acquire"
    log_url = "http://127.0.0.1/dags/d/runs/r/tasks/emr.acquire?try_number=1"

    def __init__(self):
        self.pushed = {}

    def xcom_push(self, key, value):
        self.pushed[key] = value


class Store(dict):
    """Airflow's task state store."""

    set = dict.__setitem__


class World:
    """Airflow's context of acquire, and a cloud for each region."""

    def __init__(self, dag):
        self.dag = dag
        self.clouds = {region: ToyCloud() for region in PROFILES.values()}
        self.stores = defaultdict(Store)

    def cloud(self, profile):
        return self.clouds[PROFILES[profile]]

    def clients(self, connection, region):
        return Clients(repeating=lambda _: self.clouds[region], once=lambda _: self.clouds[region])

    def context(self, target, run_id="r", **dag_run):
        given = {"conf": {"target": target}, "run_type": "manual", **dag_run}
        return {
            "ti": Ti(),
            "dag": self.dag,
            "run_id": run_id,
            "params": {"target": target},
            "dag_run": SimpleNamespace(**given),
            "task_state_store": self.stores[run_id],
        }

    def acquire(self, context):
        return self.dag.get_task("emr.acquire").execute(context)

    def resume(self, context, deferred, event):
        return self.dag.get_task("emr.acquire").resume(context, event, **deferred.kwargs)

    def lease(self, run_id="r"):
        return Lease("toys", "d", run_id, "emr")

    def machines(self, profile):
        return [one.id for one in self.cloud(profile).machines.values() if one.alive]

    def target(self, environment, profile):
        return target_for(environment.profile(profile), self.clients(None, PROFILES[profile]))


@pytest.fixture
def world(tmp_path, monkeypatch):
    (tmp_path / "compute").mkdir()
    (tmp_path / "compute" / "toys.yaml").write_text(ENVIRONMENT)
    monkeypatch.setenv("EMR_PIPELINES_INCLUDE", str(tmp_path))
    monkeypatch.setenv("EMR_PIPELINES_ENVIRONMENT", "toys")
    monkeypatch.setitem(REGISTRY, "toy", "tests.conformance.toy:Toy")
    with (
        DAG("d", schedule=None, start_date=pendulum.datetime(2013, 1, 1)) as dag,
        EmrPipeline("emr", targets=["first", ["first", "second", "third"], "single", ["single", "second"]]),
    ):
        EmrJobOperator(task_id="job", job=SparkJob(script="s3://a-artifacts/a.py"))
    made = World(dag)
    monkeypatch.setattr(clients, "clients_for", made.clients)
    monkeypatch.setattr(acquiring, "pin", lambda *_: {})
    return made


IN_TURN = "first,second,third"


def test_the_first_profile_that_can_be_had_is_used_and_the_reasons_against_the_others_are_told(world):
    world.cloud("first").refuse_capacity()
    world.cloud("second").refuse_capacity()
    context = world.context(IN_TURN)
    acquired = world.acquire(context)
    assert (acquired["compute"]["profile"], acquired["choice"]["asked"]) == ("third", ["first", "second", "third"])
    assert [one["profile"] for one in acquired["choice"]["refused"]] == ["first", "second"]
    told = context["ti"].pushed["why_this_compute"].splitlines()
    assert (told[0], told[-1]) == ("The run was given target first, then second, then third.", "Used: third")
    assert "InsufficientCapacity" in told[1]


def test_what_a_profile_is_relaxed_about_is_told_one_line_each_before_its_compute_is_acquired(
    world, monkeypatch, caplog
):
    relaxed = (
        Relaxation("unencrypted_disks", "disks of toys are not encrypted: security.disks has no key"),
        Relaxation("public_subnet", "toys stand in the street: public_subnet is true"),
    )
    monkeypatch.setattr(ToyProfile, "relaxations", relaxed)
    monkeypatch.setattr(acquiring.AcquireOperator, "log", logging.getLogger("acquire"))
    with caplog.at_level(logging.INFO):
        world.acquire(world.context("first"))
    told = [record.getMessage() for record in caplog.records if "relaxed" in record.getMessage()]
    assert told == [
        "Profile 'first' is relaxed (unencrypted_disks): disks of toys are not encrypted: security.disks has no key",
        "Profile 'first' is relaxed (public_subnet): toys stand in the street: public_subnet is true",
    ]


def test_when_none_can_be_had_every_reason_is_told_and_nothing_is_left(world):
    for profile in ("first", "second", "third"):
        world.cloud(profile).refuse_capacity()
    context = world.context(IN_TURN)
    with pytest.raises(
        ComputeUnavailableError, match=r"(?s)first: .*second: .*third: .*Nothing of first, second, third"
    ):
        world.acquire(context)
    assert context["ti"].pushed["why_this_compute"].splitlines()[-1] == "Used: nothing"
    assert [world.machines(profile) for profile in ("first", "second", "third")] == [[], [], []]


def test_a_retry_goes_on_with_the_compute_of_the_try_before(world):
    world.cloud("first").refuse_capacity()
    before = world.acquire(world.context(IN_TURN))["compute"]
    after = world.acquire(world.context(IN_TURN))
    assert after["compute"] == before
    assert [one["profile"] for one in after["choice"]["refused"]] == ["first"]
    assert world.machines("first") == []


def test_what_a_deleted_run_of_the_same_name_left_is_ended_before_anything_of_this_one_starts(world):
    world.acquire(world.context(IN_TURN))
    world.stores.clear()
    after = world.acquire(world.context("single"))["compute"]["id"]
    assert world.machines("first") == []
    assert world.machines("single") == [after]


def test_a_former_life_that_cannot_be_asked_about_keeps_nobody_from_acquiring(world):
    world.clouds["eu-west-1"] = None
    assert world.acquire(world.context("first"))["compute"]["profile"] == "first"


@pytest.fixture
def former_job(world, monkeypatch):
    """On shared compute a job run of a run that was deleted; whoever cancels it finds it as it was."""
    world.acquire(world.context("first"))
    target = world.target(current_environment(), "first")
    (held,) = target.lookup(world.lease())
    job = target.submit(held, SparkJob(script="endless"), {}, Key(world.lease(), "emr.job", -1, "n"))
    world.stores.clear()
    monkeypatch.setattr(Toy, "lookup", lambda *_: [replace(held, owner="profile")])
    monkeypatch.setattr(Toy, "release", lambda *_: None)
    monkeypatch.setattr(releasing, "wait_briefly", lambda look, done: look())
    return target, held, job


def test_nothing_starts_beside_a_deleted_runs_job_that_is_not_cancelled_in_time(world, former_job):
    target, held, job = former_job
    for _ in range(2):
        with pytest.raises(ComputeOccupiedError) as raised:
            world.acquire(world.context("first"))
        assert str(raised.value).startswith(f"Job run {job.id} on {held.id} was cancelled and is still running")
        assert "of an earlier run of the same name" in str(raised.value)
    target.cancel(held, job.id)
    assert world.acquire(world.context("first"))["compute"]["id"] == held.id


def unreachable(*_):
    raise EndpointConnectionError(endpoint_url="toy://cloud")


def test_nothing_starts_beside_a_deleted_runs_job_that_was_seen_alive_and_could_not_be_cancelled(
    world, former_job, monkeypatch
):
    monkeypatch.setattr(Toy, "release", unreachable)
    with pytest.raises(ComputeOccupiedError, match=f"Job run {former_job[2].id} on .* may be alive: Could not connect"):
        world.acquire(world.context("first"))


def test_compute_of_a_deleted_run_that_cannot_be_ended_is_not_adopted_with_what_works_on_it(world, monkeypatch):
    world.acquire(world.context("first"))
    world.stores.clear()
    monkeypatch.setattr(Toy, "release", unreachable)
    with pytest.raises(ComputeOccupiedError, match=r"Could not connect.*of an earlier run of the same name"):
        world.acquire(world.context("first"))


def test_shared_compute_that_cannot_be_asked_for_a_deleted_runs_jobs_keeps_nobody_from_acquiring(
    world, former_job, monkeypatch
):
    monkeypatch.setattr(Toy, "active", unreachable)
    assert world.acquire(world.context("first"))["compute"]["id"] == former_job[1].id


def test_a_later_profile_that_cannot_be_asked_keeps_nobody_from_the_first(world):
    world.clouds["us-west-2"] = None
    assert world.acquire(world.context(IN_TURN))["compute"]["profile"] == "first"


def test_compute_on_which_jobs_of_the_run_work_is_never_left_for_another_profile(world, monkeypatch):
    compute = world.acquire(world.context(IN_TURN))["compute"]
    target = world.target(current_environment(), "first")
    held = target.lookup(world.lease())[0]
    target.submit(held, SparkJob(script="endless"), {}, Key(world.lease(), "emr.job", -1, "n"))
    ended = ComputeState(Phase.ENDED, "throttled beyond patience", Fault.SERVICE)
    monkeypatch.setattr(Toy, "state", lambda *_: ended)
    with pytest.raises(ComputeUnavailableError, match="throttled beyond patience"):
        world.acquire(world.context(IN_TURN))
    assert world.machines("first") == [compute["id"]]
    assert [run.state.state.ended for run in target.active(held, world.lease())] == [False]
    assert world.machines("second") == []


def test_a_start_that_fails_while_deferred_goes_on_with_the_next_profile_and_leaves_nothing(world, monkeypatch):
    starting = ComputeState(Phase.STARTING, "starting")
    monkeypatch.setattr(acquiring, "wait_briefly", lambda look, done: starting)
    context = world.context("first,second,third")
    with pytest.raises(TaskDeferred) as deferred:
        world.acquire(context)
    monkeypatch.setattr(acquiring, "wait_briefly", lambda look, done: look())
    world.cloud("first").end(world.machines("first")[0])
    real = Toy.state
    monkeypatch.setattr(
        Toy,
        "state",
        lambda self, compute: (
            ComputeState(Phase.ENDED, "no capacity", Fault.CAPACITY)
            if compute.profile == "first"
            else real(self, compute)
        ),
    )
    acquired = world.resume(context, deferred.value, {"phase": "ended"})
    assert acquired["choice"]["profile"] == "second"
    assert acquired["choice"]["refused"][0]["reason"].startswith("no capacity")
    assert world.machines("first") == []


def test_an_end_that_is_a_persons_fault_does_not_move(world, monkeypatch):
    ended = ComputeState(Phase.ENDED, "a bootstrap action failed", Fault.USER)
    monkeypatch.setattr(Toy, "state", lambda *_: ended)
    with pytest.raises(ComputeError, match="a bootstrap action failed") as caught:
        world.acquire(world.context(IN_TURN))
    assert not isinstance(caught.value, ComputeUnavailableError)
    assert world.machines("second") == []


def test_a_run_waits_deferred_while_others_hold_all_that_a_profile_allows_and_does_not_fail_over(world):
    first = world.acquire(world.context("single", run_id="one"))["compute"]
    waiting = world.context("single,second", run_id="two")
    with pytest.raises(TaskDeferred) as deferred:
        world.acquire(waiting)
    assert (deferred.value.trigger.profile, one_look(deferred.value.trigger)) == ("single", None)
    assert world.machines("second") == []
    world.cloud("single").end(first["id"])
    assert one_look(deferred.value.trigger) == {"room": True}
    assert world.resume(waiting, deferred.value, {"room": True})["compute"]["profile"] == "single"


def test_a_run_that_holds_compute_of_a_full_profile_keeps_it(world):
    before = world.acquire(world.context("single", run_id="one"))["compute"]
    world.cloud("single").create(
        f"{world.lease('older').id}-single-d", {**world.lease("older").tags, "emr-pipelines:profile": "single"}
    )
    oldest = list(world.cloud("single").machines.values())[-1]
    oldest.created = 0.0
    assert world.acquire(world.context("single", run_id="one"))["compute"] == before


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (
            {"run_type": "backfill", "conf": None},
            "No target was given to this backfill: its runs use the DAG's default, first.",
        ),
        ({"run_type": "backfill"}, "This backfill uses target first, from the run's own configuration"),
        ({"conf": {"target": "first", "maximum_worker": 3}}, "says maximum_worker, and this DAG has no such parameter"),
        ({}, None),
    ],
    ids=["backfill without", "backfill with", "a typo", "nothing to warn of"],
)
def test_what_a_person_may_not_have_meant_is_warned_of(world, run, expected, monkeypatch):
    warnings = []
    task = world.dag.get_task("emr.acquire")
    monkeypatch.setattr(
        type(task),
        "log",
        SimpleNamespace(info=lambda *_: None, warning=lambda text, *values: warnings.append(text % values)),
    )
    world.acquire(world.context("first", **run))
    ours = [warning for warning in warnings if "outside of the Task Runner" not in warning]
    assert len(ours) == (1 if expected else 0)
    assert all(expected in warning for warning in ours)


@pytest.mark.parametrize(
    ("owner", "said"),
    [
        ("run", "It still runs and costs; a retry adopts it, release ends it."),
        ("profile", "It is shared and stays; a retry waits for it again."),
    ],
)
def test_compute_that_was_not_ready_in_time_is_said_to_end_only_where_it_does(world, owner, said):
    compute = Compute("toy", "first", "m-0", world.lease("a").id, owner).to_json()
    task = world.dag.get_task("emr.acquire")
    with pytest.raises(ComputeError) as raised:
        task.resume(world.context("first"), {"deadline": True}, asdict(acquiring.Progress(compute=compute)))
    assert str(raised.value) == f"m-0 was not ready within this task's execution_timeout. {said}"
