"""A standard queue of SQS as its one reader sees it: messages are hidden once received, and shown again until deleted. Pure.

moto's takes longer the more messages it holds. Source: SQS API Reference and Developer Guide, "Visibility timeout". Times are in
seconds since 1970.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import md5
from itertools import count
from typing import Any

VISIBILITY_TIMEOUT = 30.0
"""Seconds, as `include/infra/events.yaml` sets them."""
MOST = 10
"""Messages in one call."""
OPERATIONS = frozenset({"ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"})
"""What is served of SQS."""


@dataclass
class _Message:
    body: str
    sent: float
    visible: float
    received: int = 0


class Queue:
    """All messages, also those that are yet to come."""

    def __init__(self) -> None:
        self._numbers = count()
        self._messages: dict[str, _Message] = {}
        self._by_time: list[tuple[float, str]] = []

    def send(self, body: str, at: float) -> None:
        """Let a message be there from a time on."""
        self._show(str(next(self._numbers)), _Message(body, at, at))

    def next_at(self) -> float | None:
        """Return when the next message is to be seen, of all that are hidden or yet to come."""
        while self._by_time and not self._holds(*self._by_time[0]):
            heapq.heappop(self._by_time)
        return self._by_time[0][0] if self._by_time else None

    def receive(self, now: float, most: int = MOST) -> list[dict[str, Any]]:
        """Hide up to so many messages that are to be seen, and return them as ReceiveMessage does."""
        taken = []
        while len(taken) < most and (at := self.next_at()) is not None and at <= now:
            number = heapq.heappop(self._by_time)[1]
            message = self._messages[number]
            message.visible, message.received = now + VISIBILITY_TIMEOUT, message.received + 1
            self._show(number, message)
            taken.append(_told(number, message))
        return taken

    def delete(self, entries: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """Answer DeleteMessageBatch."""
        return _each(entries, lambda entry: self._messages.pop(_number(entry), None) is not None)

    def change_visibility(self, entries: Iterable[Mapping[str, Any]], now: float) -> dict[str, Any]:
        """Answer ChangeMessageVisibilityBatch."""

        def change(entry: Mapping[str, Any]) -> bool:
            message = self._messages.get(_number(entry))
            if message is None or message.visible <= now:
                return False
            message.visible = now + float(entry["VisibilityTimeout"])
            self._show(_number(entry), message)
            return True

        return _each(entries, change)

    def _show(self, number: str, message: _Message) -> None:
        self._messages[number] = message
        heapq.heappush(self._by_time, (message.visible, number))

    def _holds(self, at: float, number: str) -> bool:
        """Say whether this is still when a message is to be seen."""
        return number in self._messages and self._messages[number].visible == at


def _number(entry: Mapping[str, Any]) -> str:
    return str(entry["ReceiptHandle"]).partition("/")[0]


def _told(number: str, message: _Message) -> dict[str, Any]:
    return {
        "MessageId": number,
        "ReceiptHandle": f"{number}/{message.received}",
        "MD5OfBody": md5(message.body.encode(), usedforsecurity=False).hexdigest(),
        "Body": message.body,
        "Attributes": {
            "ApproximateReceiveCount": str(message.received),
            "SentTimestamp": str(round(message.sent * 1000)),
        },
    }


def _each(entries: Iterable[Mapping[str, Any]], done: Callable[[Mapping[str, Any]], bool]) -> dict[str, Any]:
    """Do something for each entry of a batch, and answer as SQS does."""
    outcomes: Sequence[tuple[str, bool]] = [(entry["Id"], done(entry)) for entry in entries]
    failure = {"SenderFault": True, "Code": "ReceiptHandleIsInvalid"}
    return {
        "Successful": [{"Id": name} for name, succeeded in outcomes if succeeded],
        "Failed": [{"Id": name, **failure} for name, succeeded in outcomes if not succeeded],
    }
