"""The side door: faults on purpose, as a client of the endpoint meets them."""

from __future__ import annotations

from dataclasses import replace

import boto3
import pytest
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import create_environ
from werkzeug.wrappers import Request

from local_emr.faults import (
    EMR_SERVICES,
    BootstrapFailure,
    ClockSkew,
    Faults,
    InvalidFaultError,
    Lag,
    RefuseCapacity,
    Throttle,
    ValidationFailure,
    fault_of,
)
from local_emr.journal import Call
from local_emr.server import side_door
from tests.local_emr.asking import arm, ask, cluster_of, create, refusal, state_of
from tests.local_emr.scripted import eventually, step

SERVERLESS = "emr-serverless"


# Asking for faults


def test_what_is_armed_is_listed_with_how_often_it_struck_until_it_is_forgotten(endpoint):
    arm(endpoint, "throttle", operation="ListClusters", count=2)
    refusal(endpoint.emr.list_clusters)
    armed = {"service": "elasticmapreduce", "fault": "throttle", "operation": "ListClusters", "count": 2}
    assert ask(endpoint, "GET") == (200, {"faults": [{**armed, "name_contains": "", "struck": 1}]})
    assert ask(endpoint, "DELETE") == (200, {"faults": []})
    assert endpoint.emr.list_clusters()["Clusters"] == []


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["throttle"], "A fault is a JSON object"),
        ({"fault": "throttle"}, "None is no service: give what requests are signed for, such as elasticmapreduce, "),
        ({"service": ["s3"], "fault": "throttle"}, "['s3'] is no service"),
        ({"service": "emr", "fault": "throttle"}, "'emr' is no service"),
        ({"service": "s3"}, "None is not a fault: give one of throttle, error, lose_answer, slow_answer, rate_limit, "),
        ({"service": "s3", "fault": "melt"}, "'melt' is not a fault"),
        ({"service": "s3", "fault": ["error"]}, "['error'] is not a fault"),
        (
            {"service": "s3", "fault": "error", "when": 1},
            "error has no 'when': give fault, service, operation, count, ",
        ),
        ({"service": "s3", "fault": "error", "count": 0}, "count must be a whole number of 1 or more, not 0."),
        ({"service": "s3", "fault": "error", "count": True}, "count must be a whole number of 1 or more, not True."),
        ({"service": "s3", "fault": "error", "name_contains": 1}, "name_contains must be a text, not 1."),
        ({"service": "s3", "fault": "error", "operation": "PutObject"}, "The operations of s3 are not told apart here"),
        ({"service": SERVERLESS, "fault": "error", "operation": "StartJob"}, "has no operation 'StartJob'"),
        ({"service": SERVERLESS, "fault": "error", "operation": ["StartJob"]}, "has no operation ['StartJob']"),
        ({"service": "s3", "fault": "refuse_capacity"}, "s3 has no refuse_capacity here: give elasticmapreduce or emr"),
        ({"service": SERVERLESS, "fault": "bootstrap_failure"}, "no bootstrap_failure here: give elasticmapreduce."),
        (
            {"service": SERVERLESS, "fault": "refuse_capacity", "operation": "StartJobRun"},
            "no 'operation': give fault,",
        ),
        ({"service": SERVERLESS, "fault": "slow_answer"}, "seconds must be a number, more than 0 and at most 600, not"),
        ({"service": SERVERLESS, "fault": "lag", "seconds": 61}, "more than 0 and at most 60, not 61."),
        ({"service": SERVERLESS, "fault": "lag", "seconds": True}, "more than 0 and at most 60, not True."),
        ({"service": SERVERLESS, "fault": "lag", "seconds": float("nan")}, "at most 60, not nan."),
        ({"service": SERVERLESS, "fault": "lag", "seconds": "5"}, "at most 60, not '5'."),
        ({"service": SERVERLESS, "fault": "clock_skew", "seconds": -86_401}, "up to 86400, either sign, not -86401."),
        ({"service": SERVERLESS, "fault": "clock_skew", "seconds": 0}, "up to 86400, either sign, not 0."),
        ({"service": SERVERLESS, "fault": "spot_loss"}, "give either name_contains or id."),
        (
            {"service": SERVERLESS, "fault": "vanish", "id": "a", "name_contains": "b"},
            "give either name_contains or id.",
        ),
        ({"service": SERVERLESS, "fault": "vanish", "id": 7}, "id must be a text, not 7."),
        ({"service": SERVERLESS, "fault": "rate_limit", "operation": "TagResource"}, "no rate of TagResource to keep"),
    ],
)
def test_what_is_no_fault_is_refused_in_one_sentence(asked, words):
    with pytest.raises(InvalidFaultError) as refused:
        fault_of(asked)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("method", "body", "expected"),
    [
        ("POST", b"{", (400, "The request is not JSON")),
        ("POST", {"fault": "throttle"}, (400, "None is no service")),
        ("PUT", {}, (405, "Arm a fault with POST")),
    ],
)
def test_the_side_door_refuses_in_json(endpoint, method, body, expected):
    status, answer = ask(endpoint, method, body)
    assert (status, answer["message"][: len(expected[1])]) == expected


