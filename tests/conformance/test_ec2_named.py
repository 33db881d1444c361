"""The target ``ec2`` keeps the promises of every target on a cluster that its profile names, and leaves that to those who keep it."""

# ruff: noqa: PLR0913, PLR0917 - a test's arguments are its fixtures

from __future__ import annotations

import itertools
import time
from dataclasses import replace

import pytest

from emr_pipelines import clients as connections
from emr_pipelines import missing, reaping
from emr_pipelines.environments import Reaping, read_environment
from emr_pipelines.errors import ComputeError, ComputeUnavailableError, JobCapacityError
from emr_pipelines.keys import Key, Lease
from emr_pipelines.reaping import Life, reap
from emr_pipelines.releasing import release_lease
from emr_pipelines.targets import ec2, target_for
from emr_pipelines.targets.base import Compute
from emr_pipelines.targets.ec2_profile import Ec2Profile
from emr_pipelines.targets.states import Fault, Phase, RunState
from tests.conformance.cases import ENGINES, ProfileOwnedCases, another_run, ended, key, settled, until
from tests.conformance.endpoints import LocalService, make_buckets
from tests.conformance.test_ec2 import Commands
from tests.support.endpoint import running_endpoint

NUMBERS = itertools.count()
OPERATIONS = {"create": "ListClusters", "submit": "AddJobFlowSteps", "end": "CancelSteps"}
SLEEP = {"Jar": "command-runner.jar", "Args": ["bash", "-c", "sleep 600"]}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    with running_endpoint(tmp_path_factory.mktemp("endpoint"), boot_seconds=0.0) as url:
        make_buckets(url)
        yield LocalService(url, "elasticmapreduce", OPERATIONS)


def profile_of(cluster, name="analytics"):
    settings = {"name": name, "target": "ec2", "region": "us-east-1", "log_uri": "s3://local-logs/elsewhere/"}
    return Ec2Profile.model_validate({**settings, "cluster": cluster})


