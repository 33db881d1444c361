"""The task that lets readers see what was staged and audited."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException
from botocore.exceptions import BotoCoreError, ClientError

from emr_pipelines import quality
from emr_pipelines.approving import ASKED, ApproveOperator
from emr_pipelines.catalogue import check_table, switch_partition
from emr_pipelines.checking import QUALITY, SCHEMA_RULE, QualityCheckOperator
from emr_pipelines.clients import clients_of_environment
from emr_pipelines.datasets import Dataset, Partition, Staged, staged_by
from emr_pipelines.environments import Environment, current_environment
from emr_pipelines.errors import ConfigurationError, DataError, EmrPipelinesError
from emr_pipelines.manifests import Manifest, bucket_and_key, manifest_address, read_manifest, write_manifest
from emr_pipelines.operators import EmrJobOperator
from emr_pipelines.quality import Gate, QualityResult
from emr_pipelines.schema_registry import changes_from_current, refuse_breaking, register

if TYPE_CHECKING:
    from airflow.sdk import Context


@dataclass(frozen=True)
class Audit:
    """What a check decided, and the result that it decided on."""

    task: str
    decision: Gate
    reason: str
    address: str
    result: QualityResult
    measured_at: datetime
    breaking: bool = False
    """Whether it told that the schema breaks readers of what is published."""

    def rows_at(self, location: str) -> int | None:
        """Return how many rows it found at a location; ``None`` where it did not look."""
        if self.result.data == location:
            return self.result.rows
        kept = self.result.quarantine
        return kept.good_rows if kept and kept.good == location else None


@dataclass(frozen=True)
class Approval:
    """Who let data go on that broke a rule, why, and the addresses of the results that this person was shown."""

    by: str
    reason: str
    asked: tuple[str, ...]


class PublishOperator(BaseOperator):
    """Lets readers see the versions that jobs of this run have staged, after their audit; put it after the pipeline and ``approve``.

    Of each partition it writes one manifest, which names the version; it registers the schema that a check found in it, and where
    the environment has a ``catalogue`` and the dataset a ``table``, it switches the table's partition, too. It trusts no trigger
    rule: it reads the decision of each check and the answer of the person asked, and fails without publishing when one of these
    is missing, belongs to another version, or says no.

    Its outlets are the datasets' assets; their events say what was published, as does its XCom: ``[{"dataset", "partition",
    "location", "previous", "rows", "decision", "measures"}, ...]``.

    :param staged: the tasks whose versions are published.
    :param audited_by: the checks that all have to let them pass.
    :param approved_by: the task that asks a person where a check does.
    :raises ConfigurationError: a task is mapped, stages nothing, or stages a dataset that another one does; or is no check.
    """

    ui_color = "#d8f5dc"

    def __init__(
        self,
        *,
        staged: Sequence[EmrJobOperator],
        audited_by: Sequence[QualityCheckOperator],
        approved_by: ApproveOperator | None = None,
        **kwargs: Any,
    ) -> None:
        task_id = str(kwargs.get("task_id"))
        self.datasets = _datasets_of(task_id, staged)
        assets = [dataset.asset for dataset in self.datasets.values()]
        super().__init__(**{**kwargs, "outlets": [*kwargs.get("outlets", ()), *assets]})
        for check in audited_by:
            if not isinstance(check, QualityCheckOperator):
                raise ConfigurationError(
                    f"Task {task_id!r} publishes what quality checks audited; {check!r} is none, or is mapped. "
                    "Give it QualityCheckOperator tasks that are not mapped"
                )
        self.checks = [str(check.task_id) for check in audited_by]
        self.approval = str(approved_by.task_id) if approved_by else None

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Publish, or say why not."""
        environment = current_environment()
        clients = clients_of_environment(environment)
        s3 = clients.repeating("s3")
        ti = context["ti"]
        try:
            staged = {task: staged_by(ti, task) for task in self.datasets}
            audits = [read_audit(s3, check, ti.xcom_pull(task_ids=check, key=QUALITY)) for check in self.checks]
            approval = self._approval(ti)
            refuse_unaudited(staged.values(), audits, approval)
            for task, one in staged.items():
                _refuse_empty(s3, task, one)
            partitions = {task: self.datasets[task].partition(one.partition) for task, one in staged.items()}
            before = {task: read_manifest(s3, one) for task, one in partitions.items()}
            refuse_older([one for one in before.values() if one], audits, ti.run_id)
            self._refuse_undecided_schemas(s3, staged, audits)
            tables = _tables(clients, environment, partitions)
        except EmrPipelinesError as error:
            # What stands in the way is a fact of this run: a retry would find it again.
            raise AirflowFailException(str(error)) from error
        by = {
            "deployment": environment.deployment,
            "dag": ti.dag_id,
            "run": ti.run_id,
            "task": ti.task_id,
        }
        told = []
        for task, one in staged.items():
            manifest = manifest_of(one, by, audits, approval).after(before[task])
            if manifest.quality is None:
                self.log.warning("No check looked at %s itself; it is published with what was checked", one.location)
            write_manifest(s3, partitions[task], manifest)
            was = old.location if (old := before[task]) else "nothing"
            self.log.info("Readers of %s see %s now; before: %s", partitions[task].address, one.location, was)
            if manifest.schema:
                # Where it breaks readers, the check has told of it, and the gate or a person has let it pass.
                register(
                    s3,
                    partitions[task].dataset,
                    manifest.schema,
                    {"partition": one.partition, **by},
                    accept_breaking=True,
                )
            told.append(told_of(manifest, audits))
            context["outlet_events"][self.datasets[task].asset].extra.update(told[-1])
        for task, table in tables.items():
            self._switch_table(clients.repeating("glue"), table, partitions[task], staged[task].location)
        return told

    def _approval(self, ti: Any) -> Approval | None:
        if self.approval is None:
            return None
        answer, asked = (ti.xcom_pull(task_ids=self.approval, key=key) for key in ("return_value", ASKED))
        return approval_in(answer, asked or ())

    def _refuse_undecided_schemas(self, s3: Any, staged: Mapping[str, Staged], audits: Sequence[Audit]) -> None:
        """Refuse a schema that breaks readers and of which no check told: what is published may have changed since it looked."""
        for task, one in staged.items():
            for audit in audits:
                if audit.rows_at(one.location) is not None and not audit.breaking:
                    refuse_breaking(
                        self.datasets[task], changes_from_current(s3, self.datasets[task], audit.result.schema)
                    )

    def _switch_table(self, glue: Any, table: dict[str, Any], partition: Partition, location: str) -> None:
        name = f"{table['DatabaseName']}.{table['Name']}"
        try:
            switch_partition(glue, table, partition, location)
        except (ClientError, BotoCoreError) as error:
            raise DataError(
                f"Partition {partition.name} of table {name} could not be switched: {error}\n"
                f"Who reads by {manifest_address(partition)} sees {location}; who reads the table sees what it led to before. "
                "A retry of this task mends that."
            ) from error
        self.log.info("Partition %s of table %s leads to %s now", partition.name, name, location)


