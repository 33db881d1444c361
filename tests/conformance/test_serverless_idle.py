"""An application that stopped by itself still works: time belongs to the test, so it has an endpoint of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from emr_pipelines import SparkJob
from emr_pipelines.errors import ComputeError
from emr_pipelines.keys import Lease
from emr_pipelines.targets import target_for
from emr_pipelines.targets.states import Phase, RunState
from emr_pipelines.watching import leases_in
from local_emr.endpoint import running
from tests.conformance.cases import ENGINES, another_run, ended, key, settled, until
from tests.conformance.endpoints import ENVIRONMENT, LocalService, scripted_endpoint
from tests.local_emr.scripted import ManualClock, ScriptedEngine

CODE = {"jobs/any.py": "s3://local-artifacts/any.py"}
LEASE = Lease("conformance", "dag", "run", "emr")


@pytest.fixture(scope="module")
def clock():
    return ManualClock()


@pytest.fixture(scope="module")
def service(tmp_path_factory, clock):
    with scripted_endpoint(tmp_path_factory.mktemp("endpoint"), clock) as url:
        yield LocalService(url, "emr-serverless", {})


@pytest.mark.parametrize("owner", ["run", "profile"])
def test_an_application_that_stopped_because_it_was_idle_still_works(service, clock, owner):
    profile = ENVIRONMENT.profile("serverless").model_copy(update={"owner": owner})
    target = target_for(profile, service.clients)
    compute = target.acquire(LEASE, ENGINES)
    assert settled(target, compute).phase is Phase.READY
    wait_until_idle(service, compute.id, clock)
    assert target.state(compute).phase is Phase.READY
    assert target.lookup(LEASE) == [compute]
    run = target.submit(compute, SparkJob(script="jobs/any.py", args=("succeed",)), CODE, key(LEASE))
    assert ended(target, compute, run.id).state is RunState.SUCCEEDED
    wait_until_idle(service, compute.id, clock)
    assert target.acquire(LEASE, ENGINES) == compute
    assert "STARTED" in settled(target, compute).reason
    target.release(compute)
    assert target.lookup(LEASE) == ([] if owner == "run" else [compute])


def idle(service, clock, lease, **settings):
    """Acquire an application for a lease, and let it stop by itself."""
    target = target_for(ENVIRONMENT.profile("serverless").model_copy(update=settings), service.clients)
    compute = target.acquire(lease, ENGINES)
    assert settled(target, compute).phase is Phase.READY
    wait_until_idle(service, compute.id, clock)
    return target, compute


def test_an_application_that_is_idle_and_may_be_needed_is_left_to_its_run_and_to_the_reaper(service, clock):
    target, compute = idle(service, clock, another_run(LEASE))
    other = target_for(ENVIRONMENT.profile("serverless").model_copy(update={"auto_start": False}), service.clients)
    other.release(other.acquire(LEASE, ENGINES))
    run = target.submit(compute, SparkJob(script="jobs/any.py", args=("succeed",)), CODE, key(another_run(LEASE)))
    assert ended(target, compute, run.id).state is RunState.SUCCEEDED
    wait_until_idle(service, compute.id, clock)
    owned = [one for one in other.owned(LEASE.deployment) if one.compute.owner == "run"]
    assert [(one.compute.id, one.asleep) for one in owned] == [(compute.id, True)]
    assert leases_in(owned, "serverless") == []
    assert target.acquire(another_run(LEASE), ENGINES) == compute
    assert leases_in(other.owned(LEASE.deployment), "serverless") == [another_run(LEASE).id]
    target.release(compute)


def test_an_idle_application_that_no_job_run_can_start_is_deleted_by_the_next_run(service, clock):
    _, compute = idle(service, clock, another_run(LEASE), auto_start=False)
    target = target_for(ENVIRONMENT.profile("serverless"), service.clients)
    target.release(target.acquire(LEASE, ENGINES))
    assert state_of(service, compute) == "TERMINATED"


def test_a_kept_application_that_is_stopping_by_hand_is_not_started_behind_that_persons_back(tmp_path):
    clock = ManualClock()
    with running(tmp_path, ScriptedEngine, boot_seconds=4.0, clock=clock) as url, ThreadPoolExecutor(1) as pool:
        service = LocalService(url, "emr-serverless", {})
        target = target_for(ENVIRONMENT.profile("serverless").model_copy(update={"owner": "profile"}), service.clients)

        def acquire():
            acquiring = pool.submit(target.acquire, LEASE, ENGINES)
            until(lambda: clock.advance(1), lambda _: acquiring.done())
            return acquiring.result()

        compute = acquire()
        service.clients.repeating("emr-serverless").stop_application(applicationId=compute.id)
        assert state_of(service, compute) == "STOPPING"
        with pytest.raises(ComputeError, match="was stopped by hand"):
            acquire()
        assert state_of(service, compute) == "STOPPED"


def test_job_runs_of_weeks_ago_are_not_looked_through(service):
    target = target_for(ENVIRONMENT.profile("serverless"), service.clients)
    compute = target.acquire(LEASE, ENGINES)
    run = target.submit(
        compute, SparkJob(script="jobs/any.py", args=("succeed",)), CODE, key(LEASE)
    )  # by its clock, years ago
    assert target.find(compute, key(LEASE)) is None
    again = target.submit(compute, SparkJob(script="jobs/any.py", args=("succeed",)), CODE, key(LEASE))
    assert again.id == run.id
    target.release(compute)


def state_of(service, compute):
    client = service.clients.repeating("emr-serverless")
    return client.get_application(applicationId=compute.id)["application"]["state"]


def wait_until_idle(service, application, clock):
    """Let time pass until the application has stopped by itself."""
    client = service.clients.repeating("emr-serverless")

    def look():
        clock.advance(60)
        return client.get_application(applicationId=application)["application"]

    until(look, lambda found: found["state"] == "STOPPED")
