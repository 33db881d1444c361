"""The task that acquires a run's compute: of the profiles that the run was triggered with, the first that can be had."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from emr_pipelines.artifacts import pin
from emr_pipelines.choosing import Choice, override, said_of, why
from emr_pipelines.clients import target_of_profile
from emr_pipelines.endings import is_unwanted
from emr_pipelines.engines import engines_needed
from emr_pipelines.errors import ComputeError, ComputeOccupiedError, ComputeUnavailableError
from emr_pipelines.jobs import Engine
from emr_pipelines.keys import Lease
from emr_pipelines.links import ACQUIRE_LINKS, show_links, xcom_page
from emr_pipelines.membership import Run
from emr_pipelines.releasing import release_lease
from emr_pipelines.targets.base import Compute, Target
from emr_pipelines.targets.profile import Profile
from emr_pipelines.targets.refusals import REFUSALS, refused
from emr_pipelines.targets.states import ComputeState, Fault, Phase
from emr_pipelines.watching import ComputeTrigger, RoomTrigger, leases_in, target_of, wait_briefly

if TYPE_CHECKING:
    from airflow.sdk import Context

_WHY = "why_this_compute"
"""Key of the XCom that tells, in words, why a run uses its compute."""

_BEGUN = "emr_run_begun"
"""Key in Airflow's task state store: this run has looked for what a former one of its name left."""

_ELSEWHERE = (Fault.CAPACITY, Fault.SERVICE)
"""Faults for which compute of another profile may do better."""


@dataclass(frozen=True)
class Progress:
    """How far acquiring came, carried over a deferral as JSON."""

    refused: list[dict[str, str]] = field(default_factory=list)
    """The profiles that could not be had, in turn, each with its ``reason``."""
    compute: dict[str, Any] | None = None
    asked_at: float = 0.0
    """When the compute was asked for, in seconds since 1970."""
    code: dict[str, str] = field(default_factory=dict)

    def without(self, profile: str, reason: str) -> Progress:
        """Return it with one more profile that could not be had."""
        return Progress([*self.refused, {"profile": profile, "reason": reason}])


