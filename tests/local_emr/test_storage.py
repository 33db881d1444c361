"""S3 as a directory, over HTTP: the same answers as moto's own S3, and files that both sides see."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

from tests.local_emr.conftest import client_of
from tests.local_emr.scripted import eventually

PART = os.urandom(5 * 1024 * 1024)
PROBES = {}


def probe(function):
    """Register a function of an S3 client whose result must be the same here and in stock moto."""
    PROBES[function.__name__] = function
    return function


def outcome(call, **request):
    """Return the members of an answer that do not differ from server to server, or the error's code."""
    try:
        answer = call(**request)
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    if "Body" in answer:
        answer["Body"] = answer["Body"].read()
    varying = {
        "ResponseMetadata",
        "LastModified",
        "NextContinuationToken",
        "ContinuationToken",
        "UploadId",
        "VersionId",
    }
    return {name: value for name, value in answer.items() if name not in varying}


def put(s3, *keys, bucket="probe"):
    s3.create_bucket(Bucket=bucket)
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())


def names(answer):
    """Return keys and common prefixes of a listing."""
    return (
        [entry["Key"] for entry in answer.get("Contents", [])],
        [entry["Prefix"] for entry in answer.get("CommonPrefixes", [])],
    )


TREE = ("a", "a/b", "a-c", "dt=1/x", "dt=1/y", "dt=2/x", "dt=2/deep/er", "é/ü", "z z+%")


@probe
def what_is_put_is_got(s3):
    put(s3, "k")
    s3.put_object(
        Bucket="probe", Key="k", Body=b"content", ContentType="text/csv", Metadata={"Owner_x": "run"}, Tagging="a=1&b=2"
    )
    return (
        outcome(s3.get_object, Bucket="probe", Key="k"),
        outcome(s3.head_object, Bucket="probe", Key="k"),
        outcome(s3.get_object_tagging, Bucket="probe", Key="k"),
    )


@probe
def what_is_not_there_is_not_found(s3):
    put(s3, "k")
    return (
        outcome(s3.get_object, Bucket="probe", Key="none"),
        outcome(s3.head_object, Bucket="probe", Key="none"),
        outcome(s3.get_object, Bucket="no-such-bucket", Key="k"),
        outcome(s3.head_bucket, Bucket="no-such-bucket"),
        outcome(s3.delete_object, Bucket="probe", Key="none"),
        outcome(s3.list_objects_v2, Bucket="no-such-bucket"),
    )


@probe
def ranges_are_served(s3):
    put(s3, "0123456789")
    ranges = ["bytes=2-4", "bytes=-3", "bytes=7-", "bytes=50-60"]
    return [outcome(s3.get_object, Bucket="probe", Key="0123456789", Range=wanted) for wanted in ranges]


@probe
def conditions_are_kept(s3):
    put(s3, "k")
    etag = s3.head_object(Bucket="probe", Key="k")["ETag"]
    return (
        outcome(s3.get_object, Bucket="probe", Key="k", IfNoneMatch=etag),
        outcome(s3.get_object, Bucket="probe", Key="k", IfMatch='"other"'),
        outcome(s3.put_object, Bucket="probe", Key="k", Body=b"", IfNoneMatch="*"),
        outcome(s3.get_object, Bucket="probe", Key="k", IfModifiedSince=datetime(2100, 1, 1, tzinfo=UTC)),
    )


@probe
def parts_become_one_object(s3):
    put(s3)
    upload = s3.create_multipart_upload(Bucket="probe", Key="big", Metadata={"a": "b"})["UploadId"]
    where = {"Bucket": "probe", "Key": "big", "UploadId": upload}
    bodies = [PART, b"tail"]
    parts = [
        {"PartNumber": n, "ETag": s3.upload_part(**where, PartNumber=n, Body=body)["ETag"]}
        for n, body in enumerate(bodies, 1)
    ]
    listed = [(part["PartNumber"], part["Size"]) for part in s3.list_parts(**where)["Parts"]]
    completed = s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})["ETag"]
    got = s3.get_object(Bucket="probe", Key="big")
    return listed, completed, got["ETag"], got["Metadata"], hashlib.sha256(got["Body"].read()).hexdigest()


@probe
def an_aborted_upload_leaves_nothing(s3):
    put(s3)
    upload = s3.create_multipart_upload(Bucket="probe", Key="big")["UploadId"]
    s3.upload_part(Bucket="probe", Key="big", UploadId=upload, PartNumber=1, Body=b"x")
    s3.abort_multipart_upload(Bucket="probe", Key="big", UploadId=upload)
    return names(s3.list_objects_v2(Bucket="probe")), outcome(s3.list_multipart_uploads, Bucket="probe").get("Uploads")


