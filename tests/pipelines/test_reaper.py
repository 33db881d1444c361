"""The reaper in a real Airflow: what no run needs any more is ended, by nothing else than its passes, and all else is left."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from emr_pipelines import SparkJob
from emr_pipelines.keys import Key, Lease
from emr_pipelines.targets import target_for
from emr_pipelines.targets.base import Compute
from emr_pipelines.targets.states import Phase
from tests.conformance.cases import ENGINES
from tests.conformance.endpoints import ENVIRONMENT, LocalService
from tests.pipelines.test_choices import said, trigger
from tests.support.airflow import ended_run

HOLDS = "import time; time.sleep(600)"
CODE = {"holds.py": "s3://local-artifacts/tests/holds.py"}
LIVE = Lease("local", "waits_for_ever", "manual__2013-01-15T00:00:00+00:00", "emr")
NEVER = Lease("local", "a_dag_that_was_deleted", "scheduled__2013-01-15T00:00:00+00:00", "emr")
THEIRS = Lease("elsewhere", "is_never_released", "never", "emr")


@dataclass
class Left:
    """What is there before the reaper's first pass, by name, and how to ask whether it still is."""

    clients: object
    compute: dict[str, Compute] = field(default_factory=dict)
    runs: dict[str, tuple[Compute, str]] = field(default_factory=dict)

    def target(self, profile, /, **changes):
        settings = ENVIRONMENT.profile(profile)
        return target_for(settings.model_validate({**settings.model_dump(), **changes}), self.clients)

    def acquire(self, name, profile, lease, /, **changes):
        self.compute[name] = self.target(profile, **changes).acquire(lease, ENGINES)

    def submit(self, name, lease):
        eks = self.target("eks")
        compute = eks.acquire(lease, ENGINES)
        run = eks.submit(compute, SparkJob(script="holds.py"), CODE, Key(lease, "emr.job", -1, "n"))
        self.runs[name] = (compute, run.id)

    def alive(self):
        computes = {
            name
            for name, compute in self.compute.items()
            if self.target(compute.target).state(compute).phase is not Phase.ENDED
        }
        eks = self.target("eks")
        return computes | {
            name for name, (compute, run) in self.runs.items() if not eks.poll(compute, [run])[run].state.ended
        }

    def end(self):
        for compute in self.compute.values():
            self.target(compute.target).release(Compute(**{**compute.to_json(), "owner": "run"}))
        for compute, run in self.runs.values():
            self.target("eks").cancel(compute, run)


@pytest.fixture(scope="module")
def left(rest, endpoint):
    """Orphans, of runs that failed without a release, were deleted since, or whose DAG was; and four things that are none."""
    clients = LocalService(endpoint, "emr", {}).clients
    clients.repeating("s3").put_object(Bucket="local-artifacts", Key="tests/holds.py", Body=HOLDS.encode())
    runs = {"ec2": "ec2", "serverless": "serverless", "deleted": "ec2"}
    for run_id, target in runs.items():
        trigger(rest, "is_never_released", run_id, {"target": target})
    trigger(rest, LIVE.dag_id, LIVE.run_id)
    left = Left(clients)
    left.acquire("a live run's cluster", "ec2", LIVE)
    left.acquire("another deployment's cluster", "ec2", THEIRS)
    left.acquire("compute of a deleted DAG", "ec2", NEVER)
    left.acquire("a kept application", "serverless", LIVE, owner="profile", name="kept")
    left.submit("a live run's job run", LIVE)
    for run_id in runs:
        assert ended_run(rest, "is_never_released", run_id)["state"] == "failed"
        acquired = rest.xcom("is_never_released", run_id, "emr.acquire")
        left.compute[f"compute of {run_id}"] = Compute.from_json(acquired["compute"])
    left.submit("a job run of ec2", Lease("local", "is_never_released", "ec2", "emr"))
    rest.delete("dags/is_never_released/dagRuns/deleted")
    yield left
    left.end()
    rest.delete(f"dags/{LIVE.dag_id}/dagRuns/{LIVE.run_id}")


ORPHANS = {
    "compute of ec2",
    "compute of serverless",
    "compute of deleted",
    "compute of a deleted DAG",
    "a job run of ec2",
}
OTHERS = {
    "a live run's cluster",
    "another deployment's cluster",
    "a kept application",
    "a live run's job run",
}
PASSES = {"dry": {"dry_run": True, "grace_minutes": 0}, "early": {}, "late": {"grace_minutes": 0}}


@pytest.fixture(scope="module")
def passes(rest, left):
    """Three passes one after the other: what was alive after each, and what each told."""
    assert left.alive() == ORPHANS | OTHERS
    told = {}
    for name, conf in PASSES.items():
        trigger(rest, "emr_reaper", name, conf)
        assert ended_run(rest, "emr_reaper", name)["state"] == "success", said(rest, "emr_reaper", "reap", name)
        told[name] = (left.alive(), rest.xcom("emr_reaper", name, "reap"))
    return told


def done_about(left, rows):
    """What was done about each thing that is told of, by the name that it has here."""
    names = {compute.id: name for name, compute in left.compute.items()}
    names |= {f"job runs of lease {compute.lease} on {compute.id}": name for name, (compute, _) in left.runs.items()}
    return {names[row["what"]]: (row["found"], row["done"]) for row in rows if row["what"] in names}


def test_what_no_run_needs_any_more_is_ended_and_all_else_is_left(left, passes):
    alive, rows = passes["late"]
    assert alive == OTHERS
    assert done_about(left, rows) == {
        "compute of ec2": ("orphaned: its run has ended", "ended"),
        "compute of serverless": ("orphaned: its run has ended", "ended"),
        "compute of deleted": ("orphaned: its run was deleted", "ended"),
        "compute of a deleted DAG": ("orphaned: its run was deleted", "ended"),
        "a job run of ec2": ("orphaned: its run has ended", "ended"),
        "a live run's cluster": ("its run is live", "left alone"),
        "a live run's job run": ("its run is live", "left alone"),
        "a kept application": ("kept by its profile", "left alone"),
    }


def test_nothing_is_ended_within_its_grace(left, passes):
    alive, rows = passes["early"]
    assert alive == ORPHANS | OTHERS
    done = done_about(left, rows)
    assert {done[name][0].partition(":")[0] for name in ORPHANS} == {"orphaned, within the grace period"}


def test_a_dry_run_ends_nothing_and_says_loudly_what_it_would(rest, left, passes):
    alive, rows = passes["dry"]
    assert alive == ORPHANS | OTHERS
    done = done_about(left, rows)
    assert {done[name][1] for name in ORPHANS} == {"would be ended"}
    warnings = [
        str(entry["event"]) for entry in rest.log("emr_reaper", "dry", "reap", 1) if entry.get("level") == "warning"
    ]
    (warning,) = [text for text in warnings if text.startswith("A dry run: 5 orphaned would be ended")]
    assert left.compute["compute of ec2"].id in warning


def test_what_was_found_is_a_table_in_the_log_and_a_link_in_the_ui(rest, left, passes):
    log = said(rest, "emr_reaper", "reap", "late")
    (line,) = [line for line in log.splitlines() if f" {left.compute['compute of deleted'].id} " in line]
    assert line.split()[-6:] == ["orphaned:", "its", "run", "was", "deleted", "ended"]
    links = rest.get("dags/emr_reaper/dagRuns/late/taskInstances/reap/links")["extra_links"]
    assert links["Findings"].endswith("/dags/emr_reaper/runs/late/tasks/reap/xcom")
