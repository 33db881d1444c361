"""Says of each rule type what must be measured, and what a rule makes of it.

What a measure means is what AWS's own code does with it (awslabs/deequ, ``com.amazon.deequ.dqdl``); where that code is silent, the
AWS Glue Developer Guide's page of the rule type; where both are, the function's docstring says what was chosen.

A number to be measured is described by JSON. Those of one ``set`` are measured by one query. Its ``kind``:

- ``scan``: ``sql``, an aggregate of the data.
- ``group``: ``sql``, an aggregate of the groups that ``columns`` make, of which ``OWN + rows`` tells the size.
- ``query``: ``sql``, which gives one number.
- ``match``: how many rows find their like in a ``reference``, or among the rows that ``sql`` gives: the ``pairs`` of columns are equal,
  and ``others`` of the same name, if they are wanted. ``distinct`` demands that the columns joined by ``=`` are a key on both sides.
- ``columns``, ``exists``, ``named``, ``schema``: from the names and types of the columns.
- ``files``: ``sql``, which gives one number of the files at ``address``, ``digest`` of their content included if that is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal

from emr_pipelines.quality.rule_types import aggregate, column_pairs, columns_of, reference_columns
from emr_pipelines.quality.ruleset import (
    Condition,
    Kind,
    Rule,
    RuleType,
)
from emr_pipelines.quality.sql import anchored, both, identifier, literal, meets, moment, value_meets

ALL: Final = Condition("=", (Decimal(1),))
OWN: Final = "__quality_"
"""What the names of columns begin with that a check adds to the data."""
Meaning = Literal["count", "share", "number", "ratio"]


@dataclass(frozen=True)
class Row:
    """When a row breaks a rule.

    :param breaks: Spark SQL over the row, and over a column ``OWN + name`` for each number in ``needs``: of a ``group`` the size of
        the row's group, of a ``match`` whether the row found its like.
    """

    breaks: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measure:
    """What a rule measures.

    :param number: name of a number.
    :param of: name of the number that it is a share of or divided by; of a plain ``number``, how many values it was made of.
    :param meaning: how the two become one value.
    :param unit: what a count counts, or what a number is, for people.
    """

    number: str
    of: str | None = None
    meaning: Meaning = "count"
    unit: str = "rows"
    row: Row | None = None


@dataclass
class Numbers:
    """Names for what is to be measured; what several rules need has one name."""

    specs: dict[str, dict[str, Any]] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)

    def name(self, kind: str, **spec: Any) -> str:
        """Give the name of a number."""
        together = {"set": "scan"} if kind == "scan" else {}
        told = {"kind": kind, **together, **{key: value for key, value in spec.items() if value is not None}}
        text = json.dumps(told, sort_keys=True)
        if text not in self._names:
            # the number of all rows is always measured, and comes first
            self._names[text] = f"n{len(self._names)}" if self._names else "rows"
            self.specs[self._names[text]] = told
        return self._names[text]

    def count(self, rule: Rule, condition: str | None = None, **spec: Any) -> str:
        """Name the number of rows that the rule's filter lets through and that meet a condition."""
        counted = both(condition, rule.where)
        return self.name("scan", sql=f"count_if({counted})" if counted else "count(1)", where=rule.where, **spec)


def measure(rule: Rule, numbers: Numbers) -> Measure:
    """Say what a rule measures, and name the numbers that it needs."""
    return _MEASURES[rule.type](rule, numbers)


def extremes(rule: Rule, numbers: Numbers) -> dict[str, Measure]:
    """Say what an analyzer of values or of lengths measures: the least and the greatest, as AWS reports them."""
    (name,) = rule.parameters
    kind, value = Kind.NUMBER.value, identifier(name)
    if rule.type is RuleType.COLUMN_LENGTH:
        kind, value = "string", _length(name)
    return {
        word: Measure(
            numbers.name("scan", sql=f"{function}({value})", columns=[[name, kind]]), meaning="number", unit=word
        )
        for word, function in (("minimum", "min"), ("maximum", "max"))
    }


