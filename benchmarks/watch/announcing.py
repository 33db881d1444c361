"""The events of a plan's ends: which are lost, which come twice, when they reach the queue, and what they say. Pure.

Delivery is an assumption: AWS promises best effort, and no time. EventBridge was measured to take 0.15 s (p50) and 0.39 s (p99), before
February 2023 0.40 s and 0.79 s (bitesizedserverless.com, "Serverless Messaging: Latency Compared"); here it takes as long as it did then.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from benchmarks.watch.plan import Plan, Run

DELIVERY = (0.2, 0.8)
"""Seconds from an end to its message in the queue: the least and the most, all between them as likely."""
LOST, TWICE = 0.04, 0.04
"""Shares of the ends of which no event comes, or two."""


class Announcement(NamedTuple):
    """One event: when it reaches the queue (seconds from the window's begin), and of which job run it tells."""

    at: float
    run: Run


def announcements(plan: Plan) -> list[Announcement]:
    """Return the events of the ends that are waited for, and of the last one before: from a first event on looks are rare."""
    last = max((run for run in plan.runs.values() if run.ends is not None and run.ends <= 0), key=_end)
    return [Announcement(_end(last) + DELIVERY[1], last), *(one for _, events in _drawn(plan) for one in events)]


def lost(plan: Plan) -> frozenset[str]:
    """Return the job runs that are waited for, and whose end no event tells of."""
    return frozenset(run.id for run, events in _drawn(plan) if not events)


def _drawn(plan: Plan) -> Iterator[tuple[Run, list[Announcement]]]:
    """Yield what ends in the window with the events that come of it."""
    chance = random.Random(f"events {plan.service} {plan.jobs} {plan.seed}")  # noqa: S311 - nothing secret
    for run in plan.waited:
        if run.ends is not None:
            copies = chance.choices((0, 1, 2), (LOST, 1 - LOST - TWICE, TWICE))[0]
            yield run, [Announcement(run.ends + chance.uniform(*DELIVERY), run) for _ in range(copies)]


def _end(run: Run) -> float:
    return run.ends or 0.0


def event(plan: Plan, run: Run, region: str, began: float) -> str:
    """Return what EventBridge puts into the queue of a job run's end; `began` is when the window begins, in seconds since 1970.

    Sources: EMR Management Guide, "Monitoring Amazon EMR events with CloudWatch"; EMR Serverless User Guide, "Automating EMR Serverless
    with Amazon EventBridge".
    """
    kind, detail = (_of_serverless if plan.service == "serverless" else _of_ec2)(run)
    return json.dumps(
        {
            "version": "0",
            "id": f"event-of-{run.id}",
            "detail-type": kind,
            "source": "aws.emr-serverless" if plan.service == "serverless" else "aws.emr",
            "account": "123456789012",
            "time": datetime.fromtimestamp(began + _end(run), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": region,
            "resources": [],
            "detail": detail,
        }
    )


def _of_serverless(run: Run) -> tuple[str, dict[str, Any]]:
    words = {"applicationId": run.compute, "jobRunId": run.id, "releaseLabel": "emr-7.9.0", "previousState": "RUNNING"}
    return "EMR Serverless Job Run State Change", {**words, "state": "SUCCESS" if run.succeeds else "FAILED"}


def _of_ec2(run: Run) -> tuple[str, dict[str, Any]]:
    words = {
        "severity": "INFO",
        "actionOnFailure": "CONTINUE",
        "clusterId": run.compute,
        "stepId": run.id,
        "name": run.id,
    }
    return "EMR Step Status Change", {**words, "state": "COMPLETED" if run.succeeds else "FAILED"}