@pytest.mark.parametrize(
    ("client", "status"),
    [
        ("127.0.0.1", 200),
        ("127.8.8.8", 200),
        ("::1", 200),
        ("::ffff:127.0.0.1", 200),
        ("10.0.0.7", 403),
        ("::ffff:10.0.0.7", 403),
        ("fe80::1%eth0", 403),
        ("", 403),
    ],
)
def test_only_the_endpoints_own_machine_uses_the_side_door(client, status):
    faults = Faults()
    request = Request(create_environ("/_local_emr/faults", environ_base={"REMOTE_ADDR": client}))
    assert side_door(request, faults).status_code == status


# Which call is struck


def struck_by(faults, service="s3", operation=None, text=""):
    """Say what strikes a call."""
    fault = faults.strike(Call(service, operation, 1, text), "us-east-1", 0.0)
    return fault and fault.kind


@settings(deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(0, 20))
def test_as_many_calls_are_struck_as_were_asked_for_and_none_twice(counts, calls):
    faults = Faults()
    for count in counts:
        faults.arm(Throttle("s3", count=count))
    struck = [struck_by(faults) for _ in range(calls)]
    assert struck.count("throttle") == min(calls, sum(counts))
    assert [fault["struck"] for fault in faults.armed()] == [
        max(0, min(count, calls - sum(counts[:number]))) for number, count in enumerate(counts)
    ]


SUBMIT = Throttle("emr-serverless", operation="StartJobRun", name_contains="flights")


@pytest.mark.parametrize(
    ("fault", "struck"),
    [
        (SUBMIT, "throttle"),
        (replace(SUBMIT, operation=None, name_contains=""), "throttle"),
        (replace(SUBMIT, service="emr-containers"), None),
        (replace(SUBMIT, operation="GetJobRun"), None),
        (replace(SUBMIT, name_contains="carriers"), None),
        (RefuseCapacity("emr-serverless"), None),
    ],
)
def test_a_call_is_struck_by_what_fits_its_service_operation_and_text(fault, struck):
    faults = Faults()
    faults.arm(fault)
    assert struck_by(faults, "emr-serverless", "StartJobRun", '{"name": "flights-clean"}') == struck


@pytest.mark.parametrize("fault", [RefuseCapacity, BootstrapFailure, ValidationFailure, Throttle])
def test_only_a_refused_capacity_refuses_compute_and_only_by_its_name_and_count(fault):
    faults = Faults()
    faults.arm(fault("elasticmapreduce", name_contains="spot"))
    asked = [("elasticmapreduce", "steady"), ("emr-containers", "spot"), ("elasticmapreduce", "spot-1")]
    refused = [faults.strikes_compute(RefuseCapacity, *asking) for asking in [*asked, asked[-1]]]
    assert refused == [False, False, fault == RefuseCapacity, False]


def test_of_lags_and_of_clocks_the_latest_holds_at_its_own_service():
    faults = Faults()
    for fault in (Lag(SERVERLESS, seconds=5), Lag(SERVERLESS, seconds=9), ClockSkew(SERVERLESS, seconds=-7)):
        faults.arm(fault)
    assert (faults.lag(SERVERLESS), faults.skew(SERVERLESS), faults.lag("emr-containers")) == (9, -7, 0)
    assert [fault["struck"] for fault in faults.armed()] == [0, 1, 1]


# What the client meets


OFTEN, FAILED = (400, "ThrottlingException", "Rate exceeded"), (500, "InternalServerException", "Internal server error")


@pytest.mark.parametrize(("fault", "expected"), [("throttle", OFTEN), ("error", FAILED)])
@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("elasticmapreduce", "ListClusters"),
        ("emr-containers", "ListVirtualClusters"),
        ("emr-serverless", "ListApplications"),
        ("sts", "GetCallerIdentity"),
        ("logs", "DescribeLogGroups"),
    ],
)
def test_a_struck_call_gets_the_services_own_error(endpoint, service, operation, fault, expected):
    emr = service in EMR_SERVICES
    arm(endpoint, fault, service, operation=operation if emr else None)
    call = getattr(endpoint.client(EMR_SERVICES.get(service, service)), xform_name(operation))
    with pytest.raises(ClientError) as raised:
        call()
    answer = raised.value.response
    error = answer["Error"]
    assert (answer["ResponseMetadata"]["HTTPStatusCode"], error["Code"], error["Message"]) == expected
    call()


