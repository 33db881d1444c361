"""The local EMR endpoint as the suite needs it: clients that count their calls, and its side door for faults."""

from __future__ import annotations

import json
import threading
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from emr_pipelines import SparkJob
from emr_pipelines.environments import read_environment
from emr_pipelines.targets.base import Clients
from emr_pipelines.targets.ec2_security_configurations import secret_value
from local_emr.endpoint import running
from tests.local_emr.scripted import ScriptedEngine
from tests.support.endpoint import CLIENT_ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.local_emr.scripted import ManualClock

ENVIRONMENT = read_environment(Path(__file__).parents[2] / "include/compute/local.yaml")


@dataclass
class LocalService:
    """One service of an endpoint, as ``cases.Service`` describes it."""

    url: str
    name: str
    """What its requests are signed for."""
    operations: Mapping[str, str]
    """The operations that create compute, submit a job run, and end compute or cancel job runs."""
    attempts: int = 5
    """How often a client that repeats calls sends each."""
    calls: list[str] = field(default_factory=list)

    @property
    def clients(self) -> Clients:
        """Clients that note their calls."""
        repeating = self._factory(self.attempts)
        return Clients(repeating=repeating, once=self._factory(1), secret=partial(secret_value, repeating))

    def refuse_capacity(self) -> None:
        self.arm(fault="refuse_capacity")

    def throttle(self, count: int) -> None:
        self.arm(fault="throttle", count=count)

    def lose_answer(self, of: str) -> None:
        self.arm(fault="lose_answer", operation=self.operations[of])

    def forget_faults(self) -> None:
        self._ask("DELETE")

    def arm(self, **fault: Any) -> None:
        """Arm any fault that the side door knows."""
        self._ask("POST", {"service": self.name, **fault})

    def _ask(self, method: str, body: Any = None) -> None:
        data = json.dumps(body).encode() if body else None
        request = urllib.request.Request(f"{self.url}/_local_emr/faults", data, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()

    def _factory(self, attempts: int) -> Any:
        alone = threading.Lock()

        @cache
        def client(service: str) -> Any:
            made = boto3.client(
                service,
                endpoint_url=self.url,
                region_name=CLIENT_ENVIRONMENT["AWS_DEFAULT_REGION"],
                aws_access_key_id=CLIENT_ENVIRONMENT["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=CLIENT_ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
                config=Config(retries={"total_max_attempts": attempts}),
            )
            made.meta.events.register("before-call", self._note)
            return made

        def alone_client(service: str) -> Any:
            with alone:
                return client(service)

        return alone_client

    def _note(self, model: Any, **_: Any) -> None:
        self.calls.append(model.name)


class ScriptedJobs:
    """Spark jobs that end as their argument says: the control plane is what is tested."""

    said = "stderr of fail"

    @pytest.fixture
    def code(self):
        return {"jobs/any.py": "s3://local-artifacts/any.py"}

    @pytest.fixture
    def quick(self):
        return SparkJob(script="jobs/any.py", args=("succeed",))

    @pytest.fixture
    def failing(self):
        return SparkJob(script="jobs/any.py", args=("fail",))

    @pytest.fixture
    def endless(self):
        return SparkJob(script="jobs/any.py", args=("hold",))

    @pytest.fixture
    def lingering(self):
        return SparkJob(script="jobs/any.py", args=("linger",))


@contextmanager
def scripted_endpoint(data: Path, clock: ManualClock | None = None) -> Iterator[str]:
    """Serve an endpoint in this process whose job runs end as their argument says: succeed, fail, or hold until cancelled."""
    with running(data, ScriptedEngine, boot_seconds=0.0, clock=clock) as url:
        make_buckets(url)
        yield url


def make_buckets(url: str) -> None:
    s3 = LocalService(url, "s3", {}).clients.repeating("s3")
    for bucket in ("local-logs", "local-artifacts"):
        s3.create_bucket(Bucket=bucket)
