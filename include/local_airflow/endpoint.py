"""The EMR endpoint of the local system: `python -m local_emr` as a process of its own."""

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from local_airflow import logs, processes
from local_airflow.errors import LocalAirflowError
from local_airflow.ports import LOOPBACK, any_free, require_free
from local_airflow.settings import clean_environment

if TYPE_CHECKING:
    import subprocess

DEFAULT_PORT = 4566
START_SECONDS = 60
STOP_SECONDS = 15
HEALTH = "/_local_emr/health"


def answers(url: str) -> bool:
    """Tell whether an EMR endpoint of this project answers at `url`."""
    try:
        reply = httpx.get(f"{url}{HEALTH}", timeout=5, trust_env=False)
    except httpx.TransportError:
        return False
    return reply.is_success and reply.headers.get("content-type", "").startswith("application/json")


def require(url: str) -> None:
    """Raise LocalAirflowError when no EMR endpoint answers at `url`."""
    if not answers(url):
        raise LocalAirflowError(f"No EMR endpoint answers at {url}. Type: make local-emr PORT={url.rpartition(':')[2]}")


class LocalEndpoint:
    """One EMR endpoint on the loopback address, its data under `<home>/../emr`.

    One that already answers on the port, started by whomever, is used and left alone. `port` 0 takes any free port.
    """

    def __init__(self, home: Path, root: Path, port: int = DEFAULT_PORT, *, data: Path | None = None) -> None:
        self.root = root
        self.data = data or home.parent / "emr"
        self.log = home / "logs" / "local-emr.log"
        self.port = port
        self._record = home / "run" / "local-emr.json"
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        own = processes.read(self._record)
        if own and own.port and processes.running(own):
            self.port = own.port

    @property
    def url(self) -> str:
        """The endpoint's address, as `AWS_ENDPOINT_URL` takes it."""
        return f"http://{LOOPBACK}:{self.port}"

    def owned(self) -> bool:
        """Tell whether this home started an endpoint that still runs."""
        return processes.running(processes.read(self._record)) is not None

    def alive(self) -> bool:
        """Tell whether the endpoint answers."""
        return self.port != 0 and answers(self.url)

    def launch(self) -> bool:
        """Start the endpoint unless one answers; returns whether it did. `wait` then waits until it answers."""
        if self.alive():
            return False
        self.stop()
        self.port = self.port or any_free()
        require_free(self.port, "the EMR endpoint")
        self._log_start = logs.size(self.log)
        self._process = processes.start(
            [sys.executable, "-m", "local_emr", "--port", str(self.port), "--data", str(self.data)],
            record=self._record,
            log=self.log,
            environment=clean_environment(os.environ, self.root),
            folder=self.root,
            port=self.port,
        )
        return True

    def wait(self) -> None:
        """Return once the endpoint answers; raise LocalAirflowError when it ends before or takes too long."""
        deadline = time.monotonic() + START_SECONDS
        while not answers(self.url):
            if self._process and self._process.poll() is not None:
                text = logs.read_from(self.log, self._log_start)
                raise LocalAirflowError(logs.death_message("The EMR endpoint", text, self.log))
            if time.monotonic() > deadline:
                raise LocalAirflowError(
                    f"The EMR endpoint does not answer at {self.url} after {START_SECONDS} s. Its log: {self.log}"
                )
            time.sleep(0.1)

    def start(self) -> bool:
        """Start the endpoint unless one answers, and wait for it; returns whether it was started."""
        started = self.launch()
        self.wait()
        return started

    def stop(self) -> list[str]:
        """End the endpoint if this home started it; returns what would not end."""
        survivors = processes.stop([self._record], STOP_SECONDS)
        if self._process:
            self._process.poll()
        return [f"local-emr (process {survivor.pid})" for survivor in survivors]
