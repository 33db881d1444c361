"""A process that waits as Airflow's triggerer does: each line of its input is a serialized trigger, each line of its output an event.

    python -m benchmarks.watch.waiting

A line of input is a JSON array of a name, the class path and the arguments that rebuild the trigger; a line of output is an object
with the `name`, the time `at` in seconds since 1970, and what the event `said`. It ends with its input.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from pkgutil import resolve_name
from typing import Any


async def wait_for_all() -> None:
    """Read triggers until the input ends, and run all of them."""
    reader = asyncio.StreamReader(limit=2**20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    tasks = []
    while line := await reader.readline():
        tasks.append(asyncio.create_task(_wait(*json.loads(line))))
    for task in tasks:
        task.cancel()


async def _wait(name: str, path: str, arguments: dict[str, Any]) -> None:
    """Await a trigger's first event, as Airflow does."""
    said: Any = {"raised": "nothing was said"}
    try:
        async for event in resolve_name(path)(**arguments).run():
            said = event.payload
            break
    except Exception as error:  # noqa: BLE001 - Airflow fails the task then, whatever it is
        said = {"raised": f"{type(error).__name__}: {error}"}
    print(json.dumps({"name": name, "at": time.time(), "said": said}), flush=True)


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    # Not asyncio.run: threads that still wait for an answer would hold the process.
    asyncio.new_event_loop().run_until_complete(wait_for_all())
    os._exit(0)
