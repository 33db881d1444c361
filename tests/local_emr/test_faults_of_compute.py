"""Compute that fails or is lost, job runs that vanish, listings that lag: as a client meets it."""

from __future__ import annotations

from functools import partial

import pytest

from local_emr.faults import Lag
from local_emr.runs import Records
from local_emr.serverless.records import Application
from tests.local_emr.asking import arm, ask, cluster_of, create, refusal, state_of, step_states
from tests.local_emr.scripted import ManualClock, eventually, step
from tests.local_emr.services import SERVICES, Ec2, Eks, Serverless


def struck(endpoint):
    """Return how often each armed fault struck."""
    return [fault["struck"] for fault in ask(endpoint, "GET")[1]["faults"]]


def runs(jobs, held="held", **more):
    """Start a job run that holds, and return its id once it runs."""
    run = jobs.start("hold", held, **more)
    eventually(lambda: jobs.state(run), "RUNNING")
    return run


# Clusters that cannot be had


def errors_of(endpoint, cluster_id):
    """Return a cluster's reason, and its error's code and data."""
    status = cluster_of(endpoint, cluster_id)["Status"]
    (error,) = status["ErrorDetails"]
    data = {name: value for pair in error["ErrorData"] for name, value in pair.items()}
    assert error["ErrorMessage"] == status["StateChangeReason"]["Message"]
    return status["StateChangeReason"], error["ErrorCode"], data


def test_a_cluster_whose_bootstrap_action_fails_ends_with_its_number_and_never_runs_a_step(endpoint):
    arm(endpoint, "bootstrap_failure", name_contains="flights")
    action = {"Name": "install", "ScriptBootstrapAction": {"Path": "s3://code/install.sh"}}
    cluster_id = create(endpoint, step("succeed"), BootstrapActions=[action])
    eventually(lambda: state_of(endpoint, cluster_id), ("TERMINATED_WITH_ERRORS", "BOOTSTRAP_FAILURE"))
    primary = endpoint.emr.list_instances(ClusterId=cluster_id, InstanceGroupTypes=["MASTER"])["Instances"][0]
    reason, code, data = errors_of(endpoint, cluster_id)
    assert reason["Message"] == (
        f"On the master instance ({primary['Ec2InstanceId']}), bootstrap action 1 returned a non-zero return code"
    )
    assert code == "BOOTSTRAP_FAILURE_PRIMARY_WITH_NON_ZERO_CODE"
    assert (data["primary-instance-id"], data["bootstrap-action"]) == (primary["Ec2InstanceId"], "1")
    assert data["amazon-s3-path"] == "s3://code/install.sh"
    assert (step_states(endpoint, cluster_id), endpoint.engine.started) == (["CANCELLED"], [])
    walked = [entry["state"] for entry in endpoint.journal if entry["what"] == "compute"]
    assert walked == ["STARTING", "BOOTSTRAPPING", "TERMINATING", "TERMINATED_WITH_ERRORS"]


def test_a_cluster_that_is_refused_for_what_was_asked_for_ends_without_instances(endpoint):
    arm(endpoint, "validation_failure")
    cluster_id = create(endpoint, step("succeed"), Instances={"Placement": {"AvailabilityZone": "us-east-1e"}})
    eventually(lambda: state_of(endpoint, cluster_id), ("TERMINATED_WITH_ERRORS", "VALIDATION_ERROR"))
    reason, code, data = errors_of(endpoint, cluster_id)
    assert reason["Message"].startswith("The requested instance type m5.xlarge is not supported in the requested avail")
    assert code == "VALIDATION_ERROR_INSTANCE_TYPE_NOT_SUPPORTED"
    assert (data["instance-types"], data["availability-zones"]) == ("m5.xlarge", "us-east-1e")
    assert endpoint.emr.list_instances(ClusterId=cluster_id)["Instances"] == []


@pytest.mark.parametrize("fault", ["bootstrap_failure", "validation_failure"])
def test_the_cluster_after_it_is_had(endpoint, fault):
    arm(endpoint, fault)
    for expected in ("TERMINATED_WITH_ERRORS", "WAITING"):
        cluster_id = create(endpoint)
        eventually(partial(lambda made: state_of(endpoint, made)[0], cluster_id), expected)


# Instances that are lost


