"""Reads tags: what stands behind ``with`` and says how a rule is to be taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from emr_pipelines.quality.conditions import ConditionReader
from emr_pipelines.quality.rule_types import DATE_FORMATS, RULE_TYPES, share_mistake
from emr_pipelines.quality.ruleset import Condition, Keyword, Kind, Operand, RuleType
from emr_pipelines.quality.syntax import Node, did_you_mean, refusal

THRESHOLD: Final = "threshold"


def read_tags(reader: ConditionReader, rule_type: RuleType, nodes: list[Node]) -> dict[str, Condition]:
    """Read the tags of a rule.

    :raises RulesetError: a tag that the type does not take, that stands twice, or whose value means nothing.
    """
    tags: dict[str, Condition] = {}
    for node in nodes:
        _, name, tree = node.children
        if name not in RULE_TYPES[rule_type].tags:
            raise refusal(reader.source, name, _unknown(rule_type, name))
        if name in tags:
            raise refusal(reader.source, name, f"{name} stands twice")
        tags[str(name)] = _tag(reader, rule_type, str(name), tree)
    return tags


def _tag(reader: ConditionReader, rule_type: RuleType, name: str, tree: Node) -> Condition:
    condition = reader.read(tree)
    if name == THRESHOLD:
        if condition.kind is not Kind.NUMBER or Keyword.NULL in condition.operands:
            raise refusal(reader.source, tree, "a threshold is compared with numbers")
        if condition.dynamic and not RULE_TYPES[rule_type].dynamic:
            raise refusal(reader.source, tree, f"the threshold of {rule_type} takes no earlier results")
        if mistake := share_mistake(condition):
            raise refusal(reader.source, tree, mistake)
        return condition
    if condition.operator != "=":
        raise refusal(reader.source, tree, f"{name} takes =, not {condition.operator}")
    value, problem = _VALUES[name](condition.operands[0])
    if problem:
        raise refusal(reader.source, tree, problem)
    return Condition("=", (value,))


def _unknown(rule_type: RuleType, name: str) -> str:
    known = RULE_TYPES[rule_type].tags
    takers = [other for other, takes in RULE_TYPES.items() if name in takes.tags]
    if takers:
        return f"{rule_type} takes no {name}; {', '.join(takers)} may"
    if not known:
        return f'"{name}" is not expected here; {rule_type} takes nothing behind with'
    return f'"{name}" is not expected here{did_you_mean(name, known) or "; expected " + " or ".join(known)}'


def _number_of_files(operand: Operand) -> tuple[Operand, str]:
    text = str(operand)
    problem = "" if text.isdecimal() and int(text[:10]) else f"recentFiles is a whole number of files, not {operand}"
    return Decimal(text) if not problem else operand, problem


def _pattern(operand: Operand) -> tuple[Operand, str]:
    return operand, "" if _is_text(operand) else "uriRegex is a regular expression in quotes"


def _format(operand: Operand) -> tuple[Operand, str]:
    known = did_you_mean(str(operand), DATE_FORMATS) or f": {', '.join(DATE_FORMATS)}"
    return operand, "" if operand in DATE_FORMATS else f'"{operand}" is no format of a date{known}'


def _time_zone(operand: Operand) -> tuple[Operand, str]:
    try:
        ZoneInfo(str(operand))
    except (KeyError, ValueError, OSError):
        known = did_you_mean(str(operand), available_timezones()) or ', such as "America/New_York"'
        return operand, f'"{operand}" is no time zone{known}'
    return operand, ""


def _is_text(operand: Operand) -> bool:
    return isinstance(operand, str) and not isinstance(operand, Keyword)


_VALUES: Final[Mapping[str, Callable[[Operand], tuple[Operand, str]]]] = {
    "recentFiles": _number_of_files,
    "uriRegex": _pattern,
    "format": _format,
    "timeZone": _time_zone,
}
