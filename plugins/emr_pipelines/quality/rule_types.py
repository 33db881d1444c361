"""What a rule of each type may say, what it measures, and how its parameters are read.

The parser checks rules against this table and the reference page shows it, so that neither can say what the other does not.
Source: AWS Glue, "DQDL rule type reference", and the rule table of AWS's own parser (awslabs/dqdl, ``rules-config.json``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Final

from emr_pipelines.quality.ruleset import Analyzer, Composite, Condition, Keyword, Kind, Rule, RuleType

NUMBER: Final = frozenset({Kind.NUMBER})
FILE_TAGS: Final = ("recentFiles", "uriRegex")
MOST_COLUMNS: Final = 32
PRIMARY: Final = "primary"
"""What DQDL calls the data that is checked, beside its references."""


@dataclass(frozen=True)
class Takes:
    """What rules of one type take.

    :param measures: what is measured, in one line.
    :param example: a rule of this type.
    :param parameters: what each parameter is, in their order.
    :param least: how many must be there; ``None`` for all.
    :param most: how many there may be; ``None`` for as many as ``parameters`` has.
    :param kinds: what a condition may compare with; none when the type takes no condition.
    :param optional: whether the condition may be left out.
    :param where: whether a filter may say which rows count.
    :param tags: what may stand behind ``with``.
    :param dynamic: whether numbers may be taken from earlier results.
    :param rows: whether each row by itself passes or fails.
    :param analyzer: whether it may stand among the analyzers.
    """

    measures: str
    example: str
    parameters: tuple[str, ...] = ("column",)
    least: int | None = None
    most: int | None = None
    kinds: frozenset[Kind] = frozenset()
    optional: bool = False
    where: bool = False
    tags: tuple[str, ...] = ()
    dynamic: bool = False
    rows: bool = False
    analyzer: bool = False

    @property
    def bounds(self) -> tuple[int, int]:
        """The least and the greatest number of parameters."""
        count = len(self.parameters)
        return (count if self.least is None else self.least, count if self.most is None else self.most)


# what measures one number: rules and analyzers may take it, and earlier results may bound it
_measure = partial(Takes, kinds=NUMBER, dynamic=True, analyzer=True)

RULE_TYPES: Final[Mapping[RuleType, Takes]] = {
    RuleType.ROW_COUNT: _measure("rows", "RowCount between 200 and 2000", (), where=True),
    RuleType.IS_COMPLETE: Takes("no value is NULL", 'IsComplete "tailnum"', where=True, rows=True),
    RuleType.COMPLETENESS: _measure(
        "share of the values that are not NULL", 'Completeness "arrival_delay" > 0.9', where=True, rows=True
    ),
    RuleType.IS_UNIQUE: Takes(
        "no value occurs twice", 'IsUnique "carrier" "flight"', most=MOST_COLUMNS, where=True, rows=True
    ),
    RuleType.UNIQUENESS: _measure(
        "share of the values that occur once",
        'Uniqueness "flight" > 0.5',
        most=MOST_COLUMNS,
        where=True,
        rows=True,
    ),
    RuleType.DISTINCT_VALUES_COUNT: _measure("different values", 'DistinctValuesCount "origin" = 3', where=True),
    RuleType.IS_PRIMARY_KEY: Takes(
        "no value is NULL or occurs twice",
        'IsPrimaryKey "carrier" "flight" "scheduled_departure"',
        most=MOST_COLUMNS,
        where=True,
        rows=True,
    ),
    RuleType.UNIQUE_VALUE_RATIO: _measure(
        "share of the different values that occur once", 'UniqueValueRatio "tailnum" >= 0.1', where=True, rows=True
    ),
    RuleType.COLUMN_VALUES: Takes(
        "each value meets the condition",
        'ColumnValues "departure_delay" <= 180 with threshold > 0.75',
        kinds=frozenset({Kind.NUMBER, Kind.TEXT, Kind.DATE}),
        where=True,
        tags=("threshold",),
        rows=True,
        analyzer=True,
    ),
    RuleType.COLUMN_LENGTH: Takes(
        "the length of each value meets the condition",
        'ColumnLength "origin" = 3',
        kinds=NUMBER,
        where=True,
        tags=("threshold",),
        rows=True,
        analyzer=True,
    ),
    RuleType.COLUMN_COUNT: _measure("columns", "ColumnCount >= 19", ()),
    RuleType.COLUMN_EXISTS: Takes("the column is there", 'ColumnExists "tailnum"'),
    RuleType.COLUMN_DATA_TYPE: Takes(
        "each value can be cast to the type",
        'ColumnDataType "flight" = "Integer" with threshold > 0.99',
        kinds=frozenset({Kind.TEXT}),
        where=True,
        tags=("threshold", "format"),
        dynamic=True,
        rows=True,
    ),
    RuleType.COLUMN_NAMES_MATCH_PATTERN: Takes(
        "each column's name matches the regular expression",
        'ColumnNamesMatchPattern "[a-z_]+"',
        ("regular expression",),
    ),
    RuleType.MEAN: _measure("mean of the values", 'Mean "departure_delay" between -10 and 60', where=True),
    RuleType.SUM: _measure("sum of the values", 'Sum "distance" > 0', where=True),
    RuleType.STANDARD_DEVIATION: _measure(
        "standard deviation of the values", 'StandardDeviation "air_time" < 2 * avg(last(7))', where=True
    ),
    RuleType.ENTROPY: _measure("entropy of the values, in nats", 'Entropy "carrier" > 1.5', where=True),
    RuleType.COLUMN_CORRELATION: _measure(
        "Pearson's correlation of two columns",
        'ColumnCorrelation "air_time" "distance" > 0.9',
        ("column", "column"),
        where=True,
    ),
    RuleType.REFERENTIAL_INTEGRITY: _measure(
        "share of the rows whose values are in the reference",
        'ReferentialIntegrity "carrier,origin" "airlines.{code,airport}" = 1',
        ("columns", "reference and its columns"),
        rows=True,
    ),
    RuleType.DATA_FRESHNESS: Takes(
        "the age of each value meets the condition",
        'DataFreshness "scheduled_departure" <= 24 hours',
        kinds=frozenset({Kind.DURATION}),
        where=True,
        rows=True,
    ),
    RuleType.SCHEMA_MATCH: _measure(
        "share of the columns that the reference has, with the same type",
        'SchemaMatch "previous" = 1.0',
        ("reference",),
    ),
    RuleType.DATASET_MATCH: _measure(
        "share of the rows that are equal in the reference, joined by the key columns",
        'DatasetMatch "previous" "carrier,flight->number" "distance" >= 0.99',
        ("reference", "key columns", "compared columns"),
        least=2,
        rows=True,
    ),
    RuleType.AGGREGATE_MATCH: Takes(
        "ratio of two sums or means",
        'AggregateMatch "sum(distance)" "sum(previous.distance)" between 0.9 and 1.1',
        ("aggregate", "aggregate"),
        kinds=NUMBER,
        analyzer=True,
    ),
    RuleType.ROW_COUNT_MATCH: _measure(
        "ratio of the rows to those of the reference", 'RowCountMatch "previous" >= 0.8', ("reference",)
    ),
    RuleType.CUSTOM_SQL: Takes(
        "the number that the SQL gives; without a condition, the share of the rows that it selects",
        'CustomSql "select count(*) from primary where distance <= 0" = 0',
        ("SQL",),
        kinds=NUMBER,
        optional=True,
        tags=("threshold",),
        dynamic=True,
        rows=True,
        analyzer=True,
    ),
    RuleType.FILE_FRESHNESS: Takes(
        "the time at which each file was written meets the condition",
        "FileFreshness > (now() - 1 days)",
        ("file or folder",),
        least=0,
        kinds=frozenset({Kind.DATE, Kind.TIME}),
        tags=("threshold", "timeZone", *FILE_TAGS),
    ),
    RuleType.FILE_SIZE: Takes(
        "the size of each file meets the condition",
        "FileSize between 1 KB and 1 GB",
        ("file or folder",),
        least=0,
        kinds=frozenset({Kind.SIZE}),
        tags=("threshold", *FILE_TAGS),
    ),
    RuleType.FILE_UNIQUENESS: Takes(
        "share of the files whose content no other has",
        "FileUniqueness >= 0.95",
        ("file or folder",),
        least=0,
        kinds=NUMBER,
        tags=FILE_TAGS,
    ),
}

NOT_RUN: Final[Mapping[str, str]] = {
    "DetectAnomalies": "its model is AWS's own; a dynamic rule, as RowCount > 0.8 * avg(last(7)), says what is meant",
    "FileMatch": "Spark writes each day's files anew, so that no checksum is known before; DatasetMatch compares the rows",
    "Variance": "StandardDeviation is its square root",
}

DATA_TYPES: Final = ("Boolean", "Date", "Timestamp", "Integer", "Double", "Float", "Long", "Decimal(precision, scale)")
DATE_FORMATS: Final = tuple(
    parts.replace("-", separator)
    for parts in ("yyyy-MM-dd", "dd-MM-yyyy", "MM-dd-yyyy", "yyyy-MM", "MM-yyyy", "dd-MM", "MM-dd")
    for separator in "-/"
)


def usage(rule_type: RuleType) -> str:
    """Write what stands behind a rule's type: ``"reference" "key columns" ["compared columns"]``; empty when nothing does."""
    takes = RULE_TYPES[rule_type]
    least, most = takes.bounds
    words = [f'"{name}"' if place < least else f'["{name}"]' for place, name in enumerate(takes.parameters)]
    return " ".join([*words, *["..."] * (most > len(words))])


