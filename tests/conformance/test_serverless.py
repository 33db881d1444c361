"""The target ``serverless`` keeps the promises of every target, with applications of its runs and with applications it keeps."""

# ruff: noqa: PLR0913, PLR0917 - a test's arguments are its fixtures

from __future__ import annotations

import itertools
import json
from types import SimpleNamespace

import pytest
from botocore.awsrequest import AWSResponse

from emr_pipelines import HiveJob, SparkJob, SparkSqlJob
from emr_pipelines.environments import include_folder
from emr_pipelines.errors import ComputeError, ComputeReleasedError, ComputeUnavailableError, JobCapacityError
from emr_pipelines.keys import Lease
from emr_pipelines.targets import target_for
from emr_pipelines.targets.base import Clients, Compute
from emr_pipelines.targets.serverless_profile import ENGINES as BOTH
from emr_pipelines.targets.serverless_profile import Capacity
from emr_pipelines.targets.states import Fault, Phase, RunState
from tests.conformance.cases import ENGINES, ProfileOwnedCases, RunOwnedCases, another_run, key, settled, until
from tests.conformance.endpoints import ENVIRONMENT, LocalService, ScriptedJobs, make_buckets, scripted_endpoint
from tests.support.endpoint import running_endpoint

PROFILE = ENVIRONMENT.profile("serverless")
NUMBERS = itertools.count()
CREATE, SUBMIT = "CreateApplication", "StartJobRun"


def service_of(url: str, end: str) -> LocalService:
    return LocalService(url, "emr-serverless", {"create": CREATE, "submit": SUBMIT, "end": end})


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with scripted_endpoint(tmp_path_factory.mktemp("endpoint")) as url:
        yield url


class Scripted(ScriptedJobs):
    """What both owners of applications have in common."""

    many = 60
    pages_of_many = 2  # a page of ListJobRuns holds 50
    end: str

    @pytest.fixture
    def service(self, url):
        service = service_of(url, self.end)
        yield service
        service.forget_faults()

    @pytest.fixture
    def unknown_run(self):
        return "00aaaaaaaaaaaaaa/00bbbbbbbbbbbbbb"


