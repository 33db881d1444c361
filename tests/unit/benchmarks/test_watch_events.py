"""The events of a plan are those that our listener reads, and the queue that holds them is like SQS's."""

import time
from collections import Counter

import pytest

from benchmarks.watch.announcing import announcements, event, lost
from benchmarks.watch.plan import Plan
from benchmarks.watch.sqs import Queue
from emr_pipelines.events import Ended, ended_in
from tests.unit.benchmarks.test_watch_endpoint import client_of

ADDRESS = "http://127.0.0.1/123456789012/ends"
ASKED = {"QueueUrl": ADDRESS, "MaxNumberOfMessages": 10, "MessageSystemAttributeNames": ["All"]}


@pytest.fixture
def queue():
    made = Queue()
    for number in range(12):
        made.send(f"message {number}", 100.0 + number)
    return made


def entries(messages, **more):
    return [{"Id": one["MessageId"], "ReceiptHandle": one["ReceiptHandle"], **more} for one in messages]


def bodies(messages):
    return [one["Body"] for one in messages]


def test_a_few_percent_of_the_ends_are_lost_and_as_many_come_twice():
    plan = Plan("serverless", 10_000, 60)
    counts = Counter(one.run.id for one in announcements(plan) if one.run.ends > 0)
    ending = {run.id for run in plan.waited if run.ends}
    assert ending - set(counts) == lost(plan)
    assert 0.02 < len(lost(plan)) / len(ending) < 0.06
    assert 0.02 < sum(count == 2 for count in counts.values()) / len(ending) < 0.06
    assert set(counts.values()) == {1, 2}


@pytest.mark.parametrize("service", ["serverless", "ec2"])
def test_events_come_soon_after_the_end_and_one_comes_before_the_window(service):
    first, *others = announcements(Plan(service, 100, 60))
    assert first.at < -59
    assert all(0.2 <= one.at - one.run.ends <= 0.8 for one in (first, *others))
    assert all(0 < one.run.ends <= 60 for one in others)


def test_our_listener_reads_the_end_of_a_job_run_and_of_a_step():
    serverless, ec2 = Plan("serverless", 10, 60), Plan("ec2", 10, 60)
    run = next(run for run in serverless.waited if run.ends and run.succeeds)
    step = next(run for run in ec2.waited if run.ends and run.succeeds)
    assert ended_in(event(serverless, run, "us-east-1", 1e9)) == Ended(
        "us-east-1", "serverless", run.compute, f"{run.compute}/{run.id}", "SUCCESS"
    )
    assert ended_in(event(ec2, step, "us-east-1", 1e9)) == Ended("us-east-1", "ec2", step.compute, step.id, "COMPLETED")


def test_messages_are_received_ten_at_a_time_when_their_time_has_come(queue):
    assert bodies(queue.receive(99.9)) == []
    assert bodies(queue.receive(101.5)) == ["message 0", "message 1"]
    assert queue.next_at() == 102.0
    assert len(queue.receive(120.0)) == 10
    assert queue.receive(120.0) == []


def test_what_was_received_is_shown_again_until_it_is_deleted(queue):
    kept, deleted = queue.receive(101.0)
    assert queue.delete(entries([deleted])) == {"Successful": [{"Id": deleted["MessageId"]}], "Failed": []}
    queue.delete(entries(queue.receive(120.0)))
    assert queue.receive(130.9) == []
    again = queue.receive(131.0)
    assert bodies(again) == bodies([kept])
    assert again[0]["Attributes"] == {"ApproximateReceiveCount": "2", "SentTimestamp": "100000"}
    queue.delete(entries(again))
    assert queue.next_at() is None


def test_a_message_is_shown_again_when_its_reader_says(queue):
    [message] = queue.receive(100.0)
    queue.change_visibility(entries([message], VisibilityTimeout=0), 100.1)
    [again] = queue.receive(100.1)
    queue.change_visibility(entries([again], VisibilityTimeout=60), 100.2)
    assert len(queue.receive(160.1)) == 10
    assert bodies(queue.receive(160.1)) == ["message 11"]
    assert bodies(queue.receive(160.2)) == ["message 0"]


def test_a_message_that_is_shown_already_cannot_be_shown_later(queue):
    [message] = queue.receive(100.0)
    answer = queue.change_visibility(entries([message], VisibilityTimeout=60), 130.0)
    assert [one["Id"] for one in answer["Failed"]] == ["0"]
    assert "message 0" in bodies(queue.receive(130.0)) + bodies(queue.receive(130.0))


def test_what_is_not_there_any_more_is_told_as_failed(queue):
    [message] = queue.receive(100.0)
    queue.delete(entries([message]))
    for answer in (
        queue.delete(entries([message])),
        queue.change_visibility(entries([message], VisibilityTimeout=1), 1.0),
    ):
        assert [(one["Id"], one["Code"]) for one in answer["Failed"]] == [("0", "ReceiptHandleIsInvalid")]


def test_a_long_poll_is_answered_when_the_event_comes():
    plan = Plan("serverless", 10, 60)
    following = min(one.at for one in announcements(plan) if one.run.ends > 0)
    began = time.time() - following + 1.0
    with client_of("sqs", plan, began) as client:
        sent = 0.0
        while sent < began:
            received = client.receive_message(**ASKED, WaitTimeSeconds=20)["Messages"]
            answered = time.time()
            sent = max(int(one["Attributes"]["SentTimestamp"]) / 1000 for one in received)
            client.delete_message_batch(QueueUrl=ADDRESS, Entries=entries(received))
    assert sent == pytest.approx(began + following, abs=0.001)
    assert 0 <= answered - began - following < 10


def test_a_message_comes_back_through_a_client_and_an_empty_poll_ends_with_its_time():
    plan = Plan("serverless", 10, 60)
    with client_of("sqs", plan, time.time()) as client:
        [first] = client.receive_message(**ASKED)["Messages"]
        client.change_message_visibility_batch(QueueUrl=ADDRESS, Entries=entries([first], VisibilityTimeout=0))
        [again] = client.receive_message(**ASKED)["Messages"]
    with client_of("sqs", plan, time.time() + 1_000) as client:
        began = time.monotonic()
        nothing = client.receive_message(**ASKED, WaitTimeSeconds=1)
    assert again["Attributes"]["ApproximateReceiveCount"] == "2"
    assert "Messages" not in nothing
    assert time.monotonic() - began >= 1
