"""How many rows a job has handled, as the job itself says: in a small folder of text, which every engine can write and S3 shows at once."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any, Final

from emr_pipelines.clients import brief_client
from emr_pipelines.environments import Environment
from emr_pipelines.keys import Key

logger = logging.getLogger(__name__)

ROWS: Final = "<rows>"
"""Stands in a job's texts for the folder into which it writes how many rows it has handled, as text: whole numbers, which are added up."""

FOLDER: Final = "job-rows"
_MOST = 100
"""Files that are read."""
_MOST_ROWS = 2**63 - 1
"""The largest ``bigint``: as such Athena reads the run's document."""
_LARGEST = 4096
"""Bytes of a file that can be a number or a few."""


def rows_address(environment: Environment, key: Key) -> str:
    """Return the folder in which the job run with this key says its rows."""
    return f"s3://{environment.buckets.data}/{_prefix(key)}"


def says_rows(job: Mapping[str, Any]) -> bool:
    """Tell whether a job is told where to say its rows."""
    return ROWS in json.dumps(job)


def read_rows(environment: Environment, key: Key) -> int | None:
    """Return the rows that a job run says it has handled; ``None``, and a warning, where that cannot be learned: it fails no task."""
    try:
        s3 = brief_client(environment, "s3", attempts=3)
        place = {"Bucket": environment.buckets.data}
        listed = s3.list_objects_v2(**place, Prefix=_prefix(key), MaxKeys=_MOST).get("Contents", [])
        # What Hadoop writes beside results begins so: _SUCCESS, and checksums.
        files = [one for one in listed if not one["Key"].rpartition("/")[2].startswith(("_", "."))]
        return sum_of(
            s3.get_object(**place, Key=one["Key"])["Body"].read(_LARGEST).decode() for one in files if one["Size"]
        )
    except Exception as error:  # noqa: BLE001  # whatever it is, the job has done its work
        logger.warning(
            "How many rows the job has handled could not be read at %s: %s", rows_address(environment, key), error
        )
        return None


def sum_of(texts: Any) -> int:
    """Add up the whole numbers in texts, one a line.

    :raises ValueError: there is none, or a line is no whole number that rows can be.
    """
    numbers = [int(line) for text in texts for line in text.split()]
    if not numbers or min(numbers) < 0 or sum(numbers) > _MOST_ROWS:
        raise ValueError("no whole number")
    return sum(numbers)


def _prefix(key: Key) -> str:
    return f"{FOLDER}/{key.id}/"
