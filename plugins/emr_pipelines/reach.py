"""How long a region is asked that does not answer.

A call is sent ten times, and botocore waits 10 seconds for each connection: two minutes for one call, so that a task
which asks a region four things would need eight to learn that the region is down. Here a call is given up half a minute after its first
failure, and for two minutes after that, or until the region answers, one failure of any call there is enough. A throttle is an answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from emr_pipelines.targets.refusals import is_unreachable

ATTEMPTS = 10
"""As often as a call is sent."""

PATIENCE = 30.0
"""Seconds from a call's first failure after which it is not repeated any more."""

REMEMBERED = 120.0
"""Seconds for which a region that was given up counts as such, until it answers; longer than one attempt may take."""

_SINCE = "emr_pipelines_failing_since"


class Reach:
    """What this process knows of one region, as one connection reaches it. Safe to use from many threads."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._given_up: float | None = None

    def keep(self, client: Any) -> Any:
        """Let a client's calls end when the region does not answer; return the client."""
        event = f"needs-retry.{client.meta.service_model.service_id.hyphenize()}"
        client.meta.events.register_first(event, self._after_attempt)
        return client

    def _after_attempt(
        self,
        response: Any,
        operation: Any,
        attempts: int,
        caught_exception: Exception | None,
        request_dict: Any,
        **_: Any,
    ) -> None:
        """Take the outcome of an attempt, before botocore decides whether to repeat it: an error raised here is the call's."""
        error = caught_exception
        if error is None and response is not None and response[0].status_code >= 500:  # noqa: PLR2004  # HTTP's own number
            error = ClientError(response[1], operation.name)
        if error is None or not is_unreachable(error):
            self._given_up = None
            return
        now = self._now()
        since = request_dict["context"].setdefault(_SINCE, now)
        lately = self._given_up is not None and now - self._given_up < REMEMBERED
        if lately or now - since >= PATIENCE or attempts >= ATTEMPTS:
            self._given_up = now
            raise error
