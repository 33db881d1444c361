"""The language: what is read."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from emr_pipelines.quality import Rule, Ruleset, RulesetError, RuleType, parse_ruleset
from emr_pipelines.quality.ruleset import (
    Analyzer,
    Arithmetic,
    Call,
    Composite,
    Condition,
    Duration,
    Keyword,
    Now,
    Size,
    SizeUnit,
    Unit,
)
from tests.support.spark_jobs import ROOT


def only_rule(text: str, before: str = "") -> Rule | Composite:
    (rule,) = parse_ruleset(f"{before}\nRules = [ {text} ]", "a.dqdl").rules
    return rule


def condition_of(text: str, before: str = "") -> Condition | None:
    rule = only_rule(text, before)
    assert isinstance(rule, Rule)
    return rule.condition


def last(count: int) -> Call:
    return Call("last", (Decimal(count),))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RowCount > 100", Rule(RuleType.ROW_COUNT, (), Condition(">", (Decimal(100),)))),
        ('IsComplete "order-id"', Rule(RuleType.IS_COMPLETE, ("order-id",))),
        ("IsComplete order_id", Rule(RuleType.IS_COMPLETE, ("order_id",))),
        ("IsComplete of order_id", Rule(RuleType.IS_COMPLETE, ("order_id",))),
        ("IsUnique official and orders android", Rule(RuleType.IS_UNIQUE, ("official", "orders", "android"))),
        ('IsUnique "a" "b"', Rule(RuleType.IS_UNIQUE, ("a", "b"))),
        ('IsUnique "a" where "b < 10"', Rule(RuleType.IS_UNIQUE, ("a",), where="b < 10")),
        (
            'Completeness "a" between 0.5 and 0.9',
            Rule(RuleType.COMPLETENESS, ("a",), Condition("between", (Decimal("0.5"), Decimal("0.9")))),
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
            'CustomSql "select *\n  from primary where a rlike \'\\\\d\' and \\"b\\" > 1" with threshold > 0.5',
            Rule(
                RuleType.CUSTOM_SQL,
                ("select *\n  from primary where a rlike '\\\\d' and \"b\" > 1",),
                tags={"threshold": Condition(">", (Decimal("0.5"),))},
            ),
        ),
        (
            'FileFreshness "s3://b/" > "9:30 AM" with timeZone = "America/New_York" with recentFiles = "3"',
            Rule(
                RuleType.FILE_FRESHNESS,
                ("s3://b/",),
                Condition(">", (dt.time(9, 30),)),
                tags={
                    "timeZone": Condition("=", ("America/New_York",)),
                    "recentFiles": Condition("=", (Decimal(3),)),
                },
            ),
        ),
        (
            'ColumnDataType "a" != "Decimal(10, 2)" where "b > 1" labels=["team"="x"] with threshold > 0.9',
            Rule(
                RuleType.COLUMN_DATA_TYPE,
                ("a",),
                Condition("!=", ("Decimal(10, 2)",)),
                where="b > 1",
                labels={"team": "x"},
                tags={"threshold": Condition(">", (Decimal("0.9"),))},
            ),
        ),
    ],
)
def test_a_rule_is_read(text, expected):
    assert expected == only_rule(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('in ["US", NULL, EMPTY, WHITESPACES_ONLY]', ("in", ("US", *Keyword))),
        ('= "empty"', ("=", ("empty",))),
        ("!= null", ("!=", (Keyword.NULL,))),
        ('matches "\\d+\\"?"', ("matches", (r'\d+"?',))),
        ('= "say \\"hi\\" \\\\"', ("=", ('say "hi" \\',))),
        ("> (now() - 3 days)", (">", (Now(Duration(-3, Unit.DAYS)),))),
        ("<= (now() + 90 minutes)", ("<=", (Now(Duration(90, Unit.MINUTES)),))),
        ('not between "2013-01-01" and now()', ("not between", (dt.date(2013, 1, 1), Now()))),
        ('in ["2013-01-01", "unknown"]', ("in", ("2013-01-01", "unknown"))),
        ('in ["09:00", "unknown"]', ("in", ("09:00", "unknown"))),
        ('in ["2013-01-01", EMPTY]', ("in", ("2013-01-01", Keyword.EMPTY))),
        ('in ["2013-01-01", NULL]', ("in", (dt.date(2013, 1, 1), Keyword.NULL))),
    ],
)
def test_the_condition_on_values_is_read(text, expected):
    assert Condition(*expected) == condition_of(f'ColumnValues "a" {text}')


@pytest.mark.parametrize(
    ("rule", "operands"),
    [
        ('FileFreshness between "9:05 AM" and "12:00 PM"', (dt.time(9, 5), dt.time(12, 0))),
        ('FileFreshness between "12:59 AM" and "21:45"', (dt.time(0, 59), dt.time(21, 45))),
        ("FileSize not in [2 B, 3 KB, 4 MB, 5 GB, 6 TB]", tuple(Size(n, unit) for n, unit in enumerate(SizeUnit, 2))),
        ("FileSize in [3, 4]", (Size(3, SizeUnit.B), Size(4, SizeUnit.B))),
        ('DataFreshness "a" between 90 minutes and 2 days', (Duration(90, Unit.MINUTES), Duration(2, Unit.DAYS))),
        ("RowCount > avg(last(7))", (Call("avg", (last(7),)),)),
        ("RowCount > last()", (last(1),)),
        ("RowCount > percentile(last(9), 50)", (Call("percentile", (last(9), Decimal(50))),)),
        ("RowCount > index(last(2), 1)", (Call("index", (last(2), Decimal(1))),)),
        (
            "RowCount between 0.9 * avg(last(3)) and (1.1 * max(last(3)))",
            (
                Arithmetic("*", Decimal("0.9"), Call("avg", (last(3),))),
                Arithmetic("*", Decimal("1.1"), Call("max", (last(3),))),
            ),
        ),
    ],
)
def test_moments_sizes_durations_and_earlier_results_are_read(rule, operands):
    condition = condition_of(rule)
    assert condition is not None
    assert operands == condition.operands


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10 - 2 * 3", "((10 - 2) * 3)"),
        ("10 - (2 * 3)", "(10 - (2 * 3))"),
        ("8-4-2", "((8 - 4) - 2)"),
        ("8 / -2 + - 3", "((8 / -2) + -3)"),
    ],
)
def test_all_operators_bind_alike_from_left_to_right_as_in_the_grammar_of_aws(text, expected):
    condition = condition_of(f"RowCount = {text}")
    assert f"= {expected}" == str(condition)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(RowCount > 1) and (ColumnCount > 2)", "(RowCount > 1) and (ColumnCount > 2)"),
        (
            "(RowCount > 1) or (RowCount > 2) and (RowCount > 3)",
            "(RowCount > 1) or ((RowCount > 2) and (RowCount > 3))",
        ),
        (
            "((RowCount > 1) OR (RowCount > 2)) AND (RowCount > 3)",
            "((RowCount > 1) or (RowCount > 2)) and (RowCount > 3)",
        ),
        (
            "(RowCount > 1) or (RowCount > 2) or (RowCount > 3)",
            "(RowCount > 1) or (RowCount > 2) or (RowCount > 3)",
        ),
        ("RowCount > 1 and ColumnCount > 2", "(RowCount > 1) and (ColumnCount > 2)"),
        ("RowCount between 1 and 5 and ColumnCount > 2", "(RowCount between 1 and 5) and (ColumnCount > 2)"),
        ("IsComplete a or IsComplete b", '(IsComplete "a") or (IsComplete "b")'),
        ("Uniqueness a and b > 0.5 or RowCount > 1", '(Uniqueness "a" "b" > 0.5) or (RowCount > 1)'),
        ("((RowCount > 1))", "RowCount > 1"),
    ],
)
def test_and_binds_tighter_than_or(text, expected):
    assert expected == str(only_rule(text))


def test_labels_behind_the_last_parenthesis_are_those_of_the_combination():
    rule = only_rule('((RowCount > 1) or (ColumnCount > 2)) labels=["severity"="ask"]')
    assert rule == Composite(
        "or",
        (
            Rule(RuleType.ROW_COUNT, (), Condition(">", (Decimal(1),))),
            Rule(RuleType.COLUMN_COUNT, (), Condition(">", (Decimal(2),))),
        ),
        {"severity": "ask"},
    )


def test_a_rule_has_the_default_labels_where_it_has_none_of_its_own():
    ruleset = parse_ruleset(
        'DefaultLabels=["team"="flights", "severity"="warn"]\n'
        'Rules = [ RowCount > 1, RowCount > 2 labels=["severity"="fail"], (RowCount > 3) and (RowCount > 4 labels=["a"="b"]) ]',
        "a.dqdl",
    )
    assert [dict(rule.labels) for rule in ruleset.rules] == [
        {"team": "flights", "severity": "warn"},
        {"team": "flights", "severity": "fail"},
        {"team": "flights", "severity": "warn"},
    ]
    (*_, combination) = ruleset.rules
    assert isinstance(combination, Composite)
    assert [rule.labels for rule in combination.rules] == [{}, {"a": "b"}]


@pytest.mark.parametrize(
    ("before", "rule", "expected"),
    [
        ('country = "US"', 'ColumnValues "a" = $country', Condition("=", ("US",))),
        ('country = "US"', 'ColumnValues "a" in $country', Condition("in", ("US",))),
        ('one = "a"\nmore = ["b", NULL]', 'ColumnValues "a" not in $more', Condition("not in", ("b", Keyword.NULL))),
        ('one = "a"', 'ColumnValues "a" in ["x", $one]', Condition("in", ("x", "a"))),
        ('day = "2013-01-15"', 'ColumnValues "a" = $day', Condition("=", (dt.date(2013, 1, 15),))),
    ],
)
def test_a_variable_stands_for_what_it_was_given(before, rule, expected):
    assert expected == condition_of(rule, before)


def test_a_variable_may_stand_for_a_column_or_for_sql():
    before = 'name = "a \\"b\\""\nsql = "select \'\\d\' from primary"'
    rules = parse_ruleset(f"{before}\nRules = [ IsComplete $name, CustomSql $sql = 1 ]", "a.dqdl").rules
    assert [rule.parameters for rule in rules if isinstance(rule, Rule)] == [('a "b"',), ("select '\\d' from primary",)]


def test_analyzers_are_read_once_each_and_all_statistics_is_what_any_column_has():
    ruleset = parse_ruleset(
        "Rules = [ RowCount > 1 ] Analyzers = [ RowCount, AllStatistics of a, ColumnCorrelation of a and b ]", "a.dqdl"
    )
    assert ruleset.analyzers == (
        Analyzer(RuleType.ROW_COUNT),
        Analyzer(RuleType.COMPLETENESS, ("a",)),
        Analyzer(RuleType.UNIQUENESS, ("a",)),
        Analyzer(RuleType.COLUMN_CORRELATION, ("a", "b")),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Rules = [ RowCount > 1 ]", ()),
        ('DataSources = { "Primary": "flights" } Rules = [ RowCount > 1 ]', ()),
        (
            'Metadata = { "Version": "1.0" } DataSources = { "AdditionalDataSources": ["b", "a"] } Rules = [ RowCountMatch "a" = 1 ]',
            ("b", "a"),
        ),
        (
            'Rules = [ (SchemaMatch "s" = 1) and (DatasetMatch "d" "k" = 1), AggregateMatch "sum(a)" "avg(g.a)" > 1 ]',
            ("s", "d", "g"),
        ),
        (
            'Rules = [ SchemaMatch "s" = 1 ] Analyzers = [ ReferentialIntegrity "a,b" "r.{a,b}", SchemaMatch "s" ]',
            ("s", "r"),
        ),
        ('Rules = [ AggregateMatch "sum(primary.a)" "avg(g.x.a)" > 1 ]', ("g.x",)),
    ],
)
def test_a_ruleset_knows_the_other_datasets_that_it_reads(text, expected):
    assert expected == parse_ruleset(text, "a.dqdl").references


def test_comments_and_line_ends_mean_nothing_and_a_rule_knows_its_place():
    ruleset = parse_ruleset(
        '# all of it\nRules = [\n  RowCount > 1, # enough\n\n  IsComplete "#a",\r\n  (RowCount > 2) or\n (RowCount > 3)\n]\n# end',
        "a.dqdl",
    )
    assert [(str(rule), rule.line, rule.column) for rule in ruleset.rules] == [
        ("RowCount > 1", 3, 3),
        ('IsComplete "#a"', 5, 3),
        ("(RowCount > 2) or (RowCount > 3)", 6, 3),
    ]


@pytest.mark.parametrize(
    "rule",
    [
        'IsPrimaryKey code "full name"',
        "Completeness of delay not between 0.25 and 0.75",
        'Completeness "delay" between -0.5 and -0.25',
        "Completeness of delay between (0.9 * avg(last(10))) and (1.1 * avg(last(10)))",
        'ColumnCorrelation of delay and "air time" between -0.25 and 0.75',
        'UniqueValueRatio "x.y-z" < 0.00000000000001',
        'Uniqueness "a" "b" "c" > 0.5 where "a > 100"',
        'ColumnNamesMatchPattern "x_.*_[a-z0-9]+"',
        "ColumnCount != -100",
        'ColumnValues "when" in [now(), (now() - 3 hours), now(), (now() + 4 days)]',
        'ColumnValues "when" not between (now() - 3 hours) and (now() + 14 days)',
        'ColumnValues "code" in [ "ColumnValues in [ \\"code\\" ]" ]',
        'ColumnValues "code" in ["a,,b", "c"] with threshold between 0.25 and 0.75',
        'ColumnValues "code" not matches "[a-z]*" with threshold <= 0.4',
        'ColumnValues "code" = 1 with threshold not between 0.25 and 0.75',
        '(ColumnValues "a" not in [NULL,EMPTY,WHITESPACES_ONLY]) OR (ColumnValues "b" != WHITESPACES_ONLY)',
        "DataFreshness of moment between 2 minutes and 4 minutes",
        'ReferentialIntegrity of "a" and "other.b" between 0.4 and 0.6',
        'ReferentialIntegrity "a,b" "other.{c,d}" = 0.99',
        'DatasetMatch "other" "k1->l1,k2->l2" "a->b" between 0.4 and 0.8',
        'SchemaMatch "other-1" >= 1.0',
        'RowCountMatch "other" between 0.8 and 0.98',
        'AggregateMatch "SUM(a-b)" "AVG(other.a)" >= 0.95',
        'CustomSql "select a from primary"',
        'CustomSql "select count(*) from primary" between 10 and 20',
        "FileUniqueness > 0.5",
        'FileUniqueness "s3://bucket/folder/" = 1 with recentFiles = 1',
        "FileSize not between 50 GB and 1 TB",
        'FileFreshness "s3://bucket/folder/" between now() and (now() - 45 minutes)',
        'FileFreshness "s3://bucket/folder/" > (now() - 10 days) with threshold > 0.1',
        'FileFreshness between "9:30 AM" and "9:30 PM" with timeZone = "Asia/Dubai"',
    ],
)
def test_what_the_documentation_and_the_parser_of_aws_have_is_read_and_read_back(rule):
    ruleset = parse_ruleset(f"Rules = [ {rule} ]", "a.dqdl")
    assert ruleset == parse_ruleset(str(ruleset), "a.dqdl")


def test_the_measure_is_the_rule_without_what_its_value_must_meet():
    measures = [
        ('Mean "a" > 1 where "b > 1" labels=["x"="y"]', 'Mean "a" where "b > 1"'),
        ('ColumnValues "a" > 1 with threshold > 0.5', 'ColumnValues "a" > 1'),
        ("FileSize > 2 KB", "FileSize > 2 KB"),
        ("CustomSql \"select '\\d'\" = 1", "CustomSql \"select '\\d'\""),
    ]
    for text, expected in measures:
        rule = only_rule(text)
        assert isinstance(rule, Rule)
        assert expected == rule.measure


def test_the_rules_of_the_flights_are_readable():
    text = (ROOT / "include" / "quality" / "flights.dqdl").read_text(encoding="utf-8")
    ruleset = parse_ruleset(text, "flights.dqdl")
    assert ruleset == parse_ruleset(str(ruleset), "flights.dqdl")


def test_the_name_of_the_file_tells_two_equal_rulesets_apart_only_in_errors():
    assert parse_ruleset("Rules = [ RowCount > 1 ]", "a.dqdl") == parse_ruleset("Rules = [RowCount>1]", "b.dqdl")
    with pytest.raises(RulesetError, match=r"^b\.dqdl:1:11: "):
        parse_ruleset("Rules = [ Nothing ]", "b.dqdl")
    assert str(Ruleset((Rule(RuleType.COLUMN_EXISTS, ("a",)),), "c")) == 'Rules = [\n    ColumnExists "a"\n]\n'
