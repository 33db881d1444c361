"""Many triggers in one process, run as Airflow's triggerer runs them: each `run()` a task of one asyncio loop.

    python -m benchmarks.watch.triggerer '{"who": "ours", "url": "http://...", "warm_up": 120, "plan": {...}}'

It is not a triggerer: no database, no supervisor, no log of each trigger's own. Prints one JSON document: what was counted between the
window's begin and its end, and what each trigger told. Runs with our packages or with the provider's alone.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import sys
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.watch.announcing import lost
from benchmarks.watch.judging import Heard, judged
from benchmarks.watch.plan import Plan, Run
from benchmarks.watch.sqs import OPERATIONS

POLLING = 30.0
"""Seconds between two looks at a long job run: ours at most, the provider's always."""
GRACE = 3 * POLLING
"""Seconds after the window in which its ends may still be noticed."""
SETTLING = 180.0
"""Seconds more that are given until everybody has asked once, and made its client first: each of the provider's triggers its own."""
_PUT_OFF = POLLING
_PAGE_BYTES = resource.getpagesize()


def _ours(plan: Plan, began: float) -> Callable[[Run], Any]:
    from emr_pipelines.targets.base import Compute  # noqa: PLC0415 - the provider's environment does not have it
    from emr_pipelines.watching import JobRunTrigger  # noqa: PLC0415 - as above

    def trigger(run: Run) -> Any:
        since = began + run.created
        if plan.service == "ec2":
            return JobRunTrigger(Compute("ec2", "ec2", run.compute, "bench").to_json(), run.id, None, since)
        compute = Compute("serverless", "serverless", run.compute, "bench", parts={"spark": run.compute})
        return JobRunTrigger(compute.to_json(), f"{run.compute}/{run.id}", None, since)

    return trigger


def _provider(plan: Plan, _: float) -> Callable[[Run], Any]:
    from airflow.providers.amazon.aws.triggers import emr  # noqa: PLC0415 - only one of both is measured

    asks: dict[str, Any] = {"waiter_delay": int(POLLING), "waiter_max_attempts": sys.maxsize, "aws_conn_id": None}

    def trigger(run: Run) -> Any:
        if plan.service == "ec2":
            return emr.EmrStepSensorTrigger(run.compute, run.id, **asks)
        return emr.EmrServerlessStartJobTrigger(run.compute, run.id, **asks)

    return trigger


WITH_EVENTS = "ours with events"
CONTESTANTS = {"ours": _ours, WITH_EVENTS: _ours, "provider": _provider}


class Triggerer:
    """The triggers of one plan, and what they tell."""

    def __init__(self, url: str, plan: Plan, who: str, warm_up: float) -> None:
        self._url = url
        self._plan = plan
        self._who = who
        self._warm_up = warm_up
        self._heard: list[Heard] = []
        # Triggers may take all threads of the loop's own.
        self._asking = ThreadPoolExecutor(1)

    async def measure(self) -> dict[str, Any]:
        """Run all triggers through warm-up, window and grace; return what was measured."""
        loop = asyncio.get_running_loop()
        began = time.time() + self._warm_up
        await self._ask("begin", str(began).encode())
        trigger = CONTESTANTS[self._who](self._plan, began)
        memory = resident_bytes()
        tasks = [loop.create_task(self._run(run, trigger(run))) for run in self._plan.waited]
        began = await self._settled(began)
        before, used = await self._ask("counts"), time.process_time()
        await asyncio.sleep(max(0.0, began + self._plan.window - time.time()))
        after = await self._ask("counts")
        seconds = time.time() - began
        figures = {
            "seconds": seconds,
            "cpu": time.process_time() - used,
            "memory": resident_bytes() - memory,
            "before": before,
            "after": after,
        }
        ending = [task for run, task in zip(self._plan.waited, tasks, strict=True) if run.ends is not None]
        await asyncio.wait(ending, timeout=GRACE)
        unannounced = lost(self._plan) if self._who == WITH_EVENTS else frozenset()
        return {**figures, **judged(self._plan, began, self._heard, time.time(), unannounced)}

    async def _settled(self, began: float) -> float:
        """Wait until the window begins, and put that off while there is somebody who has not asked; return when it began."""
        latest = began + SETTLING
        while True:
            left = began - time.time()
            if left < _PUT_OFF and began < latest and await self._is_starting():
                began = max(began, time.time()) + _PUT_OFF
                await self._ask("begin", str(began).encode())
            elif left <= 0:
                return began
            else:
                await asyncio.sleep(min(left, 1.0))

    async def _is_starting(self) -> bool:
        return is_starting(self._who, self._plan.jobs, await self._ask("counts"))

    async def _run(self, run: Run, trigger: Any) -> None:
        """Await a trigger's first event, as Airflow does."""
        said: Any
        try:
            async for event in trigger.run():
                said = event.payload
                break
        except Exception as error:  # noqa: BLE001 - Airflow fails the task then, whatever it is
            said = {"raised": f"{type(error).__name__}: {error}"}
        self._heard.append(Heard(run.id, time.time(), said))

    async def _ask(self, what: str, body: bytes | None = None) -> Any:
        def ask() -> Any:
            with urllib.request.urlopen(f"{self._url}/_bench/{what}", body) as answer:  # noqa: S310 - our own http
                return json.loads(answer.read() or b"null")

        return await asyncio.get_running_loop().run_in_executor(self._asking, ask)


def is_starting(who: str, jobs: int, counts: dict[str, Any]) -> bool:
    """Say whether somebody has not asked the endpoint yet: one of the provider's triggers, or our watcher or its listener."""
    if who == "provider":
        return bool(counts["asked_for"] < jobs)
    listens = "ReceiveMessage" in counts["calls"]
    return not set(counts["calls"]) - OPERATIONS or (who == WITH_EVENTS and not listens)


def resident_bytes() -> int:
    """Return this process's resident memory."""
    with open("/proc/self/statm") as statm:  # noqa: PTH123 - a path object is no help here
        return int(statm.read().split()[1]) * _PAGE_BYTES


def main() -> None:
    """Measure what the argument says."""
    asked = json.loads(sys.argv[1])
    os.environ["AWS_ENDPOINT_URL"] = asked["url"]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, hard), hard))
    logging.disable(logging.WARNING)
    plan = Plan(**asked["plan"])
    triggerer = Triggerer(asked["url"], plan, asked["who"], asked["warm_up"])
    # Not asyncio.run: threads that still wait for an answer would hold the process.
    print(json.dumps(asyncio.new_event_loop().run_until_complete(triggerer.measure())), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
