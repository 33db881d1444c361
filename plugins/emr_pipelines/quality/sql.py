"""Writes in Spark SQL when a row meets a condition of DQDL."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from emr_pipelines.quality.ruleset import (
    Arithmetic,
    Condition,
    Duration,
    Keyword,
    Kind,
    Now,
    Operand,
    Size,
    SizeUnit,
    Unit,
)

Write = Callable[[Operand], str]
_WHITESPACE: Final = r"\A\s+\z"
_SECONDS: Final = {Unit.DAYS: 86_400, Unit.HOURS: 3_600, Unit.MINUTES: 60}


def identifier(name: str) -> str:
    """Quote a name for Spark SQL: whatever it holds, it is one name."""
    return "`" + name.replace("`", "``") + "`"


def literal(value: str) -> str:
    """Quote a string for Spark SQL: whatever it holds, it is one string."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def both(condition: str | None, where: str | None) -> str:
    """Join a condition and a filter that the user wrote; empty when there is neither."""
    # the line ends keep a comment at the end of the filter from swallowing the parenthesis
    return " AND ".join(part for part in (condition and f"({condition})", where and f"(\n{where}\n)") if part)


def _seconds(duration: Duration) -> int:
    return duration.amount * _SECONDS[duration.unit]


def anchored(condition: Condition) -> str:
    """Make a regular expression match the whole value, as DQDL means it."""
    return rf"\A(?:{condition.operands[0]})\z"


def moment(operand: Operand) -> str:
    """Write an operand that is compared with moments: :class:`Now` to the second."""
    return f"(current_timestamp() + {_moved(operand)})" if isinstance(operand, Now) else _sql(operand)


def _sql(operand: Operand) -> str:
    if isinstance(operand, Arithmetic):
        return f"({_sql(operand.left)} {operand.operator} {_sql(operand.right)})"
    # a str last: the words that DQDL has for values are tested for by themselves
    write = next((write for types, write in _WRITERS if isinstance(operand, types)), None)
    if write is None:
        raise TypeError(f"{operand} is not compared row by row")  # the reader of DQDL refuses it
    return write(operand)


_WRITERS: Final[tuple[tuple[type, Callable[[Any], str]], ...]] = (
    (Decimal, lambda number: f"{number:f}" if number >= 0 else f"({number:f})"),
    (Now, lambda now: f"to_date({moment(now)})"),
    (dt.date, lambda day: f"DATE {literal(day.isoformat())}"),
    (dt.time, lambda time: str(time.hour * 3600 + time.minute * 60 + time.second)),
    (Duration, lambda duration: str(_seconds(duration))),
    (Size, lambda size: str(size.amount * 1024 ** list(SizeUnit).index(size.unit))),
    (str, literal),
)


def _moved(now: Now) -> str:
    return f"make_interval(0, 0, 0, 0, 0, 0, {_seconds(now.moved) if now.moved else 0})"


def value_meets(name: str, condition: Condition) -> str:
    """Write when a column's value meets a condition.

    As AWS Glue documents: NULL meets ``!=`` and ``not in``, unless NULL is among their operands, and nothing else. A moment is compared
    by its day in UTC, as in Deequ's ColumnValuesRule.
    """
    column = identifier(name)
    value = {
        Kind.NUMBER: column,
        Kind.TEXT: f"CAST({column} AS STRING)",
        Kind.DATE: f"to_date({column})",
        Kind.ANY: column,
    }[condition.kind]
    met = meets(value, condition, f"{column} IS NULL")
    # Spark orders NaN above every number, so that NaN would be greater than any bound
    return f"({met}) AND NOT isnan({column})" if condition.kind is Kind.NUMBER else met


def meets(value: str, condition: Condition, is_null: str, write: Write = _sql) -> str:
    """Write when an expression meets a condition.

    :param value: the expression, Spark SQL.
    :param is_null: when the value counts as NULL, Spark SQL.
    :param write: writes an operand.
    """
    return _OPERATORS[condition.operator](value, condition, is_null, write)


def _compared(value: str, condition: Condition, _is_null: str, write: Write) -> str:
    return f"{value} {condition.operator} {write(condition.operands[0])}"


def _between(value: str, condition: Condition, _is_null: str, write: Write) -> str:
    low, high = (write(operand) for operand in condition.operands)
    if any(isinstance(operand, Now) for operand in condition.operands):
        # AWS's own example says "between now() and (now() - 45 minutes)"
        low, high = f"least({low}, {high})", f"greatest({low}, {high})"
    if condition.operator == "between":
        return f"{value} > {low} AND {value} < {high}"
    return f"{value} <= {low} OR {value} >= {high}"


def _among(value: str, condition: Condition, is_null: str, write: Write) -> str:
    tests = [_is(value, operand, is_null, write) for operand in condition.operands]
    if condition.operator in {"=", "in"}:
        return " OR ".join(tests)
    none_of = f"NOT ({' OR '.join(tests)})"
    return none_of if Keyword.NULL in condition.operands else f"{is_null} OR {none_of}"


def _is(value: str, operand: Operand, is_null: str, write: Write) -> str:
    if operand is Keyword.NULL:
        return is_null
    if operand is Keyword.EMPTY:
        return f"{value} = ''"
    if operand is Keyword.WHITESPACES_ONLY:
        return f"{value} RLIKE {literal(_WHITESPACE)}"
    return f"{value} = {write(operand)}"


def _matches(value: str, condition: Condition, _is_null: str, _write: Write) -> str:
    negation = "NOT " if condition.operator.startswith("not") else ""
    return f"{negation}{value} RLIKE {literal(anchored(condition))}"


_OPERATORS: Final[Mapping[str, Callable[[str, Condition, str, Write], str]]] = {
    **dict.fromkeys((">", ">=", "<", "<="), _compared),
    **dict.fromkeys(("between", "not between"), _between),
    **dict.fromkeys(("=", "!=", "in", "not in"), _among),
    **dict.fromkeys(("matches", "not matches"), _matches),
}
