"""Compute that everybody has forgotten ends by itself: no Airflow, no release, no reaper. Time belongs to the test."""

from __future__ import annotations

import pytest

from emr_pipelines import SparkJob
from emr_pipelines.keys import Lease
from emr_pipelines.targets import target_for
from emr_pipelines.targets.states import Phase
from tests.conformance.cases import ENGINES, ended, key, settled, until
from tests.conformance.endpoints import ENVIRONMENT, LocalService, scripted_endpoint
from tests.local_emr.scripted import ManualClock

CODE = {"jobs/any.py": "s3://local-artifacts/any.py"}
LEASE = Lease("conformance", "dag", "run", "emr")
MINUTE = 60.0


@pytest.fixture(scope="module")
def clock():
    return ManualClock()


@pytest.fixture(scope="module")
def url(tmp_path_factory, clock):
    with scripted_endpoint(tmp_path_factory.mktemp("endpoint"), clock) as url:
        yield url


def test_a_cluster_that_is_forgotten_ends_after_its_idle_minutes_and_not_while_a_job_works(url, clock):
    profile = ENVIRONMENT.profile("ec2")
    target = target_for(profile, LocalService(url, "elasticmapreduce", {}).clients)
    compute = target.acquire(LEASE, ENGINES)
    assert settled(target, compute).phase is Phase.READY
    run = target.submit(compute, SparkJob(script="jobs/any.py", args=("hold", "forgotten")), CODE, key(LEASE))
    until(lambda: target.active(compute, LEASE), lambda runs: [run.state.state for run in runs] == ["running"])
    clock.advance(3 * profile.idle_minutes * MINUTE)
    assert target.state(compute).phase is Phase.READY
    target.cancel(compute, run.id)
    ended(target, compute, run.id)
    until(lambda: target.state(compute).reason, lambda reason: reason.startswith("WAITING"))
    clock.advance((profile.idle_minutes - 1) * MINUTE)
    assert target.state(compute).phase is Phase.READY
    clock.advance(2 * MINUTE)
    until(lambda: target.state(compute).phase, lambda phase: phase is Phase.ENDED)
    assert target.lookup(LEASE) == []


def test_an_application_that_is_forgotten_stops_after_its_idle_minutes_and_costs_nothing(url, clock):
    profile = ENVIRONMENT.profile("serverless")
    service = LocalService(url, "emr-serverless", {})
    target = target_for(profile, service.clients)
    compute = target.acquire(LEASE, ENGINES)
    assert settled(target, compute).phase is Phase.READY
    assert [owned.asleep for owned in target.owned("conformance")] == [False]
    clock.advance((profile.idle_minutes - 1) * MINUTE)
    assert [owned.asleep for owned in target.owned("conformance")] == [False]
    clock.advance(2 * MINUTE)
    until(lambda: [owned.asleep for owned in target.owned("conformance")], lambda asleep: asleep == [True])
