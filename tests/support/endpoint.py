"""Runs the local EMR endpoint as a process, for any test that needs one."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".local" / "emr" / "cache"
"""Shared by all endpoints of the tests, and with those of `make`: what takes a minute is made once."""
START_SECONDS = 60
STOP_SECONDS = 30

CLIENT_ENVIRONMENT = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
}
"""What a client needs besides AWS_ENDPOINT_URL."""


@contextmanager
def running_endpoint(data: Path, *, boot_seconds: float = 0.2, port: int = 0) -> Iterator[str]:
    """Serve `data` inside the block and yield the URL; then assert a clean end that leaves no process behind."""
    command = [sys.executable, "-m", "local_emr", "--data", str(data)]
    command += ["--boot-seconds", str(boot_seconds), "--port", str(port), "--cache", str(CACHE)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT / "include")}
    )
    try:
        yield _url(process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()
    assert process.returncode == 0
    assert processes_of(data) == []


def processes_of(data: Path) -> list[str]:
    """List the command lines of the processes that name the data folder: what the endpoint or its engine started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if any(str(data) in argument for argument in arguments) and int(path.parent.name) != os.getpid():
            found.append(" ".join(arguments))
    return found


def _url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    deadline = time.monotonic() + START_SECONDS
    ready, _, _ = select.select([process.stdout], [], [], max(0, deadline - time.monotonic()))
    first_line = process.stdout.readline() if ready else ""
    match = re.search(r"http://\S+", first_line)
    assert match, f"the endpoint did not start within {START_SECONDS} seconds: {first_line!r}"
    return match[0]
