"""The language: what is refused, where, and in which words."""

from __future__ import annotations

import pytest

from emr_pipelines.quality import RulesetError, parse_ruleset
from emr_pipelines.quality.rule_types import NOT_RUN, RULE_TYPES

SECTIONS = '"Analyzers" or "DataSources" or "DefaultLabels" or "Metadata" or "Rules" or a variable'
BEHIND_A_NUMBER = "+, -, * or / or a unit, such as hours or MB"
TEN_LABELS = ", ".join(f'"{n}"="1"' for n in range(10))
NO_RULE = "no rule: a ruleset that checks nothing would always pass; add one"
MIXED = "does not go with the other values: all numbers, all dates or all strings"
MISSING = (
    "is a comma missing before it, or are parentheses around rules that and connects? A column of that name is written"
)
TAKERS = "ColumnValues, ColumnLength, ColumnDataType, CustomSql, FileFreshness, FileSize may"
TYPES = "Boolean, Date, Timestamp, Integer, Double, Float, Long, Decimal(precision, scale)"


def refused(text: str) -> RulesetError:
    with pytest.raises(RulesetError) as raised:
        parse_ruleset(text, "quality/a.dqdl")
    return raised.value


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("", 1, 1, f"the file ends too early; expected {SECTIONS}"),
        ("# nothing\n", 1, 10, f"the file ends too early; expected {SECTIONS}"),
        ("Rules = []", 1, 1, NO_RULE),
        (
            'Rules = [ RowCount > 1 labels=["severty"="warn"] ]',
            1,
            32,
            '"severty" means nothing here; did you mean severity?',
        ),
        (
            'Rules = [ Completeness "a" > 95 ]',
            1,
            28,
            "a share is from 0 to 1, so that none is > 95; 95 percent is 0.95",
        ),
        (
            'Rules = [ ColumnValues "a" > 0 with threshold >= 1.5 ]',
            1,
            47,
            "a share is from 0 to 1, so that none is >= 1.5; 95 percent is 0.95",
        ),
        (
            'Rules = [ ColumnValues "day" > 2026-01-31 ]',
            1,
            37,
            '01 is no number: a date stands in double quotes, as "2026-01-31"',
        ),
        (
            "Rules = [ RowCount not between 10 and 5 ]",
            1,
            20,
            "not between 10 and 5 holds for every value: the lower end stands first",
        ),
        ("Analyzers = [ RowCount ]", 1, 1, NO_RULE),
        ("Rules = [ ] Analyzers = [ RowCount ]", 1, 1, NO_RULE),
        (
            "rules = [ RowCount > 1 ]",
            1,
            1,
            f'"rules" is not expected here; expected {SECTIONS}; did you mean Rules?',
        ),
        (
            "Analyzers = [ RowCount ] Rules = [ RowCount > 1 ]",
            1,
            26,
            '"Rules" is not expected here; expected the end of the file',
        ),
        (
            "Rules = [ RowCount > 1 ]\nRules = [ RowCount > 2 ]",
            2,
            1,
            '"Rules" is not expected here; expected "Analyzers" or the end of the file',
        ),
        (
            "Rules = [ RowCount > 1\n",
            1,
            23,
            f'the file ends too early; expected "," or "]" or "and" or "labels" or "or" or "where" or "with" or {BEHIND_A_NUMBER}',
        ),
        ("Rules = [ RowCount > ]", 1, 22, '"]" is not expected here; expected a value'),
        ("Rules = [ RowCount == 1 ]", 1, 21, '"=" is not expected here; expected a value'),
        ("Rules = [ RowCount > 1e5 ]", 1, 22, '"1e5" is not expected here; expected a value'),
        ("Rules = [ RowCount > 1, ]", 1, 25, '"]" is not expected here; expected a rule'),
        (
            "Rules = [ IsComplete ~ ]",
            1,
            22,
            '"~" means nothing here; expected "," or "]" or "and" or "labels" or "or" or "where" or "with" or a condition or a name',
        ),
        (
            'Rules = [ RowCount > 1 with threshold > 1 lables=["a"="b"] ]',
            1,
            43,
            '"lables" is not expected here; expected "," or "]" or "and" or "or" or "with" or ' + BEHIND_A_NUMBER,
        ),
        (
            'Rules = [ ColumnValues a = "x" lables=["a"="b"] ]',
            1,
            32,
            '"lables" is not expected here; expected "," or "]" or "and" or "labels" or "or" or "where" or "with"; did you mean labels?',
        ),
        (
            'Rules = [ IsComplete "a ]\n',
            1,
            22,
            "this string has no end: a closing quote is missing, here or in a string before",
        ),
        ("Rules = [ IsComplete 'a' ]", 1, 22, "a string stands in double quotes"),
        ("Rules = [ (RowCount > 1 ) and ]", 1, 31, '"]" is not expected here; expected a rule'),
        (
            f"Rules = [ {'(' * 99}RowCount > 1{')' * 99} ]",
            1,
            12,
            "this is nested too deeply; write it as several rules",
        ),
        (f"Rules = [ RowCount > 1{' + 1' * 99} ]", 1, 20, "this is nested too deeply; write it as several rules"),
    ],
)
def test_a_text_that_is_no_ruleset_is_refused_where_it_ceases_to_be_one(text, line, column, message):
    error = refused(text)
    assert (line, column, message) == (error.line, error.column, error.message)
    assert f"quality/a.dqdl:{line}:{column}: {message}" == str(error)


