"""Jobs that only a cluster runs: Hadoop's, and those of the other applications that EMR installs.

Words are those of the EMR release guide and of each application's own command line; ``targets/ec2_steps.py`` has the sources.
"""

from __future__ import annotations

import re
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from emr_pipelines.specification import Engine, Specification, check_names

_UNDERSCORED_BUCKET = re.compile(r"s3[an]?://[^/{]*_")


class MapReduceJob(Specification):
    """A Hadoop MapReduce program: a jar, and the class to run when the jar's manifest names none."""

    engine: ClassVar[Engine] = "hadoop"
    kind: Literal["map_reduce"] = "map_reduce"
    jar: str = Field(min_length=1)
    """Path or address of the jar."""
    main_class: str | None = None
    """The class to run; without it the one that the jar's manifest names."""
    args: tuple[str, ...] = ()
    """The program's own arguments; Hadoop's ``-D name=value`` go here, where the program takes them (``ToolRunner``)."""
    properties: dict[str, str] = Field(default={})
    """Java properties of the step, which the program reads with ``System.getProperty``."""

    def code(self) -> tuple[str, ...]:
        """Return the jar."""
        return (self.jar,)


class StreamingJob(Specification):
    """Hadoop Streaming: MapReduce whose mapper and reducer are programs that read lines and write lines, ``key<tab>value``.

    A program is a command line; it finds ``files`` by their names in the folder where it runs: ``python3 count.py map``.
    """

    engine: ClassVar[Engine] = "hadoop"
    kind: Literal["streaming"] = "streaming"
    mapper: str = Field(min_length=1)
    """Command that gets the lines of a part of the input."""
    reducer: str | None = None
    """Command that gets the mapper's lines sorted by key, or ``aggregate``; without it the mapper's lines are the output."""
    combiner: str | None = None
    """Command that gets each mapper's lines sorted by key before they travel."""
    inputs: tuple[str, ...] = Field(min_length=1)
    """Files, folders and patterns to read."""
    output: str = Field(min_length=1)
    """Folder to make; one that exists is an error."""
    files: tuple[str, ...] = ()
    """Paths or addresses of what the programs need in their folder, scripts above all."""
    archives: tuple[str, ...] = ()
    """Paths or addresses of archives that are unpacked there."""
    environment: dict[str, str] = Field(default={})
    """Environment variables of the programs."""
    reduce_tasks: int | None = Field(default=None, ge=1)
    """Number of reducers, and so of files of the output."""
    input_format: str | None = None
    """Class that reads the input instead of ``TextInputFormat``."""
    output_format: str | None = None
    """Class that writes the output instead of ``TextOutputFormat``."""
    partitioner: str | None = None
    """Class that says which reducer gets a key instead of ``HashPartitioner``."""
    properties: dict[str, str] = Field(default={})
    """Hadoop properties, such as ``mapreduce.map.memory.mb``."""

    @model_validator(mode="after")
    def _reducing_has_a_reducer(self) -> Self:
        if self.reducer is None and (self.combiner or self.reduce_tasks):
            raise ValueError(
                "there is no reducer for combiner= and reduce_tasks=: name one with reducer=, or leave them out"
            )
        if commas := [path for path in (*self.files, *self.archives) if "," in path]:
            raise ValueError(f"Hadoop takes {commas[0]!r} for two files: give the file a name without a comma")
        return self

    def code(self) -> tuple[str, ...]:
        """Return files and archives."""
        return (*self.files, *self.archives)


