"""An application that stopped by itself still works: time belongs to the test, so it has an endpoint of its own."""

from __future__ import annotations

import pytest

from emr_pipelines import SparkJob
from emr_pipelines.keys import Lease
from emr_pipelines.targets import target_for
from emr_pipelines.targets.states import Phase, RunState
from tests.conformance.cases import ENGINES, ended, key, settled, until
from tests.conformance.endpoints import ENVIRONMENT, LocalService, scripted_endpoint
from tests.local_emr.scripted import ManualClock

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


def wait_until_idle(service, application, clock):
    """Let time pass until the application has stopped by itself."""
    client = service.clients.repeating("emr-serverless")

    def look():
        clock.advance(60)
        return client.get_application(applicationId=application)["application"]

    until(look, lambda found: found["state"] == "STOPPED")
