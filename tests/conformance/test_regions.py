"""A region that does not answer, on every target: acquire goes on elsewhere, and what was begun there is neither doubled nor forgotten."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from types import SimpleNamespace

import boto3
import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import TaskDeferred
from botocore.config import Config

from emr_pipelines import EmrJobOperator, EmrPipeline, SparkJob, acquiring, clients, operators, releasing
from emr_pipelines.environments import current_environment
from emr_pipelines.errors import ComputeError, ComputeUnavailableError, ConfigurationError, JobDeadlineError, JobError
from emr_pipelines.keys import Lease
from emr_pipelines.targets import once, target_for
from emr_pipelines.targets.base import Clients
from emr_pipelines.targets.states import ComputeState, Phase
from emr_pipelines.watching import looking, subjects, watcher
from local_emr.endpoint import running
from tests.conformance.telling import LOCAL, Pauses
from tests.local_emr.asking import arm, ask
from tests.local_emr.scripted import ScriptedEngine

EAST, WEST = "us-east-1", "us-west-2"
TARGETS = {"ec2": "elasticmapreduce", "eks": "emr-containers", "serverless": "emr-serverless"}
REGIONS = f"""
regions:
  {WEST}: {{buckets: {{artifacts: west-artifacts, logs: west-logs}}}}
"""
ELSEWHERE = "".join(
    f"""
  {target}-west:
    extends: {target}
    region: {WEST}
"""
    for target in TARGETS
)


class Ti(SimpleNamespace):
    """What tasks use of a task instance."""

    log_url = "http://127.0.0.1/"
    try_number = 1

    def xcom_push(self, key, value):
        self.pushed[key] = value


class World:
    """Airflow's context of each task of one run, and clients of both regions."""

    def __init__(self, url, target):
        self.url, self.target = url, target
        self.acquired = None
        self.stores = {"acquire": {}, "job": {}, "release": {}}
        self.boto = {}
        with (
            DAG("d", schedule=None, start_date=datetime(2013, 1, 1, tzinfo=UTC)) as self.dag,
            EmrPipeline("emr", targets=[[target, f"{target}-west"]]),
        ):
            EmrJobOperator(task_id="job", job=SparkJob(script="jobs/a.py", args=("hold", "a")))

    def client(self, service, region, attempts=2):
        if (service, region, attempts) not in self.boto:
            self.boto[service, region, attempts] = boto3.client(
                service,
                endpoint_url=self.url,
                region_name=region,
                aws_access_key_id="local",
                aws_secret_access_key="local",
                config=Config(retries={"total_max_attempts": attempts}),
            )
        return self.boto[service, region, attempts]

    def clients(self, connection, region):
        return Clients(
            repeating=lambda service: self.client(service, region), once=lambda service: self.client(service, region, 1)
        )

    def context(self, task):
        ti = Ti(
            dag_id="d",
            task_id=f"emr.{task}",
            run_id="r",
            map_index=-1,
            max_tries=0,
            pushed={},
            xcom_pull=lambda **_: self.acquired,
        )
        store = self.stores[task]
        return {
            "ti": ti,
            "dag": self.dag,
            "run_id": "r",
            "params": self.dag.params.dump(),
            "dag_run": SimpleNamespace(conf={}, run_type="manual", clear_number=0),
            "task_state_store": SimpleNamespace(get=store.get, set=store.__setitem__),
        }

    def execute(self, task):
        return self.dag.get_task(f"emr.{task}").execute(self.context(task))

    def resume(self, task, deferred, event):
        return self.dag.get_task(f"emr.{task}").resume(self.context(task), event, **deferred.kwargs)

    def acquire(self):
        self.acquired = self.execute("acquire")
        return self.acquired

    def lose(self, region=EAST, service=None, **more):
        arm(self, "region_down", service=service, region=region, **more)

    def recover(self):
        ask(self, "DELETE")

    def lookup(self, profile):
        found = current_environment().profile(profile)
        return target_for(found, self.clients(None, found.region)).lookup(Lease("local", "d", "r", "emr"))


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with running(tmp_path_factory.mktemp("endpoint"), ScriptedEngine, boot_seconds=0.0) as url:
        for region, buckets in {EAST: ("local-logs", "local-artifacts"), WEST: ("west-logs", "west-artifacts")}.items():
            s3 = boto3.client(
                "s3", endpoint_url=url, region_name=region, aws_access_key_id="a", aws_secret_access_key="b"
            )
            for bucket in buckets:
                where = {} if region == EAST else {"CreateBucketConfiguration": {"LocationConstraint": region}}
                s3.create_bucket(Bucket=bucket, **where)
        yield url