def test_the_service_is_asked_again_by_a_client_that_retries(endpoint):
    arm(endpoint, "throttle", "emr-containers")
    config = Config(retries={"mode": "standard", "total_max_attempts": 2})
    patient = boto3.client(
        "emr-containers",
        endpoint_url=endpoint.url,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=config,
    )
    answer = patient.list_virtual_clusters()
    assert (answer["virtualClusters"], answer["ResponseMetadata"]["RetryAttempts"]) == ([], 1)


def test_s3_is_struck_in_its_own_words_and_by_its_path(endpoint):
    endpoint.s3.create_bucket(Bucket="local-data")
    arm(endpoint, "throttle", "s3", name_contains="/flights/")
    endpoint.s3.put_object(Bucket="local-data", Key="carriers/a", Body=b"1")
    error = refusal(endpoint.s3.put_object, Bucket="local-data", Key="flights/a", Body=b"1")
    assert error == ("SlowDown", "Please reduce your request rate.")
    assert [found["Key"] for found in endpoint.s3.list_objects_v2(Bucket="local-data")["Contents"]] == ["carriers/a"]


def test_a_throttled_submit_has_no_effect(endpoint):
    cluster_id = create(endpoint)
    arm(endpoint, "throttle", operation="AddJobFlowSteps")
    code, _ = refusal(endpoint.emr.add_job_flow_steps, JobFlowId=cluster_id, Steps=[step("succeed")])
    assert (code, endpoint.emr.list_steps(ClusterId=cluster_id)["Steps"]) == ("ThrottlingException", [])


def test_a_submit_whose_answer_is_lost_has_its_effect(endpoint):
    cluster_id = create(endpoint)
    arm(endpoint, "lose_answer", operation="AddJobFlowSteps")
    with pytest.raises(ConnectionClosedError):
        endpoint.emr.add_job_flow_steps(JobFlowId=cluster_id, Steps=[step("succeed", name="once")])
    assert [found["Name"] for found in endpoint.emr.list_steps(ClusterId=cluster_id)["Steps"]] == ["once"]


def test_an_object_whose_answer_is_lost_is_there(endpoint):
    endpoint.s3.create_bucket(Bucket="local-data")
    arm(endpoint, "lose_answer", "s3")
    with pytest.raises(ConnectionClosedError):
        endpoint.s3.put_object(Bucket="local-data", Key="a", Body=b"flights")
    assert endpoint.s3.get_object(Bucket="local-data", Key="a")["Body"].read() == b"flights"


# Compute that cannot be had


def test_a_cluster_without_capacity_ends_with_ec2s_reason_and_without_instances(endpoint):
    arm(endpoint, "refuse_capacity", name_contains="flights")
    cluster_id = create(endpoint, step("succeed"), Instances={"Placement": {"AvailabilityZone": "us-east-1c"}})
    eventually(lambda: state_of(endpoint, cluster_id), ("TERMINATED_WITH_ERRORS", "INTERNAL_ERROR"))
    status = cluster_of(endpoint, cluster_id)["Status"]
    assert status["StateChangeReason"]["Message"].startswith(
        "EC2 is out of capacity for m5.xlarge in availability zone us-east-1c."
    )
    assert [(error["ErrorCode"], error["ErrorData"][:2]) for error in status["ErrorDetails"]] == [
        (
            "INTERNAL_ERROR_EC2_INSUFFICIENT_CAPACITY_AZ",
            [{"instance-type": "m5.xlarge"}, {"availability-zone": "us-east-1c"}],
        )
    ]
    assert endpoint.emr.list_instances(ClusterId=cluster_id)["Instances"] == []
    assert "ReadyDateTime" not in status["Timeline"]
    assert endpoint.engine.started == []


def test_the_next_cluster_has_capacity_again(endpoint):
    arm(endpoint, "refuse_capacity")
    refused, had = create(endpoint), create(endpoint)
    eventually(
        lambda: sorted(state_of(endpoint, cluster)[0] for cluster in (refused, had)),
        ["TERMINATED_WITH_ERRORS", "WAITING"],
    )
    listed = endpoint.emr.list_clusters(ClusterStates=["WAITING"])["Clusters"]
    assert [("ErrorDetails" in cluster["Status"]) for cluster in listed] == [False]
