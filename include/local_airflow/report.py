"""What is shown after a DAG run: tables and the split of its time."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from typing import Any

Interval = tuple[datetime, datetime]


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, right: frozenset[int] = frozenset()) -> str:
    """Align rows of text under their heads; the columns numbered in `right` are right-aligned."""
    lines = [list(heads), *map(list, rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "  ".join(
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()
        for cells in lines
    )


def number(value: int | None) -> str:
    """Write a count with thousands separated; nothing when there is none."""
    return "" if value is None else f"{value:,}"


def union_seconds(intervals: Iterable[Interval]) -> float:
    """Return for how many seconds at least one of the intervals lasted."""
    total = 0.0
    end: datetime | None = None
    for start, stop in sorted(intervals):
        begin = start if end is None else max(start, end)
        if stop > begin:
            total += (stop - begin).total_seconds()
        end = stop if end is None else max(end, stop)
    return total


@dataclass(frozen=True)
class Split:
    """The wall time of a run in seconds: work of its jobs, start of its compute, and all the rest."""

    wall: float
    jobs: float
    boot: float

    @property
    def orchestration(self) -> float:
        """Return the seconds in which neither a job worked nor compute started."""
        return max(0.0, self.wall - self.jobs - self.boot)

    def __str__(self) -> str:
        share = self.orchestration / self.wall if self.wall else 0
        return (
            f"{self.wall:.1f} s = {self.jobs:.1f} s of jobs + {self.boot:.1f} s of compute start"
            f" + {self.orchestration:.1f} s of orchestration ({share:.0%})"
        )


def split(run: Interval, jobs: Iterable[Interval], boots: Iterable[Interval]) -> Split:
    """Divide a run's wall time: time with a job at work, time of compute's start without one, the rest."""
    inside = [(max(start, run[0]), min(stop, run[1])) for start, stop in jobs]
    starting = [(max(start, run[0]), min(stop, run[1])) for start, stop in boots]
    worked = union_seconds(inside)
    return Split((run[1] - run[0]).total_seconds(), worked, union_seconds([*inside, *starting]) - worked)


def choice_lines(choice: Mapping[str, Any]) -> list[str]:
    """Write which profile a run used, who asked for it, and why those before it were not."""
    who = "the run's configuration" if choice["given"] else "the DAG's default"
    lines = [f"Profile {choice['profile']}, by {who}"]
    lines += [f"Not {one['profile']}: {one['reason']}" for one in choice["refused"]]
    return lines + [f"Instead of the profile's own: {name} = {value}" for name, value in choice["overrides"].items()]


def difference(name: str, expected: Sequence[str], actual: Sequence[str]) -> str | None:
    """Write the first line in which two canonical tables differ, or None when they are equal."""
    for position, (left, right) in enumerate(zip_longest(expected, actual, fillvalue="nothing")):
        if left != right:
            return f"{name}, line {position}: {left!r} and {right!r}"
    return None


def quality_table(result: Mapping[str, Any]) -> str:
    """Write the rules of a data-quality result: the rule, what was measured, the outcome."""
    rows = [(rule["rule"], _measured(rule.get("measured")), rule["outcome"]) for rule in result["rules"]]
    return table(["rule", "measured", "outcome"], rows, right=frozenset({1}))


def _measured(value: Any) -> str:
    """Write a measured value: a share with four digits, a count as it is, nothing when there is none."""
    if value is None:
        return ""
    return f"{value:.4f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def first_error(entries: Sequence[Mapping[str, Any]]) -> str:
    """Return the first error of a task's log in one line: the exception if it has one, else the message.

    `entries` are the lines as the REST API gives them; without an error among them, the last line is returned.
    """
    for entry in entries:
        if entry.get("level") in {"error", "critical"}:
            details = entry.get("error_detail") or []
            if details:
                return f"{details[0]['exc_type']}: {details[0]['exc_value']}".splitlines()[0]
            return str(entry["event"]).splitlines()[0]
    return str(entries[-1]["event"]) if entries else "its log is empty"
