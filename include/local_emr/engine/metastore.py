"""A Hive metastore per cluster, started when somebody first asks for it.

The engine listens on a port from the start and hands it to every job; the first connection starts
`org.apache.hadoop.hive.metastore.HiveMetaStore` and waits for it, so a job that uses no tables costs nothing, and one
that calls enableHiveSupport() in its code needs no telling. Bytes are then passed on in both directions.
A process of its own lets concurrent steps share tables: Derby, its database, admits one process at a time.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from local_emr.engine.processes import GuardedProcess

if TYPE_CHECKING:
    from collections.abc import Mapping

METASTORE = "org.apache.hadoop.hive.metastore.HiveMetaStore"
HOST = "127.0.0.1"
START_SECONDS = 120.0
LOOK_AGAIN_SECONDS = 0.05
CHUNK = 1 << 16
MEMORY_MB = 512

CommandLine = Callable[[list[str]], list[str]]


class Metastore:
    """The metastore of one cluster; its database lies in `folder` and its log is `folder`/metastore.log."""

    def __init__(self, folder: Path, command_line: CommandLine, environment: Mapping[str, str]) -> None:
        """Listen; start nothing yet. `command_line` turns the metastore's arguments into a JVM's command line."""
        self._folder = folder
        self._command_line = command_line
        self._environment = environment
        self._lock = threading.Lock()
        self._process: GuardedProcess | None = None
        self._port = 0
        self._closed = False
        self._listener = socket.create_server((HOST, 0))
        self.uri = f"thrift://{HOST}:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, name=f"metastore-{folder.name}", daemon=True).start()

    def warm(self) -> None:
        """Start it now, beside the caller, for a job that will surely ask."""
        threading.Thread(target=self._ensure_started, name=f"metastore-start-{self._folder.name}", daemon=True).start()

    def close(self) -> None:
        """End it; connections break."""
        with self._lock:
            self._closed = True
            process = self._process
        with contextlib.suppress(OSError):  # not connected, says macOS
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if process is not None:
            process.end()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """Connect one client to the metastore, until either side is done."""
        with client:
            server = self._connect()
            if server is None:
                return
            with server:
                back = threading.Thread(target=_pass_on, args=(server, client), daemon=True)
                back.start()
                _pass_on(client, server)
                back.join()

    def _connect(self) -> socket.socket | None:
        """Connect to the metastore once it listens; None when it does not come up or has ended."""
        process = self._ensure_started()
        deadline = time.monotonic() + START_SECONDS
        while process is not None and time.monotonic() < deadline:
            with contextlib.suppress(ConnectionRefusedError):
                server = socket.create_connection((HOST, self._port))
                if server.getsockname() != server.getpeername():  # loopback may connect a free port to itself
                    return server
                server.close()
            if process.wait(LOOK_AGAIN_SECONDS) is not None:
                return None
        return None

    def _ensure_started(self) -> GuardedProcess | None:
        """Start the metastore unless it runs. It is started again if it ended by itself."""
        with self._lock:
            if self._closed:
                return None
            if self._process is None or self._process.wait(0) is not None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._port = _free_port()
                with (self._folder / "metastore.log").open("ab") as log:
                    self._process = GuardedProcess(
                        self._command_line([METASTORE, "-p", str(self._port), *self._settings()]),
                        folder=self._folder,
                        environment=self._environment,
                        stdout=log,
                        stderr=log,
                    )
            return self._process

    def _settings(self) -> list[str]:
        settings = {
            "javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={self._folder / 'metastore_db'};create=true",
            "datanucleus.schema.autoCreateAll": "true",
            "hive.metastore.schema.verification": "false",
            "hive.metastore.warehouse.dir": "hdfs:///user/hive/warehouse",
            "hive.metastore.thrift.bind.host": HOST,
            "hive.async.log.enabled": "false",
        }
        return [part for name, value in settings.items() for part in ("--hiveconf", f"{name}={value}")]


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    """Pass bytes from `source` to `target` until the source ends, and tell the target so."""
    with contextlib.suppress(OSError):  # the other side has gone: the end as well
        while data := source.recv(CHUNK):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as free:
        port: int = free.getsockname()[1]
        return port
