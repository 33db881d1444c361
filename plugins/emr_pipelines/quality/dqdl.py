"""Reads DQDL, AWS Glue's rule language for data quality; the grammar is ``dqdl.lark`` beside this file.

Whatever is legal in DQDL but not run by this package is refused by name, never skipped.
"""

from __future__ import annotations

import datetime as dt
import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any, Final

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedToken

from emr_pipelines.quality.ruleset import (
    Condition,
    Duration,
    Keyword,
    Kind,
    Now,
    Operand,
    Rule,
    RulesetError,
    RuleType,
    Unit,
    unquoted,
    unquoted_raw,
)
from emr_pipelines.quality.ruleset import Ruleset as Ruleset  # noqa: PLC0414  # what this module returns is importable from it

Node = Any  # lark types what a tree holds as a union that every access would have to narrow

_COLUMNS: Final = {
    RuleType.ROW_COUNT: (0, 0),
    RuleType.IS_COMPLETE: (1, 1),
    RuleType.IS_UNIQUE: (1, 32),
    RuleType.COLUMN_VALUES: (1, 1),
    RuleType.COMPLETENESS: (1, 1),
}
_WITH_CONDITION: Final = {RuleType.ROW_COUNT, RuleType.COLUMN_VALUES, RuleType.COMPLETENESS}
# https://docs.aws.amazon.com/glue/latest/dg/dqdl-rule-types.html
_OTHER_RULE_TYPES: Final = frozenset(
    {
        "AggregateMatch",
        "ColumnCorrelation",
        "ColumnCount",
        "ColumnDataType",
        "ColumnExists",
        "ColumnLength",
        "ColumnNamesMatchPattern",
        "CustomSql",
        "DataFreshness",
        "DatasetMatch",
        "DetectAnomalies",
        "DistinctValuesCount",
        "Entropy",
        "FileFreshness",
        "FileMatch",
        "FileSize",
        "FileUniqueness",
        "IsPrimaryKey",
        "Mean",
        "ReferentialIntegrity",
        "RowCountMatch",
        "SchemaMatch",
        "StandardDeviation",
        "Sum",
        "Uniqueness",
        "UniqueValueRatio",
    }
)
_NOT_YET: Final = {
    **dict.fromkeys(("Metadata", "DataSources", "DefaultLabels"), "the section {word}"),
    **dict.fromkeys(("avg", "index", "last", "max", "min", "percentile", "std", "sum"), "a dynamic rule, {word}(...),"),
    "$": "a variable",
}
_WORDS: Final = {
    "$END": "the end of the file",
    "AND": '"and"',
    "COMPARISON": "a comparison",
    "KEYWORD": "NULL",
    "NUMBER": "a number",
    "SIGN": "+ or -",
    "STRING": 'a "string"',
    "UNIT": "days",
    "WORD": "a name",
}
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")


def parse_ruleset(text: str, source: str) -> Ruleset:
    """Read a ruleset.

    :param text: DQDL.
    :param source: name of the file, for errors.
    :raises RulesetError: the text is no DQDL, has no rule, or says something that this package does not run.
    """
    reader = _Reader(source)
    try:
        tree = _grammar().parse(text)
    except UnexpectedCharacters as error:
        raise reader.unreadable(error, text) from None
    except UnexpectedToken as error:
        raise reader.unexpected(error, text) from None
    rules = [rule for section in tree.children for rule in reader.section(section)]
    if not rules:
        raise RulesetError("no rule: a ruleset that checks nothing would always pass; add one", source, 1, 1)
    return Ruleset(tuple(rules), source)


@cache
def _grammar() -> Lark:
    return Lark.open_from_package(
        __package__, "dqdl.lark", parser="lalr", propagate_positions=True, maybe_placeholders=True
    )


