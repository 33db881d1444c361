"""Reads what stands before the rules of a ruleset: its metadata, the other datasets that it reads, its variables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from emr_pipelines.quality.rule_types import PRIMARY
from emr_pipelines.quality.ruleset import unquoted
from emr_pipelines.quality.syntax import Node, Token, Tree, did_you_mean, refusal

_VERSION: Final = "Version"
_PRIMARY: Final = "Primary"
_ADDITIONAL: Final = "AdditionalDataSources"
# a table of a catalogue has the alias database.table
_ALIAS: Final = re.compile(r"[\w-]+(\.[\w-]+)*")


def check_metadata(source: str, tree: Node | None) -> None:
    """Check ``Metadata``, which says nothing about the data.

    :raises RulesetError: it holds something other than a version.
    """
    for pair, value in _pairs(source, tree, (_VERSION,)):
        if isinstance(value, Tree):
            raise refusal(source, pair, f"{_VERSION} is one string")


def read_references(source: str, tree: Node | None) -> tuple[str, ...]:
    """Read the aliases in ``DataSources``; the primary one is the data itself, whatever it is called there.

    :raises RulesetError: a key that there is not, or an alias that cannot be one.
    """
    aliases: list[str] = []
    for pair, value in _pairs(source, tree, (_PRIMARY, _ADDITIONAL)):
        several = pair.children[0] == f'"{_ADDITIONAL}"'
        if several != isinstance(value, Tree):
            raise refusal(source, pair, f'{_ADDITIONAL} is a list, ["a", "b"], and {_PRIMARY} a string')
        for token in value.children if several else ():
            check_alias(source, token, alias := unquoted(token))
            if alias in aliases:
                raise refusal(source, token, f'"{alias}" stands twice')
            aliases.append(alias)
    return tuple(aliases)


def check_alias(source: str, where: Node, alias: str) -> None:
    """Check the name of another dataset.

    :raises RulesetError: it is none, or the name of the data itself.
    """
    if alias.lower() == PRIMARY:
        raise refusal(source, where, f'"{alias}" is the data itself; another dataset has another name')
    if not _ALIAS.fullmatch(alias):
        raise refusal(source, where, f'"{alias}" is no alias of a dataset: letters, digits, _ and -, as in "airlines"')


def read_variables(source: str, trees: list[Node]) -> dict[str, Token | tuple[Token, ...]]:
    """Read what each variable stands for.

    :raises RulesetError: one is given two values.
    """
    variables: dict[str, Token | tuple[Token, ...]] = {}
    for tree in trees:
        name, value = tree.children
        if name in variables:
            raise refusal(source, name, f"the variable {name} has a value already")
        variables[str(name)] = value if isinstance(value, Token) else tuple(value.children)
    return variables


def _pairs(source: str, tree: Node | None, known: tuple[str, ...]) -> Iterator[tuple[Node, Node]]:
    if tree is None:
        return
    seen: set[str] = set()
    for pair in tree.children[1:]:
        key = unquoted(pair.children[0])
        if key not in known:
            cure = did_you_mean(key, known) or f"; expected {' or '.join(known)}"
            raise refusal(source, pair, f'"{key}" is no part of {tree.children[0]}{cure}')
        if key in seen:
            raise refusal(source, pair, f"{key} stands twice")
        seen.add(key)
        yield pair, pair.children[1]
