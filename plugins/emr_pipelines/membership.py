"""How a task knows its pipeline: the group it stands in, what the DAG offers, and the lease of its run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emr_pipelines.choosing import Choice, Offer
from emr_pipelines.environments import Environment, current_environment
from emr_pipelines.errors import ComputeReleasedError, ConfigurationError
from emr_pipelines.keys import Lease
from emr_pipelines.targets.base import Compute

if TYPE_CHECKING:
    from airflow.sdk import Context


@dataclass(frozen=True)
class Membership:
    """What a pipeline's tasks share, known when the DAG is parsed."""

    group_id: str
    offer: Offer

    @property
    def acquire_id(self) -> str:
        """The id of the task that acquires the compute."""
        return f"{self.group_id}.acquire"

    def lease(self, environment: Environment, dag_id: str, run_id: str) -> Lease:
        """Return the lease of one run of this pipeline."""
        return Lease(environment.deployment, dag_id, run_id, self.group_id)


def membership_of(task: Any) -> Membership:
    """Find the pipeline that a task, mapped or not, stands in, however deep.

    :raises ConfigurationError: it stands in none.
    """
    group = task.task_group
    while group is not None:
        found = getattr(group, "membership", None)
        if isinstance(found, Membership):
            return found
        group = group.parent_group
    raise ConfigurationError(f"Task {task.task_id!r} needs compute: put it inside `with EmrPipeline(...)`")


@dataclass(frozen=True)
class Run:
    """One run of a pipeline, as one of its tasks sees it while it executes."""

    membership: Membership
    environment: Environment
    lease: Lease
    context: Context

    @classmethod
    def of(cls, context: Context) -> Run:
        """Read the run from Airflow's context."""
        # The context's own task may be unmapped; the DAG's still stands in its group.
        task = context["dag"].get_task(context["ti"].task_id)
        membership = membership_of(task)
        environment = current_environment()
        lease = membership.lease(environment, context["dag"].dag_id, context["run_id"])
        return cls(membership, environment, lease, context)

    @property
    def choice(self) -> Choice:
        """What the run was triggered with."""
        return self.membership.offer.choice(self.context["params"], getattr(self.context["dag_run"], "conf", None))

    def unused(self) -> set[str]:
        """Return the offered profiles whose compute acquire has not reported; none of them where it has reported nothing."""
        value = self.context["ti"].xcom_pull(task_ids=self.membership.acquire_id)
        return set(self.membership.offer.profiles) - {Compute.from_json(value["compute"]).profile} if value else set()

    def acquired(self) -> tuple[Compute, dict[str, str]]:
        """Return the compute of this run, and the addresses of the job code that was pinned with it.

        :raises ComputeReleasedError: the acquire task left nothing.
        """
        value = self.context["ti"].xcom_pull(task_ids=self.membership.acquire_id)
        if not value:
            raise ComputeReleasedError(
                f"Task {self.membership.acquire_id!r} left no compute for this run. Nothing runs. Clear this task again with "
                "'Only failed' off, so that compute is acquired anew."
            )
        return Compute.from_json(value["compute"]), dict(value["code"])
