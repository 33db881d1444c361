"""Where job code is laid: a bucket of another region than the client's is found as S3 says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from moto import mock_aws
from moto.s3.models import s3_backends

from emr_pipelines import artifacts
from emr_pipelines.artifacts import Artifact, pin

MALFORMED = (
    b"<Error><Code>AuthorizationHeaderMalformed</Code><Message>the region 'us-west-2' is wrong; expecting 'us-east-1'</Message>"
    b"<Region>us-east-1</Region></Error>"
)
MOVED = (
    b"<Error><Code>PermanentRedirect</Code><Endpoint>b.s3.us-east-1.amazonaws.com</Endpoint><Bucket>b</Bucket></Error>"
)


def answer(request, status, body=b""):
    body = b"" if request.method == "HEAD" else body
    content = SimpleNamespace(stream=lambda *_, **__: iter([body]), read=lambda *_: body)
    return AWSResponse(request.url, status, {"x-amz-bucket-region": "us-east-1"}, content)


@pytest.mark.parametrize(("status", "body"), [(301, MOVED), (400, MALFORMED)])
def test_code_reaches_a_bucket_of_another_region(monkeypatch, status, body):
    """What S3 answers a client of the wrong region: "Error responses" in the Amazon S3 API Reference."""
    asked = []

    def send(request, **_):
        region = str(request.headers["Authorization"]).split("/")[2]
        asked.append((request.method, region))
        if region != "us-east-1":
            return answer(request, status, body)
        return answer(request, 404 if request.method == "HEAD" else 200)

    s3 = boto3.client("s3", region_name="us-west-2", aws_access_key_id="local", aws_secret_access_key="local")
    s3.meta.events.register("before-send", send)
    monkeypatch.setattr(artifacts, "s3_of_profile", lambda _: s3)
    environment = SimpleNamespace(buckets_in=lambda region: SimpleNamespace(artifacts=f"code-of-{region}"))
    profile = SimpleNamespace(name="west", region="us-west-2")
    laid = pin(environment, profile, [Artifact("jobs/a.py", "a.py", b"1")])
    assert laid == {"jobs/a.py": "s3://code-of-us-west-2/code/6b86b273ff34fce19d6b804eff5a3f57/a.py"}
    assert asked == [("HEAD", "us-west-2"), ("HEAD", "us-east-1"), ("PUT", "us-east-1")]


def test_code_that_may_soon_expire_is_written_anew_and_younger_code_is_left(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="code")
        monkeypatch.setattr(artifacts, "s3_of_profile", lambda _: s3)
        environment = SimpleNamespace(buckets_in=lambda _: SimpleNamespace(artifacts="code"))
        artifact = Artifact("jobs/a.py", "a.py", b"1")

        def days_after(age):
            pin(environment, SimpleNamespace(name="here", region="us-east-1"), [artifact])
            (kept,) = s3_backends["123456789012"]["aws"].buckets["code"].keys.values()
            kept.last_modified = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=age)
            pin(environment, SimpleNamespace(name="here", region="us-east-1"), [artifact])
            written = s3.head_object(Bucket="code", Key=artifact.key)["LastModified"]
            return (datetime.now(UTC) - written).days

        assert (days_after(29), days_after(31)) == (29, 0)
