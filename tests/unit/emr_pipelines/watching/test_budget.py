"""How many calls the watcher makes: judged by the token buckets of the local endpoint, which are AWS's."""

from __future__ import annotations

from collections import Counter

import pytest

from emr_pipelines.watching.budget import ALLOWED, Budget
from local_emr.faults.buckets import RATES, RateLimiter

SIGNED = {"emr": "elasticmapreduce", "emr-serverless": "emr-serverless", "emr-containers": "emr-containers"}


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def calls_in(seconds, service, operation, *, share=0.5, clock=None):
    """Call as fast as the budget allows; return how many calls were made in so many seconds."""
    clock = clock or Clock()
    budget = Budget(service, share, clock, clock.sleep)
    made, until = 0, clock.now + seconds
    while True:
        budget.wait_for(operation)
        if clock.now > until:
            return made
        made += 1


@pytest.mark.parametrize(
    ("service", "operation"), [(service, operation) for service, rates in ALLOWED.items() for operation in rates]
)
@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_aws_refuses_no_call_within_the_budget(service, operation, share):
    clock = Clock()
    limiter = RateLimiter(SIGNED[service], operation)
    budget = Budget(service, share, clock, clock.sleep)
    for call in range(120):
        budget.wait_for(operation)
        rounding = 1e-6 * call
        assert limiter.lets_through("us-east-1", operation, clock.now + rounding)


def test_the_rates_are_those_of_the_local_endpoint_where_both_name_them():
    both = {
        (service, operation): (rate, RATES[SIGNED[service]][operation])
        for service, rates in ALLOWED.items()
        for operation, rate in rates.items()
        if operation in RATES[SIGNED[service]]
    }
    assert len(both) >= 8
    assert {place: ours for place, (ours, _) in both.items()} == {place: theirs for place, (_, theirs) in both.items()}


def test_the_share_is_used_and_no_more():
    # ListJobRuns: a burst of 25 and one a second; half of it in ten minutes.
    assert calls_in(600, "emr-serverless", "ListJobRuns") == 12 + 300
    assert calls_in(600, "emr-serverless", "ListJobRuns", share=0.25) == 6 + 150


def test_what_aws_names_no_rate_for_is_not_waited_for():
    clock = Clock()
    budget = Budget("emr", 0.5, clock, clock.sleep)
    for _ in range(1000):
        budget.wait_for("ListInstances")
    assert clock.now == 1000.0


def test_a_throttle_empties_the_bucket_and_slows_all_down_until_a_minute_has_passed_without_one():
    clock = Clock()
    budget = Budget("emr-serverless", 0.5, clock, clock.sleep)
    budget.throttled("ListJobRuns")
    begun = clock.now
    budget.wait_for("ListJobRuns")
    assert clock.now - begun == pytest.approx(4.0)  # half of half a call a second
    for _ in range(5):
        budget.throttled("ListJobRuns")  # the same news
    begun = clock.now
    budget.wait_for("ListJobRuns")
    assert clock.now - begun == pytest.approx(4.0)
    for _ in range(5):
        clock.now += 11
        budget.throttled("ListJobRuns")
    begun = clock.now
    budget.wait_for("ListJobRuns")
    assert clock.now - begun == pytest.approx(16.0)  # an eighth of it, and no slower
    clock.now += 181
    for _ in range(12):
        budget.wait_for("ListJobRuns")
    begun = clock.now
    budget.wait_for("ListJobRuns")
    assert 0 < clock.now - begun <= 2.0


def test_who_comes_first_is_served_first():
    clock = Clock()
    waits = []
    budget = Budget("emr", 0.5, clock, waits.append)
    for _ in range(9):
        budget.wait_for("ListSteps")
    assert waits == pytest.approx([4.0, 8.0, 12.0, 16.0])  # five at once, then one in four seconds
    assert Counter(waits).most_common(1)[0][1] == 1