@probe
def objects_are_copied_with_or_without_new_metadata(s3):
    put(s3)
    s3.put_object(Bucket="probe", Key="from", Body=b"content", Metadata={"a": "b"})
    source = {"Bucket": "probe", "Key": "from"}
    s3.copy_object(Bucket="probe", Key="deep/to", CopySource=source)
    s3.copy_object(Bucket="probe", Key="new", CopySource=source, Metadata={"c": "d"}, MetadataDirective="REPLACE")
    return [outcome(s3.get_object, Bucket="probe", Key=key) for key in ("deep/to", "new")]


@probe
def everything_is_listed_in_order(s3):
    put(s3, *reversed(TREE))
    listed = s3.list_objects_v2(Bucket="probe", FetchOwner=False)
    return [(entry["Key"], entry["Size"], entry["ETag"], entry["StorageClass"]) for entry in listed["Contents"]]


@probe
def prefixes_and_delimiters_are_kept(s3):
    put(s3, *TREE)
    asked = [
        {"Prefix": "dt="},
        {"Prefix": "dt=1"},
        {"Prefix": "dt=1/"},
        {"Prefix": "none"},
        {"Prefix": "a"},
        {"Delimiter": "/"},
        {"Delimiter": "/", "Prefix": "dt="},
        {"Delimiter": "/", "Prefix": "dt=2/"},
        {"Delimiter": "="},
        {"Delimiter": "x", "Prefix": "dt="},
        {"StartAfter": "a/b"},
        {"StartAfter": "dt=1/x", "Prefix": "dt="},
        {"MaxKeys": 0},
    ]
    return [names(s3.list_objects_v2(Bucket="probe", **request)) for request in asked]


@probe
def listings_come_in_pages(s3):
    put(s3, *TREE)
    pages = []
    for request in ({}, {"Delimiter": "/"}, {"Prefix": "dt="}):
        paginator = s3.get_paginator("list_objects_v2").paginate(
            Bucket="probe", PaginationConfig={"PageSize": 2}, **request
        )
        pages += [(names(page), page["KeyCount"], page["IsTruncated"]) for page in paginator]
    return pages


@probe
def several_are_deleted_at_once(s3):
    put(s3, *TREE)
    objects = [{"Key": key} for key in ("a", "dt=1/x", "dt=1/y", "never")]
    deleted = s3.delete_objects(Bucket="probe", Delete={"Objects": objects})["Deleted"]
    return sorted(entry["Key"] for entry in deleted), names(s3.list_objects_v2(Bucket="probe"))


@probe
def keys_that_no_file_can_be_are_keys_all_the_same(s3):
    put(s3, "a", "a/b", "folder/", "x//y", "./z", "q/../r", "l" * 300)
    listed = names(s3.list_objects_v2(Bucket="probe"))[0]
    return listed, [outcome(s3.get_object, Bucket="probe", Key=key)["Body"] for key in listed]


@probe
def versions_are_kept(s3):
    put(s3)
    s3.put_bucket_versioning(Bucket="probe", VersioningConfiguration={"Status": "Enabled"})
    ids = [s3.put_object(Bucket="probe", Key="k", Body=body)["VersionId"] for body in (b"1", b"2", b"3")]
    bodies = [outcome(s3.get_object, Bucket="probe", Key="k", VersionId=version)["Body"] for version in ids]
    s3.delete_object(Bucket="probe", Key="k")
    gone = outcome(s3.get_object, Bucket="probe", Key="k")
    marker = s3.list_object_versions(Bucket="probe")["DeleteMarkers"][0]["VersionId"]
    s3.delete_object(Bucket="probe", Key="k", VersionId=marker)
    back = outcome(s3.get_object, Bucket="probe", Key="k")
    s3.delete_object(Bucket="probe", Key="k", VersionId=ids[-1])
    before = outcome(s3.get_object, Bucket="probe", Key="k")
    return bodies, gone, back, before, len(s3.list_object_versions(Bucket="probe")["Versions"])


@probe
def a_bucket_with_objects_is_not_deleted(s3):
    put(s3, "k")
    refused = outcome(s3.delete_bucket, Bucket="probe")
    s3.delete_object(Bucket="probe", Key="k")
    s3.delete_bucket(Bucket="probe")
    return refused, outcome(s3.head_bucket, Bucket="probe")


@probe
def a_presigned_url_serves_anyone(s3):
    put(s3, "deep/é +")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "probe", "Key": "deep/é +"})
    with urllib.request.urlopen(url) as answer:
        return answer.status, answer.read()


@pytest.fixture(scope="module")
def stock_moto():
    """Yield the URL of moto's own server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", f"{port}"],
        env={**os.environ, "S3_IGNORE_SUBDOMAIN_BUCKETNAME": "true"},
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: _answers(port), expected=True)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _answers(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("name", PROBES)
def test_it_answers_as_moto_does(endpoint, stock_moto, name):
    theirs = client_of(stock_moto, "s3")
    urllib.request.urlopen(urllib.request.Request(f"{stock_moto}/moto-api/reset", method="POST")).close()
    assert PROBES[name](theirs) == PROBES[name](endpoint.s3)


def test_the_older_listing_comes_in_pages_too(endpoint):
    """Not compared: where a page ends at a key with a space, moto's own ListObjects loses the next key."""
    put(endpoint.s3, *TREE)
    paginator = endpoint.s3.get_paginator("list_objects").paginate(Bucket="probe", PaginationConfig={"PageSize": 4})
    expected = sorted(TREE)
    assert [names(page)[0] for page in paginator] == [expected[:4], expected[4:8], expected[8:]]


