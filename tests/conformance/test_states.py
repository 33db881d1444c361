"""The truth about states: what each target, and a task that runs a job on it, makes of whatever may happen to a job run.

The expected values stand in ``docs/states.md``: each test is a row of its tables.
"""

from __future__ import annotations

from typing import Any

import pytest

from emr_pipelines.targets.base import Compute
from emr_pipelines.targets.states import RunState
from tests.conformance.cases import until
from tests.conformance.telling import Staged, rows
from tests.local_emr.scripted import FAILURE, SUCCESS


class Cases(Staged):
    """What may happen to a job run on every target."""

    one_at_a_time: dict[str, Any]
    """Settings of a profile whose job runs wait for one another."""
    waits: str
    """What the service says of one that waits."""

    @pytest.fixture
    def expected(self, request):
        return rows()[self.target, request.node.name]

    @pytest.fixture
    def acquired(self, begin):
        """Begin a play, and acquire its compute."""

        def acquired(*arguments, **settings):
            play = begin(*arguments, **settings)
            play.acquire()
            return play

        return acquired

    def test_it_succeeds(self, acquired, expected):
        play = acquired("succeed")
        assert expected == play.told(self.emr)

    def test_it_fails(self, acquired, expected):
        play = acquired("fail")
        assert expected == play.told(self.emr)

    def test_somebody_cancels_it(self, acquired, name, expected):
        play = acquired("hold", name, "cut off")

        def meanwhile():
            play.until(RunState.RUNNING)
            self.cancel(play, play.job_run)

        assert expected == play.told(self.emr, meanwhile)

    def test_it_succeeds_while_it_is_being_cancelled(self, acquired, stage, name, expected):
        play = acquired("hold", name, "stubborn")

        def meanwhile():
            play.until(RunState.RUNNING)
            self.cancel(play, play.job_run)
            assert self.emr(play).startswith("CANCEL")
            assert play.state().state is RunState.CANCELLING
            stage.engine.held[name].end(SUCCESS)

        assert expected == play.told(self.emr, meanwhile)

    def test_it_waits_for_another_and_succeeds(self, acquired, name, expected):
        play = acquired("succeed", **self.one_at_a_time)
        other = play.another("hold", name)

        def meanwhile():
            assert self.emr(play) == self.waits
            assert play.state().state is RunState.PENDING
            self.cancel(play, other)

        assert expected == play.told(self.emr, meanwhile)

    def test_its_instances_are_lost(self, acquired, service, name, expected):
        play = acquired("hold", name, "cut off")

        def meanwhile():
            play.until(RunState.RUNNING)
            service.arm(fault="spot_loss", id=self.lost(play))
            until(lambda: self.emr(play), lambda said: said.startswith(("FAILED", "CANCELLED")))

        assert expected == play.told(self.emr, meanwhile)

    def test_the_service_forgets_it(self, acquired, service, stage, name, expected):
        play, forgotten = acquired(), []

        def meanwhile():
            play.until(RunState.RUNNING)
            service.arm(fault="vanish", id=play.job_run.rpartition("/")[2])
            forgotten.append(stage.engine.held[name])

        assert expected == play.told(self.emr, meanwhile)
        forgotten[0].end(SUCCESS)

    def test_no_listing_shows_it_yet(self, acquired, service, stage, name, expected):
        play = acquired()
        service.arm(fault="lag", seconds=60)

        def meanwhile():
            assert play.target.active(play.compute, play.lease) == []
            play.until(RunState.RUNNING)
            stage.engine.held[name].end(SUCCESS)

        assert expected == play.told(self.emr, meanwhile)

    def test_the_services_clock_is_four_minutes_ahead(self, begin, service, expected):
        service.arm(fault="clock_skew", seconds=240)
        play = begin("succeed")
        play.acquire()
        assert expected == play.told(self.emr)

    def test_the_services_clock_is_four_minutes_behind(self, begin, service, expected):
        service.arm(fault="clock_skew", seconds=-240)
        play = begin("fail")
        play.acquire()
        assert expected == play.told(self.emr)
        used = play.target.usage(play.compute, [play.job_run])
        assert min([used.vcpu_hours, used.memory_gb_hours, *used.instance_hours.values()]) >= 0


