"""The reaper: what it decides, and that it ends orphans and nothing else, wherever its environment leads."""

from __future__ import annotations

import time

import pytest
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from hypothesis import given
from hypothesis import strategies as st

from emr_pipelines import EmrReaperOperator, clients, measuring, missing, reaping
from emr_pipelines.environments import Reaping, read_environment
from emr_pipelines.errors import ComputeError
from emr_pipelines.keys import Lease
from emr_pipelines.reaping import Finding, Life, judge, life_of, places_of, reap, settings_of, table_of
from emr_pipelines.targets import REGISTRY, target_for
from emr_pipelines.targets.base import Clients, Compute, Owned
from tests.conformance.toy import ToyCloud

ENVIRONMENT = """\
deployment: toys
buckets: {data: a-data, logs: a-logs, artifacts: a-artifacts}
reaper: {dry_run: false}
profiles:
  toy: {target: toy, region: us-east-1}
  blue: {extends: toy, colour: blue}
  far: {extends: toy, region: eu-west-1}
  theirs: {extends: toy, connection: theirs}
"""
HOUR = 3600.0
ORPHANED = {Finding.ORPHANED}


@pytest.fixture
def environment(monkeypatch, tmp_path):
    monkeypatch.setitem(REGISTRY, "toy", "tests.conformance.toy:Toy")
    path = tmp_path / "toys.yaml"
    path.write_text(ENVIRONMENT)
    return read_environment(path)


@pytest.fixture
def clouds(monkeypatch):
    """A cloud for each account and region, as connections and regions lead to them."""
    clouds = {place: ToyCloud() for place in ((None, "us-east-1"), (None, "eu-west-1"), ("theirs", "us-east-1"))}

    def clients_for(connection, region):
        return Clients(repeating=lambda _: clouds[connection, region], once=lambda _: clouds[connection, region])

    monkeypatch.setattr(clients, "clients_for", clients_for)
    return clouds


@pytest.fixture
def airflow(monkeypatch):
    """Airflow's runs by DAG and run, as the task SDK counts them; those that are missing were deleted."""
    runs = {}

    def get_dr_count(dag_id, logical_dates=None, run_ids=None, states=None):
        found = [state for (dag, run), state in runs.items() if dag == dag_id and run in run_ids]
        return len([state for state in found if states is None or state in states])

    monkeypatch.setattr(RuntimeTaskInstance, "get_dr_count", staticmethod(get_dr_count))
    monkeypatch.setattr(missing, "is_defined", lambda _: True)
    memory = {}
    monkeypatch.setattr(missing.Variable, "get", lambda key, default, deserialize_json: memory.get(key, default))
    monkeypatch.setattr(missing.Variable, "set", lambda key, value, serialize_json: memory.update({key: value}))
    return runs


@pytest.fixture
def acquire(environment, clouds):
    """Acquire compute for a run, as that was some hours ago; return its machine."""

    def acquire(run, profile="toy", deployment="toys", hours=2.0):
        settings = environment.profile(profile)
        cloud = clouds[settings.connection, settings.region]
        target = target_for(settings, Clients(repeating=lambda _: cloud, once=lambda _: cloud))
        machine = cloud.machines[target.acquire(Lease(deployment, "dag", run, "emr"), frozenset()).id]
        machine.created -= hours * HOUR
        return machine

    return acquire


REAPS = Reaping(grace_minutes=60, dry_run=False)
SHARED = Compute("toy", "toy", "m-0", "", "profile")
MADE = Compute("toy", "toy", "m-0", "0" * 16)
WORK = Compute("toy", "toy", "m-0", "0" * 16, "profile")