def _row_count(rule: Rule, numbers: Numbers) -> Measure:
    return Measure(numbers.count(rule))


def _share(rule: Rule, numbers: Numbers, good: str, kind: str, **spec: Any) -> Measure:
    """Measure the share of the rows in which a condition on one column holds; the others break the rule."""
    columns = [[rule.parameters[0], kind]]
    row = Row(both(f"NOT coalesce({good}, false)", rule.where))
    return Measure(numbers.count(rule, good, columns=columns, **spec), numbers.count(rule), "share", row=row)


def _completeness(rule: Rule, numbers: Numbers) -> Measure:
    return _share(rule, numbers, f"{identifier(rule.parameters[0])} IS NOT NULL", Kind.ANY)


def _column_values(rule: Rule, numbers: Numbers) -> Measure:
    condition = _condition(rule)
    pattern = anchored(condition) if condition.operator.endswith("matches") else None
    good = value_meets(rule.parameters[0], condition)
    return _share(rule, numbers, good, condition.kind, pattern=pattern)


def _column_length(rule: Rule, numbers: Numbers) -> Measure:
    """Compare lengths, in characters; NULL counts as an empty string, as AWS documents."""
    name = rule.parameters[0]
    return _share(rule, numbers, meets(_length(name), _condition(rule), "false"), "string")


def _length(name: str) -> str:
    return f"length(coalesce({identifier(name)}, ''))"


def _column_data_type(rule: Rule, numbers: Numbers) -> Measure:
    """Try to cast each value; NULL has no type, so that it meets ``!=`` and not ``=``, as in Deequ.

    A day is read strictly by the ``format`` that it is tagged with.
    """
    condition = _condition(rule)
    name = rule.parameters[0]
    wanted = str(condition.operands[0]).upper()
    pattern = rule.tags.get("format")
    if wanted == "DATE" and pattern:
        value = _day(f"CAST({identifier(name)} AS STRING)", str(pattern.operands[0]))
    else:
        value = f"CAST({identifier(name)} AS {wanted})"
    return _share(rule, numbers, f"{value} IS {'NOT ' if condition.operator == '=' else ''}NULL", Kind.TEXT)


def _day(text: str, pattern: str) -> str:
    """Read a day by a pattern; one without a year is of a leap year, as in Deequ, so that 29 February is a day."""
    if "y" in pattern:
        return f"to_date({text}, {literal(pattern)})"
    return f"to_date(concat({text}, ' 2000'), {literal(pattern + ' yyyy')})"


def _data_freshness(rule: Rule, numbers: Numbers) -> Measure:
    """Compare each row's age with durations, to the second; NULL, and what is no moment, is not fresh."""
    column = identifier(rule.parameters[0])
    age = f"(unix_timestamp(current_timestamp()) - unix_timestamp(to_timestamp({column})))"
    return _share(rule, numbers, meets(age, _condition(rule), "false"), Kind.DATE)


def _groups(rule: Rule, numbers: Numbers, sql: str) -> str:
    """Name a number of the groups of equal values, NULL a value like the others."""
    columns = [[name, Kind.ANY] for name in rule.parameters]
    together = json.dumps([rule.parameters, rule.where])
    return numbers.name("group", columns=columns, where=rule.where, sql=sql, set=together)


def _present(rule: Rule) -> str:
    """Write when there is a value: not all of its columns are NULL, as in Deequ's FrequencyBasedAnalyzer."""
    return " OR ".join(f"{identifier(name)} IS NOT NULL" for name in rule.parameters)


def _unique(rule: Rule, number: str, of: str) -> Measure:
    row = Row(both(f"({_present(rule)}) AND {OWN}{number} > 1", rule.where), (number,))
    return Measure(number, of, "share", "values", row)


def _is_unique(rule: Rule, numbers: Numbers) -> Measure:
    """Compare distinct values with values: how many values a removal of duplicates would leave."""
    distinct = _groups(rule, numbers, f"count_if({_present(rule)})")
    return _unique(rule, distinct, numbers.count(rule, _present(rule), columns=_any(rule)))


