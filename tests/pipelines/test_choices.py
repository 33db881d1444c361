"""Which compute a run gets, in a real Airflow: chosen, refused, waited for."""

from __future__ import annotations

import itertools
import json
import urllib.request
from datetime import UTC, datetime

import pytest

from local_airflow.rest import RestError
from tests.pipelines.test_faults import until
from tests.pipelines.test_flights import clusters_of, live_applications, live_clusters, states
from tests.support.airflow import ended_run

RUN = "chosen"


def trigger(rest, dag_id: str, run_id: str = RUN, conf: dict | None = None) -> None:
    rest.post(
        f"dags/{dag_id}/dagRuns", {"dag_run_id": run_id, "logical_date": None, **({"conf": conf} if conf else {})}
    )


def arm(endpoint: str, **fault: object) -> None:
    request = urllib.request.Request(f"{endpoint}/_local_emr/faults", json.dumps(fault).encode(), method="POST")
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def said(rest, dag_id: str, task: str, run_id: str = RUN, attempt: int = 1) -> str:
    return "\n".join(str(entry.get("event")) for entry in rest.log(dag_id, run_id, task, attempt))


@pytest.fixture(scope="module", autouse=True)
def started(rest, endpoint):
    """All of them are started together: most of their time is waiting."""
    arm(endpoint, service="emr-serverless", fault="refuse_capacity", count=1)
    arm(endpoint, service="emr-containers", fault="refuse_capacity", count=1)
    trigger(rest, "moves_on", conf={"target": "serverless,ec2"})
    trigger(rest, "is_refused_once")
    arm(endpoint, fault="region_down", region="us-west-2")
    trigger(rest, "rehearse_region_loss", conf={"target": "ec2-west,ec2-europe,ec2"})
    trigger(rest, "stays", conf={"maximum_workers": 1})
    for run_id in ("first", "second", "third"):
        trigger(rest, "waits_for_room", run_id)
    yield
    with urllib.request.urlopen(urllib.request.Request(f"{endpoint}/_local_emr/faults", method="DELETE"), timeout=10):
        pass


def test_a_run_whose_first_profile_has_no_capacity_succeeds_on_the_second(rest, client_of):
    assert ended_run(rest, "moves_on", RUN)["state"] == "success"
    acquired = rest.xcom("moves_on", RUN, "emr.acquire")
    assert acquired["compute"]["target"] == "ec2"
    choice = acquired["choice"]
    assert (choice["profile"], choice["asked"], choice["given"]) == ("ec2", ["serverless", "ec2"], True)
    assert [one["profile"] for one in choice["refused"]] == ["serverless"]
    assert choice["refused"][0]["reason"] in said(rest, "moves_on", "emr.acquire")
    steps = client_of("emr").list_steps(ClusterId=acquired["compute"]["id"])["Steps"]
    assert [step["Status"]["State"] for step in steps] == ["COMPLETED"]


def test_a_run_whose_region_is_lost_ends_well_in_the_next_with_code_of_its_bucket(rest, client_of):
    assert ended_run(rest, "rehearse_region_loss", RUN)["state"] == "success"
    told = rest.xcom("rehearse_region_loss", RUN, "tell")
    went = {"lost": "us-west-2", "went_to": "eu-west-1", "profile": "ec2-europe", "code": "local-artifacts-europe"}
    assert {name: told[name] for name in went} == went
    assert (
        "(503): the job code could not be laid into bucket 'local-artifacts-west' for profile 'ec2-west'"
        in told["reason"]
    )
    acquired = rest.xcom("rehearse_region_loss", RUN, "emr.acquire")
    assert acquired["code"]["jobs/rehearse.py"].startswith("s3://local-artifacts-europe/code/")
    steps = client_of("emr", "eu-west-1").list_steps(ClusterId=acquired["compute"]["id"])["Steps"]
    assert [step["Status"]["State"] for step in steps] == ["COMPLETED"]


def test_a_region_that_is_lost_is_reported_by_release_and_leaves_nothing_elsewhere(rest, client_of):
    assert ended_run(rest, "rehearse_region_loss", RUN)["state"] == "success"
    warnings = said(rest, "rehearse_region_loss", "emr.release")
    assert "Profile 'ec2-west' could not be asked whether it has anything of this run" in warnings
    live = client_of("emr", "eu-west-1").list_clusters(
        ClusterStates=["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"]
    )
    assert live["Clusters"] == []