class S3DistCpJob(Specification):
    """A copy between S3 and HDFS by S3DistCp, which runs on all nodes of a cluster; it can concatenate and compress."""

    engine: ClassVar[Engine] = "hadoop"
    kind: Literal["s3_dist_cp"] = "s3_dist_cp"
    source: str = Field(min_length=1)
    """Folder to copy."""
    destination: str = Field(min_length=1)
    """Folder to copy to."""
    source_pattern: str | None = None
    """Java pattern that the whole path of a file must match."""
    group_by: str | None = None
    """Java pattern for whole paths; files whose groups ``(...)`` match the same text become one file of that name."""
    target_size: int | None = Field(default=None, ge=1)
    """MiB at which a concatenated file is closed and the next is begun."""
    append_to_last_file: bool = False
    """Whether new data is appended to files that exist."""
    output_codec: Literal["gzip", "gz", "lzo", "snappy", "none", "keep"] | None = None
    """Compression of what is written; ``none`` uncompresses, ``keep`` is the default."""
    delete_on_success: bool = False
    """Whether what was copied is deleted from the source."""
    server_side_encryption: bool = False
    """Whether S3 encrypts what is written with keys of its own."""
    storage_class: Literal["STANDARD", "REDUCED_REDUNDANCY"] | None = None
    """Storage class of what is written; without it the source's."""
    multipart_upload: bool = True
    """Whether large files are uploaded in parts."""
    multipart_upload_chunk_size: int | None = Field(default=None, ge=5, le=5120)
    """MiB of a part."""
    number_files: bool = False
    """Whether the names of files begin with running numbers."""
    starting_index: int | None = Field(default=None, ge=0)
    """The first of those numbers."""
    output_manifest: str | None = None
    """Name of a list of all copied files, written to the destination and compressed with gzip."""
    previous_manifest: str | None = None
    """Address of such a list: what it names is not copied again."""
    require_previous_manifest: bool = True
    """Whether a ``previous_manifest`` that is not there is an error."""
    copy_from_manifest: bool = False
    """Whether ``previous_manifest`` names what to copy, not what to leave out."""
    source_prefixes_file: str | None = None
    """Address of a file that names the folders below ``source`` to copy, one a line."""
    s3_endpoint: str | None = None
    """Host of S3 for the source, such as ``s3.eu-west-1.amazonaws.com``."""

    @model_validator(mode="after")
    def _options_go_together(self) -> Self:
        if self.group_by is not None and not re.search(r"\(.*\)", self.group_by):
            raise ValueError(f"group_by {self.group_by!r} has no group: put what names the new file into parentheses")
        if self.target_size and self.group_by is None:
            raise ValueError("target_size is the size of files that group_by makes: give group_by=, too")
        if self.starting_index is not None and not self.number_files:
            raise ValueError("starting_index begins the numbers that number_files writes: give number_files=True, too")
        if self.copy_from_manifest and not self.previous_manifest:
            raise ValueError("copy_from_manifest copies what previous_manifest names: give previous_manifest=, too")
        for address in (self.source, self.destination):
            if _UNDERSCORED_BUCKET.match(address):
                raise ValueError(
                    f"S3DistCp takes no bucket with an underscore in its name, as {address!r} has: use another bucket"
                )
        return self


class FlinkJob(Specification):
    """A Flink program in a YARN application of its own (application mode); the job runs as long as the application does."""

    engine: ClassVar[Engine] = "flink"
    kind: Literal["flink"] = "flink"
    jar: str = Field(min_length=1)
    """Path or address of the jar."""
    main_class: str | None = None
    """The class to run; without it the one that the jar's manifest names."""
    args: tuple[str, ...] = ()
    """The program's own arguments."""
    parallelism: int | None = Field(default=None, ge=1)
    """Parallel tasks of each operator that does not say otherwise."""
    properties: dict[str, str] = Field(default={})
    """Flink options, such as ``taskmanager.memory.process.size``."""

    def code(self) -> tuple[str, ...]:
        """Return the jar."""
        return (self.jar,)


class TrinoJob(Specification):
    """A file of SQL; ``${name}`` in it is replaced by the variable of that name.

    Trino runs it, or Presto where the profile installs that.
    """

    engine: ClassVar[Engine] = "trino"
    kind: Literal["trino"] = "trino"
    script: str = Field(min_length=1)
    """Path or address of the SQL file."""
    catalog: str = "hive"
    """Catalog of tables that are named without one."""
    schema_name: str = "default"
    """Schema of tables that are named without one."""
    variables: dict[str, str] = Field(default={})
    """Values by name."""

    @model_validator(mode="after")
    def _names_are_names(self) -> Self:
        check_names(self.variables)
        return self

    def code(self) -> tuple[str, ...]:
        """Return the script."""
        return (self.script,)


class HBaseJob(Specification):
    """A script of HBase's shell, in which ``${name}`` is replaced by the variable of that name, or a class that HBase brings along."""

    engine: ClassVar[Engine] = "hbase"
    kind: Literal["hbase"] = "hbase"
    script: str | None = Field(default=None, min_length=1)
    """Path or address of the script; its first error ends it."""
    variables: dict[str, str] = Field(default={})
    """Values by name, for the script."""
    main_class: str | None = Field(default=None, min_length=1)
    """The class to run, such as ``org.apache.hadoop.hbase.mapreduce.RowCounter``."""
    args: tuple[str, ...] = ()
    """Arguments of the class."""

    @model_validator(mode="after")
    def _is_a_script_or_a_class(self) -> Self:
        check_names(self.variables)
        if (self.script is None) == (self.main_class is None):
            raise ValueError("an HBase job is a script or a class: give script= or main_class=, and not both")
        if (self.script and self.args) or (self.main_class and self.variables):
            raise ValueError("variables= are for script=, args= are for main_class=: move the values")
        return self

    def code(self) -> tuple[str, ...]:
        """Return the script, where there is one."""
        return (self.script,) if self.script else ()


class CommandJob(Specification):
    """A command on the primary node of a cluster, as one list of words: ``["bash", "-c", "hadoop fs -ls /"]``."""

    engine: ClassVar[Engine] = "command"
    kind: Literal["command"] = "command"
    command: tuple[str, ...] = Field(min_length=1)
    """Words of the command."""