def _uniqueness(rule: Rule, numbers: Numbers) -> Measure:
    """Compare the values that occur once with all values."""
    once = _groups(rule, numbers, f"count_if(({_present(rule)}) AND {OWN}rows = 1)")
    return _unique(rule, once, numbers.count(rule, _present(rule), columns=_any(rule)))


def _unique_value_ratio(rule: Rule, numbers: Numbers) -> Measure:
    """Compare the values that occur once with the distinct values."""
    once = _groups(rule, numbers, f"count_if(({_present(rule)}) AND {OWN}rows = 1)")
    return _unique(rule, once, _groups(rule, numbers, f"count_if({_present(rule)})"))


def _is_primary_key(rule: Rule, numbers: Numbers) -> Measure:
    """Compare the rows that have a key, complete and that no other has, with all rows."""
    complete = " AND ".join(f"{identifier(name)} IS NOT NULL" for name in rule.parameters)
    once = _groups(rule, numbers, f"count_if({complete} AND {OWN}rows = 1)")
    row = Row(both(f"NOT ({complete}) OR {OWN}{once} > 1", rule.where), (once,))
    return Measure(once, numbers.count(rule), "share", "rows", row)


def _distinct_values_count(rule: Rule, numbers: Numbers) -> Measure:
    return Measure(_groups(rule, numbers, f"count_if({_present(rule)})"), unit="distinct values")


def _entropy(rule: Rule, numbers: Numbers) -> Measure:
    """Measure Shannon's entropy of the values with the natural logarithm; NULL is no value, as in Deequ."""
    size = f"IF({_present(rule)}, {OWN}rows, NULL)"
    entropy = f"IF(count({size}) = 1, 0D, ln(sum({size})) - sum({size} * ln({size})) / sum({size}))"
    return Measure(_groups(rule, numbers, entropy), meaning="number", unit="entropy")


def _any(rule: Rule) -> list[list[str]]:
    return [[name, Kind.ANY] for name in rule.parameters]


def _numeric(rule: Rule, numbers: Numbers, function: str, unit: str) -> Measure:
    """Aggregate numbers; NULL is left out."""
    (name,) = rule.parameters
    columns = [[name, Kind.NUMBER]]
    value = _filtered(rule, identifier(name))
    aggregate = numbers.name("scan", sql=f"{function}({value})", columns=columns, where=rule.where)
    count = numbers.name("scan", sql=f"count({value})", columns=columns, where=rule.where)
    return Measure(aggregate, count, "number", unit)


def _filtered(rule: Rule, value: str) -> str:
    return value if rule.where is None else f"CASE WHEN {both(None, rule.where)} THEN {value} END"


def _column_correlation(rule: Rule, numbers: Numbers) -> Measure:
    """Measure Pearson's coefficient, of the rows where both have a value."""
    values = ", ".join(_filtered(rule, f"CAST({identifier(name)} AS DOUBLE)") for name in rule.parameters)
    columns = [[name, Kind.NUMBER] for name in rule.parameters]
    correlation = numbers.name("scan", sql=f"corr({values})", columns=columns, where=rule.where)
    return Measure(correlation, meaning="number", unit="correlation")


def _column_count(rule: Rule, numbers: Numbers) -> Measure:  # noqa: ARG001  # has the shape of all measures
    return Measure(numbers.name("columns"), unit="columns")


def _column_exists(rule: Rule, numbers: Numbers) -> Measure:
    return Measure(numbers.name("exists", column=rule.parameters[0]), unit="columns of that name")


def _column_names_match_pattern(rule: Rule, numbers: Numbers) -> Measure:
    """Look for the pattern anywhere in each name, as Deequ does: it is not anchored."""
    named = numbers.name("named", pattern=rule.parameters[0])
    return Measure(named, numbers.name("columns"), "share", "columns")


