"""Datasets in S3, their partitions, and the versions of a partition that job runs write. Names and addresses: nothing is read here.

    s3://data/flights/                                   a dataset
    s3://data/flights/dt=2013-01-15/                     a partition of it
    s3://data/flights/dt=2013-01-15/version=<key>/       what one job run wrote, named by the key of that job run
    s3://data/flights/_published/dt=2013-01-15.json      which of the versions readers see (``emr_pipelines.manifests``)

Two job runs never have the same key, and one key never has two job runs at work: so none writes over what another one wrote, and
none over what readers see, however often a task is retried or cleared and whatever of an older generation is still alive.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import unquote

from airflow.sdk import Asset

from emr_pipelines.errors import ConfigurationError, NotStagedError

STAGED = "<staged>"
"""Stands in a job's texts for the folder that it shall write: that of its own version."""

VERSION = "<version>"
"""Stands in a job's texts for the name of its version, 16 hexadecimal digits: for what must be its own, such as a table's name."""

STAGED_XCOM = "staged"
"""Key of the XCom in which a task tells what its job run has staged."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,62}")
_ADDRESS = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/(?:[^\s/{}]+/)*")
_COLUMN = re.compile(r"(?!version$)[a-z][a-z0-9_]*")
_TABLE = re.compile(r"[a-z0-9_]{1,255}")
_UNFIT = re.compile(r"[\x00-\x1f\x7f\"#%'*/:=?\\{\[\]^}]")


@dataclass(frozen=True)
class Dataset:
    """Rows of one kind in S3, in partitions by one column.

    :param name: its name, also as an asset.
    :param address: the folder of its partitions, ``s3://<bucket>/<prefix>/``.
    :param partitioned_by: the column whose values the partitions are, as it stands in addresses: ``dt=2013-01-15``.
    :param table: its table in the environment's catalogue, partitioned by that column; publishing switches its partitions, too.
    :raises ConfigurationError: one of these is no such name or address.
    """

    name: str
    address: str
    partitioned_by: str = "dt"
    table: str | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name in ("self", "context"):
            raise ConfigurationError(
                f"{self.name!r} is no name of a dataset: use at most 63 letters, digits, dots, hyphens and underscores, a letter first"
            )
        if not _ADDRESS.fullmatch(self.address):
            raise ConfigurationError(
                f"Dataset {self.name!r}: {self.address!r} is no address of a folder: write s3://<bucket>/<prefix>/ with a slash at "
                "the end and without templates; the bucket is that of current_environment().buckets.data"
            )
        if not _COLUMN.fullmatch(self.partitioned_by):
            raise ConfigurationError(
                f"Dataset {self.name!r}: {self.partitioned_by!r} is no column to partition by: use lower case letters, digits and "
                "underscores, and another name than 'version', which names the versions of a partition"
            )
        if self.table is not None and not _TABLE.fullmatch(self.table):
            raise ConfigurationError(
                f"Dataset {self.name!r}: {self.table!r} is no name of a table: use lower case letters, digits and underscores; its "
                "database is that of the environment's catalogue"
            )

    @property
    def asset(self) -> Asset:
        """The dataset as Airflow knows it."""
        return Asset(self.name, uri=self.address)

    def partition(self, value: str) -> Partition:
        """Return a partition by its value, which may be a template: ``flights.partition("{{ data_interval_start | ds }}")``."""
        return Partition(self, value)


@dataclass(frozen=True)
class Partition:
    """The rows of a dataset that share one value of the column it is partitioned by.

    :raises ConfigurationError: the value is no text, or renders to nothing.
    """

    dataset: Dataset
    value: str

    def __post_init__(self) -> None:
        if not isinstance(self.value, str):
            raise ConfigurationError(
                f"A partition of dataset {self.dataset.name!r} is named by a text, and not by {self.value!r}: write such as '2013-01-15'"
            )
        if self.value.strip() in ("", "None"):
            raise ConfigurationError(
                f"The partition of dataset {self.dataset.name!r} renders to {self.value!r}: what its template names is not set in this "
                "run. A run without a logical date has no data interval: trigger it with one, or name the partition by "
                "dag_run.run_after or by the asset event that triggered the run"
            )

    @property
    def name(self) -> str:
        """``<column>=<value>``, in which characters unfit for a path are percent-encoded as Hive and Spark do it.

        Which ones: ``org.apache.hadoop.hive.common.FileUtils.escapePathName``, Spark's ``ExternalCatalogUtils``.
        """
        return f"{self.dataset.partitioned_by}={_UNFIT.sub(lambda found: f'%{ord(found[0]):02X}', self.value)}"

    @property
    def address(self) -> str:
        """The folder of the partition's versions."""
        return f"{self.dataset.address}{self.name}/"

    def staged(self, version: str) -> Staged:
        """Return the version that the job run with this key writes."""
        return Staged(self.dataset.name, self.dataset.address, self.value, version, f"{self.address}version={version}/")

    @classmethod
    def from_name(cls, dataset: Dataset, name: str) -> Self:
        """Read a partition back from ``<column>=<value>``."""
        return cls(dataset, unquote(name.removeprefix(f"{dataset.partitioned_by}=")))


