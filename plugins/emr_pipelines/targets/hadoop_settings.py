"""S3, HDFS and MapReduce in a profile, and the configuration classifications that they become.

Classifications: https://docs.aws.amazon.com/emr/latest/ReleaseGuide/emr-configure-apps.html. Names: core-default.xml, hdfs-default.xml
and mapred-default.xml of Hadoop, its page on S3A, and for EMRFS https://docs.aws.amazon.com/emr/latest/ReleaseGuide/emr-s3-performance.html.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from emr_pipelines.targets.profile import Classification, Like, Settings, given

_MIB = 1024 * 1024
_HEAP_PERCENT = 80
"""Part of a task's memory that is its heap, unless it is said."""

Bytes = Annotated[int, Field(ge=5 * _MIB, le=5 * 1024 * _MIB)]
"""S3 takes parts from 5 MiB to 5 GiB."""


class S3(Settings):
    """How files in S3 are read and written, by EMRFS (``s3://``) and S3A (``s3a://``) alike; sizes in bytes.

    Server-side encryption is no matter of these settings.
    """

    block_size: Bytes | None = None
    """Size of the pieces that a file counts as when work is shared out; S3A's, as EMRFS has none."""
    multipart_size: Bytes | None = None
    """Size of the parts in which a file is uploaded."""
    retries: int | None = Field(default=None, ge=0, le=100)
    """How often a failed request is repeated."""
    connections: int | None = Field(default=None, ge=1, le=10_000)
    """Connections at a time."""

    def emrfs(self) -> dict[str, str]:
        """Return the properties of EMRFS, whose classification is ``emrfs-site``."""
        return _texts(
            {
                "fs.s3.multipart.uploads.split.size": self.multipart_size,
                "fs.s3.maxRetries": self.retries,
                "fs.s3.maxConnections": self.connections,
            }
        )

    def s3a(self) -> dict[str, str]:
        """Return the properties of S3A, whose classification is ``core-site``."""
        return _texts(
            {
                "fs.s3a.block.size": self.block_size,
                "fs.s3a.multipart.size": self.multipart_size,
                "fs.s3a.attempts.maximum": None if self.retries is None else self.retries + 1,
                "fs.s3a.connection.maximum": self.connections,
            }
        )

    def classifications(self) -> list[Classification]:
        """Return what these settings are on a cluster."""
        return [
            Classification(classification="emrfs-site", properties=self.emrfs()),
            Classification(classification="core-site", properties=self.s3a()),
        ]


class Hdfs(Settings):
    """HDFS, which lies on the core nodes; sizes in bytes."""

    default_fs: Annotated[str, Like(r"hdfs://[\w.-]+(:\d+)?/?", "hdfs://namenode.example.internal:8020")] | None = None
    """File system of paths without a scheme; without it the cluster's own."""
    io_buffer_size: int | None = Field(default=None, ge=4096, le=16 * _MIB, multiple_of=4096)
    """Buffer of reads and writes, in multiples of a page of 4096."""
    replication: int | None = Field(default=None, ge=1, le=512)
    """Copies of each block; without it 1 to 3, by the number of core nodes."""
    block_size: int | None = Field(default=None, ge=_MIB, multiple_of=512)
    namenode_handlers: int | None = Field(default=None, ge=1)
    """Threads with which the namenode answers."""
    datanode_handlers: int | None = Field(default=None, ge=1)
    """Threads with which each datanode answers."""

    def classifications(self) -> list[Classification]:
        """Return what these settings are on a cluster."""
        core = given({"fs.defaultFS": self.default_fs, **_texts({"io.file.buffer.size": self.io_buffer_size})})
        site = {
            "dfs.replication": self.replication,
            "dfs.blocksize": self.block_size,
            "dfs.namenode.handler.count": self.namenode_handlers,
            "dfs.datanode.handler.count": self.datanode_handlers,
        }
        return [
            Classification(classification="core-site", properties=core),
            Classification(classification="hdfs-site", properties=_texts(site)),
        ]


class MapReduceTask(Settings):
    """A map or reduce task: memory of its container, and of its heap, without which the heap is 80 % of it; both in MiB."""

    memory: int = Field(ge=128)
    heap: int | None = Field(default=None, ge=64)

    @model_validator(mode="after")
    def _heap_fits(self) -> Self:
        if self.heap is not None and self.heap >= self.memory:
            raise ValueError(
                f"heap {self.heap} does not fit into memory {self.memory}: write a smaller one, or leave it out for "
                f"{_HEAP_PERCENT} % of it"
            )
        return self

    def properties(self, kind: str) -> dict[str, str]:
        """Return the properties of ``map`` or ``reduce`` tasks."""
        heap = self.heap or self.memory * _HEAP_PERCENT // 100
        return {f"mapreduce.{kind}.memory.mb": str(self.memory), f"mapreduce.{kind}.java.opts": f"-Xmx{heap}m"}


class MapReduce(Settings):
    """MapReduce; without sizes EMR's own, by instance type."""

    framework: Literal["yarn", "local"] = "yarn"
    """What runs the tasks."""
    map: MapReduceTask | None = None
    reduce: MapReduceTask | None = None

    def classifications(self) -> list[Classification]:
        """Return what these settings are on a cluster."""
        properties: dict[str, str] = {"mapreduce.framework.name": self.framework}
        for kind, task in (("map", self.map), ("reduce", self.reduce)):
            properties |= task.properties(kind) if task else {}
        return [Classification(classification="mapred-site", properties=properties)]


def _texts(values: dict[str, int | None]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items() if value is not None}
