"""Rate limits, late answers, clocks that are wrong: what happens to calls, as a client meets it."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from fractions import Fraction
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from local_emr.endpoint import running
from local_emr.faults import RateLimit, fault_of
from local_emr.faults.buckets import ALL_OPERATIONS, RATES, Rate, RateLimiter, TokenBucket
from local_emr.signing import expired
from tests.local_emr.asking import arm, ask, create, refusal
from tests.local_emr.conftest import client_of
from tests.local_emr.scripted import DEADLINE, ScriptedEngine, eventually
from tests.local_emr.services import SERVICES, Ec2, Eks, Serverless

# Token buckets

MOMENTS = st.lists(st.integers(0, 2000), min_size=1, max_size=120).map(sorted)
"""Eighths of seconds, which floats hold exactly, at which somebody calls."""

BUCKETS = st.builds(Rate, st.integers(1, 12), st.sampled_from([0.5, 1.0, 2.0, 4.0]))


def let_through(rate, moments):
    """Return the moments, in seconds, at which a call was let through."""
    bucket = TokenBucket.full(rate, 0.0)
    passed = []
    for moment in moments:
        if bucket.has_one(moment / 8):
            bucket.take()
            passed.append(moment / 8)
    return passed


@given(BUCKETS, MOMENTS)
def test_no_span_of_time_lets_more_through_than_the_burst_and_what_was_refilled(rate, moments):
    passed = let_through(rate, moments)
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            span = passed[last] - passed[first]
            assert last - first + 1 <= rate.burst + rate.refill * span


@given(BUCKETS, st.integers(1, 60))
def test_who_keeps_to_the_rate_is_never_refused(rate, calls):
    moments = [number * 8 / rate.refill for number in range(calls)]
    assert len(let_through(rate, moments)) == calls


@given(BUCKETS, st.integers(0, 2000))
def test_the_whole_burst_is_let_through_at_once_and_no_more(rate, moment):
    assert len(let_through(rate, [moment] * 30)) == rate.burst


def test_a_clock_that_goes_back_refills_nothing():
    bucket = TokenBucket.full(Rate(1, 1), 100.0)
    bucket.take()
    assert [bucket.has_one(moment) for moment in (50.0, 100.5, 60.0, 100.9, 101.0)] == [False] * 4 + [True]


CALLS = st.tuples(st.sampled_from(["DescribeCluster", "ListClusters", "AddTags"]), st.integers(0, 20))
"""An operation, and after how many eighths of a second it is called."""


@given(st.lists(CALLS, min_size=1, max_size=150))
def test_a_call_takes_of_its_own_rate_and_of_that_of_all_and_a_refused_one_takes_nothing(calls):
    limiter = RateLimiter("elasticmapreduce", None)
    rates = {**RATES["elasticmapreduce"], "all": ALL_OPERATIONS["elasticmapreduce"]}
    tokens = {name: Fraction(rate.burst) for name, rate in rates.items()}
    eighths = 0
    for name, later in calls:
        eighths += later
        for known, rate in rates.items():
            tokens[known] = min(Fraction(rate.burst), tokens[known] + Fraction(rate.refill) * later / 8)
        needed = {"all", name} & set(rates)
        allowed = all(tokens[known] >= 1 for known in needed)
        assert allowed == limiter.lets_through("us-east-1", name, eighths / 8)
        for known in needed:
            tokens[known] -= allowed


# Rate limits


def outcomes(call, times):
    """Call so often, and count what was let through and refused."""
    refused = 0
    for _ in range(times):
        try:
            call()
        except ClientError as error:
            refused += error.response["Error"] == {"Code": "ThrottlingException", "Message": "Rate exceeded"}
    return times - refused, refused


@pytest.mark.parametrize(
    ("jobs", "operation", "burst", "refill"),
    [(Ec2, "DescribeStep", 10, 0.5), (Eks, "DescribeJobRun", 50, 10), (Serverless, "GetJobRun", 50, 10)],
)
def test_a_service_lets_a_burst_through_and_then_what_is_refilled(endpoint, jobs, operation, burst, refill):
    jobs = jobs(endpoint)
    run = jobs.start("hold", "a")
    arm(endpoint, "rate_limit", jobs.service)
    for let_through in (burst, 2):
        assert outcomes(lambda: jobs.state(run), let_through + 2) == (let_through, 2)
        endpoint.clock.advance(2 / refill)
    (armed,) = ask(endpoint, "GET")[1]["faults"]
    assert (armed["fault"], armed["let_through"], armed["struck"]) == ("rate_limit", burst + 2, 4)
    ask(endpoint, "DELETE")
    assert outcomes(lambda: jobs.state(run), 4) == (4, 0)


def test_all_operations_of_emr_together_have_a_rate(endpoint):
    arm(endpoint, "rate_limit")
    assert outcomes(endpoint.emr.list_release_labels, 27) == (25, 2)
    assert outcomes(endpoint.emr.list_clusters, 1) == (0, 1)
    endpoint.clock.advance(1)
    assert outcomes(endpoint.emr.list_clusters, 6) == (5, 1)


def test_a_rate_limit_of_one_operation_leaves_the_others_alone_and_is_kept_by_region(endpoint):
    cluster_id = create(endpoint)
    arm(endpoint, "rate_limit", operation="DescribeCluster")
    assert outcomes(lambda: endpoint.emr.describe_cluster(ClusterId=cluster_id), 11) == (10, 1)
    assert outcomes(endpoint.emr.list_clusters, 25) == (25, 0)
    elsewhere = endpoint.client("emr", "eu-west-1")
    assert refusal(elsewhere.describe_cluster, ClusterId=cluster_id)[0] == "InvalidRequestException"
    (armed,) = ask(endpoint, "GET")[1]["faults"]
    assert (armed["operation"], armed["let_through"], armed["struck"]) == ("DescribeCluster", 11, 1)


def test_a_call_that_is_over_the_rate_has_no_effect_and_is_told_of_in_the_journal(endpoint):
    jobs = Ec2(endpoint)
    arm(endpoint, "rate_limit", operation="AddJobFlowSteps")
    assert outcomes(lambda: jobs.start("succeed"), 11) == (10, 1)
    assert len(jobs.listed()) == 10
    calls = [entry for entry in endpoint.journal if entry.get("operation") == "AddJobFlowSteps"]
    assert [call["fault"] for call in calls if call["what"] == "answered"] == [None] * 10 + ["rate_limit"]


@pytest.mark.parametrize("service", RATES)
def test_every_operation_that_has_a_rate_is_one_of_the_service(service):
    limits = [fault_of({"service": service, "fault": "rate_limit", "operation": name}) for name in RATES[service]]
    assert limits == [RateLimit(service, operation=name) for name in RATES[service]]


# Answers that are late


@pytest.mark.parametrize("jobs", SERVICES)
def test_a_late_answer_comes_after_its_effect(endpoint, jobs):
    jobs = jobs(endpoint)
    arm(endpoint, "slow_answer", jobs.service, operation=jobs.submits, seconds=30)
    answered = []
    caller = threading.Thread(target=lambda: answered.append(jobs.start("hold", "a")))
    caller.start()
    eventually(lambda: len(jobs.listed()), 1)
    endpoint.clock.advance(29)
    assert answered == []
    endpoint.clock.advance(1)
    caller.join(DEADLINE)
    assert answered == list(jobs.listed())
    assert jobs.start("succeed") in jobs.listed()


def test_an_answer_of_s3_can_be_late(endpoint):
    endpoint.s3.create_bucket(Bucket="local-data")
    arm(endpoint, "slow_answer", "s3", seconds=5, name_contains="/flights")
    caller = threading.Thread(target=endpoint.s3.put_object, kwargs={"Bucket": "local-data", "Key": "flights/a"})
    caller.start()
    eventually(lambda: endpoint.s3.list_objects_v2(Bucket="local-data")["KeyCount"], 1)
    assert caller.is_alive()
    endpoint.clock.advance(5)
    caller.join(DEADLINE)
    assert not caller.is_alive()


def test_a_late_answer_goes_out_when_the_endpoint_ends(tmp_path):
    answered = []
    with running(tmp_path, ScriptedEngine, boot_seconds=0, journal=answered.append) as url:
        lists = client_of(url, "emr").list_clusters
        lists()
        arm(SimpleNamespace(url=url), "slow_answer", seconds=600)
        caller = threading.Thread(target=lists)
        caller.start()
        eventually(lambda: [entry["fault"] for entry in answered if entry["what"] == "answered"], [None, "slow_answer"])
        assert caller.is_alive()
    caller.join(DEADLINE)
    assert not caller.is_alive()


# Clocks


@pytest.mark.parametrize(("jobs", "skew"), [(Ec2, 90), (Eks, -90), (Serverless, 90)])
def test_a_service_whose_clock_is_off_tells_all_times_by_it(endpoint, jobs, skew):
    jobs = jobs(endpoint)
    run = jobs.start("hold", "a")
    arm(endpoint, "clock_skew", jobs.service, seconds=skew)
    assert jobs.created(run) == endpoint.clock.now() + skew
    said = jobs.client.meta.events
    dates = []
    said.register("after-call", lambda http_response, **_: dates.append(http_response.headers["Date"]))
    jobs.listed()
    difference = parsedate_to_datetime(dates[0]) - datetime.now(UTC)
    assert abs(difference - timedelta(seconds=skew)) < timedelta(seconds=30)
    ask(endpoint, "DELETE")
    assert jobs.created(run) == endpoint.clock.now()


@pytest.mark.parametrize(("jobs", "skew"), [(Ec2, 90), (Eks, -90), (Serverless, 90)])
def test_a_service_whose_clock_is_off_reads_times_by_it(endpoint, jobs, skew):
    jobs = jobs(endpoint)
    jobs.start("hold", "a")
    arm(endpoint, "clock_skew", jobs.service, seconds=skew)
    now = endpoint.clock.now() + skew
    found = [jobs.created_after(datetime.fromtimestamp(now + later, UTC)) for later in (-1, 1)]
    assert found == [[jobs.id], []]


EARLY, LATE = "Signature not yet current: {} is still later", "Signature expired: {} is now earlier"


@pytest.mark.parametrize(("jobs", "skew", "words"), [(Ec2, 400, LATE), (Eks, -400, EARLY), (Serverless, 400, LATE)])
def test_a_clock_that_is_more_than_five_minutes_off_refuses_every_signature(endpoint, jobs, skew, words):
    jobs = jobs(endpoint)
    arm(endpoint, "clock_skew", jobs.service, seconds=skew)
    with pytest.raises(ClientError) as refused:
        jobs.start("succeed")
    answer = refused.value.response
    signed = answer["Error"]["Message"].split(": ")[1].split()[0]
    assert abs(datetime.strptime(signed, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp() - time.time()) < 30
    assert answer["Error"]["Message"].startswith(words.format(signed))
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == ("InvalidSignatureException", 403)
    ask(endpoint, "DELETE")
    assert jobs.listed() == {}


@settings(deadline=None)
@given(st.integers(-1000, 1000))
def test_a_signature_is_good_for_five_minutes(seconds):
    signed = datetime(2026, 1, 1, tzinfo=UTC)
    words = expired(signed.strftime("%Y%m%dT%H%M%SZ"), signed.timestamp() + seconds)
    assert (words is None) == (abs(seconds) <= 300)


def test_a_refused_signature_is_told_with_its_limit():
    now = datetime(2018, 7, 10, 7, 17, 14, tzinfo=UTC).timestamp()
    words = "Signature expired: 20180707T233021Z is now earlier than 20180710T071214Z (20180710T071714Z - 5 min.)"
    assert words == expired("20180707T233021Z", now)


@pytest.mark.parametrize("signed", ["", "yesterday"])
def test_a_request_without_a_date_is_not_refused_for_it(signed):
    assert expired(signed, 0.0) is None
