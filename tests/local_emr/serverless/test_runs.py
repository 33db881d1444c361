"""What job runs of all services share: pages, client tokens, retries, records."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_emr.clock import SystemClock
from local_emr.protocol import ServiceError
from local_emr.runs import Records
from local_emr.runs.requests import created_in, page, repeated
from local_emr.runs.retries import another_attempt, another_within_the_hour
from local_emr.serverless.records import Application

KEYS = st.sets(st.tuples(st.integers(0, 3), st.floats(-100, 0), st.text(max_size=3)))


@given(KEYS, st.integers(1, 5))
def test_pages_put_together_are_the_whole_list_in_order(keys, most):
    found, token = page(keys, lambda key: key, None, most)
    while token:
        items, token = page(keys, lambda key: key, token, most)
        assert 1 <= len(items) <= most
        found += items
    assert found == sorted(keys)


@given(KEYS, KEYS, st.integers(1, 5))
def test_what_comes_and_goes_between_pages_moves_nothing_else(before, after, most):
    first, token = page(before, lambda key: key, None, most)
    if token:
        second, _ = page(after, lambda key: key, token, len(after) + 1)
        assert second == sorted(key for key in after if key > first[-1])


@pytest.mark.parametrize("token", ["", "none", "e30=", "Ww==", "WyJhIiwgMV0=", "bnVsbA=="])
def test_a_token_that_no_page_gave_is_refused(token):
    with pytest.raises(ServiceError, match="The nextToken is not valid"):
        page([(0, 1.0, "a"), (1, 1.0, "b")], lambda key: key, token, 1)


def test_a_client_token_stands_for_its_request():
    made = [SimpleNamespace(request={"clientToken": token, "name": token}) for token in "ab"]
    assert repeated(made, {"clientToken": "b", "name": "b"}, "ConflictException") is made[1]
    assert repeated(made, {"clientToken": "c", "name": "b"}, "ConflictException") is None
    with pytest.raises(ServiceError) as raised:
        repeated(made, {"clientToken": "b", "name": "a"}, "ValidationException")
    assert raised.value.code == "ValidationException"


@pytest.mark.parametrize(
    ("after", "before", "expected"),
    [(None, None, True), (5, 5, True), (5.1, None, False), (None, 4.9, False), (None, 6, True), (4, None, True)],
)
def test_bounds_of_a_time_of_creation_are_included(after, before, expected):
    assert expected == created_in(5, after, before)


@pytest.mark.parametrize(("attempts", "most", "expected"), [(1, 1, False), (1, 2, True), (2, 2, False)])
def test_a_batch_is_tried_as_often_as_it_may_be(attempts, most, expected):
    assert expected == another_attempt(attempts, most)


@pytest.mark.parametrize(
    ("failed", "expected"), [([], True), ([3600], True), ([3600, 7000], False), ([0, 3599, 7000], True)]
)
def test_a_stream_is_tried_until_it_failed_too_often_within_an_hour(failed, expected):
    assert expected == another_within_the_hour(failed, 2, 7199.5)


def test_a_record_is_read_as_it_was_written_and_forgotten_when_it_is_removed(tmp_path):
    records = Records(tmp_path, "*/application.json", Application.read, SystemClock())
    application = Application("00a", "us-east-1", {"a": 1}, {"a": 1}, 1.0, 2.0, 3.0, {"k": "v"})
    records.save(application, "00a")
    application.enter("CREATED", 4.0)
    records.save(application, "00a")
    assert list(Records(tmp_path, "*/application.json", Application.read, SystemClock()).load()) == [application]
    records.remove("00a")
    assert list(records.load()) == []
    records.save(application, "00a")
    assert list(records.load()) == [application]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"id": "00a"}'])
def test_a_record_that_cannot_be_read_is_named_and_left_alone(tmp_path, caplog, content):
    path = tmp_path / "00a" / "application.json"
    path.parent.mkdir()
    path.write_text(content)
    assert list(Records(tmp_path, "*/application.json", Application.read, SystemClock()).load()) == []
    assert f"{path} is no record that this version can read" in caplog.text
    assert path.read_text() == content