@pytest.mark.parametrize(
    ("instances", "message"),
    [(3, "The master node was terminated"), (1, "All instances in the job flow are terminated")],
)
def test_a_cluster_whose_instances_are_lost_ends_with_its_steps(endpoint, instances, message):
    cluster_id = create(endpoint, step("hold", "a"), step("succeed"), Instances={"InstanceCount": instances})
    eventually(lambda: step_states(endpoint, cluster_id), ["RUNNING", "PENDING"])
    arm(endpoint, "spot_loss", id=cluster_id)
    eventually(lambda: state_of(endpoint, cluster_id), ("TERMINATED_WITH_ERRORS", "INSTANCE_FAILURE"))
    assert cluster_of(endpoint, cluster_id)["Status"]["StateChangeReason"]["Message"] == message
    assert step_states(endpoint, cluster_id) == ["CANCELLED", "CANCELLED"]
    assert struck(endpoint) == [1]


def test_only_the_clusters_that_are_meant_lose_their_instances(endpoint):
    kept, lost = Ec2(endpoint), create(endpoint, step("hold", "a"), Name="flights-spot")
    eventually(lambda: step_states(endpoint, lost), ["RUNNING"])
    arm(endpoint, "spot_loss", name_contains="-spot")
    eventually(lambda: state_of(endpoint, lost)[0], "TERMINATED_WITH_ERRORS")
    arm(endpoint, "spot_loss", name_contains="-spot")
    assert (kept.compute()[kept.id], struck(endpoint)) == ("WAITING", [1, 0])


def test_a_driver_on_eks_whose_node_is_lost_has_failed(endpoint):
    jobs = Eks(endpoint)
    run, other = runs(jobs, "a", name="clean"), runs(jobs, "b", name="load")
    arm(endpoint, "spot_loss", jobs.service, name_contains="etl/clean")
    eventually(lambda: jobs.state(run), "FAILED")
    described = jobs.described(run)
    assert described["failureReason"] == "USER_ERROR"
    assert "terminated with exit code 137" in described["stateDetails"]
    assert (jobs.state(other), struck(endpoint)) == ("RUNNING", [1])


def test_a_driver_on_eks_whose_node_is_lost_is_tried_again_where_a_policy_says_so(endpoint):
    jobs = Eks(endpoint)
    run = jobs.namespace.start("hold", "a", retryPolicyConfiguration={"maxAttempts": 2})
    eventually(lambda: jobs.state(run), "RUNNING")
    arm(endpoint, "spot_loss", jobs.service, id=run)
    eventually(lambda: jobs.described(run)["retryPolicyExecution"]["currentAttemptCount"], 2)
    eventually(lambda: jobs.state(run), "RUNNING")


def test_a_driver_of_serverless_whose_node_is_lost_has_failed(endpoint):
    jobs = Serverless(endpoint)
    run, other = runs(jobs, "a"), runs(jobs, "b")
    arm(endpoint, "spot_loss", jobs.service, id=run)
    eventually(lambda: jobs.state(run), "FAILED")
    assert jobs.described(run)["stateDetails"] == (
        "Job failed, please check complete logs in configured logging destination. ExitCode: 137. "
        "Last few exceptions: The driver's node was lost: terminated with exit code 137"
    )
    assert (jobs.state(other), struck(endpoint)) == ("RUNNING", [1])


@pytest.mark.parametrize("jobs", [Eks, Serverless])
def test_a_job_run_that_does_not_run_loses_nothing(endpoint, jobs):
    jobs = jobs(endpoint)
    run = jobs.start("fail")
    eventually(lambda: jobs.state(run), "FAILED")
    before = jobs.described(run)
    arm(endpoint, "spot_loss", jobs.service, id=run)
    assert (struck(endpoint), jobs.described(run)) == ([0], before)


# Job runs that vanish


@pytest.mark.parametrize("jobs", SERVICES)
def test_a_job_run_that_vanishes_is_neither_listed_nor_described_and_goes_on(endpoint, jobs):
    jobs = jobs(endpoint)
    gone, kept = runs(jobs, "a"), jobs.start("hold", "b", name="load")
    arm(endpoint, "vanish", jobs.service, id=gone)
    code = {"elasticmapreduce": "InvalidRequestException"}.get(jobs.service, "ResourceNotFoundException")
    assert refusal(jobs.described, run=gone)[0] == code
    assert (list(jobs.listed()), struck(endpoint)) == ([kept], [1])
    assert endpoint.engine.held["a"].outcome is None
    ask(endpoint, "DELETE")
    assert list(jobs.listed()) == [kept]


