"""The steps of a cluster: the StepConfig that a job means, and what a StepStatus says of one. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emr_pipelines.jobs import CommandJob, HiveJob, Job, SparkJob, SparkSqlJob
from emr_pipelines.targets.ec2_profile import Ec2Profile
from emr_pipelines.targets.job_runs import settings, spark_options
from emr_pipelines.targets.states import Fault, JobState, RunState

RUN_STATES = {
    "PENDING": RunState.PENDING,
    "RUNNING": RunState.RUNNING,
    "CANCEL_PENDING": RunState.CANCELLING,
    "COMPLETED": RunState.SUCCEEDED,
    "CANCELLED": RunState.CANCELLED,
    "FAILED": RunState.FAILED,
    "INTERRUPTED": RunState.LOST,
}
LIVE_STEPS = [name for name, state in RUN_STATES.items() if not state.ended]
ENDED_STEPS = [name for name, state in RUN_STATES.items() if state.ended]
_WITHOUT_WORDS = {RunState.CANCELLED: "The step was cancelled", RunState.LOST: "The step was interrupted"}
"""What to say where EMR only gives the state."""


def step_request(job: Job, code: Mapping[str, str], name: str, profile: Ec2Profile) -> dict[str, Any]:
    """Return the StepConfig that runs a job; ``code`` says where in S3 each of its files lies.

    ``CONTINUE``: a failed step must not end the cluster under the other jobs; release ends it.
    """
    return {
        "Name": name,
        "ActionOnFailure": "CONTINUE",
        "HadoopJarStep": {"Jar": "command-runner.jar", "Args": _command(job, code, profile)},
    }


def _command(job: Job, code: Mapping[str, str], profile: Ec2Profile) -> list[str]:
    match job:
        case SparkJob():
            options = ["--deploy-mode", profile.deploy_mode, *spark_options(job, code, {})]
            return ["spark-submit", *options, code[job.script], *job.args]
        case SparkSqlJob():
            words = settings("--conf", job.conf) + settings("--hivevar", job.variables)
            return ["spark-sql", *words, "-f", code[job.script]]
        case HiveJob():
            words = settings("-d", job.variables) + settings("-hiveconf", job.conf)
            return ["hive-script", "--run-hive-script", "--args", "-f", code[job.script], *words]
        case CommandJob():
            return list(job.command)


def job_state(status: Mapping[str, Any]) -> JobState:
    """Translate a StepStatus."""
    state = RUN_STATES[status["State"]]
    details = status.get("FailureDetails", {})
    words = details.get("Message") or details.get("Reason") or status.get("StateChangeReason", {}).get("Message")
    fault = {RunState.FAILED: Fault.JOB, RunState.CANCELLED: Fault.USER, RunState.LOST: Fault.SERVICE}.get(state)
    times = status.get("Timeline", {})
    began, ended = (times[name].timestamp() if name in times else None for name in ("StartDateTime", "EndDateTime"))
    return JobState(state, words or _WITHOUT_WORDS.get(state, ""), fault, began, ended)