class AcquireOperator(BaseOperator):
    """Acquires compute, pins the job code, and waits until the compute is ready.

    Of several profiles, the next is tried only when one could not be had for want of capacity or quota, for the service's
    own fault, or because its region does not answer. A retry adopts what an earlier try created. Its XCom is
    ``{"compute": ..., "code": {path: address}, "began", "ended", "choice": {"profile", "asked", "given", "overrides", "refused"}}``,
    times in seconds since 1970.
    """

    operator_extra_links = ACQUIRE_LINKS
    ui_color = "#d8e8f5"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._task_instance: Any = None
        self._asked: tuple[Target, Lease] | None = None
        self._unwanted = False

    def execute(self, context: Context) -> dict[str, Any]:
        """Acquire and wait."""
        self._task_instance = context["ti"]
        run = Run.of(context)
        self._end_former_life(run)
        self._say_choice(run.choice, getattr(context["dag_run"], "run_type", ""))
        if unknown := sorted(set(getattr(context["dag_run"], "conf", None) or {}) - set(context["params"])):
            self.log.warning("The run's configuration says %s, and this DAG has no such parameter", ", ".join(unknown))
        return self._acquire_in_turn(run, self._begun(run))

    def resume(self, context: Context, event: dict[str, Any], progress: dict[str, Any]) -> dict[str, Any]:
        """Go on after a deferred wait, for compute to start or for room among the runs of a profile."""
        self._task_instance = context["ti"]
        run = Run.of(context)
        so_far = Progress(**progress)
        if "unreachable" in event:
            return self._not_reached(run, so_far, event["unreachable"])
        if so_far.compute is None:
            if "error" in event:
                raise ComputeError(f"{event['error']}: other runs' compute could not be counted. A retry waits again.")
            return self._acquire_in_turn(run, so_far)
        compute = Compute.from_json(so_far.compute)
        if event.get("deadline"):
            raise ComputeError(f"{compute.id} was not ready within this task's execution_timeout. {_fate(compute)}")
        if "error" in event:
            raise ComputeError(f"{event['error']}: {compute.id} could not be looked at. {_fate(compute)}")
        try:
            with _asking(compute.profile):
                return self._ready(run, compute, target_of(compute).state(compute), so_far)
        except ComputeUnavailableError as error:
            return self._acquire_in_turn(run, self._moved_on(run, compute.profile, so_far, error))

    def on_kill(self) -> None:
        """Give back what was acquired for a task that somebody ended: release may have looked before it was there."""
        self._unwanted = is_unwanted(self._task_instance)
        if self._unwanted:
            # What is being asked for now is given back by who asks.
            self._give_back()

    def _give_back(self) -> None:
        if self._asked is None:
            return
        target, lease = self._asked
        for compute in target.lookup(lease):
            # Where acquire ran again, jobs of the run may work on what it adopted.
            if compute.owner == "run" and not target.active(compute, lease):
                target.release(compute)
                self.log.info("Gave %s back: this task was ended", compute.id)

    def _end_former_life(self, run: Run) -> None:
        """Release what a run of the same name left, one that was deleted or that a lost database knew: its jobs are not this run's.

        The lease is the same, the task state store is new. A retry and a clear find the mark, and what works goes on.

        :raises ComputeOccupiedError: a job run of it is not known to have ended; this run's would start beside it.
        """
        store = run.context["task_state_store"]
        if store.get(_BEGUN):
            return
        try:
            if ended := release_lease(run.environment, run.lease, run.membership.offer.profiles):
                self.log.warning("An earlier run of the same name had left %s; ended", ", ".join(ended))
        except ComputeOccupiedError as error:
            raise ComputeOccupiedError(
                f"{error} It is of an earlier run of the same name, and this run's jobs would start beside it."
            ) from error
        except ComputeError as error:
            self.log.warning("Whether an earlier run of the same name left anything could not be settled: %s", error)
        store.set(_BEGUN, True)

    def _say_choice(self, choice: Choice, run_type: str) -> None:
        self.log.info("%s", said_of(choice))
        if run_type != "backfill":
            return
        what = ", then ".join(choice.profiles)
        if choice.given:
            self.log.warning(
                "This backfill uses target %s, from the run's own configuration: a day that has run before keeps what it was given then, "
                "unless 'Override parameters on existing runs' was ticked.",
                what,
            )
        else:
            self.log.warning(
                "No target was given to this backfill: its runs use the DAG's default, %s. What is chosen in the Backfill form counts "
                "only with 'Override parameters on existing runs' ticked.",
                what,
            )

    def _begun(self, run: Run) -> Progress:
        """Start with the profile whose compute an earlier try left alive, else with the first."""
        first, *others = run.choice.profiles
        passed_over: list[str] = [first]
        for name in others:
            if self._holds(run, name):
                reason = "an earlier try of this task could not have it"
                return Progress([{"profile": passed, "reason": reason} for passed in passed_over])
            passed_over.append(name)
        return Progress()

    def _holds(self, run: Run, name: str) -> bool:
        """Say whether an earlier try left compute of a profile; one that cannot be asked holds nothing that could be used."""
        try:
            target, _ = _target(run, name)
            return any(compute.owner == "run" for compute in target.lookup(run.lease))
        except Exception as error:  # noqa: BLE001  # whatever it is, the first profile may do
            self.log.warning("Profile %r could not be asked for compute of an earlier try: %s", name, error)
            return False

    def _acquire_in_turn(self, run: Run, progress: Progress) -> dict[str, Any]:
        for name in run.choice.profiles[len(progress.refused) :]:
            try:
                with _asking(name):
                    return self._acquire(run, name, progress)
            except ComputeUnavailableError as error:
                progress = self._moved_on(run, name, progress, error)
        run.context["ti"].xcom_push(key=_WHY, value=why(run.choice, "nothing", progress.refused))
        reasons = " ".join(f"{one['profile']}: {one['reason']}" for one in progress.refused)
        if len(progress.refused) == 1:
            reasons = progress.refused[0]["reason"]
        raise ComputeUnavailableError(
            f"{reasons}\nNothing of {', '.join(run.choice.profiles)} could be had. A retry tries again from the first."
        )

    def _acquire(self, run: Run, name: str, progress: Progress) -> dict[str, Any]:
        target, profile = _target(run, name)
        work = [task for task in _tasks_of(run) if hasattr(task, "code_paths")]
        artifacts = [task.artifact(path) for task in work for path in task.code_paths()]
        progress = replace(progress, code=pin(run.environment, profile, artifacts))
        held = bool(profile.max_concurrent and target.lookup(run.lease))
        if not held:
            self._wait_for_room(run, target, profile, progress)
        self.log.info("Acquiring compute of profile %r for lease %s", name, run.lease.id)
        self._say_relaxations(profile)
        engines = engines_needed(_tasks_of(run), target.capabilities.engines)
        progress = replace(progress, asked_at=time.time())
        compute = self._acquired(target, run.lease, engines)
        if not held:
            self._keep_room(run, target, compute, profile, progress)
        show_links(run.context, {"compute": target.links(compute, None)["compute"], "choice": xcom_page(run.context)})
        state = wait_briefly(lambda: target.state(compute), lambda state: state.phase is not Phase.STARTING)
        if state.phase is Phase.STARTING:
            self.log.info("%s is %s; waiting deferred", compute.id, state.reason)
            self._defer_for(replace(progress, compute=compute.to_json()))
        return self._ready(run, compute, state, progress)

    def _say_relaxations(self, profile: Profile) -> None:
        for relaxation in profile.relaxations:
            self.log.info("Profile %r is relaxed (%s): %s", profile.name, relaxation.kind, relaxation.words)
        for warning in profile.warnings:
            self.log.warning("Profile %r: %s", profile.name, warning)

    def _defer_for(self, progress: Progress) -> None:
        """Wait deferred for compute that starts."""
        assert progress.compute is not None  # noqa: S101  # who calls has just been given it
        deadline = progress.asked_at + self.execution_timeout.total_seconds() if self.execution_timeout else None
        self.defer(
            trigger=ComputeTrigger(progress.compute, deadline, progress.asked_at),
            method_name="resume",
            kwargs={"progress": asdict(progress)},
        )

    def _not_reached(self, run: Run, progress: Progress, said: str) -> dict[str, Any]:
        """Leave a profile whose region does not answer while it is waited for; the last one is waited for further."""
        name = run.choice.profiles[len(progress.refused)]
        _, profile = _target(run, name)
        if name == run.choice.profiles[-1]:
            self.log.warning("Profile %r cannot be looked at, and there is no other to try; waiting on: %s", name, said)
            if progress.compute is None:
                self._defer_for_room(run, profile, progress)
            self._defer_for(progress)
        what = progress.compute["id"] if progress.compute else "how many runs hold its compute"
        error = ComputeUnavailableError(
            f"{said}: {what} could not be looked at in {profile.region}. What starts there may run and cost; release ends it."
        )
        return self._acquire_in_turn(run, self._moved_on(run, name, progress, error))

    def _acquired(self, target: Target, lease: Lease, engines: frozenset[Engine]) -> Compute:
        self._asked = (target, lease)
        compute = target.acquire(lease, engines)
        if self._unwanted:
            self._give_back()
            raise AirflowFailException("This task was ended while it acquired compute, which was given back.")
        return compute

    def _ready(self, run: Run, compute: Compute, state: ComputeState, progress: Progress) -> dict[str, Any]:
        if state.phase is not Phase.READY:
            fault = f" (fault of: {state.fault})" if state.fault else ""
            kind = ComputeUnavailableError if state.fault in _ELSEWHERE else ComputeError
            raise kind(
                f"{state.reason}{fault}: {compute.id} ended before it was ready. A retry tries again; release ends what is left."
            )
        self.log.info("Acquired %s of profile %r: %s", compute.id, compute.profile, state.reason)
        choice = run.choice
        run.context["ti"].xcom_push(key=_WHY, value=why(choice, compute.profile, progress.refused))
        return {
            "compute": compute.to_json(),
            "code": progress.code,
            "began": progress.asked_at,
            "ended": time.time(),
            "choice": {
                "profile": compute.profile,
                "asked": list(choice.profiles),
                "given": choice.given,
                "overrides": dict(choice.overrides),
                "refused": progress.refused,
            },
        }

    def _moved_on(self, run: Run, name: str, progress: Progress, error: ComputeUnavailableError) -> Progress:
        """Leave a profile for the next: what it gave before it could give no more is ended. After the last one a retry adopts that.

        :raises ComputeUnavailableError: jobs of this run still work there, so that only a retry can help.
        """
        self.log.warning("Profile %r could not be had: %s", name, error)
        left = progress.without(name, str(error).splitlines()[0])
        if name == run.choice.profiles[-1]:
            return left
        working = False
        try:
            target, _ = _target(run, name)
            for compute in target.lookup(run.lease):
                if compute.owner == "run" and target.active(compute, run.lease):
                    working = True
                elif compute.owner == "run":
                    target.release(compute)
        except Exception as trouble:  # noqa: BLE001  # whatever it is, the next profile shall be tried
            self.log.warning("What profile %r gave could not be ended now; release ends it: %s", name, trouble)
        if working:
            raise error
        return left

    def _wait_for_room(self, run: Run, target: Target, profile: Profile, progress: Progress) -> None:
        """Defer while as many runs hold compute of the profile as it allows."""
        if profile.max_concurrent is None:
            return
        others = leases_in(target.owned(run.lease.deployment), profile.name)
        if len(others) >= profile.max_concurrent:
            self._defer_for_room(run, profile, progress)

    def _keep_room(self, run: Run, target: Target, compute: Compute, profile: Profile, progress: Progress) -> None:
        """Give back what was created at the same moment as others, where they were first and took all the room."""
        if profile.max_concurrent is None:
            return
        first = leases_in(target.owned(run.lease.deployment), profile.name)[: profile.max_concurrent]
        if run.lease.id not in first and len(first) == profile.max_concurrent:
            target.release(compute)
            self._defer_for_room(run, profile, progress)

    def _defer_for_room(self, run: Run, profile: Profile, progress: Progress) -> None:
        self.log.info(
            "%s runs hold compute of profile %r, as many as its max_concurrent allows; waiting deferred for one to end",
            profile.max_concurrent,
            profile.name,
        )
        self.defer(
            trigger=RoomTrigger(profile.name, run.lease.deployment),
            method_name="resume",
            kwargs={"progress": asdict(replace(progress, compute=None, code={}))},
        )


def _fate(compute: Compute) -> str:
    """Say what becomes of compute that is waited for no longer."""
    if compute.owner == "profile":
        return "It is shared and stays; a retry waits for it again."
    return "It still runs and costs; a retry adopts it, release ends it."


def _target(run: Run, name: str) -> tuple[Target, Profile]:
    profile = override(run.environment.profile(name), run.choice.overrides)
    return target_of_profile(profile), profile


def _tasks_of(run: Run) -> list[Any]:
    """List the pipeline's tasks; of a mapped one the code is known only when it runs, and it pins its own."""
    prefix = f"{run.membership.group_id}."
    return [task for task in run.context["dag"].tasks if task.task_id.startswith(prefix)]


@contextmanager
def _asking(name: str) -> Iterator[None]:
    """Tell what AWS refuses, or does not answer, as an error of a profile: where it is the service's fault, the next is tried."""
    try:
        yield
    except REFUSALS as error:
        still = "What it has may run and cost: a retry adopts it, release ends it."
        raise refused(error, f"profile {name!r} could not be asked for compute", still) from error
