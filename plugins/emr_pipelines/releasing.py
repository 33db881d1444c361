"""The tasks after a pipeline's jobs: release its compute, and let the run's state tell the truth."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from emr_pipelines.clients import target_of_profile
from emr_pipelines.environments import Environment, current_environment
from emr_pipelines.errors import ComputeError, ComputeOccupiedError, JobError
from emr_pipelines.keys import Lease
from emr_pipelines.membership import Membership, Run
from emr_pipelines.run_log import RELEASED, close
from emr_pipelines.targets.base import Compute, Target
from emr_pipelines.targets.refusals import is_unreachable
from emr_pipelines.targets.states import Phase
from emr_pipelines.watching import wait_briefly

if TYPE_CHECKING:
    from airflow.sdk import Context

logger = logging.getLogger(__name__)

_FAILED = ("failed", "upstream_failed")


class ReleaseOperator(BaseOperator):
    """Ends everything that the run's lease holds, in every profile that the DAG offers, whatever acquire reported."""

    ui_color = "#d8e8f5"

    def execute(self, context: Context) -> list[str]:
        """Release; the XCom lists the ids of the compute that was ended."""
        run = Run.of(context)
        ended = release_lease(run.environment, run.lease, run.membership.offer.profiles, run.unused())
        context["ti"].xcom_push(key=RELEASED, value=time.time())
        self.log.info("Released %s", ", ".join(ended) or "nothing: no compute of this run was alive")
        return ended


def release_lease(
    environment: Environment, lease: Lease, profiles: Iterable[str], unused: Collection[str] = ()
) -> list[str]:
    """Cancel the lease's job runs and end its compute in each profile; one profile's trouble keeps no other from ending.

    :param unused: profiles that the run has not worked in, as far as it knows. Where AWS does not answer for one of these, that is
        only told: a region that is down must not fail the runs that went elsewhere.
    :raises ComputeOccupiedError: a job run was alive, and may still be, or compute of the lease's own was found and could not be ended.
    :raises ComputeError: something else could not be ended: it still runs and costs.
    """
    ended: list[str] = []
    troubles: list[str] = []
    kind = ComputeError
    for profile in profiles:
        found: list[Compute] = []
        try:
            target = target_of_profile(environment.profile(profile))
            found = target.lookup(lease)
            ended += [compute.id for compute in found if end(target, lease, compute)]
        except Exception as error:  # noqa: BLE001  # every profile gets its turn, then all troubles are raised together
            if not found and profile in unused and is_unreachable(error):
                logger.warning(
                    "Profile %r could not be asked whether it has anything of this run, which used another one: %s. If it has, that ends "
                    "when it is idle, or the reaper ends it once %s answers again.",
                    profile,
                    str(error).rstrip("."),
                    environment.profile(profile).region,
                )
            else:
                troubles.append(f"{error} (profile {profile!r})")
                occupied = isinstance(error, ComputeOccupiedError) or any(one.owner == "run" for one in found)
                kind = ComputeOccupiedError if occupied else kind
    if troubles:
        raise kind(
            f"{'; '.join(troubles)}. Compute of lease {lease.id} may still run and cost until it is idle for its profile's idle_minutes. "
            "A retry releases it again; otherwise end what carries the lease in its name by hand."
        )
    return ended


def end(target: Target, lease: Lease, compute: Compute) -> bool:
    """End compute, or of shared compute the lease's job runs; say whether there was anything to end.

    :raises ComputeError: it was told to end, and did not in time.
    """
    if compute.owner == "profile":
        return _end_job_runs(target, lease, compute)
    target.release(compute)
    state = wait_briefly(lambda: target.state(compute), lambda state: state.phase is Phase.ENDED)
    if state.phase is not Phase.ENDED:
        raise ComputeError(f"{compute.id} was told to end and is still {state.reason}")
    return True


def _end_job_runs(target: Target, lease: Lease, compute: Compute) -> bool:
    if not (left := target.active(compute, lease)):
        return False
    try:
        target.release(compute)
        left = wait_briefly(lambda: target.active(compute, lease), lambda active: not active)
    except Exception as error:
        raise ComputeOccupiedError(f"Job run {left[0].id} on {compute.id} may be alive: {error}") from error
    if left:
        raise ComputeOccupiedError(
            f"Job run {left[0].id} on {compute.id} was cancelled and is still {left[0].state.state}"
        )
    return True


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
            release_lease(environment, lease, self.membership.offer.profiles)


class VerdictOperator(BaseOperator):
    """Fails when any task of the pipeline failed, so that a run whose release succeeded is not green for that; writes the run log."""

    ui_color = "#d8e8f5"

    def execute(self, context: Context) -> None:
        """Read the states of the pipeline's tasks."""
        ti = context["ti"]
        run = Run.of(context)
        group = run.membership.group_id
        states = ti.get_task_states(dag_id=ti.dag_id, task_group_id=group, run_ids=[ti.run_id]).get(ti.run_id, {})
        failed = failures_among(states)
        close(run, failed)
        if failed:
            raise JobError(
                f"{failed[0]} failed: see its log for the cause. Also not successful: {', '.join(failed[1:]) or 'nothing else'}."
            )
        self.log.info("Every task of %s did what it should", group)


def failures_among(states: dict[str, Any]) -> list[str]:
    """List the tasks that failed, those that failed by themselves before those that only never ran."""
    return [task for kind in _FAILED for task, state in sorted(states.items()) if state == kind]