def is_data_type(text: str) -> bool:
    """Tell whether ColumnDataType knows a type, in upper or lower case as in Deequ."""
    known = {name.lower() for name in DATA_TYPES[:-1]}
    return (
        text.lower() in known
        or re.fullmatch(r"decimal\(\d{1,2},\s*\d{1,2}\)", text, re.IGNORECASE | re.ASCII) is not None
    )


def columns_of(text: str) -> tuple[str, ...]:
    """Read names of columns: ``a,b``."""
    return tuple(name.strip() for name in text.split(","))


def column_pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Read which column here is which column of the reference: ``a->b,c``, where ``c`` has the same name in both."""
    pairs = (pair.partition("->") for pair in text.split(","))
    return tuple((here.strip(), there.strip() if arrow else here.strip()) for here, arrow, there in pairs)


def reference_columns(text: str) -> tuple[str, tuple[str, ...]]:
    """Read a reference's alias and its columns: ``alias.column`` or ``alias.{a,b}``.

    :raises ValueError: it is neither.
    """
    if found := re.fullmatch(r"(?P<alias>[^{}]+)\.\{(?P<columns>[^{}]+)\}", text, re.DOTALL):
        return found["alias"], columns_of(found["columns"])
    alias, dot, column = text.rpartition(".")
    if not dot or not alias or "{" in text:
        raise ValueError(text)
    return alias, (column.strip(),)


def aggregate(text: str) -> tuple[str, str | None, str]:
    """Read an aggregate, ``sum(column)`` or ``avg(alias.column)``: its function, the reference's alias if it has one, the column.

    The alias ``primary`` is the data itself.

    :raises ValueError: it is none.
    """
    found = re.fullmatch(
        r"\s*(?P<function>sum|avg|SUM|AVG)\((?:(?P<alias>.+)\.)?(?P<column>[^.]+)\)\s*", text, re.DOTALL
    )
    if not found:
        raise ValueError(text)
    alias = None if found["alias"] == PRIMARY else found["alias"]
    return found["function"].lower(), alias, found["column"].strip()


_SHARES: Final = frozenset(
    {
        RuleType.COMPLETENESS,
        RuleType.UNIQUENESS,
        RuleType.UNIQUE_VALUE_RATIO,
        RuleType.REFERENTIAL_INTEGRITY,
        RuleType.SCHEMA_MATCH,
        RuleType.DATASET_MATCH,
    }
)


def condition_mistake(rule_type: RuleType, condition: Condition | None) -> str | None:
    """Say what is wrong with a rule's condition, or with its having none; ``None`` when nothing is."""
    takes = RULE_TYPES[rule_type]
    if condition is None:
        return f"{rule_type} needs a condition, as in {takes.example}" if takes.kinds and not takes.optional else None
    if not takes.kinds:
        return f"{rule_type} takes no condition"
    keyword = any(isinstance(operand, Keyword) for operand in condition.operands)
    if (keyword and rule_type is not RuleType.COLUMN_VALUES) or condition.kind not in takes.kinds | {Kind.ANY}:
        return f"{rule_type} is compared with {_spelled(takes.kinds)}"
    if condition.dynamic and not takes.dynamic:
        return f"{rule_type} takes no earlier results; RowCount and others that measure one number do"
    if rule_type in _SHARES and (mistake := share_mistake(condition)):
        return mistake
    return _data_type_mistake(condition) if rule_type is RuleType.COLUMN_DATA_TYPE else None


