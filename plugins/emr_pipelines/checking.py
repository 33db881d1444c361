"""The task that checks data against a ruleset, and decides whether it may go on."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from airflow.sdk.exceptions import AirflowFailException

from emr_pipelines import quality
from emr_pipelines.artifacts import Artifact, source_of
from emr_pipelines.clients import s3_of_profile
from emr_pipelines.errors import ConfigurationError, JobError
from emr_pipelines.jobs import Job, SparkJob
from emr_pipelines.keys import Key, Record
from emr_pipelines.membership import Run
from emr_pipelines.operators import RECORD, EmrJobOperator, existing
from emr_pipelines.quality import Decision, Gate, QualityResult, Ruleset
from emr_pipelines.targets.base import Compute

CHECK_SCRIPT = "jobs/quality_check.py"
QUALITY = "quality"
"""Key of the XCom that says what a check found and decided."""
_LEVEL = {Gate.WARN: logging.WARNING, Gate.ASK: logging.WARNING, Gate.FAIL: logging.ERROR}


class QualityCheckOperator(EmrJobOperator):
    """Checks data against a ruleset in DQDL, on the pipeline's compute, and decides by the rules' severity whether it may go on.

    A rule that does not pass fails the task, unless its label ``severity`` says ``warn`` or ``ask``: the first is only told, and
    the second lets the pipeline end and asks a person in the ``approve`` task behind it.

    Its XCom ``quality``, pushed also when it fails, is ``{"decision", "reason", "result": <address>, "rows", "rules": [{"rule",
    "outcome", "measured", "bound", "reason", "severity"}], "measures", "schema", "quarantine", "table", "question"}``.

    :param ruleset: path of a ``.dqdl`` file below ``include/``, compiled when the DAG is parsed.
    :param data: address of the data, a folder of files; may hold templates. ``task.staged`` of the job that writes it, for example.
    :param data_format: the files' format, as Spark names it.
    :param references: what rules compare with: alias -> address, in the same format; may hold templates.
    :param quarantine: address of a folder for the rows that break a rule about rows, each with the rules that it broke; what it held
        is replaced. May hold templates.
    :param stages: with ``quarantine``: the dataset's partition that the other rows are staged as.
    :raises ConfigurationError: a rule compares with a dataset that ``references`` does not name.
    :raises RulesetError: the ruleset cannot be run; the message says where and why.
    """

    def __init__(
        self,
        *,
        ruleset: str,
        data: str,
        data_format: str = "parquet",
        references: Mapping[str, str] | None = None,
        quarantine: str | None = None,
        **kwargs: Any,
    ) -> None:
        arguments = ["--data", data, "--format", data_format]
        for alias, address in (references or {}).items():
            arguments += ["--reference", f"{alias}={address}"]
        if quarantine:
            arguments += ["--quarantine", quarantine]
        super().__init__(job=SparkJob(script=CHECK_SCRIPT, args=tuple(arguments)), **kwargs)
        existing(ruleset, self.task_id)
        missing = [alias for alias in ruleset_of(ruleset).references if alias not in (references or {})]
        if missing:
            raise ConfigurationError(
                f"Task {self.task_id!r}: rules of {ruleset} compare with {', '.join(missing)}, which references= does not name. "
                f'Add references={{"{missing[0]}": "s3://..."}}'
            )
        self.ruleset = ruleset
        self.asks_through: str | None = None

    def code_paths(self) -> list[str]:
        """List the check's script and the ruleset."""
        return [*super().code_paths(), self.ruleset]

    def artifact(self, path: str) -> Artifact:
        """Read the script, or compile the ruleset to the plan that the script evaluates."""
        if path == self.ruleset:
            return Artifact(path, "plan.json", plan_of(path).encode())
        return super().artifact(path)

    def prepare(self, run: Run, code: Mapping[str, str], key: Key) -> Job:
        """Name the plan and where the result shall lie."""
        job = cast("SparkJob", super().prepare(run, code, key))
        more = ("--plan", code[self.ruleset], "--result", self._result_address(run, key))
        return job.model_copy(update={"args": (*job.args, *more)})

    def succeeded(self, run: Run, compute: Compute, job_run: str) -> dict[str, Any]:
        """Read the result, log its table, and decide."""
        address, result = self._result(run, compute, job_run)
        decision = quality.decide(result)
        table = quality.format_table(result)
        run.context["ti"].xcom_push(key=QUALITY, value=_told(address, result, decision, table))
        for line in table.splitlines():
            self.log.info("%s", line)
        if decision.gate is not Gate.PASS:
            self.log.log(_LEVEL[decision.gate], "%s", decision.reason)
        if decision.gate is Gate.FAIL:
            raise AirflowFailException(
                f"{decision.reason}\nThe check itself ran; a retry would measure the same. Result: {address}"
            )
        if decision.gate is Gate.ASK and not self.asks_through:
            raise AirflowFailException(
                f"{decision.reason}\nA rule asks a person, and no task of this DAG can: put "
                f"ApproveOperator(checks=[...]) after the pipeline, as emr.publish(...) does. Result: {address}"
            )
        return super().succeeded(run, compute, job_run) | {
            "result": address,
            "decision": decision.gate,
            "rows": result.rows,
        }

    def _result(self, run: Run, compute: Compute, job_run: str) -> tuple[str, QualityResult]:
        record = Record.from_json(run.context["task_state_store"].get(RECORD))
        if record is None:
            raise JobError(
                f"The record of job run {job_run} is gone from the task state store. Clear this task to check again."
            )
        address = self._result_address(run, self._key(run, record))
        bucket, _, key = address.removeprefix("s3://").partition("/")
        profile = run.environment.profile(compute.profile)
        body = s3_of_profile(profile).get_object(Bucket=bucket, Key=key)["Body"].read()
        return address, quality.parse_results(body.decode())

    def _result_address(self, run: Run, key: Key) -> str:
        return f"s3://{run.environment.buckets.data}/quality-results/{run.lease.dag_id}/{key.id}.json"


