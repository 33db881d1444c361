"""What the jobs of tasks need of compute, as far as it can be known before they run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from emr_pipelines.artifacts import CHECK_SCRIPT
from emr_pipelines.checking import QualityCheckOperator
from emr_pipelines.jobs import Engine, Job, SparkJob, job_from
from emr_pipelines.operators import EmrJobOperator

_USUAL: frozenset[Engine] = frozenset({"spark", "hive", "command"})
"""What jobs need that nobody knows yet; of others the profile's ``applications`` tell, for each more takes a cluster longer to start."""


def jobs_in(task: Any) -> list[Job] | None:
    """Return the jobs that a task will run, as far as they can be known before it runs; ``None`` when they cannot."""
    if isinstance(task, EmrJobOperator):
        return [job_from(task.job)]
    kind = getattr(task, "operator_class", None)
    if not (isinstance(kind, type) and issubclass(kind, EmrJobOperator)):
        return []
    if issubclass(kind, QualityCheckOperator):
        return [SparkJob(script=CHECK_SCRIPT)]
    if (job := task.partial_kwargs.get("job")) is not None:
        return [_job(job)]
    expanded = task.expand_input.value
    listed = expanded.get("job") if isinstance(expanded, Mapping) else expanded
    if not isinstance(listed, list | tuple):
        return None
    each = [one.get("job") if isinstance(expanded, list) and isinstance(one, dict) else one for one in listed]
    known = all(isinstance(one, dict | BaseModel) for one in each)
    return [_job(one) for one in each] if known else None


def engines_needed(tasks: Iterable[Any], offered: frozenset[Engine]) -> frozenset[Engine]:
    """Return the engines that tasks need of a target that offers some: the usual ones, too, where jobs are known only when they run."""
    known = [jobs_in(task) for task in tasks]
    usual = offered & _USUAL if None in known else frozenset()
    return usual | {job.engine_on(offered) for jobs in known for job in jobs or []}


def _job(value: Any) -> Job:
    return job_from(value) if isinstance(value, dict) else value