class TestServerless(Scripted, RunOwnedCases):
    end = "StopApplication"

    @pytest.fixture
    def target(self, service):
        return target_for(PROFILE, service.clients)

    @pytest.fixture
    def another(self, service):
        return target_for(PROFILE.model_copy(update={"name": "another"}), service.clients)

    @pytest.fixture
    def unknown(self):
        return Compute("serverless", "serverless", "00aaaaaaaaaaaaaa", "0" * 16, parts={"spark": "00aaaaaaaaaaaaaa"})

    @pytest.fixture
    def client(self, service):
        return service.clients.repeating("emr-serverless")

    def test_a_pipeline_with_spark_and_hive_gets_an_application_for_each(self, target, lease, client, code):
        compute = target.acquire(lease, frozenset(BOTH))
        assert settled(target, compute).phase is Phase.READY
        types = {
            engine: client.get_application(applicationId=part)["application"]["type"]
            for engine, part in compute.parts.items()
        }
        assert types == {"spark": "Spark", "hive": "Hive"}
        assert compute.id == f"{compute.parts['spark']}+{compute.parts['hive']}"
        run = target.submit(compute, HiveJob(script="jobs/any.py", variables={"x": "1"}), code, key(lease))
        assert run.id.startswith(compute.parts["hive"])
        target.release(compute)
        assert [target.state(compute).phase, target.lookup(lease)] == [Phase.ENDED, []]

    def test_an_engine_that_joins_later_keeps_the_application_that_there_is(self, target, lease, compute):
        both = target.acquire(lease, frozenset({"hive"}))
        assert both.parts["spark"] == compute.id
        assert target.lookup(lease) == [both]
        target.release(both)

    def test_a_job_for_an_engine_that_was_not_acquired_says_what_to_do(self, target, compute, code, lease):
        with pytest.raises(ComputeError, match=r"has no application for hive.*Clear the task with 'Only failed' off"):
            target.submit(compute, HiveJob(script="jobs/any.py"), code, key(lease))

    def test_what_was_had_is_given_back_when_the_rest_is_refused(self, lease, url):
        service = LocalService(url, "emr-serverless", {}, attempts=1)
        service.arm(fault="throttle", operation=CREATE, name_contains="-hive-")
        target = target_for(PROFILE, service.clients)
        with pytest.raises(ComputeUnavailableError, match=r"profile 'serverless' got no application\. Nothing runs"):
            target.acquire(lease, frozenset(BOTH))
        assert target.lookup(lease) == []
        service.forget_faults()

    def test_what_works_goes_on_when_acquiring_again_is_refused(self, target, compute, lease, url, submit, endless):
        run = submit(endless)
        service = LocalService(url, "emr-serverless", {}, attempts=1)
        service.arm(fault="throttle", operation=CREATE, name_contains="-hive-")
        with pytest.raises(
            ComputeUnavailableError, match=rf"What lease {lease.id} had before may still run; release ends it"
        ):
            target_for(PROFILE, service.clients).acquire(lease, frozenset(BOTH))
        assert [one.id for one in target.active(compute, lease)] == [run.id]
        assert target.state(compute).phase is Phase.READY
        assert target.lookup(lease) == [compute]

    def test_where_nothing_could_be_listed_nothing_was_started(self, lease, url):
        service = LocalService(url, "emr-serverless", {}, attempts=1)
        service.throttle(1)
        with pytest.raises(ComputeUnavailableError, match=r"got no application\. Nothing was started\."):
            target_for(PROFILE, service.clients).acquire(lease, ENGINES)

    def test_a_quota_refuses_the_job_run_and_not_the_compute(self, compute, lease, client, code, endless):
        answer = {"message": "The maximum number of queued job runs is reached", "resourceId": "a", "resourceType": "b"}

        def refuse(request, **_):
            headers = {"x-amzn-errortype": "ServiceQuotaExceededException"}
            raw = SimpleNamespace(stream=lambda **_: iter([json.dumps(answer).encode()]))
            return AWSResponse(request.url, 402, headers, raw)

        client.meta.events.register_first("before-send.emr-serverless.StartJobRun", refuse)
        refusing = target_for(PROFILE, Clients(repeating=lambda _: client, once=lambda _: client))
        with pytest.raises(JobCapacityError, match=r"queued job runs is reached .ServiceQuotaExceededException."):
            refusing.submit(compute, endless, code, key(lease))

    def test_an_application_that_cannot_be_asked_gets_no_job_run_and_the_reason_says_so(
        self, compute, url, lease, code, endless
    ):
        service = LocalService(url, "emr-serverless", {}, attempts=1)
        service.arm(fault="throttle", operation="GetApplication")
        with pytest.raises(
            ComputeError, match=r"could not be asked whether it takes job runs\. This job run was not started"
        ):
            target_for(PROFILE, service.clients).submit(compute, endless, code, key(lease))
        assert target_for(PROFILE, service.clients).active(compute, lease) == []

    def test_an_application_stopped_by_hand_has_ended_by_a_person(self, target, compute, lease, client, submit, quick):
        client.stop_application(applicationId=compute.id)
        state = until(lambda: target.state(compute), lambda state: state.phase is Phase.ENDED)
        assert (state.fault, "STOPP" in state.reason) == (Fault.USER, True)
        with pytest.raises(ComputeReleasedError, match=compute.id):
            submit(quick)
        assert target.lookup(lease) == []

    def test_what_a_release_left_stopped_is_deleted_by_the_next_run(self, target, compute, lease, client):
        client.stop_application(applicationId=compute.id)
        until(
            lambda: client.get_application(applicationId=compute.id)["application"]["state"], lambda s: s == "STOPPED"
        )
        target.release(target.acquire(another_run(lease), ENGINES))
        assert client.get_application(applicationId=compute.id)["application"]["state"] == "TERMINATED"

    def test_what_a_refused_start_left_is_deleted_by_the_next_acquire(self, target, lease, service, client):
        service.refuse_capacity()
        refused = target.acquire(lease, ENGINES)
        assert settled(target, refused).fault is Fault.CAPACITY
        compute = target.acquire(lease, ENGINES)
        assert compute.id != refused.id
        assert client.get_application(applicationId=refused.id)["application"]["state"] == "TERMINATED"
        target.release(compute)

    def test_of_two_applications_with_one_name_the_older_is_kept(self, target, compute, lease, client):
        twin = client.create_application(clientToken="twin", **PROFILE.request(lease, "spark"))["applicationId"]
        assert [one.id for one in target.lookup(lease)] == [compute.id, twin]
        assert target.acquire(lease, ENGINES) == compute
        assert target.lookup(lease) == [compute]

    def test_a_job_run_started_before_the_profile_changed_is_found(
        self, service, compute, lease, submit, code, endless
    ):
        run = submit(endless)
        changed = target_for(PROFILE.model_copy(update={"attempts": 3}), service.clients)
        assert changed.submit(compute, endless, code, key(lease)).id == run.id

    def test_an_unknown_release_is_said_with_the_profile(self, service, lease):
        target = target_for(PROFILE.model_copy(update={"release": "emr-9.9.9"}), service.clients)
        with pytest.raises(
            ComputeError, match=r"(?s)emr-9\.9\.9.*profile 'serverless' got no application\. Nothing runs"
        ):
            target.acquire(lease, ENGINES)

    def test_an_application_carries_the_whole_identity_in_its_tags(self, compute, lease, client):
        tags = client.get_application(applicationId=compute.id)["application"]["tags"]
        assert lease.tags.items() <= tags.items()


