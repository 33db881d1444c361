"""Spark's History Server, started when somebody asks for a Spark UI, over the event logs of what ran here.

Each job has a folder of its own for its event logs, so that its own can be told from others'; the server reads one
folder ("Viewing After the Fact" in Spark's "Monitoring and Instrumentation"), where they are linked together.
"""

from __future__ import annotations

import os
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


class HistoryError(Exception):
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

    def folder(self, name: str) -> Path:
        """Return the folder for the event logs of what is called `name`; it is there."""
        folder = self._events / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def url(self, name: str) -> str | None:
        """Return where the Spark UI of what is called `name` can be seen; None when it has no event log.

        Starts the server if need be. Raises HistoryError when it cannot start or cannot read the event log.
        """
        log = _latest(self._events / name)
        if log is None:
            return None
        with self._lock:
            if self._closed:
                raise HistoryError("The endpoint is ending.")
            self._link(log)
            if self._server is None or self._server.wait(0) is not None:
                self._start()
            application = log.name.removesuffix(_IN_PROGRESS)
            self._await_application(application)
            return f"{self._address}/history/{application}/jobs/"

    def close(self) -> None:
        """End the server."""
        with self._lock:
            self._closed = True
            if self._server is not None:
                self._server.end()

    def _link(self, log: Path) -> None:
        """Show `log` to the server, and no longer the unfinished one that it was before."""
        self._shown.mkdir(exist_ok=True)
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


def _latest(folder: Path) -> Path | None:
    """Return the event log that was written last; in a folder of one job that is its last Spark session's."""
    logs = [log for log in folder.glob("*") if not log.name.startswith(".")]
    return max(logs, key=lambda log: log.stat().st_mtime, default=None)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=READ_SECONDS):  # noqa: S310 - our own server's address
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except OSError:
        return False
