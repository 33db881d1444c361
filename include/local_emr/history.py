"""Spark's History Server, started when somebody asks for a Spark UI, over the event logs of what ran here.

The engine gives each job a folder of its own for its event logs, so that they can be told from others'; the server reads one
folder ("Viewing After the Fact" in Spark's "Monitoring and Instrumentation"), where they are linked together.
"""

from __future__ import annotations

import os
import re
import threading
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from local_emr.engine.processes import GuardedProcess
from local_emr.server import listen

if TYPE_CHECKING:
    from pathlib import Path

    from local_emr.engine import Engine

HISTORY_SERVER = "org.apache.spark.deploy.history.HistoryServer"
MEMORY_MB = 512
START_SECONDS = 60.0
READ_SECONDS = 30.0
"""How long the server may take to start, and to read a new event log."""

_IN_PROGRESS = ".inprogress"


class HistoryError(RuntimeError):
    """The History Server cannot show what it was asked for; the message says why."""


class History:
    """The event logs below `data`, and a server that shows them. May be used from any thread."""

    def __init__(self, data: Path, engine: Engine) -> None:
        self._events = data / "spark-events"
        self._shown = data / "spark-history"
        self._engine = engine
        self._lock = threading.Lock()
        self._server: GuardedProcess | None = None
        self._address = ""
        self._closed = False

    def latest(self, job: str) -> str | None:
        """Return the name of the latest attempt of a job that has written event logs: a step, or a job run."""
        attempt = re.compile(rf"{re.escape(job)}(?:-(\d+))?")
        found = [match for folder in self._events.glob("*") if (match := attempt.fullmatch(folder.name))]
        return max(found, key=lambda match: int(match[1] or 0))[0] if found else None

    def url(self, name: str) -> str | None:
        """Return where the Spark UI of what is called `name` can be seen; None when it has no event log.

        Starts the server if need be. Raises HistoryError when it cannot start or cannot read the event log.
        """
        try:
            return self._url(name)
        except FileNotFoundError:  # an event log was finished, and so renamed, meanwhile
            return self._url(name)

    def page(self, job: str) -> str | None:
        """Return where the Spark UI of a job's latest attempt can be seen; see `latest` and `url`."""
        name = self.latest(job)
        return self.url(name) if name else None

    def close(self) -> None:
        """End the server."""
        with self._lock:
            self._closed = True
            if self._server is not None:
                self._server.end()

    def _url(self, name: str) -> str | None:
        logs = _event_logs(self._events / name)
        if not logs:
            return None
        application = logs[-1].name.removesuffix(_IN_PROGRESS)
        with self._lock:
            if self._closed:
                raise HistoryError("The endpoint is ending.")
            self._link(logs)
            if self._server is None or self._server.wait(0) is not None:
                self._start()
            self._await_application(application)
            return f"{self._address}/history/{application}/jobs/"

    def _link(self, logs: list[Path]) -> None:
        """Show `logs` to the server, and of each that is finished no longer the unfinished one that it was before."""
        self._shown.mkdir(exist_ok=True)
        for log in logs:
            link = self._shown / log.name
            if not link.exists():
                os.link(log, link)
            if not log.name.endswith(_IN_PROGRESS):
                link.with_name(log.name + _IN_PROGRESS).unlink(missing_ok=True)

    def _start(self) -> None:
        work = self._shown.with_name("spark-history-server")
        work.mkdir(exist_ok=True)
        with listen("127.0.0.1", 0) as listener:
            port = listener.getsockname()[1]
        settings = {
            "spark.history.fs.logDirectory": self._shown.as_uri(),
            "spark.history.fs.update.interval": "1s",
            "spark.history.ui.port": f"{port}",
            "spark.port.maxRetries": "0",  # on another port nobody would find it
        }
        command = self._engine.java().command(
            HISTORY_SERVER,
            [],
            hdfs=work / "hdfs",
            temporary=work,
            memory_mb=MEMORY_MB,
            options=[f"-D{name}={value}" for name, value in settings.items()],
        )
        with (work / "log").open("wb") as log:
            environment = {"PATH": os.environ.get("PATH", os.defpath), "SPARK_LOCAL_IP": "127.0.0.1"}
            self._server = GuardedProcess(command, folder=work, environment=environment, stdout=log, stderr=log)
        self._address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + START_SECONDS
        while not _answers(f"{self._address}/api/v1/version"):
            if self._server.wait(0.1) is not None or time.monotonic() > deadline:
                self._server.end()
                raise HistoryError(f"The Spark History Server did not start; see {work / 'log'}")

    def _await_application(self, application: str) -> None:
        deadline = time.monotonic() + READ_SECONDS
        while not _answers(f"{self._address}/api/v1/applications/{application}"):
            if time.monotonic() > deadline:
                raise HistoryError(f"The Spark History Server cannot read the event log of {application}")
            threading.Event().wait(0.1)


def _event_logs(folder: Path) -> list[Path]:
    """List the event logs in a job's folder, one for each of its Spark sessions, the latest last."""
    logs = [log for log in folder.glob("*") if not log.name.startswith(".")]
    return sorted(logs, key=lambda log: log.stat().st_mtime)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=READ_SECONDS):  # noqa: S310 - our own server's address
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except OSError:
        return False
