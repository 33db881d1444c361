"""What every target promises: one suite, run for each of them.

To hold a target of your own to it, inherit ``RunOwnedCases`` (its compute is made for a run) or ``ProfileOwnedCases`` (it is shared
by all runs), once for each owner among its capabilities, and give these fixtures; ``toy.py`` and ``test_toy.py`` show the least that
is needed:

    target         the target of one profile; for ``ProfileOwnedCases`` of a profile that no other test uses
    another        the same target under a profile of another name (``RunOwnedCases`` only)
    service        a ``Service``: what the test knows and does behind the target's back
    quick          a job that succeeds
    failing        a job that fails, and whose log holds ``said``
    endless        a job that runs until it is cancelled
    lingering      the same, which takes a moment to end then (default: ``endless``)
    code           where each file of these jobs lies, as ``submit`` takes it (default: nowhere, there are none)
    unknown        compute that was never there
    unknown_run    the id of a job run that was never there

and ``many``, a number of job runs that no single page of the service's listing holds, with ``pages_of_many``, the calls in which they
may be polled. What your service does differently is an override in your file, so that it can be seen.
"""

# ruff: noqa: PLR0913, PLR0917 - a test's arguments are its fixtures

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, Protocol

import pytest

from emr_pipelines.errors import ComputeReleasedError, ComputeUnavailableError
from emr_pipelines.keys import LONGEST_NAME, Key, Lease
from emr_pipelines.targets.base import Compute
from emr_pipelines.targets.states import Fault, Phase, RunState

ENGINES = frozenset({"spark"})


class Service(Protocol):
    """The service behind a target, as a test sees it and disturbs it."""

    calls: list[str]
    """The operations that the target called, in order; a test may clear it."""

    def refuse_capacity(self) -> None:
        """Let the next compute not be had for want of capacity."""

    def throttle(self, count: int) -> None:
        """Refuse the next calls, whatever they ask for, because there are too many."""

    def lose_answer(self, of: Literal["create", "submit", "end"]) -> None:
        """Carry out the next call that creates compute, starts a job run, or ends either, and lose its answer."""


def until(look, done, seconds=30.0):
    """Look until done; the last thing seen."""
    deadline = time.monotonic() + seconds
    while not done(seen := look()):
        assert time.monotonic() < deadline, f"still {seen} after {seconds} seconds"
        threading.Event().wait(0.02)
    return seen


def settled(target, compute):
    """Wait until compute is no longer starting."""
    return until(lambda: target.state(compute), lambda state: state.phase is not Phase.STARTING)


def ended(target, compute, run):
    """Wait until a job run has ended."""
    return until(lambda: target.poll(compute, [run])[run], lambda state: state.state.ended)


def key(lease, task="emr.clean", nonce="nonce"):
    return Key(lease, task, -1, nonce)


def another_run(lease):
    return Lease(lease.deployment, lease.dag_id, f"{lease.run_id} again", lease.group_id)


