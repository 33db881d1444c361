"""Faults on purpose, for tests of what calls this endpoint: what is armed, and whether it strikes. Pure but for a lock.

A fault strikes calls (`throttle`, `error`, `lose_answer`), and the router asks for it; or it refuses compute
(`refuse_capacity`), and the control plane asks when it would start some.
"""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from botocore.session import get_session

if TYPE_CHECKING:
    from collections.abc import Callable

THROTTLE = "throttle"
"""The call is refused with the service's throttling error, without effect."""

ERROR = "error"
"""The call is refused with the service's internal error, without effect."""

LOSE_ANSWER = "lose_answer"
"""The call takes effect, and its connection is closed without an answer."""

REFUSE_CAPACITY = "refuse_capacity"
"""The next compute cannot be had."""

FAULTS = (THROTTLE, ERROR, LOSE_ANSWER, REFUSE_CAPACITY)

EMR_SERVICES = {"elasticmapreduce": "emr", "emr-containers": "emr-containers", "emr-serverless": "emr-serverless"}
"""The services whose control planes are ours, as requests are signed for them, with botocore's names."""


class InvalidFaultError(ValueError):
    """What was asked for is no fault; one sentence of cause and cure."""


@dataclass(frozen=True)
class Fault:
    """A fault that strikes `count` times.

    `service` is what requests are signed for (`elasticmapreduce`, `emr-containers`, `emr-serverless`, `s3`, ...).
    `operation` narrows it to one operation. `name_contains` narrows it to calls whose path, query or body has this text;
    of a refused capacity, to compute whose name has it.
    """

    service: str
    fault: str
    operation: str | None = None
    count: int = 1
    name_contains: str = ""


def fault_of(document: Any) -> Fault:
    """Return the fault that a JSON document asks for. Raises InvalidFaultError."""
    if not isinstance(document, dict):
        raise InvalidFaultError('A fault is a JSON object such as {"service": "emr-serverless", "fault": "throttle"}.')
    known = [field.name for field in fields(Fault)]
    if unknown := sorted(set(document) - set(known)):
        raise InvalidFaultError(f"A fault has no {unknown[0]!r}: give {', '.join(known)}.")
    service, fault, operation = document.get("service"), document.get("fault"), document.get("operation")
    count, name_contains = document.get("count", 1), document.get("name_contains", "")
    if service not in _services():
        raise InvalidFaultError(
            f"{service!r} is no service: give what requests are signed for, such as {', '.join(EMR_SERVICES)} or s3."
        )
    if fault not in FAULTS:
        raise InvalidFaultError(f"{fault!r} is not a fault: give one of {', '.join(FAULTS)}.")
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise InvalidFaultError(f"count must be a whole number of 1 or more, not {count!r}.")
    if not isinstance(name_contains, str):
        raise InvalidFaultError(f"name_contains must be a text, not {name_contains!r}.")
    _check_operation(service, fault, operation)
    return Fault(service, fault, operation, count, name_contains)


def _services() -> list[str]:
    """List what requests may be signed for: for nearly all services botocore's name, but not for EMR on EC2."""
    return [*EMR_SERVICES, *(name for name in get_session().get_available_services() if name != "emr")]


def _check_operation(service: str, fault: str, operation: Any) -> None:
    if fault == REFUSE_CAPACITY:
        if service not in EMR_SERVICES:
            raise InvalidFaultError(
                f"{service} starts no compute here: refuse the capacity of {', '.join(EMR_SERVICES)}."
            )
        if operation is not None:
            raise InvalidFaultError("refuse_capacity strikes compute and not calls: leave operation out.")
    if operation is None:
        return
    if service not in EMR_SERVICES:
        raise InvalidFaultError(f"The operations of {service} are not told apart here: leave operation out.")
    operations = get_session().get_service_model(EMR_SERVICES[service]).operation_names
    if operation not in operations:
        raise InvalidFaultError(
            f"{service} has no operation {operation!r}: name it as the API reference does, StartJobRun."
        )


@dataclass
class _Armed:
    fault: Fault
    struck: int = 0


class Faults:
    """What is armed, in the order of arming. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: list[_Armed] = []

    def arm(self, fault: Fault) -> None:
        """Let `fault` strike from now on."""
        with self._lock:
            self._armed.append(_Armed(fault))

    def forget(self) -> None:
        """Disarm everything."""
        with self._lock:
            self._armed.clear()

    def armed(self) -> list[dict[str, Any]]:
        """List all faults since the last `forget`, each with how often it `struck`."""
        with self._lock:
            return [{**asdict(armed.fault), "struck": armed.struck} for armed in self._armed]

    def strike(self, service: str, operation: str | None, text: str) -> str | None:
        """Say which fault strikes a call of `operation` whose request is `text`, and count it; None: no fault."""
        return self._take(
            service, text, lambda fault: fault.fault != REFUSE_CAPACITY and fault.operation in {None, operation}
        )

    def capacity_refused(self, service: str, name: str) -> bool:
        """Say whether the compute that `service` is about to start under `name` cannot be had, and count it."""
        return self._take(service, name, lambda fault: fault.fault == REFUSE_CAPACITY) is not None

    def _take(self, service: str, text: str, wanted: Callable[[Fault], bool]) -> str | None:
        with self._lock:
            for armed in self._armed:
                fault = armed.fault
                strikes = fault.service == service and fault.name_contains in text and wanted(fault)
                if strikes and armed.struck < fault.count:
                    armed.struck += 1
                    return fault.fault
        return None
