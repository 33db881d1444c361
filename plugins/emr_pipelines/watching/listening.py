"""Listens to the queue of events: one thread of a process, which wakes those who wait for what has ended."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from emr_pipelines.clients import clients_for
from emr_pipelines.environments import Watching, current_environment
from emr_pipelines.events import DELETE, Ended, Fate, Message, Queue, ended_in, fate
from emr_pipelines.watching import metrics
from emr_pipelines.watching.board import Answer
from emr_pipelines.watching.pace import BESIDE_EVENTS, IN_TRIGGERER, Pace

_log = logging.getLogger(__name__)

_REGION = re.compile(r"[/.]sqs\.([a-z0-9-]+)\.")
_DEFAULT_REGION = "us-east-1"


class Hearer(Protocol):
    """Who is told of events: a watcher."""

    def hear(self, item: str, answer: Answer) -> bool:
        """Take the end of a job run; return whether anybody waited for it."""

    def look_now(self, key: tuple[str, ...]) -> bool:
        """Look for a group at once; return whether anybody waits there."""


class Listener:
    """Reads the queue and tells the watchers of each target, which ``hearers`` lists."""

    def __init__(self, url: str, triggerers: int, hearers: Callable[[str], Sequence[Hearer]]) -> None:
        self._url = url
        self._queue: Queue | None = None
        self._triggerers = triggerers
        self._hearers = hearers
        self._announced: set[tuple[str, str]] = set()
        self._over = threading.Event()

    def trusts(self, target: str, region: str) -> bool:
        """Say whether looks may be rare: from the first event of a service in a region on, as long as the queue answers."""
        return (target, region) in self._announced and self._queue is not None and self._queue.answers

    def listen(self, sqs: Any) -> None:
        """Listen with a boto3 client of SQS, until told to stop."""
        self._queue = Queue(sqs, self._url, wait=self._over.wait)
        while not self._over.is_set():
            try:
                self.listen_once(self._queue)
            except Exception:  # noqa: BLE001  # whatever it is, the looks go on, and so must this
                _log.exception("A message of the queue of events could not be taken")

    def stop(self) -> None:
        """Listen no longer than for the present long poll."""
        self._over.set()

    def listen_once(self, queue: Queue) -> None:
        """Wait for messages, at most for a long poll, and let each have its fate."""
        queue.settle([(message, self._taken(message)) for message in queue.receive()])

    def _taken(self, message: Message) -> Fate:
        ended = ended_in(message.body)
        if ended is None:
            return DELETE
        self._announced.add((ended.service, ended.region))
        told = [_told(one, ended) for one in self._hearers(ended.service)]
        metrics.heard(waited_for=any(told))
        return fate(message.received, self._triggerers, any(told) and bool(ended.run))


def _told(hearer: Hearer, ended: Ended) -> bool:
    if ended.run:
        return hearer.hear(ended.run, {"state": ended.state})
    # Which of its steps had ended, and why, only a look tells.
    return hearer.look_now(("job runs", ended.service, ended.compute))


_listener: list[Listener] = []
_making = threading.Lock()


def listen(hearers: Callable[[str], Sequence[Hearer]]) -> None:
    """Let this process listen, where the environment names a queue; it does so once."""
    settings = current_environment().watching
    with _making:
        if _listener or settings.events_queue is None:
            return
        _listener.append(Listener(settings.events_queue, settings.triggerers, hearers))
    threading.Thread(target=_listen_with, args=(settings, _listener[0]), name="listener to events", daemon=True).start()


def _listen_with(settings: Watching, listener: Listener) -> None:
    # Not before, since Airflow is asked for the connection, and not in the triggerer's own thread.
    try:
        sqs = clients_for(settings.events_connection, region_in(settings.events_queue or "")).repeating("sqs")
    except Exception:  # noqa: BLE001  # whatever it is, the looks go on
        _log.exception("There is no client for the queue of events; ends of job runs are noticed by polling alone")
        return
    listener.listen(sqs)


def region_in(url: str) -> str:
    """Return the region of a queue's address, as AWS writes it; elsewhere any will do."""
    found = _REGION.search(url)
    return found[1] if found else _DEFAULT_REGION


def pace(target: str, region: str) -> Pace:
    """Return how often to look at what a target's job runs do in a region."""
    return BESIDE_EVENTS if any(one.trusts(target, region) for one in _listener) else IN_TRIGGERER