@pytest.mark.parametrize(
    ("compute", "life", "age", "finding"),
    [
        (SHARED, None, 9 * HOUR, Finding.KEPT),
        (MADE, None, 9 * HOUR, Finding.UNMATCHED),
        (WORK, None, 9 * HOUR, Finding.UNMATCHED),
        (MADE, Life.LIVE, 9 * HOUR, Finding.NEEDED),
        (WORK, Life.LIVE, 9 * HOUR, Finding.NEEDED),
        (MADE, Life.ENDED, HOUR - 1, Finding.YOUNG),
        (MADE, Life.DELETED, -1.0, Finding.YOUNG),
        (MADE, Life.ENDED, HOUR, Finding.ORPHANED),
        (MADE, Life.DELETED, 9 * HOUR, Finding.ORPHANED),
        (WORK, Life.ENDED, 9 * HOUR, Finding.ORPHANED),
        (MADE, Life.STRANDED, HOUR - 1, Finding.YOUNG),
        (MADE, Life.STRANDED, HOUR, Finding.ORPHANED),
    ],
)
def test_what_the_reaper_finds_about_something_owned(compute, life, age, finding):
    assert judge(Owned(compute, {}, 0.0), life, age, grace=HOUR) is finding


@given(
    compute=st.sampled_from([SHARED, MADE, WORK]),
    life=st.sampled_from([None, *Life]),
    age=st.floats(-HOUR, 100 * HOUR),
    grace=st.floats(0, 100 * HOUR),
)
def test_only_the_compute_of_a_run_that_is_over_is_ever_ended(compute, life, age, grace):
    if judge(Owned(compute, {}, 0.0), life, age, grace) in ORPHANED:
        assert compute.lease
        assert life in (Life.ENDED, Life.DELETED, Life.STRANDED)
        assert age >= grace


@given(st.builds(Lease, st.just("toys"), *[st.text(max_size=300)] * 3))
def test_tags_give_back_the_lease_that_they_were_made_of_or_none(lease):
    assert Lease.from_tags(lease.tags) in (lease, None)


@pytest.mark.parametrize(
    "run", ["scheduled__2013-01-15T00:00:00+00:00", "manual__2013-01-15T00:00:00.123456+00:00_aBc", "by hand"]
)
def test_a_run_id_as_airflow_makes_them_survives_its_tags(run):
    lease = Lease("toys", "dag", run, "emr")
    assert Lease.from_tags(lease.tags) == lease


@pytest.mark.parametrize("lost", ["deployment", "lease", "dag", "run", "group"])
def test_tags_of_which_one_is_missing_or_changed_name_no_run(lost):
    tags = Lease("toys", "dag", "run", "emr").tags
    changed = {**tags, f"emr-pipelines:{lost}": "another"}
    missing = {name: value for name, value in tags.items() if not name.endswith(lost)}
    assert (Lease.from_tags(changed), Lease.from_tags(missing)) == (None, None)


@pytest.mark.parametrize(
    ("state", "life"),
    [
        ("success", Life.ENDED),
        ("failed", Life.ENDED),
        ("running", Life.LIVE),
        ("queued", Life.LIVE),
        ("a state of a later Airflow", Life.LIVE),
        (None, Life.DELETED),
    ],
)
def test_a_run_that_is_neither_over_nor_gone_is_live(airflow, state, life):
    airflow["dag", "another run"] = "failed"
    airflow["another dag", "run"] = "failed"
    if state:
        airflow["dag", "run"] = state
    assert life_of(Lease("toys", "dag", "run", "emr")) is life


def test_orphans_are_ended_in_every_account_and_region_and_nothing_else_is(environment, airflow, acquire):
    airflow |= {("dag", "ended"): "failed", ("dag", "live"): "running"}
    orphans = [acquire("ended"), acquire("deleted", "blue"), acquire("ended", "far"), acquire("gone", "theirs")]
    others = [acquire("live"), acquire("ended", deployment="elsewhere"), acquire("ended", "blue", hours=0.5)]
    rows, troubles = reap(environment, REAPS)
    assert troubles == []
    assert [machine.alive for machine in orphans] == [False] * 4
    assert [machine.alive for machine in others] == [True] * 3
    assert sorted((row["region"], row["profile"], row["run"], row["found"], row["done"]) for row in rows) == [
        ("eu-west-1", "far", "ended", "orphaned: its run has ended", "ended"),
        ("us-east-1", "blue", "deleted", "orphaned: its run was deleted", "ended"),
        ("us-east-1", "blue", "ended", "orphaned, within the grace period: its run has ended", "left alone"),
        ("us-east-1", "theirs", "gone", "orphaned: its run was deleted", "ended"),
        ("us-east-1", "toy", "ended", "orphaned: its run has ended", "ended"),
        ("us-east-1", "toy", "live", "its run is live", "left alone"),
    ]


