"""What a message of EventBridge says, what becomes of it, and the queue that it comes from."""

from __future__ import annotations

import json
import logging
import random
import uuid
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emr_pipelines.events import DELETE, LATER, MOST, Ended, Fate, Queue, back_off, ended_in, fate
from local_emr.endpoint import running
from tests.local_emr.asking import arm
from tests.local_emr.conftest import client_of
from tests.local_emr.scripted import ManualClock, ScriptedEngine

STEP = {
    "version": "0",
    "id": "999cccaa-eaaa-0000-1111-123456789012",
    "detail-type": "EMR Step Status Change",
    "source": "aws.emr",
    "account": "123456789012",
    "time": "2016-12-16T20:53:09Z",
    "region": "us-east-1",
    "resources": [],
    "detail": {
        "severity": "ERROR",
        "actionOnFailure": "CONTINUE",
        "stepId": "s-ZYXWVUTSRQPON",
        "name": "CustomJAR",
        "clusterId": "j-123456789ABCD",
        "state": "FAILED",
        "message": "Step s-ZYXWVUTSRQPON (CustomJAR) in Amazon EMR cluster j-123456789ABCD failed at 2016-12-16 20:53 UTC.",
    },
}
"""As in the EMR Management Guide, "When to set up EMR events in CloudWatch"."""

CLUSTER = STEP | {
    "detail-type": "EMR Cluster State Change",
    "detail": {
        "severity": "INFO",
        "stateChangeReason": '{"code":"USER_REQUEST","message":"Terminated by user request"}',
        "name": "Development Cluster",
        "clusterId": "j-123456789ABCD",
        "state": "TERMINATED",
        "message": "Amazon EMR Cluster j-123456789ABCD (Development Cluster) has terminated at 2016-12-16 21:00 UTC.",
    },
}

SERVERLESS = STEP | {
    "detail-type": "EMR Serverless Job Run State Change",
    "source": "aws.emr-serverless",
    "detail": {
        "jobRunId": "00f1cbn5g4bb0c01",
        "applicationId": "00f1982r1uukb925",
        "arn": "arn:aws:emr-serverless:us-east-1:123456789012:/applications/00f1982r1uukb925/jobruns/00f1cbn5g4bb0c01",
        "releaseLabel": "emr-6.6.0",
        "state": "SUCCESS",
        "previousState": "RUNNING",
        "updatedAt": "2022-05-31T21:07:42.299487Z",
        "createdAt": "2022-05-31T21:07:25.325900Z",
    },
}
"""As in the EMR Serverless User Guide, "Automating EMR Serverless with Amazon EventBridge"."""

EKS_ARN = "arn:aws:emr-containers:us-east-1:123456789012:/virtualclusters/8ww2gd4ug0nc/jobruns/00000002abc"
EKS = STEP | {
    "detail-type": "EMR Job Run State Change",
    "source": "aws.emr-containers",
    "detail": {"virtualClusterId": "8ww2gd4ug0nc", "id": "00000002abc", "name": "clean", "state": "COMPLETED"},
}


def changed(event, **detail):
    return event | {"detail": event["detail"] | detail}


EKS_BY_ARN = EKS | {"resources": [EKS_ARN], "detail": {"state": "CANCELLED"}}

# What a message says


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (STEP, Ended("us-east-1", "ec2", "j-123456789ABCD", "s-ZYXWVUTSRQPON", "FAILED")),
        (
            changed(STEP, state="INTERRUPTED"),
            Ended("us-east-1", "ec2", "j-123456789ABCD", "s-ZYXWVUTSRQPON", "INTERRUPTED"),
        ),
        (CLUSTER, Ended("us-east-1", "ec2", "j-123456789ABCD", "", "TERMINATED")),
        (
            SERVERLESS,
            Ended("us-east-1", "serverless", "00f1982r1uukb925", "00f1982r1uukb925/00f1cbn5g4bb0c01", "SUCCESS"),
        ),
        (EKS, Ended("us-east-1", "eks", "8ww2gd4ug0nc", "00000002abc", "COMPLETED")),
        (EKS_BY_ARN, Ended("us-east-1", "eks", "8ww2gd4ug0nc", "00000002abc", "CANCELLED")),
        (
            EKS | {"detail-type": "EmrContainers Job Run State Change"},
            Ended("us-east-1", "eks", "8ww2gd4ug0nc", "00000002abc", "COMPLETED"),
        ),
        (changed(STEP, state="RUNNING"), None),
        ({name: told for name, told in STEP.items() if name != "region"}, None),
        (changed(STEP, state=["FAILED"]), None),
        (changed(CLUSTER, state="WAITING"), None),
        (changed(SERVERLESS, state="QUEUED"), None),
        (changed(EKS, state="CANCEL_PENDING"), None),
        (EKS | {"detail": {"state": "FAILED"}}, None),
        (STEP | {"source": "aws.emr-serverless"}, None),
        (SERVERLESS | {"detail-type": "EMR Serverless Application State Change"}, None),
        (EKS | {"detail-type": "EMR Job Run New Driver Attempt"}, None),
    ],
)
def test_a_message_tells_of_an_end_or_of_none(event, expected):
    assert ended_in(json.dumps(event)) == expected


