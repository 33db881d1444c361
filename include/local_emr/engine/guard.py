"""Runs one command, and ends it with everything it started when standard input closes.

Whoever starts the guard holds the other end of its standard input. Closing it asks for the end: TERM, then KILL.
The kernel closes it when the holder dies, however it dies, so nothing survives an endpoint that was killed.

On Linux the guard adopts orphans of the command (PR_SET_CHILD_SUBREAPER), so processes that left the command's
process group are found too, and a guard that is itself killed takes the command along (PR_SET_PDEATHSIG).
Elsewhere only the command's process group is ended.

Run as a script: `python -I -S guard.py program [argument ...]`. It exits as the command does; 128 + n for signal n.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

GRACE_SECONDS = 5.0
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PROC = Path("/proc")
ON_LINUX = sys.platform == "linux"


def control_process(option: int, value: int) -> None:
    """Call Linux's prctl(2)."""
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def descendants(root: int) -> list[int]:
    """Return the living processes below `root`, from /proc; nothing where there is no /proc."""
    children: dict[int, list[int]] = {}
    for stat in PROC.glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended since
            fields = stat.read_text().rpartition(")")[2].split()
            if fields[0] != "Z":
                children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = []
    waiting = [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def send(signal_number: int, group: int) -> None:
    """Send a signal to the command's process group and to whatever left it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says the latter of a group of zombies
        os.killpg(group, signal_number)
    for process in descendants(os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(process) != group:
                os.kill(process, signal_number)


def run(arguments: list[str]) -> int:
    """Run the command until it ends or standard input closes, and return its exit code."""
    if ON_LINUX:
        control_process(PR_SET_CHILD_SUBREAPER, 1)
    child = subprocess.Popen(  # noqa: S603 - running the given command is what a guard is for
        arguments,
        stdin=subprocess.DEVNULL,
        process_group=0,
        preexec_fn=(lambda: control_process(PR_SET_PDEATHSIG, signal.SIGKILL)) if ON_LINUX else None,  # noqa: PLW1509 - one thread so far
    )

    def end_when_input_closes() -> None:
        while os.read(0, 1):
            pass
        send(signal.SIGTERM, child.pid)
        threading.Event().wait(GRACE_SECONDS)
        send(signal.SIGKILL, child.pid)

    threading.Thread(target=end_when_input_closes, daemon=True).start()
    code = child.wait()
    send(signal.SIGKILL, child.pid)
    while descendants(os.getpid()):  # one may have started another meanwhile
        send(signal.SIGKILL, child.pid)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    try:
        exit_code = run(sys.argv[1:])
    except OSError as error:
        print(f"{error.strerror}: {sys.argv[1]}", file=sys.stderr)  # noqa: T201 - the step's standard error
        exit_code = 127
    sys.stderr.flush()
    os._exit(exit_code)
