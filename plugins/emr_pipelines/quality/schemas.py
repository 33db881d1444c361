"""How one schema of a dataset differs from another, and which differences the readers of both survive.

A schema is a list of ``{"name", "type", "nullable"}``, types as Spark's ``simpleString`` writes them. Columns are told apart by name,
as files that carry names are read (Parquet, ORC, JSON): their order is none of a schema's business.

What readers survive was measured with Spark 3.5, the Spark of EMR 7, on Parquet folders of two partitions, one of each schema. A column
or a field of a struct that only one has is NULL in the other. A column whose type differs fails every reader (``int`` and
``bigint``, ``float`` and ``double``, decimals of another scale or of more than 18 digits), or those that merge schemas (``smallint``
and ``int``), or those that still have the old type (``decimal(10,2)`` and ``decimal(12,2)``). So a wider type, too, is a change that
somebody has to decide on: rewrite the older partitions, or have readers cast.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Schema = Iterable[Mapping[str, Any]]


class SchemaError(ValueError):
    """A schema that is none; the message says what is wrong with it."""


class Kind(StrEnum):
    """What became of a column, or of a field within one."""

    ADDED = "was added"
    OPTIONAL = "may be NULL now"
    ADDED_REQUIRED = "was added and may not be NULL, which it is in what was written before"
    REQUIRED = "may not be NULL any more, which it may be in what was written before"
    REMOVED = "is gone"
    RENAMED = "is spelt otherwise: readers that tell upper from lower case see another column"
    WIDENED = "has a wider type: Spark 3.5 does not read Parquet of both"
    RETYPED = "has another type"

    @property
    def breaking(self) -> bool:
        """Whether readers fail, or read something else than was written."""
        return self not in (Kind.ADDED, Kind.OPTIONAL)


@dataclass(frozen=True)
class Change:
    """What became of a column.

    :param column: its name now; of a field within one the path to it, such as ``plane.engines`` or ``legs.element.origin``.
    :param detail: before and now, where that says more than the kind.
    """

    column: str
    kind: Kind
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.column} {self.kind}" + (f" ({self.detail})" if self.detail else "")


def changes(before: Schema, now: Schema) -> list[Change]:
    """Compare two schemas of a dataset, in the order of the newer one, what is gone last; empty when they are the same.

    :raises SchemaError: one of them is no schema.
    """
    return list(_compare(_columns(before), _columns(now), ""))


@dataclass(frozen=True)
class _Type:
    """A type: its name, its arguments, and the fields of a struct, the element of an array, key and value of a map."""

    name: str
    parts: Mapping[str, _Field] = field(default_factory=dict)


@dataclass(frozen=True)
class _Field:
    type: _Type
    text: str
    nullable: bool | None = None
    """``None`` within a column: ``simpleString`` does not tell."""


def _columns(schema: Schema) -> dict[str, _Field]:
    columns: dict[str, _Field] = {}
    for column in schema:
        try:
            name, text, nullable = column["name"], column["type"], column.get("nullable", True)
        except (KeyError, TypeError, AttributeError):
            raise SchemaError(
                f'{column!r} is no column of a schema: write {{"name": ..., "type": ..., "nullable": ...}}'
            ) from None
        if not isinstance(name, str) or not isinstance(text, str) or not isinstance(nullable, bool):
            raise SchemaError(
                f"{column!r} is no column of a schema: name and type are texts, nullable is true or false"
            )
        if name in columns:
            raise SchemaError(f"Column {name!r} stands in the schema twice: give one of them another name")
        columns[name] = _Field(_type(text), text, nullable)
    return columns


def _type(text: str) -> _Type:
    """Read a type as Spark's ``simpleString`` writes it; a text that cannot be read is a type of that name."""
    outer = re.fullmatch(r"(array|map|struct)<(.*)>", text, re.DOTALL)
    if outer is None:
        return _Type(text)
    kind, inner = outer.groups()
    parts = _split(inner)
    if kind == "struct":
        named = [part.partition(":") for part in parts]
        if all(colon for _, colon, _ in named) and len({name for name, _, _ in named}) == len(named):
            return _Type(kind, {name: _Field(_type(inside), inside) for name, _, inside in named})
    elif len(parts) == (1 if kind == "array" else 2):
        names = ("element",) if kind == "array" else ("key", "value")
        return _Type(kind, {name: _Field(_type(part), part) for name, part in zip(names, parts, strict=True)})
    return _Type(text)


def _split(inner: str) -> list[str]:
    """Split at the commas that stand in no brackets."""
    parts, depth, begin = [], 0, 0
    for place, character in enumerate(inner):
        depth += (character in "<(") - (character in ">)")
        if character == "," and depth == 0:
            parts.append(inner[begin:place])
            begin = place + 1
    return [*parts, inner[begin:]] if inner else []


def _compare(before: Mapping[str, _Field], now: Mapping[str, _Field], path: str) -> Iterator[Change]:
    spelt = {name.lower(): name for name in before if name not in now}
    for name, column in now.items():
        was_called = name if name in before else spelt.pop(name.lower(), None)
        if was_called is None:
            yield Change(path + name, Kind.ADDED_REQUIRED if column.nullable is False else Kind.ADDED, column.text)
            continue
        if was_called != name:
            yield Change(path + name, Kind.RENAMED, f"{was_called} before")
        yield from _compare_one(before[was_called], column, path + name)
    for name in spelt.values():
        yield Change(path + name, Kind.REMOVED)


def _compare_one(before: _Field, now: _Field, path: str) -> Iterator[Change]:
    if before.type.name != now.type.name:
        kind = Kind.WIDENED if _wider(before.text, now.text) else Kind.RETYPED
        yield Change(path, kind, f"{before.text} before, {now.text} now")
    else:
        yield from _compare(before.type.parts, now.type.parts, f"{path}.")
    if before.nullable != now.nullable:
        yield Change(path, Kind.OPTIONAL if now.nullable else Kind.REQUIRED)


_WIDER = (("tinyint", "smallint", "int", "bigint"), ("float", "double"))
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")


def _wider(before: str, now: str) -> bool:
    """Tell whether a type holds every value of another of its kind."""
    if (old := _DECIMAL.fullmatch(before)) and (new := _DECIMAL.fullmatch(now)):
        (digits, scale), (more, new_scale) = ((int(one[1]), int(one[2])) for one in (old, new))
        return new_scale >= scale and more - new_scale >= digits - scale
    return any(before in order and now in order and order.index(before) < order.index(now) for order in _WIDER)
