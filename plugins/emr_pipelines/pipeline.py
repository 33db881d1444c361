"""A pipeline: jobs between the compute that they need and its end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, BaseNotifier, Param, TaskGroup, chain

from emr_pipelines.acquiring import AcquireOperator
from emr_pipelines.approving import ApproveOperator
from emr_pipelines.checking import QualityCheckOperator
from emr_pipelines.choosing import TARGET, Bounds, Offer
from emr_pipelines.datasets import staged_in
from emr_pipelines.engines import jobs_in
from emr_pipelines.environments import current_environment
from emr_pipelines.errors import ConfigurationError
from emr_pipelines.job_checks import check_engine
from emr_pipelines.membership import Membership
from emr_pipelines.operators import EmrJobOperator
from emr_pipelines.publishing import PublishOperator
from emr_pipelines.releasing import ReleaseOnTimeout, ReleaseOperator, VerdictOperator

_IN_THE_FORM = (
    "The compute that the EMR jobs of this run use. **Backfill:** a choice made in that form counts only with "
    "*Override parameters on existing runs* ticked; otherwise its runs use the default."
)


class EmrPipeline(TaskGroup):
    """A task group whose jobs run on compute that is acquired before them and released after them, whatever happens.

    ::

        begin >> acquire >> the group's tasks >> release >> verdict

    ``begin`` and ``acquire`` are setups, ``release`` and ``verdict`` teardowns: clearing a job acquires again, and release runs
    though acquire failed. What follows the group follows ``verdict``: no compute waits for it.

    :param group_id: the group's id.
    :param targets: the profiles that a person may choose from when triggering, the default first. A list among them,
        ``["serverless", "ec2"]``, stands for the first of these that can be had.
    :param overrides: settings of the profiles that a person may change when triggering, within bounds:
        ``{"maximum_workers": Between(1, 100)}``.
    :raises ConfigurationError: some offered profile does not exist, does not take an override, or its target cannot run some
        job of the group.
    """

    def __init__(
        self,
        group_id: str,
        *,
        targets: Sequence[str | Sequence[str]] = ("ec2",),
        overrides: Mapping[str, Bounds] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(group_id, **kwargs)
        try:
            offer = Offer.of(targets, overrides or {})
            offer.check(current_environment())
        except ConfigurationError as error:
            raise ConfigurationError(f"EmrPipeline {group_id!r}: {error}") from None
        self.membership = Membership(str(self.group_id), offer)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Check the jobs, then put the surrounding tasks around them."""
        try:
            if kind is None:
                self._check(self)
                self._follow_what_is_staged()
                self._offer_targets()
                self._surround()
        finally:
            super().__exit__(kind, error, trace)  # type: ignore[no-untyped-call]  # Airflow's has no types

    def get_leaves(self) -> Any:
        """Return the verdict: what follows the pipeline follows it."""
        verdict = self.children.get(self.child_id("verdict"))  # type: ignore[no-untyped-call]  # Airflow's has no types
        return iter([verdict]) if verdict else super().get_leaves()

    def publish(
        self,
        *jobs: EmrJobOperator,
        approve_within: timedelta = timedelta(hours=24),
        notifiers: Sequence[BaseNotifier] = (),
    ) -> PublishOperator:
        """Let readers see what jobs of the group staged, after release, once every check of the group passed or a person approved.

        ::

            pipeline >> approve >> publish

        ``approve`` is there when a rule of a check may ask. For a second pipeline of a DAG, call it inside a ``TaskGroup``.

        :param jobs: those whose staged partitions are published together.
        :param approve_within: how long a person has to answer.
        :param notifiers: what tells that person, as the ``ApprovalOperator`` of Airflow takes it.
        :raises ConfigurationError: no check of the group looks at what is published, or one is not told what it looks at; a check is
            mapped; the DAG's ``dagrun_timeout`` leaves a person too little time.
        """
        checks = self._checks_of(jobs)
        asking = [check for check in checks if check.may_ask]
        approve = None
        if asking:
            approve = ApproveOperator(
                task_id="approve", checks=asking, response_timeout=approve_within, notifiers=list(notifiers)
            )
        publish = PublishOperator(task_id="publish", staged=jobs, audited_by=checks, approved_by=approve)
        chain(self, *([approve] if approve else []), publish)
        return publish

    def _checks_of(self, jobs: Sequence[EmrJobOperator]) -> list[QualityCheckOperator]:
        """Return the group's checks; refuse to publish what none of them looks at, or what one takes for another dataset's."""
        if self.child_id("verdict") not in self.children:  # type: ignore[no-untyped-call]  # Airflow's has no types
            raise ConfigurationError(
                f"EmrPipeline {self.group_id!r} publishes when its compute is gone. Call publish behind the with block, not in it"
            )
        checks = [task for task in self if isinstance(task, QualityCheckOperator)]
        mapped = [task.task_id for task in self if _maps_checks(task)]
        if mapped:
            raise ConfigurationError(
                f"Task {mapped[0]!r} maps a quality check, and publishing asks each check for one decision. Write single checks"
            )
        stagings = {job.staged: job.stages for job in jobs if isinstance(job, EmrJobOperator) and job.stages}
        audits = [check for check in checks if check.data in stagings or check in jobs]
        if not audits:
            raise ConfigurationError(
                f"EmrPipeline {self.group_id!r} has no QualityCheckOperator that looks at what it would publish. Give one in the group "
                "data=<task>.staged of a task that is published"
            )
        for check in audits:
            stages = stagings.get(check.data, check.stages)
            if stages and (check.dataset, check.audited) != (stages.dataset, stages.value):
                raise ConfigurationError(
                    f"Task {check.task_id!r} looks at a partition of {stages.dataset.name!r}, and is not told so. "
                    f"Give it audits=, the same partition that stages= of that task names"
                )
        return checks

    def _follow_what_is_staged(self) -> None:
        """Put each task behind those whose staged folder its job names, as Airflow does with outputs."""
        tasks = {str(task.task_id): task for task in self}
        for task in tasks.values():
            for name in staged_in(task.job) if isinstance(task, EmrJobOperator) else ():
                if name in tasks and name != task.task_id and name not in task.get_flat_relative_ids(upstream=True):
                    tasks[name] >> task

    def _surround(self) -> None:
        roots, leaves = list(self.get_roots()), list(self.get_leaves())
        begin = EmptyOperator(task_id="begin").as_setup()
        # One at a time, so that runs that start together count each other where a profile limits them.
        acquire = AcquireOperator(task_id="acquire", max_active_tis_per_dag=self._acquires_at_once()).as_setup()  # type: ignore[no-untyped-call]  # Airflow's has no types
        release = ReleaseOperator(task_id="release", retries=3, retry_delay=10)
        verdict = VerdictOperator(task_id="verdict", retries=0)
        begin >> acquire >> roots
        (leaves or [acquire]) >> release
        release >> verdict
        release.as_teardown(setups=[begin, acquire], on_failure_fail_dagrun=True)
        verdict.as_teardown(setups=[begin], on_failure_fail_dagrun=True)
        _call_first(self.dag, ReleaseOnTimeout(self.membership))

    def _acquires_at_once(self) -> int | None:
        environment = current_environment()
        limited = any(environment.profile(name).max_concurrent for name in self.membership.offer.profiles)
        return 1 if limited else None

    def _offer_targets(self) -> None:
        offer = self.membership.offer
        labels = offer.labels(current_environment())
        self._add_parameter(
            TARGET,
            next(iter(labels)),
            {"type": "string", "enum": list(labels), "values_display": labels},
            title="Target",
            description_md=_IN_THE_FORM,
        )
        for setting, bounds in offer.overrides.items():
            self._add_parameter(
                setting,
                None,
                bounds.schema(),
                title=setting.replace("_", " ").capitalize(),
                description="Leave it empty to keep the profile's own.",
                section="Instead of the profile's own settings",
            )

    def _add_parameter(self, name: str, default: Any, schema: dict[str, Any], **texts: Any) -> None:
        """Add a parameter to the DAG; pipelines of one DAG share it, so they must offer the same."""
        if name in self.dag.params:
            known = self.dag.params.get_param(name).schema
            if any(known.get(key) != value for key, value in schema.items()):
                raise ConfigurationError(
                    f"EmrPipeline {self.group_id!r} offers {_values(schema)} as {name!r}, and the DAG has a parameter of that name "
                    f"for {_values(known)}: pipelines of one DAG offer the same"
                )
        self.dag.params[name] = Param(default, **schema, **texts)

    def _check(self, tasks: Iterable[Any]) -> None:
        """Refuse a job that some offered profile's target cannot run."""
        environment = current_environment()
        for name in self.membership.offer.profiles:
            profile = environment.profile(name)
            for task in tasks:
                for job in jobs_in(task) or []:
                    check_engine(job, task.task_id, profile)


def _maps_checks(task: Any) -> bool:
    kind = None if isinstance(task, QualityCheckOperator) else getattr(task, "operator_class", None)
    return isinstance(kind, type) and issubclass(kind, QualityCheckOperator)


def _values(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return f"one of {schema['enum']}"
    return f"{schema.get('type', 'anything')} from {schema.get('minimum', '?')} to {schema.get('maximum', '?')}"


def _call_first(dag: DAG, callback: Any) -> None:
    """Put a callback before the DAG's own failure callbacks: ending compute comes before telling of it."""
    own = dag.on_failure_callback or []
    dag.on_failure_callback = [callback, *(own if isinstance(own, list) else [own])]
    dag.has_on_failure_callback = True
