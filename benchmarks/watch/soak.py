"""A soak: jobs on all three targets for half an hour, an endpoint full of faults, and a triggerer that is killed again and again.

    python -m benchmarks.watch.soak [--minutes 30] [--seed 0]

The endpoint is local_emr with jobs that only take time; it keeps AWS's rates, its listings lag, and calls fail, take long, or lose their
answers. Jobs are submitted by the targets and waited for by `JobRunTrigger`s, which a new process gets from their serialized form after
each kill. Prints what was lost, failed and noticed how late; the last line is for machines.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import boto3
import yaml

from benchmarks.watch.judging import Outcome, outcome, percentile
from benchmarks.watch.triggerers import ROOT, KillableTriggerer
from emr_pipelines import SparkJob
from emr_pipelines.clients import target_of_profile
from emr_pipelines.environments import current_environment
from emr_pipelines.errors import ComputeError, JobCapacityError
from emr_pipelines.keys import Key, Lease
from emr_pipelines.targets.base import Compute, JobRun, Target
from emr_pipelines.targets.refusals import REFUSALS
from emr_pipelines.targets.states import Phase
from emr_pipelines.targets.waiting import wait_until
from emr_pipelines.watching import JobRunTrigger
from local_emr.endpoint import running
from tests.chaos.engine import MARK, TimedEngine
from tests.chaos.judging import job_runs_in

SERVICES = {"ec2": "elasticmapreduce", "eks": "emr-containers", "serverless": "emr-serverless"}
PERIODS = {"ec2": 10.0, "eks": 3.0, "serverless": 3.0}
"""Seconds between two submits: EMR allows a new step every two seconds to all who use the account."""
SHORTEST, LONGEST = 20.0, 420.0
"""Seconds that jobs take."""
FAILING = 0.15
KILLS = 6
TROUBLES: tuple[dict[str, Any], ...] = (
    {"fault": "error", "count": 2},
    {"fault": "throttle", "count": 3},
    {"fault": "slow_answer", "count": 1, "seconds": 8},
    {"fault": "lose_answer", "count": 1},
)
TROUBLED_EVERY = 15.0
"""Seconds between two troubles: each waits for its calls, and few are made."""
LAG = 3.0
ATTEMPTS = 5
"""Of submitting one job."""
CODE = {"jobs/soak.py": "s3://local-artifacts/soak.py"}
SETTLING = 180.0
"""Seconds after the last job's end in which it must be noticed."""
SETTINGS = {"ec2": {"concurrent_steps": 256}, "serverless": {"scheduler": {"max_concurrent_runs": 1000}}}
CLIENT = {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}


class Soak:
    """One endpoint, one triggerer, and what makes their lives hard."""

    def __init__(self, url: str, triggerer: KillableTriggerer, seed: int) -> None:
        self.waited: dict[str, str] = {}
        self.refused: Counter[str] = Counter()
        """Jobs that were not submitted, by target."""
        self._url = url
        self._triggerer = triggerer
        self._seed = seed
        self._submitted_all = threading.Event()

    def run(self, minutes: float) -> None:
        """Submit for so many minutes, then wait until everything ended and was noticed, or should have been."""
        for service in SERVICES.values():
            self._arm(service, {"fault": "rate_limit"})
            self._arm(service, {"fault": "lag", "seconds": LAG})
        until = time.monotonic() + 60 * minutes
        targets = {name: self._acquired(name) for name in SERVICES}
        troubling = threading.Thread(target=self._trouble, daemon=True)
        submitting = [
            threading.Thread(target=self._submit, args=(name, *targets[name], until), daemon=True) for name in SERVICES
        ]
        for thread in (troubling, *submitting):
            thread.start()
        for _ in range(KILLS):
            time.sleep(60 * minutes / (KILLS + 1))
            self._triggerer.kill()
        for thread in submitting:
            thread.join()
        self._submitted_all.set()
        troubling.join()
        deadline = time.monotonic() + LONGEST + SETTLING
        while self._triggerer.waiting() and time.monotonic() < deadline:
            time.sleep(1.0)

    def _acquired(self, name: str) -> tuple[Target, Compute]:
        target = target_of_profile(current_environment().profile(name))
        compute = target.acquire(Lease("local", "soak", str(self._seed), "emr"), frozenset({"spark"}))
        wait_until(lambda: target.state(compute), lambda state: state.phase is not Phase.STARTING, 120.0)
        return target, compute

    def _submit(self, name: str, target: Target, compute: Compute, until: float) -> None:
        """Submit one job after the other; the last of them end at about the time when submitting does."""
        chance = random.Random(f"{name} {self._seed}")  # noqa: S311 - nothing secret
        lease = Lease("local", "soak", str(self._seed), "emr")
        number = 0
        while (left := until - time.monotonic()) > 0:
            number += 1
            seconds = min(chance.uniform(SHORTEST, LONGEST), max(SHORTEST, left))
            ending = "fail" if chance.random() < FAILING else "succeed"
            job = SparkJob(script="jobs/soak.py", args=(MARK, name, str(number), f"{seconds:.1f}", ending))
            key = Key(lease, f"{name}-{number}", -1, "soak")
            if run := self._submitted(target, compute, job, key):
                self.waited[key.task_id] = run.rpartition("/")[2]
                self._triggerer.add(key.task_id, JobRunTrigger(compute.to_json(), run, None, time.time()).serialize())
            else:
                self.refused[name] += 1
            time.sleep(PERIODS[name] * chance.uniform(0.5, 1.5))

    def _submitted(self, target: Target, compute: Compute, job: SparkJob, key: Key) -> str | None:
        """Submit a job as a task does: after a failure its retries look for the job run first. Return the job run's id."""
        found: JobRun | None = None
        for attempt in range(ATTEMPTS):
            with suppress(ComputeError, JobCapacityError, *REFUSALS):
                found = target.find(compute, key) if attempt else None
                found = found or target.submit(compute, job, CODE, key)
                break
            time.sleep(PERIODS[compute.target])
        return found.id if found else None

    def _trouble(self) -> None:
        chance = random.Random(self._seed)  # noqa: S311 - nothing secret
        while not self._submitted_all.wait(TROUBLED_EVERY):
            self._arm(chance.choice([*SERVICES.values()]), chance.choice(TROUBLES))

    def _arm(self, service: str, fault: Mapping[str, Any]) -> None:
        body = json.dumps({"service": service, **fault}).encode()
        urllib.request.urlopen(f"{self._url}/_local_emr/faults", body).close()  # noqa: S310 - our own http


