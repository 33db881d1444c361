"""A pipeline: jobs between the compute that they need and its end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Param, TaskGroup

from emr_pipelines.environments import current_environment
from emr_pipelines.errors import ConfigurationError
from emr_pipelines.jobs import job_from
from emr_pipelines.leasing import AcquireOperator, ReleaseOnTimeout, ReleaseOperator, VerdictOperator
from emr_pipelines.membership import Membership
from emr_pipelines.targets import capabilities_of

_PARAMETER = "target"


class EmrPipeline(TaskGroup):
    """A task group whose jobs run on compute that is acquired before them and released after them, whatever happens.

    ::

        begin >> acquire >> the group's tasks >> release >> verdict

    ``begin`` and ``acquire`` are setups, ``release`` and ``verdict`` teardowns: clearing a job acquires again, and release runs
    though acquire failed. What follows the group follows ``verdict``: no compute waits for it.

    :param group_id: the group's id.
    :param targets: the profiles that a person may choose from when triggering, the default first.
    :raises ConfigurationError: some offered profile does not exist, or its target cannot run some job of the group.
    """

    def __init__(self, group_id: str, *, targets: Sequence[str] = ("ec2",), **kwargs: Any) -> None:
        super().__init__(group_id, **kwargs)
        if isinstance(targets, str) or not targets or len(set(targets)) != len(targets):
            raise ConfigurationError(
                f"EmrPipeline {group_id!r}: targets= is a list of different profile names, and it is {targets!r}"
            )
        self.membership = Membership(str(self.group_id), tuple(targets), _PARAMETER)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Check the jobs, then put the surrounding tasks around them."""
        try:
            if kind is None:
                self._check(self)
                self._offer_targets()
                self._surround()
        finally:
            super().__exit__(kind, error, trace)  # type: ignore[no-untyped-call]  # Airflow's has no types

    def get_leaves(self) -> Any:
        """Return the verdict: what follows the pipeline follows it."""
        verdict = self.children.get(self.child_id("verdict"))  # type: ignore[no-untyped-call]  # Airflow's has no types
        return iter([verdict]) if verdict else super().get_leaves()

    def _surround(self) -> None:
        roots, leaves = list(self.get_roots()), list(self.get_leaves())
        begin = EmptyOperator(task_id="begin").as_setup()
        acquire = AcquireOperator(task_id="acquire").as_setup()  # type: ignore[no-untyped-call]  # Airflow's has no types
        release = ReleaseOperator(task_id="release", retries=3, retry_delay=10)
        verdict = VerdictOperator(task_id="verdict", retries=0)
        begin >> acquire >> roots
        (leaves or [acquire]) >> release
        release >> verdict
        release.as_teardown(setups=[begin, acquire], on_failure_fail_dagrun=True)
        verdict.as_teardown(setups=[begin], on_failure_fail_dagrun=True)
        _call_first(self.dag, ReleaseOnTimeout(self.membership))

    def _offer_targets(self) -> None:
        profiles = list(self.membership.profiles)
        offered = self.dag.params.get_param(_PARAMETER) if _PARAMETER in self.dag.params else None
        if offered is not None and offered.schema.get("enum") != profiles:
            raise ConfigurationError(
                f"EmrPipeline {self.group_id!r} offers {profiles}, and the DAG's parameter {_PARAMETER!r} already offers "
                f"{offered.schema.get('enum') or 'something else'}: pipelines of one DAG offer the same targets"
            )
        self.dag.params[_PARAMETER] = Param(
            profiles[0],
            type="string",
            enum=profiles,
            title="Target",
            description="The compute profile that the EMR jobs of this run use.",
        )

    def _check(self, tasks: Iterable[Any]) -> None:
        """Refuse a job that some offered profile's target cannot run."""
        environment = current_environment()
        for name in self.membership.profiles:
            try:
                profile = environment.profile(name)
            except ConfigurationError as error:
                raise ConfigurationError(f"EmrPipeline {self.group_id!r}: {error}") from None
            engines = capabilities_of(profile.target).engines
            for task in tasks:
                for job in _jobs_in(task):
                    try:
                        job.engine_on(engines)
                    except ConfigurationError as error:
                        raise ConfigurationError(
                            f"Task {task.task_id!r} cannot run on target {profile.target!r} (profile {name!r}): it {error}. "
                            f"Take {name!r} out of targets=, or change the job."
                        ) from None


def _jobs_in(task: Any) -> list[Any]:
    """Return a task's jobs as far as they are known before it runs; a mapped task's job may not be."""
    if hasattr(task, "code_paths"):
        return [job_from(task.job)]
    job = getattr(task, "partial_kwargs", {}).get("job")
    return [job] if job is not None else []


def _call_first(dag: DAG, callback: Any) -> None:
    """Put a callback before the DAG's own failure callbacks: ending compute comes before telling of it."""
    own = dag.on_failure_callback or []
    dag.on_failure_callback = [callback, *(own if isinstance(own, list) else [own])]
    dag.has_on_failure_callback = True