@pytest.mark.parametrize("jobs", SERVICES)
def test_a_job_run_vanishes_by_its_name_too_and_later_ones_of_that_name_do_not(endpoint, jobs):
    jobs = jobs(endpoint)
    jobs.start("hold", "a", name="clean")
    arm(endpoint, "vanish", jobs.service, name_contains="/clean")
    assert jobs.listed() == {}
    again = jobs.start("hold", "b", name="clean")
    assert list(jobs.listed()) == [again]


def test_a_step_that_vanished_cannot_be_asked_for_by_its_id(endpoint):
    jobs = Ec2(endpoint)
    gone = runs(jobs)
    arm(endpoint, "vanish", id=gone)
    asked = [jobs.client.list_steps, jobs.client.cancel_steps]
    assert [refusal(call, ClusterId=jobs.id, StepIds=[gone])[0] for call in asked] == ["InvalidRequestException"] * 2


# Listings that lag


@pytest.mark.parametrize("jobs", SERVICES)
def test_a_new_job_run_is_listed_only_after_the_lag_and_described_at_once(endpoint, jobs):
    jobs = jobs(endpoint)
    arm(endpoint, "lag", jobs.service, seconds=20)
    endpoint.clock.advance(20)
    run = runs(jobs)
    endpoint.clock.advance(19.5)
    assert (jobs.listed(), jobs.state(run)) == ({}, "RUNNING")
    endpoint.clock.advance(0.5)
    assert jobs.listed() == {run: "RUNNING"}


@pytest.mark.parametrize("jobs", SERVICES)
def test_a_change_of_state_is_listed_only_after_the_lag_even_one_from_before_it(endpoint, jobs):
    jobs = jobs(endpoint)
    run = runs(jobs)
    endpoint.clock.advance(60)
    eventually(lambda: len(endpoint.engine.held), 1)
    next(iter(endpoint.engine.held.values())).cancel()
    eventually(lambda: jobs.state(run), "FAILED")
    assert jobs.listed() == {run: "FAILED"}
    arm(endpoint, "lag", jobs.service, seconds=60)
    endpoint.clock.advance(59.5)
    assert (jobs.listed(), jobs.state(run)) == ({run: "RUNNING"}, "FAILED")
    endpoint.clock.advance(0.5)
    assert jobs.listed() == {run: "FAILED"}
    ask(endpoint, "DELETE")


@pytest.mark.parametrize("jobs", SERVICES)
def test_new_compute_is_listed_only_after_the_lag(endpoint, jobs):
    jobs = jobs(endpoint)
    endpoint.clock.advance(60)
    arm(endpoint, "lag", jobs.service, seconds=10)
    more = jobs.more_compute()
    endpoint.clock.advance(9.5)
    assert set(jobs.compute()) == {jobs.id}
    endpoint.clock.advance(0.5)
    assert set(jobs.compute()) == {jobs.id, more}


def test_records_are_listed_as_they_were_and_those_of_a_former_endpoint_as_they_are(tmp_path):
    clock = ManualClock(1000.0)
    records = Records(tmp_path, "*/application.json", Application.read, clock)
    settings = {"type": "Spark", "releaseLabel": "emr-7.9.0"}
    made = Application("a", "us-east-1", {}, settings, created=1000.0, updated=1000.0, entered=1000.0, tags={})
    for state in ("CREATING", "CREATED", "STARTING", "STARTED"):
        made.state = state
        records.save(made, made.id)
        clock.advance(10)
    seen = [[record.state for record in records.listed(ago)] for ago in (0, 5, 10, 15, 25, 35, 45)]
    assert seen == [[state] for state in ("STARTED", "STARTED", "STARTED", "STARTING", "CREATED", "CREATING")] + [[]]
    clock.advance(Lag.longest)
    made.state = "STOPPED"
    records.save(made, made.id)
    assert [record.state for record in records.listed(Lag.longest)] == ["STARTED"]
    later = Records(tmp_path, "*/application.json", Application.read, clock)
    assert [record.state for record in later.load()] == ["STOPPED"]
    assert [record.state for record in later.listed(Lag.longest, "a")] == ["STOPPED"]
    assert later.listed(0, "b") == []
