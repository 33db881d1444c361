"""An endpoint in this process, with a scripted engine and a clock that the test moves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config

from local_emr.endpoint import running
from tests.local_emr.scripted import ManualClock, ScriptedEngine

if TYPE_CHECKING:
    from collections.abc import Iterator


def client_of(url: str, service: str, region: str = "us-east-1"):
    """Return a boto3 client of the endpoint that never retries."""
    return boto3.client(
        service,
        endpoint_url=url,
        region_name=region,
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture
def boot_seconds() -> float:
    return 0.0


@pytest.fixture
def endpoint(tmp_path, boot_seconds) -> Iterator[SimpleNamespace]:
    """Yield `url`, `emr`, `eks`, `s3`, `engine`, `clock`, `data` and `journal` of an endpoint whose clusters boot at once."""
    engines, clock, journal = [], ManualClock(), []

    def engine(data, url):
        engines.append(ScriptedEngine(data, url))
        return engines[-1]

    with running(tmp_path, engine, boot_seconds=boot_seconds, clock=clock, journal=journal.append) as url:
        yield SimpleNamespace(
            url=url,
            emr=client_of(url, "emr"),
            eks=client_of(url, "emr-containers"),
            s3=client_of(url, "s3"),
            engine=engines[0],
            clock=clock,
            data=tmp_path,
            journal=journal,
            client=lambda service, region="us-east-1": client_of(url, service, region),
        )