class TestEc2(Cases):
    target = "ec2"
    service_name = "elasticmapreduce"
    one_at_a_time = {"concurrent_steps": 1}  # noqa: RUF012  # read only
    waits = "PENDING"

    def emr(self, play):
        client = play.client("emr")
        step = client.describe_step(ClusterId=play.compute.id, StepId=play.job_run)["Step"]["Status"]["State"]
        cluster = client.describe_cluster(ClusterId=play.compute.id)["Cluster"]["Status"]
        if not cluster["State"].startswith("TERM"):
            return step
        return f"{step}, cluster {cluster['State']}: {cluster['StateChangeReason']['Code']}"

    def cancel(self, play, run):
        play.client("emr").cancel_steps(ClusterId=play.compute.id, StepIds=[run])

    def lost(self, play):
        return play.compute.id

    def cluster_of(self, play):
        """Find the cluster of a play whose acquiring failed."""
        listed = play.client("emr").list_clusters()["Clusters"]
        (cluster,) = [one["Id"] for one in listed if one["Name"].startswith(play.lease.id)]
        return Compute("ec2", "ec2", cluster, play.lease.id)

    def cluster(self, play, compute):
        status = play.client("emr").describe_cluster(ClusterId=compute.id)["Cluster"]["Status"]
        return f"{status['State']}: {status['StateChangeReason']['Code']}"

    def test_it_is_interrupted_and_its_cluster_goes_on(self, acquired, expected):
        """The endpoint interrupts no step of a cluster that goes on: its answers are changed."""
        play = acquired()

        def interrupt(parsed, **_):
            for step in [*parsed.get("Steps", []), parsed.get("Step", {"Id": ""})]:
                if step["Id"] == interrupted[0]:
                    step["Status"]["State"] = "INTERRUPTED"

        def meanwhile():
            play.until(RunState.RUNNING)
            interrupted.append(play.job_run)
            for operation in ("ListSteps", "DescribeStep"):
                play.client("emr").meta.events.register(f"after-call.emr.{operation}", interrupt)

        interrupted: list[str] = []
        assert expected == play.told(self.emr, meanwhile)

    def told_of_compute(self, play):
        return play.told_of_compute(lambda: self.cluster_of(play), lambda compute: self.cluster(play, compute))

    def test_its_bootstrap_action_fails(self, begin, service, expected):
        service.arm(fault="bootstrap_failure")
        assert expected == self.told_of_compute(begin())

    def test_its_request_turns_out_to_be_wrong(self, begin, service, expected):
        service.arm(fault="validation_failure")
        assert expected == self.told_of_compute(begin())

    def test_there_is_no_capacity_for_it(self, begin, service, expected):
        service.arm(fault="refuse_capacity")
        assert expected == self.told_of_compute(begin())

    def cluster_ended(self, play):
        until(lambda: self.emr(play), lambda said: "cluster TERMINATED" in said)

    def test_it_fails_and_its_cluster_ends_as_if_nothing_were_wrong(self, acquired, stage, name, expected):
        play = acquired()

        def meanwhile():
            play.until(RunState.RUNNING)
            play.client("emr").set_keep_job_flow_alive_when_no_steps(
                JobFlowIds=[play.compute.id], KeepJobFlowAliveWhenNoSteps=False
            )
            stage.engine.held[name].end(FAILURE)
            self.cluster_ended(play)

        assert expected == play.told(self.emr, meanwhile)

    def test_it_fails_as_its_instances_are_lost(self, acquired, service, stage, name, expected):
        play = acquired()

        def meanwhile():
            play.until(RunState.RUNNING)
            stage.engine.held[name].end(FAILURE)
            until(lambda: self.emr(play), lambda said: said == "FAILED")
            service.arm(fault="spot_loss", id=play.compute.id)
            self.cluster_ended(play)

        assert expected == play.told(self.emr, meanwhile)

    def test_its_cluster_is_terminated_by_a_person(self, acquired, expected):
        play = acquired()

        def meanwhile():
            play.until(RunState.RUNNING)
            play.client("emr").terminate_job_flows(JobFlowIds=[play.compute.id])
            self.cluster_ended(play)

        assert expected == play.told(self.emr, meanwhile)

    def test_its_cluster_ends_after_it_has_succeeded(self, acquired, stage, name, expected):
        play = acquired()

        def meanwhile():
            play.until(RunState.RUNNING)
            stage.engine.held[name].end(SUCCESS)
            play.until(RunState.SUCCEEDED)
            play.client("emr").terminate_job_flows(JobFlowIds=[play.compute.id])
            self.cluster_ended(play)

        assert expected == play.told(self.emr, meanwhile)

    def test_it_is_interrupted_and_its_cluster_ends(self, acquired, stage, expected):
        play = acquired()

        def meanwhile():
            play.until(RunState.RUNNING)
            stage.restart()

        assert expected == play.told(self.emr, meanwhile)


