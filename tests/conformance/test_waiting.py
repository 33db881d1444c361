"""Waiting, as the triggerer does it: triggers, watcher and queue of events beside an endpoint of each service."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from emr_pipelines import clients
from emr_pipelines.targets.base import Compute
from emr_pipelines.watching import JobRunTrigger, listening, watcher
from emr_pipelines.watching.budget import Budget
from emr_pipelines.watching.listening import Listener
from emr_pipelines.watching.pace import Pace
from tests.local_emr.asking import arm
from tests.local_emr.conftest import boot_seconds, endpoint  # noqa: F401  fixtures
from tests.local_emr.scripted import SUCCESS, eventually
from tests.local_emr.services import SERVICES, Ec2, Serverless
from tests.support.endpoint import CLIENT_ENVIRONMENT, ROOT

TARGETS = dict(zip(SERVICES, ("ec2", "eks", "serverless"), strict=True))
SECONDS = 30
LOOKS = {"ec2": "ListSteps", "eks": "ListJobRuns", "serverless": "ListJobRuns"}


@pytest.fixture
def include(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "include"
    (folder / "compute").mkdir(parents=True)
    (folder / "compute" / "local.yaml").write_text((ROOT / "include/compute/local.yaml").read_text())
    monkeypatch.setenv("EMR_PIPELINES_INCLUDE", str(folder))
    return folder


@pytest.fixture(params=SERVICES, ids=lambda service: TARGETS[service])
def service(request, endpoint, include, monkeypatch):  # noqa: F811  the fixture
    """A service with compute, in a process that has not watched yet, and looks often."""
    for name, value in CLIENT_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint.url)
    monkeypatch.setattr(watcher, "_watchers", {})
    monkeypatch.setattr(listening, "_listener", [])
    monkeypatch.setattr(listening, "IN_TRIGGERER", Pace(soonest=0.05, latest=0.2))
    monkeypatch.setattr(
        watcher, "Budget", lambda service, _: Budget(service, 50.0)
    )  # this endpoint allows any number of calls
    for cached in (clients.clients_for, clients.maker_of):
        cached.cache_clear()
    yield request.param(endpoint)
    for listener in listening._listener:
        listener.stop()


def trigger_for(service, run, **arguments):
    target = TARGETS[type(service)]
    parts = {"spark": service.id} if isinstance(service, Serverless) else {}
    compute = Compute(target, target, service.id, "", parts=parts)
    name = f"{service.id}/{run}" if isinstance(service, Serverless) else run
    return JobRunTrigger(compute.to_json(), name, None, **{"since": service.endpoint.clock.now(), **arguments})


def rebuilt(trigger):
    """What another triggerer makes of what Airflow's database holds."""
    _, arguments = trigger.serialize()
    return type(trigger)(**json.loads(json.dumps(arguments)))


async def event_of(trigger):
    return (await asyncio.wait_for(anext(trigger.run()), SECONDS)).payload


def let_end(service, name):
    held = service.endpoint.engine.held
    eventually(lambda: name in held, expected=True)
    held[name].end(SUCCESS)


def calls(endpoint):  # noqa: F811
    return Counter(entry["operation"] for entry in endpoint.journal if entry["what"] == "call")


def test_all_who_wait_are_told_the_ends_of_their_own_job_runs_by_looks_together(service):
    names = [str(number) for number in range(25)]
    runs = {name: service.start("hold", name) for name in names}
    before = calls(service.endpoint)

    async def waiting():
        waits = {name: asyncio.create_task(event_of(trigger_for(service, run))) for name, run in runs.items()}
        ended = []
        for name in names[:5]:
            await asyncio.to_thread(let_end, service, name)
            await waits[name]
            ended += [name for name, wait in waits.items() if wait.done() and name not in ended]
        for name in names[5:]:
            await asyncio.to_thread(let_end, service, name)
        return ended, [payload["state"] for payload in await asyncio.gather(*waits.values())]

    begun = time.monotonic()
    assert asyncio.run(waiting()) == (names[:5], ["succeeded"] * 25)
    looks = (time.monotonic() - begun) / (0.8 * 0.05) + 1
    made = calls(service.endpoint) - before
    assert made[LOOKS[TARGETS[type(service)]]] <= 2 * looks


def test_a_job_run_whose_triggerer_died_is_waited_for_by_the_next(service):
    run = service.start("hold", "one")
    trigger = trigger_for(service, run, since=time.time() - 3600, expected=4000.0)
    assert (rebuilt(trigger).since, rebuilt(trigger).expected) == (trigger.since, trigger.expected)

    async def killed():
        wait = asyncio.create_task(event_of(trigger))
        await asyncio.sleep(0)
        wait.cancel()

    asyncio.run(killed())
    let_end(service, "one")
    assert asyncio.run(event_of(rebuilt(trigger)))["state"] == "succeeded"


