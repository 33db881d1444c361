"""Ends of job runs that AWS announces: what a message says, what becomes of it, and the queue that it comes from.

EventBridge delivers the events of EMR by best effort (EventBridge Events Reference): they are hints that spare a wait the time to
its next look, and never a verdict. `include/infra/events.yaml` makes the rules and the queue.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from emr_pipelines.targets.once import Effect, effect_of

log = logging.getLogger(__name__)

# What a message says


@dataclass(frozen=True)
class Ended:
    """The end of a job run, in the words of its service.

    ``region`` is AWS's, ``service`` the target's name, ``compute`` the id of the cluster, virtual cluster or application, ``run`` the
    job run's id as its target writes it. Of a cluster that ended ``run`` is empty: all its steps may have ended, whoever waits for them.
    """

    region: str
    service: str
    compute: str
    run: str
    state: str


STEP_ENDS = frozenset({"COMPLETED", "FAILED", "CANCELLED", "INTERRUPTED"})
CLUSTER_ENDS = frozenset({"TERMINATED", "TERMINATED_WITH_ERRORS"})
EKS_ENDS = frozenset({"COMPLETED", "FAILED", "CANCELLED"})
SERVERLESS_ENDS = frozenset({"SUCCESS", "FAILED", "CANCELLED"})
"""The final states that events tell of, and the rules let through."""

_EKS_RUN = re.compile(r"/virtualclusters/(\w+)/jobruns/(\w+)")


def ended_in(body: str) -> Ended | None:
    """Read the message that EventBridge made of an event; ``None`` when it tells of no end.

    The fields are those of the events in the EMR Management Guide, "Monitoring Amazon EMR events with CloudWatch", and the EMR
    Serverless User Guide, "Automating EMR Serverless with Amazon EventBridge". Of EMR on EKS AWS tells the names of the events only:
    ids are read as DescribeJobRun names them, else from the job run's ARN, wherever it stands.
    """
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        return None
    match event:
        case {
            "region": str(region),
            "source": "aws.emr",
            "detail-type": "EMR Step Status Change",
            "detail": {"clusterId": str(cluster), "stepId": str(step), "state": str(state)},
        } if state in STEP_ENDS:
            return Ended(region, "ec2", cluster, step, state)
        case {
            "region": str(region),
            "source": "aws.emr",
            "detail-type": "EMR Cluster State Change",
            "detail": {"clusterId": str(cluster), "state": str(state)},
        } if state in CLUSTER_ENDS:
            return Ended(region, "ec2", cluster, "", state)
        case {
            "region": str(region),
            "source": "aws.emr-serverless",
            "detail-type": "EMR Serverless Job Run State Change",
            "detail": {"applicationId": str(application), "jobRunId": str(run), "state": str(state)},
        } if state in SERVERLESS_ENDS:
            return Ended(region, "serverless", application, f"{application}/{run}", state)
        case {
            "region": str(region),
            "source": "aws.emr-containers",
            "detail-type": "EMR Job Run State Change" | "EmrContainers Job Run State Change",
            "detail": {"state": str(state), **told},
        } if state in EKS_ENDS:
            return _eks_end(region, body, told, state)
    return None


def _eks_end(region: str, body: str, told: Mapping[object, object], state: str) -> Ended | None:
    match told:
        case {"virtualClusterId": str(cluster), "id": str(run)}:
            return Ended(region, "eks", cluster, run, state)
    found = _EKS_RUN.search(body)
    return Ended(region, "eks", found[1], found[2], state) if found else None


# What becomes of it


@dataclass(frozen=True)
class Fate:
    """What becomes of a message: shown again after so many seconds (0: at once), or deleted (``None``)."""

    again_in: int | None


DELETE = Fate(None)
"""Also of what tells of no end."""

LATER = 5
"""Seconds after which a message is shown a last time, to a trigger that was only being made when its job ended."""


def fate(received: int, triggerers: int, waited_for: bool) -> Fate:
    """Say what becomes of a message that was received so many times, by whichever of the triggerers that share the queue.

    Who waits for it deletes it. Another gives it back, for the one who waits: at once at first, later after a second, in which one
    that was busy comes back to the queue. After ``4 * triggerers`` times, or once where there is one triggerer, nobody is taken to
    wait, and a look at the next listing is left to tell. If each reception is as likely to be any triggerer's, a message misses its own
    with probability ``(1 - 1/triggerers) ** (4 * triggerers + 1)``: 0.2 % of two, 0.5 % of three, less than 1.8 % of any number.

    Of a cluster's end it is not known who else waits: hear it, and pass ``waited_for=False``.
    """
    tries = 4 * triggerers if triggerers > 1 else 1
    if waited_for or received > tries:
        return DELETE
    if received == tries:
        return Fate(LATER)
    return Fate(0 if received <= 3 * triggerers else 1)


# The queue


@dataclass(frozen=True)
class Message:
    """A message of the queue: ``received`` so many times, this one included; ``sent`` is when the queue got it (seconds since 1970)."""

    body: str
    received: int
    sent: float
    receipt: str


MOST = 10
"""Messages in one call (SQS API Reference, ReceiveMessage, DeleteMessageBatch, ChangeMessageVisibilityBatch)."""

LONGEST_POLL = 20
"""Seconds (ReceiveMessage, WaitTimeSeconds)."""


def back_off(failures: int) -> float:
    """Return the seconds that a queue is left alone after so many failures in a row: one, two, four, at most a minute."""
    return min(2.0 ** min(failures - 1, 6), 60.0)


class Queue:
    """The queue at ``url``, read with a boto3 client of SQS by one thread, whose own it is.

    Nothing that the queue answers, or fails to answer, is raised: it is logged once, and again when the queue is back. ``wait`` waits
    for so many seconds, or until the one whose queue it is has something better to do.
    """

    def __init__(
        self,
        sqs: Any,
        url: str,
        *,
        now: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        self._sqs = sqs
        self._url = url
        self._now = now
        self._wait = wait
        self._failures = 0
        self._rests_until = float("-inf")

    @property
    def answers(self) -> bool:
        """Whether the queue answered when it was last asked."""
        return self._failures == 0

    def receive(self, seconds: int = LONGEST_POLL) -> list[Message]:
        """Wait up to so many seconds for messages, and return up to ten. After a failure the queue rests, and there are none."""
        rest = self._rests_until - self._now()
        if rest > 0:
            self._wait(min(rest, seconds))
            return []
        answer = self._asked(
            self._sqs.receive_message,
            MaxNumberOfMessages=MOST,
            WaitTimeSeconds=min(seconds, LONGEST_POLL),
            MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
        )
        return [_message(told) for told in answer.get("Messages", [])]

    def settle(self, fates: Iterable[tuple[Message, Fate]]) -> None:
        """Let each message have its fate. One that the queue does not take any more is shown again, or was deleted by another."""
        again_in = {message.receipt: one.again_in for message, one in fates}
        deleted = [{"ReceiptHandle": receipt} for receipt, seconds in again_in.items() if seconds is None]
        returned = [
            {"ReceiptHandle": receipt, "VisibilityTimeout": seconds}
            for receipt, seconds in again_in.items()
            if seconds is not None
        ]
        for entries in _batches(deleted):
            self._asked(self._sqs.delete_message_batch, Entries=entries)
        for entries in _batches(returned):
            self._asked(self._sqs.change_message_visibility_batch, Entries=entries)

    def _asked(self, call: Callable[..., dict[str, Any]], **request: Any) -> dict[str, Any]:
        try:
            answer = call(QueueUrl=self._url, **request)
        except Exception as error:  # noqa: BLE001  # whatever it is, a missing hint must not end a wait
            self._failed(error)
            return {}
        if self._failures:
            log.info("The queue of events %s answers again", self._url)
        self._failures = 0
        return answer

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        self._rests_until = self._now() + back_off(self._failures)
        if self._failures == 1 and effect_of(error) is Effect.NONE:
            log.error(
                "The queue of events %s cannot be used: %s. Deploy include/infra/events.yaml, put its QueueUrl into the environment's "
                "file as events_queue, or allow Airflow to use it; until then, ends of job runs are noticed by polling alone",
                self._url,
                error,
            )
        elif self._failures == 1:
            log.warning(
                "The queue of events %s does not answer: %s. It is asked again, and ends are polled", self._url, error
            )


def _message(told: dict[str, Any]) -> Message:
    attributes = told.get("Attributes", {})
    return Message(
        body=told["Body"],
        received=int(attributes.get("ApproximateReceiveCount", 1)),
        sent=int(attributes.get("SentTimestamp", 0)) / 1000,
        receipt=told["ReceiptHandle"],
    )


def _batches(entries: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield entries ten at a time, each with an id of its own in its batch."""
    for start in range(0, len(entries), MOST):
        yield [{"Id": str(number), **entry} for number, entry in enumerate(entries[start : start + MOST])]
