"""The watcher's clients: what botocore does when, on a connection that nobody answers or a service that refuses."""

from __future__ import annotations

from types import SimpleNamespace

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError

from emr_pipelines.watching import calls, metrics
from emr_pipelines.watching.calls import keep_within


@pytest.fixture
def happened():
    return []


@pytest.fixture
def client(happened, monkeypatch):
    """A client that repeats a call once, of a service that always throttles."""
    client = boto3.client(
        "emr",
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=Config(retries={"mode": "standard", "total_max_attempts": 2}),
    )
    body = b'{"__type": "ThrottlingException", "message": "Rate exceeded"}'
    raw = SimpleNamespace(stream=lambda **_: [body], read=lambda *_: body)
    client.meta.events.register("before-sign", lambda **_: happened.append("signed"))
    client.meta.events.register("before-send", lambda request, **_: AWSResponse(request.url, 400, {}, raw))
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    monkeypatch.setattr(metrics, "called", lambda *what: happened.append(("called", *what)))
    monkeypatch.setattr(metrics, "throttled", lambda *what: happened.append(("throttle counted", *what)))
    return client


def test_each_attempt_waits_for_the_budget_before_it_is_signed_and_a_throttle_is_told(client, happened):
    budget = SimpleNamespace(
        wait_for=lambda operation: happened.append(("waited", operation)),
        throttled=lambda operation: happened.append(("throttled", operation)),
    )
    with pytest.raises(ClientError, match="Rate exceeded"):
        keep_within(client, budget).list_steps(ClusterId="j-1")
    attempt = [
        ("waited", "ListSteps"),
        ("called", "emr", "ListSteps"),
        "signed",
        ("throttled", "ListSteps"),
        ("throttle counted", "emr", "ListSteps"),
    ]
    assert happened == attempt * 2


def test_only_services_with_a_budget_are_paced(monkeypatch):
    made, paced = [], []
    monkeypatch.setattr(calls, "maker_of", lambda *_: lambda service, retries: made.append(service) or service)
    monkeypatch.setattr(calls, "keep_within", lambda client, budget: paced.append((client, budget)) or client)
    clients = calls.paced_clients(None, "us-east-1", lambda service: f"budget of {service}")
    for service in ("emr", "s3", "emr", "emr-serverless", "emr-containers"):
        clients.repeating(service)
    assert made == ["emr", "s3", "emr-serverless", "emr-containers"]
    assert paced == [(name, f"budget of {name}") for name in ("emr", "emr-serverless", "emr-containers")]
