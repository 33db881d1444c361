"""The kinds of faults: what each is told, and which words are refused.

A fault strikes calls, and the router asks for it; or compute that would start, or what a listing shows, and the control
plane asks; or events, and who sends them asks; or what runs now, and the control plane is told.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from botocore.session import get_session

from local_emr.faults.buckets import RATES

if TYPE_CHECKING:
    from collections.abc import Collection

EMR_SERVICES = {"elasticmapreduce": "emr", "emr-containers": "emr-containers", "emr-serverless": "emr-serverless"}
"""The services whose control planes are ours, as requests are signed for them, with botocore's names."""

_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")


class InvalidFaultError(ValueError):
    """What was asked for is no fault; one sentence of cause and cure."""


@dataclass(frozen=True)
class Fault:
    """A fault at `service`, which is what requests are signed for (`elasticmapreduce`, `emr-serverless`, `s3`, ...)."""

    kind: ClassVar[str]
    strikes: ClassVar[tuple[str, ...]] = tuple(EMR_SERVICES)
    """The services that can have it."""

    service: str

    def __post_init__(self) -> None:
        """Raise InvalidFaultError when the service cannot have this fault."""
        if self.service not in _services():
            raise InvalidFaultError(
                f"{self.service!r} is no service: give what requests are signed for, such as {', '.join(EMR_SERVICES)} or s3."
            )
        if self.strikes and self.service not in self.strikes:
            raise InvalidFaultError(f"{self.service} has no {self.kind} here: give {' or '.join(self.strikes)}.")


@dataclass(frozen=True, kw_only=True)
class CallFault(Fault):
    """Strikes the next `count` calls, of `operation` alone and with `name_contains` in path, query or body if given."""

    strikes = ()

    operation: str | None = None
    count: int = 1
    name_contains: str = ""

    def __post_init__(self) -> None:
        """Raise InvalidFaultError for what cannot be."""
        super().__post_init__()
        _check_count(self.count)
        _check_text("name_contains", self.name_contains)
        _check_operation(self.service, self.operation)


class Throttle(CallFault):
    """The call is refused with the service's throttling error, without effect."""

    kind = "throttle"


class Error(CallFault):
    """The call is refused with the service's internal error, without effect."""

    kind = "error"


class LoseAnswer(CallFault):
    """The call takes effect, and its connection is closed without an answer."""

    kind = "lose_answer"


@dataclass(frozen=True, kw_only=True)
class SlowAnswer(CallFault):
    """The call takes effect, and its answer comes `seconds` later."""

    kind = "slow_answer"
    longest: ClassVar[float] = 600.0

    seconds: float | None = None

    def __post_init__(self) -> None:
        """Raise InvalidFaultError for what cannot be."""
        super().__post_init__()
        _check_seconds(self.seconds, 0, self.longest)


@dataclass(frozen=True, kw_only=True)
class RateLimit(Fault):
    """Calls, of `operation` alone if given, are refused as throttled beyond the rates that AWS documents."""

    kind = "rate_limit"

    operation: str | None = None

    def __post_init__(self) -> None:
        """Raise InvalidFaultError for what cannot be."""
        super().__post_init__()
        _check_operation(self.service, self.operation)
        if self.operation is not None and self.operation not in RATES[self.service]:
            known = ", ".join(RATES[self.service])
            raise InvalidFaultError(
                f"There is no rate of {self.operation} to keep: give one of {known}, or none for all."
            )


@dataclass(frozen=True, kw_only=True)
class ComputeFault(Fault):
    """Strikes the next `count` computes that start, those with `name_contains` in their name if given."""

    count: int = 1
    name_contains: str = ""

    def __post_init__(self) -> None:
        """Raise InvalidFaultError for what cannot be."""
        super().__post_init__()
        _check_count(self.count)
        _check_text("name_contains", self.name_contains)


class RefuseCapacity(ComputeFault):
    """A cluster or application, or on EKS a job run's driver, cannot be had."""

    kind = "refuse_capacity"


class BootstrapFailure(ComputeFault):
    """A cluster's first bootstrap action fails."""

    kind = "bootstrap_failure"
    strikes = ("elasticmapreduce",)


class ValidationFailure(ComputeFault):
    """A cluster is refused after its creation for what was asked for."""

    kind = "validation_failure"
    strikes = ("elasticmapreduce",)


@dataclass(frozen=True, kw_only=True)
class EventFault(Fault):
    """Strikes the next `count` events on EventBridge, of `state` alone and of what has `name_contains` in its name if given."""

    count: int = 1
    name_contains: str = ""
    state: str = ""

    def __post_init__(self) -> None:
        """Raise InvalidFaultError for what cannot be."""
        super().__post_init__()
        _check_count(self.count)
        _check_text("name_contains", self.name_contains)
        _check_text("state", self.state)

    def means(self, name: str, state: str) -> bool:
        """Say whether it strikes the event that what has this name is in this state."""
        return self.name_contains in name and self.state in {"", state}


class LoseEvent(EventFault):
    """The event is not delivered."""

    kind = "lose_event"


class RepeatEvent(EventFault):
    """The event is delivered twice."""

    kind = "repeat_event"


@dataclass(frozen=True, kw_only=True)
class LateEvent(EventFault):
    """The event is delivered `seconds` later, so after younger ones."""

    kind = "late_event"
    longest: ClassVar[float] = 600.0

    seconds: float | None = None

    def __post_init__(self) -> None:
        """Raise InvalidFaultError for what cannot be."""
        super().__post_init__()
        _check_seconds(self.seconds, 0, self.longest)