class TestKeptServerless(Scripted, ProfileOwnedCases):
    end = "CancelJobRun"

    @pytest.fixture
    def target(self, service):
        name = f"kept-{next(NUMBERS)}"
        kept = PROFILE.model_validate({**PROFILE.model_dump(), "owner": "profile", "name": name})
        return target_for(kept, service.clients)

    @pytest.fixture
    def unknown(self):
        parts = {"spark": "00aaaaaaaaaaaaaa"}
        return Compute("serverless", "kept", "00aaaaaaaaaaaaaa", "0" * 16, "profile", parts)

    @pytest.fixture
    def client(self, service):
        return service.clients.repeating("emr-serverless")

    @pytest.fixture
    def shared(self, compute, allowed_calls):
        """Deviation: an application is kept for one deployment; who runs jobs there all the same has no role of ours."""
        allowed_calls.pause()
        return compute

    def test_another_deployment_has_its_own(self, target, compute, lease):
        theirs = Lease("elsewhere", lease.dag_id, lease.run_id, lease.group_id)
        other = target.acquire(theirs, ENGINES)
        assert other.id != compute.id
        assert compute.id not in [one.compute.id for one in target.owned("elsewhere")]
        assert [one.id for one in target.lookup(lease)] == [compute.id]

    @pytest.mark.parametrize(
        ("made", "said"),
        [
            ({"type": "HIVE"}, "is of type Hive, where the profile needs spark: delete it"),
            (
                {"tags": {}},
                "belongs to nobody, not to deployment 'conformance': rename the profile, or delete that application",
            ),
            (
                {"releaseLabel": "emr-7.8.0"},
                "has release emr-7.8.0, and its profile says emr-7.9.0: stop and update it",
            ),
        ],
        ids=["another type", "another owner", "another release"],
    )
    def test_an_application_that_is_not_the_profiles_is_left_alone(self, target, lease, client, made, said):
        request = target._profile.request(lease, "spark") | made
        client.create_application(clientToken=f"by hand {request['name']}".replace(" ", "-"), **request)
        with pytest.raises(ComputeError, match=f"{said}.*Nothing was started"):
            target.acquire(lease, ENGINES)

    def test_an_application_stopped_by_hand_is_not_started_behind_that_persons_back(
        self, target, compute, lease, client
    ):
        client.stop_application(applicationId=compute.id)
        until(lambda: target.state(compute).phase, lambda phase: phase is Phase.ENDED)
        with pytest.raises(
            ComputeError, match=r"was stopped by hand: start it again .aws emr-serverless start-application"
        ):
            target.acquire(lease, ENGINES)
        client.start_application(applicationId=compute.id)
        assert target.acquire(lease, ENGINES) == compute

    def test_a_profile_that_changed_since_is_told_with_the_settings_that_differ(
        self, target, compute, lease, service, caplog
    ):
        assert target.acquire(lease, ENGINES) == compute
        assert caplog.messages == []
        changes = {"idle_minutes": 7, "maximum_capacity": Capacity(cpu=8, memory=32)}
        changed = target_for(target._profile.model_copy(update=changes), service.clients)
        assert changed.acquire(lease, ENGINES) == compute
        (said,) = caplog.messages
        assert f"autoStopConfiguration.idleTimeoutMinutes is {PROFILE.idle_minutes}, and the profile says 7" in said
        assert "maximumCapacity.memory is not set, and the profile says 32 GB" in said

    def test_what_the_profile_keeps_is_left_when_acquiring_is_refused(self, target, compute, lease, url):
        service = LocalService(url, "emr-serverless", {}, attempts=1)
        service.arm(fault="throttle", operation=CREATE)
        with pytest.raises(ComputeUnavailableError, match=r"What the profile keeps is left as it is\."):
            target_for(target._profile, service.clients).acquire(lease, frozenset(BOTH))
        assert target.state(compute).phase is Phase.READY

    def test_an_application_deleted_by_hand_is_made_again(self, target, compute, lease, client):
        client.stop_application(applicationId=compute.id)
        until(
            lambda: client.get_application(applicationId=compute.id)["application"]["state"], lambda s: s == "STOPPED"
        )
        client.delete_application(applicationId=compute.id)
        assert target.state(compute).phase is Phase.ENDED
        again = target.acquire(lease, ENGINES)
        assert again.id != compute.id
        assert settled(target, again).phase is Phase.READY