@pytest.fixture(params=TARGETS)
def world(request, url, tmp_path, monkeypatch):
    (tmp_path / "compute").mkdir()
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "a.py").write_text(f"print({request.node.name!r})")
    (tmp_path / "compute" / "local.yaml").write_text(LOCAL.read_text() + ELSEWHERE + REGIONS)
    monkeypatch.setenv("EMR_PIPELINES_INCLUDE", str(tmp_path))
    monkeypatch.setenv("EMR_PIPELINES_ENVIRONMENT", "local")
    for module in (looking, once):
        monkeypatch.setattr(module, "time", Pauses())
    made = World(url, request.param)
    monkeypatch.setattr(clients, "clients_for", made.clients)
    yield made
    made.recover()
    for profile in (made.target, f"{made.target}-west"):
        for compute in made.lookup(profile):
            found = current_environment().profile(profile)
            target_for(found, made.clients(None, found.region)).release(compute)


DOWN = {
    "all of it": {},
    "all of it, silently": {"silent": True},
    "its EMR": {"service": "EMR"},
    "its S3": {"service": "s3"},
}


@pytest.mark.parametrize("what", DOWN)
def test_a_run_whose_first_region_does_not_answer_is_acquired_in_the_second_with_code_of_its_bucket(world, what):
    down = dict(DOWN[what])
    if down.get("service") == "EMR":
        down["service"] = TARGETS[world.target]
    world.lose(**down)
    acquired = world.acquire()
    assert acquired["choice"]["profile"] == f"{world.target}-west"
    assert [one["profile"] for one in acquired["choice"]["refused"]] == [world.target]
    address = acquired["code"]["jobs/a.py"]
    assert re.fullmatch(r"s3://west-artifacts/code/[0-9a-f]{32}/a\.py", address)
    key = address.removeprefix("s3://west-artifacts/")
    assert world.client("s3", WEST).head_object(Bucket="west-artifacts", Key=key)["ContentLength"] > 0


def test_when_no_region_answers_each_is_told_and_release_says_what_may_run(world):
    world.lose(EAST)
    world.lose(WEST)
    with pytest.raises(
        ComputeUnavailableError, match=rf"(?s){world.target}: .*{world.target}-west: .*A retry tries again"
    ):
        world.acquire()
    with pytest.raises(ComputeError, match="may still run and cost until it is idle"):
        world.execute("release")


def test_what_starts_in_a_region_that_is_lost_meanwhile_is_left_for_the_next_and_for_release(world, monkeypatch):
    starting = ComputeState(Phase.STARTING, "starting")
    monkeypatch.setattr(acquiring, "wait_briefly", lambda *_: starting)
    with pytest.raises(TaskDeferred) as deferred:
        world.acquire()
    monkeypatch.setattr(acquiring, "wait_briefly", lambda look, _: look())
    world.lose()
    world.acquired = world.resume("acquire", deferred.value, {"unreachable": "no answer"})
    assert world.acquired["choice"]["profile"] == f"{world.target}-west"
    assert "no answer" in world.acquired["choice"]["refused"][0]["reason"]
    world.execute("release")
    assert [one.id for one in world.lookup(f"{world.target}-west") if one.owner == "run"] == []
    world.recover()
    (left,) = world.lookup(world.target)
    assert left.id == deferred.value.kwargs["progress"]["compute"]["id"]


