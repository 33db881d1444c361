"""The harness reads the files as Docker Compose does, refuses what it does not know, and ends all that a container has started."""

from __future__ import annotations

import signal
import subprocess
import sys

import psutil
import pytest

from tests.topology.compose import ComposeError, Image, filled, images_in, seconds, services_in
from tests.topology.containers import INIT
from tests.topology.differences import Machine

DOCKERFILE = """\
FROM python:3.11 AS base
WORKDIR /opt/project
FROM base AS airflow
ENV A=1 \\
    B=/opt/project/include
ENTRYPOINT ["airflow"]
CMD ["version"]
"""

COMPOSE = """
x-airflow: &airflow
  image: emr-pipelines/airflow
  restart: unless-stopped
  volumes: [home:/opt/airflow]
  environment: {B: "2", BROKER: "redis://:${PASSWORD}@redis:6379/0"}
services:
  once: {<<: *airflow, restart: "no", entrypoint: [bash, -c], command: ["echo $$HOME > /opt/airflow/x"]}
  worker:
    <<: *airflow
    profiles: [celery]
    command: [worker]
    deploy: {replicas: 2}
    depends_on: {once: {condition: service_completed_successfully}}
    healthcheck: {test: [CMD-SHELL, 'ping "$$HOSTNAME"'], interval: 5s, retries: 12, start_period: 1m}
"""


def read(compose=COMPOSE, profiles=("celery",)):
    return {one.name: one for one in services_in(compose, DOCKERFILE, {"PASSWORD": "p"}, profiles)}


def test_variables_are_filled_with_defaults_and_a_double_dollar_is_one():
    assert filled(["${A}${B:-b}", "$$HOME"], {"A": "a"}) == ["ab", "$HOME"]


def test_a_variable_that_is_required_and_not_set_is_told():
    with pytest.raises(ComposeError, match="KEY is not set; draw it"):
        filled("${KEY:?is not set; draw it}", {})


def test_a_stage_has_what_it_is_made_from():
    assert images_in(DOCKERFILE)["airflow"] == Image(
        ("airflow",), ("version",), {"A": "1", "B": "/opt/project/include"}, "/opt/project"
    )


def test_a_service_has_its_images_entrypoint_and_what_the_file_says_over_it():
    worker = read()["worker"]
    assert worker.command == ("airflow", "worker")
    assert dict(worker.environment) == {"A": "1", "B": "2", "BROKER": "redis://:p@redis:6379/0"}
    assert (worker.replicas, worker.restarts, worker.needs) == (2, True, {"once": "service_completed_successfully"})
    assert (worker.health.command, worker.health.patience) == (("sh", "-c", 'ping "$HOSTNAME"'), 60 + 12 * (5 + 30))


def test_an_entrypoint_of_its_own_takes_the_images_command_away():
    assert read()["once"].command == ("bash", "-c", "echo $HOME > /opt/airflow/x")


def test_a_service_of_a_profile_that_is_not_asked_for_is_left_out():
    assert list(read(profiles=())) == ["once"]


def test_a_key_that_the_harness_does_not_act_on_is_refused():
    with pytest.raises(ComposeError, match="once has \\['cpus'\\]"):
        read(COMPOSE.replace('restart: "no"', 'restart: "no", cpus: 2'))


@pytest.mark.parametrize(("text", "expected"), [("90s", 90.0), ("2m", 120.0), ("1m30s", 90.0)])
def test_a_duration_is_read(text, expected):
    assert seconds(text) == expected


def test_a_duration_that_it_does_not_read_is_refused():
    with pytest.raises(ComposeError, match="'1h'"):
        seconds("1h")


def test_paths_names_and_ports_become_those_of_this_machine_and_nothing_else_changes(tmp_path):
    machine = Machine(tmp_path)
    once, worker = (machine.start_of(service, "here") for service in read().values())
    assert once.command == ["bash", "-c", f"echo $HOME > {tmp_path}/volumes/home/x"]
    assert worker.environment["BROKER"] == f"redis://:p@127.0.0.1:{machine.ports['redis']}/0"
    assert (worker.command, worker.environment["HOSTNAME"]) == (["airflow", "worker"], "here")


STARTS_OTHERS = """
import os, subprocess, sys, time
sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
ids = [subprocess.Popen(sleeper, start_new_session=True).pid]
if not os.fork():
    os.setsid()
    orphan = subprocess.Popen(sleeper, start_new_session=True).pid
    print(orphan, *ids, flush=True)
    os._exit(0)
{then}
"""


def container(then: str) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """Start a container whose command starts others, in sessions of their own and orphans; return those, too."""
    command = [sys.executable, "-I", str(INIT), "", sys.executable, "-c", STARTS_OTHERS.format(then=then)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    others = [psutil.Process(int(word)) for word in process.stdout.readline().split()]
    process.stdout.close()
    return process, others


@pytest.mark.parametrize(
    ("then", "number", "expected"),
    [
        ("os.wait(); time.sleep(600)", signal.SIGUSR1, 137),
        ("os.wait(); time.sleep(600)", signal.SIGTERM, 143),
        ("os.wait(); os._exit(3)", None, 3),
    ],
    ids=["killed", "told to end", "ended by itself"],
)
def test_nothing_that_a_container_has_started_outlives_it(then, number, expected):
    process, others = container(then)
    assert len(others) == 2
    if number:
        process.send_signal(number)
    assert process.wait(20) == expected
    assert psutil.wait_procs(others, 5)[1] == []


def test_a_host_name_is_the_containers_own_and_nobody_else_is_asked_about_it():
    script = """
import socket
print(socket.gethostname())
try:
    socket.getaddrinfo("worker-1", 80)
except socket.gaierror as error:
    print(error.args[1])
print(socket.getaddrinfo("127.0.0.1", 80)[0][4][0])
"""
    environment = {"HOSTNAME": "worker-1", "PYTHONPATH": str(INIT.parent)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["worker-1", "worker-1 is nobody's address on this machine", "127.0.0.1"]
