"""Reads the conditions of rules: a comparison, its values, and whether these go together."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from operator import ge, gt
from typing import Any, Final

from emr_pipelines.quality.arithmetic import NUMBERS, constant, read_number, whole
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
    kind_of,
    unquoted,
    unquoted_raw,
)
from emr_pipelines.quality.syntax import Node, Token, Tree, did_you_mean, refusal

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME: Final = re.compile(r"(?P<hour>\d\d?):(?P<minute>\d\d) (?P<half>AM|PM)|\d\d:\d\d", re.ASCII)
_OPERATORS: Final = {"between": "between", "membership": "in", "listed": "in", "pattern": "matches"}
_UNORDERED: Final = frozenset({"=", "!=", "in", "not in"})
_MINUTES: Final = {Unit.DAYS: 24 * 60, Unit.HOURS: 60, Unit.MINUTES: 1}
_CENTURY: Final = 36525 * 24 * 60
_BYTES: Final = {unit: 1024**power for power, unit in enumerate(SizeUnit)}
_MOST_OF_A_UNIT: Final = 1_000_000


@dataclass(frozen=True)
class ConditionReader:
    """Turns trees into conditions.

    :param source: name of the file, for errors.
    :param variables: what each ``$name`` stands for: a string or a keyword, or several.
    """

    source: str
    variables: Mapping[str, Token | tuple[Token, ...]]

    def read(self, tree: Node) -> Condition:
        """Read a condition.

        :raises RulesetError: its values do not go together, or no value can meet it.
        """
        nodes = [node for child in tree.children if isinstance(child, Tree) for node in self._written(child, tree)]
        operator = _operator(tree)
        if tree.data == "pattern":
            return Condition(operator, (unquoted_raw(tree.children[-1]),))
        # what looks like a date or a time beside another string is a string too
        plain = any(_is_plain(node) for node in nodes)
        condition = Condition(operator, tuple(self._operand(node, plain=plain) for node in nodes))
        self._check(condition, nodes)
        if _impossible(condition):
            raise refusal(self.source, tree, f"{condition} holds for no value: between excludes both ends")
        if condition.operator == "not between" and _ordered(condition, gt):
            raise refusal(self.source, tree, f"{condition} holds for every value: the lower end stands first")
        return condition

    def string(self, node: Node) -> str:
        """Return the string, quoted as it was written, that stands there or that a variable there stands for.

        :raises RulesetError: there is no such variable, or it is no string.
        """
        if isinstance(node, Token):
            return str(node)
        (token,) = self._values(node, several=False)
        if token.type == "KEYWORD":
            raise refusal(self.source, node, f"${node.children[-1]} is {token}; a string is needed here")
        return str(token)

    def _written(self, node: Node, condition: Node) -> list[Node]:
        """Put in place of a variable what it stands for."""
        if node.data != "reference":
            return [node]
        tokens = self._values(node, several=condition.data == "listed")
        return [Tree("keyword" if token.type == "KEYWORD" else "text", [token], node.meta) for token in tokens]

    def _values(self, reference: Node, *, several: bool) -> tuple[Token, ...]:
        name = str(reference.children[-1])
        if name not in self.variables:
            cure = did_you_mean(name, self.variables) or f'; write {name} = "..." before the rules'
            raise refusal(self.source, reference, f"the variable ${name} has no value{cure}")
        value = self.variables[name]
        if isinstance(value, Token):
            return (value,)
        if not several:
            raise refusal(self.source, reference, f"${name} is a list, which stands only behind in: in ${name}")
        return value

    def _check(self, condition: Condition, nodes: list[Node]) -> None:
        for operand, node in zip(condition.operands, nodes, strict=True):
            word = str(Condition("=", (operand,)))[2:]
            if condition.operator not in _UNORDERED and isinstance(operand, str):
                raise refusal(
                    self.source,
                    node,
                    f"{condition.operator} compares numbers and dates, not {word}; strings take =, in, matches",
                )
            if kind_of(operand) not in {Kind.ANY, condition.kind}:
                raise refusal(
                    self.source,
                    node,
                    f"{word} does not go with the other values: all numbers, all dates or all strings",
                )

    def _operand(self, node: Node, *, plain: bool) -> Operand:
        if node.data in NUMBERS:
            return read_number(self.source, node)
        match node.data:
            case "text":
                value = unquoted(node.children[0])
                return value if plain else self._moment(node, value)
            case "keyword":
                return Keyword(node.children[0].upper())
            case "now":
                return self._now(node)
            case "duration":
                return self._duration(*node.children)
        amount, unit = node.children
        return Size(whole(self.source, amount, unit, _MOST_OF_A_UNIT * 1024**2), SizeUnit(unit))

    def _moment(self, node: Node, value: str) -> dt.date | dt.time:
        try:
            return dt.date.fromisoformat(value) if _DATE.fullmatch(value) else _time(value)
        except ValueError:
            what = "date of the calendar" if _DATE.fullmatch(value) else "time of day"
            raise refusal(self.source, node, f'"{value}" is no {what}') from None

    def _now(self, node: Node) -> Now:
        if len(node.children) == 1:
            return Now()
        _, _, sign, amount, unit = node.children
        moved = self._duration(amount, unit)
        return Now(Duration(-moved.amount if sign == "-" else moved.amount, moved.unit))

    def _duration(self, amount: Token, unit: Token) -> Duration:
        return Duration(whole(self.source, amount, unit, _CENTURY // _MINUTES[Unit(unit)]), Unit(unit))


def _operator(tree: Node) -> str:
    if tree.data == "comparison":
        return str(tree.children[0])
    return ("not " if tree.children[0] else "") + _OPERATORS[tree.data]


def _time(value: str) -> dt.time:
    """Read ``21:45`` or ``9:45 PM``.

    :raises ValueError: it is no time of day.
    """
    found = _TIME.fullmatch(value)
    if not found or not found["half"]:
        return dt.time.fromisoformat(value)
    hour = int(found["hour"])
    if hour not in range(1, 13):
        raise ValueError(value)
    return dt.time(hour % 12 + 12 * (found["half"] == "PM"), int(found["minute"]))


def _is_plain(node: Node) -> bool:
    """Tell whether an operand is a string that neither a date nor a time is written as."""
    if node.data == "keyword":
        return Keyword(node.children[0].upper()) is not Keyword.NULL
    if node.data != "text":
        return False
    value = unquoted(node.children[0])
    return not (_DATE.fullmatch(value) or _TIME.fullmatch(value))


def _impossible(condition: Condition) -> bool:
    return condition.operator == "between" and _ordered(condition, ge)


def _ordered(condition: Condition, how: Callable[[Any, Any], bool]) -> bool:
    low, high = (_rank(operand) for operand in condition.operands)
    return low is not None and high is not None and how(low, high)


def _rank(operand: Operand) -> Any:
    """Return what orders an operand among those that go together with it; ``None`` when nothing does before the check."""
    match operand:
        case dt.date() | dt.time():
            return operand
        case Decimal() | Arithmetic():
            return constant(operand)
        case Duration():
            return Decimal(operand.amount * _MINUTES[operand.unit])
        case Size():
            return Decimal(operand.amount * _BYTES[operand.unit])
    return None
