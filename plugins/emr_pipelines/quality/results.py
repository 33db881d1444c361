"""What a data quality check found, whichever engine found it, and what follows from it."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args

Outcome = Literal["Passed", "Failed", "Error"]
_WIDTH: Final = 120


class ResultError(ValueError):
    """A result that cannot be read; it never counts as passed."""


@dataclass(frozen=True)
class RuleResult:
    """What became of one rule.

    :param rule: its DQDL text.
    :param outcome: ``Error`` when it could not be evaluated, for example for want of a column.
    :param measured: rows for RowCount, else a share from 0 to 1; ``None`` when nothing could be measured.
    :param bound: what the measured value had to meet, such as ``> 0.95``.
    :param reason: what was seen, or why it could not be evaluated.
    """

    rule: str
    outcome: Outcome
    measured: float | None
    bound: str
    reason: str


@dataclass(frozen=True)
class QualityResult:
    """What became of a ruleset.

    :param source: name of the ruleset's file.
    :param data: address of the data.
    :param rows: rows seen.
    :param seconds: how long the evaluation took.
    """

    source: str
    data: str
    rows: int
    seconds: float
    rules: tuple[RuleResult, ...]


@dataclass(frozen=True)
class Decision:
    """Whether data may go on.

    :param passed: every rule passed.
    :param reason: one line that names the rules that did not.
    :param failing: those rules.
    """

    passed: bool
    reason: str
    failing: tuple[RuleResult, ...]


def parse_results(text: str) -> QualityResult:
    """Read the JSON that a quality check wrote.

    :raises ResultError: it is no such JSON, or holds no rule.
    """
    try:
        result = json.loads(text)
        rules = tuple(_rule_result(rule) for rule in result["rules"])
        parsed = QualityResult(
            str(result["source"]), str(result["data"]), int(result["rows"]), float(result["seconds"]), rules
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ResultError(
            f"The quality check's result cannot be read ({type(error).__name__}: {error}). Run the check again."
        ) from error
    if not rules:
        raise ResultError("The quality check's result holds no rule: nothing was checked. Run the check again.")
    return parsed


def decide(result: QualityResult) -> Decision:
    """Pass when every rule passed; a rule that could not be evaluated counts as failed."""
    failing = tuple(rule for rule in result.rules if rule.outcome != "Passed")
    if not failing:
        return Decision(True, f"All {len(result.rules)} data quality rules passed", ())
    named = "; ".join(f"{rule.rule} ({rule.reason})" for rule in failing)
    return Decision(False, f"{len(failing)} of {len(result.rules)} data quality rules failed: {named}", failing)


def format_table(result: QualityResult) -> str:
    """Show a result as aligned text, at most 120 columns wide; the reason stands below each rule that did not pass."""
    passed = sum(rule.outcome == "Passed" for rule in result.rules)
    lines = [
        f"{result.source}: {passed} of {len(result.rules)} rules passed",
        f"{result.rows:,} rows of {result.data} seen in {result.seconds:.1f} s",
        "",
    ]
    rows = [("Outcome", "Measured", "Needs", "Rule")] + [
        (rule.outcome, _number(rule.measured), rule.bound, rule.rule) for rule in result.rules
    ]
    reasons = [""] + ["" if rule.outcome == "Passed" else rule.reason for rule in result.rules]
    widths = [min(max(len(row[column]) for row in rows), 32) for column in range(3)]
    for row, reason in zip(rows, reasons, strict=True):
        lines += _row(row, reason, widths)
    return "\n".join(line for text in lines for line in (textwrap.wrap(text, _WIDTH) if len(text) > _WIDTH else [text]))


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


def _number(measured: float | None) -> str:
    if measured is None:
        return "-"
    return f"{measured:,.0f}" if measured == int(measured) else f"{_below_one(measured):.4f}"


def _below_one(share: float) -> float:
    """Keep a share that misses 1 by a hair from being rounded up to it: a failure must not look like a pass."""
    return min(share, 0.9999) if share < 1 else share


def _rule_result(rule: Any) -> RuleResult:
    outcome = rule["outcome"]
    if outcome not in get_args(Outcome):
        raise ValueError(f"the outcome {outcome!r} is none of {', '.join(get_args(Outcome))}")
    measured = rule["measured"]
    if outcome == "Passed" and not isinstance(measured, int | float):
        raise ValueError(f"the rule {rule['rule']!r} passed, but nothing was measured")
    return RuleResult(str(rule["rule"]), cast("Outcome", outcome), measured, str(rule["bound"]), str(rule["reason"]))
