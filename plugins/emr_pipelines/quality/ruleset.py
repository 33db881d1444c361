"""What a DQDL ruleset says, as values: rules, conditions and their operands.

``str()`` of each is its DQDL text, so that a rule is told to people as it was written.
Source of the language: AWS Glue, "Data Quality Definition Language (DQDL) reference".
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum


class RulesetError(ValueError):
    """A ruleset that cannot be run: where, which word, and what was expected instead.

    :param message: cause and cure.
    :param source: name of the ruleset's file.
    :param line: line of the word, from 1.
    :param column: column of the word, from 1.
    """

    def __init__(self, message: str, source: str, line: int, column: int) -> None:
        super().__init__(f"{source}:{line}:{column}: {message}")
        self.message = message
        self.source = source
        self.line = line
        self.column = column


class RuleType(StrEnum):
    """The rule types that this package runs."""

    ROW_COUNT = "RowCount"
    IS_COMPLETE = "IsComplete"
    IS_UNIQUE = "IsUnique"
    COLUMN_VALUES = "ColumnValues"
    COMPLETENESS = "Completeness"


class Keyword(StrEnum):
    """Values that DQDL has a word for."""

    NULL = "NULL"
    EMPTY = "EMPTY"
    WHITESPACES_ONLY = "WHITESPACES_ONLY"


class Kind(StrEnum):
    """What a condition compares, hence which type of column it needs."""

    ANY = "any"
    NUMBER = "number"
    TEXT = "text"
    DATE = "date"


@dataclass(frozen=True)
class Now:
    """Today in UTC, moved by some days: ``now()`` or ``(now() - 3 days)``."""

    days: int = 0

    def __str__(self) -> str:
        if not self.days:
            return "now()"
        return f"(now() {'-' if self.days < 0 else '+'} {abs(self.days)} days)"


Operand = Decimal | str | dt.date | Now | Keyword


@dataclass(frozen=True)
class Condition:
    """A comparison with literal operands.

    :param operator: ``=``, ``!=``, ``>``, ``>=``, ``<``, ``<=``, ``between``, ``in`` or ``matches``, the last three
        also after ``not``. As in AWS Glue, ``between`` excludes both ends.
    :param operands: one; two for ``between``; any number for ``in``; a regular expression for ``matches``.
    """

    operator: str
    operands: tuple[Operand, ...]

    @property
    def kind(self) -> Kind:
        """What is compared; ``ANY`` when the only operand is NULL."""
        for operand in self.operands:
            if operand is Keyword.NULL:
                continue
            if isinstance(operand, Decimal):
                return Kind.NUMBER
            return Kind.TEXT if isinstance(operand, str) else Kind.DATE
        return Kind.ANY

    def __str__(self) -> str:
        if self.operator.endswith("matches"):
            return f"{self.operator} {quoted_raw(str(self.operands[0]))}"
        texts = [_text(operand) for operand in self.operands]
        if self.operator.endswith("between"):
            return f"{self.operator} {texts[0]} and {texts[1]}"
        if self.operator.endswith("in"):
            return f"{self.operator} [{', '.join(texts)}]"
        return f"{self.operator} {texts[0]}"


@dataclass(frozen=True)
class Rule:
    """One rule.

    :param type: what it measures.
    :param columns: names of the columns it looks at.
    :param condition: what the measure, or for ColumnValues each value, must meet.
    :param where: Spark SQL that says which rows count; ``None`` for all.
    :param threshold: for ColumnValues, what the share of the rows that meet the condition must meet; ``None`` for all.
    :param line: where it stands in its file, from 1.
    :param column: likewise.
    """

    type: RuleType
    columns: tuple[str, ...] = ()
    condition: Condition | None = None
    where: str | None = None
    threshold: Condition | None = None
    line: int = field(default=1, compare=False)
    column: int = field(default=1, compare=False)

    def __str__(self) -> str:
        parts = [str(self.type), *(quoted(name) for name in self.columns)]
        if self.condition:
            parts.append(str(self.condition))
        if self.where is not None:
            parts.append(f"where {quoted_raw(self.where)}")
        if self.threshold:
            parts.append(f"with threshold {self.threshold}")
        return " ".join(parts)


@dataclass(frozen=True)
class Ruleset:
    """The rules of one file, at least one."""

    rules: tuple[Rule, ...]
    source: str = field(compare=False)

    def __str__(self) -> str:
        return "Rules = [\n" + ",\n".join(f"    {rule}" for rule in self.rules) + "\n]\n"


def quoted(value: str) -> str:
    """Write a value as a DQDL string."""
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'


def unquoted(text: str) -> str:
    """Read the value of a DQDL string."""
    return re.sub(r'\\(["\\])', r"\1", text[1:-1])


def quoted_raw(value: str) -> str:
    """Write Spark SQL or a regular expression as a DQDL string: a backslash stays as it is, it has a meaning there."""
    return '"' + value.replace('"', '\\"') + '"'


def unquoted_raw(text: str) -> str:
    """Read Spark SQL or a regular expression from a DQDL string; see :func:`quoted_raw`."""
    return re.sub(r"\\(.)", lambda pair: '"' if pair[1] == '"' else pair[0], text[1:-1])


def _text(operand: Operand) -> str:
    if isinstance(operand, dt.date):
        return f'"{operand.isoformat()}"'
    if isinstance(operand, str) and not isinstance(operand, Keyword):
        return quoted(operand)
    return f"{operand:f}" if isinstance(operand, Decimal) else str(operand)
