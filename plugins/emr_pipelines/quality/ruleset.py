"""What a DQDL ruleset says, as values: rules, conditions and their operands.

``str()`` of each is its DQDL text, so that a rule is told to people as it was written.
Source of the language: AWS Glue, "Data Quality Definition Language (DQDL) reference".
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final


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
    COMPLETENESS = "Completeness"
    IS_UNIQUE = "IsUnique"
    UNIQUENESS = "Uniqueness"
    DISTINCT_VALUES_COUNT = "DistinctValuesCount"
    IS_PRIMARY_KEY = "IsPrimaryKey"
    UNIQUE_VALUE_RATIO = "UniqueValueRatio"
    COLUMN_VALUES = "ColumnValues"
    COLUMN_LENGTH = "ColumnLength"
    COLUMN_COUNT = "ColumnCount"
    COLUMN_EXISTS = "ColumnExists"
    COLUMN_DATA_TYPE = "ColumnDataType"
    COLUMN_NAMES_MATCH_PATTERN = "ColumnNamesMatchPattern"
    MEAN = "Mean"
    SUM = "Sum"
    STANDARD_DEVIATION = "StandardDeviation"
    ENTROPY = "Entropy"
    COLUMN_CORRELATION = "ColumnCorrelation"
    REFERENTIAL_INTEGRITY = "ReferentialIntegrity"
    DATA_FRESHNESS = "DataFreshness"
    SCHEMA_MATCH = "SchemaMatch"
    DATASET_MATCH = "DatasetMatch"
    AGGREGATE_MATCH = "AggregateMatch"
    ROW_COUNT_MATCH = "RowCountMatch"
    CUSTOM_SQL = "CustomSql"
    FILE_FRESHNESS = "FileFreshness"
    FILE_SIZE = "FileSize"
    FILE_UNIQUENESS = "FileUniqueness"


# their condition is about each value: what is measured is the share that meets it, so that another condition is another measure
OF_EACH: Final = frozenset(
    {
        RuleType.COLUMN_VALUES,
        RuleType.COLUMN_LENGTH,
        RuleType.COLUMN_DATA_TYPE,
        RuleType.DATA_FRESHNESS,
        RuleType.FILE_FRESHNESS,
        RuleType.FILE_SIZE,
    }
)
# their parameters are SQL or regular expressions
RAW: Final = frozenset({RuleType.CUSTOM_SQL, RuleType.COLUMN_NAMES_MATCH_PATTERN})


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
    TIME = "time of day"
    DURATION = "duration"
    SIZE = "size"


class Unit(StrEnum):
    """What a duration counts."""

    DAYS = "days"
    HOURS = "hours"
    MINUTES = "minutes"


class SizeUnit(StrEnum):
    """What a file's size counts; each is 1,024 of the one before."""

    B = "B"
    KB = "KB"
    MB = "MB"
    GB = "GB"
    TB = "TB"


@dataclass(frozen=True)
class Duration:
    """A length of time, such as ``24 hours``; negative only within :class:`Now`."""

    amount: int
    unit: Unit

    def __str__(self) -> str:
        return f"{self.amount} {self.unit}"


@dataclass(frozen=True)
class Size:
    """A file's size, such as ``2 MB``."""

    amount: int
    unit: SizeUnit

    def __str__(self) -> str:
        return f"{self.amount} {self.unit}"


@dataclass(frozen=True)
class Now:
    """The moment of the check, in UTC, moved by a while: ``now()`` or ``(now() - 3 days)``."""

    moved: Duration | None = None

    def __str__(self) -> str:
        if self.moved is None:
            return "now()"
        return f"(now() {'-' if self.moved.amount < 0 else '+'} {abs(self.moved.amount)} {self.moved.unit})"


@dataclass(frozen=True)
class Call:
    """A function of earlier results, in a dynamic rule: ``avg(last(7))``, ``percentile(last(9), 50)``, ``index(last(2), 0)``.

    :param function: ``last``, ``avg``, ``min``, ``max``, ``sum``, ``std``, ``median``, ``percentile`` or ``index``.
    """

    function: str
    arguments: tuple[Number, ...] = ()

    def __str__(self) -> str:
        return f"{self.function}({', '.join(_text(argument) for argument in self.arguments)})"


@dataclass(frozen=True)
class Arithmetic:
    """Two numbers and ``+``, ``-``, ``*`` or ``/`` between them; its text has parentheses, so that nobody has to know which comes first."""

    operator: str
    left: Number
    right: Number

    def __str__(self) -> str:
        return f"({_text(self.left)} {self.operator} {_text(self.right)})"


Number = Decimal | Call | Arithmetic
Operand = Number | str | dt.date | dt.time | Now | Keyword | Duration | Size