SQL = """
CREATE TABLE numbers (n INT, word STRING) USING parquet;
INSERT INTO numbers VALUES (1, 'one; and'), (2, '${dt}'); -- a comment; no statement
SELECT n, word FROM numbers WHERE word <> '${hivevar:dt}'; SELECT max(word) FROM numbers
"""
HIVEQL = "SELECT concat('${dt}', ' and ', ${hivevar:n} + 1);"
FAILING = "raise ValueError('no such luck')"


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    with running_endpoint(tmp_path_factory.mktemp("real"), boot_seconds=0.0) as url:
        make_buckets(url)
        yield service_of(url, "StopApplication")


def test_spark_spark_sql_and_hive_really_run(real):
    """All three at once: each starts a Java of its own."""
    s3 = real.clients.repeating("s3")
    runner = (include_folder() / SparkSqlJob.runner).read_text()
    files = {"fail.py": FAILING, "q.sql": SQL, "q.hql": HIVEQL, SparkSqlJob.runner: runner}
    for name, text in files.items():
        s3.put_object(Bucket="local-artifacts", Key=name, Body=text.encode())
    code = {name: f"s3://local-artifacts/{name}" for name in files}
    target = target_for(PROFILE, real.clients)
    lease = Lease("conformance", "dag", "for real", "emr")
    compute = target.acquire(lease, frozenset(BOTH))
    jobs = {
        "spark": SparkJob(script="fail.py"),
        "sql": SparkSqlJob(script="q.sql", variables={"dt": "2013-01-15"}),
        "hive": HiveJob(script="q.hql", variables={"dt": "a day", "n": "41"}),
    }
    runs = {name: target.submit(compute, job, code, key(lease, nonce=name)).id for name, job in jobs.items()}
    states = until(
        lambda: target.poll(compute, runs.values()), lambda seen: all(one.state.ended for one in seen.values()), 300
    )
    logs = {name: target.logs(compute, run).streams for name, run in runs.items()}
    assert {name: states[run].state for name, run in runs.items()} == {
        "spark": RunState.FAILED,
        "sql": RunState.SUCCEEDED,
        "hive": RunState.SUCCEEDED,
    }, logs
    assert "no such luck" in "".join(logs["spark"].values())
    assert "no such luck" in states[runs["spark"]].reason
    assert states[runs["spark"]].fault is Fault.JOB
    assert logs["sql"]["stdout"].splitlines() == ["1\tone; and", "one; and"]
    assert logs["hive"]["stdout"].splitlines()[-1] == "a day and 42"
    used = target.usage(compute, runs.values())
    # The bill counts a minute for each worker at least: three drivers of one vCPU.
    assert used.billed
    assert used.vcpu_hours >= 3 / 60
    target.release(compute)
    assert target.lookup(lease) == []
