"""What each rule type measures on real Spark, against pandas: one job for all of them."""

from __future__ import annotations

import datetime as dt
import json
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emr_pipelines.quality import compile_plan, parse_results, parse_ruleset
from tests.support.spark_jobs import JOBS, spark_jobs

JOB = JOBS / "quality_check.py"
NOW = dt.datetime.now(dt.UTC)
HOURS = [1, 2, 30, None, 50, 1, 2, 30, None, 50]
COLUMNS = {
    "id": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    "tied": ["a", "a", "b", "c", "c", "c", "d", None, None, "e"],
    "half": [1, 1, 1, None, 2, None, 3, 3, 4, 5],
    "number": [1.5, 2.5, -3.0, 4.0, None, 6.0, 7.25, 8.0, 9.0, -10.0],
    "twice": [3.0, 5.0, -6.0, 8.0, 1.0, 12.0, 14.5, 16.0, None, -20.0],
    "whole": [2**62, 2**62, 3, None, 5, 6, 7, 8, 9, 10],
    "money": pa.array([None if v is None else round(v * 100) for v in [1.1, 2.2, None, 0.1]] + [10] * 6, pa.int64()),
    "constant": [7] * 10,
    "nan": [1.0, math.nan, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
    "infinite": [1.0, math.inf, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
    "never": pa.nulls(10, pa.float64()),
    "text": ["EWR", "JFK", "", None, "LG", "ä€😀", "    ", "EWR", "x", "123"],
    "digits": ["1", "2.5", "x", None, "", "99999999999", "-7", "true", "1e3", " 8 "],
    "day": ["2013-01-15", "15-01-2013", None, "2013-02-30", "29-02", "x", "2012-02-29", "2013-1-5", "2013", "01/2013"],
    "fresh": [hours and NOW - dt.timedelta(hours=hours, minutes=5) for hours in HOURS],
}
TABLE = pa.table({name: pa.array(values) if isinstance(values, list) else values for name, values in COLUMNS.items()})
FRAME = pd.DataFrame({name: pd.Series(TABLE.column(name).to_pylist(), dtype=object) for name in COLUMNS})
OTHER = {"code": ["a", "b", "b", "c", None], "number": [1.0, 2.0, 3.0, None, -6.0], "zero": [1.0, -1.0, 0.0, 0.0, None]}
SAME = {**COLUMNS, "half": [1, 1, 9, None, 2, None, 3, 3, 4, 5], "text": [*COLUMNS["text"][:9], "other"]}
EMPTY = {"id": pa.array([], pa.int64())}


def floats(column):
    return FRAME[column].astype(float).dropna()


def distinct(column):
    return FRAME[column].dropna().value_counts()


def share_of_rows(column, meets):
    return sum(bool(meets(value)) for value in FRAME[column]) / len(FRAME)


def lengths(meets):
    return share_of_rows("text", lambda value: meets(len(value or "")))


def entropy(counts):
    shares = counts / counts.sum()
    return float(-(shares * np.log(shares)).sum())


# rule, whether it passes, and what pandas measures
MEASURED = [
    ('Uniqueness "tied" = 0.375', True, (distinct("tied") == 1).sum() / distinct("tied").sum()),
    ('Uniqueness "tied" > 0.5', False, 3 / 8),
    ('Uniqueness "half" > 0.4', False, (distinct("half") == 1).sum() / distinct("half").sum()),
    ('Uniqueness "tied" "half" >= 0.6', True, (FRAME[["tied", "half"]].value_counts(dropna=False) == 1).sum() / 10),
    ('Uniqueness "tied" = 0.4 where "id > 3"', True, 2 / 5),
    ('Uniqueness "id" = 1', True, 1),
    ('UniqueValueRatio "tied" = 0.6', True, (distinct("tied") == 1).sum() / len(distinct("tied"))),
    ('UniqueValueRatio "half" between 0.3 and 0.5', False, 3 / 5),
    ('DistinctValuesCount "tied" = 5', True, FRAME["tied"].nunique()),
    ('DistinctValuesCount "tied" = 3 where "id < 7"', True, FRAME["tied"][:6].nunique()),
    ('DistinctValuesCount "never" = 0', True, 0),
    ('DistinctValuesCount "nan" = 10', True, 10),
    ('IsPrimaryKey "id"', True, 1),
    ('IsPrimaryKey "tied"', False, 3 / 10),
    ('IsPrimaryKey "tied" "half"', False, (FRAME[["tied", "half"]].dropna().value_counts() == 1).sum() / 10),
    ('IsPrimaryKey "half" "id"', False, FRAME["half"].notna().sum() / 10),
    ('IsPrimaryKey "half" where "id in (1, 5, 7, 9)"', True, 1),
    ('Entropy "tied" > 1', True, entropy(distinct("tied"))),
    ('Entropy "half" < 0.6 where "id <= 5"', True, entropy(pd.Series([3, 1]))),
    ('Entropy "constant" = 0', True, 0),
    ('Mean "number" between 2 and 3', True, floats("number").mean()),
    ('Mean "number" > 4 where "number > 0"', True, floats("number")[lambda n: n > 0].mean()),
    ('Mean "half" = 2.5', True, floats("half").mean()),
    ('Sum "number" = 25.25', True, floats("number").sum()),
    ('Sum "half" in [19, 20]', True, floats("half").sum()),
    ('Sum "whole" = 48 where "id > 2"', True, 48),
    ('StandardDeviation "number" > 5.7', True, floats("number").std(ddof=0)),
    ('StandardDeviation "constant" = 0', True, 0),
    ('StandardDeviation "number" < 1 where "id = 1"', True, 0),
    (
        'ColumnCorrelation "number" "twice" > 0.99',
        True,
        FRAME[["number", "twice"]].astype(float).dropna().corr().iloc[0, 1],
    ),
    ('ColumnCorrelation "id" "number" < 0', False, FRAME[["id", "number"]].astype(float).dropna().corr().iloc[0, 1]),
    ('ColumnLength "text" = 3', False, lengths(lambda length: length == 3)),
    ('ColumnLength "text" >= 0', True, 1),
    ('ColumnLength "text" <= 3 with threshold >= 0.9', True, lengths(lambda length: length <= 3)),
    ('ColumnLength "text" between 0 and 3 with threshold > 0.9', False, lengths(lambda length: 0 < length < 3)),
    ('ColumnLength "text" not in [0, 1] with threshold = 0.7', True, lengths(lambda length: length not in {0, 1})),
    ('ColumnLength "text" != 3', False, lengths(lambda length: length != 3)),
    ('ColumnLength "text" in [3] where "id in (1, 2, 6)"', True, 1),
    ("ColumnCount = 15", True, len(COLUMNS)),
    ("ColumnCount > 15", False, len(COLUMNS)),
    ('ColumnExists "tied"', True, 1),
    ('ColumnExists "Tied"', False, 0),
    ('ColumnNamesMatchPattern "[a-z]+"', True, 1),
    ('ColumnNamesMatchPattern "^[a-z]{2,5}$"', False, sum(2 <= len(name) <= 5 for name in COLUMNS) / len(COLUMNS)),
    ('ColumnDataType "digits" = "Integer" with threshold > 0.3', True, 4 / 10),
    ('ColumnDataType "digits" = "LONG"', False, 5 / 10),
    ('ColumnDataType "digits" = "Double"', False, 6 / 10),
    ('ColumnDataType "digits" = "Boolean"', False, 2 / 10),
    ('ColumnDataType "digits" != "Boolean"', False, 8 / 10),
    ('ColumnDataType "digits" = "Decimal(3, 1)"', False, 4 / 10),
    ('ColumnDataType "day" = "Date"', False, 4 / 10),
    ('ColumnDataType "day" = "Date" with format = "yyyy-MM-dd"', False, 2 / 10),
    ('ColumnDataType "day" = "Date" with format = "dd-MM"', False, 1 / 10),
    ('ColumnDataType "day" = "Date" with format = "MM/yyyy"', False, 1 / 10),
    ('DataFreshness "fresh" < 3 hours', False, 4 / 10),
    ('DataFreshness "fresh" between 1 days and 2 days where "id in (3, 8)"', True, 1),
    ('DataFreshness "fresh" <= 125 minutes where "fresh IS NOT NULL"', False, 2 / 8),
    (
        'ReferentialIntegrity "tied" "other.code" > 0.5',
        True,
        share_of_rows("tied", lambda code: code in {"a", "b", "c"}),
    ),
    ('ReferentialIntegrity "tied" "other.{code}" = 1', False, 0.6),
    ('ReferentialIntegrity "tied,number" "other.{code,number}" = 0', True, 0),
    ('SchemaMatch "same" = 1.0', True, 1),
    ('SchemaMatch "other" > 0', False, 0),
    ('RowCountMatch "same" = 1.0', True, 1),
    ('RowCountMatch "other" between 1.9 and 2.1', True, 2),
    ('DatasetMatch "same" "id" >= 0.8', True, 0.8),
    ('DatasetMatch "same" "id" "tied,number" = 1', True, 1),
    ('DatasetMatch "same" "id" "half,text->tied" < 0.5', True, 0),
    ('AggregateMatch "sum(number)" "sum(same.number)" = 1.0', True, 1),
    ('AggregateMatch "sum(half)" "sum(id)" between 0.3 and 0.4', True, 20 / 55),
    ('AggregateMatch "sum(other.zero)" "avg(other.zero)" = 1', True, 1),
    ('CustomSql "select count(*) from primary where id > 3" = 7', True, 7),
    ('CustomSql "select avg(number) from other" between -1 and 1', True, 0),
    ('CustomSql "select 0.1 + 0.2" = 0.3', True, 0.3),
    ('CustomSql "select id from primary where number > 0"', False, 0.7),
    ('CustomSql "select tied, id from primary where id < 10" with threshold >= 0.9', True, 0.9),
    ('CustomSql "select p.id from primary p join same s on p.id = s.id"', True, 1),
    ("RowCount > avg(last(2))", False, 10),
    ("RowCount = last()", True, 10),
    ("RowCount >= 0.9 * max(last(3))", False, 10),
    ("RowCount between min(last(3)) - 3 and max(last(3)) + 1", True, 10),
    ("RowCount = index(last(3), 2)", False, 10),
    ("RowCount <= median(last(3)) + std(last(2))", True, 10),
    ("RowCount < percentile(last(3), 25)", False, 10),
    ("RowCount > sum(last(3)) / 4", True, 10),
    ('Completeness "half" >= last(1)', True, 0.8),
    ('Mean "half" = avg(last(3))', True, 2.5),
    ('IsUnique "tied" where "id = 1 or id = 3"', True, 1),
]
HISTORY = {"RowCount": [10.0, 12.0, 8.0], 'Completeness "half"': [0.8], 'Mean "half"': [2.4, 2.5, 2.6]}
# neither of them passes: the rule, its outcome, and how its reason begins or what is in it
UNMET = [
    ('Mean "never" > 0', "Failed", "no mean: what is not there meets no promise"),
    ('Sum "never" >= 0', "Failed", "no sum: what is not there"),
    ('Mean "number" > 0 where "id > 99"', "Failed", "no mean: what is not there"),
    ('StandardDeviation "never" < 1', "Failed", "no standard deviation"),
    ('Entropy "never" >= 0', "Failed", "no entropy"),
    ('Uniqueness "never" >= 0', "Failed", "no values"),
    ('UniqueValueRatio "never" >= 0', "Failed", "no values"),
    ('IsPrimaryKey "id" where "id > 99"', "Failed", "no rows"),
    ('ColumnCorrelation "id" "constant" != 5', "Failed", "no correlation"),
    ('Mean "nan" != 0', "Failed", "mean is nan: there is a value that is no finite number"),
    ('Sum "infinite" > 0', "Failed", "sum is inf: there is a value that is no finite number"),
    ('RowCountMatch "empty" >= 0', "Failed", "no rows"),
    ('AggregateMatch "sum(never)" "sum(id)" >= 0', "Failed", "no sum(never) / sum(id)"),
    ('CustomSql "select null" != 1', "Failed", "no value"),
    ('Sum "whole" > 0', "Error", "the sum of 9 values is too large for its type"),
    ('Mean "text" > 0', "Error", "column text is of type string; this condition needs a number"),
    ('Sum "absent" > 0', "Error", "there is no column absent; there are id,"),
    ('Entropy "ID" > 0', "Error", "there is no column ID; there are id,"),
    ('ColumnLength "id" = 1', "Error", "column id is of type bigint; this condition needs a string"),
    ('DataFreshness "id" < 1 hours', "Error", "column id is of type bigint; this condition needs a date"),
    ('Uniqueness "id" > 0 where "nothing > 1"', "Error", "[UNRESOLVED_COLUMN"),
    (
        'AggregateMatch "sum(number)" "sum(other.zero)" >= 0',
        "Error",
        "sum(number) / sum(other.zero) is 25.25 / 0: division by zero",
    ),
    ('AggregateMatch "sum(number)" "sum(other.absent)" >= 0', "Error", "[UNRESOLVED_COLUMN"),
    ('RowCountMatch "unknown" > 0', "Error", "no address was given for the reference unknown"),
    ('SchemaMatch "gone" = 1', "Error", "There is no data at file:"),
    ('ReferentialIntegrity "tied" "other.absent" >= 0', "Error", "[UNRESOLVED_COLUMN"),
    ('ReferentialIntegrity "absent" "other.code" >= 0', "Error", "[UNRESOLVED_COLUMN"),
    ('DatasetMatch "other" "tied->code" >= 0', "Error", "tied is no key of the data: "),
    ('CustomSql "select * from nowhere" = 0', "Error", "[TABLE_OR_VIEW_NOT_FOUND]"),
    ('CustomSql "selekt 1" = 1', "Error", "[PARSE_SYNTAX_ERROR]"),
    (
        'CustomSql "select id from primary" = 1',
        "Error",
        "the query must give one row with one number; it gave something else",
    ),
    ('CustomSql "select text from primary where id = 1" = 1', "Error", "the query must give one row with one number"),
    ('CustomSql "select 1 as strange"', "Error", "[UNRESOLVED_COLUMN"),
    ("CustomSql \"select raise_error('boom')\" = 1", "Error", "java.lang.RuntimeException: boom"),
    ('IsComplete "id" where "raise_error(\'boom\') is null"', "Error", "java.lang.RuntimeException: boom"),
    ("RowCount > avg(last(4))", "Error", "last(4) needs 4 earlier results of this measure; there are 3"),
    ("ColumnCount >= last()", "Error", "last(1) needs 1 earlier results of this measure; there are 0"),
    ("RowCount > 1 / (last() - 10)", "Error", "/ cannot be computed: "),
    ('FileSize "file:/nowhere/at/all" > 1 B', "Error", "[PATH_NOT_FOUND]"),
]
RULES = [rule for rule, *_ in MEASURED + UNMET]
ANALYZERS = ["RowCount", 'Completeness "half"', 'ColumnValues "number"', 'ColumnLength "text"', 'Mean "absent"']
ANALYZED = [
    ("RowCount", 10),
    ('Completeness "half"', 0.8),
    ('ColumnValues "number" minimum', -10),
    ('ColumnValues "number" maximum', 9),
    ('ColumnLength "text" minimum', 0),
    ('ColumnLength "text" maximum', 4),
    ('Mean "absent"', None),
]


def write(folder, columns):
    folder.mkdir()
    table = (
        columns
        if isinstance(columns, pa.Table)
        else pa.table({name: pa.array(v) if isinstance(v, list) else v for name, v in columns.items()})
    )
    pq.write_table(table, folder / "part.parquet")
    return folder


def plan_of(folder, rules, analyzers=()):
    text = f"Rules = [ {', '.join(rules)} ]" + (f"Analyzers = [ {', '.join(analyzers)} ]" if analyzers else "")
    plan = folder / "plan.json"
    plan.write_text(compile_plan(parse_ruleset(text, "a.dqdl")).to_json(), encoding="utf-8")
    return plan


def checked(folder, rules, *options, analyzers=(), data=None):
    plan = plan_of(folder, rules, analyzers)
    result = folder / "result.json"
    finished = spark_jobs().run(
        JOB,
        "--plan",
        f"file://{plan}",
        "--data",
        f"file://{data or folder / 'data'}",
        "--result",
        f"file://{result}",
        *options,
    )
    assert (finished.exit_code, finished.error) == (0, "")
    return json.loads(result.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engine")
    for name, columns in (("data", TABLE), ("other", OTHER), ("same", SAME), ("empty", EMPTY)):
        write(folder / name, columns)
    (folder / "history.json").write_text(json.dumps({"measures": HISTORY}))
    references = [
        word
        for name in ("other", "same", "empty", "gone")
        for word in ("--reference", f"{name}=file://{folder}/{name}")
    ]
    return checked(folder, RULES, "--history", f"file://{folder}/history.json", *references, analyzers=ANALYZERS)


@pytest.fixture(scope="module")
def outcomes(result):
    return {rule["rule"]: rule for rule in result["rules"]}


def text_of(rule):
    return str(parse_ruleset(f"Rules = [ {rule} ]", "").rules[0])


@pytest.mark.parametrize(("rule", "passes", "measured"), MEASURED, ids=[rule for rule, *_ in MEASURED])
def test_a_measure_is_what_pandas_measures(outcomes, rule, passes, measured):
    found = outcomes[text_of(rule)]
    assert (found["outcome"], found["measured"]) == ("Passed" if passes else "Failed", pytest.approx(measured)), found[
        "reason"
    ]


@pytest.mark.parametrize(("rule", "outcome", "reason"), UNMET, ids=[rule for rule, *_ in UNMET])
def test_what_cannot_be_measured_is_named_and_never_passes(outcomes, rule, outcome, reason):
    found = outcomes[text_of(rule)]
    assert (found["outcome"], found["reason"][: len(reason)]) == (outcome, reason)


def test_analyzers_are_measured_and_judged_by_nobody(result):
    assert [(one["measure"], one["measured"]) for one in result["analyzers"]] == ANALYZED
    assert result["analyzers"][-1]["reason"].startswith("there is no column absent")


def test_the_result_tells_the_schema_and_can_be_read(result):
    assert [(one["name"], one["type"]) for one in result["schema"][:3]] == [
        ("id", "bigint"),
        ("tied", "string"),
        ("half", "bigint"),
    ]
    assert len(parse_results(json.dumps(result)).rules) == len(RULES)