def share_mistake(condition: Condition) -> str | None:
    """Say that no share meets a condition, percent having been meant; ``None`` when some may."""
    bound = condition.operands[0]
    if not isinstance(bound, Decimal):
        return None
    never = {">": bound >= 1, "between": bound >= 1, ">=": bound > 1, "=": bound > 1}.get(condition.operator, False)
    return f"a share is from 0 to 1, so that none is {condition}; 95 percent is 0.95" if never else None


def _data_type_mistake(condition: Condition) -> str | None:
    if condition.operator not in {"=", "!="}:
        return f"ColumnDataType takes = and !=, not {condition.operator}"
    name = str(condition.operands[0])
    return None if is_data_type(name) else f'"{name}" is no type of a column: {", ".join(DATA_TYPES)}'


def _spelled(kinds: Iterable[Kind]) -> str:
    return " or ".join(words for kind, words in _KINDS.items() if kind in kinds)


_KINDS: Final[Mapping[Kind, str]] = {
    Kind.NUMBER: "numbers",
    Kind.TEXT: "strings",
    Kind.DATE: "dates",
    Kind.TIME: "times of day",
    Kind.DURATION: "durations, such as 24 hours",
    Kind.SIZE: "sizes, such as 2 MB",
}


def references_of(rule: Rule | Composite | Analyzer) -> tuple[str, ...]:
    """Name the other datasets that a rule or an analyzer compares with, by their aliases; what SQL reads is not told from it."""
    if isinstance(rule, Composite):
        return tuple(alias for one in rule.rules for alias in references_of(one))
    return aliases(rule.type, rule.parameters)


