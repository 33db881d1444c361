"""Tables of AWS Glue whose partitions lead readers to what was published."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from emr_pipelines.datasets import Partition
from emr_pipelines.errors import ConfigurationError


def check_table(glue: Any, database: str, partition: Partition) -> dict[str, Any]:
    """Return the table of a partition's dataset, as Glue describes it.

    :raises ConfigurationError: there is none, or it is not partitioned as the dataset is.
    """
    dataset = partition.dataset
    try:
        table: dict[str, Any] = glue.get_table(DatabaseName=database, Name=dataset.table)["Table"]
    except ClientError as error:
        if not _is(error, "EntityNotFoundException"):
            raise
        raise ConfigurationError(
            f"There is no table {database}.{dataset.table} in the catalogue. Nothing was published. Create it, partitioned by "
            f"{dataset.partitioned_by}, or leave table= out of dataset {dataset.name!r}"
        ) from None
    columns = [column["Name"] for column in table.get("PartitionKeys", [])]
    if columns != [dataset.partitioned_by]:
        raise ConfigurationError(
            f"Table {database}.{dataset.table} is partitioned by {', '.join(columns) or 'nothing'}, and dataset {dataset.name!r} by "
            f"{dataset.partitioned_by}. Nothing was published. Give the dataset another table="
        )
    return table


def switch_partition(glue: Any, table: dict[str, Any], partition: Partition, location: str) -> None:
    """Let a table's partition lead to a location; its columns and format become the table's own. Repeating it changes nothing."""
    # Spark and Hive read a partition by what stands at it, and the version was written for the table as it is now.
    place = {"DatabaseName": table["DatabaseName"], "TableName": table["Name"]}
    wanted = {
        "Values": [partition.value],
        "StorageDescriptor": {**table["StorageDescriptor"], "Location": location},
    }
    try:
        known = glue.get_partition(**place, PartitionValues=[partition.value])["Partition"]
    except ClientError as error:
        if not _is(error, "EntityNotFoundException"):
            raise
        glue.create_partition(**place, PartitionInput=wanted)
        return
    kept = {"Parameters": known["Parameters"]} if known.get("Parameters") else {}
    glue.update_partition(**place, PartitionValueList=[partition.value], PartitionInput={**wanted, **kept})


def _is(error: ClientError, code: str) -> bool:
    return bool(error.response["Error"]["Code"] == code)
