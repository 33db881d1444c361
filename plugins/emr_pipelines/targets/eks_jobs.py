"""StartJobRun requests of EMR on EKS, and what its states mean. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from emr_pipelines.errors import ComputeError
from emr_pipelines.jobs import HiveJob, Job, SparkJob, SparkSqlJob
from emr_pipelines.keys import Key
from emr_pipelines.targets.base import Usage
from emr_pipelines.targets.eks_profile import IN_IMAGE, EksProfile, JobTemplate
from emr_pipelines.targets.job_runs import (
    NODE_LOST,
    configuration,
    one_text,
    packages_conf,
    settings,
    spark_options,
)
from emr_pipelines.targets.profile import given
from emr_pipelines.targets.states import ComputeState, Fault, JobState, Phase, RunState

PHASES = {
    "RUNNING": Phase.READY,
    "ARRESTED": Phase.ENDED,
    "TERMINATING": Phase.ENDED,
    "TERMINATED": Phase.ENDED,
}
_PHASE_FAULTS = {"ARRESTED": Fault.SERVICE, "TERMINATING": Fault.USER, "TERMINATED": Fault.USER}
RUN_STATES = {
    "PENDING": RunState.PENDING,
    "SUBMITTED": RunState.PENDING,
    "RUNNING": RunState.RUNNING,
    "CANCEL_PENDING": RunState.CANCELLING,
    "COMPLETED": RunState.SUCCEEDED,
    "FAILED": RunState.FAILED,
    "CANCELLED": RunState.CANCELLED,
}
LIVE_RUNS = [name for name, state in RUN_STATES.items() if not state.ended]
ENDED_RUNS = [name for name, state in RUN_STATES.items() if state.ended]
FAULTS = {
    "INTERNAL_ERROR": Fault.SERVICE,
    "USER_ERROR": Fault.JOB,
    "VALIDATION_ERROR": Fault.USER,
    "CLUSTER_UNAVAILABLE": Fault.CAPACITY,
}

_OVERHEAD = {True: 0.4, False: 0.1}
"""Memory of a pod beside its process's, by whether it runs Python (Spark: ``spark.kubernetes.memoryOverheadFactor``)."""

_LEAST_OVERHEAD_GB = 0.375
_GIBI = {"k": 2**-20, "m": 2**-10, "g": 1.0, "t": 2.0**10}


def cluster_state(cluster: Mapping[str, Any]) -> ComputeState:
    """Translate a ``VirtualCluster``; ARRESTED is one whose EKS cluster or namespace EMR cannot reach."""
    state = cluster["state"]
    words = f"virtual cluster {cluster['id']} ({cluster['name']}) is {state}"
    return ComputeState(PHASES[state], words, _PHASE_FAULTS.get(state))


def job_state(run: Mapping[str, Any]) -> JobState:
    """Translate a ``JobRun``, which tells when it was created and finished, not when it began to work."""
    state, reason = RUN_STATES[run["state"]], run.get("failureReason")
    words = ": ".join(part for part in (reason, run.get("stateDetails")) if part)
    failed = Fault.CAPACITY if NODE_LOST.search(words) else FAULTS.get(reason or "", Fault.JOB)
    fault = {RunState.FAILED: failed, RunState.CANCELLED: Fault.USER}.get(state)
    began = None if state is RunState.PENDING else run.get("createdAt")
    ended = run.get("finishedAt") if state.ended else None
    return JobState(state, words, fault, began and began.timestamp(), ended and ended.timestamp())


def run_request(job: Job, code: Mapping[str, str], key: Key, profile: EksProfile) -> dict[str, Any]:
    """Return the StartJobRun request of a job, without its virtual cluster; the key is its client token.

    ``code`` says where in S3 each of the job's files lies. With a job template, the template is the request and the job fills in its
    parameters.

    :raises ComputeError: the job template has no place for something that the job needs.
    """
    jars = profile.table_jars(IN_IMAGE)
    packages = packages_conf(job, code, profile.stated_of_spark(), "spark.kubernetes.driverEnv")
    driver = job_driver(job, code, spark_sizes(profile), jars, packages)
    common = {"clientToken": key.id, "name": key.name, "tags": profile.run_tags(key)}
    retry = {"maxAttempts": profile.attempts} if profile.attempts else None
    if profile.job_template:
        return given(
            {
                **common,
                "jobTemplateId": profile.job_template.id,
                "jobTemplateParameters": template_parameters(
                    profile.job_template, driver, job_driver(job, code, {}, packages=packages)
                ),
                "retryPolicyConfiguration": retry,
            }
        )
    configurations = [configuration(one) for one in profile.all_configurations]
    return given(
        {
            **common,
            "executionRoleArn": profile.execution_role,
            "releaseLabel": profile.release,
            "jobDriver": driver,
            "configurationOverrides": given(
                {
                    "applicationConfiguration": configurations or None,
                    "monitoringConfiguration": profile.monitoring(),
                }
            ),
            "retryPolicyConfiguration": retry,
        }
    )


