"""One measurement: an endpoint and a triggerer as processes of their own. And several at a time."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from benchmarks.watch.judging import difference, percentile
from benchmarks.watch.plan import Plan, Service
from benchmarks.watch.sqs import OPERATIONS
from benchmarks.watch.triggerer import GRACE, POLLING, SETTLING, WITH_EVENTS

ROOT = Path(__file__).resolve().parents[2]
PEER = ROOT / ".venv-peer" / "bin" / "python"

WINDOW = 2 * POLLING
WARM_UP = 2 * POLLING
Who = Literal["ours", "ours with events", "provider"]

_SPARE = 120.0
"""Seconds more until a triggerer is taken to hang."""


SIZES = (10, 100, 1_000, 10_000)
LARGEST: dict[Service, dict[Who, int]] = {
    "serverless": {"ours": 10_000, "ours with events": 10_000, "provider": 1_000},
    "ec2": {"ours": 1_000, "ours with events": 1_000, "provider": 1_000},
}
"""More is left out: a thousand of the provider's triggers take more than a GiB, and of EMR on EC2 more than it allows."""


@dataclass(frozen=True)
class Case:
    """Who waits for how many job runs of which service."""

    who: Who
    service: Service
    jobs: int

    @property
    def name(self) -> str:
        """What its folder is called."""
        return f"{self.who}-{self.service}-{self.jobs}".replace(" ", "-")


@dataclass(frozen=True)
class Result:
    """What was measured of a case. Calls and refusals are those of the window, each a minute; delays are in seconds."""

    case: Case
    calls: dict[str, float]
    refused: float
    failed: int
    unnoticed: int
    p50: float
    p99: float
    cpu: float
    """Seconds of processor time for each job run and hour of waiting."""
    memory: float
    """Bytes of resident memory for each job run."""
    reasons: dict[str, int]
    lost_delays: tuple[float, ...] = ()
    """Of the ends whose event was lost; the other delays are without them."""
    lost_unnoticed: int = 0

    @property
    def calls_a_minute(self) -> float:
        """Calls of all operations of EMR."""
        return sum(count for name, count in self.calls.items() if name not in OPERATIONS)

    @property
    def sqs_calls_a_minute(self) -> float:
        """Calls of SQS, which limits none of them."""
        return sum(self.calls.values()) - self.calls_a_minute


def cases_of(sizes: Iterable[int], services: Iterable[str]) -> list[list[Case]]:
    """Return the cases by rounds: those of a round are measured at the same time, and the provider's alone, for they take both cores."""
    cases = [
        Case(who, service, size)
        for size in sorted(sizes)
        for service in LARGEST
        for who in get_args(Who)
        if service in services and 0 < size <= LARGEST[service][who]
    ]
    ours, providers = ([case for case in cases if (case.who == "provider") is so] for so in (False, True))
    return [group for group in (ours, providers) if group]


def measure(case: Case, folder: Path) -> Result:
    """Measure a case, with files in a folder of its own; its processes end with it. Raises SystemExit when one of them fails."""
    plan = asdict(Plan(case.service, case.jobs, WINDOW))
    python = str(PEER) if case.who == "provider" else sys.executable
    (folder / "airflow").mkdir(parents=True)
    (folder / "include" / "compute").mkdir(parents=True)
    patience = WARM_UP + SETTLING + WINDOW + GRACE + _SPARE
    with _endpoint(plan, folder / "endpoint.log") as url:
        asked = {"who": case.who, "url": url, "warm_up": WARM_UP, "plan": plan}
        try:
            ran = subprocess.run(
                [python, "-m", "benchmarks.watch.triggerer", json.dumps(asked)],
                cwd=ROOT,
                env=_environment(case.who, folder, url),
                capture_output=True,
                text=True,
                check=False,
                timeout=patience,
            )
        except subprocess.TimeoutExpired:
            return too_slow(case, patience)
    told = (folder / "endpoint.log").read_text() + (f"{ran.stdout}{ran.stderr}" if ran.returncode else "")
    if told:
        raise SystemExit(f"{case.who} with {case.jobs} jobs on {case.service} failed:\n{told[-3000:]}")
    return result(case, json.loads(ran.stdout.splitlines()[-1]))


@contextmanager
def _endpoint(plan: dict[str, Any], log: Path) -> Iterator[str]:
    """Serve a plan inside the block, and yield the address; what the endpoint has to complain of is in the log."""
    with (
        log.open("w") as complaints,
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.watch.endpoint", json.dumps(plan)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'include'}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
        ) as process,
    ):
        assert process.stdout  # noqa: S101 - asked for above
        yield process.stdout.readline().strip()


def too_slow(case: Case, seconds: float) -> Result:
    """Return the result of a triggerer that did not come to an end: nothing is known of it but that."""
    reasons = {f"its process was not through after {seconds:.0f} seconds": 1}
    return Result(case, {}, 0.0, 0, case.jobs, math.inf, math.inf, math.inf, math.inf, reasons)


def result(case: Case, told: dict[str, Any]) -> Result:
    """Return the result that a triggerer told."""
    minutes = told["seconds"] / 60
    calls, refused = (difference(told["before"][what], told["after"][what]) for what in ("calls", "refused"))
    return Result(
        case,
        calls={name: count / minutes for name, count in sorted(calls.items())},
        refused=sum(refused.values()) / minutes,
        failed=told["failed"],
        unnoticed=told["unnoticed"],
        p50=percentile(told["delays"], 0.5),
        p99=percentile(told["delays"], 0.99),
        cpu=told["cpu"] / case.jobs / told["seconds"] * 3600,
        memory=told["memory"] / case.jobs,
        reasons=told["reasons"],
        lost_delays=tuple(told["lost_delays"]),
        lost_unnoticed=told["lost_unnoticed"],
    )


def measure_together(cases: Iterable[Case], folder: Path) -> list[Result]:
    """Measure cases at the same time, each with an endpoint of its own."""
    cases = list(cases)
    with ThreadPoolExecutor(len(cases)) as together:
        folders = [folder / case.name for case in cases]
        return list(together.map(measure, cases, folders))


def _environment(who: Who, folder: Path, url: str) -> dict[str, str]:
    profiles = yaml.safe_load((ROOT / "include" / "compute" / "local.yaml").read_text())
    if who == WITH_EVENTS:
        profiles["watching"] = {"events_queue": f"{url}/123456789012/ends"}
    (folder / "include" / "compute" / "local.yaml").write_text(yaml.safe_dump(profiles))
    return {
        **os.environ,
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_DEFAULT_REGION": "us-east-1",
        "EMR_PIPELINES_ENVIRONMENT": "local",
        "EMR_PIPELINES_INCLUDE": str(folder / "include"),
        "PYTHONPATH": str(ROOT) if who == "provider" else f"{ROOT}:{ROOT / 'plugins'}",
    }
