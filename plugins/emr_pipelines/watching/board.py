"""Who waits for what, and whose turn it is to be looked at. Pure: it is told the time, and makes no calls."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from emr_pipelines.targets.base import Target
from emr_pipelines.targets.profile import Profile
from emr_pipelines.watching.pace import Pace, after_failures, look_again_in

Answer = dict[str, Any]
"""What a trigger tells its task: small, and JSON."""

TOLERATED = 5
"""Looks in a row that AWS may refuse for good before those who wait are told; a throttle or a server's error is none of them."""


@dataclass(slots=True, eq=False)
class Wait:
    """One trigger's question. Times are in seconds since 1970."""

    item: str
    """What it waits for, among all that one look tells of: a job run, compute."""
    since: float
    """When that began."""
    expected: float | None = None
    """Seconds that it takes in all, as far as anybody knows."""
    about: Any = None
    """What a look needs to know of it besides."""
    tell: Callable[[Answer], object] = field(default=lambda _: None, repr=False)
    """Takes the answer, from any thread."""
    asked: float = 0.0
    """When it was asked about by itself."""


class Subject(Protocol):
    """What one look tells of."""

    @property
    def key(self) -> Hashable:
        """Those who wait for subjects of the same key wait for the same look."""

    @property
    def announced(self) -> bool:
        """Whether events tell of it, too, so that looks may be rare where events come."""

    @property
    def patience(self) -> float | None:
        """For how many seconds AWS may not be reached until those who wait are told; ``None``: they wait until it is."""

    def profile(self) -> Profile:
        """Return the profile whose target tells. Raises ``ConfigurationError`` when the environment no longer has it."""

    def look(self, target: Target, waits: Sequence[Wait], now: float) -> Iterator[tuple[str, Answer]]:
        """Ask for all who wait; yield the answers that there are, each with its item, as they come."""


@dataclass(eq=False)
class Group:
    """Those who wait for the same look, and when it is due."""

    subject: Subject
    due: float
    waits: dict[str, list[Wait]] = field(default_factory=dict)
    """By item."""
    refusals: int = 0
    failures: int = 0
    unreached_since: float | None = None

    def everybody(self) -> list[Wait]:
        """List those who wait."""
        return [wait for waits in self.waits.values() for wait in waits]


class Board:
    """The groups of one watcher. ``jitter`` keeps those who began together from asking together for ever."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._groups: dict[Hashable, Group] = {}
        self._jitter = jitter

    def __len__(self) -> int:
        """Count those who wait."""
        return sum(len(waits) for group in self._groups.values() for waits in group.waits.values())

    def add(self, subject: Subject, wait: Wait, now: float, pace: Pace) -> None:
        """Let somebody wait."""
        due = now + look_again_in(now - wait.since, pace, wait.expected) * self._jitter()
        group = self._groups.setdefault(subject.key, Group(subject, due))
        group.due = min(group.due, due)
        group.waits.setdefault(wait.item, []).append(wait)

    def remove(self, subject: Subject, wait: Wait) -> None:
        """Let somebody wait no longer; nothing happens when they have their answer."""
        group = self._groups.get(subject.key)
        waits = group.waits.get(wait.item, []) if group else []
        if group and wait in waits:
            waits.remove(wait)
            if not waits:
                del group.waits[wait.item]
            if not group.waits:
                del self._groups[subject.key]

    def next(self) -> Group | None:
        """Return the group whose look is due first, or was: so each has its turn when there are too many."""
        return min(self._groups.values(), key=lambda group: group.due, default=None)

    def answered(self, group: Group, item: str) -> list[Wait]:
        """Take an answer of a look; return those who waited for it, and wait no longer."""
        told = list(group.waits.get(item, ()))
        for wait in told:
            self.remove(group.subject, wait)
        return told

    def looked(self, group: Group, begun: float, pace: Pace) -> None:
        """Take the end of a look; the next one, counted from when this one began, is due when the first who waits wants it."""
        group.refusals = group.failures = 0
        group.unreached_since = None
        pauses = (look_again_in(begun - wait.since, pace, wait.expected) for wait in group.everybody())
        group.due = begun + min(pauses, default=pace.latest) * self._jitter()
        # Of those that are due at the same moment, the one comes last that had its turn last.
        if self._groups.get(group.subject.key) is group:
            self._groups[group.subject.key] = self._groups.pop(group.subject.key)

    def failed(self, group: Group, now: float, pace: Pace, *, refused: bool, reached: bool = True) -> list[Wait]:
        """Take a look that failed; return those who are to be told: all, when it was refused too often. None for a throttle.

        All, too, when AWS was not ``reached`` for longer than the subject's patience.
        """
        group.failures += 1
        group.refusals = group.refusals + 1 if refused else 0
        group.unreached_since = None if reached else group.unreached_since or now
        group.due = now + after_failures(group.failures, pace) * self._jitter()
        unreached = now - group.unreached_since if group.unreached_since else 0.0
        patience = group.subject.patience
        if group.refusals < TOLERATED and (patience is None or unreached < patience):
            return []
        told = group.everybody()
        for wait in told:
            self.remove(group.subject, wait)
        return told

    def hurry(self, key: Hashable, now: float) -> bool:
        """Make a group's look due; return whether there is such a group."""
        if group := self._groups.get(key):
            group.due = now
        return group is not None

    def waiting_for(self, item: str) -> list[tuple[Subject, Wait]]:
        """Find those who wait for an item, whatever look would tell of it."""
        return [(group.subject, wait) for group in self._groups.values() for wait in group.waits.get(item, ())]
