"""What the listener makes of the queue's messages."""

from __future__ import annotations

import json
import threading

import pytest

from emr_pipelines.watching import listening
from emr_pipelines.watching.listening import Listener, region_in
from emr_pipelines.watching.pace import BESIDE_EVENTS, IN_TRIGGERER

SECONDS = 20


def body(run, state="SUCCESS", region="eu-west-1"):
    return json.dumps(
        {
            "source": "aws.emr-serverless",
            "detail-type": "EMR Serverless Job Run State Change",
            "region": region,
            "detail": {"applicationId": "app", "jobRunId": run, "state": state},
        }
    )


CLUSTER = json.dumps(
    {
        "source": "aws.emr",
        "detail-type": "EMR Cluster State Change",
        "region": "eu-west-1",
        "detail": {"clusterId": "j-1", "state": "TERMINATED"},
    }
)


class Sqs:
    """A queue as boto3 gives it: each of ``batches`` is received once, then ``stop`` is called."""

    def __init__(self, *batches, error=None):
        self.batches = list(batches)
        self.error = error
        self.deleted, self.returned = [], []
        self.stop = lambda: None

    def receive_message(self, **_):
        if not self.batches:
            self.stop()
            if self.error:
                raise self.error
            return {}
        bodies = self.batches.pop(0)
        messages = [{"Body": text, "ReceiptHandle": text, "Attributes": {"SentTimestamp": "0"}} for text in bodies]
        return {"Messages": messages}

    def delete_message_batch(self, **request):
        self.deleted += [entry["ReceiptHandle"] for entry in request["Entries"]]
        return {}

    def change_message_visibility_batch(self, **request):
        self.returned += [entry["ReceiptHandle"] for entry in request["Entries"]]
        return {}


class Hearer:
    def __init__(self, *items):
        self.items = items
        self.told, self.looked = [], []

    def hear(self, item, answer):
        self.told.append((item, answer))
        return item in self.items

    def look_now(self, key):
        self.looked.append(key)
        return True


def listened(sqs, *hearers):
    """Let a listener take all that a queue has; return it."""
    listener = Listener("https://sqs.eu-west-1.amazonaws.com/1/events", 1, lambda _: hearers)
    sqs.stop = listener.stop
    thread = threading.Thread(target=listener.listen, args=(sqs,))
    thread.start()
    thread.join(SECONDS)
    assert not thread.is_alive()
    return listener


def test_who_waits_is_told_and_the_message_deleted():
    sqs, one, other = Sqs([body("run")]), Hearer("app/run"), Hearer()
    listened(sqs, one, other)
    assert one.told == other.told == [("app/run", {"state": "SUCCESS"})]
    assert (sqs.deleted, sqs.returned) == ([body("run")], [])


def test_what_nobody_waits_for_is_left_to_others():
    sqs = Sqs([body("run")])
    listened(sqs, Hearer())
    assert (sqs.deleted, sqs.returned) == ([], [body("run")])


def test_the_end_of_a_cluster_makes_its_look_due_and_is_left_to_others_too():
    sqs, hearer = Sqs([CLUSTER]), Hearer()
    listened(sqs, hearer)
    assert hearer.looked == [("job runs", "ec2", "j-1")]
    assert (sqs.deleted, sqs.returned) == ([], [CLUSTER])


@pytest.mark.parametrize("text", ["", "null", "{}", "no json", body("run", state="RUNNING"), "[" * 100_000])
def test_garbage_is_deleted_and_nobody_is_told(text):
    sqs, hearer = Sqs([text]), Hearer("app/run")
    listened(sqs, hearer)
    assert (sqs.deleted, hearer.told) == ([text], [])


def test_a_hearer_that_fails_ends_neither_the_listener_nor_the_other_messages():
    sqs, hearer = Sqs([body("one")], [body("two")]), Hearer("app/one", "app/two")
    told = hearer.hear

    def hear(item, answer):
        if item == "app/one":
            raise RuntimeError("its loop is closed")
        return told(item, answer)

    hearer.hear = hear
    listened(sqs, hearer)
    assert sqs.deleted == [body("two")]


def test_looks_are_rare_where_events_come_and_only_while_the_queue_answers(monkeypatch):
    paces = []
    for sqs in (Sqs([body("run")]), Sqs([body("run")], error=OSError("gone")), Sqs([])):
        monkeypatch.setattr(listening, "_listener", [listened(sqs, Hearer("app/run"))])
        places = [("serverless", "eu-west-1"), ("serverless", "us-east-1"), ("ec2", "eu-west-1")]
        paces.append([listening.pace(*place) for place in places])
    polled = [IN_TRIGGERER] * 3
    assert paces == [[BESIDE_EVENTS, IN_TRIGGERER, IN_TRIGGERER], polled, polled]


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://sqs.eu-west-1.amazonaws.com/123456789012/events", "eu-west-1"),
        ("https://vpce-0a1b-2c3d.sqs.ap-south-1.vpce.amazonaws.com/123456789012/events", "ap-south-1"),
        ("http://127.0.0.1:4566/123456789012/events", "us-east-1"),
    ],
)
def test_a_queue_is_read_in_its_own_region(url, region):
    assert region_in(url) == region
