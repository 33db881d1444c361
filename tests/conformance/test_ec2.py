"""The target ``ec2`` keeps the promises of every target."""

from __future__ import annotations

import pytest
from botocore.session import get_session

from emr_pipelines import CommandJob
from emr_pipelines.errors import ComputeError
from emr_pipelines.targets import ec2, target_for
from emr_pipelines.targets.base import Compute
from tests.conformance.cases import ENGINES, RunOwnedCases
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
    assert set(ec2._PHASES) == set(model.shape_for("ClusterState").enum)
    assert set(ec2._RUN_STATES) == set(model.shape_for("StepState").enum)
    reasons = set(model.shape_for("ClusterStateChangeReasonCode").enum)
    assert reasons - set(ec2._FAULTS) == {"ALL_STEPS_COMPLETED"}  # nobody's fault


class TestEc2(RunOwnedCases):
    many = 23
    polls_of_many = 3  # ListSteps takes ten StepIds

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
    def quick(self):
        return CommandJob(command=("bash", "-c", "true"))

    @pytest.fixture
    def failing(self):
        return CommandJob(command=("bash", "-c", "echo no such luck >&2; exit 3"))

    @pytest.fixture
    def endless(self):
        return CommandJob(command=("bash", "-c", "sleep 600"))

    @pytest.fixture
    def unknown(self):
        return Compute("ec2", "ec2", "j-AAAAAAAAAAAAA", "0" * 16)

    @pytest.fixture
    def unknown_run(self):
        return "s-AAAAAAAAAAAAA"

    def test_a_cluster_that_a_person_protected_is_ended_all_the_same(self, target, lease, endpoint):
        compute = target.acquire(lease, frozenset())
        emr = endpoint.clients.repeating("emr")
        emr.set_termination_protection(JobFlowIds=[compute.id], TerminationProtected=True)
        target.release(compute)
        assert target.lookup(lease) == []

    def test_a_cluster_carries_the_whole_identity_in_its_tags(self, target, compute, lease, endpoint):
        cluster = endpoint.clients.repeating("emr").describe_cluster(ClusterId=compute.id)["Cluster"]
        assert lease.tags.items() <= {tag["Key"]: tag["Value"] for tag in cluster["Tags"]}.items()

    def test_a_refused_request_says_what_was_refused_and_that_nothing_runs(self, endpoint, lease):
        target = target_for(PROFILE.model_copy(update={"release": "seven"}), endpoint.clients)
        with pytest.raises(ComputeError, match=r"(?s)profile 'ec2' got no cluster\. Nothing runs"):
            target.acquire(lease, ENGINES)
