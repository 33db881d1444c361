"""A fourth target in one module: machines that exist in this process only, and play jobs that say how they end.

``ToyCloud`` stands for the service: it has calls, pages, names, capacity and a network that loses answers. ``Toy`` is the target.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

from botocore.exceptions import ClientError, ConnectionClosedError

from emr_pipelines.errors import ComputeReleasedError
from emr_pipelines.keys import name_of, prefix_of
from emr_pipelines.targets.base import Compute, JobRun, Logs, Owned, Usage
from emr_pipelines.targets.capabilities import Capabilities
from emr_pipelines.targets.once import send_once
from emr_pipelines.targets.profile import DEPLOYMENT_TAG, LEASE_TAG, PROFILE_TAG, Profile
from emr_pipelines.targets.refusals import REFUSALS, refused
from emr_pipelines.targets.states import ComputeState, Fault, JobState, Phase, RunState

_ENDS = {
    "quick": JobState(RunState.SUCCEEDED),
    "failing": JobState(RunState.FAILED, "no such luck", Fault.JOB),
    "endless": JobState(RunState.RUNNING),
}


@dataclass
class Machine:
    """One machine of the cloud, with the runs on it by id."""

    id: str
    name: str
    tags: dict[str, str]
    created: float = field(default_factory=time.time)
    alive: bool = True
    runs: dict[str, JobRun] = field(default_factory=dict)


class ToyCloud:
    """The service; like AWS it takes no notice of what its answers' readers make of them."""

    def __init__(self) -> None:
        self.machines: dict[str, Machine] = {}
        self.calls: list[str] = []
        self._faults: Counter[str] = Counter()
        self._lock = threading.Lock()

    def refuse_capacity(self) -> None:
        self._faults["capacity"] += 1

    def throttle(self, count: int) -> None:
        self._faults["throttle"] += count

    def lose_answer(self, of: Literal["create", "submit", "end"]) -> None:
        self._faults[of] += 1

    def call(self, operation: str, effect: Any, kind: str = "read") -> Any:
        """Carry out one call, unless it is throttled; its answer may be lost."""
        with self._lock:
            self.calls.append(operation)
            if self._struck("throttle"):
                raise _error("ThrottlingException", operation)
            if kind == "create" and self._struck("capacity"):
                raise _error("InsufficientCapacity", operation)
            answer = effect()
            if self._struck(kind):
                raise ConnectionClosedError(endpoint_url="toy://cloud")
            return answer

    def create(self, name: str, tags: dict[str, str]) -> str:
        def effect() -> str:
            machine = Machine(f"m-{len(self.machines)}", name, tags)
            self.machines[machine.id] = machine
            return machine.id

        return str(self.call("create", effect, "create"))

    def machine(self, identifier: str) -> Machine | None:
        return self.call("describe", lambda: self.machines.get(identifier))

    def listed(self) -> list[Machine]:
        return list(self.call("list", lambda: [one for one in self.machines.values() if one.alive]))

    def submit(self, machine: str, run: JobRun) -> JobRun | None:
        def effect() -> JobRun | None:
            found = self.machines[machine]
            return found.runs.setdefault(run.id, run) if found.alive else None

        return self.call("submit", effect, "submit")

    def runs_of(self, machine: str) -> list[JobRun]:
        found = self.call("list runs", lambda: self.machines.get(machine))
        return list(found.runs.values()) if found else []

    def cancel(self, machine: str, run: str, kind: str = "cancel") -> None:
        def effect() -> None:
            runs = self.machines[machine].runs
            if run in runs and not runs[run].state.state.ended:
                runs[run] = JobRun(run, runs[run].name, JobState(RunState.CANCELLED, "cancelled", Fault.USER))

        self.call("cancel", effect, kind)

    def end(self, machine: str) -> None:
        for run in self.runs_of(machine):
            self.cancel(machine, run.id)

        def effect() -> None:
            if machine in self.machines:
                self.machines[machine].alive = False

        self.call("end", effect, "end")

    def _struck(self, fault: str) -> bool:
        struck = self._faults[fault] > 0
        self._faults[fault] -= struck
        return struck


def _error(code: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 400}}, operation)