@dataclass(frozen=True)
class _Reader:
    """Turns the parsed tree into values; every refusal names the place in ``source``."""

    source: str

    def refusal(self, where: Node, message: str) -> RulesetError:
        position: Node = where if isinstance(where, Token) else where.meta
        return RulesetError(message, self.source, position.line, position.column)

    def unreadable(self, error: UnexpectedCharacters, text: str) -> RulesetError:
        character = text[error.pos_in_stream or 0]
        message = f'"{character}" means nothing here; expected {_expected(error.allowed or ())}'
        if character == '"':
            message = "this string has no end: a string ends with a quote, on the line where it begins"
        elif character in _NOT_YET:
            message = f"{_NOT_YET[character]} is not supported yet"
        return RulesetError(message, self.source, error.line, error.column)

    def unexpected(self, error: UnexpectedToken, text: str) -> RulesetError:
        word = str(error.token)
        line, column = int(error.line or 1), int(error.column or 1)
        expected = _expected(error.accepts or error.expected)
        message = f'"{word}" is not expected here; expected {expected}'
        if error.token.type == "$END":
            line, column = _end(text)
            message = f"the file ends too early; expected {expected}"
        elif word in _NOT_YET:
            message = f"{_NOT_YET[word].format(word=word)} is not supported yet"
        return RulesetError(message, self.source, line, column)

    def section(self, section: Node) -> Iterable[Rule]:
        if section.data == "analyzers":
            raise self.refusal(section, "Analyzers are not supported yet; write rules, in Rules = [...]")
        for entry in section.children[1:]:
            if isinstance(entry, Tree):
                yield self.rule(entry)

    def rule(self, tree: Node) -> Rule:
        if tree.data == "composite":
            raise self.refusal(
                tree, "a rule in parentheses, combined by and/or, is not supported yet; write single rules"
            )
        word, *columns, condition, where, labels, threshold = tree.children
        rule_type = self.rule_type(word)
        if labels:
            raise self.refusal(labels, "labels are not supported yet; take them out")
        rule = Rule(
            type=rule_type,
            parameters=self.columns(rule_type, word, columns),
            condition=self.rule_condition(rule_type, word, condition),
            where=unquoted_raw(where.children[0]) if where else None,
            tags={"threshold": self.threshold(rule_type, threshold)} if threshold else {},
            line=word.line,
            column=word.column,
        )
        if rule.where is not None and not rule.where.strip():
            raise self.refusal(where, "this where is empty; take it out, or say which rows count")
        return rule

    def rule_type(self, word: Token) -> RuleType:
        if word in _COLUMNS:
            return RuleType(word)
        known = ", ".join(_COLUMNS)
        if word in _OTHER_RULE_TYPES:
            raise self.refusal(word, f"the rule type {word} is not supported yet ({known})")
        near = difflib.get_close_matches(word.lower(), [name.lower() for name in _COLUMNS], n=1)
        guess = next((f"; did you mean {name}?" for name in _COLUMNS if near and name.lower() == near[0]), "")
        raise self.refusal(word, f'"{word}" is no rule type{guess} ({known})')

    def columns(self, rule_type: RuleType, word: Token, columns: list[Node]) -> tuple[str, ...]:
        names = tuple(_value(tree.children[0]) for tree in columns)
        least, most = _COLUMNS[rule_type]
        if len(names) < least:
            raise self.refusal(word, f'{rule_type} needs a column: {rule_type} "name"')
        if len(names) > most:
            takes = "only one column" if most else "no column"
            hint = "; is a comma missing before it?" if names[most] in _COLUMNS else ""
            raise self.refusal(columns[most], f'"{names[most]}" is one too many: {rule_type} takes {takes}{hint}')
        for name, tree in zip(names, columns, strict=True):
            if not name.strip():
                raise self.refusal(tree, "a column has a name; this one is empty")
        return names

    def rule_condition(self, rule_type: RuleType, word: Token, tree: Node | None) -> Condition | None:
        if rule_type not in _WITH_CONDITION:
            if tree:
                raise self.refusal(tree, f"{rule_type} takes no condition")
            return None
        if not tree:
            raise self.refusal(word, f"{rule_type} needs a condition, such as > 0.95")
        if rule_type is RuleType.COLUMN_VALUES:
            return self.condition(tree)
        return self.measure(tree, str(rule_type))

    def threshold(self, rule_type: RuleType, tree: Node) -> Condition:
        start, name, condition = tree.children
        if rule_type is not RuleType.COLUMN_VALUES:
            raise self.refusal(start, f"{rule_type} takes no threshold; only ColumnValues does")
        if name != "threshold":
            raise self.refusal(name, f'"{name}" is not expected here; expected threshold')
        return self.measure(condition, "a threshold")

    def measure(self, tree: Node, what: str) -> Condition:
        condition = self.condition(tree)
        if condition.kind is not Kind.NUMBER or Keyword.NULL in condition.operands:
            raise self.refusal(tree, f"{what} is compared with numbers")
        return condition

    def condition(self, tree: Node) -> Condition:
        if tree.data == "comparison":
            operator, operands = str(tree.children[0]), tree.children[1:]
        else:
            negation, *operands = tree.children
            name = {"between": "between", "membership": "in", "pattern": "matches"}[tree.data]
            operator = f"not {name}" if negation else name
            operands = [operand for operand in operands if isinstance(operand, Tree) or operand.type == "STRING"]
        if tree.data == "pattern":
            return Condition(operator, (unquoted_raw(operands[0]),))
        condition = Condition(operator, _unified([self.operand(operand) for operand in operands]))
        self.check(condition, operands)
        if _impossible(condition):
            raise self.refusal(tree, f"{condition} holds for no value: between excludes both ends")
        return condition

    def check(self, condition: Condition, trees: list[Node]) -> None:
        ordered = condition.operator not in {"=", "!=", "in", "not in"}
        for operand, tree in zip(condition.operands, trees, strict=True):
            word = str(Condition("=", (operand,)))[2:]
            if ordered and isinstance(operand, str):
                raise self.refusal(
                    tree, f"{condition.operator} compares numbers and dates, not {word}; strings take =, in, matches"
                )
            if operand is not Keyword.NULL and Condition("=", (operand,)).kind is not condition.kind:
                raise self.refusal(
                    tree, f"{word} does not go with the other values: all numbers, all dates or all strings"
                )

    def operand(self, tree: Node) -> Operand:
        return _OPERANDS[tree.data](self, tree)

    def number(self, tree: Node) -> Decimal:
        return Decimal(tree.children[0])

    def text(self, tree: Node) -> str | dt.date:
        value = unquoted(tree.children[0])
        if not _DATE.fullmatch(value):
            return value
        try:
            return dt.date.fromisoformat(value)
        except ValueError:
            raise self.refusal(tree, f'"{value}" is no date of the calendar') from None

    def keyword(self, tree: Node) -> Keyword:
        return Keyword(tree.children[0].upper())

    def now(self, tree: Node) -> Now:
        if not tree.children:
            return Now()
        _, sign, amount, unit = tree.children
        if unit != "days":
            raise self.refusal(unit, f'"{unit}" is not supported yet; dates move by days')
        if not amount.isdecimal():
            raise self.refusal(amount, f'"{amount}" is no whole number of days')
        return Now(Duration(int(sign + amount), Unit.DAYS))


