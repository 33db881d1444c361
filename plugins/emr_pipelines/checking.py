"""The task that checks data against a ruleset, and decides whether it may go on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from airflow.sdk.exceptions import AirflowFailException

from emr_pipelines import quality
from emr_pipelines.artifacts import Artifact, source_of
from emr_pipelines.clients import s3_of_profile
from emr_pipelines.errors import JobError
from emr_pipelines.jobs import Job, SparkJob
from emr_pipelines.keys import Key, Record
from emr_pipelines.membership import Run
from emr_pipelines.operators import RECORD, EmrJobOperator, existing
from emr_pipelines.targets.base import Compute

CHECK_SCRIPT = "jobs/quality_check.py"


class QualityCheckOperator(EmrJobOperator):
    """Checks data against a ruleset in DQDL, on the pipeline's compute; fails when a rule fails.

    Its XCom holds besides ``{"result": <address>, "rows": <rows seen>, "rules": [{"rule", "outcome", "measured"}, ...]}``.

    :param ruleset: path of a ``.dqdl`` file below ``include/``, compiled when the DAG is parsed.
    :param data: address of the data, a folder of files; may hold templates.
    :param data_format: the files' format, as Spark names it.
    """

    def __init__(self, *, ruleset: str, data: str, data_format: str = "parquet", **kwargs: Any) -> None:
        super().__init__(job=SparkJob(script=CHECK_SCRIPT, args=("--data", data, "--format", data_format)), **kwargs)
        self.ruleset = ruleset
        existing(ruleset, self.task_id)
        compile_ruleset(ruleset)

    def code_paths(self) -> list[str]:
        """List the check's script and the ruleset."""
        return [*super().code_paths(), self.ruleset]

    def artifact(self, path: str) -> Artifact:
        """Read the script, or compile the ruleset to the plan that the script evaluates."""
        if path == self.ruleset:
            return Artifact(path, "plan.json", compile_ruleset(path).encode())
        return super().artifact(path)

    def prepare(self, run: Run, code: Mapping[str, str], key: Key) -> Job:
        """Name the plan and where the result shall lie."""
        job = SparkJob(**self.job)
        return job.model_copy(
            update={"args": (*job.args, "--plan", code[self.ruleset], "--result", self._result_address(run, key))}
        )

    def succeeded(self, run: Run, compute: Compute, job_run: str) -> dict[str, Any]:
        """Read the result, log its table, and decide."""
        record = Record.from_json(run.context["task_state_store"].get(RECORD))
        if record is None:
            raise JobError(
                f"The record of job run {job_run} is gone from the task state store. Clear this task to check again."
            )
        address = self._result_address(run, self._key(run, record))
        bucket, _, key = address.removeprefix("s3://").partition("/")
        profile = run.environment.profile(compute.profile)
        body = s3_of_profile(profile).get_object(Bucket=bucket, Key=key)["Body"].read()
        result = quality.parse_results(body.decode())
        for line in quality.format_table(result).splitlines():
            self.log.info("%s", line)
        decision = quality.decide(result)
        if not decision.passed:
            self.log.error("%s", decision.reason)
            raise AirflowFailException(
                f"{decision.reason}\nThe check itself ran; a retry would measure the same. Result: {address}"
            )
        return super().succeeded(run, compute, job_run) | {
            "result": address,
            "rows": result.rows,
            "rules": [{"rule": rule.rule, "outcome": rule.outcome, "measured": rule.measured} for rule in result.rules],
        }

    def _result_address(self, run: Run, key: Key) -> str:
        return f"s3://{run.environment.buckets.data}/quality-results/{run.lease.dag_id}/{key.id}.json"


def compile_ruleset(ruleset: str) -> str:
    """Compile a ``.dqdl`` file below ``include/`` to the plan that the check evaluates, once per process and change of the file.

    :raises RulesetError: it cannot be run; the message says where and why.
    """
    source = source_of(ruleset)
    return _compile_once(source, source.stat().st_mtime_ns, ruleset)


@lru_cache(maxsize=256)
def _compile_once(source: Path, _changed: int, ruleset: str) -> str:
    return quality.compile_plan(quality.parse_ruleset(source.read_text(encoding="utf-8"), ruleset)).to_json()