class TestEc2OfProfile(Commands, ProfileOwnedCases):
    """The cluster is a platform team's, who know nothing of deployments and leases."""

    many = 51

    @pytest.fixture
    def service(self, endpoint):
        yield endpoint
        endpoint.forget_faults()

    @pytest.fixture
    def emr(self, endpoint):
        return endpoint.clients.repeating("emr")

    @pytest.fixture
    def start(self, emr):
        """Start clusters as a platform team does, which ends them, too."""
        started = []

        def start(name, **changed):
            primary = {"InstanceRole": "MASTER", "InstanceType": "m5.xlarge", "InstanceCount": 1}
            request = {
                "Name": name,
                "ReleaseLabel": "emr-7.9.0",
                "LogUri": "s3n://local-logs/platform",
                "Applications": [{"Name": "Spark"}, {"Name": "Hadoop"}],
                "Instances": {"InstanceGroups": [primary], "KeepJobFlowAliveWhenNoSteps": True},
                "StepConcurrencyLevel": 16,
                "Tags": [{"Key": "emr-pipelines:shared-with", "Value": "conformance local"}],
                **changed,
            }
            started.append(emr.run_job_flow(**request)["JobFlowId"])
            return started[-1]

        yield start
        emr.terminate_job_flows(JobFlowIds=started)

    @pytest.fixture
    def name(self):
        return f"analytics {next(NUMBERS)}"

    @pytest.fixture
    def cluster(self, start, name):
        return start(name)

    @pytest.fixture
    def target(self, service, name, cluster):
        return target_for(profile_of(name), service.clients)

    @pytest.fixture
    def by_id(self, service, cluster):
        return target_for(profile_of(cluster), service.clients)

    @pytest.fixture
    def unknown(self):
        return Compute("ec2", "analytics", "j-AAAAAAAAAAAAA", "0" * 16, "profile")

    # What is another's cannot be owned, and is made by nobody here

    def test_a_deployment_owns_its_own_compute_and_nobody_elses(self, target, compute, lease):
        assert (target.owned(lease.deployment), target.owned("another deployment")) == ([], [])

    def test_it_has_no_lease_where_all_compute_is_listed(self, target, compute, lease):
        assert target.owned(lease.deployment) == []

    def test_what_is_owned_says_since_when(self, target, compute, lease, submit, endless):
        before = int(time.time())
        submit(endless)
        (owned,) = target.owned(lease.deployment)
        assert before <= owned.created <= time.time()

    def test_compute_that_cannot_be_had_is_told_apart_from_a_mistake(self, service, lease, start):
        service.refuse_capacity()
        by_id, by_name = (target_for(profile_of(one), service.clients) for one in (start("lost"), "lost"))
        until(lambda: by_id.lookup(lease), lambda found: found == [])
        for lost in (by_id, by_name):
            with pytest.raises(
                ComputeUnavailableError, match=r"takes no more jobs, it is TERMINATED_WITH_ERRORS: .*No"
            ):
                lost.acquire(lease, ENGINES)
            assert lost.lookup(lease) == []

    def test_after_a_refusal_the_same_lease_can_acquire(self, endpoint, target, lease):
        endpoint.throttle(1)
        hasty = target_for(target._profile, replace(endpoint, attempts=1).clients)
        with pytest.raises(
            ComputeUnavailableError, match=r"of profile 'analytics' could not be looked for\. Nothing was"
        ):
            hasty.acquire(lease, ENGINES)
        assert settled(target, hasty.acquire(lease, ENGINES)).phase is Phase.READY

    def test_names_at_their_limit_are_accepted(self, target, compute, code, quick):
        long = Lease(compute.lease, "d" * 250, "r" * 250, "g" * 250)
        run = target.submit(compute, quick, code, Key(long, "t" * 250, 4095, "n"))
        assert len(run.name) == 256

    # Which cluster is meant

    def test_it_is_the_one_of_the_name_or_the_id(self, target, by_id, lease, cluster):
        mine = Compute("ec2", "analytics", cluster, lease.id, "profile")
        assert (target.acquire(lease, ENGINES), by_id.acquire(lease, ENGINES)) == (mine, mine)
        assert (target.lookup(lease), by_id.lookup(lease)) == ([mine], [mine])

    @pytest.mark.parametrize("cluster", ["nightly", "j-AAAAAAAAAAAAA"])
    def test_where_there_is_none_it_says_so(self, service, lease, cluster):
        nowhere = target_for(profile_of(cluster), service.clients)
        said = rf"There is no cluster '{cluster}' in us-east-1, as `cluster` of profile 'analytics' says: start it.*Nothing"
        with pytest.raises(ComputeError, match=said):
            nowhere.acquire(lease, ENGINES)
        assert nowhere.lookup(lease) == []

    def test_of_several_of_one_name_none_is_guessed_and_the_lease_is_released_on_all(
        self, target, compute, lease, start, name, submit, endless, cluster
    ):
        run = submit(endless)
        second = start(name)
        with pytest.raises(ComputeError, match=rf"Clusters {cluster}, {second} in us-east-1 are all called '{name}'"):
            target.acquire(lease, ENGINES)
        assert [one.id for one in target.lookup(lease)] == [cluster, second]
        for one in target.lookup(lease):
            target.release(one)
        assert ended(target, compute, run.id).state is RunState.CANCELLED

    def test_one_that_a_person_ended_takes_no_more_jobs_and_says_why(self, by_id, compute, lease, emr, cluster):
        emr.terminate_job_flows(JobFlowIds=[cluster])
        with pytest.raises(ComputeError, match=r"takes no more jobs, it is TERMINAT.*start another") as raised:
            by_id.acquire(lease, ENGINES)
        assert not isinstance(raised.value, ComputeUnavailableError)
        assert by_id.lookup(lease) == []

    def test_another_of_its_name_takes_its_place(self, target, compute, lease, emr, start, name, cluster):
        emr.terminate_job_flows(JobFlowIds=[cluster])
        second = start(name)
        assert target.acquire(lease, ENGINES).id == second

    def test_it_must_have_what_the_jobs_need(self, target, lease, cluster):
        said = rf"Cluster {cluster} .* has no Hive, which this run's jobs need; it has Spark, Hadoop"
        with pytest.raises(ComputeError, match=said):
            target.acquire(lease, frozenset({"spark", "hive"}))
        assert target.acquire(lease, frozenset({"spark", "command"})).id == cluster

    def test_what_makes_it_less_fit_is_said(self, service, lease, start, caplog):
        instances = {"MasterInstanceType": "m5.xlarge", "InstanceCount": 1, "KeepJobFlowAliveWhenNoSteps": True}
        poor = {
            "Name": "poor",
            "ReleaseLabel": "emr-7.9.0",
            "Applications": [{"Name": "Spark"}],
            "Instances": instances,
        }
        id_ = service.clients.repeating("emr").run_job_flow(**poor)["JobFlowId"]
        target_for(profile_of(id_), service.clients).acquire(lease, ENGINES)
        assert [message.partition(": ")[0] for message in caplog.messages] == [
            f"Cluster {id_} ('poor') runs one step at a time",
            f"Cluster {id_} ('poor') keeps no logs in S3",
        ]
        service.clients.repeating("emr").terminate_job_flows(JobFlowIds=[id_])

    # What is done there

    def test_its_logs_are_where_it_puts_them(self, target, compute, submit, failing, cluster):
        run = submit(failing)
        ended(target, compute, run.id)
        assert target.logs(compute, run.id).address == f"s3://local-logs/platform/{cluster}/steps/{run.id}/"

    def test_a_step_more_than_may_be_active_is_want_of_room(self, target, compute, lease, code, endless, emr, cluster):
        steps = [{"Name": f"theirs {number}", "HadoopJarStep": SLEEP} for number in range(256)]
        emr.modify_cluster(ClusterId=cluster, StepConcurrencyLevel=1)
        theirs = emr.add_job_flow_steps(
            JobFlowId=cluster, Steps=[{**step, "ActionOnFailure": "CONTINUE"} for step in steps]
        )["StepIds"]
        said = rf"Maximum number of active steps.*cluster {cluster} refused the step\. Cluster {cluster} still runs"
        with pytest.raises(JobCapacityError, match=said):
            target.submit(compute, endless, code, key(lease))
        target.release(compute)
        assert len(list(target._clusters.steps(cluster, StepStates=["PENDING", "RUNNING"]))) == 256
        emr.cancel_steps(ClusterId=cluster, StepIds=theirs)

    def test_a_busy_cluster_is_not_listed_to_its_beginning(
        self, target, compute, submit, quick, emr, cluster, service, monkeypatch
    ):
        steps = [{"Name": f"theirs {number}", "HadoopJarStep": SLEEP} for number in range(150)]
        emr.modify_cluster(ClusterId=cluster, StepConcurrencyLevel=1)
        added = emr.add_job_flow_steps(
            JobFlowId=cluster, Steps=[{**step, "ActionOnFailure": "CONTINUE"} for step in steps]
        )
        emr.cancel_steps(ClusterId=cluster, StepIds=added["StepIds"])
        until(lambda: emr.describe_cluster(ClusterId=cluster)["Cluster"]["Status"]["State"], lambda s: s == "WAITING")
        monkeypatch.setattr(ec2, "_TWINS_WITHIN", 0.0)
        service.calls.clear()
        submit(quick)
        assert service.calls == ["AddJobFlowSteps", "ListSteps", "ListSteps"]

    def test_an_old_step_is_found_as_long_as_it_is_alive(self, target, compute, lease, submit, endless, monkeypatch):
        run = submit(endless)
        monkeypatch.setattr(ec2, "_SEARCHED_WITHIN", -1.0)
        assert target.find(compute, key(lease)).id == run.id
        target.cancel(compute, run.id)
        ended(target, compute, run.id)
        assert target.find(compute, key(lease)) is None

    def test_what_was_used_is_the_hours_of_its_instances_while_the_jobs_ran(
        self, target, compute, submit, quick, endless
    ):
        first, second = submit(quick).id, submit(endless, nonce="another").id
        state = ended(target, compute, first)
        assert target.usage(compute, [first]).instance_hours == {
            "m5.xlarge": pytest.approx((state.ended - state.began) / 3600, abs=1e-9)
        }
        both = target.usage(compute, [first, second]).instance_hours["m5.xlarge"]
        assert (state.ended - state.began) / 3600 < both < (time.time() - state.began) / 3600 + 1e-9
        target.cancel(compute, second)

    def test_other_peoples_steps_are_nobodys_here(self, target, compute, lease, emr, cluster):
        names = ["nightly report", "0123456789abcdef-theirs", f"{lease.id}"]
        steps = [{"Name": name, "ActionOnFailure": "CONTINUE", "HadoopJarStep": SLEEP} for name in names]
        theirs = emr.add_job_flow_steps(JobFlowId=cluster, Steps=steps)["StepIds"]
        assert target.owned(lease.deployment) == []
        target.release(compute)
        states = {step["Status"]["State"] for step in emr.list_steps(ClusterId=cluster, StepIds=theirs)["Steps"]}
        assert states <= {"PENDING", "RUNNING"}
        emr.cancel_steps(ClusterId=cluster, StepIds=theirs)

    @pytest.mark.parametrize("run", ["scheduled__2013-01-15T00:00:00+00:00", "by hand, ~ twice/day", "ünïcödé"])
    def test_a_step_tells_the_run_that_it_is_of(self, target, compute, code, endless, run):
        lease = Lease("conformance", "a.dag-of_mine", run, "outer.emr")
        step = target.submit(compute, endless, code, key(lease))
        (owned,) = target.owned("conformance")
        assert (Lease.from_tags(owned.tags), owned.compute.lease) == (lease, lease.id)
        target.cancel(compute, step.id)

    def test_a_run_whose_identity_its_steps_cannot_hold_is_told_apart(self, target, compute, code, endless):
        lease = Lease("conformance", "d" * 250, "r" * 250, "emr")
        step = target.submit(compute, endless, code, key(lease))
        (owned,) = target.owned("conformance")
        assert (Lease.from_tags(owned.tags), owned.compute.lease) == (None, lease.id)
        target.cancel(compute, step.id)

    # Releasing and reaping

    @pytest.fixture
    def environment(self, target, name, tmp_path, monkeypatch):
        monkeypatch.setattr(connections, "clients_for", lambda connection, region: target._clients)
        path = tmp_path / "platform.yaml"
        path.write_text(
            "deployment: conformance\nbuckets: {data: a-data, logs: a-logs, artifacts: a-artifacts}\n"
            f"profiles:\n  analytics: {{target: ec2, region: us-east-1, cluster: {name}}}\n"
        )
        return read_environment(path)

    def test_a_run_that_ends_leaves_the_cluster_and_what_others_run_there(
        self, environment, target, compute, lease, code, submit, endless, cluster
    ):
        mine, theirs = submit(endless), target.submit(compute, endless, code, key(another_run(lease)))
        assert release_lease(environment, lease, ["analytics"]) == [cluster]
        assert release_lease(environment, lease, ["analytics"]) == []
        assert target.poll(compute, [mine.id])[mine.id].state is RunState.CANCELLED
        assert [run.id for run in target.active(compute, another_run(lease))] == [theirs.id]
        assert target.state(compute).phase is Phase.READY
        target.cancel(compute, theirs.id)

    def test_the_reaper_ends_the_steps_of_runs_that_are_over_and_nothing_else(
        self, environment, target, compute, lease, code, submit, endless, emr, cluster, monkeypatch
    ):
        alive, elsewhere = another_run(lease), Lease("elsewhere", lease.dag_id, lease.run_id, lease.group_id)
        orphan = submit(endless)
        kept = [target.submit(compute, endless, code, key(one)).id for one in (alive, elsewhere)]
        step = {"Name": "theirs", "ActionOnFailure": "CONTINUE", "HadoopJarStep": SLEEP}
        kept += emr.add_job_flow_steps(JobFlowId=cluster, Steps=[step])["StepIds"]
        monkeypatch.setattr(reaping, "life_of", lambda one: Life.LIVE if one == alive else Life.ENDED)
        monkeypatch.setattr(missing, "is_defined", lambda _: True)
        monkeypatch.setattr(reaping, "remembered", lambda dags, now: {})
        rows, troubles = reap(environment, Reaping(grace_minutes=0, dry_run=False))
        assert troubles == []
        assert {(row["what"], row["run"], row["found"], row["done"]) for row in rows} == {
            (f"job runs of lease {lease.id} on {cluster}", lease.run_id, "orphaned: its run has ended", "ended"),
            (f"job runs of lease {alive.id} on {cluster}", alive.run_id, "its run is live", "left alone"),
        }
        assert ended(target, compute, orphan.id).fault is Fault.USER
        assert not any(state.state.ended for state in target.poll(compute, kept).values())
        assert target.state(compute).phase is Phase.READY
        emr.cancel_steps(ClusterId=cluster, StepIds=kept)
