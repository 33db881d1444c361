"""Why a step failed, read from what its driver wrote. Pure.

A Python driver's standard error arrives in the step's standard output (SparkSubmit merges the two), so a traceback is
looked for there first. Executors' stack traces in the log come before the driver's own, so the last one counts.
"""

from __future__ import annotations

import re
import signal

from local_emr.engine.contract import Outcome

UNKNOWN = "Unknown Error."  # what EMR puts into FailureDetails.Reason of a failed step
LONGEST = 1000

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_PYTHON_FRAME = re.compile(r'^  File ".*", line \d+')
_PYSPARK_MODULE = re.compile(r"^pyspark\.errors\.exceptions\.\w+\.")
_JAVA_EXCEPTION = r"(?:[a-z_]\w*\.)+[A-Z][\w$]*(?::.*)?"
_EXCEPTION = re.compile(
    rf"""^(?:
        Caused\ by:\ (?P<cause>{_JAVA_EXCEPTION})
      | Exception\ in\ thread\ "[^"]*"\ (?P<thrown>{_JAVA_EXCEPTION})
      | (?::\ )?(?P<traced>{_JAVA_EXCEPTION})
      | (?P<query>\[[A-Z][A-Z0-9_.]+\]\ .+ | Error\ in\ query:.+ | FAILED:.+)
    )$""",
    re.VERBOSE,
)
_LOGGED_ERROR = re.compile(r"^\d\d/\d\d/\d\d \d\d:\d\d:\d\d (?:ERROR|FATAL) \S+: (?P<text>.+)")
_LOG_LINE = re.compile(r"^\d\d/\d\d/\d\d \d\d:\d\d:\d\d [A-Z]+ |^Spark master: |^Time taken: ")


def judge(stdout: str, stderr: str, exit_code: int) -> Outcome:
    """Return the outcome of a program that ended with `exit_code`; the texts may be the last parts only."""
    if exit_code == 0:
        return Outcome(succeeded=True, exit_code=0)
    return Outcome(succeeded=False, exit_code=exit_code, reason=UNKNOWN, message=message(stdout, stderr, exit_code))


def message(stdout: str, stderr: str, exit_code: int) -> str:
    """Return the driver's own last exception line, or what else tells most about the end."""
    out, err = (_ANSI.sub("", text).replace("\r", "").splitlines() for text in (stdout, stderr))
    found = (
        _signal(exit_code)
        or _python_exception(out)
        or _python_exception(err)
        or _exception(err)
        or _exception(out)
        or _logged_error(err)
        or _last_words(err, exit_code)
        or _last_words(out, exit_code)
        or f"Exit code {exit_code}"
    )
    return found[:LONGEST]


def _signal(exit_code: int) -> str | None:
    try:
        killer = signal.Signals(exit_code - 128)
    except ValueError:
        return None
    return f"Killed by signal {killer.value} ({killer.name})"


def _python_exception(lines: list[str]) -> str | None:
    """Return the exception that follows the last frame of a traceback; for one of Py4J's the Java cause."""
    frames = [number for number, line in enumerate(lines) if _PYTHON_FRAME.match(line)]
    if not frames:
        return None
    after = lines[frames[-1] + 1 :]
    ends = (number for number, line in enumerate(after) if line and not line[0].isspace())
    end = next(ends, None)
    if end is None:
        return None
    if after[end].startswith("py4j.protocol.Py4JJavaError"):
        return _exception(after[end:]) or after[end]
    return _PYSPARK_MODULE.sub("", after[end])


def _exception(lines: list[str]) -> str | None:
    """Return the last exception of Java's or Spark SQL's; of a chain of causes that is the root."""
    matches = filter(None, map(_EXCEPTION.match, reversed(lines)))
    return next((match[match.lastgroup or 0] for match in matches), None)


def _logged_error(lines: list[str]) -> str | None:
    matches = filter(None, map(_LOGGED_ERROR.match, reversed(lines)))
    return next((match["text"] for match in matches), None)


def _last_words(lines: list[str], exit_code: int) -> str | None:
    said = (line.strip() for line in reversed(lines) if line.strip() and not _LOG_LINE.match(line))
    return next((f"Exit code {exit_code}: {line}" for line in said), None)
