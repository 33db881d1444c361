"""What requests of both services have in common: client tokens, pages, times, configurations. Pure."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from local_emr.emr.configurations import usable
from local_emr.protocol import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from local_emr.protocol import Answer

Key = tuple[Any, ...]
"""What a listing is sorted by; unique, and made of what JSON carries."""


class _Requested(Protocol):
    request: dict[str, Any]


Requested = TypeVar("Requested", bound=_Requested)
Item = TypeVar("Item")


def repeated(records: Iterable[Requested], request: Answer, code: str) -> Requested | None:
    """Return what an earlier request with the same client token made; None when the token is new.

    Raises ServiceError `code` when that was another request.
    """
    found = next((record for record in records if record.request["clientToken"] == request["clientToken"]), None)
    if found is not None and found.request != request:
        raise ServiceError(code, f"Client token {request['clientToken']} was already used with other parameters")
    return found


def created_in(created: float, after: float | None, before: float | None) -> bool:
    """Say whether a time of creation lies between the two bounds, both included; None: no bound."""
    return (after is None or created >= after) and (before is None or created <= before)


def page(
    items: Iterable[Item], key: Callable[[Item], Key], token: str | None, most: int
) -> tuple[list[Item], str | None]:
    """Return the page of at most `most` after `token`, sorted by `key`, and the next token.

    The token is the key of the last item: what comes or goes meanwhile moves no other item between pages.
    Raises ServiceError for a token that no page gave.
    """
    wanted = sorted(items, key=key)
    if token is not None:
        last = _key_of(token)
        try:
            wanted = [item for item in wanted if key(item) > last]
        except TypeError:
            raise _bad_token(token) from None
    return wanted[:most], _token_of(key(wanted[most - 1])) if len(wanted) > most else None


def _token_of(key: Key) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def _key_of(token: str) -> Key:
    try:
        key = json.loads(base64.urlsafe_b64decode(token.encode()))
    except ValueError:
        raise _bad_token(token) from None
    if not isinstance(key, list):
        raise _bad_token(token)
    return tuple(key)


def _bad_token(token: str) -> ServiceError:
    return ServiceError("ValidationException", f"The nextToken is not valid: {token}")


def properties_of(configurations: Iterable[Mapping[str, Any]], classification: str) -> dict[str, str]:
    """Merge the properties of one classification; a later one wins."""
    merged: dict[str, str] = {}
    for configuration in configurations:
        if configuration["classification"] == classification:
            merged |= configuration.get("properties", {})
    return merged


def spark_defaults_of(configurations: list[dict[str, Any]]) -> dict[str, str]:
    """Return spark-defaults, and hive-site as the Hadoop settings that Spark passes on to Hive."""
    hive = {f"spark.hadoop.{name}": value for name, value in properties_of(configurations, "hive-site").items()}
    return {**hive, **properties_of(configurations, "spark-defaults")}


def environment_of(region: str, configurations: list[dict[str, Any]]) -> dict[str, str]:
    """Return what a job finds in its environment: its region, and the exports of spark-env and hadoop-env."""
    exports: dict[str, str] = {}
    for configuration in configurations:
        if configuration["classification"] in {"hadoop-env", "spark-env"}:
            exports |= properties_of(configuration.get("configurations", []), "export")
    return {"AWS_REGION": region, "AWS_DEFAULT_REGION": region, **usable(exports)}
