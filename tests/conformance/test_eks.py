"""The target ``eks`` keeps the promises of every target."""

# ruff: noqa: PLR0913, PLR0917 - a test's arguments are its fixtures

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from emr_pipelines import HiveJob, SparkJob, SparkSqlJob
from emr_pipelines.errors import ComputeError, ComputeReleasedError, JobCapacityError
from emr_pipelines.keys import Lease
from emr_pipelines.targets import target_for
from emr_pipelines.targets.base import Compute
from emr_pipelines.targets.states import Fault, Phase, RunState
from tests.conformance.cases import ENGINES, ProfileOwnedCases, ended, key, until
from tests.conformance.endpoints import ENVIRONMENT, LocalService, ScriptedJobs, make_buckets, scripted_endpoint
from tests.support.endpoint import running_endpoint

PROFILE = ENVIRONMENT.profile("eks")
NUMBERS = itertools.count()
OPERATIONS = {"create": "CreateVirtualCluster", "submit": "StartJobRun", "end": "CancelJobRun"}


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with scripted_endpoint(tmp_path_factory.mktemp("endpoint")) as url:
        yield url


class TestEks(ScriptedJobs, ProfileOwnedCases):
    many = 110
    pages_of_many = 2  # a page of ListJobRuns holds 100

    @pytest.fixture
    def service(self, url):
        service = LocalService(url, "emr-containers", OPERATIONS)
        yield service
        service.forget_faults()

    @pytest.fixture
    def client(self, service):
        return service.clients.repeating("emr-containers")

    @pytest.fixture
    def profile(self):
        number = next(NUMBERS)
        return PROFILE.model_copy(update={"name": f"eks-{number}", "namespace": f"namespace-{number}"})

    @pytest.fixture
    def target(self, service, profile):
        return target_for(profile, service.clients)

    @pytest.fixture
    def shared(self, compute, client):
        arn = client.describe_virtual_cluster(id=compute.id)["virtualCluster"]["arn"]
        client.tag_resource(resourceArn=arn, tags={"emr-pipelines:shared-with": "elsewhere"})
        return compute

    @pytest.fixture
    def unknown(self):
        return Compute("eks", "eks", "aaaaaaaaaaaaaaaaaaaaaaaaa", "0" * 16, "profile")

    @pytest.fixture
    def unknown_run(self):
        return "00000002vabcdefghij"

    def test_compute_that_cannot_be_had_is_told_apart_from_a_mistake(self, target, lease, service, code, quick):
        """Deviation: a virtual cluster is always to be had; it is the job run for which Kubernetes may have no room."""
        compute = target.acquire(lease, ENGINES)
        service.refuse_capacity()
        run = target.submit(compute, quick, code, key(lease))
        state = ended(target, compute, run.id)
        assert (state.state, state.fault) == (RunState.FAILED, Fault.CAPACITY)

    def test_after_a_refusal_the_same_lease_can_acquire(self, target, lease, service, code, quick):
        """Deviation: as above."""
        self.test_compute_that_cannot_be_had_is_told_apart_from_a_mistake(target, lease, service, code, quick)
        compute = target.acquire(lease, ENGINES)
        run = target.submit(compute, quick, code, key(lease, nonce="another"))
        assert ended(target, compute, run.id).state is RunState.SUCCEEDED

    def test_profiles_of_one_deployment_share_the_virtual_cluster_of_their_namespace(
        self, target, compute, lease, service, profile, code, quick
    ):
        larger = target_for(profile.model_copy(update={"name": "larger", "maximum_workers": 9}), service.clients)
        theirs = larger.acquire(lease, ENGINES)
        assert (theirs.id, theirs.profile, theirs.owner) == (compute.id, "larger", "profile")
        assert larger.lookup(lease) == [theirs]
        assert ended(larger, theirs, larger.submit(theirs, quick, code, key(lease)).id).state is RunState.SUCCEEDED

    def test_a_namespace_that_another_virtual_cluster_has_is_said_with_its_cure(self, target, lease, client, profile):
        provider = {"type": "EKS", "id": profile.eks_cluster, "info": {"eksInfo": {"namespace": profile.namespace}}}
        theirs = client.create_virtual_cluster(name="theirs", clientToken="theirs", containerProvider=provider)["id"]
        with pytest.raises(ComputeError, match=f"is taken by virtual cluster {theirs} .*`virtual_cluster: {theirs}`"):
            target.acquire(lease, ENGINES)
        assert target.lookup(lease) == []

    def test_another_deployment_does_not_get_it(self, target, compute):
        with pytest.raises(ComputeError, match=f"is taken by virtual cluster {compute.id}"):
            target.acquire(Lease("elsewhere", "dag", "run", "emr"), ENGINES)

    def test_a_virtual_cluster_that_a_profile_names_is_used_as_it_is(self, target, compute, lease, service, profile):
        named = profile.model_copy(update={"name": "named", "virtual_cluster": compute.id})
        found = target_for(named, service.clients).acquire(lease, ENGINES)
        assert (found.id, found.profile, found.owner) == (compute.id, "named", "profile")

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            (
                {"virtual_cluster": "none"},
                "There is no virtual cluster 'none' in us-east-1.*give the id of one that there is",
            ),
            (
                {"namespace": "other"},
                "is namespace 'namespace-.*profile 'named' says 'other' of 'local': change one of them",
            ),
        ],
        ids=["unknown", "of another namespace"],
    )
    def test_a_virtual_cluster_that_cannot_be_what_the_profile_says_is_refused(
        self, compute, lease, service, profile, changes, said
    ):
        named = profile.model_copy(update={"name": "named", "virtual_cluster": compute.id} | changes)
        with pytest.raises(ComputeError, match=said):
            target_for(named, service.clients).acquire(lease, ENGINES)

    def test_a_virtual_cluster_deleted_by_hand_has_ended_and_is_made_again(
        self, target, compute, lease, client, submit, quick
    ):
        client.delete_virtual_cluster(id=compute.id)
        state = until(lambda: target.state(compute), lambda state: state.phase is Phase.ENDED)
        assert state.fault is Fault.USER
        with pytest.raises(ComputeReleasedError, match=compute.id):
            submit(quick)
        until(
            lambda: client.describe_virtual_cluster(id=compute.id)["virtualCluster"]["state"],
            lambda s: s == "TERMINATED",
        )
        assert target.acquire(lease, ENGINES).id != compute.id

    def test_an_unknown_release_is_said_by_the_job(self, service, compute, lease, profile, code, quick):
        target = target_for(profile.model_copy(update={"release": "emr-9.9.9-latest"}), service.clients)
        with pytest.raises(ComputeError, match=r"emr-9\.9\.9-latest.*refused the job run\. Nothing runs for this task"):
            target.submit(compute, quick, code, key(lease))

    def test_a_job_run_started_before_the_profile_changed_is_found(
        self, service, compute, lease, profile, submit, code, endless
    ):
        run = submit(endless)
        changed = target_for(profile.model_copy(update={"attempts": 3}), service.clients)
        assert changed.submit(compute, endless, code, key(lease)).id == run.id

    def test_a_job_run_of_a_service_whose_clock_is_ahead_has_used_nothing_yet(
        self, target, compute, submit, service, endless
    ):
        service.arm(fault="clock_skew", seconds=240)
        run = submit(endless)
        used = target.usage(compute, [run.id])
        assert (used.vcpu_hours, used.memory_gb_hours) == (0.0, 0.0)
        target.cancel(compute, run.id)

    def test_a_full_queue_is_want_of_capacity(self, service, lease, profile, code, endless):
        small = profile.model_copy(update={"max_concurrent_jobs": 1, "max_queued_jobs": 1})
        target = target_for(small, service.clients)
        compute = target.acquire(lease, ENGINES)
        runs = [target.submit(compute, endless, code, key(lease, nonce=nonce)) for nonce in "12"]
        with pytest.raises(JobCapacityError, match=f"{compute.id} refused the job run. Nothing runs for this task"):
            target.submit(compute, endless, code, key(lease, nonce="3"))
        target.release(compute)
        assert [ended(target, compute, run.id).state for run in runs] == [RunState.CANCELLED] * 2

    def test_a_start_that_was_never_answered_may_have_happened(self, service, compute, lease, profile, code, endless):
        target = target_for(profile, replace(service, attempts=1).clients)
        service.lose_answer("submit")
        with pytest.raises(ComputeError, match=f"{compute.id} may have started the job run. A retry finds it"):
            target.submit(compute, endless, code, key(lease))
        assert target.find(compute, key(lease)) is not None

    def test_a_job_run_by_a_job_template(self, service, compute, lease, profile, client, code):
        driver = {"entryPoint": "${EntryPoint}", "entryPointArguments": ["${How}"]}
        data = {
            "executionRoleArn": profile.execution_role,
            "releaseLabel": profile.release,
            "jobDriver": {"sparkSubmitJobDriver": driver},
            "parameterConfiguration": {"EntryPoint": {"type": "STRING"}, "How": {"type": "STRING"}},
        }
        template = client.create_job_template(name="any", clientToken="any", jobTemplateData=data)["id"]
        parameters = {"EntryPoint": "{entry_point}", "How": "{arguments[0]}"}
        given = {**profile.model_dump(), "job_template": {"id": template, "parameters": parameters}}
        target = target_for(type(profile).model_validate(given), service.clients)
        run = target.submit(compute, SparkJob(script="jobs/any.py", args=("succeed",)), code, key(lease))
        assert ended(target, compute, run.id).state is RunState.SUCCEEDED


