"""The clients of a watcher: their calls stay within the budget, and are counted."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from emr_pipelines.clients import maker_of
from emr_pipelines.targets.base import Clients
from emr_pipelines.targets.once import THROTTLED
from emr_pipelines.watching import metrics
from emr_pipelines.watching.budget import ALLOWED, Budget


def paced_clients(connection: str | None, region: str, budget: Callable[[str], Budget]) -> Clients:
    """Return clients of their own whose calls wait for a token of the service's budget, and tell it of throttles."""
    make = maker_of(connection, region)

    def paced(service: str) -> Any:
        client = make(service, {"mode": "standard", "total_max_attempts": 3})
        return keep_within(client, budget(service)) if service in ALLOWED else client

    cached = lru_cache(maxsize=16)(paced)
    return Clients(repeating=cached, once=cached)


def keep_within(client: Any, budget: Budget) -> Any:
    """Let a client's calls wait for the budget: each attempt, by botocore's events ``request-created`` and ``response-received``."""
    service = client.meta.service_model.service_name

    def before(event_name: str, **_: Any) -> None:
        operation = event_name.rpartition(".")[2]
        budget.wait_for(operation)
        metrics.called(service, operation)

    def after(event_name: str, parsed_response: Any = None, **_: Any) -> None:
        operation = event_name.rpartition(".")[2]
        if ((parsed_response or {}).get("Error") or {}).get("Code") in THROTTLED:
            budget.throttled(operation)
            metrics.throttled(service, operation)

    # Before it is signed: AWS takes a signature for five minutes.
    event = f"request-created.{client.meta.service_model.service_id.hyphenize()}"
    client.meta.events.register_first(event, before)
    client.meta.events.register("response-received", after)
    return client
