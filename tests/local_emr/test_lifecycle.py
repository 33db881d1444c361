"""The decisions about clusters and steps, as tables and as invariants over random histories."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_emr.emr import lifecycle
from local_emr.emr.lifecycle import End, Enter, ShutDown, Sleep, Start
from local_emr.emr.releases import RELEASES, is_release
from local_emr.emr.requests import new_cluster, new_steps
from local_emr.emr.views import instances
from tests.local_emr.scripted import FAILURE, KILLED, SUCCESS, step

NOW = 1000.0


def cluster(*states, state="RUNNING", on_failure="CONTINUE", keep_alive=False, concurrency=1, **more):
    """Return a cluster whose steps are in `states`."""
    request = {
        "Name": "c",
        "ReleaseLabel": more.pop("release", "emr-7.10.0"),
        "Instances": {"MasterInstanceType": "m5.xlarge", "KeepJobFlowAliveWhenNoSteps": keep_alive},
    }
    record = new_cluster(request, "us-east-1", NOW)
    record.state = state
    record.steps = new_steps(record, [step("x", on_failure=on_failure) for _ in states], None, NOW)
    record.step_concurrency = concurrency
    for made, wanted in zip(record.steps, states, strict=True):
        made.state = wanted
    for name, value in more.items():
        setattr(record, name, value)
    return record


def states_of(record):
    return [made.state for made in record.steps]


@pytest.mark.parametrize(
    ("state", "seconds", "expected"),
    [
        ("STARTING", 0, Sleep(NOW + 5)),
        ("STARTING", 5, Enter("BOOTSTRAPPING", "Running bootstrap actions")),
        ("BOOTSTRAPPING", 5, Sleep(NOW + 10)),
        ("BOOTSTRAPPING", 10, Enter("RUNNING", "Running step")),
    ],
)
def test_a_cluster_boots_in_two_halves(state, seconds, expected):
    assert expected == lifecycle.next_move(cluster("PENDING", state=state), NOW + seconds, 10)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (cluster("RUNNING", "PENDING"), Sleep()),
        (cluster("CANCEL_PENDING", "PENDING"), Sleep()),
        (cluster("RUNNING", "RUNNING", "PENDING", concurrency=2), Sleep()),
        (cluster("COMPLETED", "FAILED"), ShutDown("ALL_STEPS_COMPLETED", "Steps completed")),
        (cluster(), ShutDown("ALL_STEPS_COMPLETED", "Steps completed")),
        (cluster(keep_alive=True), Enter("WAITING", "Cluster ready to run steps.")),
        (cluster("FAILED", keep_alive=True), Enter("WAITING", "Cluster ready after last step completed.")),
        (cluster(keep_alive=True, state="WAITING", idle_since=NOW), Sleep()),
        (cluster(keep_alive=True, state="WAITING", idle_since=NOW - 59, idle_timeout=60), Sleep(NOW + 1)),
        (cluster("CANCELLED", "RUNNING", state="TERMINATING"), Sleep()),
        (cluster("CANCELLED", "COMPLETED", state="TERMINATING"), End()),
    ],
)
def test_a_booted_cluster_does_what_its_steps_leave_to_do(record, expected):
    assert expected == lifecycle.next_move(record, NOW, 10)


def test_the_oldest_pending_step_starts_where_there_is_room():
    record = cluster("COMPLETED", "RUNNING", "PENDING", "PENDING", concurrency=2)
    assert Start(record.steps[2].id) == lifecycle.next_move(record, NOW, 10)


def test_an_idle_cluster_ends_when_its_policy_says_so():
    record = cluster(keep_alive=True, state="WAITING", idle_since=NOW - 60, idle_timeout=60)
    assert ShutDown("ALL_STEPS_COMPLETED", "Auto-terminated after 60 idle seconds") == lifecycle.next_move(
        record, NOW, 10
    )


@pytest.mark.parametrize(
    ("on_failure", "more", "cluster_state", "states"),
    [
        ("CONTINUE", {}, "RUNNING", ["FAILED", "PENDING"]),
        ("CANCEL_AND_WAIT", {}, "RUNNING", ["FAILED", "CANCELLED"]),
        ("TERMINATE_CLUSTER", {}, "TERMINATING", ["FAILED", "CANCELLED"]),
        ("TERMINATE_JOB_FLOW", {}, "TERMINATING", ["FAILED", "CANCELLED"]),
        ("TERMINATE_CLUSTER", {"termination_protected": True}, "TERMINATING", ["FAILED", "CANCELLED"]),
        ("TERMINATE_CLUSTER", {"termination_protected": True, "keep_alive": True}, "RUNNING", ["FAILED", "CANCELLED"]),
        ("TERMINATE_CLUSTER", {"concurrency": 2}, "RUNNING", ["FAILED", "PENDING"]),
        ("CANCEL_AND_WAIT", {"concurrency": 2}, "RUNNING", ["FAILED", "PENDING"]),
    ],
)
def test_a_failed_step_acts_on_failure(on_failure, more, cluster_state, states):
    record = cluster("RUNNING", "PENDING", on_failure=on_failure, **more)
    assert lifecycle.settle(record, record.steps[0], FAILURE, "s3://logs/stderr.gz", NOW) == []
    assert (record.state, states_of(record)) == (cluster_state, states)
    assert record.reason_code == ("STEP_FAILURE" if cluster_state == "TERMINATING" else None)
    assert record.steps[0].failure == {
        "Reason": "Unknown Error.",
        "Message": "ValueError: no such carrier",
        "LogFile": "s3://logs/stderr.gz",
    }


@pytest.mark.parametrize(("outcome", "expected"), [(SUCCESS, "COMPLETED"), (KILLED, "CANCELLED")])
def test_a_cancelled_step_is_cancelled_unless_it_was_done_and_never_acts_on_failure(outcome, expected):
    record = cluster("CANCEL_PENDING", "PENDING", on_failure="TERMINATE_CLUSTER")
    assert lifecycle.settle(record, record.steps[0], outcome, "", NOW) == []
    assert (record.state, states_of(record)) == ("RUNNING", [expected, "PENDING"])


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("USER_REQUEST", "TERMINATED"),
        ("ALL_STEPS_COMPLETED", "TERMINATED"),
        ("STEP_FAILURE", "TERMINATED_WITH_ERRORS"),
        ("INTERNAL_ERROR", "TERMINATED_WITH_ERRORS"),
    ],
)
def test_a_cluster_ends_with_errors_unless_it_was_meant_to_end(code, expected):
    record = cluster("COMPLETED")
    lifecycle.shut_down(record, code, "why", NOW)
    lifecycle.end(record, NOW + 1)
    assert (expected, code, NOW + 1) == (record.state, record.reason_code, record.ended)


def test_shutting_down_cancels_what_waits_and_names_what_runs():
    record = cluster("COMPLETED", "RUNNING", "PENDING")
    assert [record.steps[1]] == lifecycle.shut_down(record, "USER_REQUEST", "Terminated by user request", NOW)
    assert states_of(record) == ["COMPLETED", "CANCEL_PENDING", "CANCELLED"]
    assert [step.message for step in record.steps] == [None, "Job terminated", "Job terminated"]


def test_the_first_reason_to_shut_down_stays():
    record = cluster("RUNNING")
    lifecycle.shut_down(record, "USER_REQUEST", "first", NOW)
    assert lifecycle.shut_down(record, "STEP_FAILURE", "second", NOW) == []
    assert record.message == "first"


@pytest.mark.parametrize(
    ("state", "release", "after", "refused"),
    [
        ("PENDING", "emr-5.20.0", "CANCELLED", False),
        ("RUNNING", "emr-5.27.1", "RUNNING", True),
        ("RUNNING", "emr-5.28.0", "CANCEL_PENDING", False),
        ("RUNNING", "emr-7.10.0", "CANCEL_PENDING", False),
        ("CANCEL_PENDING", "emr-7.10.0", "CANCEL_PENDING", False),
        ("CANCELLED", "emr-7.10.0", "CANCELLED", False),
        ("COMPLETED", "emr-7.10.0", "COMPLETED", True),
        ("FAILED", "emr-7.10.0", "FAILED", True),
    ],
)
def test_a_step_is_cancelled_where_its_state_and_release_allow_it(state, release, after, refused):
    record = cluster(state, release=release)
    assert refused == (lifecycle.cancel(record, record.steps[0], NOW) is not None)
    assert states_of(record) == [after]


def test_what_a_lost_endpoint_ran_is_interrupted():
    record = cluster("COMPLETED", "RUNNING", "CANCEL_PENDING", "PENDING")
    lifecycle.lose(record, NOW)
    assert states_of(record) == ["COMPLETED", "INTERRUPTED", "INTERRUPTED", "CANCELLED"]
    assert (
        record.state,
        record.reason_code,
        record.message,
    ) == ("TERMINATED_WITH_ERRORS", "INTERNAL_ERROR", "endpoint was restarted")


EVENTS = st.lists(
    st.sampled_from(["move", "succeed", "fail", "cancel", "add", "terminate", "wait", "keep", "protect"]), max_size=60
)


@given(EVENTS, st.integers(1, 3), st.sampled_from(["CONTINUE", "CANCEL_AND_WAIT", "TERMINATE_CLUSTER"]))
def test_no_history_breaks_what_always_holds(events, concurrency, on_failure):
    record = cluster("PENDING", "PENDING", state="STARTING", on_failure=on_failure, concurrency=concurrency)
    now = NOW
    for event in [*events, "terminate", *["succeed"] * 3, "move", "move"]:
        before = record.state
        now += 1
        _apply(record, event, on_failure, now)
        assert len(record.steps_in("RUNNING", "CANCEL_PENDING")) <= concurrency
        assert before not in {"TERMINATED", "TERMINATED_WITH_ERRORS"} or before == record.state
        if record.state in {"TERMINATED", "TERMINATED_WITH_ERRORS"}:
            assert record.steps_in("PENDING", "RUNNING", "CANCEL_PENDING") == []
            assert record.ended is not None
        assert all(
            (made.ended is None) == (made.state in {"PENDING", "RUNNING", "CANCEL_PENDING"}) for made in record.steps
        )
    assert record.state in {"TERMINATED", "TERMINATED_WITH_ERRORS"}


def _apply(record, event, on_failure, now):
    occupying = record.steps_in("RUNNING", "CANCEL_PENDING")
    open_ = record.state not in {"TERMINATING", "TERMINATED", "TERMINATED_WITH_ERRORS"}
    if event == "move" and record.state not in {"TERMINATED", "TERMINATED_WITH_ERRORS"}:
        _make(record, lifecycle.next_move(record, now, 2), now)
    elif event in {"succeed", "fail"} and occupying:
        outcome = SUCCESS if event == "succeed" else FAILURE
        lifecycle.settle(record, occupying[0], outcome, "", now)
    elif event == "cancel" and record.steps:
        lifecycle.cancel(record, record.steps[-1], now)
    elif event == "add" and open_:
        action = on_failure if record.step_concurrency == 1 else "CONTINUE"
        record.steps += new_steps(record, [step("x", on_failure=action)], None, now)
    elif event == "terminate":
        lifecycle.shut_down(record, "USER_REQUEST", "Terminated by user request", now)
    elif event == "keep":
        record.keep_alive = not record.keep_alive
    elif event == "protect":
        record.termination_protected = not record.termination_protected


def _make(record, move, now):
    if isinstance(move, Enter):
        lifecycle.enter(record, move.state, move.message, now)
    elif isinstance(move, Start):
        lifecycle.begin_step(record, next(made for made in record.steps if made.id == move.step_id), now)
    elif isinstance(move, ShutDown):
        lifecycle.shut_down(record, move.code, move.message, now)
    elif isinstance(move, End):
        lifecycle.end(record, now)


def test_instances_are_billed_from_their_launch_to_their_end_and_not_while_the_cluster_only_starts():
    record = cluster(state="STARTING")
    assert list(instances(record)) == []
    lived = []
    for seconds, state in [(30, "BOOTSTRAPPING"), (60, "RUNNING")]:
        lifecycle.enter(record, state, "", NOW + seconds)
        lived += [instance["Status"]["State"] for instance in instances(record)]
    lifecycle.shut_down(record, "USER_REQUEST", "", NOW + 80)
    lifecycle.end(record, NOW + 90)
    (status,) = [instance["Status"] for instance in instances(record)]
    assert [*lived, status["State"]] == ["BOOTSTRAPPING", "RUNNING", "TERMINATED"]
    times = {"CreationDateTime": NOW + 30, "ReadyDateTime": NOW + 60, "EndDateTime": NOW + 90}
    assert status["Timeline"] == times


@pytest.mark.parametrize(
    ("label", "there_is"),
    [("emr-5.36.2", True), ("emr-7.14.0", True), ("emr-spark-8.0.0", True)]
    + [
        (label, False)
        for label in ("emr-7.15.0", "emr-8.0.0", "emr-spark-7.0.0", "emr-7.1", "7.1.0", "emr-7.1.0-latest")
    ],
)
def test_a_release_is_known_by_its_label(label, there_is):
    assert is_release(label) == there_is


def test_every_release_that_is_listed_is_one():
    assert [label for label in RELEASES if not is_release(label)] == []