def aliases(rule_type: RuleType, parameters: tuple[str, ...]) -> tuple[str, ...]:
    """Name the other datasets in the parameters of a rule or an analyzer."""
    match rule_type:
        case RuleType.SCHEMA_MATCH | RuleType.DATASET_MATCH | RuleType.ROW_COUNT_MATCH:
            return parameters[:1]
        case RuleType.REFERENTIAL_INTEGRITY:
            return (reference_columns(parameters[1])[0],)
        case RuleType.AGGREGATE_MATCH:
            return tuple(alias for text in parameters if (alias := aggregate(text)[1]) is not None)
    return ()


def parameter_mistake(rule_type: RuleType, parameters: tuple[str, ...]) -> tuple[int, str] | None:
    """Find a parameter that cannot be read: its place among them and what is wrong with it; ``None`` when all can."""
    names = RULE_TYPES[rule_type].parameters
    for place, text in enumerate(parameters):
        what = names[min(place, len(names) - 1)]
        if not text.strip():
            return place, f"this {what} is empty"
        if problem := _mistake(what, text):
            return place, problem
    if rule_type is RuleType.REFERENTIAL_INTEGRITY:
        return _uneven(*parameters)
    return None


def _mistake(what: str, text: str) -> str | None:
    if what == "aggregate" and not _readable(aggregate, text):
        return f'"{text}" is no aggregate: sum(column), avg(column) or, of a reference, sum(alias.column)'
    if what == "reference and its columns" and not _readable(reference_columns, text):
        return f'"{text}" names no columns of a reference: alias.column or alias.{{a,b}}'
    if what in {"columns", "key columns", "compared columns"} and not all(all(pair) for pair in column_pairs(text)):
        return f'"{text}" has a column without a name: a,b' + (
            "" if what == "columns" else " or, named otherwise there, a->b"
        )
    return None


def _readable(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True


def _uneven(here: str, there: str) -> tuple[int, str] | None:
    ours, theirs = columns_of(here), reference_columns(there)[1]
    if not all(theirs):
        return 1, f'"{there}" has a column without a name: alias.{{a,b}}'
    if len(ours) == len(theirs):
        return None
    return (
        1,
        f'"{there}" names {len(theirs)} of the reference\'s columns, "{here}" {len(ours)} of the data\'s: as many of both',
    )