@dataclass(frozen=True)
class Condition:
    """A comparison.

    :param operator: ``=``, ``!=``, ``>``, ``>=``, ``<``, ``<=``, ``between``, ``in`` or ``matches``, the last three
        also after ``not``. As in AWS Glue, ``between`` excludes both ends.
    :param operands: one; two for ``between``; any number for ``in``; a regular expression for ``matches``.
    """

    operator: str
    operands: tuple[Operand, ...]

    @property
    def kind(self) -> Kind:
        """What is compared; ``ANY`` when the only operand is NULL."""
        kinds = (kind_of(operand) for operand in self.operands)
        return next((kind for kind in kinds if kind is not Kind.ANY), Kind.ANY)

    @property
    def dynamic(self) -> bool:
        """Whether it needs earlier results."""
        return any(_dynamic(operand) for operand in self.operands)

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
    :param parameters: what stands between the type and the condition, mostly names of columns; without ``of`` and ``and``.
    :param condition: what the measure, or for ColumnValues and the like each value, must meet.
    :param where: Spark SQL that says which rows count; ``None`` for all.
    :param labels: name -> value, the ruleset's default labels among them.
    :param tags: what stands behind ``with``: name -> condition. ``threshold`` is what the share of the rows must meet.
    :param line: where it stands in its file, from 1.
    :param column: likewise.
    """

    type: RuleType
    parameters: tuple[str, ...] = ()
    condition: Condition | None = None
    where: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, Condition] = field(default_factory=dict)
    line: int = field(default=1, compare=False)
    column: int = field(default=1, compare=False)

    @property
    def threshold(self) -> Condition | None:
        """What the share of the rows that meet the condition must meet; ``None`` for all of them."""
        return self.tags.get("threshold")

    @property
    def measure(self) -> str:
        """What it measures, under the name that earlier results of it are found by: its text without what the value must meet."""
        form = f" with format {self.tags['format']}" if "format" in self.tags else ""
        return self._text(self.condition if self.type in OF_EACH else None) + form

    def __str__(self) -> str:
        return " ".join(
            [self._text(self.condition), *(f"with {name} {condition}" for name, condition in self.tags.items())]
        )

    def _text(self, condition: Condition | None) -> str:
        parts = [_named(self.type, self.parameters)]
        if condition:
            parts.append(str(condition))
        if self.where is not None:
            parts.append(f"where {quoted_raw(self.where)}")
        return " ".join(parts)


@dataclass(frozen=True)
class Composite:
    """Rules combined: ``and`` passes when all pass, ``or`` when one does.

    :param operator: ``and`` or ``or``.
    :param rules: two or more, rules or composites.
    :param labels: as a rule's.
    """

    operator: str
    rules: tuple[Rule | Composite, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    line: int = field(default=1, compare=False)
    column: int = field(default=1, compare=False)

    def __str__(self) -> str:
        return f" {self.operator} ".join(f"({rule})" for rule in self.rules)


@dataclass(frozen=True)
class Analyzer:
    """A measure that is taken and kept, and judged by nobody; ``AllStatistics`` is written out as the measures it stands for."""

    type: RuleType
    parameters: tuple[str, ...] = ()
    line: int = field(default=1, compare=False)
    column: int = field(default=1, compare=False)

    def __str__(self) -> str:
        return _named(self.type, self.parameters)


@dataclass(frozen=True)
class Ruleset:
    """The rules of one file, at least one.

    :param analyzers: what is measured besides.
    :param references: the aliases of other datasets that its rules compare with.
    """

    rules: tuple[Rule | Composite, ...]
    source: str = field(compare=False)
    analyzers: tuple[Analyzer, ...] = ()
    references: tuple[str, ...] = ()

    def __str__(self) -> str:
        references = ", ".join(quoted(alias) for alias in self.references)
        sources = f'DataSources = {{ "AdditionalDataSources": [{references}] }}\n' if references else ""
        sections = [("Rules", self.rules), ("Analyzers", self.analyzers)]
        return sources + "".join(
            f"{name} = [\n" + ",\n".join(f"    {_labelled(one)}" for one in entries) + "\n]\n"
            for name, entries in sections
            if entries
        )


def kind_of(operand: Operand) -> Kind:
    """Tell what a condition with this operand compares; ``ANY`` for NULL."""
    if operand is Keyword.NULL:
        return Kind.ANY
    return next(kind for types, kind in _KINDS if isinstance(operand, types))


_KINDS: Final[tuple[tuple[Any, Kind], ...]] = (
    ((Decimal, Call, Arithmetic), Kind.NUMBER),
    ((dt.date, Now), Kind.DATE),
    (dt.time, Kind.TIME),
    (Duration, Kind.DURATION),
    (Size, Kind.SIZE),
    (str, Kind.TEXT),
)


def _dynamic(operand: Operand) -> bool:
    match operand:
        case Call():
            return True
        case Arithmetic():
            return _dynamic(operand.left) or _dynamic(operand.right)
    return False


def _labelled(entry: Rule | Composite | Analyzer) -> str:
    """Write labels where DQDL has them: behind a rule's filter and before what it is ``with``, behind a composite's last parenthesis."""
    if isinstance(entry, Analyzer):
        return str(entry)
    written = "labels=[" + ", ".join(f"{quoted(name)}={quoted(value)}" for name, value in entry.labels.items()) + "]"
    if isinstance(entry, Composite):
        text = f" {entry.operator} ".join(f"({_labelled(rule)})" for rule in entry.rules)
        return f"({text}) {written}" if entry.labels else text
    bare = [str(replace(entry, tags={}))] + [written] * bool(entry.labels)
    return " ".join([*bare, *(f"with {name} {condition}" for name, condition in entry.tags.items())])


def _named(rule_type: RuleType, parameters: tuple[str, ...]) -> str:
    write = quoted_raw if rule_type in RAW else quoted
    return " ".join([str(rule_type), *(write(text) for text in parameters)])


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
    if isinstance(operand, dt.time):
        return f'"{operand:%H:%M}"'
    return f"{operand:f}" if isinstance(operand, Decimal) else str(operand)
