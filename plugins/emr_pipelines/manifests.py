"""Which version of a partition readers see: a small object beside the partitions, its manifest, switched by one PutObject.

Spark and Hive leave out what begins with ``_`` when they read a dataset's folder, so the manifests are no rows of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

from botocore.exceptions import ClientError

from emr_pipelines.clients import clients_of_environment
from emr_pipelines.datasets import Dataset, Partition
from emr_pipelines.environments import current_environment
from emr_pipelines.errors import DataError, NotPublishedError

FOLDER = "_published/"
_ENDING = ".json"
_VERSION = 1


@dataclass(frozen=True)
class Manifest:
    """What is published of one partition."""

    dataset: str
    partition: str
    location: str
    """The folder of the version that readers see."""
    published_at: str
    """ISO 8601, UTC."""
    by: Mapping[str, str]
    """The deployment, dag, run and task that published it."""
    rows: int | None = None
    quality: Mapping[str, Any] | None = None
    """Of its audit: the address of the result, the decision, and of an approval who gave it and why."""
    schema: list[Any] | None = None
    previous: str | None = None
    """The location that readers saw before."""

    def audited(self, rows: int, quality: Mapping[str, Any], schema: list[Any]) -> Manifest:
        """Return this manifest with what an audit of its version found."""
        return replace(self, rows=rows, quality=quality, schema=schema)

    def after(self, before: Manifest | None) -> Manifest:
        """Return this manifest with the way back to the one before; publishing a version again keeps the way back."""
        if before is None:
            return self
        return replace(self, previous=before.previous if before.location == self.location else before.location)

    def to_json(self) -> str:
        """Return the object's content."""
        return json.dumps({"version": _VERSION, **asdict(self)}, indent=2)

    @classmethod
    def from_json(cls, text: bytes | str) -> Self:
        """Read an object's content.

        :raises ValueError: it is no manifest of this version.
        """
        kept = json.loads(text)
        known = {one.name for one in fields(cls)}
        if not isinstance(kept, dict) or kept.get("version") != _VERSION or not str(kept.get("location")).endswith("/"):
            raise ValueError("not of version 1")
        try:
            return cls(**{name: kept[name] for name in known & set(kept)})
        except TypeError as error:
            raise ValueError(str(error)) from None


def manifest_address(partition: Partition) -> str:
    """Return where a partition's manifest lies."""
    return f"{partition.dataset.address}{FOLDER}{partition.name}{_ENDING}"


def read_manifest(s3: Any, partition: Partition) -> Manifest | None:
    """Read a partition's manifest; ``None`` where nothing is published.

    :raises DataError: the object is no manifest.
    """
    address = manifest_address(partition)
    bucket, key = bucket_and_key(address)
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            return None
        raise
    try:
        return Manifest.from_json(body)
    except ValueError as error:
        raise DataError(
            f"{address} is no manifest that can be read: {error}. Delete it, or restore the version of it that was there before; then "
            "clear the publish task of the run that shall be read."
        ) from None


def write_manifest(s3: Any, partition: Partition, manifest: Manifest) -> None:
    """Switch readers of a partition, by one PutObject: they see the version before or this one, whenever they look."""
    bucket, key = bucket_and_key(manifest_address(partition))
    s3.put_object(Bucket=bucket, Key=key, Body=manifest.to_json().encode(), ContentType="application/json")


class PublishedPartitions(Mapping[str, Manifest]):
    """The manifests of a dataset by the values of its partitions: listed once, each read when it is asked for."""

    def __init__(self, s3: Any, dataset: Dataset) -> None:
        self._s3 = s3
        self._partitions = {one.value: one for one in _listed(s3, dataset)}

    def __getitem__(self, value: str) -> Manifest:
        found = read_manifest(self._s3, self._partitions[value])
        if found is None:
            raise KeyError(value)
        return found

    def __contains__(self, value: object) -> bool:
        return value in self._partitions

    def __iter__(self) -> Iterator[str]:
        return iter(self._partitions)

    def __len__(self) -> int:
        return len(self._partitions)


def published_partitions(s3: Any, dataset: Dataset) -> Mapping[str, Manifest]:
    """Return the manifests of all published partitions of a dataset by the values of these, in order of their names."""
    return PublishedPartitions(s3, dataset)


def published(dataset: Dataset | str, partition: str, partitioned_by: str = "dt") -> str:
    """Return the folder of the version that readers see; a macro of templates, too: ``macros.emr_pipelines.published(...)``.

    :param dataset: a dataset, or the address of one, such as ``s3://data/flights/``.
    :param partition: the partition's value, such as ``2013-01-15``.
    :param partitioned_by: the column that partitions the dataset at an address.
    :raises NotPublishedError: there is none.
    """
    known = dataset if isinstance(dataset, Dataset) else Dataset("dataset", dataset, partitioned_by)
    wanted = known.partition(partition)
    found = read_manifest(clients_of_environment(current_environment()).repeating("s3"), wanted)
    if found is None:
        raise NotPublishedError(
            f"Nothing is published of {wanted.address}: there is no {manifest_address(wanted)}. Run the pipeline that publishes it for "
            f"{wanted.name}, or see why its last run did not come to that."
        )
    return found.location


def bucket_and_key(address: str) -> tuple[str, str]:
    """Split ``s3://<bucket>/<key>``."""
    bucket, _, key = address.removeprefix("s3://").partition("/")
    return bucket, key


def _listed(s3: Any, dataset: Dataset) -> Iterator[Partition]:
    bucket, prefix = bucket_and_key(f"{dataset.address}{FOLDER}{dataset.partitioned_by}=")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            name = entry["Key"].rpartition("/")[2]
            if name.endswith(_ENDING):
                yield Partition.from_name(dataset, name.removesuffix(_ENDING))
