"""Adding a target takes one module and one line of the registry: a toy keeps the promises of every target."""

from __future__ import annotations

import pytest

from emr_pipelines import SparkJob
from emr_pipelines.environments import read_environment
from emr_pipelines.targets import REGISTRY, target_for
from emr_pipelines.targets.base import Clients, Compute
from tests.conformance.cases import RunOwnedCases
from tests.conformance.toy import Toy, ToyCloud

ENVIRONMENT = """\
deployment: toys
buckets: {data: a-data, logs: a-logs, artifacts: a-artifacts}
profiles:
  toy: {target: toy, region: us-east-1, colour: blue}
  another: {extends: toy}
"""


@pytest.fixture
def environment(monkeypatch, tmp_path):
    monkeypatch.setitem(REGISTRY, "toy", "tests.conformance.toy:Toy")
    path = tmp_path / "toys.yaml"
    path.write_text(ENVIRONMENT)
    return read_environment(path)


class TestToy(RunOwnedCases):
    many = 23
    pages_of_many = 1

    @pytest.fixture
    def service(self):
        return ToyCloud()

    @pytest.fixture
    def clients(self, service):
        return Clients(repeating=lambda _: service, once=lambda _: service)

    @pytest.fixture
    def target(self, environment, clients):
        return target_for(environment.profile("toy"), clients)

    @pytest.fixture
    def another(self, environment, clients):
        return target_for(environment.profile("another"), clients)

    @pytest.fixture
    def quick(self):
        return SparkJob(script="quick")

    @pytest.fixture
    def failing(self):
        return SparkJob(script="failing")

    @pytest.fixture
    def endless(self):
        return SparkJob(script="endless")

    @pytest.fixture
    def unknown(self):
        return Compute("toy", "toy", "m-unknown", "0" * 16)

    @pytest.fixture
    def unknown_run(self):
        return "unknown"


def test_an_environment_takes_its_profiles(environment):
    assert environment.profile("another").colour == "blue"
    assert environment.profile("toy").target == "toy"


def test_it_is_built_as_every_target_is(environment):
    clients = Clients(repeating=lambda _: ToyCloud(), once=lambda _: ToyCloud())
    assert isinstance(target_for(environment.profile("toy"), clients), Toy)
