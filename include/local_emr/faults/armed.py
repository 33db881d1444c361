"""What is armed, and whether it strikes. Pure but for a lock."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from local_emr.faults.buckets import RateLimiter
from local_emr.faults.kinds import (
    Act,
    CallFault,
    ClockSkew,
    ComputeFault,
    EventFault,
    Fault,
    Lag,
    RateLimit,
    RegionDown,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from local_emr.journal import Call

    Victim = Callable[[Act], int]
    """Lets a fault strike what runs now at one service, and says how much was struck."""

Kind = TypeVar("Kind", bound=Fault)


@dataclass
class _Armed:
    fault: Fault
    struck: int = 0

    def told(self) -> dict[str, Any]:
        return {"fault": self.fault.kind, **asdict(self.fault), "struck": self.struck}


@dataclass
class _ArmedLimit(_Armed):
    let_through: int = 0

    def __post_init__(self) -> None:
        assert isinstance(self.fault, RateLimit)  # noqa: S101 - see `Faults.arm`
        self._limiter = RateLimiter(self.fault.service, self.fault.operation)

    def refuses(self, region: str, operation: str | None, now: float) -> bool:
        if not self._limiter.limits(operation):
            return False
        if self._limiter.lets_through(region, operation, now):
            self.let_through += 1
            return False
        self.struck += 1
        return True

    def told(self) -> dict[str, Any]:
        return {**super().told(), "let_through": self.let_through}


class Faults:
    """What is armed, in the order of arming. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: list[_Armed] = []
        self._victims: dict[str, Victim] = {}

    def arm(self, fault: Fault) -> None:
        """Let `fault` strike from now on, or at once if it strikes what runs."""
        armed = _ArmedLimit(fault) if isinstance(fault, RateLimit) else _Armed(fault)
        if isinstance(fault, Act) and fault.service in self._victims:
            armed.struck = self._victims[fault.service](fault)
        with self._lock:
            self._armed.append(armed)

    def at_once(self, service: str, victim: Victim) -> None:
        """Let `victim` know of the faults that strike what runs at `service`."""
        self._victims[service] = victim

    def forget(self) -> None:
        """Disarm everything; what has been struck stays so."""
        with self._lock:
            self._armed.clear()

    def armed(self) -> list[dict[str, Any]]:
        """List all faults since the last `forget`, each with how often it `struck`; a rate limit what it `let_through`."""
        with self._lock:
            return [armed.told() for armed in self._armed]

    def strike(self, call: Call, region: str, now: float, *, also_of: Collection[str] = ()) -> Fault | None:
        """Say which fault strikes a call, and count it; None: no fault. `also_of`: regions of what it asks for."""
        with self._lock:
            if down := self._down(call.service, {region, *also_of}):
                return down
            for armed in self._of(call.service):
                fault = armed.fault
                if isinstance(armed, _ArmedLimit) and armed.refuses(region, call.operation, now):
                    return fault
                if isinstance(fault, CallFault) and _fits(fault, call) and armed.struck < fault.count:
                    armed.struck += 1
                    return fault
        return None

    def strikes_compute(self, kind: type[ComputeFault], service: str, name: str) -> bool:
        """Say whether a fault of `kind` strikes the compute that `service` is about to start under `name`, and count it."""
        with self._lock:
            for armed in self._of(service):
                fault = armed.fault
                if isinstance(fault, kind) and fault.name_contains in name and armed.struck < fault.count:
                    armed.struck += 1
                    return True
        return False

    def strike_event(self, service: str, region: str, name: str, state: str) -> EventFault | RegionDown | None:
        """Say which fault strikes the event that what has this name is in `state`, and count it; None: no fault."""
        with self._lock:
            if down := self._down(service, {region}):
                return down
            for armed in self._of(service):
                fault = armed.fault
                if isinstance(fault, EventFault) and fault.means(name, state) and armed.struck < fault.count:
                    armed.struck += 1
                    return fault
        return None

    def lag(self, service: str) -> float:
        """Return how many seconds the listings of `service` lag, and count it; 0: not at all."""
        return self._seconds(Lag, service)

    def skew(self, service: str) -> float:
        """Return how many seconds the clock of `service` is ahead, and count it; 0: it is right."""
        return self._seconds(ClockSkew, service)

    def _down(self, service: str, regions: Collection[str]) -> RegionDown | None:
        for armed in self._armed:
            if isinstance(armed.fault, RegionDown) and armed.fault.means(service, regions):
                armed.struck += 1
                return armed.fault
        return None

    def _seconds(self, kind: type[Lag | ClockSkew], service: str) -> float:
        """Return the seconds of the latest fault of its kind."""
        with self._lock:
            for armed in reversed(list(self._of(service))):
                if isinstance(armed.fault, kind) and armed.fault.seconds is not None:
                    armed.struck += 1
                    return armed.fault.seconds
        return 0.0

    def _of(self, service: str) -> Iterator[_Armed]:
        return (armed for armed in self._armed if armed.fault.service == service)


def _fits(fault: CallFault, call: Call) -> bool:
    return fault.operation in {None, call.operation} and fault.name_contains in call.text
