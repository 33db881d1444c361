"""One real Airflow beside an endpoint with scripted jobs, for all tests of this folder."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.chaos.contestants import HERE, OURS
from tests.chaos.world import running_world

LAST = 'pipeline("chaos")'


@pytest.fixture(scope="session")
def passing_dags(tmp_path_factory):
    """A folder with a DAG file of its own, which may disappear."""
    folder = tmp_path_factory.mktemp("passing")
    declarations, _ = (HERE / "dags" / "chaos.py").read_text().split(LAST)
    (folder / "passing.py").write_text(declarations + 'pipeline("chaos_passes")\n')
    return folder


@pytest.fixture(scope="session")
def world(tmp_path_factory, passing_dags):
    contestant = replace(OURS, dags=(*OURS.dags, passing_dags))
    with running_world(contestant, tmp_path_factory.mktemp("chaos")) as world:
        yield world