_OPERANDS: Final[dict[str, Callable[[_Reader, Node], Operand]]] = {
    "number": _Reader.number,
    "text": _Reader.text,
    "keyword": _Reader.keyword,
    "now": _Reader.now,
    "shifted": _Reader.now,
}


def _unified(operands: list[Operand]) -> tuple[Operand, ...]:
    """Take what looks like a date for a string when it stands among strings."""
    if any(isinstance(operand, str) and operand is not Keyword.NULL for operand in operands):
        return tuple(operand.isoformat() if isinstance(operand, dt.date) else operand for operand in operands)
    return tuple(operands)


def _impossible(condition: Condition) -> bool:
    if condition.operator != "between":
        return False
    match condition.operands:
        case (Decimal() as low, Decimal() as high):
            return low >= high
        case (dt.date() as low, dt.date() as high):
            return low >= high
    return False


def _value(token: Token) -> str:
    return unquoted(token) if token.type == "STRING" else str(token)


def _expected(terminals: Iterable[str]) -> str:
    spelled = (_WORDS.get(name) or f'"{_grammar().get_terminal(name).pattern.value}"' for name in terminals)
    return " or ".join(sorted(set(spelled)))


def _end(text: str) -> tuple[int, int]:
    lines = text.rstrip().splitlines() or [""]
    return len(lines), len(lines[-1]) + 1