def test_a_dry_run_ends_nothing_and_says_what_it_would(environment, airflow, acquire):
    machine = acquire("deleted")
    rows, _ = reap(environment, Reaping())
    assert machine.alive
    assert [(row["what"], row["done"]) for row in rows] == [(machine.id, "would be ended")]


def test_what_cannot_be_matched_with_a_run_is_told_and_never_ended(environment, airflow, acquire):
    machine = acquire("r" * 300)
    rows, _ = reap(environment, REAPS)
    assert machine.alive
    assert [(row["found"], row["done"]) for row in rows] == [("cannot be matched with a run", "left alone")]


def test_a_cleared_run_is_asked_for_again_right_before_its_compute_would_be_ended(
    environment, airflow, acquire, monkeypatch
):
    airflow |= {("dag", "first"): "failed", ("dag", "cleared"): "failed"}
    acquire("first")
    machine = acquire("cleared")
    end = reaping.end

    def clear_meanwhile(*ending):
        airflow["dag", "cleared"] = "queued"
        return end(*ending)

    monkeypatch.setattr(reaping, "end", clear_meanwhile)
    rows, _ = reap(environment, REAPS)
    assert machine.alive
    assert [row["done"] for row in rows] == ["ended", "left alone"]


def test_a_live_run_whose_dag_has_disappeared_keeps_its_compute_for_the_grace_and_no_longer(
    environment, airflow, acquire, monkeypatch
):
    machine = acquire("live")
    airflow["dag", "live"] = "running"
    monkeypatch.setattr(missing, "is_defined", lambda _: False)
    begun = time.time()
    rows, _ = reap(environment, REAPS)
    assert (rows[0]["found"], machine.alive) == (f"{Finding.YOUNG}: its run {Life.STRANDED}", True)
    monkeypatch.setattr(reaping.time, "time", lambda: begun + HOUR - 5)
    reap(environment, REAPS)
    assert machine.alive
    monkeypatch.setattr(reaping.time, "time", lambda: begun + HOUR + 5)
    rows, _ = reap(environment, REAPS)
    assert (rows[0]["done"], machine.alive) == ("ended", False)


def test_a_dag_that_comes_back_is_forgotten_to_have_been_missing():
    assert missing.since(["a", "b"], {"b": 5.0, "c": 6.0}, now=9.0) == {"a": 9.0, "b": 5.0}


def test_an_account_that_cannot_be_asked_keeps_no_other_from_being_reaped(
    environment, airflow, acquire, clouds, monkeypatch
):
    machine = acquire("deleted", "far")

    def refuse():
        raise PermissionError("no such credentials")

    for place in ((None, "us-east-1"), ("theirs", "us-east-1")):
        monkeypatch.setattr(clouds[place], "listed", refuse)
    _, troubles = reap(environment, REAPS)
    assert not machine.alive
    assert troubles == [
        "toy in us-east-1 could not be asked: no such credentials",
        "toy in us-east-1 through connection 'theirs' could not be asked: no such credentials",
    ]


def test_a_run_whose_state_cannot_be_learned_keeps_its_compute_and_no_other(environment, airflow, acquire, monkeypatch):
    machines = [acquire("unknown"), acquire("deleted")]
    count = RuntimeTaskInstance.get_dr_count

    def sometimes(dag_id, run_ids, states):
        if run_ids == ["unknown"]:
            raise TimeoutError("Airflow is away")
        return count(dag_id, run_ids=run_ids, states=states)

    monkeypatch.setattr(RuntimeTaskInstance, "get_dr_count", staticmethod(sometimes))
    rows, troubles = reap(environment, REAPS)
    assert [machine.alive for machine in machines] == [True, False]
    assert [(row["found"], row["done"]) for row in rows] == [
        ("not known", "failed"),
        ("orphaned: its run was deleted", "ended"),
    ]
    assert troubles == [f"{machines[0].id} was not reaped: Airflow is away"]


