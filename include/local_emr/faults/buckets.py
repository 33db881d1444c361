"""AWS's rate limits: token buckets for each operation, account and region. Pure.

Sources: "Amazon EMR endpoints and quotas" in the AWS General Reference (a burst, and the rate at which it is refilled;
the quotas of one operation and of all together are enforced independently of each other); "Endpoints and quotas for EMR
Serverless" in its User Guide. For EMR on EKS AWS tells no numbers: it is given those of EMR Serverless.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Rate(NamedTuple):
    """How many calls at once, and how many a second after that."""

    burst: float
    refill: float


_EMR, _START, _GET = Rate(10, 0.5), Rate(25, 1), Rate(50, 10)

ALL_OPERATIONS = {"elasticmapreduce": Rate(25, 5)}
"""What a service allows of all its operations together."""

RATES: dict[str, dict[str, Rate]] = {
    "elasticmapreduce": {
        "RunJobFlow": _EMR,
        "AddJobFlowSteps": _EMR,
        "DescribeStep": _EMR,
        "ListSteps": _EMR,
        "CancelSteps": _EMR,
        "TerminateJobFlows": _EMR,
        "DescribeCluster": Rate(10, 1),
        "ListClusters": Rate(20, 0.5),
    },
    "emr-serverless": {
        "StartJobRun": _START,
        "CancelJobRun": _START,
        "ListJobRuns": _START,
        "CreateApplication": _START,
        "StartApplication": _START,
        "StopApplication": _START,
        "DeleteApplication": _START,
        "GetJobRun": _GET,
        "GetApplication": _GET,
    },
    "emr-containers": {
        "StartJobRun": _START,
        "CancelJobRun": _START,
        "ListJobRuns": _START,
        "CreateVirtualCluster": _START,
        "DeleteVirtualCluster": _START,
        "DescribeJobRun": _GET,
        "DescribeVirtualCluster": _GET,
    },
}
"""What a service allows of one operation; of those that are not named, as many as together are allowed."""


@dataclass
class TokenBucket:
    """Tokens for calls: `rate.burst` at first and at most, `rate.refill` more each second. Times are in seconds."""

    rate: Rate
    now: float
    tokens: float

    @classmethod
    def full(cls, rate: Rate, now: float) -> TokenBucket:
        """Return a bucket that nobody has taken from."""
        return cls(rate, now, rate.burst)

    def has_one(self, now: float) -> bool:
        """Say whether there is a token at `now`; a clock that goes back refills nothing."""
        self.tokens = min(self.rate.burst, self.tokens + self.rate.refill * max(0.0, now - self.now))
        self.now = max(self.now, now)
        return self.tokens >= 1

    def take(self) -> None:
        """Take a token that there is."""
        self.tokens -= 1


class RateLimiter:
    """What one service allows of `operation`, or of all (None), to each region."""

    def __init__(self, service: str, operation: str | None) -> None:
        self._rates = {name: rate for name, rate in RATES[service].items() if operation in {None, name}}
        self._all = ALL_OPERATIONS.get(service) if operation is None else None
        self._buckets: dict[tuple[str, str | None], TokenBucket] = {}

    def limits(self, operation: str | None) -> bool:
        """Say whether calls of this operation are counted at all."""
        return self._all is not None or operation in self._rates

    def lets_through(self, region: str, operation: str | None, now: float) -> bool:
        """Say whether a call is let through, and take its tokens; one that is refused takes none."""
        rates = {None: self._all, operation: self._rates.get(operation or "")}
        buckets = [
            self._buckets.setdefault((region, name), TokenBucket.full(rate, now))
            for name, rate in rates.items()
            if rate is not None
        ]
        if not all(bucket.has_one(now) for bucket in buckets):
            return False
        for bucket in buckets:
            bucket.take()
        return True
