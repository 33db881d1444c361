"""What to run: typed job specifications, checked when a DAG is parsed.

A job is data. It knows no AWS service: the target it runs on turns it into a step or a job run. Every text may hold Airflow
templates (``{{ data_interval_start | ds }}``), rendered before the job is submitted.

A ``script``, ``file`` or ``jar`` is a path below ``include/``, uploaded once per content, or an ``s3://`` address taken as it is.
Packages that a Python script imports stand in a lock file beside it: ``clean.requirements.txt`` beside ``clean.py``.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from emr_pipelines.cluster_jobs import (
    CommandJob,
    FlinkJob,
    HBaseJob,
    MapReduceJob,
    S3DistCpJob,
    StreamingJob,
    TrinoJob,
)
from emr_pipelines.errors import ConfigurationError
from emr_pipelines.specification import LOCK, Specification, check_names, say
from emr_pipelines.specification import Engine as Engine  # noqa: PLC0414  # part of what this module tells others


class SparkJob(Specification):
    """A Spark application: a Python script, or a jar with its ``main_class``."""

    engine: ClassVar[Engine] = "spark"
    kind: Literal["spark"] = "spark"
    script: str = Field(min_length=1)
    """Path or address of a Python script or a jar; packages that a script imports stand in a lock file beside it."""
    args: tuple[str, ...] = ()
    """The application's own arguments."""
    main_class: str | None = None
    """The class to run, of a jar."""
    conf: dict[str, str] = Field(default={})
    """Spark properties."""
    py_files: tuple[str, ...] = ()
    """Python modules and archives for the driver and executors."""
    files: tuple[str, ...] = ()
    """Files for the working folder of driver and executors."""
    jars: tuple[str, ...] = ()
    """Jars for the classpath of driver and executors."""

    @model_validator(mode="after")
    def _jar_names_its_class(self) -> Self:
        if self.script.endswith(".jar") and not self.main_class:
            raise ValueError(f"{self.script!r} is a jar: say which class to run with main_class=")
        return self

    def code(self) -> tuple[str, ...]:
        """Return the script and everything shipped with it."""
        return (self.script, *self.py_files, *self.files, *self.jars)

    def lock(self) -> str | None:
        """Return the lock file of a Python script: the path beside it, whether there is such a file or not."""
        return f"{self.script.removesuffix('.py')}{LOCK}" if self.script.endswith(".py") else None


class SparkSqlJob(Specification):
    """A file of Spark SQL; ``${name}`` in it is replaced by the variable of that name.

    Where a service has no Spark SQL of its own, ``runner`` runs it.
    """

    engine: ClassVar[Engine] = "spark"
    runner: ClassVar[str] = "jobs/spark_sql.py"
    kind: Literal["spark_sql"] = "spark_sql"
    script: str = Field(min_length=1)
    """Path or address of the SQL file."""
    variables: dict[str, str] = Field(default={})
    """Values by name."""
    conf: dict[str, str] = Field(default={})
    """Spark properties."""

    @model_validator(mode="after")
    def _names_are_names(self) -> Self:
        check_names(self.variables)
        return self

    def code(self) -> tuple[str, ...]:
        """Return the script and what runs it."""
        return (self.script, self.runner)


class HiveJob(Specification):
    """A file of HiveQL; ``${name}`` in it is replaced by the variable of that name.

    ``spark_sql=True`` states that the script is also valid Spark SQL, so that it may run where there is no Hive.
    """

    engine: ClassVar[Engine] = "hive"
    kind: Literal["hive"] = "hive"
    script: str = Field(min_length=1)
    """Path or address of the HiveQL file."""
    variables: dict[str, str] = Field(default={})
    """Values by name."""
    conf: dict[str, str] = Field(default={})
    """Hive properties; Spark properties where it runs as Spark SQL."""
    spark_sql: bool = False
    """Whether the script is valid Spark SQL, too."""

    @model_validator(mode="after")
    def _names_are_names(self) -> Self:
        check_names(self.variables)
        return self

    def code(self) -> tuple[str, ...]:
        """Return the script."""
        return (self.script,)

    def engines(self) -> tuple[Engine, ...]:
        """Return Hive, and Spark where the script may run as Spark SQL."""
        return ("hive", "spark") if self.spark_sql else ("hive",)


Job = Annotated[
    SparkJob
    | SparkSqlJob
    | HiveJob
    | MapReduceJob
    | StreamingJob
    | S3DistCpJob
    | FlinkJob
    | TrinoJob
    | HBaseJob
    | CommandJob,
    Field(discriminator="kind"),
]
"""Any job; the field ``kind`` says which."""

_ANY_JOB: TypeAdapter[Job] = TypeAdapter(Job)


def job_from(value: dict[str, Any]) -> Job:
    """Rebuild a job from what ``model_dump(mode="json")`` gave, after its templates were rendered.

    :raises ConfigurationError: the rendered values make no valid job.
    """
    try:
        return _ANY_JOB.validate_python(value)
    except ValidationError as error:
        raise ConfigurationError(say("The rendered job", error)) from None