def test_what_two_connections_lead_to_is_reaped_once(environment, airflow, acquire, clouds):
    clouds["theirs", "us-east-1"] = clouds[None, "us-east-1"]
    acquire("deleted")
    rows, _ = reap(environment, Reaping())
    assert len(rows) == 1


def test_profiles_of_one_place_are_asked_for_once(environment):
    assert [profile.name for profile in places_of(environment)] == ["blue", "far", "theirs"]


def test_a_run_of_the_reaper_may_say_otherwise_than_the_environment(environment):
    assert settings_of(environment, {}) == Reaping(grace_minutes=60, dry_run=False)
    given = {"dry_run": True, "grace_minutes": 0, "another": 1}
    assert settings_of(environment, given) == Reaping(grace_minutes=0, dry_run=True)


class TaskInstance:
    """As much of Airflow's as an operator pushes to."""

    log_url = "http://airflow/dags/emr_reaper/runs/run/tasks/reap?try_number=1"

    def __init__(self):
        self.pushed = {}

    def xcom_push(self, key, value):
        self.pushed[key] = value


def test_the_task_fails_for_what_it_could_not_ask_after_it_told_what_it_found(
    environment, airflow, acquire, clouds, monkeypatch
):
    machine = acquire("deleted", "far")
    monkeypatch.setattr(reaping, "current_environment", lambda: environment)
    monkeypatch.delattr(clouds["theirs", "us-east-1"], "machines")
    ti = TaskInstance()
    execute = EmrReaperOperator.execute.__wrapped__  # the rest of it wants a task runner around
    with pytest.raises(
        ComputeError, match=r"^toy in us-east-1 through connection 'theirs' could not be asked: .*again"
    ):
        execute(EmrReaperOperator(task_id="reap"), {"ti": ti, "params": {}})
    assert [(row["what"], row["done"]) for row in ti.pushed["return_value"]] == [(machine.id, "ended")]
    assert "http://airflow/dags/emr_reaper/runs/run/tasks/reap/xcom" in ti.pushed.values()


def test_orphans_are_counted_whatever_their_age_and_whatever_was_done_about_them(
    environment, airflow, acquire, monkeypatch
):
    told = []
    monkeypatch.setattr(reaping, "current_environment", lambda: environment)
    monkeypatch.setattr(measuring.stats, "gauge", lambda *of, tags: told.append((*of, tags)))
    airflow["dag", "live"] = "running"
    for run, hours in (("live", 2.0), ("deleted", 2.0), ("deleted just now", 0.1)):
        acquire(run, hours=hours)
    execute = EmrReaperOperator.execute.__wrapped__
    execute(EmrReaperOperator(task_id="reap"), {"ti": TaskInstance(), "params": {}})
    execute(EmrReaperOperator(task_id="reap"), {"ti": TaskInstance(), "params": {"dry_run": True}})
    assert told == [("emr_pipelines.orphans", 2, {}), ("emr_pipelines.orphans", 1, {})]


def test_the_table_has_a_head_and_a_line_for_each_finding():
    rows = [{"what": "j-1", "done": "ended"}, {"what": "j-123", "done": "left alone"}]
    assert table_of(rows) == ["what   done", "j-1    ended", "j-123  left alone"]
    assert table_of([]) == []


def test_the_age_of_what_is_owned_counts_from_its_creation(environment, airflow, acquire):
    machine = acquire("deleted", hours=0.0)
    assert time.time() - machine.created < HOUR
    rows, _ = reap(environment, Reaping(grace_minutes=0, dry_run=True))
    assert [row["found"] for row in rows] == ["orphaned: its run was deleted"]
