"""EMR's pages, and its error for what a request names that is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from local_emr.protocol import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PAGE = 50

Item = TypeVar("Item")


def invalid(message: str, error_code: str = "InvalidRequest") -> ServiceError:
    """Return the error of a request that names what is not there."""
    return ServiceError("InvalidRequestException", message, ErrorCode=error_code)


def page_of(
    wanted: list[Item], found: Iterable[Item], marker: str | None, identity: Callable[[Item], Any]
) -> tuple[list[Item], str | None]:
    """Return the page after `marker`, the identity of the last item before it, and the next marker.

    `found` is `wanted` before its filters: what was on the page before may no longer pass them.
    """
    if marker is not None:
        order = [identity(item) for item in found]
        if marker not in order:
            raise invalid(f"Marker '{marker}' is not valid.")
        passed = set(order[: order.index(marker) + 1])
        wanted = [item for item in wanted if identity(item) not in passed]
    page = wanted[:PAGE]
    return page, identity(page[-1]) if len(wanted) > PAGE else None
