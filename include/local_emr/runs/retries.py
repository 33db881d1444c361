"""Whether a failed attempt is followed by another. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

HOUR = 3600


def another_attempt(attempts: int, most: int) -> bool:
    """Say whether a job run that may be tried `most` times is tried again after `attempts`."""
    return attempts < most


def another_within_the_hour(failed: Iterable[float], most: int, now: float) -> bool:
    """Say whether a streaming job run is tried again that failed at these times, when it may fail `most` times an hour."""
    return sum(moment > now - HOUR for moment in failed) < most
