"""What a control plane knows of a job run, and how it survives a restart: one JSON file for each record."""

from __future__ import annotations

import json
import logging
import secrets
import string
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

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


class Records(Generic[Record]):
    """Records of one kind: the files `pattern` below `folder`, each read by `read`."""

    def __init__(self, folder: Path, pattern: str, read: Callable[[str], Record]) -> None:
        self.folder = folder
        self.pattern = pattern
        self.read = read
        self._written: dict[Path, str] = {}

    def save(self, record: Record, *names: str) -> None:
        """Write the record where `names` fill the pattern's stars; a reader and a crash see the old one or the new one."""
        path = self._path(*names)
        text = json.dumps(asdict(record))  # type: ignore[call-overload]  # records are dataclasses
        if self._written.get(path) == text:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.new")
        temporary.write_text(text)
        temporary.replace(path)
        self._written[path] = text

    def remove(self, *names: str) -> None:
        """Forget the record that `save` wrote under these names."""
        path = self._path(*names)
        path.unlink(missing_ok=True)
        self._written.pop(path, None)

    def load(self) -> Iterator[Record]:
        """Yield all records, oldest first."""
        found = [self._read(path) for path in self.folder.glob(self.pattern)]
        yield from sorted((record for record in found if record is not None), key=lambda record: record.created)

    def _path(self, *names: str) -> Path:
        return self.folder / self.pattern.replace("*", "{}").format(*names)

    def _read(self, path: Path) -> Record | None:
        try:
            return self.read(path.read_text())
        except (ValueError, TypeError, KeyError, AttributeError):
            logger.warning("%s is no record that this version can read; it is left alone", path)
            return None
