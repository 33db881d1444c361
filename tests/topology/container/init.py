"""The first process of what stands for a container, as `init: true` is in one: `python init.py USER COMMAND ...`.

The command runs as USER; an empty one is the user of this process.

It passes SIGTERM, SIGINT and SIGQUIT on. When the command ends, or SIGUSR1 asks for it, everything that the command has started is
killed, whatever session or process group it has made for itself: who has lost its parent becomes a child of this process.
"""

import ctypes
import os
import signal
import subprocess
import sys

import psutil

PR_SET_CHILD_SUBREAPER = 36
KILLED = 137
"""Exit code of a container that was killed."""


def kill_all() -> None:
    """Kill every process below this one, and wait until there is none."""
    while children := psutil.Process().children(recursive=True):
        for child in children:
            try:
                child.kill()
            except psutil.NoSuchProcess:
                continue
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def main(user: str, command: list[str]) -> int:
    """Run the command; return its exit code."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "the kernel makes no subreaper of this process")
    asked: list[int] = []
    child = None

    def pass_on(number: int) -> None:
        if child is not None:
            child.send_signal(signal.SIGKILL if number == signal.SIGUSR1 else number)

    def hear(number: int, _: object) -> None:
        asked.append(number)
        pass_on(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1):
        signal.signal(number, hear)
    child = subprocess.Popen(command, user=user or None, start_new_session=True)
    for number in asked:  # while there was nobody yet
        pass_on(number)
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == child.pid:
            break
    child.returncode = os.waitstatus_to_exitcode(status)  # else Popen would wait for it again
    kill_all()
    return KILLED if signal.SIGUSR1 in asked else _exit_code(child.returncode)


def _exit_code(code: int) -> int:
    """Return what a shell makes of it: 128 and the number of the signal that ended it."""
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
