"""JSON over REST between botocore's own client and a control plane, without a socket in between."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from local_emr.protocol import Caller, ServiceError
from local_emr.rest import RestJsonService

APPLICATION = "arn:aws:emr-serverless:us-east-1:123456789012:/applications/00abc"
NOON = datetime(2013, 1, 15, 12, tzinfo=UTC)
NOON_SECONDS = 1_358_251_200.0


class Operations:
    """Answers each operation that a test names with what the test says, and keeps the requests."""

    def __init__(self, **answers):
        self.requests = []
        for name, answer in answers.items():
            setattr(self, name, self._method(answer))

    def _method(self, answer):
        def method(request, caller):
            self.requests.append((request, caller.region))
            if isinstance(answer, Exception):
                raise answer
            return answer

        return method

    def close(self):
        pass


def send(service, method, path, body=b"", **headers):
    """Send a request as no SDK would; return the response and what its body means."""
    url, _, query = path.partition("?")
    builder = EnvironBuilder(path=url, query_string=query, method=method, data=body, headers=headers)
    environ = builder.get_environ() | {"RAW_URI": path}
    response = service.respond(Request(environ), Caller("us-east-1"))
    return response, json.loads(response.get_data())


class Body(bytes):
    """A body as botocore reads it from a connection."""

    def stream(self):
        yield bytes(self)


def client(service_name, operations):
    """Return a boto3 client whose requests go straight to a control plane."""
    service = RestJsonService(service_name, operations)
    made = boto3.client(
        service_name,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(retries={"total_max_attempts": 1}),
    )

    def answer(request, **_):
        path = request.url.partition(".amazonaws.com")[2]
        headers = {
            name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()
        }
        response, _ = send(service, request.method, path, request.body or b"", **headers)
        raw = SimpleNamespace(stream=Body(response.get_data()).stream)
        return AWSResponse(request.url, response.status_code, response.headers, raw)

    made.meta.events.register("before-send", answer)
    return made


def test_members_come_from_the_path_the_query_and_the_body():
    operations = Operations(
        get_job_run={}, tag_resource={}, untag_resource={}, list_job_runs={"jobRuns": []}, cancel_job_run={}
    )
    serverless = client("emr-serverless", operations)
    serverless.get_job_run(applicationId="00abc", jobRunId="00def", attempt=2)
    serverless.tag_resource(resourceArn=APPLICATION, tags={"owner": "me"})
    serverless.untag_resource(resourceArn=APPLICATION, tagKeys=["owner", "a b"])
    serverless.list_job_runs(applicationId="00abc", states=["QUEUED", "RUNNING"], createdAtAfter=NOON, maxResults=7)
    serverless.cancel_job_run(applicationId="00abc", jobRunId="00def", shutdownGracePeriodInSeconds=5)
    assert [request for request, _ in operations.requests] == [
        {"applicationId": "00abc", "jobRunId": "00def", "attempt": 2},
        {"resourceArn": APPLICATION, "tags": {"owner": "me"}},
        {"resourceArn": APPLICATION, "tagKeys": ["owner", "a b"]},
        {
            "applicationId": "00abc",
            "states": ["QUEUED", "RUNNING"],
            "createdAtAfter": NOON_SECONDS,
            "maxResults": 7,
        },
        {"applicationId": "00abc", "jobRunId": "00def", "shutdownGracePeriodInSeconds": 5},
    ]
    assert {region for _, region in operations.requests} == {"us-east-1"}


@pytest.mark.parametrize("time", ["2013-01-15T12:00:00Z", "2013-01-15T12%3A00%3A00.000%2B00%3A00", "1358251200"])
def test_a_time_in_the_query_may_be_iso_or_epoch_seconds(time):
    operations = Operations(list_job_runs={"jobRuns": []})
    service = RestJsonService("emr-serverless", operations)
    assert send(service, "GET", f"/applications/00abc/jobruns?createdAtAfter={time}")[0].status_code == 200
    assert operations.requests[0][0]["createdAtAfter"] == NOON_SECONDS


def test_each_service_answers_times_in_the_format_of_its_model():
    serverless = RestJsonService("emr-serverless", Operations(get_application={"application": {"createdAt": NOON}}))
    eks = RestJsonService("emr-containers", Operations(describe_virtual_cluster={"virtualCluster": {"createdAt": 0.5}}))
    assert send(serverless, "GET", "/applications/00abc")[1] == {"application": {"createdAt": NOON_SECONDS}}
    found = send(eks, "GET", "/virtualclusters/abc")[1]
    assert found == {"virtualCluster": {"createdAt": "1970-01-01T00:00:00.500Z"}}


def test_a_client_reads_the_answer_back():
    job_run = {"jobRunId": "00def", "createdAt": NOON_SECONDS, "tags": {"a": "b"}, "unknown": 1}
    serverless = client("emr-serverless", Operations(get_job_run={"jobRun": job_run}))
    found = serverless.get_job_run(applicationId="00abc", jobRunId="00def")["jobRun"]
    assert found == {"jobRunId": "00def", "createdAt": NOON, "tags": {"a": "b"}}


@pytest.mark.parametrize(
    ("service", "operation", "request_", "code", "status"),
    [
        ("emr-serverless", "get_application", {"applicationId": "00a"}, "ResourceNotFoundException", 404),
        ("emr-containers", "describe_virtual_cluster", {"id": "a"}, "ResourceNotFoundException", 400),
        ("emr-serverless", "start_application", {"applicationId": "00a"}, "ServiceQuotaExceededException", 402),
        ("emr-serverless", "get_application", {"applicationId": "00a"}, "ThrottlingException", 400),
    ],
)
def test_an_error_has_the_status_that_the_model_gives_it(service, operation, request_, code, status):
    made = client(service, Operations(**{operation: ServiceError(code, "because")}))
    with pytest.raises(ClientError) as raised:
        getattr(made, operation)(**request_)
    error = raised.value.response
    assert (code, "because", status) == (
        error["Error"]["Code"],
        error["Error"]["Message"],
        error["ResponseMetadata"]["HTTPStatusCode"],
    )
    if code in dir(made.exceptions):
        assert isinstance(raised.value, getattr(made.exceptions, code))


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/coffee", b"", 404, "UnknownOperationException"),
        ("PUT", "/applications", b"", 404, "UnknownOperationException"),
        ("GET", "/applications//jobruns", b"", 404, "UnknownOperationException"),
        ("POST", "/applications", b"{}", 501, "NotImplementedException"),
        ("POST", "/applications/00abc/jobruns", b"{", 400, "SerializationException"),
        ("GET", "/applications/00abc/jobruns?maxResults=many", b"", 400, "ValidationException"),
        ("GET", "/applications/00abc/jobruns?maxResults=51", b"", 400, "ValidationException"),
        ("GET", "/applications/00abc/jobruns?createdAtAfter=noon", b"", 400, "ValidationException"),
        ("GET", "/applications/ABC/jobruns", b"", 400, "ValidationException"),
        ("GET", "/applications/00abc", b"", 500, "InternalServerException"),
    ],
)
def test_what_cannot_be_answered_is_refused_by_name(method, path, body, status, code):
    operations = Operations(start_job_run={}, list_job_runs={"jobRuns": []}, get_application=RuntimeError("broken"))
    response, answer = send(RestJsonService("emr-serverless", operations), method, path, body)
    assert (status, code) == (response.status_code, response.headers["x-amzn-ErrorType"])
    assert list(answer) == ["message"]


def test_a_broken_constraint_is_told_in_aws_s_words():
    operations = Operations(start_job_run={})
    body = json.dumps(
        {"clientToken": "t", "executionRoleArn": "emr-job-role-of-mine", "tags": {"k" * 129: "v"}, "mode": "SLOW"}
    )
    _, answer = send(
        RestJsonService("emr-serverless", operations), "POST", "/applications/00abc/jobruns", body.encode()
    )
    role, key, mode = answer["message"].removeprefix("3 validation errors detected: ").split("; ")
    failed = "failed to satisfy constraint: Member must"
    assert role.startswith(
        f"Value 'emr-job-role-of-mine' at 'executionRoleArn' {failed} satisfy regular expression pattern: arn:"
    )
    assert key == f"Value '{'k' * 80}' at 'tags.key' {failed} have length less than or equal to 128"
    assert mode == f"Value 'SLOW' at 'mode' {failed} satisfy enum value set: [BATCH, STREAMING]"
    assert operations.requests == []
