"""What this package does where the amazon provider's EMR operators fail; ``docs/why.md`` tells both, and names these tests."""

from __future__ import annotations

import asyncio
import importlib.util
import re
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.providers import amazon

from emr_pipelines.acquiring import Progress
from emr_pipelines.environments import current_environment
from emr_pipelines.errors import ComputeError, ComputeUnavailableError, JobDeadlineError, JobError
from emr_pipelines.releasing import release_lease
from emr_pipelines.targets.states import Phase, RunState
from emr_pipelines.watching import ComputeTrigger
from tests.conformance.cases import ended, until
from tests.conformance.telling import ROOT, KilledError, Staged, kill
from tests.local_emr.scripted import FAILURE, SUCCESS


class Defects(Staged):
    """What holds on every target."""

    attempts = 1

    @pytest.fixture
    def play(self, begin):
        play = begin()
        play.acquire()
        return play

    def test_a_retry_after_a_lost_worker_waits_for_the_job_run_that_there_is(self, play, stage, name):
        with pytest.raises(KilledError):
            play.run(kill)
        first = play.job_run
        assert [run.id for run in play.target.active(play.compute, play.lease)] == [first]
        assert play.run(lambda: stage.engine.held[name].end(SUCCESS))["job_run"] == first
        assert play.target.active(play.compute, play.lease) == []

    def test_another_run_of_the_same_task_has_a_job_run_of_its_own(self, begin):
        started = []
        for day in ("day 1", "day 2"):
            play = begin("succeed", run_id=day)
            play.acquire()
            started.append(play.run()["job_run"])
        assert len(set(started)) == 2

    def test_a_job_that_fails_while_its_task_is_deferred_tells_why(self, play, stage, name):
        play.when_deferred = lambda: stage.engine.held[name].end(FAILURE)
        with pytest.raises(JobError, match=r"\A[^\n]*ValueError: no such carrier"):
            play.run()

    def test_a_job_whose_time_is_up_while_its_task_is_deferred_is_cancelled(self, play):
        play.task("job").execution_timeout = timedelta(seconds=1)
        with pytest.raises(
            JobDeadlineError, match=r"ran longer than this task's execution_timeout .* and was cancelled"
        ):
            play.run()
        assert ended(play.target, play.compute, play.job_run).state is RunState.CANCELLED

    def test_neither_throttles_nor_errors_of_the_server_end_a_deferred_wait(self, play, stage, service, name):
        def deferred():
            service.arm(fault="throttle", count=4)
            service.arm(fault="error", count=4)
            stage.engine.held[name].end(SUCCESS)

        play.when_deferred = deferred
        assert play.run()["job_run"] == play.job_run

    def test_deferring_needs_no_aiobotocore(self, play, stage, name):
        play.when_deferred = lambda: stage.engine.held[name].end(SUCCESS)
        assert play.run()["job_run"] == play.job_run
        assert importlib.util.find_spec("aiobotocore") is None

    def test_a_look_at_a_job_run_is_one_call(self, play, service):
        with pytest.raises(KilledError):
            play.run(kill)
        service.calls.clear()
        assert not play.state().state.ended
        assert len(service.calls) == 1


class TestEc2(Defects):
    target = "ec2"
    service_name = "elasticmapreduce"

    def test_a_throttled_look_leaves_a_starting_cluster_alone_and_a_retry_adopts_it(self, begin, service):
        play = begin()
        service.arm(fault="throttle", operation="DescribeCluster")
        with pytest.raises(ComputeUnavailableError, match=r"ThrottlingException.*a retry adopts it"):
            play.acquire()
        (cluster,) = play.target.lookup(play.lease)
        assert play.acquire()["compute"]["id"] == cluster.id

    def test_throttled_looks_do_not_end_the_wait_for_a_cluster(self, play, service):
        service.arm(fault="throttle", operation="DescribeCluster", count=9)
        event = asyncio.run(anext(ComputeTrigger(play.compute.to_json(), None).run()))
        assert event.payload == {"phase": "ready"}
        assert play.target.lookup(play.lease) == [play.compute]

    def test_a_cluster_whose_start_could_not_be_watched_is_adopted_or_released(self, play):
        cluster = play.compute
        deferred = asdict(Progress(compute=cluster.to_json()))
        with pytest.raises(
            ComputeError, match=rf"{cluster.id} could not be looked at.*a retry adopts it, release ends it"
        ):
            play.task("acquire").resume(play.context("acquire"), {"error": "AccessDenied"}, progress=deferred)
        assert play.acquire()["compute"]["id"] == cluster.id
        assert release_lease(current_environment(), play.lease, [self.target]) == [cluster.id]
        assert play.target.state(cluster).phase is Phase.ENDED


class TestEks(Defects):
    target = "eks"
    service_name = "emr-containers"


class TestServerless(Defects):
    target = "serverless"
    service_name = "emr-serverless"

    def test_release_of_a_shared_application_cancels_what_is_queued_too(self, begin, name):
        play = begin(owner="profile", scheduler={"max_concurrent_runs": 1})
        play.acquire()
        with pytest.raises(KilledError):
            play.run(kill)
        queued = play.another("hold", f"{name} too")
        client = play.client("emr-serverless")
        application, _, run = queued.partition("/")
        until(
            lambda: client.get_job_run(applicationId=application, jobRunId=run)["jobRun"]["state"],
            lambda state: state == "QUEUED",
        )
        assert release_lease(current_environment(), play.lease, [self.target]) == [play.compute.id]
        states = play.target.poll(play.compute, [play.job_run, queued])
        assert {state.state for state in states.values()} == {RunState.CANCELLED}


PLACE = re.compile(r"`([\w/.-]+):(\d+)` `(.+?)`")


def test_what_the_page_quotes_of_the_provider_stands_where_it_says():
    page = (ROOT / "docs" / "why.md").read_text()
    assert f"version {amazon.__version__} of the provider" in page
    places = PLACE.findall(page)
    assert len(places) > 20
    for file, number, quoted in places:
        lines = (Path(amazon.__path__[0]) / "aws" / file).read_text().splitlines()
        assert quoted in lines[int(number) - 1], f"{file}:{number}"
