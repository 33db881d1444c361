"""The journal: what clients ask for, what they are answered, and what becomes of compute and job runs.

Whoever serves the endpoint may listen. An entry is plain JSON and is told before a client can see its fact, in the
thread that makes it a fact: a listener of "asked" may take its time, or end the caller. Those of "compute" and "job run"
are told while their record is held: such a listener must not wait for the endpoint. No listener may raise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from local_emr.clock import Clock

    Listener = Callable[[dict[str, Any]], None]
    """Is told each entry; from whatever thread, and from several at a time."""


class Call(NamedTuple):
    """A call of one of our control planes.

    `service` is what it is signed for, `operation` None when there is none such, `port` the client's TCP port,
    `text` its path, query and body.
    """

    service: str
    operation: str | None
    port: int
    text: str


class _JobRun(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def state(self) -> str: ...


class _Compute(_JobRun, Protocol):
    @property
    def tags(self) -> Mapping[str, str]: ...


class Journal:
    """Tells `listener` what happens, each entry with the time `at` which it did (epoch seconds)."""

    def __init__(self, clock: Clock, listener: Listener | None = None) -> None:
        self._clock = clock
        self._listener = listener
        self._states: dict[tuple[str, str], str] = {}

    def asked(self, call: Call) -> None:
        """Tell of a call before it has any effect, and before a fault strikes it."""
        self._tell("asked", **call._asdict())

    def answered(self, call: Call, status: int, fault: str | None) -> None:
        """Tell of a call after its effect: the HTTP status of the answer, and the fault that struck it."""
        self._tell("answered", **call._asdict(), status=status, fault=fault)

    def compute(self, service: str, compute: _Compute) -> None:
        """Tell of a cluster, virtual cluster or application whose state is another than was told, or that is new."""
        if self._is_news(service, compute.id, compute.state):
            known = {"id": compute.id, "name": compute.name, "state": compute.state}
            self._tell("compute", service=service, **known, tags=dict(compute.tags))

    def job_run(self, service: str, compute_id: str, run: _JobRun, args: Sequence[str]) -> None:
        """Tell of a step or job run whose state is another than was told, or that is new; `args` are its driver's."""
        if self._is_news(service, run.id, run.state):
            known = {"compute": compute_id, "id": run.id, "name": run.name, "state": run.state}
            self._tell("job run", service=service, **known, args=list(args))

    def _is_news(self, service: str, identity: str, state: str) -> bool:
        if self._listener is None or self._states.get((service, identity)) == state:
            return False
        self._states[service, identity] = state
        return True

    def _tell(self, what: str, **facts: Any) -> None:
        if self._listener is not None:
            self._listener({"at": self._clock.now(), "what": what, **facts})
