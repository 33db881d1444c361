"""Compiles a ruleset to a plan: what is measured, as far as possible in one scan of the data, and what each rule makes of it.

A plan is JSON. ``jobs/quality_check.py`` evaluates it with plain Spark, knowing nothing of DQDL.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from emr_pipelines.quality.measures import ALL, Measure, Numbers, Row, extremes, measure
from emr_pipelines.quality.ruleset import (
    OF_EACH,
    Analyzer,
    Arithmetic,
    Call,
    Composite,
    Condition,
    Rule,
    Ruleset,
    RuleType,
)

_ANY: Final = Condition("not in", ())
# a row breaks them, but says nothing about the composite that they stand in (awslabs/dqdl, rules-config.json)
_NOT_IN_COMPOSITES: Final = frozenset(
    {RuleType.COMPLETENESS, RuleType.UNIQUENESS, RuleType.REFERENTIAL_INTEGRITY, RuleType.DATASET_MATCH}
)


@dataclass(frozen=True)
class Check:
    """What one rule needs, and when it passes.

    It passes when what was measured meets ``condition``. A share of nothing fails: data that is not there meets no promise about its
    values.

    :param rule: its DQDL text.
    :param name: the name that earlier values of its measure are found by.
    """

    rule: str
    name: str
    labels: Mapping[str, str]
    measure: Measure
    condition: Condition


@dataclass(frozen=True)
class Combined:
    """Checks that pass together: all of them (``and``), or one (``or``)."""

    rule: str
    labels: Mapping[str, str]
    operator: str
    parts: tuple[Check | Combined, ...]
    row: Row | None


@dataclass(frozen=True)
class Plan:
    """What to measure, and how to judge it.

    :param source: name of the ruleset's file.
    :param numbers: name -> what is measured; ``rows`` counts all rows.
    :param analyzers: name -> what is measured besides, judged by nobody.
    """

    source: str
    numbers: Mapping[str, Mapping[str, Any]]
    checks: tuple[Check | Combined, ...]
    analyzers: Mapping[str, Measure]

    def to_json(self) -> str:
        """Write the plan as canonical JSON: equal plans have equal text. Numbers are text, lest they be rounded."""
        plan = {
            "version": 2,
            "source": self.source,
            "numbers": dict(self.numbers),
            "rules": [_check_json(check) for check in self.checks],
            "analyzers": [_check_json(Check(name, name, {}, taken, _ANY)) for name, taken in self.analyzers.items()],
        }
        return json.dumps(plan, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def compile_plan(ruleset: Ruleset) -> Plan:
    """Compile a ruleset that :func:`parse_ruleset` has read. Pure: the same ruleset gives the same plan."""
    numbers = Numbers()
    numbers.name("scan", sql="count(1)")
    checks = tuple(_check(rule, numbers) for rule in ruleset.rules)
    analyzers = {name: taken for one in ruleset.analyzers for name, taken in _analyzed(one, numbers).items()}
    # a combined rule has no value of its own, and what is compared with earlier values must be kept for later days
    kept = {part.name: part.measure for check in checks for part in _parts(check) if part.condition.dynamic}
    return Plan(ruleset.source, numbers.specs, checks, kept | analyzers)


def _check(rule: Rule | Composite, numbers: Numbers) -> Check | Combined:
    if isinstance(rule, Rule):
        judged = rule.threshold or ALL if rule.type in OF_EACH else rule.condition or rule.threshold or ALL
        return Check(str(rule), rule.measure, rule.labels, measure(rule, numbers), judged)
    parts = tuple(_check(part, numbers) for part in rule.rules)
    return Combined(str(rule), rule.labels, rule.operator, parts, _combined_row(rule, parts))


def _combined_row(rule: Composite, parts: tuple[Check | Combined, ...]) -> Row | None:
    rows = [_row_of(part) for part in parts]
    told = [row for row in rows if row]
    if len(told) < len(rows) or any(isinstance(one, Rule) and one.type in _NOT_IN_COMPOSITES for one in rule.rules):
        return None
    word = " OR " if rule.operator == "and" else " AND "
    needs = dict.fromkeys(need for row in told for need in row.needs)
    return Row(word.join(f"({row.breaks})" for row in told), tuple(needs))


def _parts(check: Check | Combined) -> Iterator[Check]:
    """Yield the rules that are combined in a rule."""
    for part in check.parts if isinstance(check, Combined) else ():
        if isinstance(part, Check):
            yield part
        else:
            yield from _parts(part)


def _row_of(part: Check | Combined) -> Row | None:
    return part.measure.row if isinstance(part, Check) else part.row


def _analyzed(analyzer: Analyzer, numbers: Numbers) -> dict[str, Measure]:
    rule = Rule(analyzer.type, analyzer.parameters, line=analyzer.line, column=analyzer.column)
    if rule.type in {RuleType.COLUMN_VALUES, RuleType.COLUMN_LENGTH}:
        return {f"{analyzer} {word}": taken for word, taken in extremes(rule, numbers).items()}
    return {rule.measure: measure(rule, numbers)}


def _check_json(check: Check | Combined) -> dict[str, Any]:
    told = {"rule": check.rule, "labels": dict(check.labels), "row": _row_json(check)}
    if isinstance(check, Combined):
        return {**told, "operator": check.operator, "parts": [_check_json(part) for part in check.parts]}
    return {
        **told,
        "measure": check.name,
        **_measure_json(check.measure),
        "condition": _condition_json(check.condition),
    }


def _measure_json(taken: Measure) -> dict[str, Any]:
    return {"number": taken.number, "of": taken.of, "meaning": taken.meaning, "unit": taken.unit}


def _row_json(check: Check | Combined) -> dict[str, Any] | None:
    row = _row_of(check)
    return {"breaks": row.breaks, "needs": list(row.needs)} if row else None


def _condition_json(condition: Condition) -> dict[str, Any]:
    operands = [_expression(operand) for operand in condition.operands]
    return {
        "operator": condition.operator,
        "operands": operands,
        "text": str(condition),
        "dynamic": condition.dynamic,
    }


def _expression(operand: Any) -> str | list[Any]:
    """Write a number as text, and what is to be computed as a list: the function, then what it takes."""
    match operand:
        case Decimal():
            return f"{operand:f}"
        case Call():
            return [operand.function, *(_expression(argument) for argument in operand.arguments)]
        case Arithmetic():
            return [operand.operator, _expression(operand.left), _expression(operand.right)]
    raise TypeError(f"{operand} is no number")  # the reader of DQDL refuses it
