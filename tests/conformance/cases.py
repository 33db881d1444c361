"""What every target promises: one suite, run for each of them.

A target's test file gives the fixtures ``target`` and the jobs ``quick`` (succeeds), ``failing`` (fails, saying ``no such luck``)
and ``endless`` (runs until it is cancelled), and overrides what its service does differently, so that a deviation can be seen.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from emr_pipelines.keys import LONGEST_NAME, Key, Lease
from emr_pipelines.targets.base import Compute
from emr_pipelines.targets.states import Fault, Phase, RunState

ENGINES = frozenset({"spark"})


def until(look, done, seconds=30.0):
    """Look until done; the last thing seen."""
    deadline = time.monotonic() + seconds
    while not done(seen := look()):
        assert time.monotonic() < deadline, f"still {seen} after {seconds} seconds"
        threading.Event().wait(0.05)
    return seen


def ready(target, compute):
    state = until(lambda: target.state(compute), lambda state: state.phase is not Phase.STARTING)
    assert state.phase is Phase.READY


def ended(target, compute, run):
    return until(lambda: target.poll(compute, [run])[run], lambda state: state.state.ended)


def key(lease, task="emr.clean", nonce="nonce"):
    return Key(lease, task, -1, nonce)


class TargetCases:
    """The suite; every test leases for a run of its own."""

    @pytest.fixture
    def lease(self, request):
        return Lease("conformance", "dag", request.node.name, "emr")

    @pytest.fixture
    def compute(self, target, lease):
        compute = target.acquire(lease, ENGINES)
        ready(target, compute)
        yield compute
        target.release(compute)

    def test_acquiring_twice_is_acquiring_once(self, target, lease, compute):
        assert target.acquire(lease, ENGINES) == compute
        assert target.lookup(lease) == [compute]

    def test_of_several_who_acquire_at_the_same_moment_all_get_the_same(self, target, lease):
        with ThreadPoolExecutor(4) as pool:
            got = list(pool.map(lambda _: target.acquire(lease, ENGINES), range(4)))
        left = target.lookup(lease)
        assert len(left) == 1
        assert left[0] in got
        target.release(left[0])

    def test_compute_travels_as_json(self, compute):
        assert Compute.from_json(compute.to_json()) == compute

    def test_another_lease_gets_other_compute(self, target, compute, lease):
        other = Lease(lease.deployment, lease.dag_id, lease.run_id + " again", lease.group_id)
        second = target.acquire(other, ENGINES)
        assert second.id != compute.id
        target.release(second)
        assert target.lookup(other) == []
        assert target.state(compute).phase is Phase.READY

    def test_a_deployment_owns_its_own_compute_and_nobody_elses(self, target, compute, lease):
        assert compute in target.owned(lease.deployment)
        assert target.owned("another deployment") == []

    def test_releasing_twice_is_releasing_once(self, target, lease):
        compute = target.acquire(lease, ENGINES)
        target.release(compute)
        target.release(compute)
        until(lambda: target.state(compute).phase, lambda phase: phase is Phase.ENDED)
        assert target.lookup(lease) == []

    def test_acquiring_after_a_release_gives_new_compute(self, target, lease):
        first = target.acquire(lease, ENGINES)
        target.release(first)
        second = target.acquire(lease, ENGINES)
        assert second.id != first.id
        target.release(second)

    def test_compute_that_nobody_knows_has_ended(self, target, unknown):
        assert target.state(unknown).phase is Phase.ENDED
        target.release(unknown)

    def test_a_job_that_succeeds_is_seen_to_succeed(self, target, compute, lease, quick):
        run = target.submit(compute, quick, {}, key(lease))
        assert ended(target, compute, run.id).state is RunState.SUCCEEDED

    def test_submitting_twice_under_one_key_can_be_seen_before_it_is_done(self, target, compute, lease, quick):
        run = target.submit(compute, quick, {}, key(lease))
        assert target.find(compute, key(lease)).id == run.id
        assert target.find(compute, key(lease, nonce="another")) is None

    def test_of_two_job_runs_under_one_key_the_older_is_kept_and_the_younger_cancelled(
        self, target, compute, lease, endless
    ):
        first = target.submit(compute, endless, {}, key(lease))
        second = target.submit(compute, endless, {}, key(lease))
        assert second.id == first.id
        until(lambda: target.active(compute, lease), lambda runs: [run.id for run in runs] == [first.id])

    def test_the_runs_of_a_lease_are_listed_while_they_live(self, target, compute, lease, endless):
        run = target.submit(compute, endless, {}, key(lease))
        assert [one.id for one in target.active(compute, lease)] == [run.id]
        assert target.active(compute, Lease("conformance", "dag", "another run", "emr")) == []
        target.cancel(compute, run.id)
        assert ended(target, compute, run.id).state is RunState.CANCELLED
        assert target.active(compute, lease) == []

    def test_cancelling_twice_is_cancelling_once(self, target, compute, lease, endless):
        run = target.submit(compute, endless, {}, key(lease))
        target.cancel(compute, run.id)
        ended(target, compute, run.id)
        target.cancel(compute, run.id)
        assert target.poll(compute, [run.id])[run.id].fault is Fault.USER

    def test_a_job_that_fails_is_the_jobs_fault_and_its_log_says_why(self, target, compute, lease, failing):
        run = target.submit(compute, failing, {}, key(lease))
        state = ended(target, compute, run.id)
        assert (state.state, state.fault) == (RunState.FAILED, Fault.JOB)
        logs = until(lambda: target.logs(compute, run.id), lambda logs: bool(logs.streams))
        assert any("no such luck" in text for text in logs.streams.values())

    def test_many_job_runs_are_polled_together(self, target, compute, lease, quick):
        runs = [target.submit(compute, quick, {}, key(lease, nonce=str(number))).id for number in range(23)]
        states = until(
            lambda: target.poll(compute, runs), lambda seen: all(state.state.ended for state in seen.values())
        )
        assert {run: state.state for run, state in states.items()} == dict.fromkeys(runs, RunState.SUCCEEDED)

    def test_a_job_run_that_nobody_knows_is_lost(self, target, compute, unknown_run):
        assert target.poll(compute, [unknown_run])[unknown_run].state is RunState.LOST

    def test_a_job_run_on_released_compute_has_ended_without_success(self, target, lease, endless):
        compute = target.acquire(lease, ENGINES)
        ready(target, compute)
        run = target.submit(compute, endless, {}, key(lease))
        target.release(compute)
        state = ended(target, compute, run.id)
        assert state.state in (RunState.CANCELLED, RunState.LOST, RunState.FAILED)

    def test_released_compute_takes_no_more_jobs_and_says_so(self, target, lease, quick):
        from emr_pipelines.errors import ComputeReleasedError

        compute = target.acquire(lease, ENGINES)
        target.release(compute)
        until(lambda: target.state(compute).phase, lambda phase: phase is Phase.ENDED)
        with pytest.raises(ComputeReleasedError, match=compute.id):
            target.submit(compute, quick, {}, key(lease))

    def test_names_at_their_limit_are_accepted(self, target, compute, quick):
        long = Lease(compute.lease, "d" * 250, "r" * 250, "g" * 250)
        run = target.submit(compute, quick, {}, Key(long, "t" * 250, 4095, "n"))
        assert len(run.name) == LONGEST_NAME

    def test_links_lead_to_the_compute_and_to_the_job_runs_logs(self, target, compute, lease, quick):
        run = target.submit(compute, quick, {}, key(lease))
        links = target.links(compute, run.id)
        assert compute.id in links["compute"]
        assert run.id in links["logs"]