def _schema_match(rule: Rule, numbers: Numbers) -> Measure:
    """Compare names and types; none matches when there are more columns here or there, as in Deequ."""
    matching = numbers.name("schema", reference=rule.parameters[0])
    return Measure(matching, numbers.name("columns"), "share", "columns")


def _of(sql: str, alias: str) -> str:
    return f"SELECT {sql} FROM {identifier(alias)}"  # noqa: S608  # all names in it are quoted


def _row_count_match(rule: Rule, numbers: Numbers) -> Measure:
    alias = rule.parameters[0]
    there = numbers.name("query", sql=_of("count(1)", alias), reference=alias)
    return Measure(numbers.count(rule), there, "share", "rows")


def _aggregate_match(rule: Rule, numbers: Numbers) -> Measure:
    """Divide an aggregate by another; 0 by 0 is 1, as in Deequ, and any other number by 0 is an error."""
    first, second = (_aggregate(text, numbers) for text in rule.parameters)
    return Measure(first, second, "ratio", " / ".join(rule.parameters))


def _aggregate(text: str, numbers: Numbers) -> str:
    function, alias, name = aggregate(text)
    sql = f"{_FUNCTIONS[function]}({identifier(name)})"
    if alias is None:
        return numbers.name("scan", sql=sql, columns=[[name, Kind.NUMBER]])
    return numbers.name("query", sql=_of(sql, alias), reference=alias)


# try_sum gives NULL where sum would silently begin again from the least number
_FUNCTIONS: Final = {"sum": "try_sum", "avg": "avg"}


def _match(rule: Rule, numbers: Numbers, **spec: Any) -> Measure:
    matching = numbers.name("match", **{"pairs": [], "others": False, "distinct": False, **spec})
    return Measure(matching, numbers.count(rule), "share", "rows", Row(f"NOT {OWN}{matching}", (matching,)))


def _referential_integrity(rule: Rule, numbers: Numbers) -> Measure:
    """Count the rows whose values are together in a row of the reference; NULL is in none."""
    alias, theirs = reference_columns(rule.parameters[1])
    pairs = [[one, other, "="] for one, other in zip(columns_of(rule.parameters[0]), theirs, strict=True)]
    return _match(rule, numbers, reference=alias, pairs=pairs)


def _dataset_match(rule: Rule, numbers: Numbers) -> Measure:
    """Count the rows whose key is in the reference with the same values; NULL is the same as NULL, but no key.

    Without names of columns to compare, all but the keys are.
    """
    alias, keys, *same = rule.parameters
    pairs = [[*pair, "="] for pair in column_pairs(keys)]
    pairs += [[*pair, "<=>"] for text in same for pair in column_pairs(text)]
    return _match(rule, numbers, reference=alias, pairs=pairs, others=not same, distinct=True)


def _custom_sql(rule: Rule, numbers: Numbers) -> Measure:
    """Take the one number that a query gives; without a condition, count the rows whose values are among those that it gives.

    As a subquery it can only select: Spark would run a command, such as DROP, as soon as it is told it.
    """
    (text,) = rule.parameters
    statement = "SELECT * FROM (\n" + text.rstrip("; \n") + "\n)"  # noqa: S608  # that of whoever writes the ruleset
    if rule.condition is None:
        return _match(rule, numbers, sql=statement, others=True)
    return Measure(numbers.name("query", sql=statement), meaning="number", unit="value")


def _files(rule: Rule, numbers: Numbers, good: str, more: str = "", **spec: Any) -> Measure:
    """Count files; those whose name begins with ``_`` or ``.`` are none, as in Spark. The newest are chosen before the pattern is tried.

    :param good: which files meet the rule, Spark SQL.
    :param more: further columns, Spark SQL.
    """
    recent, pattern = _tag(rule, "recentFiles"), _tag(rule, "uriRegex")
    newest = f"ORDER BY modificationTime DESC, path LIMIT {int(recent)}" if recent else ""
    like = f"WHERE path RLIKE {literal(pattern)}" if pattern else ""
    chosen = f"(SELECT * {more} FROM (SELECT * FROM {OWN}files {newest}) {like})"  # noqa: S608  # made of what is written here, and of literals
    address = rule.parameters[0] if rule.parameters else None
    counts = [
        numbers.name("files", sql=f"SELECT {count} FROM {chosen}", address=address, pattern=pattern, **spec)  # noqa: S608  # likewise
        for count in (f"count_if({good})", "count(1)")
    ]
    return Measure(counts[0], counts[1], "share", "files")