@pytest.mark.parametrize("body", ["", "flights", "null", "[]", "{}", '"aws.emr"', "[" * 100_000, json.dumps(STEP)[:-2]])
def test_garbage_tells_of_no_end(body):
    assert ended_in(body) is None


VALUES = st.sampled_from([None, True, 7, "", "FAILED", [], ["FAILED"], {}, {"state": "FAILED"}])


@settings(deadline=None, max_examples=50)
@given(st.sampled_from([STEP, CLUSTER, SERVERLESS, EKS, EKS_BY_ARN]), st.data())
def test_a_message_whose_fields_are_not_as_aws_has_them_tells_what_it_can_and_raises_nothing(event, data):
    detail = {name: data.draw(st.just(value) | VALUES) for name, value in event["detail"].items()}
    kept = data.draw(st.sets(st.sampled_from(sorted(detail))))
    told = ended_in(json.dumps(event | {"detail": {name: detail[name] for name in kept}}))
    ends = {"FAILED", "TERMINATED", "SUCCESS", "COMPLETED", "CANCELLED", "INTERRUPTED", "TERMINATED_WITH_ERRORS"}
    assert told is None or (told.state in ends and told.state == detail["state"] and isinstance(told.run, str))


# What becomes of it


@pytest.mark.parametrize(
    ("received", "triggerers", "waited_for", "again_in"),
    [
        (1, 1, True, None),
        (99, 3, True, None),
        (1, 1, False, 5),
        (2, 1, False, None),
        (1, 2, False, 0),
        (6, 2, False, 0),
        (7, 2, False, 1),
        (8, 2, False, 5),
        (9, 2, False, None),
        (12, 4, False, 0),
        (13, 4, False, 1),
        (16, 4, False, 5),
        (17, 4, False, None),
    ],
)
def test_what_becomes_of_a_message(received, triggerers, waited_for, again_in):
    assert fate(received, triggerers, waited_for) == Fate(again_in)


@pytest.mark.parametrize("triggerers", range(1, 40))
def test_a_message_that_nobody_waits_for_is_deleted_after_it_was_shown_to_each_several_times(triggerers):
    shown = next(number for number in range(1, 1000) if fate(number, triggerers, waited_for=False) == DELETE)
    assert shown == (2 if triggerers == 1 else 4 * triggerers + 1)
    assert fate(shown - 1, triggerers, waited_for=False) == Fate(LATER)
    missed = ((triggerers - 1) / triggerers) ** shown
    assert missed < 0.018


def test_few_messages_miss_their_triggerer_and_none_stays():
    """Each reception is any triggerer's; of 20,000 messages to one of three at most 1 % are deleted unheard: 0.5 % are expected."""
    dice, triggerers, heard = random.Random(2016), 3, Counter()
    for _ in range(20_000):
        received, own, again = 0, False, Fate(0)
        while again != DELETE:
            received += 1
            own = dice.randrange(triggerers) == 0
            again = fate(received, triggerers, waited_for=own)
        heard[own] += 1
    assert 0.002 < heard[False] / 20_000 < 0.01


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from("abc"), max_size=12), st.randoms(use_true_random=False), st.integers(1, 4))
def test_whatever_comes_twice_late_out_of_order_or_never_no_message_stays_and_only_who_waits_is_woken(
    sent, dice, triggerers
):
    """Job runs a, b and c are waited for by one triggerer each; messages arrive in any order, any number of times."""
    waiting = {run: dice.randrange(triggerers) for run in "abc"}
    queue, woken = [[run, 0] for run in sent], set()
    for _ in range(1000):
        if not queue:
            break
        message = queue.pop(dice.randrange(len(queue)))
        message[1] += 1
        reader = dice.randrange(triggerers)
        waited_for = waiting.get(message[0]) == reader
        if waited_for:
            del waiting[message[0]]
            woken.add(message[0])
        if fate(message[1], triggerers, waited_for).again_in is not None:
            queue.append(message)
    assert queue == []
    assert woken <= set(sent)
    assert woken | set(waiting) == set("abc")


# The queue


class Asked:
    """The queue of an endpoint, a client of it that asks once, and a clock that the test moves."""

    def __init__(self, url, name):
        self.url = url
        self.sqs = client_of(url, "sqs")
        self.address = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        self.time, self.waited = 100.0, []
        self.queue = Queue(self.sqs, self.address, now=lambda: self.time, wait=self.waited.append)

    def send(self, *bodies):
        for body in bodies:
            self.sqs.send_message(QueueUrl=self.address, MessageBody=body)

    def advance(self, seconds):
        self.time += seconds

    def bodies(self):
        return sorted(message.body for message in self.queue.receive(1))

    def warned(self, caplog):
        """Return what was said since the last time, and how gravely."""
        said = [(record.levelname, record.getMessage()) for record in caplog.records if "queue of events" in record.msg]
        caplog.clear()
        return said


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with running(tmp_path_factory.mktemp("endpoint"), ScriptedEngine, clock=ManualClock()) as url:
        yield url


