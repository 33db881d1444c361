"""The decisions about virtual clusters and their job runs: as tables, and as invariants over random histories."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from local_emr.eks import lifecycle
from local_emr.eks.lifecycle import Abandon, End, Start, Submit
from local_emr.eks.records import EksJobRun, VirtualCluster
from local_emr.runs import Attempt, Situation, Sleep, Stop
from tests.local_emr.scripted import FAILURE, KILLED, SUCCESS

NOW = 1000.0
SEE_LOGS = "Please refer logs uploaded to S3/CloudWatch based on your monitoring configuration."


def cluster(state="RUNNING", most=None):
    scheduler = None if most is None else {"maxConcurrentJobRuns": most}
    return VirtualCluster("v", "us-east-1", {}, NOW, {}, scheduler=scheduler, state=state)


def job_run(run_id, state="PENDING", most_attempts=1, since=NOW):
    request = {"retryPolicyConfiguration": {"maxAttempts": most_attempts}}
    attempt = Attempt(1, state, NOW, since, started=since if state == "RUNNING" else None)
    return EksJobRun(run_id, "v", "us-east-1", request, NOW, {}, [attempt])


def decided(owner, *runs, now=NOW):
    return lifecycle.next_move(Situation(owner, runs, now), 10)


@pytest.mark.parametrize(
    ("owner", "runs", "expected"),
    [
        (cluster(), [], Sleep()),
        (cluster(), [job_run("a"), job_run("b")], Submit("a")),
        (cluster(), [job_run("a", "SUBMITTED", since=NOW - 10), job_run("b", "SUBMITTED")], Start("a")),
        (cluster(), [job_run("a", "SUBMITTED", since=NOW - 4)], Sleep(NOW + 6)),
        (cluster(), [job_run("a", "CANCEL_PENDING"), job_run("b")], Abandon("a")),
        (cluster(most=1), [job_run("a", "RUNNING"), job_run("b", "SUBMITTED", since=NOW - 10)], Sleep()),
        (cluster(most=1), [job_run("a", "SUBMITTED"), job_run("b", "SUBMITTED", since=NOW - 10)], Sleep(NOW + 10)),
        (cluster("TERMINATING"), [], End()),
        (cluster("TERMINATING"), [job_run("a", "RUNNING")], Sleep()),
        (cluster("TERMINATED"), [], Stop()),
    ],
)
def test_a_virtual_cluster_makes_its_next_move(owner, runs, expected):
    assert decided(owner, *runs) == expected


@pytest.mark.parametrize(
    ("cause", "details"),
    [
        ("ValueError: no such carrier", f"JobRun failed. ValueError: no such carrier. {SEE_LOGS}"),
        ("Killed.\n  here", f"JobRun failed. Killed. here. {SEE_LOGS}"),
        (None, f"JobRun failed. {SEE_LOGS}"),
    ],
)
def test_a_failure_is_told_in_awss_words_around_the_cause(cause, details):
    assert lifecycle.failure_details(cause) == details


@settings(deadline=None)
@given(st.text(min_size=1))
def test_a_failures_details_are_never_longer_than_aws_allows(cause):
    assert len(lifecycle.failure_details(cause * 300)) <= 256


class History(RuleBasedStateMachine):
    """A virtual cluster to which anything happens that can."""

    @initialize(most=st.integers(1, 3), most_attempts=st.integers(1, 3))
    def begin(self, most, most_attempts):
        self.most, self.most_attempts = most, most_attempts
        self.owner, self.runs, self.now = cluster(most=most), [], NOW
        self.final = {}

    @rule()
    def submit(self):
        self.runs.append(job_run(str(len(self.runs)), most_attempts=self.most_attempts, since=self.now))

    @rule(seconds=st.integers(1, 10))
    def let_time_pass(self, seconds):
        self.now += seconds

    @rule(number=st.integers(0, 5))
    def make_moves(self, number):
        for _ in range(number):
            self.make_move()

    @rule(number=st.integers(0, 5))
    def cancel(self, number):
        for run in self.runs[number : number + 1]:
            before = run.state
            assert lifecycle.cancel(run, self.now) == (before in {"PENDING", "SUBMITTED", "RUNNING"})

    @rule(number=st.integers(0, 5), outcome=st.sampled_from([SUCCESS, FAILURE]))
    def end_driver(self, number, outcome):
        for run in self.runs[number : number + 1]:
            if run.attempt.started is not None and not run.has_ended:
                lifecycle.settle(run, KILLED if run.state == "CANCEL_PENDING" else outcome, self.now)

    @invariant()
    def no_more_run_than_may(self):
        assert len(lifecycle.concurrent(tuple(self.runs))) <= self.most

    @invariant()
    def no_driver_is_started_more_often_than_its_policy_says(self):
        assert max([len(run.attempts) for run in self.runs], default=0) <= self.most_attempts

    @invariant()
    def what_has_ended_never_changes(self):
        now = {run.id: (run.state, run.failure_reason) for run in self.runs if run.has_ended}
        assert {run_id: now.get(run_id) for run_id in self.final} == self.final
        self.final = now

    @invariant()
    def only_a_failure_has_a_reason(self):
        assert all((run.failure_reason is None) == (run.state != "FAILED") for run in self.runs)

    def teardown(self):
        """Let everything go on until nothing is left: nothing waits for ever."""
        for _ in range(len(self.runs) * self.most_attempts + 1):
            self.now += 10
            while self.make_move():
                pass
            for number in range(len(self.runs)):
                self.end_driver(number, FAILURE)
        assert [run.state for run in self.runs if not run.has_ended] == []

    def make_move(self):
        """Do what was decided; say whether there was anything to do."""
        move = decided(self.owner, *[run for run in self.runs if not run.has_ended], now=self.now)
        if isinstance(move, Sleep):
            return False
        run = self.runs[int(move.run_id)]
        if isinstance(move, Submit):
            run.attempt.enter("SUBMITTED", self.now)
        elif isinstance(move, Start):
            lifecycle.start(run, self.now)
        else:
            lifecycle.end(run, "CANCELLED", self.now)
        return True


TestWhateverHappensLimitsHoldAndEveryJobRunEnds = History.TestCase
TestWhateverHappensLimitsHoldAndEveryJobRunEnds.settings = settings(deadline=None, stateful_step_count=30)