# Files


def test_objects_are_files_and_files_are_objects(endpoint):
    endpoint.s3.create_bucket(Bucket="local-data")
    bucket = endpoint.data / "s3" / "local-data"
    endpoint.s3.put_object(Bucket="local-data", Key="raw/dt=2013-01-15/flights.csv", Body=b"year\n2013\n")
    assert (bucket / "raw/dt=2013-01-15/flights.csv").read_bytes() == b"year\n2013\n"
    (bucket / "out").mkdir()
    (bucket / "out/part-0").write_bytes(b"parquet")
    os.utime(bucket / "out/part-0", (1_000_000_000, 1_000_000_000))
    found = endpoint.s3.get_object(Bucket="local-data", Key="out/part-0")
    assert (b"parquet", f'"{hashlib.md5(b"parquet").hexdigest()}"', 7, 1_000_000_000) == (
        found["Body"].read(),
        found["ETag"],
        found["ContentLength"],
        found["LastModified"].timestamp(),
    )


def test_a_file_that_changes_or_goes_is_an_object_that_changes_or_goes(endpoint):
    endpoint.s3.create_bucket(Bucket="local-data")
    endpoint.s3.put_object(Bucket="local-data", Key="k", Body=b"old", Metadata={"a": "b"})
    path = endpoint.data / "s3/local-data/k"
    path.write_bytes(b"newer")
    listed = endpoint.s3.list_objects_v2(Bucket="local-data")["Contents"][0]
    assert (5, f'"{hashlib.md5(b"newer").hexdigest()}"') == (listed["Size"], listed["ETag"])
    assert endpoint.s3.head_object(Bucket="local-data", Key="k")["Metadata"] == {}
    path.unlink()
    assert outcome(endpoint.s3.get_object, Bucket="local-data", Key="k") == ("NoSuchKey", 404)
    assert "Contents" not in endpoint.s3.list_objects_v2(Bucket="local-data")


def test_what_a_job_has_not_committed_is_not_listed(endpoint):
    endpoint.s3.create_bucket(Bucket="local-data")
    uncommitted = endpoint.data / "s3/local-data/out/_temporary/0/task"
    uncommitted.mkdir(parents=True)
    (uncommitted / "part-0").write_bytes(b"x")
    assert names(endpoint.s3.list_objects_v2(Bucket="local-data", Delimiter="/")) == ([], [])


@pytest.mark.parametrize("key", ["../escaped", "../../escaped", "a/../../../escaped", "..", "/../../escaped"])
def test_no_key_reaches_a_file_outside_its_bucket(endpoint, key):
    (endpoint.data / "secret").write_text("secret")
    endpoint.s3.create_bucket(Bucket="local-data")
    endpoint.s3.put_object(Bucket="local-data", Key=key, Body=b"x")
    assert outcome(endpoint.s3.get_object, Bucket="local-data", Key="../../secret") == ("NoSuchKey", 404)
    assert [path.name for path in endpoint.data.rglob("*") if path.name == "escaped"] == []
    endpoint.s3.delete_object(Bucket="local-data", Key="../../secret")
    assert (endpoint.data / "secret").read_text() == "secret"


def test_a_bucket_is_a_folder_that_comes_and_goes_with_it(endpoint):
    endpoint.s3.create_bucket(Bucket="local-data")
    assert (endpoint.data / "s3/local-data").is_dir()
    endpoint.s3.delete_bucket(Bucket="local-data")
    assert not (endpoint.data / "s3/local-data").exists()
    (endpoint.data / "s3/made-by-hand").mkdir()
    (endpoint.data / "s3/made-by-hand/k").write_bytes(b"x")
    assert names(endpoint.s3.list_objects_v2(Bucket="made-by-hand")) == (["k"], [])
    assert outcome(endpoint.s3.create_bucket, Bucket="UPPER_CASE") == ("InvalidBucketName", 400)


def test_keys_of_several_full_pages_are_listed_once_each(endpoint):
    endpoint.s3.create_bucket(Bucket="many")
    folder = endpoint.data / "s3/many/deep"
    folder.mkdir()
    expected = [f"deep/{number:05}" for number in range(2_500)]
    for key in expected:
        (folder.parent / key).touch()
    pages = endpoint.s3.get_paginator("list_objects_v2").paginate(Bucket="many", Prefix="deep/")
    assert expected == [entry["Key"] for page in pages for entry in page["Contents"]]