SQL = "CREATE TABLE t USING parquet AS SELECT '${dt}' AS dt; SELECT concat(dt, ' and on') FROM t WHERE dt = '${hivevar:dt}';"
FAILING = "raise ValueError('no such luck')"


def test_spark_and_spark_sql_really_run(tmp_path):
    """Both at once: each starts a Java of its own."""
    with running_endpoint(tmp_path, boot_seconds=0.0) as url:
        make_buckets(url)
        service = LocalService(url, "emr-containers", OPERATIONS)
        for name, text in {"fail.py": FAILING, "q.hql": SQL}.items():
            service.clients.repeating("s3").put_object(Bucket="local-artifacts", Key=name, Body=text.encode())
        code = {name: f"s3://local-artifacts/{name}" for name in ("fail.py", "q.hql", SparkSqlJob.runner)}
        target = target_for(PROFILE, service.clients)
        lease = Lease("conformance", "dag", "for real", "emr")
        compute = target.acquire(lease, ENGINES)
        jobs = {
            "spark": SparkJob(script="fail.py"),
            "sql": HiveJob(script="q.hql", variables={"dt": "2013-01-15"}, spark_sql=True),
        }
        runs = {name: target.submit(compute, job, code, key(lease, nonce=name)).id for name, job in jobs.items()}
        states = until(
            lambda: target.poll(compute, runs.values()), lambda seen: all(one.state.ended for one in seen.values()), 300
        )
        logs = {name: target.logs(compute, run).streams for name, run in runs.items()}
        assert {name: states[run].state for name, run in runs.items()} == {
            "spark": RunState.FAILED,
            "sql": RunState.SUCCEEDED,
        }, logs
        assert states[runs["spark"]].fault is Fault.JOB
        assert "no such luck" in "".join(logs["spark"].values())
        assert logs["sql"]["stdout"].splitlines()[-1] == "2013-01-15 and on"
        assert target.usage(compute, runs.values()).vcpu_hours > 0
