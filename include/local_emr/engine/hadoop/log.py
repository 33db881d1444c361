"""What a tool of Hadoop's says on standard error, in the form of its own log."""

from __future__ import annotations

import sys
from datetime import UTC, datetime


def info(source: str, text: str) -> None:
    """Write a line that tells how things go."""
    _write("INFO", source, text)


def error(source: str, text: str) -> None:
    """Write a line that says why the tool ends."""
    _write("ERROR", source, text)


def _write(level: str, source: str, text: str) -> None:
    sys.stderr.write(f"{datetime.now(UTC):%y/%m/%d %H:%M:%S} {level} {source}: {text}\n")
