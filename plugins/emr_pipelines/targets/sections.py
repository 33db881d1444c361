"""The sections of a profile that become configurations: ``spark``, ``s3``, ``hdfs``, ``mapreduce``, ``hive``, ``tables``.

What wins over what, property by property: a job's own ``conf`` over the profile's ``configurations``, those over ``spark.conf``, that
over the other settings of the sections. No classification stands twice in a request.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Self

from pydantic import model_validator

from emr_pipelines.targets import table_formats
from emr_pipelines.targets.hadoop_settings import S3, Hdfs, MapReduce
from emr_pipelines.targets.hive_settings import ClusterHive, HiveTables
from emr_pipelines.targets.instance_sizes import size_of
from emr_pipelines.targets.platforms import pythons_of
from emr_pipelines.targets.profile import Classification, Like, Profile, Settings
from emr_pipelines.targets.secret_names import ANNOTATION
from emr_pipelines.targets.sizing import Executors, Nodes, container_warnings, executor_warnings, executors_for
from emr_pipelines.targets.spark_settings import ClusterSpark, Spark, SparkSettings, number_in, settled
from emr_pipelines.targets.table_formats import TableFormat

_SIZES = frozenset({"cores", "count", "memory"})


class Sections(Profile):
    """Sections that every target has."""

    release: str
    spark: SparkSettings | None = None
    s3: S3 | None = None
    hive: HiveTables | None = None
    tables: tuple[TableFormat, ...] = ()
    """Table formats that Spark knows without more ado; Iceberg's tables are in a catalog called ``iceberg``."""
    configurations: tuple[Classification, ...] = ()
    python: Annotated[str, Like(r"3\.\d+", "'3.11'")] | None = None
    """The Python of Spark jobs, where the release has several, such as ``'3.11'`` from emr-7.1.0 on; without it the release's default."""

    @model_validator(mode="after")
    def _python_comes_with_the_release(self) -> Self:
        known = pythons_of(self.release)
        if self.python and self.python not in known:
            raise ValueError(
                f"python: release {self.release} has {' and '.join(known)}: write {' or '.join(known)}, or change release"
            )
        return self

    def _python_properties(self) -> dict[str, str]:
        """Return what makes driver and executors take another Python than the release's default (Spark: ``spark.pyspark.python``)."""
        chosen = self.python if self.python != pythons_of(self.release)[0] else None
        return {"spark.pyspark.python": f"/usr/bin/python{chosen}"} if chosen else {}

    @model_validator(mode="after")
    def _tables_come_with_the_release(self) -> Self:
        table_formats.check(self.tables, self.release)
        return self

    def _table_properties(self) -> dict[str, str]:
        """Return what makes Spark know the table formats."""
        metastore = self.hive.metastore if self.hive else None
        warehouse = self.hive.warehouse if self.hive else None
        return table_formats.spark_properties(self.tables, glue=metastore == "glue", warehouse=warehouse)

    def _given_properties(self) -> Iterator[tuple[str, str]]:
        """Yield the properties that the file itself names, in ``configurations`` and ``spark.conf``."""
        yield from _properties_in(self.configurations)
        yield from (self.spark.conf if self.spark else {}).items()

    def stated_of_spark(self) -> dict[str, str]:
        """Return what the profile says of Spark in Spark's own words, which wins over the other settings."""
        return {**(self.spark.conf if self.spark else {}), **self._stated("spark-defaults")}

    def _stated(self, classification: str) -> dict[str, str]:
        """Return the properties of one of the profile's ``configurations``."""
        return {
            name: value
            for one in self.configurations
            if one.classification == classification
            for name, value in one.properties.items()
        }