def read_audit(s3: Any, check: str, told: Mapping[str, Any] | None) -> Audit:
    """Read what a check told, and its result in S3.

    :raises DataError: it told nothing in this run.
    """
    if not told:
        raise DataError(
            f"Nothing was published: check {check!r} has decided nothing in this run. Clear it with its downstream."
        )
    bucket, key = bucket_and_key(told["result"])
    try:
        answer = s3.get_object(Bucket=bucket, Key=key)
        result = quality.parse_results(answer["Body"].read().decode())
    except (s3.exceptions.NoSuchKey, quality.ResultError, UnicodeDecodeError) as error:
        raise DataError(
            f"Nothing was published: the result of check {check!r}, {told['result']}, is gone or cannot be read: {error}. "
            "Clear that check with its downstream."
        ) from error
    decision = quality.strictest([Gate(told["decision"]), quality.decide(result).gate])
    breaking = any(
        rule["rule"].startswith(SCHEMA_RULE) and rule["outcome"] != "Passed" for rule in told.get("rules", ())
    )
    return Audit(check, decision, told["reason"], told["result"], result, answer["LastModified"], breaking)


def approval_in(answer: Mapping[str, Any] | None, asked: Iterable[str]) -> Approval | None:
    """Read an approval from what Airflow's ``ApprovalOperator`` returns; ``None`` unless a person approved.

    :param asked: addresses of the results that the person was asked about.
    """
    if not answer or list(answer["chosen_options"]) != [ApproveOperator.APPROVE] or not answer["responded_by_user"]:
        return None
    user = answer["responded_by_user"]
    reason = str((answer.get("params_input") or {}).get("reason") or "")
    return Approval(str(user.get("name") or user.get("id")), reason, tuple(asked))


