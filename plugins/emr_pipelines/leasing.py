"""The tasks around a pipeline's jobs: acquire compute, release it, and let the run's state tell the truth."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from emr_pipelines.artifacts import pin
from emr_pipelines.clients import clients_for
from emr_pipelines.environments import Environment, current_environment
from emr_pipelines.errors import ComputeError, JobError
from emr_pipelines.jobs import job_from
from emr_pipelines.keys import Lease
from emr_pipelines.links import LINKS, show_links
from emr_pipelines.membership import Membership, Run
from emr_pipelines.targets import target_for
from emr_pipelines.targets.base import Compute, Target
from emr_pipelines.targets.states import ComputeState, Phase
from emr_pipelines.watching import ComputeTrigger, target_of, wait_briefly

if TYPE_CHECKING:
    from airflow.sdk import Context

_FAILED = ("failed", "upstream_failed")


def _target(environment: Environment, profile_name: str) -> Target:
    profile = environment.profile(profile_name)
    return target_for(profile, clients_for(profile.connection, profile.region))


class AcquireOperator(BaseOperator):
    """Acquires the compute that the run was triggered with, pins the job code, and waits until the compute is ready.

    A retry adopts what an earlier try created. Its XCom is ``{"compute": ..., "code": {path: address}}``.
    """

    operator_extra_links = LINKS
    ui_color = "#d8e8f5"

    def execute(self, context: Context) -> dict[str, Any]:
        """Acquire and wait."""
        run = Run.of(context)
        profile = run.membership.chosen(context["params"])
        work = _jobs_of(context["dag"], run.membership)
        target = _target(run.environment, profile)
        code = self._pin(run, profile, work)
        self.log.info("Acquiring compute of profile %r for lease %s", profile, run.lease.id)
        compute = target.acquire(
            run.lease, frozenset(job_from(task.job).engine_on(target.capabilities.engines) for task in work)
        )
        show_links(context, target.links(compute, None))
        state = wait_briefly(lambda: target.state(compute), lambda state: state.phase is not Phase.STARTING)
        acquired = {"compute": compute.to_json(), "code": code}
        if state.phase is Phase.STARTING:
            self.log.info("%s is %s; waiting deferred", compute.id, state.reason)
            deadline = time.time() + self.execution_timeout.total_seconds() if self.execution_timeout else None
            self.defer(
                trigger=ComputeTrigger(compute.to_json(), deadline), method_name="resume", kwargs={"acquired": acquired}
            )
        return self._ready(compute, state, acquired)

    def resume(self, context: Context, event: dict[str, Any], acquired: dict[str, Any]) -> dict[str, Any]:
        """Go on after a deferred wait."""
        del context  # Airflow hands it over by name
        compute = Compute.from_json(acquired["compute"])
        if event.get("deadline"):
            raise ComputeError(
                f"{compute.id} was not ready within this task's execution_timeout. Release ends it; a retry adopts it until then."
            )
        if "error" in event:
            raise ComputeError(
                f"{event['error']}: {compute.id} could not be looked at. It still runs and costs; a retry adopts it, release ends it."
            )
        return self._ready(compute, target_of(compute).state(compute), acquired)

    def _ready(self, compute: Compute, state: ComputeState, acquired: dict[str, Any]) -> dict[str, Any]:
        if state.phase is not Phase.READY:
            fault = f" (fault of: {state.fault})" if state.fault else ""
            raise ComputeError(
                f"{state.reason}{fault}: {compute.id} ended before it was ready. It no longer runs; a retry creates another."
            )
        self.log.info("Acquired %s: %s", compute.id, state.reason)
        return acquired

    def _pin(self, run: Run, profile: str, work: Iterable[Any]) -> dict[str, str]:
        settings = run.environment.profile(profile)
        s3 = clients_for(settings.connection, settings.region).repeating("s3")
        return pin(
            s3, run.environment.buckets.artifacts, [task.artifact(path) for task in work for path in task.code_paths()]
        )


def _jobs_of(dag: Any, membership: Membership) -> list[Any]:
    """List the pipeline's job tasks whose code is known before they run; a mapped task pins its own."""
    prefix = f"{membership.group_id}."
    return [task for task in dag.tasks if task.task_id.startswith(prefix) and hasattr(task, "code_paths")]


class ReleaseOperator(BaseOperator):
    """Ends everything that the run's lease holds, in every profile that the DAG offers, whatever acquire reported."""

    ui_color = "#d8e8f5"

    def execute(self, context: Context) -> list[str]:
        """Release; the XCom lists the ids of the compute that was ended."""
        run = Run.of(context)
        ended = release_lease(run.environment, run.lease, run.membership.profiles)
        self.log.info("Released %s", ", ".join(ended) or "nothing: no compute of this run was alive")
        return ended


def release_lease(environment: Environment, lease: Lease, profiles: Iterable[str]) -> list[str]:
    """Cancel the lease's job runs and end its compute in each profile; one profile's trouble keeps no other from ending.

    :raises ComputeError: something could not be ended: it still runs and costs.
    """
    ended: list[str] = []
    troubles: list[str] = []
    for profile in profiles:
        try:
            target = _target(environment, profile)
            for compute in target.lookup(lease):
                _end(target, compute)
                ended.append(compute.id)
        except Exception as error:  # noqa: BLE001  # every profile gets its turn, then all troubles are raised together
            troubles.append(f"{error} (profile {profile!r})")
    if troubles:
        raise ComputeError(
            f"{'; '.join(troubles)}. Compute of lease {lease.id} may still run and cost until it is idle for its profile's idle_minutes. "
            "A retry releases it again; otherwise end what carries the lease in its name by hand."
        )
    return ended


def _end(target: Target, compute: Compute) -> None:
    target.release(compute)
    state = wait_briefly(lambda: target.state(compute), lambda state: state.phase is Phase.ENDED)
    if state.phase is not Phase.ENDED:
        raise ComputeError(f"{compute.id} was told to end and is still {state.reason}")


class ReleaseOnTimeout:
    """A DAG's failure callback: releases by lease when ``dagrun_timeout`` skipped every task, release too.

    It does nothing for other failures: release ran then, and a cleared run may already hold new compute under the same lease.
    """

    def __init__(self, membership: Membership) -> None:
        self.membership = membership
        self.__name__ = f"release_on_timeout({membership.group_id})"

    def __call__(self, context: Context) -> None:
        """Run in the dag-processor, with the reason that Airflow gives."""
        if context.get("reason") == "timed_out":
            environment = current_environment()
            lease = self.membership.lease(environment, context["dag"].dag_id, context["run_id"])
            release_lease(environment, lease, self.membership.profiles)


class VerdictOperator(BaseOperator):
    """Fails when any task of the pipeline failed, so that a run whose release succeeded is not green for that."""

    ui_color = "#d8e8f5"

    def execute(self, context: Context) -> None:
        """Read the states of the pipeline's tasks."""
        ti = context["ti"]
        group = Run.of(context).membership.group_id
        states = ti.get_task_states(dag_id=ti.dag_id, task_group_id=group, run_ids=[ti.run_id]).get(ti.run_id, {})
        failed = failures_among(states)
        if failed:
            raise JobError(
                f"{failed[0]} failed: see its log for the cause. Also not successful: {', '.join(failed[1:]) or 'nothing else'}."
            )
        self.log.info("Every task of %s did what it should", group)


def failures_among(states: dict[str, Any]) -> list[str]:
    """List the tasks that failed, those that failed by themselves before those that only never ran."""
    return [task for kind in _FAILED for task, state in sorted(states.items()) if state == kind]
