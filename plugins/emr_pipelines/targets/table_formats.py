"""Table formats that EMR brings, and what makes Spark use them. Pure.

On EC2: https://docs.aws.amazon.com/emr/latest/ReleaseGuide/emr-delta.html, emr-iceberg.html, emr-hudi.html; on EMR Serverless:
https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/using-delta-lake.html, using-iceberg.html, using-hudi.html; on EKS:
https://docs.aws.amazon.com/emr/latest/EMR-on-EKS-DevelopmentGuide/tutorial-delta-lake.html, tutorial-iceberg.html.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from emr_pipelines.targets.profile import Classification
from emr_pipelines.targets.releases import version_of

TableFormat = Literal["delta", "hudi", "iceberg"]

_FIRST_RELEASE: dict[TableFormat, tuple[int, int]] = {"delta": (6, 9), "hudi": (5, 28), "iceberg": (6, 5)}
_EXTENSIONS: dict[TableFormat, str] = {
    "delta": "io.delta.sql.DeltaSparkSessionExtension",
    "hudi": "org.apache.spark.sql.hudi.HoodieSparkSessionExtension",
    "iceberg": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
}
_SESSION_CATALOGS: dict[TableFormat, str] = {
    "delta": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "hudi": "org.apache.spark.sql.hudi.catalog.HoodieCatalog",
}
_DELTA_RENAMED = (7, 0)


def check(formats: Sequence[TableFormat], release: str) -> None:
    """Check that a release brings these formats, and that they go together.

    :raises ValueError: one does not, or two of them need the same catalog.
    """
    if len(set(formats)) < len(formats):
        raise ValueError(f"tables names a format twice: write each of {', '.join(sorted(set(formats)))} once")
    if set(_SESSION_CATALOGS) <= set(formats):
        raise ValueError("tables: delta and hudi both replace Spark's own catalog: give each a profile of its own")
    for one in formats:
        major, minor = _FIRST_RELEASE[one]
        if not release.startswith("emr-spark-") and version_of(release) < (major, minor):
            raise ValueError(
                f"tables: {one} comes with emr-{major}.{minor}.0 and later: raise release, which is {release}"
            )


def spark_properties(formats: Sequence[TableFormat], *, glue: bool, warehouse: str | None) -> dict[str, str]:
    """Return what makes Spark know the formats; Iceberg's tables are in a catalog called ``iceberg``.

    ``glue`` says that tables are known to the AWS Glue Data Catalog, ``warehouse`` where those of Iceberg lie.
    """
    if not formats:
        return {}
    properties = {"spark.sql.extensions": ",".join(_EXTENSIONS[one] for one in formats)}
    for one in formats:
        if one in _SESSION_CATALOGS:
            properties["spark.sql.catalog.spark_catalog"] = _SESSION_CATALOGS[one]
    if "hudi" in formats:
        properties["spark.serializer"] = "org.apache.spark.serializer.KryoSerializer"
    if "iceberg" in formats:
        properties["spark.sql.catalog.iceberg"] = "org.apache.iceberg.spark.SparkCatalog"
        properties |= (
            {
                "spark.sql.catalog.iceberg.catalog-impl": "org.apache.iceberg.aws.glue.GlueCatalog",
                "spark.sql.catalog.iceberg.io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
            }
            if glue
            else {"spark.sql.catalog.iceberg.type": "hive"}
        )
        properties |= {"spark.sql.catalog.iceberg.warehouse": warehouse} if warehouse else {}
    return properties


def jars(formats: Sequence[TableFormat], release: str, prefix: str = "") -> list[str]:
    """Return the files of EMR's image that a job needs on its classpath; ``prefix`` is ``local://`` in a container."""
    delta = "delta-spark" if release.startswith("emr-spark-") or version_of(release) >= _DELTA_RENAMED else "delta-core"
    files: dict[TableFormat, list[str]] = {
        "delta": [f"/usr/share/aws/delta/lib/{delta}.jar", "/usr/share/aws/delta/lib/delta-storage.jar"],
        "hudi": ["/usr/lib/hudi/hudi-spark-bundle.jar"],
        "iceberg": ["/usr/share/aws/iceberg/lib/iceberg-spark3-runtime.jar"],
    }
    return [f"{prefix}{file}" for one in formats for file in files[one]]


def installed(formats: Iterable[TableFormat]) -> list[Classification]:
    """Return the classifications that put the formats' files onto a cluster's classpath; Hudi's has none."""
    return [
        Classification(classification=f"{one}-defaults", properties={f"{one}.enabled": "true"})
        for one in formats
        if one != "hudi"
    ]
