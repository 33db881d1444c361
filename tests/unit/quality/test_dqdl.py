"""The language: what is read, what is refused, and where."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emr_pipelines.quality import Rule, Ruleset, RulesetError, RuleType, parse_ruleset
from emr_pipelines.quality.ruleset import Condition, Duration, Keyword, Now, Unit
from tests.support.spark_jobs import ROOT


def only_rule(text: str) -> Rule:
    (rule,) = parse_ruleset(f"Rules = [ {text} ]", "a.dqdl").rules
    return rule


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RowCount > 100", Rule(RuleType.ROW_COUNT, (), Condition(">", (Decimal(100),)))),
        ('IsComplete "order-id"', Rule(RuleType.IS_COMPLETE, ("order-id",))),
        ("IsComplete order_id", Rule(RuleType.IS_COMPLETE, ("order_id",))),
        ('IsUnique "a" "b"', Rule(RuleType.IS_UNIQUE, ("a", "b"))),
        ('IsUnique "a" where "b < 10"', Rule(RuleType.IS_UNIQUE, ("a",), where="b < 10")),
        (
            'Completeness "a" between 0.5 and 0.9',
            Rule(RuleType.COMPLETENESS, ("a",), Condition("between", (Decimal("0.5"), Decimal("0.9")))),
        ),
        (
            'ColumnValues "a" in ["US", NULL, EMPTY, WHITESPACES_ONLY]',
            Rule(
                RuleType.COLUMN_VALUES,
                ("a",),
                Condition("in", ("US", Keyword.NULL, Keyword.EMPTY, Keyword.WHITESPACES_ONLY)),
            ),
        ),
        (
            'ColumnValues "a" not in [1, -2.5] with threshold >= 0.95',
            Rule(
                RuleType.COLUMN_VALUES,
                ("a",),
                Condition("not in", (Decimal(1), Decimal("-2.5"))),
                tags={"threshold": Condition(">=", (Decimal("0.95"),))},
            ),
        ),
        (
            'ColumnValues "a" matches "\\d+\\"?"',
            Rule(RuleType.COLUMN_VALUES, ("a",), Condition("matches", (r'\d+"?',))),
        ),
        (
            'ColumnValues "d" > (now() - 3 days)',
            Rule(RuleType.COLUMN_VALUES, ("d",), Condition(">", (Now(Duration(-3, Unit.DAYS)),))),
        ),
        (
            'ColumnValues "d" not between "2013-01-01" and now()',
            Rule(RuleType.COLUMN_VALUES, ("d",), Condition("not between", (dt.date(2013, 1, 1), Now()))),
        ),
        (
            'ColumnValues "s" in ["2013-01-01", "unknown"]',
            Rule(RuleType.COLUMN_VALUES, ("s",), Condition("in", ("2013-01-01", "unknown"))),
        ),
        ('ColumnValues "a" != null', Rule(RuleType.COLUMN_VALUES, ("a",), Condition("!=", (Keyword.NULL,)))),
        (
            'ColumnValues "a" = "say \\"hi\\" \\\\"',
            Rule(RuleType.COLUMN_VALUES, ("a",), Condition("=", ('say "hi" \\',))),
        ),
    ],
)
def test_a_rule_is_read(text, expected):
    assert expected == only_rule(text)


def test_comments_and_line_ends_mean_nothing_and_a_rule_knows_its_place():
    ruleset = parse_ruleset('# all of it\nRules = [\n  RowCount > 1, # enough\n\n  IsComplete "#a"\n]\n', "a.dqdl")
    assert [(str(rule), rule.line, rule.column) for rule in ruleset.rules] == [
        ("RowCount > 1", 3, 3),
        ('IsComplete "#a"', 5, 3),
    ]


def test_the_rules_of_the_flights_are_readable():
    text = (ROOT / "include" / "quality" / "flights.dqdl").read_text(encoding="utf-8")
    assert {RuleType.ROW_COUNT, RuleType.COLUMN_VALUES} < {
        rule.type for rule in parse_ruleset(text, "flights.dqdl").rules
    }


KNOWN = "(RowCount, IsComplete, IsUnique, ColumnValues, Completeness)"


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        (
            'Rules = [\n  RowCount > 1,\n    IsComplet "a"\n]',
            3,
            5,
            f'"IsComplet" is no rule type; did you mean IsComplete? {KNOWN}',
        ),
        ("Rules = [ rowcount > 1 ]", 1, 11, f'"rowcount" is no rule type; did you mean RowCount? {KNOWN}'),
        ("Rules = [ Frobnicate ]", 1, 11, f'"Frobnicate" is no rule type {KNOWN}'),
        ('Rules = [ Mean "a" > 1 ]', 1, 11, f"the rule type Mean is not supported yet {KNOWN}"),
        ("Rules = []", 1, 1, "no rule: a ruleset that checks nothing would always pass; add one"),
        ("", 1, 1, 'the file ends too early; expected "Analyzers" or "Rules"'),
        ("# nothing\n", 1, 10, 'the file ends too early; expected "Analyzers" or "Rules"'),
        ("rules = [ RowCount > 1 ]", 1, 1, '"rules" is not expected here; expected "Analyzers" or "Rules"'),
        (
            "Rules = [ RowCount > 1\n",
            1,
            23,
            'the file ends too early; expected "," or "]" or "labels" or "where" or "with"',
        ),
        (
            "Rules = [ RowCount > ]",
            1,
            22,
            '"]" is not expected here; expected "(" or "now()" or NULL or a "string" or a number',
        ),
        ("Rules = [ RowCount > 1, ]", 1, 25, '"]" is not expected here; expected "(" or a name'),
        ("Rules = [ RowCount ]", 1, 11, "RowCount needs a condition, such as > 0.95"),
        ('Rules = [ RowCount = "a" ]', 1, 20, "RowCount is compared with numbers"),
        ("Rules = [ RowCount = NULL ]", 1, 20, "RowCount is compared with numbers"),
        ("Rules = [ IsComplete ]", 1, 11, 'IsComplete needs a column: IsComplete "name"'),
        ('Rules = [ IsComplete "" ]', 1, 22, "a column has a name; this one is empty"),
        ('Rules = [ IsComplete "a" > 1 ]', 1, 26, "IsComplete takes no condition"),
        ('Rules = [ IsComplete "a" "b" ]', 1, 26, '"b" is one too many: IsComplete takes only one column'),
        (
            'Rules = [\n IsComplete "a"\n RowCount > 1 ]',
            3,
            2,
            '"RowCount" is one too many: IsComplete takes only one column; is a comma missing before it?',
        ),
        (
            'Rules = [ IsComplete "a ]\n',
            1,
            22,
            "this string has no end: a string ends with a quote, on the line where it begins",
        ),
        (
            'Rules = [ ColumnValues "a" > "b" ]',
            1,
            30,
            '> compares numbers and dates, not "b"; strings take =, in, matches',
        ),
        (
            'Rules = [ ColumnValues "a" in [1, "b"] ]',
            1,
            35,
            '"b" does not go with the other values: all numbers, all dates or all strings',
        ),
        ('Rules = [ ColumnValues "a" = "2013-02-30" ]', 1, 30, '"2013-02-30" is no date of the calendar'),
        (
            'Rules = [ ColumnValues "a" between 5 and 5 ]',
            1,
            28,
            "between 5 and 5 holds for no value: between excludes both ends",
        ),
        ('Rules = [ ColumnValues "a" > (now() - 1.5 days) ]', 1, 39, '"1.5" is no whole number of days'),
        ('Rules = [ IsComplete "a" where " " ]', 1, 26, "this where is empty; take it out, or say which rows count"),
        ("Rules = [ RowCount > 1 with threshold > 0.5 ]", 1, 24, "RowCount takes no threshold; only ColumnValues does"),
        (
            'Rules = [ ColumnValues "a" > 1 with trust > 0.5 ]',
            1,
            37,
            '"trust" is not expected here; expected threshold',
        ),
        ('Rules = [ ColumnValues "a" > 1 with threshold = "x" ]', 1, 47, "a threshold is compared with numbers"),
    ],
)
def test_what_is_wrong_is_told_with_its_place_the_word_and_what_was_expected(text, line, column, message):
    with pytest.raises(RulesetError) as raised:
        parse_ruleset(text, "quality/a.dqdl")
    assert (line, column, message) == (raised.value.line, raised.value.column, raised.value.message)
    assert f"quality/a.dqdl:{line}:{column}: {message}" == str(raised.value)


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        (
            'Rules = [\n (IsComplete "a") and (IsUnique "a") ]',
            2,
            2,
            "a rule in parentheses, combined by and/or, is not supported yet; write single rules",
        ),
        ("Analyzers = [ RowCount ]", 1, 1, "Analyzers are not supported yet; write rules, in Rules = [...]"),
        (
            "Rules = [ RowCount > 1 ]\nAnalyzers = [ RowCount ]",
            2,
            1,
            "Analyzers are not supported yet; write rules, in Rules = [...]",
        ),
        ("Rules = [ RowCount > avg(last(10)) ]", 1, 22, "a dynamic rule, avg(...), is not supported yet"),
        ('Metadata = { "a": "b" }', 1, 1, "the section Metadata is not supported yet"),
        ("Rules = [ ColumnValues a in $countries ]", 1, 29, "a variable is not supported yet"),
        ('Rules = [ IsComplete "a" labels=["team"="x"] ]', 1, 26, "labels are not supported yet; take them out"),
        ('Rules = [ ColumnValues "a" > (now() - 3 hours) ]', 1, 41, '"hours" is not supported yet; dates move by days'),
    ],
)
def test_dqdl_that_is_not_run_yet_is_refused_by_name(text, line, column, message):
    with pytest.raises(RulesetError) as raised:
        parse_ruleset(text, "a.dqdl")
    assert f"a.dqdl:{line}:{column}: {message}" == str(raised.value)


texts = st.text(st.characters(exclude_characters="\n", codec="utf-8"), max_size=12)
names = texts.filter(str.strip)
numbers = st.decimals(-1000000, 1000000, places=3)
dates = st.one_of(
    st.dates(dt.date(1000, 1, 1)), st.builds(lambda days: Now(Duration(days, Unit.DAYS)), st.integers(-400, 400))
)
strings = texts.filter(lambda text: len(text) != len("2013-01-15"))
# a backslash in Spark SQL or in a regular expression belongs to the character after it
raw = texts.map(lambda text: text.replace("\\", "\\\\")).filter(str.strip)


@st.composite
def numeric_conditions(draw):
    if draw(st.booleans()):
        return Condition(draw(st.sampled_from(["=", "!=", ">", ">=", "<", "<="])), (draw(numbers),))
    low, high = sorted(draw(st.lists(numbers, min_size=2, max_size=2, unique=True)))
    return Condition(draw(st.sampled_from(["between", "not between"])), (low, high))


def memberships(values, keywords):
    operands = st.lists(values, min_size=1, max_size=4)
    extra = st.lists(st.sampled_from(keywords), max_size=2)
    return st.builds(
        lambda operator, some, more: Condition(operator, (*some, *more)),
        st.sampled_from(["in", "not in"]),
        operands,
        extra,
    )


conditions = st.one_of(
    numeric_conditions(),
    memberships(numbers, [Keyword.NULL]),
    memberships(dates, [Keyword.NULL]),
    memberships(strings, list(Keyword)),
    st.builds(lambda day: Condition(">", (day,)), dates),
    st.builds(
        lambda negation, pattern: Condition(f"{negation}matches", (pattern,)), st.sampled_from(["", "not "]), raw
    ),
)
wheres = st.one_of(st.none(), raw)
rules = st.one_of(
    st.builds(Rule, st.just(RuleType.ROW_COUNT), st.just(()), numeric_conditions(), wheres),
    st.builds(Rule, st.just(RuleType.IS_COMPLETE), st.tuples(names), st.none(), wheres),
    st.builds(Rule, st.just(RuleType.IS_UNIQUE), st.lists(names, min_size=1, max_size=3).map(tuple), st.none(), wheres),
    st.builds(Rule, st.just(RuleType.COMPLETENESS), st.tuples(names), numeric_conditions(), wheres),
    st.builds(
        Rule,
        st.just(RuleType.COLUMN_VALUES),
        st.tuples(names),
        conditions,
        wheres,
        tags=st.one_of(st.just({}), st.fixed_dictionaries({"threshold": numeric_conditions()})),
    ),
)


@given(st.lists(rules, min_size=1, max_size=4))
def test_every_ruleset_is_read_back_from_its_text(some):
    ruleset = Ruleset(tuple(some), "a.dqdl")
    assert ruleset == parse_ruleset(str(ruleset), "a.dqdl")


@given(st.text(alphabet='Rules=[]()"ab >1,.#\n\\$in', max_size=40))
def test_any_text_is_read_or_refused_at_a_place_inside_it(text):
    try:
        parse_ruleset(text, "a.dqdl")
    except RulesetError as error:
        lines = text.split("\n") or [""]
        assert 1 <= error.line <= len(lines)  # noqa: PT017  # most texts are refused, a few are not
        assert 1 <= error.column <= len(lines[error.line - 1]) + 1  # noqa: PT017  # likewise