@pytest.fixture
def asked(url):
    return Asked(url, f"events-{uuid.uuid4().hex}")


def test_messages_are_received_with_how_often_and_since_when(asked):
    asked.send("a")
    (first,) = asked.queue.receive(1)
    asked.queue.settle([(first, Fate(0))])
    (again,) = asked.queue.receive(1)
    assert (first.body, first.received, again.body, again.received) == ("a", 1, "a", 2)
    assert first.sent == again.sent > 1_700_000_000


def test_what_is_deleted_is_gone_and_what_is_given_back_is_there_when_it_shall_be(asked):
    asked.send("deleted", "at once", "later")
    fates = {"deleted": DELETE, "at once": Fate(0), "later": Fate(LATER)}
    received = []
    while len(received) < len(fates):
        received += asked.queue.receive(1)
    asked.queue.settle((message, fates[message.body]) for message in received)
    assert asked.bodies() == ["at once"]


def test_more_messages_than_one_call_takes_are_settled(asked):
    sizes = []  # moto takes batches of any size, SQS of ten
    asked.sqs.meta.events.register(
        "before-parameter-build.sqs", lambda params, **_: sizes.append(len(params.get("Entries", [])))
    )
    numbers = [f"{number:02}" for number in range(MOST + 2)]
    asked.send(*numbers)
    received = asked.queue.receive(1)
    assert len(received) == MOST
    received += asked.queue.receive(1)
    assert sorted(message.body for message in received) == numbers
    asked.queue.settle((message, Fate(0)) for message in received)
    again = asked.queue.receive(1) + asked.queue.receive(1)
    assert sorted(message.body for message in again) == numbers
    asked.queue.settle((message, DELETE) for message in again)
    assert asked.queue.receive(0) == []
    assert [size for size in sizes if size] == [10, 2, 10, 2]


def test_a_message_that_the_queue_does_not_take_any_more_leaves_the_others_their_fate(asked, caplog):
    asked.send("a")
    (message,) = asked.queue.receive(1)
    stale = replace(message, receipt="of another time")
    asked.queue.settle([(stale, DELETE), (message, DELETE), (message, DELETE)])
    asked.queue.settle([(stale, Fate(0)), (message, Fate(0))])
    assert (asked.queue.receive(0), asked.warned(caplog)) == ([], [])


def test_a_queue_that_fails_rests_longer_each_time_and_is_told_of_once(asked, caplog):
    caplog.set_level(logging.INFO)
    asked.send("a")
    arm(asked, "error", "sqs", count=2)
    assert asked.queue.answers
    assert asked.queue.receive(7) == []
    assert not asked.queue.answers
    ((level, words),) = asked.warned(caplog)
    assert (level, words.partition(": ")[0]) == ("WARNING", f"The queue of events {asked.address} does not answer")
    assert (asked.queue.receive(7), asked.waited) == ([], [1.0])
    asked.advance(1)
    assert (asked.queue.receive(7), asked.waited) == ([], [1.0])
    assert (asked.queue.receive(1), asked.waited) == ([], [1.0, 1])
    asked.advance(2)
    assert asked.bodies() == ["a"]
    assert asked.warned(caplog) == [("INFO", f"The queue of events {asked.address} answers again")]
    assert asked.waited == [1.0, 1]
    assert asked.queue.answers


def test_of_a_queue_that_is_not_there_cause_and_cure_are_told_once(asked, caplog):
    asked.sqs.delete_queue(QueueUrl=asked.address)
    for _ in range(3):
        assert asked.queue.receive(0) == []
        asked.advance(60)
    ((level, words),) = asked.warned(caplog)
    assert level == "ERROR"
    assert "The specified queue does not exist" in words
    assert "Deploy include/infra/events.yaml" in words


def test_a_settlement_that_fails_is_no_error_and_its_messages_come_again(asked, caplog):
    asked.send("a")
    (message,) = asked.queue.receive(1)
    arm(asked, "throttle", "sqs")
    asked.queue.settle([(message, DELETE)])
    assert [level for level, _ in asked.warned(caplog)] == ["WARNING"]
    asked.queue.settle([(message, Fate(0))])
    asked.advance(1)
    assert asked.bodies() == ["a"]


@pytest.mark.parametrize(("failures", "seconds"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (8, 60), (10_000, 60)])
def test_how_long_a_queue_rests(failures, seconds):
    assert back_off(failures) == seconds


def test_triggerers_that_share_a_queue_each_hear_of_their_own_job_runs(asked):
    runs = [f"s-{number}" for number in range(24)]
    triggerers = [(Queue(asked.sqs, asked.address), set(runs[own::3])) for own in range(3)]
    asked.send(*(json.dumps(changed(STEP, stepId=run)) for run in [*runs, *runs[:5]]))
    heard = Counter()
    for queue, own in triggerers * 9:
        received = [(message, ended_in(message.body).run) for message in queue.receive(1)]
        heard.update(run for _, run in received if run in own)
        queue.settle((message, fate(message.received, 3, run in own)) for message, run in received)
        if heard.total() == len(runs) + 5:
            break
    assert heard == Counter([*runs, *runs[:5]])
