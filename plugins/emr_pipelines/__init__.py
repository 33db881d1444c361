"""EMR pipelines for Airflow: write a pipeline once, choose its compute when it is triggered, leave nothing running."""

from emr_pipelines.approving import ApproveOperator
from emr_pipelines.checking import QualityCheckOperator
from emr_pipelines.choosing import Between, OneOf
from emr_pipelines.cluster_jobs import (
    CommandJob,
    FlinkJob,
    HBaseJob,
    MapReduceJob,
    S3DistCpJob,
    StreamingJob,
    TrinoJob,
)
from emr_pipelines.completeness import PartitionsCheckOperator
from emr_pipelines.datasets import STAGED, VERSION, Dataset
from emr_pipelines.environments import current_environment
from emr_pipelines.jobs import HiveJob, SparkJob, SparkSqlJob
from emr_pipelines.manifests import published
from emr_pipelines.operators import EmrJobOperator
from emr_pipelines.pipeline import EmrPipeline
from emr_pipelines.publishing import PublishOperator
from emr_pipelines.reaping import EmrReaperOperator
from emr_pipelines.row_counts import ROWS

__all__ = [  # noqa: RUF022  # in Python's own order
    "ApproveOperator",
    "Between",
    "CommandJob",
    "Dataset",
    "EmrJobOperator",
    "EmrPipeline",
    "EmrReaperOperator",
    "FlinkJob",
    "HBaseJob",
    "HiveJob",
    "MapReduceJob",
    "OneOf",
    "PartitionsCheckOperator",
    "PublishOperator",
    "QualityCheckOperator",
    "ROWS",
    "S3DistCpJob",
    "STAGED",
    "SparkJob",
    "SparkSqlJob",
    "StreamingJob",
    "TrinoJob",
    "VERSION",
    "current_environment",
    "published",
]
