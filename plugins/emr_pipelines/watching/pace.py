"""When to look again. Pure; all times are in seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """How often to look: never sooner, never later than these, else after a share of the time that tells most."""

    soonest: float
    latest: float
    share: float = 0.25


IN_TASK = Pace(soonest=0.5, latest=30.0)
"""While a task's process waits, for itself alone."""

IN_TRIGGERER = Pace(soonest=2.0, latest=30.0)
"""While one watcher looks for all who wait."""

BESIDE_EVENTS = Pace(soonest=2.0, latest=300.0)
"""While events tell of ends at once: AWS delivers them by best effort."""


def look_again_in(waited: float, pace: Pace, expected: float | None = None) -> float:
    """Return the pause before the next look at something that began ``waited`` ago and is expected to take ``expected`` in all.

    Until the expected end it is a quarter of what is left, after it (or where nothing is known) a quarter of what it takes
    longer: an end is noticed late by no more than that, and a job of hours costs two calls a minute.
    """
    away = abs((expected or 0.0) - waited)
    return min(max(pace.soonest, away * pace.share), pace.latest)


def after_failures(failures: int, pace: Pace) -> float:
    """Return the pause after so many looks in a row that failed: twice as long each time."""
    return float(min(pace.soonest * 2**failures, max(pace.latest, pace.soonest)))
