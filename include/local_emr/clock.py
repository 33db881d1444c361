"""Time as the control plane sees it, so that a test can own it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import threading


class Clock(Protocol):
    """Tells the time and waits for it."""

    def now(self) -> float:
        """Return epoch seconds."""

    def wait(self, changed: threading.Condition, until: float | None) -> None:
        """Wait, holding `changed`, for its notification or for `until` (epoch seconds; None: for ever)."""


class SystemClock:
    """The clock of the machine."""

    def now(self) -> float:
        """Return epoch seconds."""
        return time.time()

    def wait(self, changed: threading.Condition, until: float | None) -> None:
        """Wait for a notification or for `until`."""
        changed.wait(None if until is None else max(0.0, until - self.now()))
