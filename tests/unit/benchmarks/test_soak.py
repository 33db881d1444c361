"""What a soak counts, and the triggerer that it kills."""

import threading
import time

import pytest

from benchmarks.watch.judging import outcome
from benchmarks.watch.triggerers import KillableTriggerer
from tests.chaos.engine import Identity
from tests.chaos.judging import JobRunFact

DEADLINE = 60.0


def fact(run, state, at):
    return JobRunFact(run, Identity("ec2", run), 0.0, state, at)


def test_lost_is_what_ended_untold_and_failed_is_what_is_not_true():
    facts = {
        "a": fact("a", "COMPLETED", 100.0),
        "b": fact("b", "FAILED", 100.0),
        "c": fact("c", "SUCCESS", 100.0),
        "d": fact("d", "RUNNING", 100.0),
        "e": fact("e", "SUCCESS", 100.0),
    }
    told = {
        "1": {"at": 103.0, "said": {"state": "succeeded"}},
        "2": {"at": 101.0, "said": {"state": "failed"}},
        "4": {"at": 101.0, "said": {"state": "succeeded"}},
        "5": {"at": 101.0, "said": {"error": "ClientError: Rate exceeded"}},
    }
    found = outcome(facts, dict(zip("12345", "abcde", strict=True)), told)
    assert found.jobs == 5
    assert found.lost == ["3"]
    assert found.failed == {"4": {"state": "succeeded"}, "5": {"error": "ClientError: Rate exceeded"}}
    assert found.delays == [1.0, 3.0]


@pytest.fixture
def triggerer():
    with KillableTriggerer({}) as running:
        yield running


def soon(said):
    return "tests.unit.benchmarks.told.Soon", {"said": said}


NEVER = ("tests.unit.benchmarks.told.Never", {})


def await_told(triggerer, names):
    deadline = time.monotonic() + DEADLINE
    while not names <= set(triggerer.told):
        assert time.monotonic() < deadline, f"only {set(triggerer.told)} told"
        threading.Event().wait(0.05)


def test_what_waited_when_the_process_was_killed_waits_in_the_next_one(triggerer):
    triggerer.add("soon", soon({"state": "succeeded"}))
    triggerer.add("never", NEVER)
    await_told(triggerer, {"soon"})
    triggerer.kill()
    triggerer.add("late", soon({"state": "failed"}))
    await_told(triggerer, {"late"})
    assert triggerer.waiting() == {"never"}
    assert [triggerer.told[name]["said"]["state"] for name in ("soon", "late")] == ["succeeded", "failed"]
    assert triggerer.told_twice == []


def test_a_trigger_that_cannot_be_built_is_told_as_raised(triggerer):
    triggerer.add("unknown", ("no.such.Trigger", {}))
    await_told(triggerer, {"unknown"})
    assert triggerer.told["unknown"]["said"]["raised"].startswith("ModuleNotFoundError")
