"""Hive's settings in a profile: where tables are known and lie, for Hive and Spark, and how Hive works.

On EC2: https://docs.aws.amazon.com/emr/latest/ReleaseGuide/emr-metastore-external-hive.html; on EMR Serverless:
https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/metastore-config.html; on EKS: "Hive metastore integrations" of
https://aws.github.io/aws-emr-containers-best-practices/. Names: Hive's configuration properties.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, model_validator

from emr_pipelines.targets.names import Names
from emr_pipelines.targets.profile import Like, Settings, given
from emr_pipelines.targets.secret_names import ANNOTATION, SecretName, is_arn

_FACTORY = "hive.metastore.client.factory.class"
_GLUE = "com.amazonaws.glue.catalog.metastore.AWSGlueDataCatalogHiveClientFactory"
_HIVES_OWN = "org.apache.hadoop.hive.ql.metadata.SessionHiveMetaStoreClientFactory"
_PASSWORD = "javax.jdo.option.ConnectionPassword"  # noqa: S105  # the name of a property
_THRIFT = re.compile(r"thrift://[\w.-]+:\d+(,thrift://[\w.-]+:\d+)*")


def _metastore(text: str) -> str:
    if text != "glue" and not _THRIFT.fullmatch(text):
        raise ValueError(f"{text!r} is no metastore: write glue, or the address of one, such as thrift://host:9083")
    return text


Warehouse = Annotated[str, Like(r"(s3|hdfs)://.+", "s3://example-bucket/warehouse/"), Names("folder")]


class MetastoreDatabase(Settings):
    """The database of a Hive metastore, such as one on Amazon RDS. Its password stays in AWS Secrets Manager."""

    url: Annotated[
        str,
        Like(r"jdbc:(mysql|mariadb|postgresql)://[^\s@]+", "jdbc:mysql://host.example.internal:3306/hive", shown=False),
    ]
    """Its address, such as ``jdbc:mysql://host:3306/hive?createDatabaseIfNotExist=true``."""
    driver: str = "org.mariadb.jdbc.Driver"
    """Class of the JDBC driver; EMR brings MariaDB's, which speaks to MySQL and Aurora, too."""
    user: str
    password_secret: SecretName
    """The secret with the password, by its ARN; on EMR Serverless its name does, too."""

    @model_validator(mode="after")
    def _driver_speaks_it(self) -> Self:
        if self.url.startswith("jdbc:postgresql:") and "driver" not in self.model_fields_set:
            raise ValueError(f"driver {self.driver} does not speak to PostgreSQL: write driver: org.postgresql.Driver")
        return self

    @model_validator(mode="after")
    def _address_has_no_password(self) -> Self:
        if re.search(r"[?&;](password|pwd)=", self.url, re.IGNORECASE):
            raise ValueError(
                "url has a password in it: keep that in AWS Secrets Manager and name the secret in password_secret"
            )
        return self

    def properties(self) -> dict[str, str]:
        """Return the properties of Hive, all but the password."""
        return {
            "javax.jdo.option.ConnectionURL": self.url,
            "javax.jdo.option.ConnectionDriverName": self.driver,
            "javax.jdo.option.ConnectionUserName": self.user,
        }


class HiveTables(Settings):
    """Where the tables of Hive and Spark are known, and where their data lie unless they say otherwise."""

    metastore: Annotated[str, AfterValidator(_metastore)] | None = None
    """``glue``, the AWS Glue Data Catalog, or the address of a metastore service: ``thrift://host:9083``."""
    warehouse: Warehouse | None = None
    """Folder in S3 of tables that do not say where they lie."""

    def metastore_properties(self) -> dict[str, str]:
        """Return the properties by which Hive and Spark find the metastore."""
        if self.metastore is None:
            return {}
        return {_FACTORY: _GLUE} if self.metastore == "glue" else {"hive.metastore.uris": self.metastore}

    def spark(self) -> dict[str, str]:
        """Return what Spark's properties say of it."""
        warehouse = {"spark.sql.warehouse.dir": self.warehouse} if self.warehouse else {}
        return {**{f"spark.hadoop.{name}": value for name, value in self.metastore_properties().items()}, **warehouse}


class Hive(HiveTables):
    """Hive; where the tables of Hive and Spark are known and lie, and how Hive works."""

    database: MetastoreDatabase | None = None
    """The database of a metastore of one's own, instead of ``metastore``."""
    dynamic_partitions: bool | None = None
    """Whether an insert may make partitions by the rows' values."""
    partition_mode: Literal["strict", "nonstrict"] | None = None
    """Whether an insert must name at least one partition itself (``strict``)."""
    vectorization: bool | None = None
    """Whether rows are worked on by the thousand."""
    engine: Literal["tez", "mr"] | None = None
    """What runs the queries."""

    @model_validator(mode="after")
    def _metastore_is_one(self) -> Self:
        if self.database and self.metastore:
            raise ValueError("metastore and database name two metastores: leave out one of them")
        return self

    def properties(self) -> dict[str, str]:
        """Return the properties of Hive, all but where its metastore is."""
        return given(
            {
                "hive.metastore.warehouse.dir": self.warehouse,
                "hive.exec.dynamic.partition": _word(self.dynamic_partitions),
                "hive.exec.dynamic.partition.mode": self.partition_mode,
                "hive.vectorized.execution.enabled": _word(self.vectorization),
                "hive.vectorized.execution.reduce.enabled": _word(self.vectorization),
                "hive.execution.engine": self.engine,
            }
        )


class ClusterHive(Hive):
    """Hive on a cluster; where the tables of Hive and Spark are known and lie, and how Hive works."""

    @model_validator(mode="after")
    def _secret_is_an_arn(self) -> Self:
        if self.database and not is_arn(self.database.password_secret):
            raise ValueError(
                "database.password_secret is a name, and EMR on EC2 finds a secret by its ARN: write "
                "arn:aws:secretsmanager:<region>:<account>:secret:<name>"
            )
        return self

    def site(self) -> dict[str, str]:
        """Return the properties of ``hive-site``."""
        database = self.database
        own = {**database.properties(), f"{ANNOTATION}{_PASSWORD}": database.password_secret} if database else {}
        return {**self.metastore_properties(), **own, **self.properties()}


class ServerlessHive(Hive):
    """Hive on EMR Serverless; where the tables of Hive and Spark are known and lie, and how Hive works."""

    engine: Literal["tez"] | None = None
    """What runs the queries."""

    def site(self) -> dict[str, str]:
        """Return the properties of ``hive-site`` for jobs of Hive."""
        factory = {_FACTORY: _HIVES_OWN} if self.database or (self.metastore or "glue") != "glue" else {}
        return {**factory, **self.metastore_properties(), **self._database(), **self.properties()}

    def spark(self) -> dict[str, str]:
        """Return what Spark's properties say of it."""
        return {**super().spark(), **{f"spark.hadoop.{name}": value for name, value in self._database().items()}}

    def _database(self) -> dict[str, str]:
        database = self.database
        return {**database.properties(), _PASSWORD: f"{ANNOTATION}{database.password_secret}"} if database else {}


def _word(holds: bool | None) -> str | None:
    return None if holds is None else str(holds).lower()
