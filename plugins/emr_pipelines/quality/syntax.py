"""The shape of DQDL: text to a tree, by the grammar in ``dqdl.lark``, and what is said where a text does not fit it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import cache
from typing import Any, Final

from lark import Lark
from lark import Token as Token  # noqa: PLC0414  # what trees hold
from lark import Tree as Tree  # noqa: PLC0414  # likewise
from lark.exceptions import UnexpectedCharacters, UnexpectedToken

from emr_pipelines.quality.ruleset import RulesetError

Node = Any  # lark types what a tree holds as a union that every access would have to narrow

_DEEPEST: Final = 100
_CONDITION: Final = frozenset({"COMPARISON", "NOT", "BETWEEN", "IN", "MATCHES"})
_NUMBER: Final = frozenset({"NUMBER", "MINUS", "FUNCTION", "OPEN"})
# what is told as one, the larger before the smaller
_TOGETHER: Final = (
    (_NUMBER | {"STRING", "KEYWORD", "NOW", "DOLLAR"}, "a value"),
    (_NUMBER | {"NOW"}, "a value"),
    (_NUMBER, "a number"),
    (_CONDITION, "a condition"),
    (frozenset({"STRING", "WORD", "DOLLAR", "OF"}), "a name"),
    (frozenset({"WORD", "OPEN"}), "a rule"),
    (frozenset({"UNIT", "SIZE_UNIT"}), "a unit, such as hours or MB"),
)
_WORDS: Final = {
    "$END": "the end of the file",
    "AND": '"and"',
    "COMPARISON": "a comparison",
    "FUNCTION": "a function",
    "KEYWORD": "NULL",
    "NAME": "a variable",
    "NUMBER": "a number",
    "OF": '"of"',
    "OPERATOR": "+, -, * or /",
    "OR": '"or"',
    "SIGN": "+ or -",
    "SIZE_UNIT": "B, KB, MB, GB or TB",
    "STRING": 'a "string"',
    "UNIT": "days, hours or minutes",
    "WORD": "a name",
}
_CURES: Final = {
    '"': "this string has no end: a closing quote is missing, here or in a string before",
    "'": "a string stands in double quotes",
}


def parse_tree(text: str, source: str) -> Node:
    """Read a text by the grammar.

    :raises RulesetError: it does not fit, or nests deeper than a hundred levels.
    """
    try:
        tree = _grammar().parse(text)
    except UnexpectedCharacters as error:
        raise _unreadable(error, text, source) from None
    except UnexpectedToken as error:
        raise _unexpected(error, text, source) from None
    levels: dict[int, int] = {}
    for part in tree.iter_subtrees():  # the inner ones first, without recursion
        levels[id(part)] = 1 + max((levels.get(id(child), 0) for child in part.children), default=0)
        if levels[id(part)] > _DEEPEST:
            raise refusal(source, part, "this is nested too deeply; write it as several rules")
    return tree


def refusal(source: str, where: Node, message: str) -> RulesetError:
    """Say what is wrong at a token or a tree."""
    position: Node = where if isinstance(where, Token) else where.meta
    return RulesetError(message, source, position.line, position.column)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Guess what a misspelt word was to be: ``; did you mean RowCount?``, or nothing."""
    spelled = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), spelled, n=1)
    return f"; did you mean {spelled[near[0]]}?" if near else ""


@cache
def _grammar() -> Lark:
    return Lark.open_from_package(
        __package__, "dqdl.lark", parser="lalr", propagate_positions=True, maybe_placeholders=True
    )


def _unreadable(error: UnexpectedCharacters, text: str, source: str) -> RulesetError:
    character = text[error.pos_in_stream or 0]
    parser: Node = error.interactive_parser
    message = f'"{character}" means nothing here; expected {_expected(parser.accepts())}'
    return RulesetError(_CURES.get(character, message), source, error.line, error.column)


def _unexpected(error: UnexpectedToken, text: str, source: str) -> RulesetError:
    terminals = error.accepts or error.expected
    expected = _expected(terminals)
    if error.token.type == "$END":
        lines = text.rstrip().split("\n")
        return RulesetError(f"the file ends too early; expected {expected}", source, len(lines), len(lines[-1]) + 1)
    word = str(error.token).splitlines()[0]
    shown = word if error.token.type == "STRING" else f'"{word}"'
    guess = did_you_mean(word, (spelled.strip('"') for spelled in map(_spelled, terminals)))
    return RulesetError(
        f"{shown} is not expected here; expected {expected}{guess}",
        source,
        int(error.line or 1),
        int(error.column or 1),
    )


def _expected(terminals: Iterable[str]) -> str:
    left = set(terminals)
    words = set()
    for several, name in _TOGETHER:
        if several <= left:
            left -= several
            words.add(name)
    return " or ".join(sorted(words | {_spelled(name) for name in left}))


def _spelled(terminal: str) -> str:
    return _WORDS.get(terminal) or f'"{_grammar().get_terminal(terminal).pattern.value}"'