class TestEks(Cases):
    target = "eks"
    service_name = "emr-containers"
    one_at_a_time = {"namespace": "queue", "max_concurrent_jobs": 1}  # noqa: RUF012  # read only
    waits = "SUBMITTED"

    def lost(self, play):
        return play.job_run

    def emr(self, play):
        run = play.client("emr-containers").describe_job_run(virtualClusterId=play.compute.id, id=play.job_run)[
            "jobRun"
        ]
        return ", ".join(part for part in (run["state"], run.get("failureReason")) if part)

    def cancel(self, play, run):
        play.client("emr-containers").cancel_job_run(virtualClusterId=play.compute.id, id=run)

    def test_it_fails_and_its_virtual_cluster_is_deleted(self, acquired, stage, name, expected):
        play = acquired(namespace="deleted")

        def meanwhile():
            play.until(RunState.RUNNING)
            stage.engine.held[name].end(FAILURE)
            play.until(RunState.FAILED)
            play.client("emr-containers").delete_virtual_cluster(id=play.compute.id)

        assert expected == play.told(self.emr, meanwhile)

    def test_there_is_no_room_for_it(self, acquired, service, expected):
        play = acquired()
        service.refuse_capacity()
        assert expected == play.told(self.emr)

    def test_the_service_fails_it(self, acquired, stage, expected):
        play = acquired()

        def meanwhile():
            play.until(RunState.RUNNING)
            stage.restart()

        assert expected == play.told(self.emr, meanwhile)


class TestServerless(Cases):
    target = "serverless"
    service_name = "emr-serverless"
    one_at_a_time = {"scheduler": {"max_concurrent_runs": 1}}  # noqa: RUF012  # read only
    waits = "QUEUED"

    def lost(self, play):
        return play.job_run.rpartition("/")[2]

    def emr(self, play):
        application, _, run = play.job_run.partition("/")
        return play.client("emr-serverless").get_job_run(applicationId=application, jobRunId=run)["jobRun"]["state"]

    def cancel(self, play, run):
        application, _, job_run = run.partition("/")
        play.client("emr-serverless").cancel_job_run(applicationId=application, jobRunId=job_run)

    def test_it_fails_and_its_application_is_stopped_by_a_person(self, acquired, stage, name, expected):
        play = acquired()

        def meanwhile():
            play.until(RunState.RUNNING)
            stage.engine.held[name].end(FAILURE)
            play.until(RunState.FAILED)
            play.client("emr-serverless").stop_application(applicationId=play.compute.id)

        assert expected == play.told(self.emr, meanwhile)

    def test_it_waits_for_another_too_long(self, acquired, stage, name, expected):
        play = acquired("succeed", scheduler={"max_concurrent_runs": 1, "queue_timeout_minutes": 15})
        play.another("hold", name)
        assert expected == play.told(self.emr, lambda: stage.clock.advance(15 * 60))

    def test_it_is_larger_than_its_application_may_be(self, acquired, expected):
        play = acquired(maximum_capacity={"cpu": 2, "memory": 8})
        assert expected == play.told(self.emr)

    def test_its_time_is_up(self, acquired, stage, name, expected):
        play = acquired("hold", name, "cut off", execution_timeout_minutes=5)

        def meanwhile():
            play.until(RunState.RUNNING)
            stage.clock.advance(5 * 60)

        assert expected == play.told(self.emr, meanwhile)

    def test_its_time_is_up_and_aws_gives_no_reason(self, acquired, stage, expected):
        play = acquired(execution_timeout_minutes=5)
        play.client("emr-serverless").meta.events.register(
            "after-call.emr-serverless.GetJobRun", lambda parsed, **_: parsed["jobRun"].update(stateDetails="")
        )

        def meanwhile():
            play.until(RunState.RUNNING)
            stage.clock.advance(5 * 60)

        assert expected == play.told(self.emr, meanwhile)


def test_each_row_is_a_test_and_each_test_a_row():
    tests = {
        (case.target, name)
        for case in (TestEc2, TestEks, TestServerless)
        for name in dir(case)
        if name.startswith("test_")
    }
    assert tests == set(rows())