def _told(address: str, result: QualityResult, decision: Decision, table: str) -> dict[str, Any]:
    """Return what other tasks, notifications and pages are told."""
    rules = [
        {
            "rule": rule.rule,
            "outcome": rule.outcome,
            "measured": rule.measured,
            "bound": rule.bound,
            "reason": rule.reason,
            "severity": str(quality.severity(rule)),
        }
        for rule in result.rules
    ]
    return {
        "decision": str(decision.gate),
        "reason": decision.reason,
        "result": address,
        "rows": result.rows,
        "rules": rules,
        "measures": result.measures,
        "schema": [dict(column) for column in result.schema],
        "quarantine": asdict(result.quarantine) if result.quarantine else None,
        "table": table,
        "question": quality.question([result]),
    }


def ruleset_of(path: str) -> Ruleset:
    """Read a ``.dqdl`` file below ``include/``, once per process and change of the file.

    :raises RulesetError: it cannot be run; the message says where and why.
    """
    source = source_of(path)
    return _read_once(source, source.stat().st_mtime_ns, path)


def may_ask(path: str) -> bool:
    """Tell whether some rule of a ``.dqdl`` file asks a person when it does not pass."""
    return any(rule.labels.get(quality.SEVERITY) == Gate.ASK for rule in ruleset_of(path).rules)


def plan_of(path: str) -> str:
    """Compile a ``.dqdl`` file below ``include/`` to the plan that the check evaluates, as JSON.

    :raises RulesetError: as `ruleset_of`.
    """
    return quality.compile_plan(ruleset_of(path)).to_json()


@lru_cache(maxsize=256)
def _read_once(source: Path, _changed: int, path: str) -> Ruleset:
    return quality.parse_ruleset(source.read_text(encoding="utf-8"), path)