def test_a_link_of_acquire_leads_to_why_this_compute_was_used(rest):
    links = rest.get(f"dags/moves_on/dagRuns/{RUN}/taskInstances/emr.acquire/links")["extra_links"]
    assert links["Why this compute"].endswith(f"/dags/moves_on/runs/{RUN}/tasks/emr.acquire/xcom")


def test_a_jobs_own_failure_does_not_move_to_the_next_profile(rest, client_of):
    assert ended_run(rest, "stays", RUN)["state"] == "failed"
    acquired = rest.xcom("stays", RUN, "emr.acquire")
    assert (acquired["choice"]["profile"], acquired["choice"]["refused"]) == ("ec2", [])
    assert len(clusters_of(client_of, acquired["compute"]["lease"])) == 1


def test_an_override_within_its_bounds_reaches_the_cluster(rest, client_of):
    assert ended_run(rest, "stays", RUN)["state"] == "failed"
    acquired = rest.xcom("stays", RUN, "emr.acquire")
    assert acquired["choice"]["overrides"] == {"maximum_workers": 1}
    groups = client_of("emr").list_instance_groups(ClusterId=acquired["compute"]["id"])["InstanceGroups"]
    assert {group["InstanceGroupType"]: group["RequestedInstanceCount"] for group in groups} == {"MASTER": 1, "CORE": 1}


@pytest.mark.parametrize(
    "conf",
    [{"maximum_workers": 101}, {"maximum_workers": "many"}, {"target": "eks"}],
    ids=["too many", "no number", "not offered"],
)
def test_what_the_dag_does_not_offer_is_refused_when_it_is_asked_for(rest, conf):
    with pytest.raises(RestError) as caught:
        trigger(rest, "stays", "refused", conf)
    assert caught.value.status == 400
    assert str(next(iter(conf.values()))) in str(caught.value)


def test_runs_of_a_profile_that_allows_one_at_a_time_wait_for_one_another(rest, client_of):
    lives = []
    for run_id in ("first", "second", "third"):
        assert ended_run(rest, "waits_for_room", run_id)["state"] == "success"
        cluster = rest.xcom("waits_for_room", run_id, "emr.acquire")["compute"]["id"]
        times = client_of("emr").describe_cluster(ClusterId=cluster)["Cluster"]["Status"]["Timeline"]
        lives.append((times["CreationDateTime"], times["EndDateTime"]))
    lives.sort()
    assert all(ended <= created for (_, ended), (created, _) in itertools.pairwise(lives))
    logs = [said(rest, "waits_for_room", "emr.acquire", run_id) for run_id in ("first", "second", "third")]
    assert sum("as many as its max_concurrent allows; waiting deferred" in log for log in logs) >= 1


def test_a_backfill_that_was_given_no_target_says_loudly_which_one_it_uses(rest):
    day = "2013-01-01T00:00:00Z"
    rest.post("backfills", {"dag_id": "is_backfilled", "from_date": day, "to_date": day, "run_on_latest_version": True})
    run = until(lambda: rest.run_of("is_backfilled", datetime(2013, 1, 1, tzinfo=UTC)))["dag_run_id"]
    assert ended_run(rest, "is_backfilled", run)["state"] == "success"
    assert rest.xcom("is_backfilled", run, "emr.acquire")["choice"]["given"] is False
    warnings = [
        str(entry["event"])
        for entry in rest.log("is_backfilled", run, "emr.acquire", 1)
        if entry.get("level") == "warning"
    ]
    assert any("its runs use the DAG's default, ec2." in warning for warning in warnings)
    assert any("'Override parameters on existing runs'" in warning for warning in warnings)


def test_a_job_refused_for_capacity_says_whose_fault_it_was_and_is_retried_by_policy(rest):
    assert ended_run(rest, "is_refused_once", RUN)["state"] == "success"
    tries = {task["task_id"]: task["try_number"] for task in rest.task_instances("is_refused_once", RUN)}
    assert tries["emr.job"] == 2
    assert "fault of: capacity" in str(rest.log("is_refused_once", RUN, "emr.job", 1))


def test_nothing_is_left_at_the_end(rest, client_of):
    for dag_id, verdict in (("moves_on", "success"), ("stays", "failed"), ("is_refused_once", "success")):
        assert ended_run(rest, dag_id, RUN)["state"] == verdict
        seen = states(rest, dag_id, RUN)
        assert (seen["emr.release"], seen["emr.verdict"]) == ("success", verdict)
    until(lambda: live_clusters(client_of) == [])
    assert live_applications(client_of) == []
