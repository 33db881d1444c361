"""What the schema of a dataset was: versions that are never written over, whoever comes at the same moment."""

from __future__ import annotations

import json
import re
import uuid
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

from emr_pipelines.datasets import Dataset
from emr_pipelines.errors import DataError
from emr_pipelines.schema_registry import changes_from_current, current, register
from local_emr.endpoint import running
from tests.local_emr.conftest import client_of
from tests.local_emr.scripted import ManualClock, ScriptedEngine

INT = [{"name": "delay", "type": "int", "nullable": True}]
WITH_CARRIER = [*INT, {"name": "carrier", "type": "string", "nullable": True}]
WITH_PLANE = [*INT, {"name": "plane", "type": "string", "nullable": True}]
BIGINT = [{"name": "delay", "type": "bigint", "nullable": True}]
BY = {"partition": "2013-01-15", "dag": "flights_daily"}


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with running(tmp_path_factory.mktemp("endpoint"), ScriptedEngine, clock=ManualClock()) as url:
        yield url


class Registry:
    """A dataset in a bucket of the local endpoint."""

    def __init__(self, url):
        self.url = url
        self.bucket = f"b-{uuid.uuid4().hex[:12]}"
        self.s3 = client_of(url, "s3")
        self.s3.create_bucket(Bucket=self.bucket)
        self.dataset = Dataset("flights", f"s3://{self.bucket}/flights/")

    def register(self, schema, **more):
        return register(self.s3, self.dataset, schema, BY, **more)

    @property
    def current(self):
        return current(self.s3, self.dataset)

    def objects(self):
        listed = self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return [found["Key"] for found in listed]

    def meanwhile(self, *schemas):
        """Let another run register each of these right before a PutObject of this one arrives."""
        others = list(schemas)

        def race(**_):
            if others:
                register(client_of(self.url, "s3"), self.dataset, others.pop(0), {"dag": "other"}, accept_breaking=True)

        self.s3.meta.events.register("before-call.s3.PutObject", race)


@pytest.fixture
def registry(url):
    return Registry(url)


def test_a_dataset_has_no_schema_before_the_first_is_registered(registry):
    assert registry.current is None
    assert changes_from_current(registry.s3, registry.dataset, INT) == []


def test_the_first_schema_is_version_1_and_says_where_it_came_from(registry):
    began = datetime.now(UTC).replace(microsecond=0)
    registered = registry.register(INT)
    assert registry.current == registered
    assert (registered.number, registered.schema, registered.by, registered.changes) == (1, INT, BY, [])
    assert began <= datetime.fromisoformat(registered.registered_at) <= datetime.now(UTC)
    assert registry.objects() == ["flights/_schemas/1.json"]


def test_the_same_schema_in_another_order_makes_no_version(registry):
    registry.register(WITH_CARRIER)
    assert registry.register(WITH_CARRIER[::-1]).number == 1
    assert registry.objects() == ["flights/_schemas/1.json"]


def test_an_added_column_makes_a_version_that_tells_so(registry):
    registry.register(INT)
    assert [str(change) for change in changes_from_current(registry.s3, registry.dataset, WITH_CARRIER)] == [
        "carrier was added (string)"
    ]
    registered = registry.register(WITH_CARRIER)
    assert (registered.number, registered.changes) == (2, ["carrier was added (string)"])
    assert registry.current == registered


def test_a_breaking_change_is_refused_and_nothing_is_written(registry):
    registry.register(WITH_CARRIER)
    with pytest.raises(
        DataError,
        match=r"'flights' changes in a way that breaks its readers: delay has a wider type.*; carrier is gone",
    ):
        registry.register(BIGINT)
    assert registry.objects() == ["flights/_schemas/1.json"]


def test_a_breaking_change_that_somebody_accepted_is_recorded(registry):
    registry.register(WITH_CARRIER)
    assert registry.register(INT, accept_breaking=True).changes == ["carrier is gone"]
    assert registry.current.schema == INT


def test_a_check_compares_without_leaving_a_trace(registry):
    registry.register(INT)
    assert [str(change) for change in changes_from_current(registry.s3, registry.dataset, BIGINT)] == [
        "delay has a wider type: Spark 3.5 does not read Parquet of both (int before, bigint now)"
    ]
    assert registry.objects() == ["flights/_schemas/1.json"]


def test_the_tenth_version_follows_the_ninth(registry):
    for number in range(1, 12):
        columns = [{"name": f"c{column}", "type": "int", "nullable": True} for column in range(number)]
        assert registry.register(columns).number == number
    assert registry.current.number == 11


@pytest.mark.parametrize(
    "others",
    [
        [WITH_CARRIER],  # the same: the other's version is the answer
        [INT],  # another: compared with it again
        [INT, WITH_PLANE],
    ],
)
def test_two_that_register_at_once_write_over_nothing_and_both_find_what_they_registered(registry, others):
    registry.meanwhile(*others)
    registered = registry.register(WITH_CARRIER, accept_breaking=True)
    expected = [*[other for other in others if other != WITH_CARRIER], WITH_CARRIER]
    kept = [
        json.loads(registry.s3.get_object(Bucket=registry.bucket, Key=key)["Body"].read()) for key in registry.objects()
    ]
    assert [version["schema"] for version in kept] == expected
    assert registered == registry.current
    assert registered.number == len(expected)


def test_what_another_run_registered_meanwhile_is_what_a_schema_is_compared_with(registry):
    registry.meanwhile(BIGINT)
    with pytest.raises(DataError, match=re.escape("delay has another type (bigint before, int now)")):
        registry.register(INT)
    assert registry.current.schema == BIGINT


def test_one_that_always_comes_second_gives_up_in_words(registry):
    others = [[{"name": f"c{number}", "type": "int", "nullable": True}] for number in range(10)]
    registry.meanwhile(*others)
    with pytest.raises(DataError, match=r"10 times another run was first\. A retry tries again"):
        registry.register(INT, accept_breaking=True)
    assert registry.current.schema == others[-1]


@pytest.mark.parametrize(
    "garbage",
    [b"", b"\xff", b"[]", b'{"number": 1}', b'{"number":1,"schema":["a"],"by":{},"registered_at":"","changes":[]}'],
)
def test_an_object_that_is_no_version_is_named_with_what_to_do(registry, garbage):
    registry.s3.put_object(Bucket=registry.bucket, Key="flights/_schemas/1.json", Body=garbage)
    with pytest.raises(DataError, match=r"s3://b-.*/flights/_schemas/1.json is no version of a schema: .* Delete it"):
        registry.register(INT)


def test_other_objects_beside_the_versions_are_none_of_its_business(registry):
    for name in ("_SUCCESS", "two.json", "3.json.tmp", "old/7.json"):
        registry.s3.put_object(Bucket=registry.bucket, Key=f"flights/_schemas/{name}", Body=b"")
    assert registry.current is None
    assert registry.register(INT).number == 1


def test_what_is_no_schema_is_refused_before_anything_is_written(registry):
    with pytest.raises(DataError, match="cannot be registered: Column 'delay' stands in the schema twice"):
        registry.register([*INT, *INT])
    assert registry.objects() == []


def test_any_other_refusal_of_s3_is_told_as_it_is(registry):
    lost = Dataset("lost", "s3://no-such-bucket-anywhere/lost/")
    with pytest.raises(ClientError, match="NoSuchBucket"):
        register(registry.s3, lost, INT, BY)
