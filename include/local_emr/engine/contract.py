"""What the control plane and the engine say to each other: a step goes in, an outcome comes out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Step:
    """What a step asks for: the fields of EMR's HadoopJarStep (API reference, HadoopJarStepConfig)."""

    jar: str
    args: tuple[str, ...] = ()
    main_class: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What its controller log says of it first."""


@dataclass(frozen=True)
class Outcome:
    """How a step ended.

    `exit_code` is None when nothing was ever started. `reason` and `message` are meant for the step's
    FailureDetails and are None on success; `message` is the driver's own last exception line.
    """

    succeeded: bool
    exit_code: int | None
    reason: str | None = None
    message: str | None = None


class RunningStep(Protocol):
    """A started step. Both methods may be called from any thread, and more than once."""

    def wait(self, timeout: float | None = None) -> Outcome | None:
        """Return the outcome once the step has ended, or None when `timeout` (seconds) passes before that."""

    def cancel(self) -> None:
        """End the step with everything it started: TERM, then KILL; return when it is gone."""
