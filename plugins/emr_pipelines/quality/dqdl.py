"""Reads DQDL, AWS Glue's rule language for data quality: a ruleset's text to its values.

Whatever is legal in DQDL but not run by this package is refused by name, never skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from emr_pipelines.quality.conditions import ConditionReader
from emr_pipelines.quality.labels import read_labels, with_defaults
from emr_pipelines.quality.results import SEVERITY
from emr_pipelines.quality.rule_types import (
    NOT_RUN,
    RULE_TYPES,
    aliases,
    condition_mistake,
    parameter_mistake,
    references_of,
    usage,
)
from emr_pipelines.quality.ruleset import (
    RAW,
    Analyzer,
    Composite,
    Condition,
    Kind,
    Rule,
    RulesetError,
    RuleType,
    Size,
    SizeUnit,
    unquoted,
    unquoted_raw,
)
from emr_pipelines.quality.ruleset import Ruleset as Ruleset  # noqa: PLC0414  # what this module returns is importable from it
from emr_pipelines.quality.sections import check_alias, check_metadata, read_references, read_variables
from emr_pipelines.quality.syntax import Node, Token, Tree, did_you_mean, parse_tree, refusal
from emr_pipelines.quality.tags import THRESHOLD, read_tags

_ALL_STATISTICS: Final = "AllStatistics"
_WORDS_BEHIND: Final = ("between", "in", "matches", "not", "where", "with", "labels")


def parse_ruleset(text: str, source: str) -> Ruleset:
    """Read a ruleset.

    :param text: DQDL.
    :param source: name of the file, for errors.
    :raises RulesetError: the text is no DQDL, has no rule, or says something that this package does not run.
    """
    parts = [part for part in parse_tree(text, source).children if part is not None]
    sections = {part.data: part for part in parts}
    check_metadata(source, sections.get("metadata"))
    variables = read_variables(source, [part for part in parts if part.data == "variable"])
    declared = read_references(source, sections.get("data_sources"))
    defaults = read_labels(source, sections.get("default_labels"))
    reader = _Reader(ConditionReader(source, variables), declared if "data_sources" in sections else None)
    rules = tuple(with_defaults(source, defaults, reader.entry(node)) for node in _entries(sections.get("rules")))
    if not rules:
        raise RulesetError("no rule: a ruleset that checks nothing would always pass; add one", source, 1, 1)
    analyzers = [one for node in _entries(sections.get("analyzers")) for one in reader.analyzers(node)]
    used = [alias for one in (*rules, *analyzers) for alias in references_of(one)]
    return Ruleset(rules, source, tuple(dict.fromkeys(analyzers)), tuple(dict.fromkeys((*declared, *used))))


def _entries(section: Node | None) -> list[Node]:
    return [] if section is None else [entry for entry in section.children[1:] if entry is not None]


@dataclass(frozen=True)
class _Reader:
    """Turns the trees of rules and analyzers into values; every refusal names the place.

    :param declared: the aliases in ``DataSources``; ``None`` when there is no such section.
    """

    conditions: ConditionReader
    declared: tuple[str, ...] | None

    @property
    def source(self) -> str:
        return self.conditions.source

    def entry(self, tree: Node) -> Rule | Composite:
        if tree.data == "rule":
            return self.rule(tree)
        if tree.data == "group":
            return self.group(tree)
        operator = str(tree.data)
        rules = tuple(self.part(child) for child in tree.children if isinstance(child, Tree))
        return Composite({"both": "and", "either": "or"}[operator], rules, line=tree.meta.line, column=tree.meta.column)

    def part(self, tree: Node) -> Rule | Composite:
        """Read a part of a combination; the whole of it has one severity."""
        entry = self.entry(tree)
        if SEVERITY in entry.labels:
            raise refusal(
                self.source,
                tree,
                f"the {SEVERITY} of one part means nothing: put parentheses around all parts, and the labels behind them",
            )
        return entry

    def group(self, tree: Node) -> Rule | Composite:
        _, inner, labelled = tree.children
        entry = self.entry(inner)
        if labelled is None:
            return entry
        if entry.labels:
            raise refusal(
                self.source, labelled, "there are labels within these parentheses already; write them in one place"
            )
        return replace(entry, labels=read_labels(self.source, labelled))

    def rule(self, tree: Node) -> Rule:
        word = tree.children[0]
        tags = [part for part in tree.children if isinstance(part, Tree) and part.data == "tag"]
        *named, condition, where, labelled = tree.children[1 : len(tree.children) - len(tags)]
        rule_type = self.rule_type(word)
        rule = Rule(
            type=rule_type,
            parameters=self.parameters(rule_type, word, named),
            condition=self.condition(rule_type, word, condition),
            where=self.where(rule_type, where),
            labels=read_labels(self.source, labelled),
            tags=read_tags(self.conditions, rule_type, tags),
            line=word.line,
            column=word.column,
        )
        if rule_type is RuleType.CUSTOM_SQL and rule.condition and rule.threshold:
            raise refusal(self.source, tags[0], f"CustomSql takes a condition or a {THRESHOLD}, not both")
        return rule

    def rule_type(self, word: Token) -> RuleType:
        if word in RULE_TYPES:
            return RuleType(word)
        if word in NOT_RUN:
            raise refusal(self.source, word, f"the rule type {word} is not run here: {NOT_RUN[word]}")
        if word == _ALL_STATISTICS:
            raise refusal(self.source, word, f"{word} is no rule: it stands among the Analyzers")
        guess = did_you_mean(word, RULE_TYPES) or f"; there are {', '.join(RULE_TYPES)}"
        raise refusal(self.source, word, f'"{word}" is no rule type{guess}')

    def parameters(self, rule_type: RuleType, word: Token, nodes: list[Node]) -> tuple[str, ...]:
        nodes = [node for node in nodes if isinstance(node, Tree) or node.type in {"STRING", "WORD"}]
        least, most = RULE_TYPES[rule_type].bounds
        for place, node in enumerate(nodes):
            self.check_word(node)
            if place >= most:
                guess = did_you_mean(node, _WORDS_BEHIND) if isinstance(node, Token) and node.type == "WORD" else ""
                raise refusal(
                    self.source, node, f"{_shown(node)} is one too many: {word} {usage(rule_type)}".rstrip() + guess
                )
        if len(nodes) < least:
            raise refusal(self.source, word, f"{word} needs more: {word} {usage(rule_type)}")
        texts = tuple(self.parameter(rule_type, node) for node in nodes)
        if mistake := parameter_mistake(rule_type, texts):
            place, message = mistake
            raise refusal(self.source, nodes[place], message)
        self.check_aliases(rule_type, texts, nodes)
        return texts

    def check_word(self, node: Node) -> None:
        """Refuse the name of a rule type where a name of a column stands: almost always something is missing before it."""
        if isinstance(node, Token) and node.type == "WORD" and (node in RULE_TYPES or node in NOT_RUN):
            raise refusal(
                self.source,
                node,
                f"{node} is a rule type: is a comma missing before it, or are parentheses around rules that and connects? "
                f'A column of that name is written "{node}"',
            )

    def parameter(self, rule_type: RuleType, node: Node) -> str:
        text = self.conditions.string(node)
        if not text.startswith('"'):
            return text
        return unquoted_raw(text) if rule_type in RAW else unquoted(text)

    def check_aliases(self, rule_type: RuleType, texts: tuple[str, ...], nodes: list[Node]) -> None:
        for alias in aliases(rule_type, texts):
            node = next(node for node, text in zip(nodes, texts, strict=True) if alias in text)
            check_alias(self.source, node, alias)
            if self.declared is not None and alias not in self.declared:
                cure = did_you_mean(alias, self.declared) or f'; write "AdditionalDataSources": ["{alias}"]'
                raise refusal(self.source, node, f'"{alias}" is not among the DataSources{cure}')

    def condition(self, rule_type: RuleType, word: Token, tree: Node | None) -> Condition | None:
        condition = self.conditions.read(tree) if tree else None
        if condition and rule_type is RuleType.FILE_SIZE:
            condition = _in_bytes(condition)
        if mistake := condition_mistake(rule_type, condition):
            raise refusal(self.source, tree or word, mistake)
        return condition

    def where(self, rule_type: RuleType, tree: Node | None) -> str | None:
        if tree is None:
            return None
        if not RULE_TYPES[rule_type].where:
            raise refusal(self.source, tree, f"{rule_type} takes no where")
        text = unquoted_raw(tree.children[0])
        if not text.strip():
            raise refusal(self.source, tree, "this where is empty; take it out, or say which rows count")
        return text

    def analyzers(self, tree: Node) -> Iterator[Analyzer]:
        """Read an analyzer; AllStatistics is those that any column has."""
        word, *nodes = tree.children
        place = (word.line, word.column)
        if word == _ALL_STATISTICS:
            (column,) = self.parameters(RuleType.COMPLETENESS, word, nodes)
            yield Analyzer(RuleType.ROW_COUNT, (), *place)
            yield Analyzer(RuleType.COMPLETENESS, (column,), *place)
            yield Analyzer(RuleType.UNIQUENESS, (column,), *place)
            return
        rule_type = self.rule_type(word)
        if not RULE_TYPES[rule_type].analyzer:
            known = ", ".join(name for name, takes in RULE_TYPES.items() if takes.analyzer)
            raise refusal(self.source, word, f"{rule_type} is no analyzer; there are {known}")
        yield Analyzer(rule_type, self.parameters(rule_type, word, nodes), *place)


def _in_bytes(condition: Condition) -> Condition:
    """Take numbers without a unit for bytes, as AWS does."""
    sizes = [
        Size(int(operand), SizeUnit.B)
        for operand in condition.operands
        if isinstance(operand, Decimal) and operand >= 0 and operand == operand.to_integral_value()
    ]
    whole = condition.kind is Kind.NUMBER and len(sizes) == len(condition.operands)
    return replace(condition, operands=tuple(sizes)) if whole else condition


def _shown(node: Node) -> str:
    if isinstance(node, Tree):
        return f"${node.children[-1]}"
    return str(node) if node.type == "STRING" else f'"{node}"'