@dataclass(frozen=True, kw_only=True)
class Act(Fault):
    """Strikes at once all that it means: what has this `id`, or `name_contains` in its name."""

    name_contains: str = ""
    id: str = ""

    def __post_init__(self) -> None:
        """Raise InvalidFaultError for what cannot be."""
        super().__post_init__()
        _check_text("name_contains", self.name_contains)
        _check_text("id", self.id)
        if bool(self.name_contains) == bool(self.id):
            raise InvalidFaultError(f"{self.kind} strikes what it is told to: give either name_contains or id.")

    def means(self, identity: str, name: str) -> bool:
        """Say whether it strikes what has this id and name."""
        return identity == self.id if self.id else self.name_contains in name


class SpotLoss(Act):
    """The instances under a cluster, or under the driver of a running job run, are lost."""

    kind = "spot_loss"


class Vanish(Act):
    """A job run is neither listed nor described any more; it goes on."""

    kind = "vanish"


@dataclass(frozen=True, kw_only=True)
class Lag(Fault):
    """Listings show everything as it was `seconds` ago."""

    kind = "lag"
    longest: ClassVar[float] = 60.0

    seconds: float | None = None

    def __post_init__(self) -> None:
        """Raise InvalidFaultError for what cannot be."""
        super().__post_init__()
        _check_seconds(self.seconds, 0, self.longest)


@dataclass(frozen=True, kw_only=True)
class ClockSkew(Fault):
    """The service's clock is `seconds` ahead, or behind when negative."""

    kind = "clock_skew"
    longest: ClassVar[float] = 86_400.0

    seconds: float | None = None

    def __post_init__(self) -> None:
        """Raise InvalidFaultError for what cannot be."""
        super().__post_init__()
        _check_seconds(self.seconds, -self.longest, self.longest)


@dataclass(frozen=True, kw_only=True)
class RegionDown(Fault):
    """No call of a region is answered any more, of `service` alone if given; what is in the region stays, and goes on.

    Calls are refused with ServiceUnavailable, or when `silent` their connections are closed; neither has an effect. Of S3
    it strikes who calls in this region, and who asks for a bucket of this region from anywhere.
    """

    kind = "region_down"
    strikes = ()

    service: str | None = None  # type: ignore[assignment]  # all of them
    region: str = ""
    silent: bool = False

    def __post_init__(self) -> None:
        """Raise InvalidFaultError for what cannot be."""
        if self.service is not None:
            super().__post_init__()
        if not isinstance(self.region, str) or not _REGION.fullmatch(self.region):
            raise InvalidFaultError(f"{self.region!r} is no region: give the one that goes down, such as us-east-1.")
        if not isinstance(self.silent, bool):
            raise InvalidFaultError(f"silent must be true or false, not {self.silent!r}.")

    def means(self, service: str, regions: Collection[str]) -> bool:
        """Say whether it strikes a call of `service` that touches these regions."""
        return self.service in {None, service} and self.region in regions


KINDS: dict[str, type[Fault]] = {
    kind.kind: kind
    for kind in (
        Throttle,
        Error,
        LoseAnswer,
        SlowAnswer,
        RateLimit,
        RefuseCapacity,
        BootstrapFailure,
        ValidationFailure,
        LoseEvent,
        RepeatEvent,
        LateEvent,
        SpotLoss,
        Vanish,
        Lag,
        ClockSkew,
        RegionDown,
    )
}
"""All faults by their names."""


def fault_of(document: Any) -> Fault:
    """Return the fault that a JSON document asks for. Raises InvalidFaultError."""
    if not isinstance(document, dict):
        raise InvalidFaultError('A fault is a JSON object such as {"service": "emr-serverless", "fault": "throttle"}.')
    told = dict(document)
    name = told.pop("fault", None)
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise InvalidFaultError(f"{name!r} is not a fault: give one of {', '.join(KINDS)}.")
    known = [field.name for field in fields(kind)]
    if unknown := sorted(set(told) - set(known)):
        raise InvalidFaultError(f"{name} has no {unknown[0]!r}: give fault, {', '.join(known)}.")
    return kind(**{"service": None, **told})


@cache
def _services() -> list[str]:
    """List what requests may be signed for: for nearly all services botocore's name, but not for EMR on EC2."""
    return [*EMR_SERVICES, *(name for name in get_session().get_available_services() if name != "emr")]


@cache
def _operations(service: str) -> list[str]:
    return list(get_session().get_service_model(EMR_SERVICES[service]).operation_names)


def _check_count(count: Any) -> None:
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise InvalidFaultError(f"count must be a whole number of 1 or more, not {count!r}.")


def _check_text(name: str, text: Any) -> None:
    if not isinstance(text, str):
        raise InvalidFaultError(f"{name} must be a text, not {text!r}.")


def _check_seconds(seconds: Any, least: float, most: float) -> None:
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool) and math.isfinite(seconds)
    if not is_number or seconds == 0 or not least <= seconds <= most:
        allowed = f"up to {most:g}, either sign" if least < 0 else f"more than 0 and at most {most:g}"
        raise InvalidFaultError(f"seconds must be a number, {allowed}, not {seconds!r}.")


def _check_operation(service: str, operation: Any) -> None:
    if operation is None:
        return
    if service not in EMR_SERVICES:
        raise InvalidFaultError(f"The operations of {service} are not told apart here: leave operation out.")
    if operation not in _operations(service):
        raise InvalidFaultError(
            f"{service} has no operation {operation!r}: name it as the API reference does, StartJobRun."
        )
