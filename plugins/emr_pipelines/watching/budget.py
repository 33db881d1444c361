"""The call budget: a share of what AWS allows an account, so that other tools, and other triggerers, have the rest.

Sources: "Amazon EMR endpoints and quotas" in the AWS General Reference (for each operation a burst, and the rate at which it is
refilled, per account and region) and "Endpoints and quotas for EMR Serverless" in its User Guide. For EMR on EKS AWS names no
numbers: it is taken to allow what EMR Serverless does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple


class Rate(NamedTuple):
    """How many calls at once, and how many a second after that."""

    burst: float
    refill: float


_LIST, _GET = Rate(25, 1), Rate(50, 10)

ALLOWED: dict[str, dict[str, Rate]] = {
    "emr": {
        "ListSteps": Rate(10, 0.5),
        "DescribeStep": Rate(10, 0.5),
        "ListClusters": Rate(20, 0.5),
        "DescribeCluster": Rate(10, 1),
    },
    "emr-serverless": {"ListJobRuns": _LIST, "GetJobRun": _GET, "ListApplications": _LIST, "GetApplication": _GET},
    "emr-containers": {
        "ListJobRuns": _LIST,
        "DescribeJobRun": _GET,
        "ListVirtualClusters": _LIST,
        "DescribeVirtualCluster": _GET,
    },
}
"""What AWS allows an account in a region, by service and operation as botocore names them; another operation is not waited for."""

_SLOWEST = 1 / 8
_ONE_AND_THE_SAME_SECONDS = 10.0
"""Seconds within which throttles are one and the same news."""

_RECOVERY_SECONDS = 60.0
"""Seconds without a throttle after which the budget is doubled again, until it is whole."""


@dataclass
class _Bucket:
    rate: Rate
    tokens: float
    at: float

    def reserve(self, now: float, factor: float) -> float:
        """Take a token, of the future where there is none now; return the seconds until it is there."""
        self.fill(now, factor)
        self.tokens -= 1
        return max(0.0, -self.tokens / (self.rate.refill * factor))

    def fill(self, now: float, factor: float) -> None:
        self.tokens = min(self.rate.burst, self.tokens + self.rate.refill * factor * max(0.0, now - self.at))
        self.at = now


class Budget:
    """What one process may ask of one service: ``share`` of what AWS allows. Safe to use from many threads.

    A throttle means that somebody else uses the account too: the bucket of that operation is empty then, and all buckets fill
    at half the rate, down to an eighth if it goes on; each minute without one doubles it again.
    """

    def __init__(
        self,
        service: str,
        share: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._buckets = {
            operation: _Bucket(
                Rate(max(1.0, rate.burst * share), rate.refill * share), max(1.0, rate.burst * share), clock()
            )
            for operation, rate in ALLOWED[service].items()
        }
        self._clock = clock
        self._sleep = sleep
        self._factor = 1.0
        self._changed = clock()
        self._lock = threading.Lock()

    def wait_for(self, operation: str) -> None:
        """Wait until a call of this operation is within the budget, and take it from there."""
        bucket = self._buckets.get(operation)
        if bucket is None:
            return
        with self._lock:
            now = self._clock()
            while self._factor < 1.0 and now - self._changed >= _RECOVERY_SECONDS:
                self._factor *= 2
                self._changed += _RECOVERY_SECONDS
            pause = bucket.reserve(now, self._factor)
        if pause:
            self._sleep(pause)

    def throttled(self, operation: str) -> None:
        """Take less: AWS refused a call of this operation."""
        with self._lock:
            now = self._clock()
            for bucket in self._buckets.values():
                bucket.fill(now, self._factor)
            if refused := self._buckets.get(operation):
                refused.tokens = min(refused.tokens, 0.0)
            if self._factor == 1.0 or now - self._changed >= _ONE_AND_THE_SAME_SECONDS:
                self._factor = max(_SLOWEST, self._factor / 2)
                self._changed = now
