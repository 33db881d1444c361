"""Runs a real Airflow as processes, for any test that needs one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from local_airflow import AirflowClient, LocalAirflow, settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).resolve().parents[2]
ENDED = {"success", "failed"}


@contextmanager
def running_airflow(
    home: Path,
    *,
    endpoint_url: str | None = None,
    extra_dags: Sequence[Path] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[LocalAirflow]:
    """Run Airflow in `home`, on a free port, with the checkout's DAGs and those of `extra_dags`, inside the block.

    Its tasks use `endpoint_url`, which must answer. Afterwards everything it started is ended, which is asserted. One
    start takes 20 to 40 seconds: share it (`scope="session"`), and give each test a DAG or a date of its own.
    """
    airflow = LocalAirflow(
        home, ROOT, 0, endpoint_url=endpoint_url, dag_folders=[ROOT / "dags", *extra_dags], environment=environment
    )
    try:
        airflow.start()
        yield airflow
    finally:
        survivors = airflow.stop()
    assert survivors == []


def ask_airflow(script: str, home: Path, **environment: str) -> Any:
    """Return the JSON that a script prints in a Python of its own, where Airflow has `home` and no other settings.

    Airflow writes into its home and changes much of the process when it is imported: not in the tests' own.
    """
    made = settings.component_environment(os.environ, home, ROOT, None, environment)
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, env=made, timeout=120
    )
    return json.loads(done.stdout.splitlines()[-1])


def known_options(home: Path) -> set[tuple[str, str]]:
    """Return every (section, option) that Airflow documents."""
    script = (
        "import json; from airflow.configuration import conf\n"
        "known = conf.configuration_description\n"
        "print(json.dumps([(s, o) for s, content in known.items() for o in content['options']]))"
    )
    return {(section, option) for section, option in ask_airflow(script, home)}


def ended_run(client: AirflowClient, dag_id: str, run_id: str, *, seconds: float = 600) -> dict[str, Any]:
    """Return the run once it has ended; an AssertionError names the tasks' states when that takes too long."""
    deadline = time.monotonic() + seconds
    while (run := client.run(dag_id, run_id))["state"] not in ENDED:
        if time.monotonic() > deadline:
            states = {task["task_id"]: task["state"] for task in client.task_instances(dag_id, run_id)}
            pytest.fail(f"run {run_id} of {dag_id} is {run['state']} after {seconds} s: {states}")
        time.sleep(0.5)
    return run
