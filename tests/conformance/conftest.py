"""In every test here: what the product calls, the role of its Airflow allows, or the test fails at that call."""

from __future__ import annotations

import boto3
import pytest
from botocore.handlers import BUILTIN_HANDLERS

from tests.support.allowed_calls import Guard

GUARD = Guard()
# What a session of botocore registers when it is made, whoever makes it; boto3's own may have been made before.
BUILTIN_HANDLERS.extend(GUARD.recorder.handlers)
boto3.DEFAULT_SESSION = None


@pytest.fixture(autouse=True)
def allowed_calls():
    """Judge the calls of the product, also those of its threads."""
    GUARD.begin()
    yield GUARD
    assert GUARD.end() == []
