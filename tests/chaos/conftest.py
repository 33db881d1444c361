"""One real Airflow beside an endpoint with scripted jobs, for all tests of this folder."""

from __future__ import annotations

import pytest

from tests.chaos.contestants import OURS
from tests.chaos.world import running_world


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    with running_world(OURS, tmp_path_factory.mktemp("chaos")) as world:
        yield world