@pytest.mark.parametrize(
    ("rule", "column", "message"),
    [
        ('IsComplet "a"', 1, '"IsComplet" is no rule type; did you mean IsComplete?'),
        ("rowcount > 1", 1, '"rowcount" is no rule type; did you mean RowCount?'),
        ("Frobnicate", 1, f'"Frobnicate" is no rule type; there are {", ".join(RULE_TYPES)}'),
        ('Variance "a" > 1', 1, f"the rule type Variance is not run here: {NOT_RUN['Variance']}"),
        ('AllStatistics "a"', 1, "AllStatistics is no rule: it stands among the Analyzers"),
        ("IsComplete", 1, 'IsComplete needs more: IsComplete "column"'),
        (
            'DatasetMatch "a" = 1',
            1,
            'DatasetMatch needs more: DatasetMatch "reference" "key columns" ["compared columns"]',
        ),
        ('IsComplete ""', 12, "this column is empty"),
        ('IsComplete "a" "b"', 16, '"b" is one too many: IsComplete "column"'),
        ("RowCount a > 1", 10, '"a" is one too many: RowCount'),
        (
            'ColumnValues "a" beetween 1 and 2',
            18,
            '"beetween" is one too many: ColumnValues "column"; did you mean between?',
        ),
        (f"IsUnique {' '.join('abcdefghijklmnopqrstuvwxyz0123456')}", 74, '"6" is one too many: IsUnique "column" ...'),
        ('IsComplete "a"\n RowCount > 1', 2, f'RowCount is a rule type: {MISSING} "RowCount"'),
        ('IsComplete "a" and IsUnique "a"', 20, f'IsUnique is a rule type: {MISSING} "IsUnique"'),
        ("RowCount", 1, "RowCount needs a condition, as in RowCount between 200 and 2000"),
        ('IsComplete "a" > 1', 16, "IsComplete takes no condition"),
        ('RowCount = "a"', 10, "RowCount is compared with numbers"),
        ("RowCount = NULL", 10, "RowCount is compared with numbers"),
        ("RowCount in [1, NULL]", 10, "RowCount is compared with numbers"),
        ('ColumnValues "a" = "21:45"', 18, "ColumnValues is compared with numbers or strings or dates"),
        ('DataFreshness "a" < 3', 19, "DataFreshness is compared with durations, such as 24 hours"),
        ("FileSize > 3 days", 10, "FileSize is compared with sizes, such as 2 MB"),
        ("FileSize > 2.5", 10, "FileSize is compared with sizes, such as 2 MB"),
        ("FileFreshness > 3 days", 15, "FileFreshness is compared with dates or times of day"),
        ('ColumnDataType "a" = EMPTY', 20, "ColumnDataType is compared with strings"),
        ('ColumnDataType "a" matches "Int.*"', 20, "ColumnDataType takes = and !=, not matches"),
        ('ColumnDataType "a" = "Number"', 20, f'"Number" is no type of a column: {TYPES}'),
        ('ColumnValues "a" > "b"', 20, '> compares numbers and dates, not "b"; strings take =, in, matches'),
        ('ColumnValues "a" > NULL', 20, "> compares numbers and dates, not NULL; strings take =, in, matches"),
        ('ColumnValues "a" in [1, "b"]', 25, f'"b" {MIXED}'),
        ('FileFreshness between "09:00" and now()', 35, f"now() {MIXED}"),
        ('ColumnValues "a" = "2013-02-30"', 20, '"2013-02-30" is no date of the calendar'),
        ('FileFreshness > "25:00"', 17, '"25:00" is no time of day'),
        ('FileFreshness > "13:00 PM"', 17, '"13:00 PM" is no time of day'),
        ('ColumnValues "a" > (now() - 1.5 days)', 29, '"1.5" is no whole number of days'),
        ('ColumnValues "a" > (now() - 36526 days)', 29, "36526 days are too many; 36525 are the most"),
        ('ColumnValues "a" between 5 and 5', 18, "between 5 and 5 holds for no value: between excludes both ends"),
        ("RowCount between 5 and 2 + 3", 10, "between 5 and (2 + 3) holds for no value: between excludes both ends"),
        (
            "FileSize between 1 GB and 10 MB",
            10,
            "between 1 GB and 10 MB holds for no value: between excludes both ends",
        ),
        (
            'DataFreshness "a" between 2 days and 36 hours',
            19,
            "between 2 days and 36 hours holds for no value: between excludes both ends",
        ),
        ('IsComplete "a" where " "', 16, "this where is empty; take it out, or say which rows count"),
        ('ColumnExists "a" where "b > 1"', 18, "ColumnExists takes no where"),
        ('ReferentialIntegrity "a" "b" = 1', 26, '"b" names no columns of a reference: alias.column or alias.{a,b}'),
        (
            'ReferentialIntegrity "a,b" "r.c" = 1',
            28,
            '"r.c" names 1 of the reference\'s columns, "a,b" 2 of the data\'s: as many of both',
        ),
        ('ReferentialIntegrity "a," "r.{c,d}" = 1', 22, '"a," has a column without a name: a,b'),
        ('ReferentialIntegrity "a,b" "r.{c,}" = 1', 28, '"r.{c,}" has a column without a name: alias.{a,b}'),
        ('DatasetMatch "r" "a->" = 1', 18, '"a->" has a column without a name: a,b or, named otherwise there, a->b'),
        (
            'AggregateMatch "max(a)" "sum(b)" = 1',
            16,
            '"max(a)" is no aggregate: sum(column), avg(column) or, of a reference, sum(alias.column)',
        ),
        ('SchemaMatch "primary" = 1', 13, '"primary" is the data itself; another dataset has another name'),
        (
            'RowCountMatch "a b" = 1',
            15,
            '"a b" is no alias of a dataset: letters, digits, _ and -, as in "airlines"',
        ),
        ('ColumnValues "b" in $a', 21, 'the variable $a has no value; write a = "..." before the rules'),
    ],
)
def test_a_rule_that_means_nothing_is_refused_with_the_word_and_what_was_expected(rule, column, message):
    error = refused(f"Rules = [\n{rule}\n]")
    assert (rule.count("\n") + 2, column, message) == (error.line, error.column, error.message)