class ClusterSections(Sections):
    """Sections of a cluster, whose nodes are known."""

    spark: ClusterSpark | None = None
    """Spark's settings of every job."""
    s3: S3 | None = None
    """How files in S3 are read and written."""
    hdfs: Hdfs | None = None
    """HDFS, which lies on the core nodes."""
    mapreduce: MapReduce | None = None
    """MapReduce's tasks."""
    hive: ClusterHive | None = None
    """Hive, and where its tables and Spark's are known."""

    @property
    def worker_nodes(self) -> tuple[Nodes, ...]:
        """The nodes that run executors and tasks, by type."""
        return ()

    @property
    def is_scaled(self) -> bool:
        """Whether nodes come and go by themselves."""
        return False

    @property
    def is_shared(self) -> bool:
        """Whether jobs run beside each other."""
        return False

    @property
    def driver_node(self) -> str | None:
        """The instance type of the node on which drivers run outside of YARN, if they do."""
        return None

    @model_validator(mode="after")
    def _can_be_fitted(self) -> Self:
        if self.spark and self.spark.executor == "fit" and executors_for(self.worker_nodes) is None:
            raise ValueError(
                "spark.executor: fit needs core or task nodes of types whose size is known here: write cores and memory instead"
            )
        return self

    @model_validator(mode="after")
    def _secrets_are_arns(self) -> Self:
        for name, value in self._given_properties():
            if value.startswith(ANNOTATION):
                raise ValueError(
                    f"{name}: EMR on EC2 takes the ARN of a secret: write it as the value of {ANNOTATION}{name}"
                )
        return self

    @property
    def all_configurations(self) -> tuple[Classification, ...]:
        """Return what the sections become, and over it ``configurations``."""
        sections = [one.classifications() for one in (self.s3, self.hdfs, self.mapreduce) if one]
        own = [*table_formats.installed(self.tables), *self._of_spark(), *(one for some in sections for one in some)]
        if self.hive:
            own.append(Classification(classification="hive-site", properties=self.hive.site()))
            known = self.hive.metastore_properties()
            own.append(Classification(classification="spark-hive-site", properties=known))
        return merged([*(one for one in own if one.properties), *self.configurations])

    def _of_spark(self) -> list[Classification]:
        properties = {**self._table_properties(), **self._python_properties()}
        if self.table_jars:
            properties["spark.jars"] = ",".join(self.table_jars)
        if self.hive and self.hive.warehouse:
            properties["spark.sql.warehouse.dir"] = self.hive.warehouse
        spark = self.fitted_spark
        if spark is None:
            return [Classification(classification="spark-defaults", properties=properties)]
        properties |= {**spark.sizes(), **spark.allocation(), **spark.others()}
        maximized = {"maximizeResourceAllocation": "true"} if spark.maximize_resource_allocation else {}
        return [
            Classification(classification="spark", properties=maximized),
            Classification(classification="spark-defaults", properties=properties),
        ]

    @property
    def table_jars(self) -> tuple[str, ...]:
        """Files of table formats that no classification puts onto the classpath."""
        return tuple(table_formats.jars(("hudi",), self.release)) if "hudi" in self.tables else ()

    @property
    def fitted_spark(self) -> ClusterSpark | None:
        """Spark's settings, with ``executor: fit`` in numbers; a count would keep jobs beside it, or later nodes, without work."""
        counted = not self.is_scaled and not self.is_shared
        return self.spark and self.spark.fitted(executors_for(self.worker_nodes), counted=counted)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about sizes that no node has room for."""
        told = [*super().warnings, *self._executor_warnings()]
        node = size_of(self.driver_node) if self.driver_node else None
        driver = self.spark.driver if self.spark else None
        if node and driver and (driver.memory or 0) * 1024 > node.memory:
            told.append(
                f"spark.driver.memory is {driver.memory} GB, and {self.driver_node}, where drivers run, has "
                f"{node.memory / 1024:g} GiB"
            )
        for kind in ("map", "reduce"):
            task = getattr(self.mapreduce, kind, None)
            told += container_warnings(f"mapreduce.{kind}", task.memory, self.worker_nodes) if task else []
        return tuple(told)

    def _executor_warnings(self) -> list[str]:
        size = self.spark.sized_executor if self.spark else None
        if size is None:
            return []
        count = None if self.is_scaled else size.count
        return executor_warnings(Executors(size.cores or 1, size.memory or 1, size.overhead, count), self.worker_nodes)


class ContainerSections(Sections):
    """Sections of a service that has no nodes of one's own."""

    spark: Spark | None = None
    """Spark's settings of every job."""
    s3: S3 | None = None
    """How Spark reads and writes files in S3."""
    hive: HiveTables | None = None
    """Where Spark's tables are known."""
    maximum_workers: int | None = None

    @model_validator(mode="after")
    def _sizes_are_said_once(self) -> Self:
        for role in ("driver", "executor"):
            own = getattr(self, role, None) if role in self.model_fields_set else None
            other = getattr(self.spark, role, None)
            if twice := sorted(_said(own) & _said(other)):
                raise ValueError(f"spark.{role} and {role} both say {twice[0]}: leave it out of one of them")
        return self

    def settled(self, sizes: dict[str, str]) -> dict[str, str]:
        """Return a job's sizes and numbers of executors, as ``spark``, ``configurations`` and ``maximum_workers`` have them."""
        spark = self.spark
        own = {**spark.sizes(), **spark.allocation()} if spark else {}
        return settled({**sizes, **own}, self.stated_of_spark(), self.maximum_workers)

    def require_told(self, encryption: Mapping[str, str]) -> None:
        """Raise ``ValueError`` where ``conf`` or ``configurations`` say otherwise than ``encryption``: they would win."""
        stated = self.stated_of_spark()
        for name, value in encryption.items():
            if stated.get(name, value) != value:
                raise ValueError(
                    f"{name} is {stated[name]}, and encryption makes it {value}: leave it out, or relax encryption"
                )

    def most_executors(self, count: int, *, dynamic: bool) -> int | None:
        """Return how many executors a Spark job may have, whichever setting says so; ``None`` when nothing bounds them.

        ``count`` and ``dynamic`` are what holds where no setting says how many, and whether Spark adds some.
        """
        if self.maximum_workers:
            return self.maximum_workers
        spark = self.spark
        told = {
            "spark.dynamicAllocation.enabled": str(dynamic).lower(),
            "spark.executor.instances": str(count),
            **(spark.allocation() if spark else {}),
            **self.stated_of_spark(),
        }
        if told["spark.dynamicAllocation.enabled"].strip().lower() == "false":
            return number_in(told["spark.executor.instances"])
        return number_in(told.get("spark.dynamicAllocation.maxExecutors", ""))

    def table_jars(self, prefix: str = "") -> tuple[str, ...]:
        """Return the files of the table formats; ``prefix`` says how the service names files of its image."""
        return tuple(table_formats.jars(self.tables, self.release, prefix))

    def spark_defaults(self, prefix: str = "") -> Classification:
        """Return what the sections become for jobs of Spark, all but sizes and numbers of executors."""
        jars = self.table_jars(prefix)
        s3 = {**self.s3.emrfs(), **self.s3.s3a()} if self.s3 else {}
        properties = {
            **self._table_properties(),
            **self._python_properties(),
            **({"spark.jars": ",".join(jars)} if jars else {}),
            **(self.hive.spark() if self.hive else {}),
            **{f"spark.hadoop.{name}": value for name, value in s3.items()},
            **(self.spark.others() if self.spark else {}),
        }
        return Classification(classification="spark-defaults", properties=properties)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about numbers of executors that are never reached."""
        bounds = self.spark.dynamic_allocation if self.spark else None
        if bounds and bounds.maximum and self.maximum_workers and bounds.maximum > self.maximum_workers:
            said = f"spark.dynamic_allocation.maximum is {bounds.maximum}, and maximum_workers allows {self.maximum_workers}"
            return (*super().warnings, said)
        return super().warnings


def _properties_in(classifications: Iterable[Classification]) -> Iterator[tuple[str, str]]:
    for one in classifications:
        yield from one.properties.items()
        yield from _properties_in(one.configurations)


def _said(role: Settings | None) -> set[str]:
    """Return which sizes a driver or executor states, in the words of ``spark``."""
    return {{"cpu": "cores"}.get(name, name) for name in role.model_fields_set} & _SIZES if role else set()


def merged(classifications: Iterable[Classification]) -> tuple[Classification, ...]:
    """Return each classification once: of those of one name, the later properties win, and what they contain is merged, too."""
    found: dict[str, Classification] = {}
    for one in classifications:
        before = found.get(one.classification, Classification(classification=one.classification))
        found[one.classification] = Classification(
            classification=one.classification,
            properties={**before.properties, **one.properties},
            configurations=merged((*before.configurations, *one.configurations)),
        )
    return tuple(found.values())