class TargetCases:
    """What holds whoever owns the compute; every test leases for a run of its own."""

    said = "no such luck"
    many: int
    pages_of_many: int

    @pytest.fixture
    def lease(self, request):
        return Lease("conformance", "dag", request.node.name, "emr")

    @pytest.fixture
    def code(self) -> Mapping[str, str]:
        return {}

    @pytest.fixture
    def lingering(self, endless):
        return endless

    @pytest.fixture
    def compute(self, target, lease):
        compute = target.acquire(lease, ENGINES)
        assert settled(target, compute).phase is Phase.READY
        yield compute
        target.release(compute)

    @pytest.fixture
    def submit(self, target, compute, code, lease):
        def submit(job, **identity):
            return target.submit(compute, job, code, key(lease, **identity))

        return submit

    def test_acquiring_twice_is_acquiring_once(self, target, lease, compute):
        assert target.acquire(lease, ENGINES) == compute
        assert target.lookup(lease) == [compute]

    def test_of_several_who_acquire_at_the_same_moment_all_get_the_same(self, target, lease):
        with ThreadPoolExecutor(4) as pool:
            got = list(pool.map(lambda _: target.acquire(lease, ENGINES), range(4)))
        assert target.lookup(lease) == got[:1]
        assert got == got[:1] * 4
        target.release(got[0])

    def test_a_lost_answer_leaves_one_compute(self, target, lease, service):
        service.lose_answer("create")
        compute = target.acquire(lease, ENGINES)
        assert target.lookup(lease) == [compute]
        target.release(compute)

    def test_compute_that_cannot_be_had_is_told_apart_from_a_mistake(self, target, lease, service):
        service.refuse_capacity()
        try:
            compute = target.acquire(lease, ENGINES)
        except ComputeUnavailableError:
            pass
        else:
            state = settled(target, compute)
            assert (state.phase, state.fault) == (Phase.ENDED, Fault.CAPACITY)
            target.release(compute)

    def test_after_a_refusal_the_same_lease_can_acquire(self, target, lease, service):
        self.test_compute_that_cannot_be_had_is_told_apart_from_a_mistake(target, lease, service)
        compute = target.acquire(lease, ENGINES)
        assert settled(target, compute).phase is Phase.READY
        target.release(compute)

    def test_compute_travels_as_json(self, compute):
        assert Compute.from_json(compute.to_json()) == compute

    def test_compute_says_whose_it_is(self, target, compute, lease):
        assert compute.lease == lease.id
        assert compute.owner in target.capabilities.owners

    def test_a_deployment_owns_its_own_compute_and_nobody_elses(self, target, compute, lease):
        owned = [one.compute for one in target.owned(lease.deployment) if one.compute.id == compute.id]
        assert [(one.profile, one.owner, one.parts) for one in owned] == [
            (compute.profile, compute.owner, compute.parts)
        ]
        assert target.owned("another deployment") == []

    def test_what_is_owned_says_since_when(self, target, lease):
        before = time.time()
        compute = target.acquire(lease, ENGINES)
        after = time.time()
        (created,) = [one.created for one in target.owned(lease.deployment) if one.compute.id == compute.id]
        assert int(before) <= created <= after
        target.release(compute)

    def test_compute_that_nobody_knows_has_ended(self, target, unknown):
        assert target.state(unknown).phase is Phase.ENDED
        target.release(unknown)

    def test_a_job_that_succeeds_is_seen_to_succeed(self, target, compute, submit, quick):
        state = ended(target, compute, submit(quick).id)
        assert (state.state, state.fault) == (RunState.SUCCEEDED, None)
        assert state.began <= state.ended

    def test_submitting_twice_under_one_key_can_be_seen_before_it_is_done(self, target, compute, lease, submit, quick):
        run = submit(quick)
        assert target.find(compute, key(lease)).id == run.id
        assert target.find(compute, key(lease, nonce="another")) is None

    def test_submitting_twice_under_one_key_is_submitting_once(self, target, compute, lease, submit, endless):
        first, second = submit(endless), submit(endless)
        assert second.id == first.id
        until(lambda: target.active(compute, lease), lambda runs: [run.id for run in runs] == [first.id])

    def test_a_job_run_whose_answer_was_lost_is_started_once(self, target, compute, lease, submit, endless, service):
        service.lose_answer("submit")
        run = submit(endless)
        assert [one.id for one in target.active(compute, lease)] == [run.id]
        assert target.find(compute, key(lease)).id == run.id

    def test_the_runs_of_a_lease_are_listed_while_they_live(self, target, compute, lease, submit, endless):
        run = submit(endless)
        assert [one.id for one in target.active(compute, lease)] == [run.id]
        assert target.active(compute, another_run(lease)) == []
        target.cancel(compute, run.id)
        assert ended(target, compute, run.id).state is RunState.CANCELLED
        assert target.active(compute, lease) == []

    def test_cancelling_twice_is_cancelling_once(self, target, compute, submit, endless):
        run = submit(endless)
        target.cancel(compute, run.id)
        ended(target, compute, run.id)
        target.cancel(compute, run.id)
        assert target.poll(compute, [run.id])[run.id].fault is Fault.USER

    def test_a_job_run_that_is_being_cancelled_may_be_cancelled_again(self, target, compute, submit, lingering):
        run = submit(lingering)
        until(lambda: target.poll(compute, [run.id])[run.id].state, lambda state: state is RunState.RUNNING)
        for _ in range(3):
            target.cancel(compute, run.id)
        assert ended(target, compute, run.id).state is RunState.CANCELLED

    def test_cancelling_what_nobody_knows_does_nothing(self, target, compute, unknown_run):
        target.cancel(compute, unknown_run)

    def test_a_job_that_fails_is_the_jobs_fault_and_its_log_says_why(self, target, compute, submit, failing):
        run = submit(failing)
        state = ended(target, compute, run.id)
        assert (state.state, state.fault) == (RunState.FAILED, Fault.JOB)
        logs = until(lambda: target.logs(compute, run.id), lambda logs: bool(logs.streams))
        assert any(self.said in text for text in logs.streams.values())
        assert logs.address.startswith("s3://")

    def test_a_failed_job_leaves_the_compute_to_the_others(self, target, compute, submit, failing, quick):
        ended(target, compute, submit(failing).id)
        assert target.state(compute).phase is Phase.READY
        assert ended(target, compute, submit(quick, nonce="another").id).state is RunState.SUCCEEDED

    def test_the_ends_of_many_job_runs_are_told_by_few_calls(self, target, compute, lease, submit, quick, service):
        begun = time.time()
        runs = [submit(quick, nonce=str(number)).id for number in range(self.many)]
        assert len(set(runs)) == self.many
        states = until(lambda: dict(target.ended(compute, runs, begun)), lambda seen: len(seen) == self.many)
        assert {run: state.state for run, state in states.items()} == dict.fromkeys(runs, RunState.SUCCEEDED)
        service.calls.clear()
        list(target.ended(compute, runs, begun))
        assert len(service.calls) == self.pages_of_many
        assert target.find(compute, key(lease, nonce="0")).id == runs[0]

    def test_a_listing_of_ends_tells_of_nothing_else(self, target, compute, submit, quick, endless):
        begun = time.time()
        done, alive = submit(quick).id, submit(endless, nonce="another").id
        ended(target, compute, done)
        seen = until(lambda: dict(target.ended(compute, [done, alive], begun)), bool)
        assert {run: state.state for run, state in seen.items()} == {done: RunState.SUCCEEDED}
        assert list(target.ended(compute, [alive], begun)) == []
        target.cancel(compute, alive)
        seen = until(lambda: dict(target.ended(compute, [alive], begun)), bool)
        assert seen[alive].state is RunState.CANCELLED

    def test_several_are_polled_for_certain(self, target, compute, submit, quick, unknown_run):
        runs = [submit(quick, nonce=str(number)).id for number in range(12)]
        states = until(
            lambda: target.poll(compute, [*runs, unknown_run]),
            lambda seen: all(state.state.ended for state in seen.values()),
        )
        expected = {**dict.fromkeys(runs, RunState.SUCCEEDED), unknown_run: RunState.LOST}
        assert {run: state.state for run, state in states.items()} == expected

    def test_several_computes_are_told_of_together(self, target, compute):
        assert target.states([compute, compute]) == {compute.id: target.state(compute)}

    def test_a_job_run_that_nobody_knows_is_lost(self, target, compute, unknown_run):
        assert target.poll(compute, [unknown_run])[unknown_run].state is RunState.LOST

    def test_a_job_run_that_nobody_knows_used_nothing_that_can_be_told(self, target, compute, unknown_run):
        assert target.usage(compute, [unknown_run]).vcpu_hours == 0

    def test_throttled_calls_are_sent_again(self, target, compute, lease, submit, quick, service):
        service.throttle(1)
        run = submit(quick)
        service.throttle(1)
        assert ended(target, compute, run.id).state is RunState.SUCCEEDED
        service.throttle(1)
        assert target.lookup(lease) == [compute]

    def test_names_at_their_limit_are_accepted(self, target, compute, code, quick):
        long = Lease("conformance", f"{compute.lease}{'d' * 234}", "r" * 250, "g" * 250)
        run = target.submit(compute, quick, code, Key(long, "t" * 250, 4095, "n"))
        assert len(run.name) == LONGEST_NAME

    def test_compute_of_the_longest_names_can_be_had(self, target):
        long = Lease("d" * 31, "d" * 250, "r" * 250, "g" * 250)
        compute = target.acquire(long, ENGINES)
        assert target.lookup(long) == [compute]
        target.release(compute)

    def test_links_lead_to_the_compute_and_to_the_job_runs_logs(self, target, compute, submit, quick):
        run = submit(quick)
        links = target.links(compute, run.id)
        assert links.keys() >= {"compute", "logs"}
        assert compute.id in links["compute"]
        assert run.id.rpartition("/")[2] in links["logs"]
        assert target.links(compute, None)["compute"] == links["compute"]

    def test_what_was_used_is_counted_and_says_whether_it_is_the_bill(self, target, compute, submit, quick):
        run = submit(quick)
        ended(target, compute, run.id)
        used = target.usage(compute, [run.id])
        assert used.vcpu_hours + sum(used.instance_hours.values()) > 0
        assert used.billed == target.capabilities.reports_its_bill