def refuse_unaudited(staged: Iterable[Staged], audits: Sequence[Audit], approval: Approval | None) -> None:
    """Refuse to publish what an audit does not let pass.

    :raises DataError: a check failed it, a check asked and no person approved that result, or no check audited these versions.
    """
    versions = list(staged)
    for audit in audits:
        if audit.decision is Gate.FAIL:
            raise DataError(
                f"Nothing was published: {audit.reason}. Check {audit.task!r} does not let {audit.result.data} "
                "pass. Mend the data or the rule, then clear the job that writes the data with its downstream."
            )
        if audit.decision is Gate.ASK and (approval is None or audit.address not in approval.asked):
            raise DataError(
                f"Nothing was published: nobody has approved what check {audit.task!r} asks about: "
                f"{audit.reason}. Clear the task that asks, with its downstream."
            )
        for one in versions:
            folder = one.location.removesuffix(f"version={one.version}/")
            if audit.result.data.startswith(folder) and audit.rows_at(one.location) is None:
                raise DataError(
                    f"Nothing was published: check {audit.task!r} audited {audit.result.data}, and {one.location} was staged since. "
                    f"Clear {audit.task!r} with its downstream."
                )
    if not any(audit.rows_at(one.location) is not None for audit in audits for one in versions):
        raise DataError(
            f"Nothing was published: no check looked at {' or '.join(one.location for one in versions)}. Give one data=<task>.staged."
        )


def refuse_older(published: Iterable[Manifest], audits: Iterable[Audit], run_id: str) -> None:
    """Refuse to publish over what another run has published since this one's data was checked.

    :raises DataError: there is such a version.
    """
    checked = max(audit.measured_at for audit in audits)
    for one in published:
        if one.by.get("run") != run_id and datetime.fromisoformat(one.published_at) > checked:
            raise DataError(
                f"Nothing was published: run {one.by.get('run')!r} has published partition {one.partition} of {one.dataset!r} since "
                "this run checked its own. To publish that all the same, clear the check with its downstream."
            )


def manifest_of(staged: Staged, by: Mapping[str, str], audits: Iterable[Audit], approval: Approval | None) -> Manifest:
    """Return the manifest that names a version, with the audit that looked at it, if one did."""
    manifest = Manifest(
        dataset=staged.dataset,
        partition=staged.partition,
        location=staged.location,
        published_at=datetime.now(UTC).isoformat(timespec="seconds"),
        by=by,
    )
    for audit in audits:
        if (rows := audit.rows_at(staged.location)) is not None:
            asked = approval if audit.decision is Gate.ASK else None
            return manifest.audited(
                rows,
                {
                    "result": audit.address,
                    "decision": str(audit.decision),
                    "approved_by": asked.by if asked else None,
                    "reason": asked.reason if asked else None,
                },
                [dict(column) for column in audit.result.schema],
            )
    return manifest


def told_of(manifest: Manifest, audits: Iterable[Audit]) -> dict[str, Any]:
    """Return what an asset's event says of what was published."""
    measures = [audit.result.measures for audit in audits if audit.rows_at(manifest.location) is not None]
    return {
        "dataset": manifest.dataset,
        "partition": manifest.partition,
        "location": manifest.location,
        "previous": manifest.previous,
        "rows": manifest.rows,
        "decision": (manifest.quality or {}).get("decision"),
        "measures": measures[0] if measures else {},
    }


def _datasets_of(task_id: str, tasks: Sequence[EmrJobOperator]) -> dict[str, Dataset]:
    """Return the datasets that tasks stage, by their ids."""
    found: dict[str, Dataset] = {}
    for task in tasks:
        stages = task.stages if isinstance(task, EmrJobOperator) else None
        if stages is None:
            raise ConfigurationError(
                f"Task {task_id!r} publishes what tasks stage; {task!r} stages nothing, or is mapped. Give that task stages="
            )
        if any(stages.dataset.name == one.name or stages.dataset.address == one.address for one in found.values()):
            raise ConfigurationError(
                f"Task {task_id!r} would publish dataset {stages.dataset.name!r} twice, and an asset has one event of a task: "
                "publish its partitions by tasks of their own"
            )
        found[str(task.task_id)] = stages.dataset
    if not found:
        raise ConfigurationError(f"Task {task_id!r} publishes nothing: give it staged=[...], the tasks that stage")
    return found


def _refuse_empty(s3: Any, task: str, staged: Staged) -> None:
    bucket, prefix = bucket_and_key(staged.location)
    if not s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1).get("KeyCount"):
        raise DataError(
            f"Nothing was published: task {task!r} has written nothing to {staged.location}. Have its job write where STAGED stands, "
            "then clear it with its downstream."
        )


def _tables(clients: Any, environment: Environment, partitions: Mapping[str, Partition]) -> dict[str, dict[str, Any]]:
    """Return the catalogue's tables of the datasets that have one, by the tasks that stage them."""
    if environment.catalogue is None:
        return {}
    glue = clients.repeating("glue")
    database = environment.catalogue.database
    return {task: check_table(glue, database, one) for task, one in partitions.items() if one.dataset.table}
