"""The services of docker-compose.yaml with Celery, started once for all tests of this folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from local_airflow import AirflowClient, compose_env
from local_airflow.demo import await_dag
from tests.topology.compose import services_in
from tests.topology.containers import Topology
from tests.topology.differences import ROOT, Machine

WITH_CELERY = {"AIRFLOW_EXECUTOR": "CeleryExecutor"}
"""What the head of docker-compose.yaml says to set, beside `--profile celery`."""


@pytest.fixture(scope="session")
def variables(tmp_path_factory):
    """The variables of a `.env` as `make compose-env` draws it."""
    file = tmp_path_factory.mktemp("env") / ".env"
    assert compose_env.write(file)
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


@pytest.fixture(scope="session")
def topology(variables):
    """All services, well; afterwards nothing of them is left, and each has ended when it was asked to."""
    # Not in pytest's own folder, which lets no other user in: PostgreSQL has one here.
    home = Path(tempfile.mkdtemp(prefix="topology-"))
    texts = [(ROOT / name).read_text() for name in ("docker-compose.yaml", "Dockerfile")]
    topology = Topology(services_in(*texts, variables | WITH_CELERY, ["celery"]), Machine(home))
    try:
        topology.up()
        yield topology
    finally:
        killed = topology.down()
    assert (killed, processes_in(home)) == ([], [])
    shutil.rmtree(home)


@pytest.fixture(scope="session")
def rest(topology, variables):
    url = f"http://{topology.machine.address('api-server')}"
    with AirflowClient(url, "admin", variables["AIRFLOW_ADMIN_PASSWORD"]) as client:
        await_dag(client, "flights_daily")
        yield client


def processes_in(home: Path) -> list[str]:
    """List the processes that name a folder in their command or environment, or work in it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = [(process / name).read_bytes() for name in ("cmdline", "environ")]
            words.append(os.fsencode((process / "cwd").readlink()))
        except OSError:
            continue
        if any(os.fsencode(home) in text for text in words):
            found.append(words[0].decode(errors="replace").replace("\0", " "))
    return found