def test_a_deadline_ends_the_wait_and_nothing_else(service):
    run = service.start("hold", "one")
    trigger = trigger_for(service, run)
    trigger.deadline = time.time() - 1
    assert asyncio.run(event_of(trigger)) == {"deadline": True}
    assert service.state(run) == "RUNNING"


def test_rate_limits_and_errors_of_the_service_fail_no_wait(service):
    runs = {name: service.start("hold", name) for name in ("one", "two", "three", "four", "five")}
    arm(service.endpoint, service=service.service, fault="throttle", count=6)
    arm(service.endpoint, service=service.service, fault="error", count=4)

    async def waiting():
        waits = [asyncio.create_task(event_of(trigger_for(service, run))) for run in runs.values()]
        for name in runs:
            await asyncio.to_thread(let_end, service, name)
        return [payload["state"] for payload in await asyncio.gather(*waits)]

    assert asyncio.run(waiting()) == ["succeeded"] * 5


# Events


@pytest.fixture
def queue(service, include):
    """The queue of the stack, named in the environment; looks are far apart, so that only an event can be in time."""
    stacks = service.endpoint.client("cloudformation")
    stacks.create_stack(StackName="events", TemplateBody=(ROOT / "include/infra/events.yaml").read_text())
    (stack,) = stacks.describe_stacks(StackName="events")["Stacks"]
    url = next(output["OutputValue"] for output in stack["Outputs"] if output["OutputKey"] == "QueueUrl")
    environment = include / "compute" / "local.yaml"
    environment.write_text(f"watching: {{events_queue: '{url}', triggerers: 2}}\n" + environment.read_text())
    yield url
    urllib.request.urlopen(urllib.request.Request(f"{service.endpoint.url}/moto-api/reset", method="POST")).close()


@pytest.mark.filterwarnings("ignore:Tried to parse AWS..SQS..QueuePolicy:UserWarning")
def test_an_end_that_is_announced_is_noticed_long_before_the_next_look(service, queue, monkeypatch):
    monkeypatch.setattr(listening, "IN_TRIGGERER", Pace(soonest=3600.0, latest=3600.0))
    runs = {name: service.start("hold", name) for name in ("one", "two")}

    async def waiting():
        waits = {name: asyncio.create_task(event_of(trigger_for(service, run))) for name, run in runs.items()}
        await asyncio.sleep(0)
        await asyncio.to_thread(let_end, service, "one")
        payload = await waits["one"]
        others = waits["two"].done()
        waits["two"].cancel()
        return payload["state"], others

    assert asyncio.run(waiting()) == ("SUCCESS" if isinstance(service, Serverless) else "COMPLETED", False)


@pytest.mark.filterwarnings("ignore:Tried to parse AWS..SQS..QueuePolicy:UserWarning")
def test_an_event_that_is_lost_costs_time_and_nothing_else(service, queue):
    arm(service.endpoint, service=service.service, fault="lose_event", count=100)
    run = service.start("hold", "one")

    async def waiting():
        wait = asyncio.create_task(event_of(trigger_for(service, run)))
        await asyncio.to_thread(let_end, service, "one")
        return (await wait)["state"]

    assert asyncio.run(waiting()) == "succeeded"


class Heard:
    """A triggerer that waits for some job runs."""

    def __init__(self, *items):
        self.items = set(items)
        self.looked = []

    def hear(self, item, answer):
        found = item in self.items
        self.items.discard(item)
        return found

    def look_now(self, key):
        self.looked.append(key)
        return True


@pytest.mark.filterwarnings("ignore:Tried to parse AWS..SQS..QueuePolicy:UserWarning")
@pytest.mark.parametrize("service", [Ec2], indirect=True, ids=["ec2"])
def test_of_two_triggerers_that_share_a_queue_each_hears_of_what_it_waits_for(service, queue, monkeypatch):
    runs = [service.start("succeed") for _ in range(6)]
    first, second = Heard(*runs[::2]), Heard(*runs[1::2])
    sqs = service.endpoint.client("sqs")
    queues = [listening.Queue(sqs, queue) for _ in range(2)]
    listeners = [Listener(queue, 2, lambda _, one=one: [one]) for one in (first, second)]
    for one in queues:
        monkeypatch.setattr(one, "receive", lambda seconds=0, receive=one.receive: receive(seconds))

    def all_heard():
        for listener, one in zip(listeners, queues, strict=True):
            listener.listen_once(one)
        return first.items | second.items

    eventually(all_heard, set(), every=0)
    assert all(
        listener.trusts("ec2", "us-east-1") is False for listener in listeners
    )  # these have not begun to listen by themselves
