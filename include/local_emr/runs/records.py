"""What a control plane knows of a job run, and how it survives a restart: one JSON file for each record."""

from __future__ import annotations

import json
import logging
import math
import re
import secrets
import string
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, Self, TypeVar

from local_emr.faults import Lag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from local_emr.clock import Clock

logger = logging.getLogger(__name__)

RESTARTED = "endpoint was restarted"
"""Why a job run that lived when the endpoint ended has failed."""


@dataclass(frozen=True)
class States:
    """A service's words for what a job run can be in; `waiting` in their order, the first at its submission."""

    waiting: tuple[str, ...]
    running: str
    succeeded: str
    failed: str
    cancelling: str
    cancelled: str

    @property
    def ended(self) -> tuple[str, ...]:
        """The states that nothing follows."""
        return (self.succeeded, self.failed, self.cancelled)


@dataclass
class Attempt:
    """One try at a job run, counted from 1. Times are epoch seconds; `started` when it began to run."""

    number: int
    state: str
    created: float
    updated: float
    details: str = ""
    started: float | None = None
    ended: float | None = None

    def enter(self, state: str, now: float, details: str | None = None) -> None:
        """Go on to `state`; None keeps the details."""
        self.state, self.updated = state, now
        self.details = self.details if details is None else details


@dataclass
class JobRun:
    """A job run; its state is its latest attempt's.

    `owner` is the id of its application or virtual cluster, `request` the StartJobRun request, for all that never changes.
    """

    id: str
    owner: str
    region: str
    request: dict[str, Any]
    created: float
    tags: dict[str, str]
    attempts: list[Attempt] = field(default_factory=list)

    states: ClassVar[States]

    @property
    def name(self) -> str:
        """The job run's name, empty when it has none."""
        return str(self.request.get("name", ""))

    @property
    def attempt(self) -> Attempt:
        """The latest attempt."""
        return self.attempts[-1]

    @property
    def state(self) -> str:
        """The latest attempt's state."""
        return self.attempt.state

    @property
    def has_ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in self.states.ended

    @property
    def is_waiting(self) -> bool:
        """Whether it has yet to start."""
        return self.state in self.states.waiting

    def retry(self, now: float, details: str = "") -> None:
        """Begin another attempt, which waits to be started."""
        self.attempts.append(Attempt(len(self.attempts) + 1, self.states.waiting[0], now, now, details))

    @classmethod
    def read(cls, text: str) -> Self:
        """Return the record that `write` wrote. Raises ValueError, TypeError or KeyError for anything else."""
        fields = json.loads(text)
        attempts = [Attempt(**attempt) for attempt in fields.pop("attempts")]
        return cls(**fields, attempts=attempts)


def lose(run: JobRun, now: float) -> None:
    """End a job run whose endpoint went away."""
    if not run.has_ended:
        run.attempt.enter(run.states.failed, now, f"The job run failed: {RESTARTED}")
        run.attempt.ended = now


def new_id(prefix: str = "", length: int = 16) -> str:
    """Return an identifier as both services make them: lower-case letters and digits after `prefix`."""
    letters = string.ascii_lowercase + string.digits
    return prefix + "".join(secrets.choice(letters) for _ in range(length - len(prefix)))


class _Record(Protocol):
    @property
    def created(self) -> float: ...


Record = TypeVar("Record", bound=_Record)


@dataclass
class _Version:
    """What a record was from a moment on."""

    since: float
    text: str


class Records(Generic[Record]):
    """Records of one kind: the files `pattern` below `folder`, each read by `read`.

    Listings read them here and not where they change, so that they can show what was.
    """

    def __init__(self, folder: Path, pattern: str, read: Callable[[str], Record], clock: Clock) -> None:
        self.folder = folder
        self.pattern = pattern
        self.read = read
        self.clock = clock
        self._versions: dict[tuple[str, ...], list[_Version]] = {}
        self._parsed: dict[tuple[str, ...], tuple[str, Record]] = {}

    def save(self, record: Record, *names: str) -> None:
        """Write the record where `names` fill the pattern's stars; a reader and a crash see the old one or the new one."""
        text = json.dumps(
            record, default=vars
        )  # not asdict, which copies deeply: a cluster of 256 steps is saved often
        known = self._versions.get(names, [])
        if known and known[-1].text == text:
            return
        path = self._path(*names)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.new")
        temporary.write_text(text)
        temporary.replace(path)
        now = self.clock.now()
        self._versions[names] = [*_as_late_as(now - Lag.longest, known), _Version(now, text)]

    def remove(self, *names: str) -> None:
        """Forget the record that `save` wrote under these names."""
        self._path(*names).unlink(missing_ok=True)
        self._versions.pop(names, None)

    def load(self) -> Iterator[Record]:
        """Yield all records, oldest first."""
        found = [(record, path) for path in self.folder.glob(self.pattern) if (record := self._read(path)) is not None]
        for record, path in sorted(found, key=lambda item: item[0].created):
            self._versions[self._names(path)] = [_Version(-math.inf, path.read_text())]
            yield record

    def listed(self, ago: float, *names: str) -> list[Record]:
        """Return the records as they were `ago` seconds ago, oldest first; of those under these first `names`.

        They are not for changing. Younger ones than that are not among them.
        """
        moment = self.clock.now() - ago if ago else math.inf
        found = []
        for key, versions in list(self._versions.items()):
            if key[: len(names)] == names:
                was = [version.text for version in versions if version.since <= moment]
                found += [self._record(key, text) for text in was[-1:]]
        return found

    def _record(self, key: tuple[str, ...], text: str) -> Record:
        parsed = self._parsed.get(key)
        if parsed is None or parsed[0] != text:
            parsed = self._parsed[key] = (text, self.read(text))
        return parsed[1]

    def _path(self, *names: str) -> Path:
        return self.folder / self.pattern.replace("*", "{}").format(*names)

    def _names(self, path: Path) -> tuple[str, ...]:
        """Return what fills the pattern's stars in `path`."""
        stars = re.escape(self.pattern).replace(r"\*", "([^/]+)")
        match = re.fullmatch(stars, path.relative_to(self.folder).as_posix())
        return match.groups() if match else ()

    def _read(self, path: Path) -> Record | None:
        try:
            return self.read(path.read_text())
        except (ValueError, TypeError, KeyError, AttributeError):
            logger.warning("%s is no record that this version can read; it is left alone", path)
            return None


def _as_late_as(moment: float, versions: list[_Version]) -> list[_Version]:
    """Return the versions from the one on that held at `moment`."""
    before = sum(version.since <= moment for version in versions)
    return versions[max(0, before - 1) :]
