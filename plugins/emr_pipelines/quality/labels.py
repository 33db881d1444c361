"""Reads labels: names and values that a rule's result carries, the severity among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Final

from emr_pipelines.quality.gate import Gate
from emr_pipelines.quality.results import SEVERITY
from emr_pipelines.quality.ruleset import Composite, Rule, RulesetError, unquoted
from emr_pipelines.quality.syntax import Node, did_you_mean, refusal

_SEVERITIES: Final = tuple(gate for gate in Gate if gate is not Gate.PASS)
# the bounds of AWS's own parser (awslabs/dqdl, Labels.java)
_MOST_LABELS: Final = 10
_LONGEST_NAME: Final = 128
_LONGEST_VALUE: Final = 256
_LIKE_SEVERITY: Final = 0.86
"""How like ``severity`` a name is that was meant to be it: ``severty`` is, ``security`` is not."""


def read_labels(source: str, tree: Node | None) -> dict[str, str]:
    """Read ``labels=[...]`` or ``DefaultLabels=[...]``; none where there are none.

    :raises RulesetError: no label, more than ten, one twice, an empty or a too long one, a severity that there is not.
    """
    if tree is None:
        return {}
    labels: dict[str, str] = {}
    for label in tree.children[1:]:
        if label is None:
            raise refusal(
                source, tree, f'no label; write one, as in {tree.children[0]}=["team"="flights"], or none of it'
            )
        name, value = (unquoted(token) for token in label.children)
        _check(source, label, name, value)
        if name in labels:
            raise refusal(source, label, f'the label "{name}" stands twice')
        labels[name] = value
    return labels


def with_defaults(source: str, defaults: Mapping[str, str], entry: Rule | Composite) -> Rule | Composite:
    """Add a ruleset's default labels, where the rule has none of its own of that name.

    :raises RulesetError: more than ten labels.
    """
    labels = {**defaults, **entry.labels}
    if len(labels) > _MOST_LABELS:
        raise RulesetError(
            f"{len(labels)} labels, the default ones among them; a rule has at most {_MOST_LABELS}",
            source,
            entry.line,
            entry.column,
        )
    return replace(entry, labels=labels)


def _check(source: str, label: Node, name: str, value: str) -> None:
    for text, longest in ((name, _LONGEST_NAME), (value, _LONGEST_VALUE)):
        if not text:
            raise refusal(source, label, "a label has a name and a value; one of them is empty")
        if len(text) > longest:
            raise refusal(
                source,
                label,
                f"{len(text)} characters are too many: a name has at most {_LONGEST_NAME}, a value {_LONGEST_VALUE}",
            )
    if name != SEVERITY and get_close_matches(name.lower(), [SEVERITY], cutoff=_LIKE_SEVERITY):
        raise refusal(source, label, f'"{name}" means nothing here; did you mean {SEVERITY}?')
    if name == SEVERITY and value not in _SEVERITIES:
        known = did_you_mean(value, _SEVERITIES) or f": {', '.join(_SEVERITIES)}"
        raise refusal(source, label, f'"{value}" is no severity{known}')
