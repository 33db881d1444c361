"""The target ``ec2`` keeps the promises of every target."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from emr_pipelines import CommandJob
from emr_pipelines.environments import read_environment
from emr_pipelines.targets import target_for
from emr_pipelines.targets.base import Clients, Compute
from tests.conformance.cases import TargetCases, key
from tests.support.endpoint import CLIENT_ENVIRONMENT, running_endpoint

PROFILE = read_environment(Path(__file__).parents[2] / "include/compute/local.yaml").profile("ec2")


def clients_of(endpoint: str) -> Clients:
    def factory(attempts: int):
        @cache
        def client(service: str):
            return boto3.client(
                service,
                endpoint_url=endpoint,
                region_name=CLIENT_ENVIRONMENT["AWS_DEFAULT_REGION"],
                aws_access_key_id=CLIENT_ENVIRONMENT["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=CLIENT_ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
                config=Config(retries={"total_max_attempts": attempts}),
            )

        return client

    return Clients(repeating=factory(5), once=factory(1))


@pytest.fixture(scope="module")
def clients(tmp_path_factory):
    with running_endpoint(tmp_path_factory.mktemp("endpoint"), boot_seconds=0.0) as url:
        clients = clients_of(url)
        clients.repeating("s3").create_bucket(Bucket="local-logs")
        yield clients


class TestEc2(TargetCases):
    @pytest.fixture
    def target(self, clients):
        return target_for(PROFILE, clients)

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

    def test_a_cluster_that_a_person_protected_is_ended_all_the_same(self, target, lease, clients):
        compute = target.acquire(lease, frozenset())
        clients.repeating("emr").set_termination_protection(JobFlowIds=[compute.id], TerminationProtected=True)
        target.release(compute)
        assert target.lookup(lease) == []

    def test_a_cluster_carries_the_whole_identity_in_its_tags(self, target, compute, lease, clients):
        cluster = clients.repeating("emr").describe_cluster(ClusterId=compute.id)["Cluster"]
        assert lease.tags.items() <= {tag["Key"]: tag["Value"] for tag in cluster["Tags"]}.items()

    def test_a_refused_request_says_what_was_refused_and_that_nothing_runs(self, clients, lease):
        from emr_pipelines.errors import ComputeError

        target = target_for(PROFILE.model_copy(update={"release": "seven"}), clients)
        with pytest.raises(ComputeError, match=r"(?s)profile 'ec2' got no cluster\. Nothing runs"):
            target.acquire(lease, frozenset())

    def test_a_failed_step_leaves_the_cluster_to_the_other_jobs(self, target, compute, lease, failing, quick):
        from emr_pipelines.targets.states import Phase
        from tests.conformance.cases import ended

        run = target.submit(compute, failing, {}, key(lease))
        ended(target, compute, run.id)
        assert target.state(compute).phase is Phase.READY


def test_a_lost_answer_of_run_job_flow_leaves_one_cluster(clients):
    """The first answer is lost after its effect, as a broken connection loses it."""
    from botocore.exceptions import ReadTimeoutError

    from emr_pipelines.keys import Lease

    lost = []

    class LosesOneAnswer:
        def __init__(self, client):
            self._client = client

        def run_job_flow(self, **request):
            answer = self._client.run_job_flow(**request)
            if not lost:
                lost.append(answer["JobFlowId"])
                raise ReadTimeoutError(endpoint_url="http://127.0.0.1")
            return answer

    lease = Lease("conformance", "dag", "a lost answer", "emr")
    target = target_for(PROFILE, replace(clients, once=lambda service: LosesOneAnswer(clients.once(service))))
    compute = target.acquire(lease, frozenset())
    assert [compute.id] == lost
    assert target.lookup(lease) == [compute]
    target.release(compute)
