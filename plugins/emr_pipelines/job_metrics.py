"""What is measured of job runs and of compute: names, units and dimensions as a table, and the arithmetic. Nothing is sent here.

CloudWatch takes each combination of dimensions for a metric of its own and adds up none of them, so what shall be seen by deployment
and by job is sent as both (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, Final, Literal, Self

NAMESPACE: Final = "EmrPipelines"
"""CloudWatch's namespace of these metrics."""

PREFIX: Final = "emr_pipelines"
"""How their names begin in Airflow's own metrics."""

_UNFIT = re.compile(r"[^\x20-\x7e]")
_LONGEST_VALUE = 1024


@dataclass(frozen=True)
class Metric:
    """What is measured, as CloudWatch and as Airflow are told it."""

    name: str
    unit: Literal["Count", "Seconds", "Percent", "Count/Second"]
    views: tuple[tuple[str, ...], ...]
    """The combinations of dimensions with which CloudWatch is told each value."""
    stat: str
    """Its name in Airflow's metrics, behind ``PREFIX``."""
    kind: Literal["counter", "gauge", "timer"]
    """Its kind there; a timer is told in milliseconds."""
    meaning: str

    @property
    def tags(self) -> dict[str, str]:
        """The tags that Airflow's metrics get, with the dimensions that they are; an Airflow has one deployment, which is none."""
        names = dict.fromkeys(name for view in self.views for name in view if name != DEPLOYMENT)
        return {re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower(): name for name in names}


DEPLOYMENT: Final = "Deployment"
_ALL = (DEPLOYMENT,)
_BY_TYPE = (DEPLOYMENT, "JobType", "Target")
_BY_TASK = (DEPLOYMENT, "Dag", "Task")

JOB_RUNS = Metric("JobRuns", "Count", (_ALL, _BY_TYPE), "job.runs", "counter", "job runs that have ended")
JOB_FAILURES = Metric(
    "JobFailures",
    "Count",
    (_ALL, _BY_TYPE),
    "job.failures",
    "counter",
    "1 for a job run that did not succeed, 0 for one that did: the average is the error rate",
)
JOB_DURATION = Metric(
    "JobDuration",
    "Seconds",
    (_BY_TYPE, _BY_TASK),
    "job.duration",
    "timer",
    "how long a job run worked, as AWS tells it",
)
ROWS = Metric("Rows", "Count", (_BY_TASK,), "job.rows", "gauge", "rows that a job run says it has handled")
ROWS_PER_SECOND = Metric(
    "RowsPerSecond",
    "Count/Second",
    (_BY_TASK,),
    "job.rows_per_second",
    "gauge",
    "those, for each second that it worked",
)
COMPUTE_USE = Metric(
    "ComputeUse",
    "Percent",
    ((DEPLOYMENT, "Target"),),
    "compute.use",
    "gauge",
    "share of the life of a run's own compute in which at least one of its jobs worked",
)
ORPHANS = Metric(
    "Orphans",
    "Count",
    (_ALL,),
    "orphans",
    "gauge",
    "compute, and job runs on shared compute, that the reaper found without a run, young or old",
)

METRICS: Final = (JOB_RUNS, JOB_FAILURES, JOB_DURATION, ROWS, ROWS_PER_SECOND, COMPUTE_USE, ORPHANS)
"""All of them."""


@dataclass(frozen=True)
class Datum:
    """One measured value."""

    metric: Metric
    value: float
    at: float
    """When it was so, in seconds since 1970."""
    of: Mapping[str, str]
    """The dimensions that are known of it, by name."""


@dataclass(frozen=True)
class JobEnd:
    """How a job run ended. JSON, and without a secret: it travels in XCom and in the task state store."""

    task: str
    map_index: int
    type: str
    """The job's class."""
    target: str
    compute: str
    job_run: str
    state: str
    began: float | None = None
    """When it began to work, in seconds since 1970, as far as AWS tells."""
    ended: float | None = None
    rows: int | None = None
    fault: str | None = None
    """Whose it was, when it did not succeed."""
    reason: str | None = None
    """The first line of why."""

    @property
    def seconds(self) -> float | None:
        """How long it worked; ``None`` where AWS does not tell."""
        return None if self.began is None or self.ended is None else max(0.0, self.ended - self.began)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON value."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read it back; what another version of this package wrote as far as it goes."""
        known = {one.name for one in fields(cls)}
        return cls(**{name: one for name, one in value.items() if name in known})


def data_of_job(end: JobEnd, deployment: str, dag: str, now: float) -> list[Datum]:
    """Return what is told of a job run that has ended: nothing is told of what nobody has measured.

    :param now: seconds since 1970, for what AWS tells no end of.
    """
    of = {DEPLOYMENT: deployment, "JobType": end.type, "Target": end.target, "Dag": dag, "Task": end.task}
    values: dict[Metric, float | None] = {
        JOB_RUNS: 1,
        JOB_FAILURES: 0 if end.state == "succeeded" else 1,
        JOB_DURATION: end.seconds,
        ROWS: end.rows,
        ROWS_PER_SECOND: end.rows / end.seconds if end.rows is not None and end.seconds else None,
    }
    at = end.ended if end.ended is not None else now
    return [Datum(metric, value, at, of) for metric, value in values.items() if value is not None]


def covered_seconds(spells: Iterable[tuple[float, float]], begin: float, end: float) -> float:
    """Return how many seconds between ``begin`` and ``end`` lie in at least one of the spells."""
    covered, reached = 0.0, begin
    for began, ended in sorted(spells):
        since, until = max(began, reached), min(ended, end)
        if until > since:
            covered, reached = covered + until - since, until
    return covered


def use_of(ends: Iterable[JobEnd], begin: float, end: float) -> float | None:
    """Return in which share of a life, in percent, at least one job run worked; ``None`` of a life without length."""
    if end <= begin:
        return None
    spells = [(one.began, one.ended) for one in ends if one.began is not None and one.ended is not None]
    return 100 * covered_seconds(spells, begin, end) / (end - begin)


def metric_data(data: Iterable[Datum]) -> list[dict[str, Any]]:
    """Return values as the ``MetricData`` of PutMetricData: each with every combination of dimensions that its metric has."""
    return [
        {
            "MetricName": datum.metric.name,
            "Dimensions": [{"Name": name, "Value": _dimension(datum.of[name])} for name in view],
            "Timestamp": datetime.fromtimestamp(datum.at, UTC),
            "Unit": datum.metric.unit,
            "Value": float(datum.value),
        }
        for datum in data
        for view in datum.metric.views
    ]


def stats_data(data: Iterable[Datum]) -> Iterator[tuple[str, str, float, dict[str, str]]]:
    """Yield values as Airflow's metrics take them: kind, name, value and tags. A counter is not told to count nothing."""
    for datum in data:
        metric = datum.metric
        if metric.kind != "counter" or datum.value:
            value = datum.value * 1000 if metric.kind == "timer" else datum.value
            tags = {tag: datum.of[name] for tag, name in metric.tags.items()}
            yield metric.kind, f"{PREFIX}.{metric.stat}", value, tags


def _dimension(value: str) -> str:
    """Keep what CloudWatch allows: ASCII, at most 1024 characters (API reference of CloudWatch, ``Dimension``)."""
    return _UNFIT.sub("_", value)[:_LONGEST_VALUE]
