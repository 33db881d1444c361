"""Identities, and the decision about a job run that may exist already."""

from __future__ import annotations

import hashlib
import json
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emr_pipelines.keys import LONGEST_NAME, Action, Attempt, Key, Lease, Record, Standing, decide, name_of

LEASE = Lease("prod", "flights_daily", "scheduled__2013-01-15", "emr")
ATTEMPT = Attempt(max_tries=1, clear_number=0, fingerprint="f1")
RECORD = ATTEMPT.record(1).on({"id": "j-1"}, 100.0)

texts = st.text(max_size=300)


def test_a_lease_is_the_hash_of_who_asks():
    digest = hashlib.sha256(json.dumps(["prod", "flights_daily", "scheduled__2013-01-15", "emr"]).encode()).hexdigest()
    assert digest[:16] == LEASE.id


def test_names_that_only_run_together_alike_have_different_leases():
    assert Lease("a", "bc", "r", "g").id != Lease("ab", "c", "r", "g").id


def test_two_deployments_in_one_account_never_share_a_lease():
    assert Lease("dev", "flights_daily", "run", "emr").id != Lease("prod", "flights_daily", "run", "emr").id


def test_a_mapped_task_has_a_key_for_each_of_its_indexes():
    keys = {Key(LEASE, "emr.clean", index, "nonce").id for index in range(100)}
    assert len(keys) == 100


def test_a_new_nonce_is_a_new_key():
    assert Key(LEASE, "emr.clean", -1, "one").id != Key(LEASE, "emr.clean", -1, "two").id


@given(dag=texts, run=texts, task=texts)
def test_every_name_is_short_safe_and_begins_with_lease_and_key(dag, run, task):
    key = Key(Lease("prod", dag, run, "emr"), task, -1, "nonce")
    assert len(key.name) <= LONGEST_NAME
    assert key.name.isascii()
    assert key.name.startswith(f"{key.lease.id}-{key.id}")


@given(dag=texts, run=texts)
def test_every_tag_is_one_that_emr_accepts(dag, run):
    for value in Lease("prod", dag, run, "emr").tags.values():
        assert len(value) <= 256
        assert not set('<>%&"\\') & set(value)


def test_a_name_never_ends_in_a_separator():
    assert name_of("a" * 63, "b") == "a" * 63


def test_a_record_survives_the_task_state_store():
    stored = json.loads(json.dumps(RECORD.with_run("s-1").to_json()))
    assert Record.from_json(stored) == RECORD.with_run("s-1")


@pytest.mark.parametrize("stored", [None, "", 7, [], {"nonce": "n"}, {"nonce": 1, "compute": {}}, {"compute": {}}])
def test_what_leads_to_no_job_run_is_no_record(stored):
    assert Record.from_json(stored) is None


def test_a_record_of_a_later_version_is_read_as_far_as_it_is_known():
    assert Record.from_json(RECORD.to_json() | {"mood": "good"}) == RECORD


@pytest.mark.parametrize("missing", ["max_tries", "fingerprint"])
@pytest.mark.parametrize("standing", [Standing.LIVE, Standing.SUCCEEDED])
def test_a_record_of_an_earlier_version_leads_to_its_job_run_and_to_a_new_generation(missing, standing):
    stored = {name: value for name, value in RECORD.to_json().items() if name != missing}
    record = Record.from_json(stored)
    assert (RECORD.nonce, RECORD.compute) == (record.nonce, record.compute)
    assert decide(record, ATTEMPT, standing).action == Action.RENEW


CLEARED = Attempt(max_tries=3, clear_number=1, fingerprint="f1")
OTHER_CLEARED = Attempt(max_tries=1, clear_number=1, fingerprint="f1")
CHANGED = Attempt(max_tries=1, clear_number=0, fingerprint="f2")

DECISIONS = [
    # record, attempt, how its job run stands, what to do
    (None, ATTEMPT, Standing.ABSENT, Action.RENEW),
    (RECORD, ATTEMPT, Standing.UNSEEN, Action.WAIT),
    (RECORD, CLEARED, Standing.UNSEEN, Action.WAIT),
    (RECORD, OTHER_CLEARED, Standing.UNSEEN, Action.WAIT),
    (RECORD, CHANGED, Standing.UNSEEN, Action.WAIT),
    (RECORD, ATTEMPT, Standing.CANCELLING, Action.RENEW),
    (RECORD, CLEARED, Standing.CANCELLING, Action.RENEW),
    (RECORD, OTHER_CLEARED, Standing.CANCELLING, Action.RENEW),
    (RECORD, CHANGED, Standing.CANCELLING, Action.RENEW),
    (RECORD, ATTEMPT, Standing.LOST, Action.RENEW),
    (RECORD, CLEARED, Standing.LOST, Action.RENEW),
    (RECORD, OTHER_CLEARED, Standing.LOST, Action.RENEW),
    (RECORD, CHANGED, Standing.LOST, Action.RENEW),
    (RECORD, ATTEMPT, Standing.ABSENT, Action.SUBMIT),
    (RECORD, ATTEMPT, Standing.LIVE, Action.ADOPT),
    (RECORD, ATTEMPT, Standing.SUCCEEDED, Action.RETURN),
    (RECORD, ATTEMPT, Standing.ENDED, Action.RENEW),
    (RECORD, CLEARED, Standing.ABSENT, Action.RENEW),
    (RECORD, CLEARED, Standing.LIVE, Action.RENEW),
    (RECORD, CLEARED, Standing.SUCCEEDED, Action.RENEW),
    (RECORD, CLEARED, Standing.ENDED, Action.RENEW),
    (RECORD, OTHER_CLEARED, Standing.ABSENT, Action.SUBMIT),
    (RECORD, OTHER_CLEARED, Standing.LIVE, Action.ADOPT),
    (RECORD, OTHER_CLEARED, Standing.SUCCEEDED, Action.RENEW),
    (RECORD, OTHER_CLEARED, Standing.ENDED, Action.RENEW),
    (RECORD, CHANGED, Standing.ABSENT, Action.RENEW),
    (RECORD, CHANGED, Standing.LIVE, Action.RENEW),
    (RECORD, CHANGED, Standing.SUCCEEDED, Action.RENEW),
    (RECORD, CHANGED, Standing.ENDED, Action.RENEW),
]


@pytest.mark.parametrize(("record", "attempt", "standing", "action"), DECISIONS)
def test_what_to_do_about_a_job_run_that_may_exist(record, attempt, standing, action):
    assert decide(record, attempt, standing).action == action


def test_no_situation_adopts_or_returns_work_that_was_not_asked_for():
    for attempt, standing in product([ATTEMPT, CLEARED, OTHER_CLEARED, CHANGED], Standing):
        action = decide(RECORD, attempt, standing).action
        if action in (Action.ADOPT, Action.RETURN):
            assert attempt.fingerprint == RECORD.fingerprint
            assert standing in (Standing.LIVE, Standing.SUCCEEDED)


def test_a_clear_is_done_with_once_an_execution_after_it_has_adopted_the_job_run():
    record = RECORD.adopted("s-1", OTHER_CLEARED)
    assert record.job_run == "s-1"
    assert decide(record, OTHER_CLEARED, Standing.SUCCEEDED).action == Action.RETURN
    assert decide(RECORD.with_run("s-1"), OTHER_CLEARED, Standing.SUCCEEDED).action == Action.RENEW


def test_every_generation_has_a_nonce_of_its_own():
    assert ATTEMPT.record(1).nonce != ATTEMPT.record(2).nonce
