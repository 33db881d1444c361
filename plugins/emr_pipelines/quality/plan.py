"""Compiles a ruleset to a plan: what one scan of the data measures, and what each rule makes of it.

A plan is JSON. ``jobs/quality_check.py`` evaluates it with plain Spark, knowing nothing of DQDL.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from emr_pipelines.quality.ruleset import Condition, Keyword, Kind, Now, Operand, Rule, Ruleset, RuleType

_WHITESPACE: Final = r"\A\s+\z"
_ALL: Final = Condition("=", (Decimal(1),))


@dataclass(frozen=True)
class Check:
    """What one rule needs, and when it passes.

    It passes when what was measured, or its share of ``share_of``, meets ``condition``. A share of nothing fails:
    data that is not there meets no promise about its values.

    :param rule: its DQDL text.
    :param columns: the columns it needs, and what each must hold.
    :param measured: name of an aggregate.
    :param share_of: name of the aggregate that it is a share of; ``None`` for a plain count.
    :param unit: what the aggregates count, for people: ``rows`` or ``values``.
    :param where: the filter in it, to be tried by itself before the scan: it is Spark SQL as the user wrote it.
    :param pattern: the regular expression in it, to be tried likewise.
    """

    rule: str
    columns: tuple[tuple[str, Kind], ...]
    measured: str
    share_of: str | None
    unit: str
    condition: Condition
    where: str | None = None
    pattern: str | None = None


@dataclass(frozen=True)
class Plan:
    """What to measure in one scan, and how to judge it.

    :param source: name of the ruleset's file.
    :param aggregates: name -> Spark SQL of an aggregate; ``rows`` counts all rows.
    """

    source: str
    aggregates: Mapping[str, str]
    checks: tuple[Check, ...]

    def to_json(self) -> str:
        """Write the plan as canonical JSON: equal plans have equal text. Numbers are text, lest they be rounded."""
        plan = {
            "version": 1,
            "source": self.source,
            "aggregates": dict(self.aggregates),
            "checks": [_check_json(check) for check in self.checks],
        }
        return json.dumps(plan, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def compile_plan(ruleset: Ruleset) -> Plan:
    """Compile a ruleset. Pure: the same ruleset gives the same plan."""
    names: dict[str, str] = {"count(1)": "rows"}

    def named(sql: str) -> str:
        return names.setdefault(sql, f"a{len(names)}")

    checks = tuple(_CHECKS[rule.type](rule, named) for rule in ruleset.rules)
    return Plan(ruleset.source, {name: sql for sql, name in names.items()}, checks)


def identifier(name: str) -> str:
    """Quote a column's name for Spark SQL: whatever it holds, it is one name."""
    return "`" + name.replace("`", "``") + "`"


