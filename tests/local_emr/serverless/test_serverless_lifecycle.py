"""Whatever happens to an application and its job runs, in whatever order, some things always hold."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from local_emr.engine import Outcome
from local_emr.runs import Situation, Sleep
from local_emr.serverless import lifecycle
from local_emr.serverless.lifecycle import CancelRun, EnterApplication, EnterRun, Idle, StartRun
from local_emr.serverless.records import Application, ServerlessJobRun
from tests.local_emr.scripted import FAILURE, KILLED, SUCCESS

FOLLOWS = {
    "SUBMITTED": {"QUEUED", "PENDING"},
    "QUEUED": {"PENDING", "FAILED"},
    "PENDING": {"SCHEDULED"},
    "SCHEDULED": {"RUNNING", "FAILED"},
    "RUNNING": {"SUCCESS", "FAILED", "CANCELLING"},
    "CANCELLING": {"CANCELLED", "SUCCESS"},
}
"""The User Guide's job run states; a job run that waits may also be CANCELLED."""

MOST_RUNS, CPU = 3, 5


class Applications(RuleBasedStateMachine):
    """An application of 5 vCPUs that runs 3 jobs at a time, driven by its own decisions."""

    @initialize(starts_itself=st.booleans())
    def create(self, starts_itself):
        request = {
            "type": "Spark",
            "schedulerConfiguration": {"maxConcurrentRuns": MOST_RUNS, "queueTimeoutMinutes": 15},
            "maximumCapacity": {"cpu": f"{CPU} vCPU", "memory": "1000 GB"},
        }
        self.now = 0.0
        self.application = Application("00a", "us-east-1", request, request, 0.0, 0.0, 0.0, {})
        self.runs: list[ServerlessJobRun] = []
        self.settle()

    @rule(cpu=st.integers(1, CPU + 1), attempts=st.integers(1, 2), minutes=st.integers(0, 5))
    def submit(self, cpu, attempts, minutes):
        request = {"retryPolicy": {"maxAttempts": attempts}, "executionTimeoutMinutes": minutes}
        run = ServerlessJobRun(f"{len(self.runs)}", "00a", "us-east-1", request, self.now, {}, cpu=cpu)
        run.retry(self.now)
        self.runs.append(run)
        self.settle()

    @rule(seconds=st.sampled_from([1, 60, 600, 3600]))
    def wait(self, seconds):
        self.now += seconds
        self.settle()

    @rule(data=st.data(), outcome=st.sampled_from([SUCCESS, FAILURE]))
    def end(self, data, outcome):
        if running := [run for run in self.runs if run.state == "RUNNING"]:
            self.ended(data.draw(st.sampled_from(running)), outcome)
            self.settle()

    @rule(data=st.data())
    def cancel(self, data):
        if self.runs:
            run = data.draw(st.sampled_from(self.runs))
            before = run.state
            refusal = lifecycle.cancel(run, self.now)
            assert (refusal is None) == (before not in run.states.ended)
            if run.state == "CANCELLING":
                self.ended(run, KILLED)
            self.settle()

    def ended(self, run, outcome: Outcome):
        before = run.attempt
        lifecycle.settle(run, outcome, self.now)
        assert before.state in run.states.ended

    def settle(self):
        """Make moves until there is nothing to do now."""
        for _ in range(1000):
            live = tuple(run for run in self.runs if not run.has_ended)
            move = lifecycle.next_move(Situation(self.application, live, self.now), 4)
            if isinstance(move, Sleep):
                assert move.until is None or move.until > self.now
                return
            self.make(move)
        raise AssertionError("it never rests")

    def make(self, move):
        match move:
            case EnterApplication(state, details):
                self.application.enter(state, self.now, details)
            case Idle(since):
                self.application.idle_since = since
            case EnterRun(run_id, state, details):
                run = self.runs[int(run_id)]
                assert state in FOLLOWS[run.state] | {"CANCELLED"}
                lifecycle.enter(run, state, self.now, details)
            case StartRun(run_id):
                run = self.runs[int(run_id)]
                assert "RUNNING" in FOLLOWS[run.state]
                assert self.application.state == "STARTED"
                lifecycle.enter(run, "RUNNING", self.now)
            case CancelRun(run_id):
                run = self.runs[int(run_id)]
                lifecycle.cancel(run, self.now)
                self.ended(run, KILLED)

    @invariant()
    def no_more_run_than_may(self):
        running = [run for run in getattr(self, "runs", ()) if run.state == "RUNNING"]
        assert len(running) <= MOST_RUNS
        assert sum(run.cpu for run in running) <= CPU

    @invariant()
    def nothing_runs_where_nothing_is_started(self):
        if any(run.state == "RUNNING" for run in getattr(self, "runs", ())):
            assert self.application.state == "STARTED"

    @invariant()
    def what_has_ended_says_when(self):
        for run in getattr(self, "runs", ()):
            assert all((attempt.ended is not None) == (attempt.state in run.states.ended) for attempt in run.attempts)
            assert len(run.attempts) <= run.request["retryPolicy"]["maxAttempts"]


TestApplications = Applications.TestCase
TestApplications.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (
            FAILURE,
            (
                "Job failed, please check complete logs in configured logging destination. ExitCode: 1. "
                "Last few exceptions: ValueError: no such carrier"
            ),
        ),
        (
            Outcome(succeeded=False, exit_code=None, reason="Invalid arguments", message="Unrecognized\n option: -x"),
            "Job failed. Invalid arguments: Unrecognized option: -x",
        ),
        (Outcome(succeeded=False, exit_code=None, reason="Unknown Error.", message="gone"), "Job failed. gone"),
    ],
)
def test_a_failure_is_told_in_one_line(outcome, expected):
    assert expected == lifecycle.failure(outcome)


def test_a_failure_is_told_in_256_characters():
    outcome = Outcome(succeeded=False, exit_code=1, message="x" * 1000)
    assert len(lifecycle.failure(outcome)) == 256
