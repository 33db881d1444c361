"""Reads the numbers of conditions: literals, arithmetic, and functions of earlier results."""

from __future__ import annotations

import operator
from decimal import Decimal, DecimalException
from typing import Final

from emr_pipelines.quality.ruleset import Arithmetic, Call, Number
from emr_pipelines.quality.syntax import Node, Token, did_you_mean, refusal

NUMBERS: Final = frozenset({"number", "nested", "arithmetic", "call"})

_MOST_EARLIER: Final = 1000
_OPERATORS: Final = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
_USAGE: Final = {
    "last": f"last(7), the seven results before this one; at most {_MOST_EARLIER}",
    **{name: f"{name}(last(7))" for name in ("avg", "min", "max", "sum", "std", "median")},
    "index": "index(last(7), 2), the third of the seven, the newest being 0",
    "percentile": "percentile(last(7), 90), from 0 to 100",
}


def read_number(source: str, node: Node) -> Number:
    """Read one number.

    :raises RulesetError: a function that is none, or takes other parameters; a division by zero; several earlier
        results where one number is needed.
    """
    number = _number(source, node)
    if isinstance(number, Call) and number.function == "last" and number.arguments != (Decimal(1),):
        raise refusal(source, node, f"{number} is several results; make one number of them, as in avg({number})")
    return number


def whole(source: str, token: Token, what: str, most: int) -> int:
    """Read a whole number of something, such as days.

    :raises RulesetError: it is not whole, or greater than ``most``.
    """
    if not token.isdecimal():
        raise refusal(source, token, f'"{token}" is no whole number of {what}')
    if (number := Decimal(token)) > most:
        raise refusal(source, token, f"{token} {what} are too many; {most} are the most")
    return int(number)


def constant(number: Number) -> Decimal | None:
    """Work out a number; ``None`` when it needs earlier results or is too great."""
    match number:
        case Decimal():
            return number
        case Arithmetic():
            left, right = constant(number.left), constant(number.right)
            if left is None or right is None:
                return None
            try:
                return Decimal(_OPERATORS[number.operator](left, right))
            except DecimalException:
                return None
    return None


def _number(source: str, node: Node) -> Number:
    match node.data:
        case "number":
            sign, digits = node.children
            if digits[:2].isdecimal() and digits[0] == "0" and len(digits) > 1:
                raise refusal(source, digits, f'{digits} is no number: a date stands in double quotes, as "2026-01-31"')
            return Decimal(f"{sign or ''}{digits}")
        case "nested":
            return read_number(source, node.children[1])
        case "arithmetic":
            return _arithmetic(source, node)
    return _call(source, node)


def _arithmetic(source: str, node: Node) -> Arithmetic:
    left, sign, right = node.children
    number = Arithmetic(str(sign), read_number(source, left), read_number(source, right))
    if sign == "/" and constant(number.right) == 0:
        raise refusal(source, sign, f"{number} divides by zero")
    return number


def _call(source: str, node: Node) -> Call:
    name, *nodes = (child for child in node.children if child is not None)
    if name not in _USAGE:
        guess = did_you_mean(name, _USAGE) or f": {', '.join(_USAGE)}"
        raise refusal(source, name, f'"{name}" is no function of earlier results{guess}')
    arguments = tuple(_number(source, one) for one in nodes)
    if name == "last" and not arguments:
        return Call("last", (Decimal(1),))
    if not _fits(name, arguments):
        raise refusal(source, name, f"{Call(str(name), arguments)} means nothing; write {_USAGE[name]}")
    return Call(str(name), arguments)


def _fits(function: str, arguments: tuple[Number, ...]) -> bool:
    """Tell whether a function takes these: last a literal count, the others earlier results and what else they need."""
    match function, arguments:
        case "last", (Decimal() as count,):
            return count in range(1, _MOST_EARLIER + 1)
        case "index", (Call("last", (Decimal() as count,)), Decimal() as place):
            return place in range(int(count))
        case "percentile", (Call("last"), Decimal() as share):
            return 0 <= share <= 100  # noqa: PLR2004  # per cent
        case _, (Call("last"),):
            return function not in {"last", "index", "percentile"}
    return False