def literal(value: str) -> str:
    """Quote a string for Spark SQL: whatever it holds, it is one string."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


_Named = Callable[[str], str]


def _row_count(rule: Rule, named: _Named) -> Check:
    assert rule.condition is not None  # noqa: S101  # the parser gives every RowCount one
    return Check(str(rule), (), named(_count(rule)), None, "rows", rule.condition, rule.where)


def _completeness(rule: Rule, named: _Named) -> Check:
    (name,) = rule.columns
    complete = named(_count(rule, f"{identifier(name)} IS NOT NULL"))
    return Check(
        str(rule), ((name, Kind.ANY),), complete, named(_count(rule)), "rows", rule.condition or _ALL, rule.where
    )


def _uniqueness(rule: Rule, named: _Named) -> Check:
    """Compare distinct values with values. NULL is no value, as in Deequ, which AWS Glue runs on."""
    columns = [identifier(name) for name in rule.columns]
    value = columns[0] if len(columns) == 1 else f"struct({', '.join(columns)})"
    present = " OR ".join(f"{column} IS NOT NULL" for column in columns)
    distinct = named(f"count(DISTINCT CASE WHEN {_both(present, rule.where)} THEN {value} END)")
    needs = tuple((name, Kind.ANY) for name in rule.columns)
    return Check(str(rule), needs, distinct, named(_count(rule, present)), "values", _ALL, rule.where)


def _column_values(rule: Rule, named: _Named) -> Check:
    assert rule.condition is not None  # noqa: S101  # the parser gives every ColumnValues one
    (name,) = rule.columns
    good = named(_count(rule, _meets(name, rule.condition)))
    pattern = _anchored(rule.condition) if rule.condition.operator.endswith("matches") else None
    needs = ((name, rule.condition.kind),)
    return Check(str(rule), needs, good, named(_count(rule)), "rows", rule.threshold or _ALL, rule.where, pattern)


_CHECKS: Final[Mapping[RuleType, Callable[[Rule, _Named], Check]]] = {
    RuleType.ROW_COUNT: _row_count,
    RuleType.IS_COMPLETE: _completeness,
    RuleType.IS_UNIQUE: _uniqueness,
    RuleType.COLUMN_VALUES: _column_values,
    RuleType.COMPLETENESS: _completeness,
}


def _count(rule: Rule, condition: str | None = None) -> str:
    counted = _both(condition, rule.where)
    return f"count_if({counted})" if counted else "count(1)"


def _both(condition: str | None, where: str | None) -> str:
    # the line ends keep a comment at the end of the filter from swallowing the parenthesis
    return " AND ".join(part for part in (condition and f"({condition})", where and f"(\n{where}\n)") if part)


def _meets(name: str, condition: Condition) -> str:
    """Write in Spark SQL when a value meets a condition.

    As AWS Glue documents: NULL meets ``!=`` and ``not in``, unless NULL is among their operands, and nothing else.
    """
    column = identifier(name)
    value = {
        Kind.NUMBER: column,
        Kind.TEXT: f"CAST({column} AS STRING)",
        Kind.DATE: f"to_date({column})",
        Kind.ANY: column,
    }[condition.kind]
    met = _OPERATORS[condition.operator](column, value, condition)
    # Spark orders NaN above every number, so that NaN would be greater than any bound
    return f"({met}) AND NOT isnan({column})" if condition.kind is Kind.NUMBER else met


def _compared(_column: str, value: str, condition: Condition) -> str:
    return f"{value} {condition.operator} {_sql(condition.operands[0])}"


def _between(_column: str, value: str, condition: Condition) -> str:
    low, high = (_sql(operand) for operand in condition.operands)
    if condition.operator == "between":
        return f"{value} > {low} AND {value} < {high}"
    return f"{value} <= {low} OR {value} >= {high}"


def _among(column: str, value: str, condition: Condition) -> str:
    tests = [_is(column, value, operand) for operand in condition.operands]
    if condition.operator in {"=", "in"}:
        return " OR ".join(tests)
    none_of = f"NOT ({' OR '.join(tests)})"
    return none_of if Keyword.NULL in condition.operands else f"{column} IS NULL OR {none_of}"


def _matches(_column: str, value: str, condition: Condition) -> str:
    negation = "NOT " if condition.operator.startswith("not") else ""
    return f"{negation}{value} RLIKE {literal(_anchored(condition))}"


_OPERATORS: Final[Mapping[str, Callable[[str, str, Condition], str]]] = {
    **dict.fromkeys((">", ">=", "<", "<="), _compared),
    **dict.fromkeys(("between", "not between"), _between),
    **dict.fromkeys(("=", "!=", "in", "not in"), _among),
    **dict.fromkeys(("matches", "not matches"), _matches),
}


def _is(column: str, value: str, operand: Operand) -> str:
    if operand is Keyword.NULL:
        return f"{column} IS NULL"
    if operand is Keyword.EMPTY:
        return f"{value} = ''"
    if operand is Keyword.WHITESPACES_ONLY:
        return f"{value} RLIKE {literal(_WHITESPACE)}"
    return f"{value} = {_sql(operand)}"


def _sql(operand: Operand) -> str:
    if isinstance(operand, Decimal):
        return f"{operand:f}" if operand >= 0 else f"({operand:f})"
    if isinstance(operand, Now):
        return f"date_add(current_date(), {operand.days})"
    if isinstance(operand, dt.date):
        return f"DATE {literal(operand.isoformat())}"
    return literal(operand)


def _anchored(condition: Condition) -> str:
    """Make a regular expression match the whole value, as DQDL means it."""
    return rf"\A(?:{condition.operands[0]})\z"


def _check_json(check: Check) -> dict[str, Any]:
    return {
        "rule": check.rule,
        "columns": [{"name": name, "kind": kind} for name, kind in check.columns],
        "measured": check.measured,
        "share_of": check.share_of,
        "unit": check.unit,
        "condition": {
            "operator": check.condition.operator,
            "operands": [f"{operand:f}" for operand in check.condition.operands],
            "text": str(check.condition),
        },
        "where": check.where,
        "pattern": check.pattern,
    }