@pytest.mark.parametrize(
    ("number", "column", "message"),
    [
        ("averag(last(7))", 1, '"averag" is no function of earlier results; did you mean avg?'),
        (
            "sqrt(last(7))",
            1,
            '"sqrt" is no function of earlier results: last, avg, min, max, sum, std, median, index, percentile',
        ),
        ("last(7)", 1, "last(7) is several results; make one number of them, as in avg(last(7))"),
        ("2 * (last(7))", 6, "last(7) is several results; make one number of them, as in avg(last(7))"),
        ("avg(last(0))", 5, "last(0) means nothing; write last(7), the seven results before this one; at most 1000"),
        (
            "avg(last(1.5))",
            5,
            "last(1.5) means nothing; write last(7), the seven results before this one; at most 1000",
        ),
        ("avg(7)", 1, "avg(7) means nothing; write avg(last(7))"),
        ("avg(std(last(7)))", 1, "avg(std(last(7))) means nothing; write avg(last(7))"),
        (
            "index(last(3), 3)",
            1,
            "index(last(3), 3) means nothing; write index(last(7), 2), the third of the seven, the newest being 0",
        ),
        (
            "percentile(last(3), 101)",
            1,
            "percentile(last(3), 101) means nothing; write percentile(last(7), 90), from 0 to 100",
        ),
        (
            "percentile(last(3))",
            1,
            "percentile(last(3)) means nothing; write percentile(last(7), 90), from 0 to 100",
        ),
        ("avg(last(7)) / 0", 14, "(avg(last(7)) / 0) divides by zero"),
        ("1 / (0.5 - (2 / 4))", 3, "(1 / (0.5 - (2 / 4))) divides by zero"),
    ],
)
def test_a_number_that_means_nothing_is_refused(number, column, message):
    error = refused(f"Rules = [ RowCount >\n{number} ]")
    assert (2, column, message) == (error.line, error.column, error.message)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (
            "ColumnValues a > avg(last(7))",
            "ColumnValues takes no earlier results; RowCount and others that measure one number do",
        ),
        (
            "ColumnLength a > avg(last(7))",
            "ColumnLength takes no earlier results; RowCount and others that measure one number do",
        ),
        ("ColumnValues a > 1 with threshold > avg(last(7))", "the threshold of ColumnValues takes no earlier results"),
        ("RowCount > 1 with threshold > 0.5", f"RowCount takes no threshold; {TAKERS}"),
        ("ColumnValues a > 1 with trust > 0.5", '"trust" is not expected here; expected threshold'),
        ("ColumnValues a > 1 with treshold > 0.5", '"treshold" is not expected here; did you mean threshold?'),
        ("RowCount > 1 with speed = 3", '"speed" is not expected here; RowCount takes nothing behind with'),
        ('ColumnValues a > 1 with threshold = "x"', "a threshold is compared with numbers"),
        ("ColumnValues a > 1 with threshold in [0.5, NULL]", "a threshold is compared with numbers"),
        ("ColumnValues a > 1 with threshold > 0.5 with threshold > 0.6", "threshold stands twice"),
        ('CustomSql "select 1" = 1 with threshold > 0.5', "CustomSql takes a condition or a threshold, not both"),
        ("FileSize > 1 KB with recentFiles = 0", "recentFiles is a whole number of files, not 0"),
        ("FileSize > 1 KB with recentFiles > 3", "recentFiles takes =, not >"),
        ("FileSize > 1 KB with uriRegex = 3", "uriRegex is a regular expression in quotes"),
        (
            'FileSize > 1 KB with matchFileName = "true"',
            '"matchFileName" is not expected here; expected threshold or recentFiles or uriRegex',
        ),
        (
            'FileFreshness > "9:30 AM" with timeZone = "America/New_Yrk"',
            '"America/New_Yrk" is no time zone; did you mean America/New_York?',
        ),
        (
            'ColumnDataType a = "Date" with format = "yyyy.MM.dd"',
            '"yyyy.MM.dd" is no format of a date; did you mean yyyy/MM/dd?',
        ),
    ],
)
def test_earlier_results_and_tags_are_refused_where_the_type_takes_none(rule, message):
    assert message == refused(f"Rules = [ {rule} ]").message


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        (
            "Rules = [ RowCount > 1 labels=[] ]",
            1,
            24,
            'no label; write one, as in labels=["team"="flights"], or none of it',
        ),
        ('Rules = [ RowCount > 1 labels=["a"="b", "a"="c"] ]', 1, 41, 'the label "a" stands twice'),
        ('Rules = [ RowCount > 1 labels=["a"=""] ]', 1, 32, "a label has a name and a value; one of them is empty"),
        ('Rules = [ RowCount > 1 labels=["severity"="wrn"] ]', 1, 32, '"wrn" is no severity; did you mean warn?'),
        (
            'DefaultLabels=["severity"="high"] Rules = [ RowCount > 1 ]',
            1,
            16,
            '"high" is no severity: warn, ask, fail',
        ),
        (
            f'Rules = [ RowCount > 1 labels=["{"a" * 129}"="b"] ]',
            1,
            32,
            "129 characters are too many: a name has at most 128, a value 256",
        ),
        (
            f'Rules = [ RowCount > 1 labels=["a"="{"b" * 257}"] ]',
            1,
            32,
            "257 characters are too many: a name has at most 128, a value 256",
        ),
        (
            f'DefaultLabels=["z"="1"]\nRules = [\n  RowCount > 1 labels=[{TEN_LABELS}] ]',
            3,
            3,
            "11 labels, the default ones among them; a rule has at most 10",
        ),
        (
            'Rules = [ (RowCount > 1) and (IsComplete "a") labels=["severity"="warn"] ]',
            1,
            30,
            "the severity of one part means nothing: put parentheses around all parts, and the labels behind them",
        ),
        (
            'Rules = [ (RowCount > 1 labels=["a"="b"]) labels=["c"="d"] ]',
            1,
            43,
            "there are labels within these parentheses already; write them in one place",
        ),
        (
            'Metadata = { "Verison": "1.0" } Rules = [ RowCount > 1 ]',
            1,
            14,
            '"Verison" is no part of Metadata; did you mean Version?',
        ),
        ('Metadata = { "Version": ["1.0"] } Rules = [ RowCount > 1 ]', 1, 14, "Version is one string"),
        (
            'DataSources = { "Primary": "a", "Primary": "b" } Rules = [ RowCount > 1 ]',
            1,
            33,
            "Primary stands twice",
        ),
        (
            'DataSources = { "AdditionalDataSources": "a" } Rules = [ RowCount > 1 ]',
            1,
            17,
            'AdditionalDataSources is a list, ["a", "b"], and Primary a string',
        ),
        (
            'DataSources = { "AdditionalDataSources": ["a", "a"] } Rules = [ RowCount > 1 ]',
            1,
            48,
            '"a" stands twice',
        ),
        (
            'DataSources = { "AdditionalDataSources": ["airlines"] }\nRules = [ RowCountMatch "airline" = 1 ]',
            2,
            25,
            '"airline" is not among the DataSources; did you mean airlines?',
        ),
        (
            'DataSources = { "Primary": "flights" }\nRules = [ SchemaMatch "yesterday" = 1 ]',
            2,
            23,
            '"yesterday" is not among the DataSources; write "AdditionalDataSources": ["yesterday"]',
        ),
        ('a = "x"\na = "y"\nRules = [ RowCount > 1 ]', 2, 1, "the variable a has a value already"),
        (
            'a = ["x"]\nRules = [ ColumnValues "b" = $a ]',
            2,
            30,
            "$a is a list, which stands only behind in: in $a",
        ),
        ('abc = "x"\nRules = [ ColumnValues "b" in $abd ]', 2, 31, "the variable $abd has no value; did you mean abc?"),
        ("a = NULL\nRules = [ IsComplete $a ]", 2, 22, "$a is NULL; a string is needed here"),
        ('a = "x"\nRules = [ RowCount $a > 1 ]', 2, 20, "$a is one too many: RowCount"),
        (
            "Rules = [ RowCount > 1 ]\nAnalyzers = [ IsComplete a ]",
            2,
            15,
            f"IsComplete is no analyzer; there are {', '.join(one for one, takes in RULE_TYPES.items() if takes.analyzer)}",
        ),
        (
            "Rules = [ RowCount > 1 ]\nAnalyzers = [ Completeness a > 1 ]",
            2,
            30,
            '">" is not expected here; expected "," or "]" or "and" or a name',
        ),
        (
            "Rules = [ RowCount > 1 ]\nAnalyzers = [ AllStatistics ]",
            2,
            15,
            'AllStatistics needs more: AllStatistics "column"',
        ),
    ],
)
def test_labels_sections_variables_and_analyzers_are_refused_at_their_place(text, line, column, message):
    error = refused(text)
    assert (line, column, message) == (error.line, error.column, error.message)
