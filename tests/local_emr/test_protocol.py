"""How requests find their service, and how the endpoint says no."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError
from botocore.session import get_session

from local_emr import __version__
from local_emr.protocol import broken_constraints, shaped
from local_emr.signing import Scope, credential_scope

MODEL = get_session().get_service_model("emr")


def post(endpoint, body, target="ElasticMapReduce.ListClusters", service="elasticmapreduce"):
    """Send a request as no SDK would; return status, error type and message."""
    scope = f"AWS4-HMAC-SHA256 Credential=local/20250101/us-east-1/{service}/aws4_request, SignedHeaders=host"
    headers = {"Authorization": scope, "X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}
    try:
        with urllib.request.urlopen(urllib.request.Request(endpoint.url, body, headers)) as answer:
            return answer.status, None, None
    except urllib.error.HTTPError as error:
        with error:
            found = json.loads(error.read())
            return error.code, found["__type"], found["message"]


@pytest.mark.parametrize(
    ("authorization", "presigned", "expected"),
    [
        (
            "AWS4-HMAC-SHA256 Credential=AKIA/20250101/eu-west-1/elasticmapreduce/aws4_request, SignedHeaders=host",
            "",
            Scope("elasticmapreduce", "eu-west-1"),
        ),
        ("AWS4-HMAC-SHA256 SignedHeaders=host, Credential=a/20250101/r/s3/aws4_request", "", Scope("s3", "r")),
        ("", "local/20250101/us-east-1/s3/aws4_request", Scope("s3", "us-east-1")),
        ("AWS local:signature", "", None),
        ("", "", None),
    ],
)
def test_the_credential_scope_names_service_and_region(authorization, presigned, expected):
    assert expected == credential_scope(authorization, presigned)


def test_health_tells_the_version(endpoint):
    with urllib.request.urlopen(f"{endpoint.url}/_local_emr/health") as answer:
        assert (answer.status, json.loads(answer.read())) == (200, {"status": "ok", "version": __version__})


def test_an_operation_that_is_not_implemented_says_so_and_is_not_retried(endpoint):
    with pytest.raises(ClientError) as raised:
        endpoint.emr.list_studios()
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert raised.value.response["Error"] == {
        "Code": "NotImplementedException",
        "Message": "ListStudios is an operation of Amazon EMR that this endpoint does not implement yet",
    }


def test_other_services_are_moto(endpoint):
    assert endpoint.client("sts").get_caller_identity()["Account"] == "123456789012"


@pytest.mark.parametrize("path", ["/", "/local-data", "/_local_emr/health"])
def test_no_web_page_is_answered(endpoint, path):
    page = urllib.request.Request(f"{endpoint.url}{path}", b"", {"Origin": "http://example.com"})
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(page)


@pytest.mark.parametrize(
    ("body", "target", "expected"),
    [
        (b"{", "ElasticMapReduce.ListClusters", (400, "SerializationException")),
        (b"[]", "ElasticMapReduce.ListClusters", (400, "SerializationException")),
        (b"{}", "ElasticMapReduce.MakeCoffee", (400, "UnknownOperationException")),
        (b"{}", "ElasticMapReduce.DescribeCluster", (400, "ValidationException")),
        (b'{"ClusterId": 7}', "ElasticMapReduce.DescribeCluster", (400, "ValidationException")),
        (b'{"ClusterStates": ["ASLEEP"]}', "ElasticMapReduce.ListClusters", (400, "ValidationException")),
        (b'{"Unknown": 1}', "ElasticMapReduce.ListClusters", (400, "ValidationException")),
        (b"", "ElasticMapReduce.ListClusters", (200, None)),
    ],
)
def test_a_request_that_the_model_does_not_allow_is_refused(endpoint, body, target, expected):
    assert expected == post(endpoint, body, target)[:2]


def test_a_missing_parameter_is_named(endpoint):
    message = post(endpoint, b"{}", "ElasticMapReduce.DescribeCluster")[2]
    assert 'Missing required parameter in input: "ClusterId"' in message


def test_a_fault_of_the_endpoint_itself_is_called_one(endpoint, monkeypatch, caplog):
    monkeypatch.setattr(endpoint.engine, "started", None)
    monkeypatch.setattr("local_emr.emr.views.cluster_summary", None)
    endpoint.emr.run_job_flow(
        Name="n", ReleaseLabel="emr-7.10.0", Instances={"MasterInstanceType": "m5.xlarge", "InstanceCount": 1}
    )
    status, code, message = post(endpoint, b"{}")
    assert (status, code) == (500, "InternalFailure")
    assert message == "ListClusters failed inside the endpoint; its own log has the traceback"
    assert "TypeError" in caplog.text


def test_constraints_that_botocore_leaves_to_the_service_are_checked():
    shape = MODEL.operation_model("RunJobFlow").input_shape
    request = {
        "Name": "n" * 257,
        "Instances": {"InstanceGroups": [{"InstanceRole": "BOSS"}]},
        "Steps": [{"ActionOnFailure": "CONTINUE"}, {"ActionOnFailure": "RETRY"}],
    }
    failed = "failed to satisfy constraint: Member must"
    roles = "MASTER, CORE, TASK"
    actions = "TERMINATE_JOB_FLOW, TERMINATE_CLUSTER, CANCEL_AND_WAIT, CONTINUE"
    assert broken_constraints(request, shape) == [
        f"Value '{'n' * 80}' at 'name' {failed} have length less than or equal to 256",
        f"Value 'BOSS' at 'instances.instanceGroups.1.member.instanceRole' {failed} satisfy enum value set: [{roles}]",
        f"Value 'RETRY' at 'steps.2.member.actionOnFailure' {failed} satisfy enum value set: [{actions}]",
    ]


def test_an_answer_has_what_its_shape_has_and_times_as_seconds():
    shape = MODEL.operation_model("DescribeStep").output_shape
    timeline = {"CreationDateTime": datetime(2013, 1, 15, tzinfo=UTC), "StartDateTime": 5.5, "EndDateTime": None}
    step = {"Id": "s-1", "Name": None, "Secret": "x", "Config": {"Properties": {"a": "b"}, "Args": ["x"]}}
    found = shaped({"Step": {**step, "Status": {"Timeline": timeline}}}, shape)
    assert found == {
        "Step": {
            "Id": "s-1",
            "Config": {"Properties": {"a": "b"}, "Args": ["x"]},
            "Status": {"Timeline": {"CreationDateTime": 1358208000.0, "StartDateTime": 5.5}},
        }
    }
