"""EMR Serverless on an endpoint in this process, with a scripted engine and a clock that the test moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from local_emr.endpoint import running
from tests.local_emr.conftest import client_of
from tests.local_emr.scripted import ManualClock, ScriptedEngine
from tests.local_emr.serverless.asking import Asker

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def serverless(endpoint) -> Asker:
    """Return an Asker whose applications start at once; it also has the endpoint's `engine`, `clock`, `s3` and `data`."""
    return Asker(client=endpoint.client("emr-serverless"), **{k: v for k, v in vars(endpoint).items() if k != "client"})


@pytest.fixture
def slow_serverless(tmp_path) -> Iterator[Asker]:
    """Yield an Asker whose applications take 100 seconds to start."""
    clock = ManualClock()
    with running(tmp_path, ScriptedEngine, boot_seconds=100, clock=clock) as url:
        yield Asker(client=client_of(url, "emr-serverless"), clock=clock)
