"""The language: every ruleset is read back from its text, and no text does anything but be read or be refused."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emr_pipelines.quality import Check, Rule, Ruleset, RulesetError, RuleType, compile_plan, parse_ruleset
from emr_pipelines.quality.arithmetic import constant
from emr_pipelines.quality.rule_types import DATE_FORMATS, RULE_TYPES, condition_mistake, references_of, share_mistake
from emr_pipelines.quality.ruleset import (
    RAW,
    Analyzer,
    Arithmetic,
    Call,
    Composite,
    Condition,
    Duration,
    Keyword,
    Kind,
    Now,
    Size,
    SizeUnit,
    Unit,
)

# a busy machine takes a while, most of all to read the grammar
AT_LEISURE = settings(deadline=None)
WHOLE_RULESETS = settings(AT_LEISURE, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
COMPARISONS = st.sampled_from(["=", "!=", ">", ">=", "<", "<="])
texts = st.text(st.characters(codec="utf-8"), max_size=8)
names = texts.filter(str.strip)
plain_names = st.text("abcXYZ_ 09-é", min_size=1, max_size=5).filter(str.strip).map(str.strip)
aliases = st.from_regex(r"[a-z0-9_-]{1,5}(\.[a-z]{1,3})?", fullmatch=True).filter(lambda alias: alias != "primary")
# a backslash in Spark SQL or in a regular expression belongs to the character after it
raw = texts.map(lambda text: text.replace("\\", "\\\\")).filter(str.strip)
strings = texts.filter(lambda text: not re.fullmatch(r"\d{4}-\d\d-\d\d|\d\d?:\d\d( [AP]M)?", text))
literals = st.decimals(-1000000, 1000000, places=3)
durations = st.builds(Duration, st.integers(0, 36525), st.sampled_from(Unit))
moves = st.builds(Duration, st.integers(-36525, 36525), st.sampled_from(Unit))
values = {
    Kind.NUMBER: literals,
    Kind.TEXT: strings,
    Kind.DATE: st.one_of(st.dates(dt.date(1000, 1, 1)), st.just(Now()), st.builds(Now, moves)),
    Kind.TIME: st.builds(dt.time, st.integers(0, 23), st.integers(0, 59)),
    Kind.DURATION: durations,
    Kind.SIZE: st.builds(Size, st.integers(0, 10**6), st.sampled_from(SizeUnit)),
}
earlier = st.integers(1, 1000).flatmap(
    lambda count: st.sampled_from(
        [
            *(Call(name, (Call("last", (Decimal(count),)),)) for name in ("avg", "min", "max", "sum", "std", "median")),
            Call("index", (Call("last", (Decimal(count),)), Decimal(count - 1))),
            Call("percentile", (Call("last", (Decimal(count),)), Decimal("99.5"))),
            Call("last", (Decimal(1),)),
        ]
    )
)


def arithmetic(leaves: st.SearchStrategy) -> st.SearchStrategy:
    return st.recursive(
        leaves,
        lambda inner: st.builds(Arithmetic, st.sampled_from("+-*/"), inner, inner).filter(
            lambda number: number.operator != "/" or constant(number.right) != 0
        ),
        max_leaves=3,
    )


def ordered(kind: Kind) -> Callable:
    """What to sort values by, or why not: the moment of the check has no place among days."""
    units = {Unit.DAYS: 1440, Unit.HOURS: 60, Unit.MINUTES: 1}
    return {
        Kind.DURATION: lambda duration: duration.amount * units[duration.unit],
        Kind.SIZE: lambda size: size.amount * 1024 ** list(SizeUnit).index(size.unit),
    }.get(kind, lambda value: value)


@st.composite
def conditions(draw, kind, *, dynamic=False, keywords=False):
    negation = draw(st.sampled_from(["", "not "]))
    operators = ["comparison", "in"] if kind is Kind.TEXT else ["comparison", "between", "in"]
    match draw(st.sampled_from(operators)):
        case "between":
            days = st.dates(dt.date(1000, 1, 1))
            pair = st.lists(
                days if kind is Kind.DATE else values[kind], min_size=2, max_size=2, unique_by=ordered(kind)
            )
            return Condition(f"{negation}between", tuple(sorted(draw(pair), key=ordered(kind))))
        case "in":
            some = draw(st.lists(values[kind], min_size=1, max_size=3))
            nothing = [Keyword.NULL] if keywords else []
            return Condition(f"{negation}in", (*some, *nothing))
    operator = draw(st.sampled_from(["=", "!="]) if kind is Kind.TEXT else COMPARISONS)
    if kind is Kind.NUMBER:
        return Condition(operator, (draw(arithmetic(st.one_of(literals, earlier) if dynamic else literals)),))
    return Condition(operator, (draw(values[kind]),))


value_conditions = st.one_of(
    *(conditions(kind, keywords=True) for kind in RULE_TYPES[RuleType.COLUMN_VALUES].kinds),
    st.builds(lambda text, word: Condition("in", (text, *Keyword, word)), strings, st.sampled_from(Keyword)),
    st.builds(lambda pattern: Condition("not matches", (pattern,)), raw),
    st.just(Condition("!=", (Keyword.NULL,))),
)
type_conditions = st.builds(
    lambda operator, name: Condition(operator, (name,)),
    st.sampled_from(["=", "!="]),
    st.sampled_from(["Integer", "date", "Decimal(10,2)"]),
)
column_lists = st.lists(plain_names, min_size=1, max_size=3)
tags = {
    "threshold": conditions(Kind.NUMBER).filter(lambda condition: share_mistake(condition) is None),
    "recentFiles": st.builds(lambda number: Condition("=", (Decimal(number),)), st.integers(1, 99)),
    "uriRegex": st.builds(lambda pattern: Condition("=", (pattern,)), strings),
    "timeZone": st.just(Condition("=", ("Europe/Berlin",))),
    "format": st.builds(lambda pattern: Condition("=", (pattern,)), st.sampled_from(DATE_FORMATS)),
}
labels = st.dictionaries(names.filter(lambda name: name != "severity"), texts.filter(bool), max_size=3)
severities = st.sampled_from([{}, {"severity": "fail"}, {"severity": "warn"}, {"severity": "ask"}])


@st.composite
def parameters(draw, rule_type):
    if rule_type is RuleType.REFERENTIAL_INTEGRITY:
        here = draw(column_lists)
        return (",".join(here), f"{draw(aliases)}.{{{','.join(here)}}}")
    one = {
        "column": names,
        "regular expression": raw,
        "SQL": raw,
        "file or folder": names,
        "reference": aliases,
        "key columns": column_lists.map(lambda columns: ",".join(f"{column}->k" for column in columns)),
        "compared columns": column_lists.map(",".join),
        "aggregate": st.builds("sum({}.{})".format, aliases, st.just("c")),
    }
    takes = RULE_TYPES[rule_type]
    least, most = takes.bounds
    count = draw(st.integers(least, min(most, least + 2)))
    return tuple(draw(one[takes.parameters[min(place, len(takes.parameters) - 1)]]) for place in range(count))


@st.composite
def rules(draw):
    rule_type = draw(st.sampled_from(RuleType))
    takes = RULE_TYPES[rule_type]
    condition = None
    if rule_type is RuleType.COLUMN_VALUES:
        condition = draw(value_conditions)
    elif rule_type is RuleType.COLUMN_DATA_TYPE:
        condition = draw(type_conditions)
    elif takes.kinds and not (takes.optional and draw(st.booleans())):
        known = st.one_of(*(conditions(kind, dynamic=takes.dynamic) for kind in sorted(takes.kinds)))
        condition = draw(known.filter(lambda one: condition_mistake(rule_type, one) is None))
    chosen = [tag for tag in takes.tags if draw(st.booleans())]
    if rule_type is RuleType.CUSTOM_SQL and condition:
        chosen = []
    return Rule(
        rule_type,
        draw(parameters(rule_type)),
        condition,
        draw(st.one_of(st.none(), raw)) if takes.where else None,
        draw(labels),
        {tag: draw(tags[tag]) for tag in chosen},
    )


def composites(parts: st.SearchStrategy) -> st.SearchStrategy:
    return st.builds(
        Composite, st.sampled_from(["and", "or"]), st.lists(parts, min_size=2, max_size=3).map(tuple), labels
    )


@st.composite
def analyzers(draw):
    rule_type = draw(st.sampled_from([one for one, takes in RULE_TYPES.items() if takes.analyzer]))
    return Analyzer(rule_type, draw(parameters(rule_type)))


@st.composite
def rulesets(draw):
    entries = draw(st.lists(st.recursive(rules(), composites, max_leaves=4), min_size=1, max_size=2))
    judged = tuple(
        type(entry)(**{**vars(entry), "labels": {**entry.labels, **draw(severities)}})  # the whole has a severity
        for entry in entries
    )
    besides = tuple(draw(st.lists(analyzers(), max_size=2, unique=True)))
    used = [alias for one in (*judged, *besides) for alias in references_of(one)]
    others = draw(st.lists(aliases, max_size=2))
    return Ruleset(judged, "a.dqdl", besides, tuple(dict.fromkeys([*others, *used])))


@WHOLE_RULESETS
@given(rulesets())
def test_every_ruleset_is_read_back_from_its_text(ruleset):
    assert ruleset == parse_ruleset(str(ruleset), "a.dqdl")


@AT_LEISURE
@given(rules())
def test_the_text_of_a_rule_without_labels_is_the_rule(rule):
    bare = Rule(rule.type, rule.parameters, rule.condition, rule.where, {}, rule.tags)
    assert (bare,) == parse_ruleset(f"Rules = [ {bare} ]", "a.dqdl").rules


def only_refused_at_a_place_inside(text: str) -> None:
    try:
        ruleset = parse_ruleset(text, "a.dqdl")
    except RulesetError as error:
        lines = text.split("\n")
        assert 1 <= error.line <= len(lines)  # noqa: PT017  # most texts are refused, a few are not
        assert 1 <= error.column <= len(lines[error.line - 1]) + 1  # noqa: PT017  # likewise
    else:
        assert ruleset == parse_ruleset(str(ruleset), "a.dqdl")


@WHOLE_RULESETS
@given(rulesets().map(str), st.data())
def test_a_ruleset_with_a_slip_of_the_pen_is_read_or_refused_at_a_place_inside_it(text, data):
    place = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, 12))
    instead = data.draw(st.one_of(texts, st.sampled_from(['"', "(", ")", ",", "]", " and ", " or ", "\\", "$a", "-1"])))
    only_refused_at_a_place_inside(text[:place] + instead + text[place + length :])


WORDS = """
Rules = [ ] ( ) , : { } "a" "2013-02-30" "25:00" a $a and or of not in between matches > != NULL EMPTY 1 0.5 - / now() days B
last( avg( where with threshold recentFiles labels DefaultLabels DataSources Metadata Analyzers RowCount ColumnValues FileSize
FileFreshness DatasetMatch AllStatistics #
"""


@AT_LEISURE
@given(st.lists(st.sampled_from(WORDS.split()), max_size=14).map(lambda words: "Rules = [ " + " ".join(words)))
def test_words_in_any_order_are_read_or_refused_at_a_place_inside_them(text):
    only_refused_at_a_place_inside(text)


@AT_LEISURE
@given(st.one_of(texts, st.text('Rules=[]()"ab >1,.#\n\\$in', max_size=40)))
def test_any_text_is_read_or_refused_at_a_place_inside_it(text):
    only_refused_at_a_place_inside(text)


@pytest.mark.parametrize("rule_type", RULE_TYPES)
def test_the_example_of_a_rule_type_is_read_and_is_of_that_type(rule_type):
    (rule,) = parse_ruleset(f"Rules = [ {RULE_TYPES[rule_type].example} ]", "a.dqdl").rules
    assert isinstance(rule, Rule)
    assert rule_type == rule.type
    assert (rule,) == parse_ruleset(f"Rules = [ {rule} ]", "a.dqdl").rules


@pytest.mark.parametrize("rule_type", RULE_TYPES)
def test_what_the_table_says_about_rows_is_what_becomes_of_the_example(rule_type):
    takes = RULE_TYPES[rule_type]
    text = 'CustomSql "select a from primary"' if rule_type is RuleType.CUSTOM_SQL else takes.example
    (check,) = compile_plan(parse_ruleset(f"Rules = [ {text} ]", "a.dqdl")).checks
    assert isinstance(check, Check)
    assert takes.rows == (check.measure.row is not None)


@AT_LEISURE
@given(analyzers())
def test_what_may_stand_among_the_analyzers_can_be_measured(analyzer):
    plan = compile_plan(Ruleset((Rule(RuleType.COLUMN_EXISTS, ("a",)),), "a.dqdl", (analyzer,)))
    assert plan.analyzers


def test_every_rule_type_is_described_and_what_is_raw_is_sql_or_a_regular_expression():
    assert set(RuleType) == set(RULE_TYPES)
    assert {one for one, takes in RULE_TYPES.items() if {"SQL", "regular expression"} & set(takes.parameters)} == RAW
