"""The target ``ec2`` keeps the promises of every target."""

from __future__ import annotations

from dataclasses import replace

import pytest
from botocore.session import get_session

from emr_pipelines import CommandJob
from emr_pipelines.errors import ComputeError, ComputeUnavailableError
from emr_pipelines.targets import ec2_clusters, ec2_steps, once, target_for
from emr_pipelines.targets.base import Compute
from emr_pipelines.targets.states import Phase
from tests.conformance.cases import ENGINES, RunOwnedCases, another_run, key, settled, until
from tests.conformance.endpoints import ENVIRONMENT, LocalService, make_buckets
from tests.support.endpoint import running_endpoint

PROFILE = ENVIRONMENT.profile("ec2")
OPERATIONS = {"create": "RunJobFlow", "submit": "AddJobFlowSteps", "end": "TerminateJobFlows"}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    with running_endpoint(tmp_path_factory.mktemp("endpoint"), boot_seconds=0.0) as url:
        make_buckets(url)
        yield LocalService(url, "elasticmapreduce", OPERATIONS)


def test_every_state_that_the_service_knows_has_a_meaning():
    model = get_session().get_service_model("emr")
    assert set(ec2_clusters.PHASES) == set(model.shape_for("ClusterState").enum)
    assert set(ec2_steps.RUN_STATES) == set(model.shape_for("StepState").enum)
    reasons = set(model.shape_for("ClusterStateChangeReasonCode").enum)
    assert reasons - set(ec2_clusters.FAULTS) == {"ALL_STEPS_COMPLETED"}  # nobody's fault


class Commands:
    """What both owners of clusters have in common."""

    many = 60
    pages_of_many = 2  # a page of ListSteps holds 50

    @pytest.fixture
    def quick(self):
        return CommandJob(command=("bash", "-c", "true"))

    @pytest.fixture
    def failing(self):
        return CommandJob(command=("bash", "-c", "echo no such luck >&2; exit 3"))

    @pytest.fixture
    def endless(self):
        return CommandJob(command=("bash", "-c", "sleep 600"))

    @pytest.fixture
    def unknown_run(self):
        return "s-AAAAAAAAAAAAA"


