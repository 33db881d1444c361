"""What AWS refused, in one sentence for people, and whether waiting or another profile may do better."""

from __future__ import annotations

import re

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ParamValidationError,
)

from emr_pipelines.errors import ComputeError, ComputeUnavailableError, JobCapacityError
from emr_pipelines.targets.once import Effect, effect_of

_SHORTAGE_CODE = re.compile(r"ServiceQuotaExceeded|LimitExceeded|Insufficient\w*Capacity")
"""Codes with which AWS says that there is not enough of something; EC2's are those of EMR too."""

_THROTTLED = re.compile(r"Throttl|TooManyRequests|RequestLimitExceeded|SlowDown")
"""Codes of throttles; ``EKSRequestThrottledException`` is what EKS told EMR, ``SlowDown`` is S3's."""

_MISTAKES = frozenset({"ValidationException", "InvalidRequestException"})
"""Codes of mistakes, with which AWS also answers some requests for more than there is; then only the message tells."""

_THINGS = r"(instances?|clusters?|vCPUs?|applications?|jobs?|job runs?|active steps)\b"
_SHORTAGE_SAID = re.compile(
    rf"number of ((active|concurrent|running|requested|virtual|On-Demand|Spot|EC2) )*{_THINGS}.{{0,99}} (exceed|reached)"
    rf"|{_THINGS} (limit|quota) (was |has been |is )?(exceeded|reached)"
    r"|^(limit|quota) exceeded"
    r"|insufficient (\w+ )?capacity"
    r"|queue [^.]*\bis full",
    re.IGNORECASE,
)
"""The sentences of such messages, such as "Maximum number of active steps … for cluster exceeded"."""

REFUSALS = (ClientError, BotoCoreError)
"""What a call raises that AWS refused, or that never came to an answer."""


def refused(error: ClientError | BotoCoreError, what: str, still: str) -> ComputeError:
    """Return the error that tells a refusal: the service's own words, what it means, and what still runs."""
    kind = ComputeUnavailableError if is_shortage(error) or is_outage(error) else ComputeError
    return kind(f"{_said(error)}: {what}. {still}")


def job_refused(error: ClientError | BotoCoreError, what: str, still: str) -> ComputeError | JobCapacityError:
    """Return the error that tells the refusal of a job run: ``JobCapacityError`` when there was no room or quota for it."""
    return JobCapacityError(f"{_said(error)}: {what}. {still}") if is_shortage(error) else refused(error, what, still)


def is_shortage(error: ClientError | BotoCoreError) -> bool:
    """Whether a refusal is for want of capacity or quota."""
    if _SHORTAGE_CODE.search(code_of(error)):
        return True
    return code_of(error) in _MISTAKES and bool(_SHORTAGE_SAID.search(_message_of(error)))


def is_outage(error: ClientError | BotoCoreError) -> bool:
    """Whether the service itself failed, throttled the call, or could not be reached."""
    return effect_of(error) is not Effect.NONE or bool(_THROTTLED.search(code_of(error)))


def is_unreachable(error: BaseException) -> bool:
    """Whether a call came to no answer, or to the answer that the service failed; a throttle says that it works."""
    return effect_of(error) is not Effect.NONE and not (
        isinstance(error, ClientError) and bool(_THROTTLED.search(code_of(error)))
    )


def did_nothing(error: ClientError | BotoCoreError, operation: str) -> bool:
    """Whether it is certain that a call of this operation, which ended in this error, changed nothing."""
    if isinstance(error, ClientError):
        return error.operation_name == operation and effect_of(error) is not Effect.UNKNOWN
    return isinstance(error, ParamValidationError)


def is_unknown(error: ClientError) -> bool:
    """Whether EMR Serverless or EMR on EKS says that it does not know an id."""
    return code_of(error) == "ResourceNotFoundException"


def code_of(error: ClientError | BotoCoreError) -> str:
    """Return the service's name of a refusal, such as ``ValidationException``; empty when there was no answer."""
    return str(error.response["Error"].get("Code", "")) if isinstance(error, ClientError) else ""


def _message_of(error: ClientError | BotoCoreError) -> str:
    return str(error.response["Error"].get("Message", "")) if isinstance(error, ClientError) else str(error)


def _said(error: ClientError | BotoCoreError) -> str:
    if isinstance(error, ClientError):
        return f"{_message_of(error) or code_of(error)} ({code_of(error)})"
    if isinstance(error, ParamValidationError):
        return " ".join(str(error).split())
    if isinstance(error, EndpointConnectionError | ConnectTimeoutError):
        return f"{error} (is the profile's region right, and can this machine reach it?)"
    return str(error)
