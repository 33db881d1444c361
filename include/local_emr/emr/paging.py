"""EMR's pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from local_emr.emr.refusals import invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PAGE = 50

Item = TypeVar("Item")


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