def _file_freshness(rule: Rule, numbers: Numbers) -> Measure:
    """Compare when files were last written.

    With moments and days as such, but ``=`` and ``in`` by the day; with times by their time of day, in UTC if no ``timeZone`` is told.
    """
    condition = _condition(rule)
    written = "modificationTime"
    if condition.kind is Kind.TIME:
        local = f"from_utc_timestamp({written}, {literal(_tag(rule, 'timeZone') or 'UTC')})"
        written = f"(hour({local}) * 3600 + minute({local}) * 60 + second({local}))"
    elif condition.operator in {"=", "!=", "in", "not in"}:
        written = f"to_date({written})"
    return _files(rule, numbers, meets(written, condition, "false", moment))


def _file_size(rule: Rule, numbers: Numbers) -> Measure:
    return _files(rule, numbers, meets("length", _condition(rule), "false"))


def _file_uniqueness(rule: Rule, numbers: Numbers) -> Measure:
    """Count the files whose content no other has."""
    return _files(rule, numbers, "alike = 1", ", count(1) OVER (PARTITION BY length, digest) AS alike", digest=True)


def _tag(rule: Rule, name: str) -> str | None:
    return str(rule.tags[name].operands[0]) if name in rule.tags else None


def _condition(rule: Rule) -> Condition:
    assert rule.condition is not None  # noqa: S101  # the reader of DQDL refuses such a rule
    return rule.condition


_MEASURES: Final[Mapping[RuleType, Callable[[Rule, Numbers], Measure]]] = {
    RuleType.ROW_COUNT: _row_count,
    RuleType.IS_COMPLETE: _completeness,
    RuleType.COMPLETENESS: _completeness,
    RuleType.IS_UNIQUE: _is_unique,
    RuleType.UNIQUENESS: _uniqueness,
    RuleType.DISTINCT_VALUES_COUNT: _distinct_values_count,
    RuleType.IS_PRIMARY_KEY: _is_primary_key,
    RuleType.UNIQUE_VALUE_RATIO: _unique_value_ratio,
    RuleType.COLUMN_VALUES: _column_values,
    RuleType.COLUMN_LENGTH: _column_length,
    RuleType.COLUMN_COUNT: _column_count,
    RuleType.COLUMN_EXISTS: _column_exists,
    RuleType.COLUMN_DATA_TYPE: _column_data_type,
    RuleType.COLUMN_NAMES_MATCH_PATTERN: _column_names_match_pattern,
    RuleType.MEAN: lambda rule, numbers: _numeric(rule, numbers, "avg", "mean"),
    RuleType.SUM: lambda rule, numbers: _numeric(rule, numbers, "try_sum", "sum"),
    RuleType.STANDARD_DEVIATION: lambda rule, numbers: _numeric(rule, numbers, "stddev_pop", "standard deviation"),
    RuleType.ENTROPY: _entropy,
    RuleType.COLUMN_CORRELATION: _column_correlation,
    RuleType.REFERENTIAL_INTEGRITY: _referential_integrity,
    RuleType.DATA_FRESHNESS: _data_freshness,
    RuleType.SCHEMA_MATCH: _schema_match,
    RuleType.DATASET_MATCH: _dataset_match,
    RuleType.AGGREGATE_MATCH: _aggregate_match,
    RuleType.ROW_COUNT_MATCH: _row_count_match,
    RuleType.CUSTOM_SQL: _custom_sql,
    RuleType.FILE_FRESHNESS: _file_freshness,
    RuleType.FILE_SIZE: _file_size,
    RuleType.FILE_UNIQUENESS: _file_uniqueness,
}
