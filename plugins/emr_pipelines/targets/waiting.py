"""A short wait for what a service does at once, or nearly."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_Seen = TypeVar("_Seen")

_SHORTEST, _LONGEST = 0.1, 2.0
"""Seconds between two looks, at first and at most."""


def wait_until(look: Callable[[], _Seen], done: Callable[[_Seen], bool], seconds: float) -> _Seen:
    """Look until done, for at most so many seconds; return what was seen last."""
    deadline = time.monotonic() + seconds
    pause = _SHORTEST
    while not done(seen := look()) and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST)
    return seen