def job_driver(
    job: Job,
    code: Mapping[str, str],
    sizes: Mapping[str, str],
    jars: Sequence[str] = (),
    packages: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the ``JobDriver`` of a job, with pods of these sizes; ``jars`` are the profile's, which the job's join.

    ``packages`` is what ``packages_conf`` says.

    :raises ComputeError: an argument is empty, which EMR on EKS refuses.
    """
    match job:
        case SparkJob():
            if not all(argument.strip() for argument in job.args):
                raise ComputeError(
                    "EMR on EKS takes no empty argument, and args= has one: give it another value. Nothing was started."
                )
            words = one_text(spark_options(job, code, sizes, jars, packages))
            parts = {
                "entryPoint": code[job.script],
                "entryPointArguments": list(job.args) or None,
                "sparkSubmitParameters": words,
            }
            return {"sparkSubmitJobDriver": given(parts)}
        case SparkSqlJob() | HiveJob():
            words = one_text(settings("--conf", {**sizes, **_spark_conf(job)}) + settings("--hivevar", job.variables))
            return {"sparkSqlJobDriver": given({"entryPoint": code[job.script], "sparkSqlParameters": words})}
        case _:
            raise TypeError(f"EMR on EKS runs no {type(job).__name__}")


def _spark_conf(job: SparkSqlJob | HiveJob) -> dict[str, str]:
    """Return a job's settings as Spark takes them: those of Hive belong to the Hadoop configuration."""
    if isinstance(job, SparkSqlJob):
        return job.conf
    return {name if name.startswith("spark.") else f"spark.hadoop.{name}": value for name, value in job.conf.items()}


def spark_sizes(profile: EksProfile) -> dict[str, str]:
    """Return the pods of a Spark job, and what is encrypted between and in them, as its configuration."""
    sizes = profile.encryption.spark()
    for role, pod in (("driver", profile.driver), ("executor", profile.executor)):
        sizes[f"spark.{role}.cores"] = str(pod.cores)
        sizes[f"spark.{role}.memory"] = f"{pod.memory}g"
        if pod.template:
            sizes[f"spark.kubernetes.{role}.podTemplateFile"] = pod.template
    bounds = profile.spark.dynamic_allocation if profile.spark else None
    first = max(1, bounds.initial or bounds.minimum) if bounds else profile.executor.count
    sizes["spark.executor.instances"] = str(first)
    if profile.maximum_workers is not None:
        sizes["spark.dynamicAllocation.enabled"] = "true"
        sizes["spark.dynamicAllocation.maxExecutors"] = str(profile.maximum_workers)
    settled = profile.settled(sizes)
    if settled.get("spark.dynamicAllocation.enabled") == "true":
        # Kubernetes has no external shuffle service: without tracking, executors that hold shuffle files would be removed.
        settled["spark.dynamicAllocation.shuffleTracking.enabled"] = "true"
    return settled


def template_parameters(template: JobTemplate, driver: Mapping[str, Any], unsized: Mapping[str, Any]) -> dict[str, str]:
    """Fill in a job template's parameters from a job's driver; ``unsized`` is the same without the profile's sizes.

    :raises ComputeError: the template has no place for something that the job says, or names something that it has not.
    """
    (parts,), (own,) = driver.values(), unsized.values()
    arguments = parts.get("entryPointArguments", [])
    missing = [number for number in range(len(arguments)) if f"arguments[{number}]" not in template.named]
    if missing:
        raise ComputeError(
            f"Job template {template.id} has no place for argument {missing[0]} of the job, {arguments[missing[0]]!r}: add a "
            f"parameter with the value '{{arguments[{missing[0]}]}}'. Nothing was started."
        )
    if _words_of(own) and "spark_parameters" not in template.named:
        raise ComputeError(
            f"Job template {template.id} has no place for the job's variables, settings and files: add a parameter with the value "
            "'{spark_parameters}'. Nothing was started."
        )
    values = {"entry_point": parts["entryPoint"], "arguments": arguments, "spark_parameters": _words_of(parts)}
    try:
        return {name: value.format(**values) for name, value in template.parameters.items()}
    except (IndexError, KeyError, AttributeError, ValueError) as error:
        raise ComputeError(
            f"Job template {template.id} names something that the job has not ({error}): it has {len(arguments)} arguments. "
            "Nothing was started."
        ) from error


def usage_of(run: Mapping[str, Any], seconds: float) -> Usage:
    """Say what a job run asked for, times how long it ran: its driver and the executors that it began with."""
    parts: dict[str, Any] = next(iter(run.get("jobDriver", {}).values()), {})
    words = shlex.split(_words_of(parts))
    conf = dict(word.split("=", 1) for option, word in pairwise(words) if option == "--conf")
    factor = _OVERHEAD[parts.get("entryPoint", "").endswith(".py")]
    hours, executors = seconds / 3600, int(conf.get("spark.executor.instances", "2"))
    vcpu = memory = 0.0
    for role, count in (("driver", 1), ("executor", executors)):
        heap = _gigabytes(conf.get(f"spark.{role}.memory", "1g"))
        vcpu += count * int(conf.get(f"spark.{role}.cores", "1")) * hours
        overhead = conf.get(f"spark.{role}.memoryOverhead")
        beside = _gigabytes(overhead) if overhead else max(_LEAST_OVERHEAD_GB, factor * heap)
        memory += count * (heap + beside) * hours
    return Usage(vcpu, memory)


def _words_of(parts: Mapping[str, Any]) -> str:
    return str(parts.get("sparkSubmitParameters") or parts.get("sparkSqlParameters") or "")


def _gigabytes(size: str) -> float:
    """Read a size as Spark writes it, such as ``2g`` or ``512m``; without a unit it counts MiB."""
    match = re.fullmatch(r"(\d+)([kmgt]?)b?", size.strip().lower())
    return float(match[1]) * _GIBI[match[2] or "m"] if match else 0.0
