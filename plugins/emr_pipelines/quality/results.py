"""What a data quality check found, whichever engine found it."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast, get_args

Outcome = Literal["Passed", "Failed", "Error"]
SEVERITY: Final = "severity"
"""The label that says what a rule that does not pass leads to."""
_WIDTH: Final = 120
_VERSION: Final = 2


class ResultError(ValueError):
    """A result that cannot be read; it never counts as passed."""


@dataclass(frozen=True)
class RuleResult:
    """What became of one rule.

    :param rule: its DQDL text.
    :param outcome: ``Error`` when it could not be evaluated, for example for want of a column.
    :param measured: the value that was compared: a count, a share from 0 to 1, a number of the rule type's own; ``None``
        when nothing could be measured, and for rules combined of others.
    :param bound: what the measured value had to meet, such as ``> 0.95``.
    :param reason: what was seen, or why it could not be evaluated.
    :param measure: the name that earlier values are found by; ``None`` for rules combined of others.
    :param labels: the rule's labels.
    """

    rule: str
    outcome: Outcome
    measured: float | None
    bound: str
    reason: str
    measure: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """What an analyzer measured; ``None`` when it could not, for the reason given."""

    measure: str
    measured: float | None
    reason: str


@dataclass(frozen=True)
class Quarantine:
    """Where the rows went that broke a rule about rows, and how many.

    :param address: folder of the rows that broke one, each with the texts of the rules in its column ``failed_rules``.
    :param rows: how many.
    :param good: folder of the others; ``None`` when they were not asked for.
    :param good_rows: how many.
    """

    address: str
    rows: int
    good: str | None
    good_rows: int


@dataclass(frozen=True)
class QualityResult:
    """What became of a ruleset.

    :param source: name of the ruleset's file.
    :param data: address of the data.
    :param rows: rows seen.
    :param seconds: how long the evaluation took.
    :param schema: the data's columns: ``{"name", "type", "nullable"}``, types as Spark writes them.
    :param analyzers: what was measured besides, judged by nobody.
    :param quarantine: where rows went that broke a rule; ``None`` when that was not asked for.
    """

    source: str
    data: str
    rows: int
    seconds: float
    rules: tuple[RuleResult, ...]
    schema: tuple[Mapping[str, Any], ...] = ()
    analyzers: tuple[Measured, ...] = ()
    quarantine: Quarantine | None = None

    @property
    def measures(self) -> dict[str, float]:
        """Every value that was measured, by the name of its measure."""
        told: list[RuleResult | Measured] = [*self.rules, *self.analyzers]
        return {one.measure: one.measured for one in told if one.measure is not None and one.measured is not None}


def parse_results(text: str) -> QualityResult:
    """Read the JSON that a quality check wrote.

    :raises ResultError: it is no such JSON, or holds no rule.
    """
    try:
        result = _of_this_version(json.loads(text))
        parsed = QualityResult(
            source=str(result["source"]),
            data=str(result["data"]),
            rows=int(result["rows"]),
            seconds=float(result["seconds"]),
            rules=tuple(_rule_result(rule) for rule in result["rules"]),
            schema=tuple(result.get("schema") or ()),
            analyzers=tuple(
                Measured(one["measure"], one["measured"], one["reason"]) for one in result.get("analyzers") or ()
            ),
            quarantine=Quarantine(**result["quarantine"]) if result.get("quarantine") else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ResultError(
            f"The quality check's result cannot be read ({type(error).__name__}: {error}). Run the check again."
        ) from error
    if not parsed.rules:
        raise ResultError("The quality check's result holds no rule: nothing was checked. Run the check again.")
    return parsed


def format_table(result: QualityResult) -> str:
    """Show a result as aligned text, at most 120 columns wide; the reason stands below each rule that did not pass."""
    passed = sum(rule.outcome == "Passed" for rule in result.rules)
    lines = [
        f"{result.source}: {passed} of {len(result.rules)} rules passed",
        f"{result.rows:,} rows of {result.data} seen in {result.seconds:.1f} s",
        "",
    ]
    rows = [("Outcome", "Measured", "Needs", "Rule")] + [
        (told_outcome(rule), told_number(rule.measured), rule.bound, rule.rule) for rule in result.rules
    ]
    reasons = [""] + ["" if rule.outcome == "Passed" else rule.reason for rule in result.rules]
    widths = [min(max(len(row[column]) for row in rows), 32) for column in range(3)]
    for row, reason in zip(rows, reasons, strict=True):
        lines += _row(row, reason, widths)
    return "\n".join(line for text in lines for line in (textwrap.wrap(text, _WIDTH) if len(text) > _WIDTH else [text]))


def told_outcome(rule: RuleResult) -> str:
    """Return the outcome, and what it leads to where that is not a failure: ``Failed: warn``."""
    severity = rule.labels.get(SEVERITY)
    return f"{rule.outcome}: {severity}" if rule.outcome != "Passed" and severity in ("warn", "ask") else rule.outcome


def _row(row: tuple[str, ...], reason: str, widths: list[int]) -> list[str]:
    outcome, measured, bound, rule = row
    room = _WIDTH - sum(widths) - 6
    cells = [
        [outcome.ljust(widths[0])],
        [measured.rjust(widths[1])],
        textwrap.wrap(bound, widths[2]),
        textwrap.wrap(rule, room) + textwrap.wrap(reason, room, initial_indent="  ", subsequent_indent="  "),
    ]
    height = max(len(cell) for cell in cells)
    filled = [cell + [""] * (height - len(cell)) for cell in cells]
    padded = [[text.ljust(width) for text in cell] for cell, width in zip(filled, [*widths, 0], strict=True)]
    return ["  ".join(line).rstrip() for line in zip(*padded, strict=True)]


def told_number(measured: float | None) -> str:
    """Write a measured value for people."""
    if measured is None:
        return "-"
    return f"{measured:,.0f}" if measured == int(measured) else f"{_below_one(measured):.4f}"


def _below_one(share: float) -> float:
    """Keep a share that misses 1 by a hair from being rounded up to it: a failure must not look like a pass."""
    return min(share, 0.9999) if share < 1 else share


def _of_this_version(result: Any) -> Any:
    if result["version"] != _VERSION:
        raise ValueError(f"version {result['version']!r} is not {_VERSION}")
    return result


def _rule_result(rule: Any) -> RuleResult:
    outcome = rule["outcome"]
    if outcome not in get_args(Outcome):
        raise ValueError(f"the outcome {outcome!r} is none of {', '.join(get_args(Outcome))}")
    measure, measured = rule.get("measure", rule["rule"]), rule["measured"]
    if (
        outcome == "Passed"
        and measure is not None
        and (not isinstance(measured, int | float) or not math.isfinite(measured))
    ):
        raise ValueError(f"the rule {rule['rule']!r} passed, but nothing was measured")
    labels = {str(name): str(value) for name, value in rule.get("labels", {}).items()}
    return RuleResult(
        str(rule["rule"]), cast("Outcome", outcome), measured, str(rule["bound"]), str(rule["reason"]), measure, labels
    )