class TestEc2(Commands, RunOwnedCases):
    @pytest.fixture
    def service(self, endpoint):
        yield endpoint
        endpoint.forget_faults()

    @pytest.fixture
    def target(self, endpoint):
        return target_for(PROFILE, endpoint.clients)

    @pytest.fixture
    def another(self, endpoint):
        return target_for(PROFILE.model_copy(update={"name": "another"}), endpoint.clients)

    @pytest.fixture
    def unknown(self):
        return Compute("ec2", "ec2", "j-AAAAAAAAAAAAA", "0" * 16)

    def test_a_cluster_that_a_person_protected_is_ended_all_the_same(self, target, lease, endpoint):
        compute = target.acquire(lease, frozenset())
        emr = endpoint.clients.repeating("emr")
        emr.set_termination_protection(JobFlowIds=[compute.id], TerminationProtected=True)
        target.release(compute)
        assert target.lookup(lease) == []

    def test_a_cluster_carries_the_whole_identity_in_its_tags(self, target, compute, lease, endpoint):
        cluster = endpoint.clients.repeating("emr").describe_cluster(ClusterId=compute.id)["Cluster"]
        assert lease.tags.items() <= {tag["Key"]: tag["Value"] for tag in cluster["Tags"]}.items()

    def test_a_cluster_of_a_service_whose_clock_is_ahead_has_used_nothing_yet(self, target, lease, service):
        service.arm(fault="clock_skew", seconds=240)
        compute = target.acquire(lease, ENGINES)
        assert settled(target, compute).phase is Phase.READY
        assert set(target.usage(compute, []).instance_hours.values()) == {0.0}
        target.release(compute)

    def test_a_refused_request_says_what_was_refused_and_that_nothing_runs(self, endpoint, lease):
        target = target_for(PROFILE.model_copy(update={"release": "seven"}), endpoint.clients)
        with pytest.raises(ComputeError, match=r"(?s)profile 'ec2' got no cluster\. Nothing runs"):
            target.acquire(lease, ENGINES)

    def test_a_listing_that_fails_after_the_cluster_was_made_says_that_one_may_run(self, endpoint, lease):
        hasty = replace(endpoint, attempts=1)
        clients = hasty.clients
        clients.once("emr").meta.events.register(
            "after-call.emr.RunJobFlow", lambda **_: hasty.arm(fault="error", operation="ListClusters")
        )
        target = target_for(PROFILE, clients)
        said = r"the clusters of profile 'ec2' could not be listed\. A cluster may run and cost: a retry adopts it"
        with pytest.raises(ComputeUnavailableError, match=said):
            target.acquire(lease, ENGINES)
        (left,) = target.lookup(lease)
        assert target.acquire(lease, ENGINES) == left
        target.release(left)

    def test_a_step_whose_listing_lags_behind_is_the_one_that_was_answered(self, endpoint, lease, compute, endless):
        clients = endpoint.clients
        clients.repeating("emr").meta.events.register(
            "after-call.emr.ListSteps", lambda parsed, **_: parsed["Steps"].clear(), "stale"
        )
        run = target_for(PROFILE, clients).submit(compute, endless, {}, key(lease))
        clients.repeating("emr").meta.events.unregister("after-call.emr.ListSteps", unique_id="stale")
        assert target_for(PROFILE, clients).find(compute, key(lease)).id == run.id

    def test_a_step_that_nobody_knows_to_have_been_added_is_said_to_be_so(
        self, endpoint, lease, compute, endless, monkeypatch
    ):
        monkeypatch.setattr(once, "_UNREACHED", 0.0)
        target = target_for(PROFILE, replace(endpoint, attempts=1).clients)
        endpoint.lose_answer("submit")
        endpoint.arm(fault="error", operation="ListSteps")
        with pytest.raises(ComputeError, match=rf"cluster {compute.id} may have got the step\. A retry finds it"):
            target.submit(compute, endless, {}, key(lease))
        assert [run.id for run in target.active(compute, lease)] == [target.find(compute, key(lease)).id]

    def test_a_cluster_that_has_ended_is_not_adopted_while_the_listing_still_shows_it(
        self, target, lease, compute, endpoint
    ):
        endpoint.arm(fault="lag", seconds=4)
        until(lambda: target.lookup(lease), bool)
        target.release(compute)
        assert [one.id for one in target.lookup(lease)] == [compute.id]
        another = target.acquire(lease, ENGINES)
        assert another.id != compute.id
        endpoint.forget_faults()
        assert [one.id for one in target.lookup(lease)] == [another.id]

    def test_clusters_that_start_are_told_of_by_one_listing_and_one_that_ended_by_its_own_answer(
        self, target, lease, compute, service, unknown
    ):
        other = target.acquire(another_run(lease), ENGINES)
        service.calls.clear()
        states = target.states([compute, other, unknown])
        assert service.calls == ["ListClusters", "DescribeCluster"]
        assert {id_: state.phase for id_, state in states.items()} == {
            compute.id: target.state(compute).phase,
            other.id: target.state(other).phase,
            unknown.id: Phase.ENDED,
        }
        target.release(other)

    def test_a_step_that_was_added_and_could_not_be_listed_is_found_by_a_retry(self, endpoint, lease, compute, endless):
        target = target_for(PROFILE, replace(endpoint, attempts=1).clients)
        endpoint.arm(fault="throttle", operation="ListSteps")
        with pytest.raises(ComputeError, match=rf"cluster {compute.id} may have got the step\. A retry finds it"):
            target.submit(compute, endless, {}, key(lease))
        (added,) = target.active(compute, lease)
        assert target.find(compute, key(lease)).id == added.id

    def test_a_step_to_a_service_that_cannot_be_reached_is_refused_in_words(self, lease, compute, endless, monkeypatch):
        monkeypatch.setattr(once, "_UNREACHED", 0.0)
        nowhere = LocalService("http://127.0.0.1:9", "elasticmapreduce", OPERATIONS, attempts=1)
        with pytest.raises(ComputeUnavailableError, match=rf"region right.*cluster {compute.id}"):
            target_for(PROFILE, nowhere.clients).submit(compute, endless, {}, key(lease))

    def test_the_steps_that_a_cluster_begins_with_are_no_job_runs_of_its_lease(self, endpoint, lease, endless):
        setup = [{"name": "hold", "command": ["bash", "-c", "sleep 600"]}]
        profile = type(PROFILE).model_validate({**PROFILE.model_dump(), "setup_steps": setup, "debugging": True})
        target = target_for(profile, endpoint.clients)
        compute = target.acquire(lease, ENGINES)
        emr = endpoint.clients.repeating("emr")
        began = {step["Name"] for step in emr.list_steps(ClusterId=compute.id)["Steps"]}
        assert began == {"hold", "Setup Hadoop Debugging"}
        assert (target.active(compute, lease), target.find(compute, key(lease))) == ([], None)
        run = target.submit(compute, endless, {}, key(lease))
        assert [one.id for one in target.active(compute, lease)] == [run.id]
        target.release(compute)

    def test_a_cluster_of_fleets_is_what_its_profile_says(self, endpoint, lease):
        task = {
            "types": {"families": ["m5", "c5"], "sizes": ["xlarge", "2xlarge"], "weights": "vcpu"},
            "capacity": 40,
            "spot_percent": 70,
            "spot_allocation": "diversified",
        }
        nodes = {
            "primary": {"types": ["m5.xlarge"]},
            "core": {"types": ["r5.xlarge"], "capacity": 2},
            "task": task,
            "subnet": None,
            "subnets": ["subnet-1", "subnet-2"],
            "managed_scaling": {"minimum": 2, "maximum": 100},
        }
        target = target_for(type(PROFILE).model_validate({**PROFILE.model_dump(), **nodes}), endpoint.clients)
        compute = target.acquire(lease, ENGINES)
        assert settled(target, compute).phase is Phase.READY
        emr = endpoint.clients.repeating("emr")
        fleets = emr.list_instance_fleets(ClusterId=compute.id)["InstanceFleets"]
        told = ("InstanceFleetType", "ProvisionedOnDemandCapacity", "ProvisionedSpotCapacity")
        # 70 % of 40 vCPUs are 28: 4 + 8 + 4 + 8 + 4.
        assert [tuple(fleet[name] for name in told) for fleet in fleets] == [
            ("MASTER", 1, 0),
            ("CORE", 2, 0),
            ("TASK", 12, 28),
        ]
        assert set(target.usage(compute, []).instance_hours) == {
            "m5.xlarge",
            "r5.xlarge",
            "m5.2xlarge",
            "c5.xlarge",
            "c5.2xlarge",
        }
        limits = emr.get_managed_scaling_policy(ClusterId=compute.id)["ManagedScalingPolicy"]["ComputeLimits"]
        assert limits == {"UnitType": "InstanceFleetUnits", "MinimumCapacityUnits": 2, "MaximumCapacityUnits": 100}
        target.release(compute)
