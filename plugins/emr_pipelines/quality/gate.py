"""The gate: what follows from what a quality check found."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from emr_pipelines.quality.results import SEVERITY, QualityResult, RuleResult, told_number, told_outcome


class Gate(StrEnum):
    """What becomes of data: it goes on, it goes on and somebody should look, a person decides, it stays."""

    PASS = "pass"  # noqa: S105  # no password
    WARN = "warn"
    ASK = "ask"
    FAIL = "fail"


_ORDER: Final = tuple(Gate)
_LESSER: Final = {"warn": Gate.WARN, "ask": Gate.ASK}
_MARKDOWN: Final = re.compile(r"[|`<\[\]*_\\]")
"""What means something in Markdown: rules and reasons are shown as they are."""
_NAMED: Final = 10
"""Rules that a reason names; the table has them all."""
_WORDS: Final = {Gate.WARN: "warn only", Gate.ASK: "ask a person", Gate.FAIL: "stop the data"}


@dataclass(frozen=True)
class Decision:
    """Whether data may go on.

    :param gate: what becomes of it.
    :param reason: one line that names the rules that did not pass, those that weigh most first.
    :param failing: those rules, likewise.
    """

    gate: Gate
    reason: str
    failing: tuple[RuleResult, ...]


def severity(rule: RuleResult) -> Gate:
    """Return what a rule that does not pass leads to: its label ``severity`` when that is ``warn`` or ``ask``, else ``fail``."""
    return _LESSER.get(rule.labels.get(SEVERITY, ""), Gate.FAIL)


def decide(result: QualityResult) -> Decision:
    """Let pass what passed every rule; otherwise the rule that weighs most decides. What could not be evaluated did not pass."""
    failing = tuple(
        sorted(
            (rule for rule in result.rules if rule.outcome != "Passed"),
            key=lambda rule: _ORDER.index(severity(rule)),
            reverse=True,
        )
    )
    if not failing:
        return Decision(Gate.PASS, f"All {len(result.rules)} data quality rules passed", ())
    named = "; ".join(f"{rule.rule} ({rule.reason})" for rule in failing[:_NAMED])
    if len(failing) > _NAMED:
        named += f"; and {len(failing) - _NAMED} more"
    counted = f"{len(failing)} of {len(result.rules)} data quality rules did not pass"
    return Decision(severity(failing[0]), f"{counted}{_weights(failing)}: {named}", failing)


def strictest(gates: Iterable[Gate]) -> Gate:
    """Return the one of several checks' decisions that decides for all of them."""
    return max(gates, key=_ORDER.index, default=Gate.PASS)


def question(result: QualityResult) -> str:
    """Write, in Markdown, what a person has to know to decide: the rules that did not pass, what was measured and needed."""
    failing = decide(result).failing
    lines = ["| Outcome | Rule | Measured | Needs | Seen |", "|---|---|---|---|---|"]
    lines += [
        _cells(told_outcome(rule), rule.rule, told_number(rule.measured), rule.bound, rule.reason)
        for rule in failing[:_NAMED]
    ]
    passed = len(result.rules) - len(failing)
    lines += [
        "",
        f"- {result.source}: {passed} of {len(result.rules)} rules passed on {result.rows:,} rows of `{result.data}`.",
    ]
    if len(failing) > _NAMED:
        lines.append(f"- {len(failing) - _NAMED} more rules did not pass; the log of the check has them all.")
    if result.quarantine:
        lines.append(f"- {result.quarantine.rows:,} rows that broke a rule are in `{result.quarantine.address}`.")
    return "\n".join(lines)


def _cells(*texts: str) -> str:
    return "| " + " | ".join(_MARKDOWN.sub(r"\\\g<0>", text.replace("\n", " ")) for text in texts) + " |"


def _weights(failing: tuple[RuleResult, ...]) -> str:
    """Say how many rules lead to what, unless all of them stop the data."""
    weights = [severity(rule) for rule in failing]
    if set(weights) == {Gate.FAIL}:
        return ""
    return (
        " (" + ", ".join(f"{weights.count(gate)} {_WORDS[gate]}" for gate in reversed(_ORDER) if gate in weights) + ")"
    )
