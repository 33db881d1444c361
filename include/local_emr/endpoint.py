"""The endpoint as a whole: one data folder, one port, one process."""

from __future__ import annotations

import fcntl
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from local_emr import storage
from local_emr.clock import SystemClock
from local_emr.eks import EmrContainers
from local_emr.emr import ElasticMapReduce
from local_emr.events import Events
from local_emr.faults import Faults
from local_emr.history import History
from local_emr.journal import Journal
from local_emr.protocol import JsonService
from local_emr.rest import RestJsonService
from local_emr.runs import Machine
from local_emr.server import Router, bind, moto
from local_emr.serverless import EmrServerless

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from local_emr.clock import Clock
    from local_emr.engine import Engine
    from local_emr.journal import Listener


POLL_SECONDS = 0.1
"""How often the server looks whether it should end."""


class DataInUseError(Exception):
    """Another endpoint works on the same data folder."""


@contextmanager
def running(  # noqa: PLR0913 - each is a part that a test may replace
    data: Path,
    engine: Callable[[Path, str], Engine],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    boot_seconds: float = 2.0,
    clock: Clock | None = None,
    journal: Listener | None = None,
) -> Iterator[str]:
    """Serve the endpoint inside the block and yield its URL; afterwards nothing that it started runs any more.

    `engine` makes the engine from the data folder and the URL; `journal` is told what happens. OSError when the address cannot be had,
    DataInUseError when the folder is taken.
    """
    data = data.absolute()
    with _exclusive(data):
        server = bind(host, port)
        url = f"http://{_reachable(host)}:{server.port}"
        storage.install(data / "s3")
        faults = Faults()
        clock = clock or SystemClock()
        events = Events(faults, clock)
        machine = Machine(data, engine(data, url), clock, boot_seconds, Journal(clock, journal), events.announce)
        history = History(data, machine.engine)
        router = Router(
            {
                "elasticmapreduce": JsonService("emr", ElasticMapReduce(machine, faults)),
                "emr-containers": RestJsonService("emr-containers", EmrContainers(machine, faults)),
                "emr-serverless": RestJsonService(
                    "emr-serverless", EmrServerless(machine, faults=faults, history=history)
                ),
            },
            moto(),
            faults=faults,
            journal=machine.journal,
            clock=clock,
            spark_ui=history.page,
        )
        server.app = router
        thread = threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,), name="http", daemon=True)
        thread.start()
        events.begin()
        try:
            yield url
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
            router.close()
            events.close()
            history.close()
            machine.engine.close()
            storage.uninstall()


def _reachable(host: str) -> str:
    """Return the host of a URL that leads to what listens on `host`, for clients on this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"[{host}]" if ":" in host else host


@contextmanager
def _exclusive(data: Path) -> Iterator[None]:
    data.mkdir(parents=True, exist_ok=True)
    with (data / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataInUseError(str(data)) from None
        yield