class ToyProfile(Profile):
    """A toy has a colour."""

    target: Literal["toy"]
    colour: Literal["red", "blue"] = "red"


class Toy:
    """One machine per lease."""

    capabilities = Capabilities(
        title="Toys",
        engines=frozenset({"spark"}),
        owners=frozenset({"run"}),
        bills_while_idle=False,
        reports_its_bill=False,
        oldest_release="toy-1",
    )
    profile_model = ToyProfile

    def __init__(self, profile: ToyProfile, clients: Any) -> None:
        self._profile = profile
        self._cloud: ToyCloud = clients.repeating("toy")

    def acquire(self, lease, engines):
        name = self._name(lease)
        if not (found := self.lookup(lease)):
            try:
                _sent(lambda: self._cloud.create(name, self._profile.tags_for(lease)), self._finder(lease))
            except REFUSALS as error:
                raise refused(error, f"profile {self._profile.name!r} got no machine", "Nothing runs.") from error
            found = self.lookup(lease)
        for twin in found[1:]:
            self.release(twin)
        return found[0]

    def lookup(self, lease):
        mine = [one for one in _sent(self._cloud.listed) if one.name == self._name(lease)]
        return [Compute("toy", self._profile.name, one.id, lease.id) for one in mine]

    def owned(self, deployment):
        theirs = [one for one in _sent(self._cloud.listed) if one.tags[DEPLOYMENT_TAG] == deployment]
        return [
            Owned(Compute("toy", one.tags[PROFILE_TAG], one.id, one.tags[LEASE_TAG]), one.tags, one.created)
            for one in theirs
        ]

    def state(self, compute):
        machine = _sent(lambda: self._cloud.machine(compute.id))
        if machine and machine.alive:
            return ComputeState(Phase.READY, f"{compute.id} plays")
        return ComputeState(Phase.ENDED, f"{compute.id} is put away", None if machine else Fault.SERVICE)

    def submit(self, compute, job, code, key):
        now = time.time()
        state = _ENDS[job.script]
        run = JobRun(key.id, key.name, JobState(state.state, state.reason, state.fault, now, now))
        kept = _sent(lambda: self._cloud.submit(compute.id, run), lambda: self.find(compute, key))
        if kept is None:
            raise ComputeReleasedError(f"{compute.id} is put away: this job was not started. Clear acquire as well.")
        return kept

    def find(self, compute, key):
        return next((run for run in self._runs(compute) if run.name == key.name), None)

    def active(self, compute, lease):
        live = [run for run in self._runs(compute) if not run.state.state.ended]
        return [run for run in live if run.name.startswith(prefix_of(lease.id))]

    def poll(self, compute, runs):
        known = {run.id: run.state for run in self._runs(compute)}
        return {run: known.get(run, JobState(RunState.LOST, "nobody knows it", Fault.SERVICE)) for run in runs}

    def ended(self, compute, runs, since):
        return ((run.id, run.state) for run in self._runs(compute) if run.id in set(runs) and run.state.state.ended)

    def states(self, computes):
        return {compute.id: self.state(compute) for compute in computes}

    def cancel(self, compute, run):
        _sent(lambda: self._cloud.cancel(compute.id, run))

    def release(self, compute):
        _sent(lambda: self._cloud.end(compute.id))

    def logs(self, compute, run):
        state = self.poll(compute, [run])[run]
        return Logs({"stdout": state.reason}, f"{self._profile.log_uri}{compute.id}/{run}/")

    def links(self, compute, run):
        return {"compute": f"toy://{compute.id}", "logs": f"toy://{compute.id}/{run}"}

    def usage(self, compute, runs):
        return Usage(vcpu_hours=len(set(runs) & {run.id for run in self._runs(compute)}))

    def _runs(self, compute):
        return _sent(lambda: self._cloud.runs_of(compute.id))

    def _name(self, lease):
        return name_of(lease.id, self._profile.name, lease.dag_id)

    def _finder(self, lease):
        return lambda: next(iter(self.lookup(lease)), None)


def _sent(send: Any, find: Any = lambda: None) -> Any:
    """Send a call until it is answered; after a lost answer look for its effect first, without ever waiting."""
    clock = iter(range(1_000_000))
    return send_once(send, find, sleep=lambda _: None, now=lambda: float(next(clock)))
