"""The task that checks data against a ruleset, and decides whether it may go on."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from airflow.sdk.exceptions import AirflowFailException
from botocore.exceptions import BotoCoreError, ClientError

from emr_pipelines import quality
from emr_pipelines.artifacts import CHECK_SCRIPT, Artifact, source_of
from emr_pipelines.clients import clients_of_environment
from emr_pipelines.datasets import STAGED, Partition, check_partition
from emr_pipelines.errors import ConfigurationError, JobError
from emr_pipelines.job_checks import existing
from emr_pipelines.jobs import Job, SparkJob
from emr_pipelines.keys import Key, Record
from emr_pipelines.lineage import lineage_of
from emr_pipelines.manifests import bucket_and_key
from emr_pipelines.membership import Run
from emr_pipelines.operators import RECORD, EmrJobOperator
from emr_pipelines.past_results import (
    SHOWN,
    changed_since,
    depth_needed,
    earlier_measures,
    earlier_result,
    result_address,
    trend,
)
from emr_pipelines.quality import Decision, Gate, QualityResult, RuleResult, Ruleset
from emr_pipelines.schema_registry import changes_from_current
from emr_pipelines.targets.base import Compute

QUALITY = "quality"
"""Key of the XCom that says what a check found and decided."""
SCHEMA_RULE = "Schema of"
"""How the rule begins that says whether readers of what is published can read the new schema."""
SEVERITIES = ("fail", "ask", "warn")
_LEVEL = {Gate.WARN: logging.WARNING, Gate.ASK: logging.WARNING, Gate.FAIL: logging.ERROR}


class QualityCheckOperator(EmrJobOperator):
    """Checks data against a ruleset in DQDL, on the pipeline's compute, and decides by the rules' severity whether it may go on.

    A rule that does not pass fails the task, unless its label ``severity`` says ``warn`` or ``ask``: the first is only told, and
    the second lets the pipeline end and asks a person in the ``approve`` task behind it.

    Its XCom ``quality``, pushed also when it fails, is ``{"decision", "reason", "result": <address>, "rows", "rules": [{"rule",
    "outcome", "measured", "bound", "reason", "severity"}], "measures", "schema", "quarantine", "table", "question"}``.

    :param ruleset: path of a ``.dqdl`` file below ``include/``, compiled when the DAG is parsed.
    :param data: address of the data, a folder of files; may hold templates. ``task.staged`` of the job that writes it, for example.
    :param audits: the dataset's partition that the data is meant to become. Dynamic rules then compare with its earlier partitions,
        and its schema with the one that is published; without it, results are kept for this task and the run's date.
    :param schema_changes: what a change of the published schema that breaks readers leads to: ``fail``, ``ask`` or ``warn``.
    :param data_format: the files' format, as Spark names it.
    :param references: what rules compare with: alias -> address, in the same format; may hold templates.
    :param quarantine: address of a folder for the rows that break a rule about rows, each with the rules that it broke; they lie in
        a version of their own below it. May hold templates.
    :param stages: with ``quarantine``: the dataset's partition that the other rows are staged as.
    :raises ConfigurationError: a rule compares with a dataset that ``references`` does not name, two references have one name, or
        ``stages`` stands without ``quarantine``.
    :raises RulesetError: the ruleset cannot be run; the message says where and why.
    """

    template_fields = (*EmrJobOperator.template_fields, "audited")  # type: ignore[assignment]  # Airflow's convention

    def __init__(  # noqa: PLR0913  # what there is to say of a check
        self,
        *,
        ruleset: str,
        data: str,
        audits: Partition | None = None,
        schema_changes: str = "fail",
        data_format: str = "parquet",
        references: Mapping[str, str] | None = None,
        quarantine: str | None = None,
        **kwargs: Any,
    ) -> None:
        check_partition(str(kwargs.get("task_id")), "audits", audits)
        check_partition(str(kwargs.get("task_id")), "stages", kwargs.get("stages"))
        if not isinstance(data, str):
            raise ConfigurationError(
                f"Task {kwargs.get('task_id')!r}: data={data!r} is no address. Write data=<task>.staged for what a task has staged"
            )
        if kwargs.get("stages") and not quarantine:
            raise ConfigurationError(
                f"Task {kwargs.get('task_id')!r} would stage the rows that break no rule, and the others would go nowhere. "
                "Give it quarantine=, a folder for them"
            )
        arguments = ["--data", data, "--format", data_format]
        for alias, address in (references or {}).items():
            arguments += ["--reference", f"{alias}={address}"]
        if quarantine:
            arguments += ["--quarantine", quarantine]
        if kwargs.get("stages"):
            arguments += ["--good", STAGED]
        super().__init__(job=SparkJob(script=CHECK_SCRIPT, args=tuple(arguments)), **kwargs)
        existing(ruleset, self.task_id)
        missing = [alias for alias in ruleset_of(ruleset).references if alias not in (references or {})]
        if missing:
            raise ConfigurationError(
                f"Task {self.task_id!r}: rules of {ruleset} compare with {', '.join(missing)}, which references= does not name. "
                f'Add references={{"{missing[0]}": "s3://..."}}'
            )
        if schema_changes not in SEVERITIES:
            raise ConfigurationError(
                f"Task {self.task_id!r}: schema_changes={schema_changes!r} is none of {', '.join(SEVERITIES)}"
            )
        names = [alias.lower() for alias in references or {}]
        if "primary" in names or len(set(names)) < len(names):
            raise ConfigurationError(
                f"Task {self.task_id!r} names references {', '.join(references or {})}: primary is the data itself, and upper and lower "
                "case are the same. Rename one, here and in the rules"
            )
        self.ruleset = ruleset
        self.data = data
        self.schema_changes = schema_changes
        self.dataset = audits.dataset if audits else None
        self.audited = audits.value if audits else "{{ dag_run.logical_date or dag_run.run_after }}"
        self.asks_through: str | None = None
        self._found: QualityResult | None = None

    @property
    def may_ask(self) -> bool:
        """Whether a person may have to decide."""
        labels = [rule.labels.get(quality.SEVERITY) for rule in ruleset_of(self.ruleset).rules]
        return "ask" in (self.schema_changes, *labels)

    def code_paths(self) -> list[str]:
        """List the check's script and the ruleset."""
        return [*super().code_paths(), self.ruleset]

    def artifact(self, path: str) -> Artifact:
        """Read the script, or compile the ruleset to the plan that the script evaluates."""
        if path == self.ruleset:
            return Artifact(path, "plan.json", plan_of(path).encode())
        return super().artifact(path)

    def prepare(self, run: Run, code: Mapping[str, str], key: Key) -> Job:
        """Name the plan, where the result shall lie, and what earlier checks measured, where a rule compares with it."""
        job = cast("SparkJob", super().prepare(run, code, key))
        arguments = list(job.args)
        if "--quarantine" in arguments:
            place = arguments.index("--quarantine") + 1
            arguments[place] = f"{arguments[place].rstrip('/')}/version={key.id}/"
        result = self._result_address(run, key)
        more = ["--plan", code[self.ruleset], "--result", result]
        if depth := depth_needed(ruleset_of(self.ruleset)):
            history = result.removesuffix(".json") + ".history"
            s3 = clients_of_environment(run.environment).repeating("s3")
            bucket, path = bucket_and_key(history)
            measures = earlier_measures(s3, bucket, self._dataset_name(), self._partition_value(), depth)
            s3.put_object(Bucket=bucket, Key=path, Body=json.dumps({"measures": measures}).encode())
            more += ["--history", history]
        return job.model_copy(update={"args": (*arguments, *more)})

    def succeeded(self, run: Run, compute: Compute, job_run: str) -> dict[str, Any]:
        """Read the result, log its table, and decide."""
        s3 = clients_of_environment(run.environment).repeating("s3")
        address, result = self._result(s3, run, job_run)
        result = self._found = self._with_schema(s3, result)
        self.rows = result.rows
        decision = quality.decide(result)
        table = quality.format_table(result)
        run.context["ti"].xcom_push(key=QUALITY, value=_told(address, result, decision, table))
        for line in table.splitlines():
            self.log.info("%s", line)
        for line in self._past(s3, run, address, result):
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

    def _result(self, s3: Any, run: Run, job_run: str) -> tuple[str, QualityResult]:
        record = Record.from_json(run.context["task_state_store"].get(RECORD))
        if record is None:
            raise JobError(
                f"The record of job run {job_run} is gone from the task state store. Clear this task to check again."
            )
        address = self._result_address(run, self._key(run, record))
        bucket, key = bucket_and_key(address)
        try:
            return address, quality.parse_results(s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode())
        except (s3.exceptions.NoSuchKey, quality.ResultError, UnicodeDecodeError) as error:
            # A retry would find the same job run, which has ended.
            raise AirflowFailException(
                f"The result of the check, {address}, is gone or cannot be read: {error}. Clear this task to check again."
            ) from error

    def _past(self, s3: Any, run: Run, address: str, result: QualityResult) -> list[str]:
        """Tell what is otherwise than in the check before of the same data, and how measures went over the last partitions."""
        try:
            return self._compared(s3, run, address, result)
        except (ClientError, BotoCoreError) as error:
            return [f"Earlier results could not be read, so nothing is compared with them: {error}"]

    def _compared(self, s3: Any, run: Run, address: str, result: QualityResult) -> list[str]:
        before = earlier_result(s3, address, result.source)
        since = [f"Since the check before: {line}" for line in (changed_since(before, result) if before else [])]
        needed = dict.fromkeys(result.measures, SHOWN - 1)
        earlier = earlier_measures(
            s3, run.environment.buckets.data, self._dataset_name(), self._partition_value(), needed
        )
        return since + trend(earlier, result.measures)

    def get_openlineage_facets_on_complete(self, _task_instance: Any) -> Any:
        """Tell OpenLineage's provider, where it is installed, what was found; it asks when the task has ended, well or not."""
        data = self.job["args"][self.job["args"].index("--data") + 1]
        return lineage_of(self._found, self.dataset.address if self.dataset else data)

    def _with_schema(self, s3: Any, result: QualityResult) -> QualityResult:
        """Add what became of the dataset's schema, as one more rule, where data is audited that has one."""
        if self.dataset is None:
            return result
        breaking = [
            str(change) for change in changes_from_current(s3, self.dataset, result.schema) if change.kind.breaking
        ]
        schema = RuleResult(
            rule=f"{SCHEMA_RULE} {self.dataset.name}",
            outcome="Failed" if breaking else "Passed",
            measured=None,
            bound="no breaking change",
            reason="; ".join(breaking) or "readers of what is published can read it",
            labels={quality.SEVERITY: self.schema_changes},
        )
        return replace(result, rules=(*result.rules, schema))

    def _dataset_name(self) -> str:
        return self.dataset.name if self.dataset else f"{self.dag_id}.{self.task_id}"

    def _partition_value(self) -> str:
        """Return the audited partition's value, now that it is rendered."""
        if self.dataset is None:
            return str(self.audited)
        try:
            return self.dataset.partition(str(self.audited)).value
        except ConfigurationError as error:
            raise AirflowFailException(str(error)) from None

    def _result_address(self, run: Run, key: Key) -> str:
        return result_address(run.environment.buckets.data, self._dataset_name(), self._partition_value(), key.id)


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
        "question": quality.question(result),
    }


def ruleset_of(path: str) -> Ruleset:
    """Read a ``.dqdl`` file below ``include/``, once per process and change of the file.

    :raises RulesetError: it cannot be run; the message says where and why.
    """
    source = source_of(path)
    return _read_once(source, source.stat().st_mtime_ns, path)


def plan_of(path: str) -> str:
    """Compile a ``.dqdl`` file below ``include/`` to the plan that the check evaluates, as JSON.

    :raises RulesetError: as `ruleset_of`.
    """
    return quality.compile_plan(ruleset_of(path)).to_json()


@lru_cache(maxsize=256)
def _read_once(source: Path, _changed: int, path: str) -> Ruleset:
    return quality.parse_ruleset(source.read_text(encoding="utf-8"), path)
