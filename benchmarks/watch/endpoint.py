"""The scripted endpoint: EMR Serverless or EMR on EC2 about a plan's job runs, within AWS's rates, with its calls counted.

    python -m benchmarks.watch.endpoint '{"service": "serverless", "jobs": 1000, "window": 60}'

Its first line is its address. `POST /_bench/begin` with a time in seconds since 1970 says when the plan's window begins, `GET
/_bench/counts` tells how often each operation was called and refused, and how many job runs were asked for by themselves. It
plays the queue of the plan's events, too, whose address is that of the endpoint with any path. It ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from aiohttp import web

from benchmarks.watch.announcing import announcements, event
from benchmarks.watch.answers import UnknownError, of_ec2, of_serverless
from benchmarks.watch.plan import Plan
from benchmarks.watch.sqs import MOST, Queue
from local_emr.faults.buckets import RateLimiter

REGION = "us-east-1"
BACKLOG = 4096
"""Connections that may wait for being accepted: thousands of triggers connect at once."""


class Endpoint:
    """Answers, counts and refuses."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._limiter = RateLimiter("emr-serverless" if plan.service == "serverless" else "elasticmapreduce", None)
        self._began = 0.0
        self._queue = Queue()
        self._calls: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._asked_for: set[str] = set()

    @property
    def application(self) -> web.Application:
        """All that it serves."""
        served = web.Application()
        served.router.add_post("/_bench/begin", self._begin)
        served.router.add_get("/_bench/counts", self._counts)
        served.router.add_get("/applications/{application}", self._rest("GetApplication"))
        served.router.add_get("/applications/{application}/jobruns", self._rest("ListJobRuns"))
        served.router.add_get("/applications/{application}/jobruns/{run}", self._rest("GetJobRun"))
        served.router.add_post("/", self._json)
        return served

    async def _begin(self, request: web.Request) -> web.Response:
        self._began = float(await request.text())
        self._queue = Queue()
        for one in announcements(self._plan):
            self._queue.send(event(self._plan, one.run, REGION, self._began), self._began + one.at)
        return web.Response()

    async def _counts(self, _: web.Request) -> web.Response:
        return web.json_response({"calls": self._calls, "refused": self._refused, "asked_for": len(self._asked_for)})

    def _rest(self, operation: str) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.Response:
            asked = {name: request.query.getall(name) for name in request.query}
            asked |= {name: [label] for name, label in request.match_info.items()}
            self._asked_for.update(asked.get("run", ()))
            return self._answer(operation, lambda now: of_serverless(self._plan, self._began, now)[operation](asked))

        return handle

    async def _json(self, request: web.Request) -> web.Response:
        service, _, operation = request.headers.get("X-Amz-Target", "").rpartition(".")
        asked = json.loads(await request.read())
        if service == "AmazonSQS":
            return await self._sqs(operation, asked)
        self._asked_for.update([asked["StepId"]] if "StepId" in asked else ())
        return self._answer(operation, lambda now: of_ec2(self._plan, self._began, now)[operation](asked))

    async def _sqs(self, operation: str, asked: dict[str, Any]) -> web.Response:
        self._calls[operation] += 1
        match operation:
            case "ReceiveMessage":
                until = time.time() + asked.get("WaitTimeSeconds", 0)
                while not (messages := self._queue.receive(now := time.time(), asked.get("MaxNumberOfMessages", MOST))):
                    wake = min(until, self._queue.next_at() or until)
                    if now >= until:
                        break
                    await asyncio.sleep(max(0.0, wake - now))
                return web.json_response({"Messages": messages} if messages else {})
            case "DeleteMessageBatch":
                return web.json_response(self._queue.delete(asked["Entries"]))
            case "ChangeMessageVisibilityBatch":
                return web.json_response(self._queue.change_visibility(asked["Entries"], time.time()))
        return _refusal("InvalidAction", f"{operation} is not served", 400)

    def _answer(self, operation: str, ask: Callable[[float], dict[str, Any]]) -> web.Response:
        self._calls[operation] += 1
        if not self._limiter.lets_through(REGION, operation, time.monotonic()):
            self._refused[operation] += 1
            return _refusal("ThrottlingException", "Rate exceeded", 429 if self._plan.service == "serverless" else 400)
        try:
            return web.json_response(ask(time.time()))
        except (UnknownError, KeyError) as error:
            unknown = {"serverless": ("ResourceNotFoundException", 404), "ec2": ("InvalidRequestException", 400)}
            code, status = unknown[self._plan.service]
            return _refusal(code, str(error), status)


def _refusal(code: str, message: str, status: int) -> web.Response:
    return web.json_response({"__type": code, "message": message}, status=status, headers={"x-amzn-ErrorType": code})


async def serve(plan: Plan) -> None:
    """Serve a plan until the standard input ends."""
    # A long poll ends with the process that made it.
    runner = web.AppRunner(Endpoint(plan).application, access_log=None, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=BACKLOG)
    await site.start()
    host, port = runner.addresses[0][:2]
    print(f"http://{host}:{port}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(Plan(**json.loads(sys.argv[1]))))