class RunOwnedCases(TargetCases):
    """Compute is made for a run, and ends with it."""

    def test_nothing_is_left_of_compute_that_could_not_be_had(self, target, lease, service):
        self.test_compute_that_cannot_be_had_is_told_apart_from_a_mistake(target, lease, service)
        assert target.lookup(lease) == []

    def test_another_lease_gets_other_compute(self, target, compute, lease):
        second = target.acquire(another_run(lease), ENGINES)
        assert second.id != compute.id
        target.release(second)
        assert target.lookup(another_run(lease)) == []
        assert target.state(compute).phase is Phase.READY

    def test_another_profile_of_the_same_lease_has_its_own_compute(self, target, another, compute, lease):
        assert another.lookup(lease) == []
        other = another.acquire(lease, ENGINES)
        assert other.id != compute.id
        another.release(other)
        assert target.lookup(lease) == [compute]

    def test_compute_of_a_run_carries_its_lease_wherever_it_is_listed(self, target, compute, lease):
        (owned,) = [one for one in target.owned(lease.deployment) if one.compute.id == compute.id]
        assert (owned.compute.lease, Lease.from_tags(owned.tags)) == (lease.id, lease)

    def test_what_is_listed_as_owned_can_be_released(self, target, compute, lease):
        (owned,) = [one for one in target.owned(lease.deployment) if one.compute.id == compute.id]
        target.release(owned.compute)
        until(lambda: target.state(compute).phase, lambda phase: phase is Phase.ENDED)
        assert target.lookup(lease) == []

    def test_an_identity_that_its_tags_cannot_hold_is_told_apart(self, target):
        long = Lease("conformance", "d" * 300, "r" * 250, "emr")
        compute = target.acquire(long, ENGINES)
        (owned,) = [one for one in target.owned(long.deployment) if one.compute.id == compute.id]
        assert (owned.compute.lease, Lease.from_tags(owned.tags)) == (long.id, None)
        target.release(compute)

    def test_releasing_twice_is_releasing_once(self, target, lease):
        compute = target.acquire(lease, ENGINES)
        target.release(compute)
        target.release(compute)
        until(lambda: target.state(compute).phase, lambda phase: phase is Phase.ENDED)
        assert target.lookup(lease) == []

    def test_a_release_whose_answer_was_lost_has_happened(self, target, lease, service):
        compute = target.acquire(lease, ENGINES)
        assert settled(target, compute).phase is Phase.READY
        service.lose_answer("end")
        target.release(compute)
        until(lambda: target.state(compute).phase, lambda phase: phase is Phase.ENDED)
        assert target.lookup(lease) == []

    def test_acquiring_after_a_release_gives_new_compute(self, target, lease):
        first = target.acquire(lease, ENGINES)
        target.release(first)
        second = target.acquire(lease, ENGINES)
        assert second.id != first.id
        target.release(second)

    def test_a_lease_may_be_acquired_and_released_any_number_of_times(self, target, lease):
        got = []
        for _ in range(10):
            compute = target.acquire(lease, ENGINES)
            assert target.lookup(lease) == [compute]
            target.release(compute)
            got.append(compute.id)
        assert len(set(got)) == 10

    def test_after_releases_too_all_who_acquire_at_the_same_moment_get_the_same(self, target, lease):
        for _ in range(2):
            target.release(target.acquire(lease, ENGINES))
        self.test_of_several_who_acquire_at_the_same_moment_all_get_the_same(target, lease)

    def test_a_job_run_on_released_compute_has_ended_without_success(self, target, code, lease, endless):
        compute = target.acquire(lease, ENGINES)
        assert settled(target, compute).phase is Phase.READY
        run = target.submit(compute, endless, code, key(lease))
        target.release(compute)
        state = ended(target, compute, run.id)
        assert state.state in (RunState.CANCELLED, RunState.LOST, RunState.FAILED)

    def test_released_compute_takes_no_more_jobs_and_says_so(self, target, code, lease, quick):
        compute = target.acquire(lease, ENGINES)
        target.release(compute)
        until(lambda: target.state(compute).phase, lambda phase: phase is Phase.ENDED)
        with pytest.raises(ComputeReleasedError, match=compute.id):
            target.submit(compute, quick, code, key(lease))


