"""Who drives the schedules: pipelines of this package, and DAGs of the amazon provider's operators, in Airflows of their own."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emr_pipelines.keys import Lease
from tests.support.airflow import ROOT

if TYPE_CHECKING:
    from tests.chaos.schedules import Schedule

HERE = Path(__file__).parent
PEER_VENV = ROOT / ".venv-peer"


@dataclass(frozen=True)
class Contestant:
    """One of them: where its DAGs lie, whose Airflow runs them, and what its things are called."""

    name: str
    dags: tuple[Path, ...]
    python: Path

    def dag_id(self, schedule: Schedule) -> str:
        """Return the DAG of a schedule."""
        raise NotImplementedError

    def task(self, task: str) -> str:
        """Return the id of the task that runs a job."""
        raise NotImplementedError

    def conf(self, schedule: Schedule) -> dict[str, Any]:
        """Return what a run's configuration says of the target."""
        raise NotImplementedError

    def compute_name(self, schedule: Schedule) -> str:
        """Return what stands in the name of a run's compute."""
        raise NotImplementedError


class Ours(Contestant):
    """One pipeline, and the target chosen when a run is triggered."""

    def dag_id(self, schedule: Schedule) -> str:
        """Return the DAG of a schedule."""
        return schedule.dag

    def task(self, task: str) -> str:
        """Return the id of a task in its pipeline."""
        return f"emr.{task}"

    def conf(self, schedule: Schedule) -> dict[str, Any]:
        """Choose the target."""
        return {"target": schedule.target}

    def compute_name(self, schedule: Schedule) -> str:
        """Return the lease, which begins every name."""
        return Lease("local", schedule.dag, schedule.run_id, "emr").id


class Peer(Contestant):
    """A DAG of its own for each target, of the amazon provider's operators, as its documentation shows them."""

    def dag_id(self, schedule: Schedule) -> str:
        """Return the DAG of a schedule."""
        return f"{schedule.dag}_{schedule.target}"

    def task(self, task: str) -> str:
        """Return the id of a task."""
        return task

    def conf(self, schedule: Schedule) -> dict[str, Any]:
        """Choose nothing: the DAG says it."""
        del schedule
        return {}

    def compute_name(self, schedule: Schedule) -> str:
        """Return the run, which its names hold."""
        return schedule.run_id


OURS = Ours("ours", (ROOT / "dags", HERE / "dags"), Path(sys.executable))
PEER = Peer("provider", (HERE / "peer_dags",), PEER_VENV / "bin" / "python")


def make_peer_venv() -> None:
    """Install the peer's Airflow, with the aiobotocore that its deferrable operators need, which holds boto3 back."""
    wanted = HERE / "requirements-peer.txt"
    stamp = PEER_VENV / ".ready"
    if stamp.exists() and stamp.read_text() == wanted.read_text():
        return
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(PEER_VENV)], check=True)
    subprocess.run([*uv, "pip", "install", "--quiet", "--python", str(PEER.python), "-r", str(wanted)], check=True)
    stamp.write_text(wanted.read_text())
