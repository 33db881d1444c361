"""The flights pipeline in a real Airflow, as its users run it: by schedule, as a backfill, and again after a clear."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from datetime import date as Date  # noqa: N812  # date is a name that tests want for their own
from typing import Any

import pytest

from tests.support.airflow import ended_run
from tests.support.corrupted import manifest_of, rows_at
from tests.support.pandas_flights import comparable, expected_carrier_delay, expected_clean

DAG_ID = "flights_daily"
JOBS = ["emr.clean", "emr.carriers", "emr.check"]
TASKS = ["emr.begin", "emr.acquire", *JOBS, "emr.release", "emr.verdict", "approve", "publish"]


def manifest(client_of, dataset: str, date: str) -> dict[str, Any]:
    """What readers go by."""
    return json.loads(manifest_of(client_of("s3"), dataset, date) or "null")


def table(client_of, dataset: str, date: str):
    return rows_at(client_of("s3"), manifest(client_of, dataset, date)["location"])


def assert_equals_pandas(client_of, date: str) -> None:
    day = Date.fromisoformat(date)
    assert comparable(table(client_of, "flights", date)) == comparable(expected_clean(day))
    assert comparable(table(client_of, "carrier_delay", date)) == comparable(expected_carrier_delay(day))


def live_clusters(client_of) -> list[str]:
    states = ["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"]
    return [cluster["Id"] for cluster in client_of("emr").list_clusters(ClusterStates=states)["Clusters"]]


def clusters_of(client_of, lease: str) -> list[str]:
    return [one["Name"] for one in client_of("emr").list_clusters()["Clusters"] if one["Name"].startswith(lease)]


def live_applications(client_of) -> list[str]:
    states = ["CREATING", "STARTING", "STARTED"]
    return [one["id"] for one in client_of("emr-serverless").list_applications(states=states)["applications"]]


def states(rest, dag_id: str, run_id: str) -> dict[str, str]:
    return {task["task_id"]: task["state"] for task in rest.task_instances(dag_id, run_id)}


def run_for(rest, dag_id: str, date: str) -> str:
    return rest.run_of(dag_id, datetime.fromisoformat(date).replace(tzinfo=UTC))["dag_run_id"]


@pytest.fixture(scope="module")
def one_day(rest):
    """A run of one day, triggered as a person triggers it."""
    rest.unpause(DAG_ID)
    day = datetime(2013, 1, 15, tzinfo=UTC)
    rest.trigger(DAG_ID, "one-day", logical_date=day, start=day, end=day + timedelta(days=1), conf={"target": "ec2"})
    assert ended_run(rest, DAG_ID, "one-day")["state"] == "success"
    return "one-day"


def test_a_day_runs_on_a_cluster_of_its_own_that_is_gone_afterwards(rest, client_of, one_day):
    assert states(rest, DAG_ID, one_day) == dict.fromkeys(TASKS, "success")
    cluster = rest.xcom(DAG_ID, one_day, "emr.acquire")["compute"]["id"]
    status = client_of("emr").describe_cluster(ClusterId=cluster)["Cluster"]["Status"]
    assert (status["State"], status["StateChangeReason"]["Code"]) == ("TERMINATED", "USER_REQUEST")
    assert live_clusters(client_of) == []


def test_the_output_of_a_day_equals_plain_pandas_row_by_row(client_of, one_day):
    assert one_day
    assert_equals_pandas(client_of, "2013-01-15")


def test_the_quality_of_a_day_was_measured_on_its_rows(rest, one_day):
    result = rest.xcom(DAG_ID, one_day, "emr.check", "quality")
    assert result["rows"] == len(expected_clean(Date(2013, 1, 15)))
    assert {rule["outcome"] for rule in result["rules"]} == {"Passed"}
    assert {rule["measured"] for rule in result["rules"] if rule["rule"].startswith("RowCount")} == {result["rows"]}


def test_the_document_of_a_day_says_on_what_it_ran_and_what_its_jobs_did(rest, client_of, one_day):
    key = f"runs/deployment=local/dag={DAG_ID}/date=2013-01-15/{one_day}.emr.json"
    found = json.loads(client_of("s3").get_object(Bucket="local-logs", Key=key)["Body"].read())
    assert (found["run"], found["verdict"], found["target"]) == (one_day, "success", "ec2")
    assert found["compute"] == rest.xcom(DAG_ID, one_day, "emr.acquire")["compute"]["id"]
    told = {job["task"]: (job["job_run"], job["type"], job["state"], job["rows"]) for job in found["jobs"]}
    ran = {task: rest.xcom(DAG_ID, one_day, task)["job_run"] for task in JOBS}
    assert told == {
        "emr.clean": (ran["emr.clean"], "SparkJob", "succeeded", None),
        "emr.carriers": (ran["emr.carriers"], "HiveJob", "succeeded", None),
        "emr.check": (ran["emr.check"], "SparkJob", "succeeded", len(expected_clean(Date(2013, 1, 15)))),
    }
    assert (
        found["acquired"] < found["ready"] < found["jobs"][0]["began"] < found["jobs"][0]["ended"] < found["released"]
    )
    assert 0 < found["compute_use"] < 100
    assert found["usage"]["instance_hours"]["m5.xlarge"] > 0


def test_readers_of_a_day_see_the_versions_that_its_job_runs_wrote_and_its_check_audited(rest, client_of, one_day):
    staged = {task: rest.xcom(DAG_ID, one_day, f"emr.{task}", "staged") for task in ("clean", "carriers")}
    published = {dataset: manifest(client_of, dataset, "2013-01-15") for dataset in ("flights", "carrier_delay")}
    assert published["flights"]["location"] == staged["clean"]["location"]
    assert published["carrier_delay"]["location"] == staged["carriers"]["location"]
    assert published["flights"]["by"] == {
        "deployment": "local",
        "dag": DAG_ID,
        "run": one_day,
        "task": "publish",
    }
    assert published["flights"]["quality"]["result"] == rest.xcom(DAG_ID, one_day, "emr.check")["result"]


def test_the_event_of_the_asset_says_what_was_published(rest, client_of, one_day):
    events = rest.get("assets/events", source_dag_id=DAG_ID, source_run_id=one_day)["asset_events"]
    told = {event["extra"]["dataset"]: event["extra"] for event in events}
    assert sorted(told) == ["carrier_delay", "flights"]
    published = manifest(client_of, "flights", "2013-01-15")
    assert (told["flights"]["location"], told["flights"]["rows"]) == (published["location"], published["rows"])
    assert told["flights"]["measures"]["RowCount"] == len(expected_clean(Date(2013, 1, 15)))


def test_the_table_of_rules_stands_in_the_log_of_the_check(rest, one_day):
    log = "\n".join(str(entry.get("event")) for entry in rest.log(DAG_ID, one_day, "emr.check", 1))
    assert "rules passed" in log
    assert "RowCount" in log


def test_links_lead_to_the_cluster_and_to_the_logs(rest, one_day):
    run = rest.xcom(DAG_ID, one_day, "emr.clean")
    links = rest.get(f"dags/{DAG_ID}/dagRuns/{one_day}/taskInstances/emr.clean/links")["extra_links"]
    assert run["compute"] in links["Compute"]
    assert run["job_run"] in links["EMR logs"]


def test_a_cleared_task_of_a_finished_run_runs_again_on_new_compute_with_the_same_rows(rest, client_of, one_day):
    before = rest.xcom(DAG_ID, one_day, "emr.acquire")["compute"]["id"]
    first_step = rest.xcom(DAG_ID, one_day, "emr.carriers")["job_run"]
    seen = {dataset: manifest(client_of, dataset, "2013-01-15") for dataset in ("flights", "carrier_delay")}
    rest.post(
        f"dags/{DAG_ID}/clearTaskInstances",
        {
            "dry_run": False,
            "dag_run_id": one_day,
            "task_ids": ["emr.carriers"],
            "include_downstream": True,
            "only_failed": False,
            "reset_dag_runs": True,
        },
    )
    assert ended_run(rest, DAG_ID, one_day)["state"] == "success"
    assert rest.xcom(DAG_ID, one_day, "emr.acquire")["compute"]["id"] != before
    assert rest.xcom(DAG_ID, one_day, "emr.carriers")["job_run"] != first_step
    tries = {task["task_id"]: task["try_number"] for task in rest.task_instances(DAG_ID, one_day)}
    assert (tries["emr.clean"], tries["emr.carriers"]) == (1, 2)
    assert manifest(client_of, "flights", "2013-01-15")["location"] == seen["flights"]["location"]
    switched = manifest(client_of, "carrier_delay", "2013-01-15")
    assert (switched["location"] != switched["previous"], switched["previous"]) == (
        True,
        seen["carrier_delay"]["location"],
    )
    assert_equals_pandas(client_of, "2013-01-15")
    assert live_clusters(client_of) == []


def test_a_schedule_catches_up_with_two_days(rest, client_of):
    rest.unpause("flights_catchup")
    for date in ("2013-02-01", "2013-02-02"):
        deadline = datetime.now(UTC) + timedelta(seconds=120)
        while not (run := rest.run_of("flights_catchup", datetime.fromisoformat(date).replace(tzinfo=UTC))):
            assert datetime.now(UTC) < deadline, f"the schedule made no run for {date}"
        assert run["run_type"] == "scheduled"
        assert ended_run(rest, "flights_catchup", run["dag_run_id"])["state"] == "success"
        assert_equals_pandas(client_of, date)
    runs = rest.get("dags/flights_catchup/dagRuns")["dag_runs"]
    assert len(runs) == 2
    assert live_clusters(client_of) == []


ELSEWHERE = {"serverless": datetime(2013, 2, 10, tzinfo=UTC), "eks": datetime(2013, 2, 11, tzinfo=UTC)}
BACKFILL = ("2013-03-01", "2013-03-02", "2013-03-03")
NO_INPUT = datetime(2013, 7, 4, tzinfo=UTC)


@pytest.fixture(scope="module")
def started(rest):
    """Runs of a day on each other target, given by `conf`, a backfill, and a day without input: all at work at the same time."""
    rest.unpause(DAG_ID)
    for target, day in ELSEWHERE.items():
        conf = {"target": target}
        rest.trigger(DAG_ID, f"on-{target}", logical_date=day, start=day, end=day + timedelta(days=1), conf=conf)
    rest.trigger(DAG_ID, "no-input", logical_date=NO_INPUT, start=NO_INPUT, end=NO_INPUT + timedelta(days=1))
    rest.post(
        "backfills",
        {
            "dag_id": DAG_ID,
            "from_date": f"{BACKFILL[0]}T00:00:00Z",
            "to_date": f"{BACKFILL[-1]}T00:00:00Z",
            "max_active_runs": 2,
            "reprocess_behavior": "none",
            "run_on_latest_version": True,
            "dag_run_conf": {"target": "eks"},
        },
    )


def test_a_day_runs_on_serverless_applications_of_its_own_that_are_gone_afterwards(rest, client_of, started):
    assert ended_run(rest, DAG_ID, "on-serverless")["state"] == "success"
    acquired = rest.xcom(DAG_ID, "on-serverless", "emr.acquire")
    assert acquired["compute"]["target"] == "serverless"
    assert sorted(acquired["compute"]["parts"]) == ["hive", "spark"]
    ran = {
        task: rest.xcom(DAG_ID, "on-serverless", f"emr.{task}")["job_run"] for task in ("clean", "carriers", "check")
    }
    parts = acquired["compute"]["parts"]
    assert {task: run.split("/")[0] for task, run in ran.items()} == {
        "clean": parts["spark"],
        "carriers": parts["hive"],
        "check": parts["spark"],
    }
    assert_equals_pandas(client_of, "2013-02-10")
    assert live_applications(client_of) == []


def test_a_day_runs_on_a_virtual_cluster_that_stays(rest, client_of, started):
    assert ended_run(rest, DAG_ID, "on-eks")["state"] == "success"
    compute = rest.xcom(DAG_ID, "on-eks", "emr.acquire")["compute"]
    assert (compute["target"], compute["owner"]) == ("eks", "profile")
    containers = client_of("emr-containers")
    ran = [rest.xcom(DAG_ID, "on-eks", f"emr.{task}")["job_run"] for task in ("clean", "carriers", "check")]
    states = [containers.describe_job_run(virtualClusterId=compute["id"], id=run)["jobRun"]["state"] for run in ran]
    assert states == ["COMPLETED"] * 3
    assert containers.describe_virtual_cluster(id=compute["id"])["virtualCluster"]["state"] == "RUNNING"
    assert_equals_pandas(client_of, "2013-02-11")


def test_a_backfill_of_three_days_through_the_rest_api_runs_on_the_target_that_it_was_given(rest, client_of, started):
    virtual_clusters = set()
    for date in BACKFILL:
        run = run_for(rest, DAG_ID, date)
        assert ended_run(rest, DAG_ID, run)["state"] == "success"
        compute = rest.xcom(DAG_ID, run, "emr.acquire")["compute"]
        listed = client_of("emr-containers").list_job_runs(virtualClusterId=compute["id"])["jobRuns"]
        mine = [one["state"] for one in listed if one["name"].startswith(compute["lease"])]
        assert mine == ["COMPLETED"] * 3
        assert clusters_of(client_of, compute["lease"]) == []
        assert_equals_pandas(client_of, date)
        virtual_clusters.add(compute["id"])
    assert len(virtual_clusters) == 1


def test_a_day_without_input_fails_with_the_scripts_own_exception_first_and_leaves_nothing_running(
    rest, client_of, started
):
    assert ended_run(rest, DAG_ID, "no-input")["state"] == "failed"
    seen = states(rest, DAG_ID, "no-input")
    assert (seen["emr.clean"], seen["emr.carriers"], seen["emr.release"]) == ("failed", "upstream_failed", "success")
    assert (seen["emr.verdict"], seen["publish"]) == ("failed", "upstream_failed")
    errors = [
        str(entry["event"]) for entry in rest.log(DAG_ID, "no-input", "emr.clean", 2) if entry.get("level") == "error"
    ]
    assert "dt=2013-07-04" in errors[0]
    assert manifest(client_of, "flights", "2013-07-04") is None
    assert live_clusters(client_of) == []
