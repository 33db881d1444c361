"""How long a region is asked that does not answer: real clients of an endpoint that is switched off, in time that passes by itself."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError

from emr_pipelines.reach import PATIENCE, REMEMBERED, Reach
from local_emr.endpoint import running
from tests.local_emr.asking import arm, ask
from tests.local_emr.scripted import ScriptedEngine


class Clock:
    """Time that passes only when somebody sleeps, or an attempt takes long."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr("botocore.endpoint.time", made)
    return made


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with running(tmp_path_factory.mktemp("endpoint"), ScriptedEngine) as url:
        yield url


@pytest.fixture
def endpoint(url):
    yield SimpleNamespace(url=url)
    ask(SimpleNamespace(url=url), "DELETE")


def client(url, service, reach, attempt_takes=0.0, clock=None, **config):
    made = boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(retries={"mode": "standard", "total_max_attempts": 10}, **config),
    )
    if clock:
        made.meta.events.register("before-send", lambda **_: clock.sleep(attempt_takes))
    return reach.keep(made)


def attempts(endpoint):
    return ask(endpoint, "GET")[1]["faults"][0]["struck"]


def down(endpoint, **more):
    arm(endpoint, "region_down", service=None, region="us-east-1", **more)


@pytest.mark.parametrize("attempt_takes", [0.0, 10.0], ids=["at once", "after ten seconds"])
def test_a_call_that_no_attempt_brings_to_an_answer_is_given_up_within_about_a_minute(endpoint, clock, attempt_takes):
    down(endpoint)
    asking = client(endpoint.url, "emr", Reach(clock.monotonic), attempt_takes, clock)
    with pytest.raises(ClientError, match="ServiceUnavailable"):
        asking.list_clusters()
    assert clock.now < PATIENCE + 20 + attempt_takes
    assert attempts(endpoint) == 10 if attempt_takes == 0.0 else 4 <= attempts(endpoint) < 10


def test_a_region_that_was_given_up_is_asked_once_for_each_call_whatever_the_service(endpoint, clock):
    down(endpoint)
    reach = Reach(clock.monotonic)
    with pytest.raises(ClientError):
        client(endpoint.url, "emr", reach, 10.0, clock).list_clusters()
    asked = attempts(endpoint)
    with pytest.raises(ClientError):
        client(endpoint.url, "s3", reach).list_buckets()
    assert attempts(endpoint) == asked + 1
    clock.sleep(REMEMBERED + 1.0)
    with pytest.raises(ClientError):
        client(endpoint.url, "s3", reach).list_buckets()
    assert attempts(endpoint) > asked + 2


def test_a_region_that_answers_again_is_asked_as_before(endpoint, clock):
    down(endpoint)
    asking = client(endpoint.url, "emr", Reach(clock.monotonic), 10.0, clock)
    with pytest.raises(ClientError):
        asking.list_clusters()
    ask(endpoint, "DELETE")
    assert asking.list_clusters()["Clusters"] == []
    arm(endpoint, "error", operation="ListClusters", count=2)
    assert asking.list_clusters()["Clusters"] == []


def test_a_throttle_is_an_answer(endpoint, clock):
    arm(endpoint, "throttle", operation="ListClusters", count=9)
    assert client(endpoint.url, "emr", Reach(clock.monotonic), 30.0, clock).list_clusters()["Clusters"] == []


def test_a_port_at_which_nobody_listens_and_a_host_that_says_nothing_are_given_up_too(clock):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(EndpointConnectionError):
        client(f"http://127.0.0.1:{port}", "emr", Reach(clock.monotonic), 20.0, clock).list_clusters()
    assert clock.now < 90


def test_a_host_that_takes_no_connection_is_given_up(clock):
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        asking = client(f"http://127.0.0.1:{port}", "emr", Reach(clock.monotonic), 10.0, clock, connect_timeout=0.1)
        with pytest.raises(ConnectTimeoutError):
            asking.list_clusters()
        for one in waiting:
            one.close()
    assert clock.now < 70