def test_the_watcher_tells_who_waits_for_compute_that_its_region_does_not_answer(world, monkeypatch):
    monkeypatch.setattr(acquiring, "wait_briefly", lambda *_: ComputeState(Phase.STARTING, "starting"))
    monkeypatch.setattr(watcher, "_watchers", {})
    monkeypatch.setattr(watcher, "paced_clients", lambda _, region, __: world.clients(None, region))
    monkeypatch.setattr(subjects.Computes, "patience", 0.0)
    with pytest.raises(TaskDeferred) as deferred:
        world.acquire()
    world.lose()
    event = asyncio.run(anext(deferred.value.trigger.run()))
    assert "ServiceUnavailable" in event.payload["unreachable"]


def test_compute_of_the_last_profile_is_waited_for_though_its_region_does_not_answer(world, monkeypatch):
    world.lose(EAST)
    monkeypatch.setattr(acquiring, "wait_briefly", lambda *_: ComputeState(Phase.STARTING, "starting"))
    with pytest.raises(TaskDeferred) as deferred:
        world.acquire()
    assert deferred.value.kwargs["progress"]["compute"]["profile"] == f"{world.target}-west"
    with pytest.raises(TaskDeferred) as again:
        world.resume("acquire", deferred.value, {"unreachable": "no answer"})
    assert again.value.kwargs == deferred.value.kwargs


def test_a_region_that_the_run_has_not_used_fails_no_release(world, monkeypatch):
    said = []
    monkeypatch.setattr(releasing.logger, "warning", lambda text, *values: said.append(text % values))
    world.lose(EAST)
    world.acquire()
    world.execute("release")
    assert [one.id for one in world.lookup(f"{world.target}-west") if one.owner == "run"] == []
    (warning,) = said
    assert f"Profile {world.target!r} could not be asked whether it has anything of this run" in warning
    assert f"the reaper ends it once {EAST} answers again" in warning


def test_a_region_that_the_run_works_in_fails_its_release_until_it_is_back(world):
    world.acquire()
    world.lose(EAST)
    with pytest.raises(ComputeError, match=rf"\(profile '{world.target}'\)\. Compute of lease .* may still run"):
        world.execute("release")
    world.recover()
    world.execute("release")
    assert [one.id for one in world.lookup(world.target) if one.owner == "run"] == []


def test_a_job_in_a_region_that_is_lost_is_waited_for_and_not_started_again(world, monkeypatch):
    monkeypatch.setattr(operators, "show_links", lambda *_: None)
    world.acquire()
    with pytest.raises(TaskDeferred) as deferred:
        world.execute("job")
    run = deferred.value.kwargs["job_run"]
    world.lose(EAST)
    with pytest.raises(TaskDeferred) as woken:
        world.resume("job", deferred.value, {"state": "SUCCEEDED"})
    assert woken.value.kwargs == deferred.value.kwargs
    with pytest.raises(
        JobDeadlineError, match=rf"(?s){run} ran longer .* could not be cancelled: .*may still work and cost"
    ):
        world.resume("job", deferred.value, {"deadline": True})
    with pytest.raises(JobError, match=r"It may still work, so no other is started; a retry asks again\."):
        world.execute("job")
    world.recover()
    with pytest.raises(TaskDeferred) as adopted:
        world.execute("job")
    assert adopted.value.kwargs["job_run"] == run


def test_a_bucket_for_code_that_a_region_lacks_is_said_with_the_region(world, tmp_path):
    written = (LOCAL.read_text() + ELSEWHERE + REGIONS).replace("west-artifacts", "gone-artifacts")
    (tmp_path / "compute" / "local.yaml").write_text(written)
    world.lose(EAST)
    with pytest.raises(
        ConfigurationError, match=rf"There is no bucket 'gone-artifacts' for the job code of region {WEST}: create it"
    ):
        world.acquire()
