"""Tells Airflow's metrics, and CloudWatch where the environment wants it, what was measured. It fails no task and keeps none waiting."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any, Final

from airflow.sdk.log import redact  # type: ignore[attr-defined]  # it has no __all__; providers take it from there, too
from airflow.sdk.observability import stats

from emr_pipelines.clients import brief_client
from emr_pipelines.environments import Environment, current_environment
from emr_pipelines.job_metrics import NAMESPACE, Datum, JobEnd, data_of_job, metric_data, stats_data
from emr_pipelines.masking import masked
from emr_pipelines.targets.base import Compute
from emr_pipelines.targets.states import JobState, RunState

logger = logging.getLogger(__name__)

JOB_ENDS: Final = "job_ends"
"""Key of the XCom, and of the entry in the task state store, that list how the task's job runs have ended, oldest first."""

_LONGEST_REASON: Final = 500
_KEPT: Final = 20
"""Job runs of one task that are remembered."""


def publish(environment: Environment, data: Sequence[Datum]) -> None:
    """Tell what was measured; what stands in the way of that is one warning.

    PutMetricData has no client token, so it is sent once: an answer that is lost shall count nothing twice.
    """
    try:
        for kind, name, value, tags in stats_data(data):
            _tell_airflow(kind, name, value, tags)
        if environment.metrics.cloudwatch and data:
            cloudwatch = brief_client(environment, "cloudwatch", attempts=1)
            cloudwatch.put_metric_data(Namespace=NAMESPACE, MetricData=metric_data(data))
    except Exception as error:  # noqa: BLE001  # whatever it is, the work that was measured is done
        logger.warning("What was measured could not be published, and is not tried again: %s", error)


def _tell_airflow(kind: str, name: str, value: float, tags: dict[str, str]) -> None:
    match kind:
        case "counter":
            stats.incr(name, int(value), tags=tags)
        case "timer":
            stats.timing(name, value, tags=tags)
        case _:
            stats.gauge(name, value, tags=tags)


def end_of(  # noqa: PLR0913  # what there is to say of an end
    ti: Any, compute: Compute, job_run: str, state: JobState, *, kind: str, reason: str, rows: int | None
) -> JobEnd:
    """Return how a job run ended; ``kind`` is its job's class, ``reason`` goes before the service's own words."""
    # What it says goes to XCom and to S3, where Airflow masks nothing by itself, as it does in its logs.
    said = str(redact(masked(reason or state.reason))).strip()
    return JobEnd(
        task=ti.task_id,
        map_index=-1 if ti.map_index is None else ti.map_index,
        type=kind,
        target=compute.target,
        compute=compute.id,
        job_run=job_run,
        state=state.state.value,
        began=state.began,
        ended=state.ended,
        rows=rows,
        fault=state.fault.value if state.fault else None,
        reason=said.splitlines()[0][:_LONGEST_REASON] if said and state.state is not RunState.SUCCEEDED else None,
    )


def tell_end(ti: Any, store: Any, end: JobEnd) -> None:
    """Publish how a job run ended, once, and tell it to the run's later tasks.

    The task state store remembers which were told: the same end is seen again by a retry, and by who adopts. It is marked before it is
    published, so that a process that dies in between counts nothing twice.
    """
    try:
        ends = [JobEnd.from_json(one) for one in store.get(JOB_ENDS) or ()]
        known = end.job_run in {one.job_run for one in ends}
        told = [one.to_json() for one in (ends if known else [*ends, end])[-_KEPT:]]
        if not known:
            store.set(JOB_ENDS, told)
        # A new try of a task begins without what the one before has pushed.
        ti.xcom_push(key=JOB_ENDS, value=told)
        if not known:
            environment = current_environment()
            publish(environment, data_of_job(end, environment.deployment, ti.dag_id, time.time()))
    except Exception as error:  # noqa: BLE001  # whatever it is, the job run has ended as it has
        logger.warning("The end of job run %s could not be told: %s", end.job_run, error)
