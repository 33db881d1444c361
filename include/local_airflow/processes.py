"""Processes that outlive the command that started them, and are ended by their identity, never by a name.

Each one leads its own session. Its record, a small JSON file, holds the process id and its start time, because an id
alone may by now belong to another program.
"""

import contextlib
import json
import os
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # it ships no types

START_TIME_TOLERANCE = 2.0  # seconds: start times are computed from the clock, which may be set meanwhile
KILL_WAIT = 5.0  # seconds: what is left after SIGKILL and this waits for its disk


@dataclass(frozen=True)
class Record:
    """The identity of a started process: its id, its start time (Unix seconds), the port it serves, if any."""

    pid: int
    created: float
    port: int | None = None


def start(  # noqa: PLR0913  what a process is started with
    command: Sequence[str],
    *,
    record: Path,
    log: Path,
    environment: Mapping[str, str],
    folder: Path,
    port: int | None = None,
) -> "subprocess.Popen[bytes]":
    """Start `command` in a session of its own, its output appended to `log`, and write its record."""
    log.parent.mkdir(parents=True, exist_ok=True)
    record.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603  the commands are this package's own
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=folder,
            start_new_session=True,
        )
    identity = Record(process.pid, psutil.Process(process.pid).create_time(), port)
    draft = record.with_suffix(".draft")
    draft.write_text(json.dumps(asdict(identity)))
    draft.replace(record)
    return process


def read(record: Path) -> Record | None:
    """Return what `record` holds; None when there is no such file or it is unreadable."""
    try:
        return Record(**json.loads(record.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def same(identity: Record, created: float) -> bool:
    """Tell whether a process with the record's id, started at `created`, is the recorded one."""
    return abs(identity.created - created) < START_TIME_TOLERANCE


def running(identity: Record | None) -> psutil.Process | None:
    """Return the recorded process when it still runs (a zombie does not), else None."""
    if identity is None:
        return None
    try:
        process = psutil.Process(identity.pid)
        if same(identity, process.create_time()) and process.status() != psutil.STATUS_ZOMBIE:
            return process
    except psutil.NoSuchProcess:
        pass
    return None


def session(identity: Record) -> list[psutil.Process]:
    """Return every process of the recorded process's session, those that outlived it included."""
    try:
        if not same(identity, psutil.Process(identity.pid).create_time()):
            return []  # the id is another program's now, and so is any session of that name
    except psutil.NoSuchProcess:
        pass  # members may live on; the id stays taken as long as they do
    members = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == identity.pid and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process)
        except (ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            continue
    return members


def stop(records: Iterable[Path], grace: float) -> list[psutil.Process]:
    """End the recorded processes and their sessions together: SIGTERM, up to `grace` seconds, then SIGKILL.

    Returns what survived even that (none, normally). The record of what ended is deleted; stopping twice does no harm.
    """
    identities = {record: identity for record in records if (identity := read(record))}
    leaders = [leader for identity in identities.values() if (leader := running(identity))]
    for leader in leaders:
        _quietly(leader.terminate)
    psutil.wait_procs(leaders, timeout=grace)
    rest = [member for identity in identities.values() for member in session(identity)]
    for member in rest:
        _quietly(member.kill)
    _, survivors = psutil.wait_procs(rest, timeout=KILL_WAIT)
    for record, identity in identities.items():
        if not session(identity):
            record.unlink(missing_ok=True)
    return list(survivors)


def end(process: psutil.Process, grace: float) -> None:
    """End one process and not what it started: SIGTERM and up to `grace` seconds, then SIGKILL; without grace, SIGKILL at once."""
    if grace:
        _quietly(process.terminate)
        psutil.wait_procs([process], timeout=grace)
    _quietly(process.kill)


def _quietly(signal: Callable[[], None]) -> None:
    """Send a signal to a process that may end at this very moment."""
    with contextlib.suppress(psutil.NoSuchProcess):
        signal()
