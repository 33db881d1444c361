"""A day of flights on two targets, on the services of docker-compose.yaml, while a worker, the triggerer and the scheduler are killed."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import psutil
import pytest
import yaml

from tests.support.airflow import ROOT, ended_run
from tests.support.corrupted import manifest_of, rows_at
from tests.support.endpoint import CLIENT_ENVIRONMENT
from tests.support.pandas_flights import comparable, expected_carrier_delay, expected_clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.topology.containers import Container

DAG = "flights_daily"
DAYS = {"serverless": datetime(2013, 2, 10, tzinfo=UTC), "ec2": datetime(2013, 1, 15, tzinfo=UTC)}
JOBS = ["emr.clean", "emr.carriers", "emr.check"]
SECONDS = 300.0
"""How long anything may take on a busy machine."""


@pytest.fixture(scope="module")
def client_of(topology):
    def client(service: str):
        return boto3.client(
            service,
            endpoint_url=f"http://{topology.machine.address('local-emr')}",
            region_name=CLIENT_ENVIRONMENT["AWS_DEFAULT_REGION"],
            aws_access_key_id=CLIENT_ENVIRONMENT["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CLIENT_ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
        )

    return client


def awaited(look: Callable[[], Any], what: str) -> Any:
    """Return what a look finds, once it finds something."""
    deadline = time.monotonic() + SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {SECONDS:.0f} s: {what}"
        time.sleep(0.3)
    return found


def drivers_of(container: Container, day: datetime) -> list[psutil.Process]:
    """Return the processes of the Spark job that cleans a day."""
    found = []
    for process in container.process.children(recursive=True):
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if f"{day:%Y-%m-%d}" in words and any(word.endswith("clean.py") for word in words):
            found.append(process)
    return found


@contextmanager
def held(container: Container, day: datetime) -> Iterator[None]:
    """Let the Spark job that cleans a day take as long as the block: it is stopped meanwhile."""
    processes = awaited(lambda: drivers_of(container, day), f"the Spark job of {day:%Y-%m-%d} runs")
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


def task(rest, target: str, name: str) -> dict[str, Any]:
    return rest.get(f"dags/{DAG}/dagRuns/on-{target}/taskInstances/{name}")


def trigger(rest, target: str) -> None:
    day = DAYS[target]
    end = day + timedelta(days=1)
    rest.trigger(DAG, f"on-{target}", logical_date=day, start=day, end=end, conf={"target": target})


def kill(container: Container) -> None:
    """Kill a container, and wait until its replacement runs."""
    before = len(container.starts)
    container.kill()
    awaited(lambda: len(container.starts) > before, f"{container.name} is started again")


@pytest.fixture(scope="module")
def victim(topology, rest) -> str:
    """The worker that was killed; the triggerer and the scheduler were, too, and both runs have ended."""
    rest.unpause(DAG)
    endpoint = topology.containers["local-emr"]
    trigger(rest, "serverless")
    with held(endpoint, DAYS["serverless"]):
        awaited(lambda: task(rest, "serverless", "emr.clean")["state"] == "deferred", "the wait is deferred")
        trigger(rest, "ec2")
        with held(endpoint, DAYS["ec2"]):
            running = awaited(
                lambda: (one := task(rest, "ec2", "emr.clean"))["state"] == "running" and one, "a worker waits"
            )
            kill(topology.containers[running["hostname"]])
        kill(topology.containers["triggerer"])
        kill(topology.containers["scheduler"])
    for target in DAYS:
        assert ended_run(rest, DAG, f"on-{target}", seconds=3 * SECONDS)["state"] == "success"
    return running["hostname"]


def tries(rest, target: str, name: str) -> list[dict[str, Any]]:
    return rest.get(f"dags/{DAG}/dagRuns/on-{target}/taskInstances/{name}/tries")["task_instances"]


def test_every_service_of_the_file_runs_and_what_runs_once_has_succeeded(topology):
    written = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())["services"]
    assert {one.service.name for one in topology.containers.values() if one.starts} == set(written)
    assert [one.name for one in topology.of("worker")] == ["worker-1", "worker-2"]
    ended = {name: one.exit_code for name, one in topology.containers.items() if one.exit_code is not None}
    assert ended == {"initialize": 0, "seed": 0}


def test_a_worker_that_dies_while_its_job_runs_is_replaced_and_a_retry_adopts_the_job_run(rest, victim):
    first, second = tries(rest, "ec2", "emr.clean")
    assert (first["hostname"], second["state"]) == (victim, "success")
    said = [str(entry.get("event")) for entry in rest.log(DAG, "on-ec2", "emr.clean", 2)]
    assert [line for line in said if line.startswith(("Adopting", "Reporting"))] != []


def test_a_triggerer_that_dies_while_a_wait_is_deferred_is_replaced_and_the_task_goes_on(rest, victim):
    assert victim
    assert [attempt["state"] for attempt in tries(rest, "serverless", "emr.clean")] == ["success"]


def test_each_job_ran_once(client_of, rest, victim):
    assert victim
    cluster = rest.xcom(DAG, "on-ec2", "emr.acquire")["compute"]["id"]
    steps = client_of("emr").list_steps(ClusterId=cluster)["Steps"]
    assert [step["Status"]["State"] for step in steps] == ["COMPLETED"] * 3
    serverless = client_of("emr-serverless")
    parts = rest.xcom(DAG, "on-serverless", "emr.acquire")["compute"]["parts"]
    runs = [run for part in parts.values() for run in serverless.list_job_runs(applicationId=part)["jobRuns"]]
    assert [run["state"] for run in runs] == ["SUCCESS"] * 3


@pytest.mark.parametrize("target", DAYS)
def test_the_rows_are_those_of_pandas(client_of, victim, target):
    assert victim
    day = DAYS[target].date()
    for dataset, expected in {"flights": expected_clean(day), "carrier_delay": expected_carrier_delay(day)}.items():
        published = json.loads(manifest_of(client_of("s3"), dataset, f"{day}") or "null")
        assert comparable(rows_at(client_of("s3"), published["location"])) == comparable(expected)


def test_nothing_is_left_running(client_of, victim):
    assert victim
    clusters = client_of("emr").list_clusters()["Clusters"]
    assert [one["Status"]["State"] for one in clusters] == ["TERMINATED"]
    states = ["CREATING", "CREATED", "STARTING", "STARTED", "STOPPING", "STOPPED"]
    assert client_of("emr-serverless").list_applications(states=states)["applications"] == []


def test_tasks_ran_on_both_workers(rest, victim):
    assert victim
    ran = {one["hostname"] for target in DAYS for one in rest.task_instances(DAG, f"on-{target}")}
    assert ran - {""} == {"worker-1", "worker-2"}  # what does nothing is run by the scheduler, and nowhere


def test_who_was_killed_was_started_again_and_nobody_else_and_all_are_well(topology, victim):
    started = {name: len(one.starts) for name, one in topology.containers.items()}
    assert started == dict.fromkeys(topology.containers, 1) | dict.fromkeys([victim, "triggerer", "scheduler"], 2)
    running = [one for one in topology.containers.values() if one.service.restarts]
    assert [one.name for one in running if not awaited(one.is_healthy, f"{one.name} is well")] == []


def test_every_container_listens_on_the_loopback_address_alone(topology, victim):
    assert victim
    running = [one.process for one in topology.containers.values() if one.service.restarts]
    processes = {process.pid for first in running for process in first.children(recursive=True)}
    sockets = [one for one in psutil.net_connections("tcp") if one.pid in processes and one.status == "LISTEN"]
    assert {socket.laddr.ip for socket in sockets} == {"127.0.0.1"}
    assert {socket.laddr.port for socket in sockets} >= set(topology.machine.ports.values())


def test_no_log_shows_a_password(topology, variables, victim):
    assert victim
    found = [
        (path.name, name)
        for path in topology.machine.home.rglob("*.log")
        for name, secret in variables.items()
        if secret.encode() in path.read_bytes()
    ]
    assert found == []
