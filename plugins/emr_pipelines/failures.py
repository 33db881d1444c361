"""What a person reads when a job run failed: the cause, the end of the log, what still runs, what a retry will do."""

from __future__ import annotations

import re
from collections.abc import Mapping

from emr_pipelines.masking import masked

TAIL_LINES = 30
"""Lines of each log that stand in the task's log."""

_PYTHON = re.compile(r"^(?:[\w.]+\.)?[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Warning|Failure)\b.*")
_JAVA_ROOT = re.compile(r"^\s*Caused by: (.+)")
_JAVA = re.compile(r'^(?:Exception in thread "[^"]*" |.*ERROR \S+: )?((?:[a-z]\w*\.)+[A-Z]\w*(?:Exception|Error)\b.*)')
_SQL = re.compile(r"^(?:Error in query: |FAILED: |ERROR: |Error: )(.+)")
_TRACEBACK = "Traceback (most recent call last):"


def cause_in(streams: Mapping[str, str]) -> str | None:
    """Find the line that says why a job failed: the last traceback's exception, a query's error, or a Java root cause.

    ``streams`` are the ends of logs by name, the most telling first; ``None`` when no line looks like a cause.
    """
    for find in (_python_cause, _sql_cause, _java_cause):
        for text in streams.values():
            if cause := find(text.splitlines()):
                return cause
    return None


def _python_cause(lines: list[str]) -> str | None:
    starts = [number for number, line in enumerate(lines) if line.strip() == _TRACEBACK]
    if not starts:
        return None
    for number in range(starts[-1] + 1, len(lines)):
        line = lines[number].rstrip()
        if line and not line.startswith(" "):
            return _java_beneath(line, lines[number:]) or line
    return None


def _java_beneath(line: str, lines: list[str]) -> str | None:
    """Return the Java exception that py4j only wraps: it names what went wrong, the wrapper where."""
    if "Py4JJavaError" not in line:
        return None
    return _java_cause(lines)


def _sql_cause(lines: list[str]) -> str | None:
    return next((match.group(1).strip() for line in lines if (match := _SQL.match(line))), None)


def _java_cause(lines: list[str]) -> str | None:
    roots = [match.group(1).strip() for line in lines if (match := _JAVA_ROOT.match(line))]
    if roots:
        return roots[-1]
    for line in lines:
        text = line.removeprefix(": ")
        if match := _JAVA.match(text) or _PYTHON.match(text):
            return (match.group(1) if match.re is _JAVA else match.group(0)).strip()
    return None


def tail_of(text: str) -> list[str]:
    """Return the last lines of a log that are not empty."""
    return [line for line in text.splitlines() if line.strip()][-TAIL_LINES:]


def tails_of(streams: Mapping[str, str]) -> list[str]:
    """Return the ends of logs under their names, with secrets masked."""
    return [masked(line) for stream, text in streams.items() for line in (f"--- end of {stream} ---", *tail_of(text))]


def failure_message(  # noqa: PLR0913  # the lines that a person gets
    cause: str, *, hint: str | None, run: str, still: str, retry: str, address: str | None
) -> str:
    """Say what happened, in the order in which a person needs it: cause, what still runs and costs, what to do."""
    lines = [cause, hint and f"Hint: {hint}", run, still, retry, address and f"Logs: {address}"]
    return "\n".join(line for line in lines if line)
