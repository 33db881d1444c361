"""What the schema of each dataset was: one small object for each version of it, beside the dataset's partitions.

    s3://data/flights/_schemas/1.json
    s3://data/flights/_schemas/2.json        the greatest number is the current one

A version is never written over: PutObject with ``If-None-Match: *``, which S3 and its conditional writes answer for
(Amazon S3 User Guide, "How to prevent object overwrites with conditional writes"). Of two that register at once, one is told
to look again. Spark and Hive leave out what begins with ``_`` when they read the dataset's folder.

A check compares before (``changes_from_current``), and what publishes registers what was audited (``register``): a version that
nobody may read leaves no trace here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, Self

from botocore.exceptions import ClientError

from emr_pipelines.datasets import Dataset
from emr_pipelines.errors import DataError
from emr_pipelines.manifests import bucket_and_key
from emr_pipelines.quality.schemas import Change, Schema, SchemaError, changes

FOLDER = "_schemas/"
_TRIES = 10
"""Others that may register at the same moment, and each of them something else, before it is given up."""
_OTHERS_WERE_FIRST = ("PreconditionFailed", "ConditionalRequestConflict")


@dataclass(frozen=True)
class SchemaVersion:
    """One version of a dataset's schema.

    :param number: from 1.
    :param schema: ``{"name", "type", "nullable"}`` of each column.
    :param by: who published the first partition that has it: partition, deployment, dag, run, task.
    :param registered_at: ISO 8601, UTC.
    :param changes: what led here from the version before, in words.
    """

    number: int
    schema: Sequence[Mapping[str, Any]]
    by: Mapping[str, str]
    registered_at: str
    changes: Sequence[str] = ()

    def to_json(self) -> str:
        """Return the object's content."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: bytes | str) -> Self:
        """Read an object's content.

        :raises ValueError: it holds no version of a schema.
        """
        kept = json.loads(text)
        try:
            version = cls(**{one.name: kept[one.name] for one in fields(cls)})
            changes(version.schema, version.schema)
        except (KeyError, TypeError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from None
        return version


def current(s3: Any, dataset: Dataset) -> SchemaVersion | None:
    """Return the newest version of a dataset's schema; ``None`` when none was registered yet.

    Calls: one ListObjectsV2 for each thousand versions, one GetObject.

    :raises DataError: the object is no version of a schema.
    """
    bucket, prefix = bucket_and_key(f"{dataset.address}{FOLDER}")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    names = (found["Key"].removeprefix(prefix) for page in pages for found in page.get("Contents", []))
    numbers = [int(match[1]) for name in names if (match := re.fullmatch(r"([0-9]+)\.json", name))]
    if not numbers:
        return None
    key = f"{prefix}{max(numbers)}.json"
    try:
        return SchemaVersion.from_json(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    except ValueError as error:
        raise DataError(
            f"s3://{bucket}/{key} is no version of a schema: {error}. Delete it, and the version before counts again; nothing was changed."
        ) from None


def changes_from_current(s3: Any, dataset: Dataset, schema: Schema) -> list[Change]:
    """Compare a schema with the dataset's current one; empty when they are the same, or when there is none yet."""
    newest = current(s3, dataset)
    return changes(newest.schema, schema) if newest else []


def register(
    s3: Any, dataset: Dataset, schema: Schema, by: Mapping[str, str], *, accept_breaking: bool = False
) -> SchemaVersion:
    """Make a schema the dataset's current one and return its version; the one that there is when nothing changed.

    :param by: see ``SchemaVersion``.
    :param accept_breaking: somebody decided that readers can do with any change; it is recorded like the others.
    :raises DataError: a change breaks readers, the schema is none, or others keep registering at the same moment.
    """
    columns = [dict(column) for column in schema]
    bucket, prefix = bucket_and_key(f"{dataset.address}{FOLDER}")
    for _ in range(_TRIES):
        before = current(s3, dataset)
        found = _changes(dataset, before.schema if before else columns, columns)
        if before and not found:
            return before
        if not accept_breaking:
            refuse_breaking(dataset, found)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        number = before.number + 1 if before else 1
        version = SchemaVersion(number, columns, dict(by), now, [str(change) for change in found])
        if _put_once(s3, bucket, f"{prefix}{number}.json", version.to_json()):
            return version
    raise DataError(
        f"The schema of dataset {dataset.name!r} was not registered: {_TRIES} times another run was first. A retry tries again."
    )


def _changes(dataset: Dataset, before: Schema, now: Schema) -> list[Change]:
    try:
        return changes(before, now)
    except SchemaError as error:
        raise DataError(f"The schema of dataset {dataset.name!r} cannot be registered: {error}") from None


def refuse_breaking(dataset: Dataset, found: Sequence[Change]) -> None:
    """Refuse changes of a schema on which its readers fail.

    :raises DataError: there is such a change.
    """
    if breaking := [str(change) for change in found if change.kind.breaking]:
        raise DataError(
            f"The schema of dataset {dataset.name!r} changes in a way that breaks its readers: {'; '.join(breaking)}. Have the job write "
            "the schema that there was, or accept the change with accept_breaking=True. What is published stays as it is."
        )


def _put_once(s3: Any, bucket: str, key: str, text: str) -> bool:
    """Write an object unless there is one; tell whether it was written."""
    try:
        s3.put_object(Bucket=bucket, Key=key, Body=text.encode(), ContentType="application/json", IfNoneMatch="*")
    except ClientError as error:
        if error.response["Error"]["Code"] in _OTHERS_WERE_FIRST:
            return False
        raise
    return True
