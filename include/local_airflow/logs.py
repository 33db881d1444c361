"""What a log says about a failure: the cause first, then its last lines."""

import re
from pathlib import Path

EXCEPTION = re.compile(r"^\s*([A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt)\b.*)$")
ERROR_EVENT = re.compile(r"\[(?:error|critical)\s*\]|\b(?:ERROR|CRITICAL|FATAL)\b")
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def cause(text: str) -> str:
    """Return the line of a log that names the failure: the last exception, else the last error, else the last line."""
    lines = [ESCAPES.sub("", line).strip() for line in text.splitlines() if line.strip()]
    for pattern in (EXCEPTION, ERROR_EVENT):
        for line in reversed(lines):
            if pattern.search(line):
                return line
    return lines[-1] if lines else "it wrote nothing"


def read_from(path: Path, offset: int) -> str:
    """Return the text of a log file from byte `offset` on."""
    try:
        with path.open("rb") as log:
            log.seek(offset)
            return log.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def size(path: Path) -> int:
    """Return a file's size in bytes; 0 when it does not exist yet."""
    return path.stat().st_size if path.exists() else 0


def death_message(what: str, text: str, path: Path, *, last: int = 15) -> str:
    """Say why `what` ended: the cause, then the last lines of its log, then where the rest is."""
    tail = "\n".join(f"  {line}" for line in text.rstrip().splitlines()[-last:])
    return f"{what} ended while starting: {cause(text)}\nThe last lines of {path}:\n{tail}"