@dataclass(frozen=True)
class Staged:
    """A version of a partition that a job run has written and nobody reads yet: what the XCom ``staged`` holds."""

    dataset: str
    address: str
    partition: str
    version: str
    location: str

    @property
    def words(self) -> dict[str, str]:
        """What the version's location and name stand for in a job's texts."""
        return {STAGED: self.location, VERSION: self.version}


def filled(value: Any, words: Mapping[str, str]) -> Any:
    """Return a JSON value with words in its texts replaced, such as ``STAGED`` by the folder that a job run writes."""
    if isinstance(value, str):
        for word, meant in words.items():
            value = value.replace(word, meant)
        return value
    if isinstance(value, Mapping):
        return {name: filled(one, words) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [filled(one, words) for one in value]
    return value


def check_partition(task_id: str, word: str, value: Any) -> None:
    """Refuse what is given for a partition and is none.

    :raises ConfigurationError: it is something else.
    """
    if value is not None and not isinstance(value, Partition):
        raise ConfigurationError(
            f"Task {task_id!r}: {word}={value!r} is no partition of a dataset. Write {word}=<dataset>.partition(...)"
        )


def check_staging(task_id: str, job: Mapping[str, Any], stages: Partition | None) -> None:
    """Refuse a task whose job would write elsewhere than it is said to stage.

    :raises ConfigurationError: the job's texts and ``stages`` do not fit.
    """
    check_partition(task_id, "stages", stages)
    texts = json.dumps(job)
    if stages is None and (STAGED in texts or VERSION in texts):
        raise ConfigurationError(
            f"Task {task_id!r}: its job names STAGED or VERSION, and it stages nothing. Give it stages=<dataset>.partition(...)"
        )
    if stages is not None and STAGED not in texts:
        raise ConfigurationError(
            f"Task {task_id!r} stages a partition of {stages.dataset.name!r}, and its job does not say where it writes. Put STAGED where "
            'the job takes its destination, such as args=("--destination", STAGED)'
        )


_TEMPLATE = re.compile(r"macros\.emr_pipelines\.staged\(ti, '([^']+)'\)")


def staged_template(task_id: str) -> str:
    """Return the template that renders to the folder that a task of the run has staged."""
    return f"{{{{ macros.emr_pipelines.staged(ti, '{task_id}') }}}}"


def staged_in(job: Mapping[str, Any]) -> list[str]:
    """List the tasks whose staged folder a job's texts name by that template."""
    return _TEMPLATE.findall(json.dumps(job))


def staged_by(ti: Any, task_id: str) -> Staged:
    """Return what a task of this run has staged.

    :raises NotStagedError: it has staged nothing in this run.
    """
    told = ti.xcom_pull(task_ids=task_id, key=STAGED_XCOM)
    if not told:
        raise NotStagedError(
            f"Task {task_id!r} has staged nothing in this run. Put it before this task with >>; if it stands there, it did not succeed "
            "since it was cleared: clear it with its downstream."
        )
    return Staged(**told)


def staged(ti: Any, task_id: str) -> str:
    """Return the folder that a task of this run has staged; a macro of templates, ``macros.emr_pipelines.staged(ti, "emr.clean")``.

    :raises NotStagedError: it has staged nothing in this run.
    """
    return staged_by(ti, task_id).location
