"""Keys of Hadoop Streaming: where a line's key ends, which reducer gets it, and in which order. Pure.

Source: https://hadoop.apache.org/docs/stable/hadoop-streaming/HadoopStreaming.html, "Customizing How Lines are Split into Key/Value
Pairs", "Hadoop Partitioner Class" and "Hadoop Comparator Class"; the hash is Text's (WritableComparator.hashBytes).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from local_emr.engine.hadoop.streaming_options import COMPARATOR, StreamingJob

Record = tuple[bytes, bytes]
"""Key and value."""

_INTEGER_MAXIMUM = 0x7FFFFFFF
_FIELDS = re.compile(r"(?P<from>\d+)(?:\.(?P<first>\d+))?(?:,(?P<to>\d+)(?:\.(?P<last>\d+))?)?(?P<flags>[nr]*)")


def split(line: bytes, separator: bytes, fields: int) -> Record:
    """Split a line after its first `fields` fields; a line with fewer is a key without a value."""
    place = -len(separator)
    for _ in range(fields):
        place = line.find(separator, place + len(separator))
        if place < 0:
            return line, b""
    return line[:place], line[place + len(separator) :]


def hash_of(content: bytes) -> int:
    """Return the hash that Java's Text has, without its sign."""
    value = 1
    for byte in content:
        value = (31 * value + (byte - 256 if byte > 127 else byte)) & 0xFFFFFFFF  # noqa: PLR2004 - bytes of Java have a sign
    return value & _INTEGER_MAXIMUM


@dataclass(frozen=True)
class KeyFields:
    """A part of a key, as sort's `-k` names it: fields and characters count from 1, flags are of n and r."""

    first_field: int
    first_character: int
    last_field: int | None
    last_character: int
    flags: str

    def of(self, key: bytes, separator: bytes) -> bytes:
        """Return that part of a key."""
        fields = key.split(separator)
        last = min(self.last_field or len(fields), len(fields))
        chosen = fields[self.first_field - 1 : last]
        if chosen and self.last_field == last and self.last_character:
            chosen[-1] = chosen[-1][: self.last_character]
        if chosen:
            chosen[0] = chosen[0][self.first_character - 1 :]
        return separator.join(chosen)


def key_fields(options: str) -> list[KeyFields]:
    """Read `-k1,1 -k2,2nr`. Raises ValueError for anything else; `-n` and `-r` alone hold for whole keys."""
    found = []
    words = options.replace("-k ", "-k").split()
    alone = "".join(word.removeprefix("-") for word in words if not word.startswith("-k"))
    if set(alone) - set("nr"):
        raise ValueError(f"{options!r} names no fields of a key: write them as -k1,1 -k2,2nr")
    for word in words:
        if word.startswith("-k"):
            match = _FIELDS.fullmatch(word.removeprefix("-k"))
            if not match or match["from"] == "0":
                raise ValueError(f"{word!r} names no field of a key: write it as -k2 or -k2,2nr")
            to = int(match["to"]) if match["to"] else None
            flags = match["flags"] or alone
            found.append(KeyFields(int(match["from"]), int(match["first"] or 1), to, int(match["last"] or 0), flags))
    return found or [KeyFields(1, 1, None, 0, alone)]


def _separator(job: StreamingJob) -> bytes:
    return job.properties.get("mapreduce.map.output.key.field.separator", "\t").encode()


def partitioner(job: StreamingJob) -> Callable[[bytes], int]:
    """Return what says which reducer gets a key."""
    number = max(job.reducers, 1)
    options = job.properties.get("mapreduce.partition.keypartitioner.options", "")
    if job.partitioner != "KeyFieldBasedPartitioner" or not options:
        return lambda key: hash_of(key) % number
    parts, separator = key_fields(options), _separator(job)
    return lambda key: hash_of(b"".join(part.of(key, separator) for part in parts)) % number


def order(job: StreamingJob) -> Callable[[bytes], Any]:
    """Return what keys are sorted by: their bytes, or the fields that the comparator is told."""
    name = job.properties.get("mapreduce.job.output.key.comparator.class", "").rpartition(".")[2]
    if not name:
        return lambda key: key
    if name != COMPARATOR:
        raise ValueError(f"The comparator {name} cannot be run on this machine, which has {COMPARATOR}: run it on EMR")
    parts = key_fields(job.properties.get("mapreduce.partition.keycomparator.options", ""))
    separator = _separator(job)
    return lambda key: tuple(_Ordered(part.of(key, separator), part.flags) for part in parts)


class _Ordered:
    """A part of a key among others: by its bytes or as a number, upwards or downwards."""

    __slots__ = ("_downwards", "_value")

    def __init__(self, content: bytes, flags: str) -> None:
        self._value: Any = _number(content) if "n" in flags else content
        self._downwards = "r" in flags

    def __lt__(self, other: _Ordered) -> bool:
        return bool(other._value < self._value if self._downwards else self._value < other._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Ordered) and bool(self._value == other._value)

    __hash__ = None  # type: ignore[assignment]  # only compared


def _number(content: bytes) -> float:
    match = re.match(rb"\s*(-?\d+(?:\.\d+)?)", content)
    return float(match[1]) if match else 0.0
