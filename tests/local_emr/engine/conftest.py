"""One engine for all tests that start real jobs, over one data folder with a bucket of its own."""

from __future__ import annotations

import textwrap
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from local_emr.engine import Engine, Outcome, RunningStep, Step
from tests.support.endpoint import CACHE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEADLINE_SECONDS = 120.0


@dataclass(frozen=True)
class Lab:
    """A running engine, the folder behind s3://local-data, and a cluster's folder."""

    engine: Engine
    bucket: Path
    cluster: Path
    folder: Path

    def put(self, key: str, text: str) -> str:
        """Write an object and return its URI."""
        file = self.bucket / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        return f"s3://local-data/{key}"

    def start(self, *args: str, jar: str = "command-runner.jar", main_class: str | None = None) -> RunningStep:
        return self.start_step(Step(jar, args, main_class), {})

    def start_step(self, step: Step, spark_defaults: dict[str, str]) -> RunningStep:
        return self.engine.start(
            step, folder=self.folder, cluster=self.cluster, environment={}, spark_defaults=spark_defaults
        )

    def run(self, *args: str, jar: str = "command-runner.jar", main_class: str | None = None) -> Outcome:
        outcome = self.start(*args, jar=jar, main_class=main_class).wait(DEADLINE_SECONDS)
        assert outcome is not None, f"{args} still runs after {DEADLINE_SECONDS} s"
        return outcome

    def log(self, name: str) -> str:
        return (self.folder / name).read_text()


@pytest.fixture(scope="session")
def lab_folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="session")
def engine(lab_folder) -> Iterator[Engine]:
    engine = Engine(lab_folder, "http://127.0.0.1:9", cache=CACHE)
    engine.prepare()
    yield engine
    engine.close()
    assert processes_naming(str(lab_folder)) == []


@pytest.fixture(scope="session")
def cluster(lab_folder, engine) -> Iterator[Path]:
    folder = lab_folder / "clusters" / "j-LAB"
    yield folder
    engine.release(folder)


@pytest.fixture
def lab(engine, cluster, lab_folder, tmp_path) -> Lab:
    bucket = lab_folder / "s3" / "local-data"
    bucket.mkdir(parents=True, exist_ok=True)
    return Lab(engine, bucket, cluster, tmp_path / "s-1")


@pytest.fixture(scope="session")
def eventually() -> Callable[[Callable[[], bool], str], None]:
    def wait(condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"not within {DEADLINE_SECONDS} s: {what}"
            time.sleep(0.05)

    return wait


@pytest.fixture(scope="session")
def running() -> Callable[[str], list[str]]:
    return processes_naming


def processes_naming(text: str) -> list[str]:
    """List the command lines of living processes that contain `text`."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        command = " ".join(process.info["cmdline"] or [])
        if text in command and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(command)
    return found