class ProfileOwnedCases(TargetCases):
    """Compute belongs to the profile: all runs share it, and none ends it."""

    def test_two_leases_share_it_and_one_is_released_while_the_other_works(
        self, target, compute, code, lease, submit, endless
    ):
        other = another_run(lease)
        theirs = target.acquire(other, ENGINES)
        assert (theirs.id, theirs.owner, theirs.lease) == (compute.id, "profile", other.id)
        run, kept = submit(endless), target.submit(theirs, endless, code, key(other))
        target.release(compute)
        assert ended(target, compute, run.id).state is RunState.CANCELLED
        assert [one.id for one in target.active(theirs, other)] == [kept.id]
        assert target.state(theirs).phase is Phase.READY
        target.release(theirs)
        assert ended(target, theirs, kept.id).state is RunState.CANCELLED

    def test_a_run_finds_it_before_it_acquired_any(self, target, compute, lease):
        other = another_run(lease)
        assert [(one.id, one.lease) for one in target.lookup(other)] == [(compute.id, other.id)]

    def test_it_has_no_lease_where_all_compute_is_listed(self, target, compute, lease):
        owned = [one for one in target.owned(lease.deployment) if one.compute.id == compute.id]
        assert [(one.compute.lease, Lease.from_tags(one.tags)) for one in owned] == [("", None)]

    def test_each_lease_with_live_job_runs_on_it_is_listed_and_can_be_released(
        self, target, compute, code, lease, endless, quick
    ):
        other, done = another_run(lease), Lease(lease.deployment, lease.dag_id, "done", lease.group_id)
        before = time.time()
        runs = [
            target.submit(compute, endless, code, key(of, nonce=nonce))
            for of, nonce in ((lease, "1"), (lease, "2"), (other, "3"))
        ]
        ended(target, compute, target.submit(compute, quick, code, key(done)).id)
        at_work = {one.compute.lease: one for one in target.owned(lease.deployment) if one.compute.lease}
        assert {Lease.from_tags(one.tags) for one in at_work.values()} == {lease, other}
        mine = at_work[lease.id]
        assert (mine.compute.id, mine.compute.owner) == (compute.id, "profile")
        assert int(before) <= mine.created <= time.time()
        target.release(mine.compute)
        assert [ended(target, compute, run.id).state for run in runs[:2]] == [RunState.CANCELLED] * 2
        assert [run.id for run in target.active(compute, other)] == [runs[2].id]
        assert target.state(compute).phase is Phase.READY
        target.cancel(compute, runs[2].id)

    @pytest.fixture
    def shared(self, compute):
        """Compute on which the deployment "elsewhere" may run jobs, too."""
        return compute

    def test_job_runs_of_another_deployment_on_it_are_nobodys_here(self, target, shared, compute, code, lease, endless):
        theirs = Lease("elsewhere", lease.dag_id, lease.run_id, lease.group_id)
        run = target.submit(compute, endless, code, key(theirs))
        assert [one for one in target.owned(lease.deployment) if one.compute.lease] == []
        target.cancel(compute, run.id)

    def test_releasing_it_any_number_of_times_leaves_it(self, target, compute, lease):
        target.release(compute)
        target.release(compute)
        assert target.state(compute).phase is Phase.READY
        assert target.lookup(lease) == [compute]

    def test_a_release_whose_answer_was_lost_has_happened(self, target, compute, submit, endless, service):
        run = submit(endless)
        service.lose_answer("end")
        target.release(compute)
        assert ended(target, compute, run.id).state is RunState.CANCELLED

    def test_acquiring_after_a_release_gives_the_same(self, target, compute, lease):
        target.release(compute)
        assert target.acquire(lease, ENGINES) == compute
