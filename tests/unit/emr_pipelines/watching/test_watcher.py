"""The watcher's thread, beside a service that a test plays."""

from __future__ import annotations

import asyncio
import threading
import time
from functools import partial
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError

from emr_pipelines.errors import ConfigurationError
from emr_pipelines.targets import REGISTRY
from emr_pipelines.watching import watcher as module
from emr_pipelines.watching.board import TOLERATED, Wait
from emr_pipelines.watching.pace import Pace
from emr_pipelines.watching.triggers import _from_any_thread
from emr_pipelines.watching.watcher import Place, Watcher

FAST = Pace(soonest=0.001, latest=0.002)
SECONDS = 20


def refused(code, status):
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "ListJobRuns")


class Service:
    """What there is to see; ``trouble`` is raised by the next looks, one each."""

    key = "everything"
    announced = True
    patience = None

    def __init__(self):
        self.answers = {}
        self.trouble = []
        self.looks = 0
        self.seen = threading.Condition()

    def profile(self):
        return SimpleNamespace(target="played")

    def look(self, target, waits, now):
        with self.seen:
            self.looks += 1
            self.seen.notify_all()
        if self.trouble:
            raise self.trouble.pop(0)
        return [(wait.item, self.answers[wait.item]) for wait in waits if wait.item in self.answers]

    def await_looks(self, count):
        with self.seen:
            wanted = self.looks + count
            assert self.seen.wait_for(lambda: self.looks >= wanted, SECONDS)


class Told:
    def __init__(self):
        self.answers = []
        self._came = threading.Event()

    def __call__(self, answer):
        self.answers.append(answer)
        self._came.set()

    def wait(self):
        assert self._came.wait(SECONDS)
        return self.answers


@pytest.fixture
def watcher(monkeypatch):
    monkeypatch.setitem(REGISTRY, "played", "unused:Unused")
    monkeypatch.setattr(module, "target_for", lambda profile, clients: None)
    monkeypatch.setattr(module, "_IDLE_SECONDS", 0.05)
    watcher = Watcher(Place("played", None, "us-east-1"), lambda: None, lambda: FAST)
    yield watcher
    if thread := watcher._thread:
        thread.join(SECONDS)
        assert not thread.is_alive()


def ask(watcher, service, item):
    told = Told()
    wait = Wait(item, time.time(), tell=told)
    watcher.add(service, wait)
    return told, wait


def test_one_who_waits_is_told_once_what_was_seen(watcher):
    service = Service()
    told, _ = ask(watcher, service, "one")
    service.await_looks(3)
    service.answers["one"] = {"state": "succeeded"}
    assert told.wait() == [{"state": "succeeded"}]


def test_thousands_who_begin_together_are_answered_by_one_look(watcher):
    service = Service()
    service.answers = {str(number): {"state": "failed"} for number in range(3000)}
    all_told = [ask(watcher, service, item)[0] for item in service.answers]
    assert [told.wait() for told in all_told] == [[{"state": "failed"}]] * 3000
    assert service.looks < 300


def test_throttles_lost_answers_and_errors_of_the_server_are_waited_out(watcher):
    service = Service()
    service.answers["one"] = {"state": "succeeded"}
    service.trouble = [refused("ThrottlingException", 400), refused("InternalServerError", 500)] * TOLERATED
    told, _ = ask(watcher, service, "one")
    assert told.wait() == [{"state": "succeeded"}]


def test_what_aws_refuses_for_good_is_told_with_its_reason_to_all_who_wait(watcher):
    service = Service()
    service.trouble = [refused("AccessDeniedException", 403)] * TOLERATED
    (one, _), (two, _) = ask(watcher, service, "one"), ask(watcher, service, "two")
    for told in (one, two):
        (answer,) = told.wait()
        assert answer["error"].startswith("ClientError")
        assert "AccessDeniedException" in answer["error"]


def test_a_profile_that_disappeared_is_told(watcher):
    service = Service()
    service.trouble = [ConfigurationError("There is no profile 'gone'")] * TOLERATED
    told, _ = ask(watcher, service, "one")
    assert told.wait() == [{"error": "ConfigurationError: There is no profile 'gone'"}]


def test_who_no_longer_waits_is_told_nothing(watcher):
    service = Service()
    gone, wait = ask(watcher, service, "one")
    stays, _ = ask(watcher, service, "two")
    watcher.remove(service, wait)
    service.answers = {"one": {}, "two": {"state": "succeeded"}}
    assert stays.wait() == [{"state": "succeeded"}]
    assert gone.answers == []


def test_an_event_wakes_those_who_wait_for_its_job_run_and_nobody_else(watcher):
    service = Service()
    (one, _), (other, _) = ask(watcher, service, "one"), ask(watcher, service, "other")
    assert watcher.hear("one", {"state": "SUCCESS"})
    assert one.wait() == [{"state": "SUCCESS"}]
    assert not watcher.hear("one", {"state": "SUCCESS"})  # delivered twice
    assert not watcher.hear("never heard of", {"state": "SUCCESS"})
    assert other.answers == []
    service.answers["other"] = {}
    other.wait()


def test_an_event_of_a_cluster_makes_its_look_due(watcher):
    slow = Watcher(Place("played", None, "us-east-1"), lambda: None, lambda: Pace(soonest=60.0, latest=60.0))
    service = Service()
    service.answers["one"] = {"state": "lost"}
    told, _ = ask(slow, service, "one")
    assert not slow.look_now("another")
    assert slow.look_now("everything")
    assert told.wait() == [{"state": "lost"}]


def test_what_no_event_tells_of_is_looked_at_as_often_as_ever(monkeypatch, watcher):
    monkeypatch.setattr(module, "IN_TRIGGERER", FAST)
    slow = Watcher(watcher.place, lambda: None, lambda: Pace(soonest=60.0, latest=60.0))
    service = Service()
    service.announced = False
    service.answers["one"] = {"phase": "ready"}
    told, _ = ask(slow, service, "one")
    assert told.wait() == [{"phase": "ready"}]


def test_who_cannot_be_told_any_more_does_not_keep_the_others_from_their_answers(watcher):
    service = Service()
    service.answers = {"one": {}, "two": {}}
    loop = asyncio.new_event_loop()
    loop.close()
    watcher.add(service, Wait("one", time.time(), tell=partial(_from_any_thread, loop, print)))
    assert ask(watcher, service, "two")[0].wait() == [{}]


def test_the_thread_ends_when_nobody_waits_and_comes_back_when_somebody_does(watcher):
    service = Service()
    service.answers = {"one": {}, "two": {}}
    ask(watcher, service, "one")[0].wait()
    first = watcher._thread
    if first is not None:
        first.join(SECONDS)
    assert watcher._thread is None
    assert ask(watcher, service, "two")[0].wait() == [{}]