@contextmanager
def environment(url: str, folder: Path) -> Iterator[dict[str, str]]:
    """Let this process use the endpoint inside the block, with profiles that take hundreds of jobs; yield the variables for others."""
    profiles = yaml.safe_load((ROOT / "include" / "compute" / "local.yaml").read_text())
    for name, settings in SETTINGS.items():
        profiles["profiles"][name] |= settings
    (folder / "include" / "compute").mkdir(parents=True)
    (folder / "include" / "compute" / "local.yaml").write_text(yaml.safe_dump(profiles))
    variables = {
        **CLIENT,
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AWS_ENDPOINT_URL": url,
        "EMR_PIPELINES_ENVIRONMENT": "local",
        "EMR_PIPELINES_INCLUDE": str(folder / "include"),
    }
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield variables
    finally:
        os.environ.clear()
        os.environ.update(before)


def main() -> int:
    """Soak, and print what came of it; the exit code says whether a job was lost or a wait failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0, help="for how long jobs are submitted (default 30)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other jobs and faults (default 0)")
    asked = parser.parse_args()
    logging.disable(logging.WARNING)
    journal: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            running(folder / "emr", TimedEngine, boot_seconds=1.0, journal=journal.append) as url,
            environment(url, folder) as variables,
        ):
            for bucket in ("local-data", "local-logs", "local-artifacts"):
                boto3.client("s3").create_bucket(Bucket=bucket)
            with KillableTriggerer(variables) as triggerer:
                soak = Soak(url, triggerer, asked.seed)
                soak.run(asked.minutes)
    facts = {fact.id: fact for fact in job_runs_in(journal)}
    found = outcome(facts, soak.waited, triggerer.told)
    report(found, soak, triggerer, journal)
    return 1 if found.lost or found.failed else 0


def report(found: Outcome, soak: Soak, triggerer: KillableTriggerer, journal: list[dict[str, Any]]) -> None:
    """Print what came of the jobs, and what AWS was asked."""
    by_target = Counter(name.partition("-")[0] for name in soak.waited)
    print(
        "jobs: " + ", ".join(f"{count} {target}" for target, count in by_target.items()) + f"; {triggerer.kills} kills"
    )
    print(f"not submitted for a fault: {soak.refused.total()}; told twice: {len(triggerer.told_twice)}")
    print(f"notice delay: p50 {percentile(found.delays, 0.5):.1f} s, p99 {percentile(found.delays, 0.99):.1f} s")
    answers = [entry for entry in journal if entry["what"] == "answered"]
    calls = Counter(f"{entry['service']} {entry['operation']}" for entry in answers)
    struck = Counter(entry["fault"] for entry in answers if entry["fault"])
    print("calls: " + ", ".join(f"{name} {count}" for name, count in calls.most_common()))
    print("faults that struck: " + ", ".join(f"{name} {count}" for name, count in struck.most_common()))
    for name in found.lost[:10]:
        print(f"lost: {name}")
    for name, said in list(found.failed.items())[:10]:
        print(f"failed: {name}: {said}")
    print(f"soak jobs={found.jobs} lost={len(found.lost)} failed={len(found.failed)}")


if __name__ == "__main__":
    sys.exit(main())
