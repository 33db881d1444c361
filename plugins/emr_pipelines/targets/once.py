"""Calls that AWS cannot tell from their own repetition: RunJobFlow and AddJobFlowSteps take no client token.

Sent blindly again after a lost answer, such a call starts a second cluster or a second step. So each is sent once, and when its
answer is lost, its effect is looked for before it is sent again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum
from typing import TypeVar

import tenacity
from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError, HTTPClientError
from botocore.exceptions import ConnectionError as NotConnected

_Found = TypeVar("_Found")

LISTING_LAG = 15.0
"""Seconds after which an effect that no listing shows is taken not to have happened. AWS states no bound; issue reports name seconds."""

_GIVE_UP = 180.0
"""Seconds spent waiting between throttles after which the last one is raised."""

_UNREACHED = 45.0
"""Seconds since the first attempt after which the failure of a service, or not to reach it, is raised: another may work."""

THROTTLED = frozenset({"ThrottlingException", "Throttling", "RequestLimitExceeded", "TooManyRequestsException"})
"""The codes with which AWS says that there were too many calls."""


class Effect(Enum):
    """What a failed call may have done."""

    NONE = "none"
    """Refused for good: sending it again changes nothing."""
    NOT_YET = "not yet"
    """Refused for now: it may be sent again."""
    UNKNOWN = "unknown"
    """The answer is lost: it may have happened."""


def effect_of(error: BaseException) -> Effect:
    """Say what a call that raised this error may have done."""
    if isinstance(error, ClientError):
        if error.response["Error"].get("Code") in THROTTLED:
            return Effect.NOT_YET
        return Effect.UNKNOWN if error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500 else Effect.NONE  # noqa: PLR2004  # HTTP's own numbers
    if isinstance(error, EndpointConnectionError | ConnectTimeoutError):
        return Effect.NOT_YET
    if isinstance(error, NotConnected | HTTPClientError):
        return Effect.UNKNOWN
    return Effect.NONE


def send_once(
    send: Callable[[], _Found],
    find: Callable[[], _Found | None],
    *,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.monotonic,
) -> _Found:
    """Make a call happen once: ``send`` it, and after a lost answer ``find`` its effect before sending again.

    :raises botocore.exceptions.ClientError: AWS refused the call for good, throttled it for three minutes, or failed for most of one.
    """
    begun = now()
    may_have_happened = False

    def settled() -> _Found | None:
        until = now() + LISTING_LAG
        while (found := find()) is None and now() < until:
            sleep(1.0)
        return found

    def attempt() -> _Found:
        nonlocal may_have_happened
        # Where the effect could not be looked for, it still has to be before anything is sent again.
        if may_have_happened and (found := settled()) is not None:
            return found
        try:
            return send()
        except Exception as error:
            may_have_happened = effect_of(error) is Effect.UNKNOWN
            if may_have_happened and (found := settled()) is not None:
                return found
            may_have_happened = False
            raise

    def stop(attempts: tenacity.RetryCallState) -> bool:
        error = attempts.outcome.exception() if attempts.outcome else None
        throttled = isinstance(error, ClientError) and error.response["Error"].get("Code") in THROTTLED
        return attempts.idle_for >= _GIVE_UP if throttled else now() - begun >= _UNREACHED

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda error: effect_of(error) is not Effect.NONE),
        wait=tenacity.wait_random_exponential(multiplier=1, max=30),
        stop=stop,
        sleep=sleep,
        reraise=True,
    )
    return retrying(attempt)
