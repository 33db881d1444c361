"""What the rules mean: plans run by the real job on real Spark, against counts made by pandas."""

from __future__ import annotations

import datetime as dt
import json
import math
import subprocess
import sys
from fractions import Fraction

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emr_pipelines.quality import compile_plan, parse_results, parse_ruleset
from tests.support.spark_jobs import JOBS, environment, spark_jobs

JOB = JOBS / "quality_check.py"
TODAY = dt.datetime.now(dt.UTC).date()
DAYS = [dt.date(2013, 1, 15), dt.date(2013, 1, 16), None, TODAY - dt.timedelta(days=10), TODAY + dt.timedelta(days=10)]
COLUMNS = {
    "id": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    "tied": [1, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    "sparse": [1, None, 2, None, 3, None, 4, None, None, None],
    "half": ["x", None] * 5,
    "never": pa.nulls(10, pa.string()),
    "number": [1, 2, 3, 4, 5, 6, 7, 8, None, -9],
    "ratio": [0.1, 0.2, 0.5, -0.5, math.nan, None, 1.0, 2.0, 3.0, 4.0],
    "text": ["US", "CA", "UK", "", "  ", None, "it's", "back\\slash", 'say "hi"', "US\n"],
    "day": DAYS * 2,
    "instant": [day and dt.datetime.combine(day, dt.time(23, 30), dt.UTC) for day in DAYS] * 2,
    "day_text": ["2013-01-15", "no day", None, "2013-01-16", "2014-01-01"] * 2,
    "odd `name`": [1] * 10,
    "dotted.name": [1] * 10,
    "list": [[1]] * 10,
}
TABLE = pa.table({name: pa.array(values) if isinstance(values, list) else values for name, values in COLUMNS.items()})
FRAME = pd.DataFrame({name: pd.Series(TABLE.column(name).to_pylist(), dtype=object) for name in COLUMNS})


def met(column, meets):
    """Count the values that meet a condition, of all rows."""
    return sum(bool(meets(value)) for value in FRAME[column]), len(FRAME)


def present(column, meets):
    """Likewise, where NULL meets nothing."""
    return met(column, lambda value: value is not None and meets(value))


def day_of(text):
    return dt.date.fromisoformat(text) if text[0] == "2" else None


# rule, then what pandas counts: how many, of how many
SHARES = [
    ('IsComplete "id"', (10, 10)),
    ('IsComplete "half"', (int(FRAME["half"].notna().sum()), 10)),
    ('IsComplete "never"', (0, 10)),
    ('IsComplete "half" where "id % 2 = 1"', (5, 5)),
    ('IsComplete "half" where "id % 2 = 1 -- odd ones"', (5, 5)),
    ('IsComplete "dotted.name"', (10, 10)),
    ('Completeness "half" = 0.5', (5, 10)),
    ('Completeness "sparse" between 0.3 and 0.5', (int(FRAME["sparse"].notna().sum()), 10)),
    ('Completeness "sparse" between 0.4 and 0.5', (4, 10)),
    ('Completeness "sparse" not between 0.4 and 0.5', (4, 10)),
    ('Completeness "sparse" in [0.2, 0.4]', (4, 10)),
    ('Completeness "sparse" not in [0.2, 0.4]', (4, 10)),
    ('Completeness "sparse" != 0.5', (4, 10)),
    ('IsUnique "id"', (FRAME["id"].nunique(), 10)),
    ('IsUnique "tied"', (FRAME["tied"].nunique(), 10)),
    ('IsUnique "tied" where "id > 1"', (9, 9)),
    ('IsUnique "sparse"', (FRAME["sparse"].nunique(), int(FRAME["sparse"].notna().sum()))),
    ('IsUnique "tied" "half"', (len(FRAME[["tied", "half"]].drop_duplicates()), 10)),
    ('IsUnique "half" "never"', (1, 5)),
    ('ColumnValues "number" > 0', present("number", lambda value: value > 0)),
    ('ColumnValues "number" >= -9', present("number", lambda value: value >= -9)),
    ('ColumnValues "number" < 5 with threshold >= 0.5', present("number", lambda value: value < 5)),
    ('ColumnValues "number" <= 4 with threshold > 0.5', present("number", lambda value: value <= 4)),
    ('ColumnValues "number" = 3', present("number", lambda value: value == 3)),
    ('ColumnValues "number" != 3', met("number", lambda value: value != 3)),
    ('ColumnValues "number" = NULL', met("number", lambda value: value is None)),
    ('ColumnValues "number" != NULL', met("number", lambda value: value is not None)),
    ('ColumnValues "number" between 1 and 8', present("number", lambda value: 1 < value < 8)),
    ('ColumnValues "number" not between 1 and 8', present("number", lambda value: not 1 < value < 8)),
    ('ColumnValues "number" in [1, 2.0, NULL]', met("number", lambda value: value in {1, 2, None})),
    ('ColumnValues "number" not in [1, 2]', met("number", lambda value: value not in {1, 2})),
    ('ColumnValues "number" not in [1, 2, NULL]', met("number", lambda value: value not in {1, 2, None})),
    ('ColumnValues "number" > 0 where "number IS NOT NULL AND id < 9"', (8, 8)),
    ('ColumnValues "ratio" > 0.1', present("ratio", lambda value: value > 0.1)),
    ('ColumnValues "ratio" != 0.5', met("ratio", lambda value: value is None or abs(value - 0.5) > 0)),
    ('ColumnValues "text" in ["US", "UK"]', met("text", lambda value: value in {"US", "UK"})),
    ('ColumnValues "text" not in ["US", "UK"]', met("text", lambda value: value not in {"US", "UK"})),
    ('ColumnValues "text" in [NULL, EMPTY]', met("text", lambda value: not value)),
    ('ColumnValues "text" = WHITESPACES_ONLY', present("text", str.isspace)),
    ('ColumnValues "text" != WHITESPACES_ONLY', met("text", lambda value: value is None or not value.isspace())),
    ('ColumnValues "text" = "it\'s"', met("text", lambda value: value == "it's")),
    ('ColumnValues "text" = "back\\\\slash"', met("text", lambda value: value == "back\\slash")),
    ('ColumnValues "text" = "say \\"hi\\""', met("text", lambda value: value == 'say "hi"')),
    ('ColumnValues "text" matches "[A-Z]{2}"', present("text", lambda value: value in {"US", "CA", "UK"})),
    ('ColumnValues "text" matches "US|x"', present("text", lambda value: value == "US")),
    ('ColumnValues "text" matches "\\w*"', present("text", lambda value: value in {"US", "CA", "UK", ""})),
    ('ColumnValues "text" not matches "[A-Z]{2}"', present("text", lambda value: value not in {"US", "CA", "UK"})),
    ('ColumnValues "number" in ["1", "2"]', met("number", lambda value: str(value) in {"1", "2"})),
    ('ColumnValues "day" >= "2013-01-16"', present("day", lambda value: value >= dt.date(2013, 1, 16))),
    ('ColumnValues "day" = "2013-01-15"', present("day", lambda value: value == dt.date(2013, 1, 15))),
    ('ColumnValues "day" != "2013-01-15"', met("day", lambda value: value != dt.date(2013, 1, 15))),
    ('ColumnValues "day" in ["2013-01-15", NULL]', met("day", lambda value: value in {dt.date(2013, 1, 15), None})),
    ('ColumnValues "day" > (now() - 20 days)', present("day", lambda value: value > TODAY - dt.timedelta(days=20))),
    ('ColumnValues "day" between now() and (now() + 20 days)', (2, 10)),
    ('ColumnValues "instant" = "2013-01-15"', present("day", lambda value: value == dt.date(2013, 1, 15))),
    ('ColumnValues "instant" > "2013-01-15"', present("day", lambda value: value > dt.date(2013, 1, 15))),
    (
        'ColumnValues "day_text" <= "2013-01-16"',
        present("day_text", lambda value: day_of(value) is not None and day_of(value) <= dt.date(2013, 1, 16)),
    ),
    (
        'ColumnValues "day_text" != "2013-01-16"',
        met("day_text", lambda value: value is None or day_of(value) not in {None, dt.date(2013, 1, 16)}),
    ),
    ('ColumnValues "odd `name`" = 1', (10, 10)),
]
PASSING = {
    'IsComplete "id"',
    'IsComplete "half" where "id % 2 = 1"',
    'IsComplete "half" where "id % 2 = 1 -- odd ones"',
    'IsComplete "dotted.name"',
    'Completeness "half" = 0.5',
    'Completeness "sparse" between 0.3 and 0.5',
    'Completeness "sparse" not between 0.4 and 0.5',
    'Completeness "sparse" in [0.2, 0.4]',
    'Completeness "sparse" != 0.5',
    'IsUnique "id"',
    'IsUnique "tied" where "id > 1"',
    'IsUnique "sparse"',
    'IsUnique "tied" "half"',
    'ColumnValues "number" < 5 with threshold >= 0.5',
    'ColumnValues "number" > 0 where "number IS NOT NULL AND id < 9"',
    'ColumnValues "odd `name`" = 1',
}
COUNTS = [
    ("RowCount = 10", 10, "Passed"),
    ("RowCount > 10", 10, "Failed"),
    ("RowCount between 9 and 11", 10, "Passed"),
    ("RowCount between 10 and 11", 10, "Failed"),
    ('RowCount = 3 where "id <= 3"', 3, "Passed"),
    ('RowCount = 0 where "id > 10"', 0, "Passed"),
]
NOTHING = [
    ('IsComplete "id" where "id > 10"', "no rows: what is not there meets no promise"),
    ('ColumnValues "number" != 3 where "id > 10"', "no rows: what is not there meets no promise"),
    ('IsUnique "never"', "no values: what is not there meets no promise"),
]
ERRORS = [
    ('IsComplete "absent"', "there is no column absent; there are id, tied,"),
    ('IsUnique "id" "absent"', "there is no column absent; there are id, tied,"),
    ('ColumnValues "text" > 5', "column text is of type string; this condition needs a number"),
    ('ColumnValues "number" > "2013-01-01"', "column number is of type bigint; this condition needs a date"),
    ('ColumnValues "list" = "a"', "column list is of type array<bigint>; this condition needs a text"),
    ('IsComplete "id" where "missing = 1"', "[UNRESOLVED_COLUMN"),
    ('IsComplete "id" where "id = = 1"', "[PARSE_SYNTAX_ERROR]"),
    ('IsComplete "id" where "id > 1) OR (true"', "[PARSE_SYNTAX_ERROR]"),
    ('ColumnValues "text" matches "[a-"', "the pattern cannot be read: "),
]
ALL = [*(rule for rule, _ in SHARES), *(rule for rule, *_ in COUNTS), *(rule for rule, _ in NOTHING + ERRORS)]


def plan_of(rules, folder):
    plan = folder / "plan.json"
    text = f"Rules = [ {', '.join(rules)} ]"
    plan.write_text(compile_plan(parse_ruleset(text, "a.dqdl")).to_json(), encoding="utf-8")
    return plan


def arguments(plan, data, result):
    return ("--plan", f"file://{plan}", "--data", f"file://{data}", "--result", f"file://{result}")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quality")
    (folder / "data").mkdir()
    pq.write_table(TABLE, folder / "data" / "part.parquet")
    finished = spark_jobs().run(JOB, *arguments(plan_of(ALL, folder), folder / "data", folder / "result.json"))
    assert (finished.exit_code, finished.error) == (0, "")
    return parse_results((folder / "result.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def outcomes(results):
    return {rule.rule: rule for rule in results.rules}


@pytest.mark.parametrize(("rule", "counted"), SHARES, ids=[rule for rule, _ in SHARES])
def test_a_share_is_what_pandas_counts(outcomes, rule, counted):
    share = Fraction(*counted)
    outcome = "Passed" if rule in PASSING else "Failed"
    assert (outcome, float(share)) == (outcomes[rule].outcome, outcomes[rule].measured)
    unit = "values" if rule.startswith("IsUnique") else "rows"
    assert outcomes[rule].reason.startswith(f"{counted[0]} of {counted[1]} {unit}")


@pytest.mark.parametrize(("rule", "rows", "outcome"), COUNTS)
def test_rows_are_counted_and_compared(outcomes, rule, rows, outcome):
    assert (outcome, rows) == (outcomes[rule].outcome, outcomes[rule].measured)


@pytest.mark.parametrize(("rule", "reason"), NOTHING)
def test_a_promise_about_nothing_fails(outcomes, rule, reason):
    assert ("Failed", None, reason) == (outcomes[rule].outcome, outcomes[rule].measured, outcomes[rule].reason)


@pytest.mark.parametrize(("rule", "reason"), ERRORS)
def test_a_rule_that_cannot_be_evaluated_is_an_error_that_says_why_and_spares_the_others(outcomes, rule, reason):
    assert (outcomes[rule].outcome, outcomes[rule].measured) == ("Error", None)
    assert outcomes[rule].reason.startswith(reason)


def test_the_result_tells_the_rows_seen_and_keeps_the_rules_in_their_order(results):
    assert (results.rows, results.source) == (10, "a.dqdl")
    assert [str(rule) for rule in parse_ruleset(f"Rules = [ {', '.join(ALL)} ]", "").rules] == [
        rule.rule for rule in results.rules
    ]


def test_an_empty_dataset_passes_nothing_but_a_count_of_zero(tmp_path):
    (tmp_path / "data").mkdir()
    pq.write_table(TABLE.slice(0, 0), tmp_path / "data" / "part.parquet")
    rules = [
        "RowCount = 0",
        "RowCount > 0",
        'IsComplete "id"',
        'IsUnique "id"',
        'ColumnValues "id" != 1',
        'Completeness "id" >= 0',
    ]
    finished = spark_jobs().run(JOB, *arguments(plan_of(rules, tmp_path), tmp_path / "data", tmp_path / "result.json"))
    assert (finished.exit_code, finished.error) == (0, "")
    result = parse_results((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert result.rows == 0
    assert [rule.outcome for rule in result.rules] == ["Passed", "Failed", "Failed", "Failed", "Failed", "Failed"]


def run_alone(tmp_path, *options):
    return subprocess.run(
        [sys.executable, JOB, *options],
        env=environment(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_job_on_its_own_leaves_with_zero_when_a_rule_fails_and_overwrites_the_result(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "part.csv").write_text("a,b\n1,\n2,y\n", encoding="utf-8")
    (tmp_path / "result.json").write_text("old")
    plan = plan_of(['IsComplete "b"', "RowCount = 2"], tmp_path)
    finished = run_alone(tmp_path, *arguments(plan, tmp_path / "data", tmp_path / "result.json"), "--format", "csv")
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.splitlines() == [
        'Failed IsComplete "b": 1 of 2 rows; needs = 1',
        "Passed RowCount = 2: 2 rows",
    ]
    result = parse_results((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert [(rule.outcome, rule.measured) for rule in result.rules] == [("Failed", 0.5), ("Passed", 2)]


@pytest.mark.parametrize("folder", ["absent", "empty"])
def test_data_that_is_not_there_fails_the_job_with_a_last_line_that_says_so(tmp_path, folder):
    (tmp_path / "empty" / "nested").mkdir(parents=True)
    finished = spark_jobs().run(
        JOB, *arguments(plan_of(["RowCount = 0"], tmp_path), tmp_path / folder, tmp_path / "result.json")
    )
    cause = f"There is no data at file://{tmp_path}/{folder}: what writes it has not run, or writes elsewhere"
    assert (finished.exit_code, finished.error) == (1, f"FileNotFoundError: {cause}")
    assert not (tmp_path / "result.json").exists()


def test_equal_rulesets_have_equal_plans_and_a_count_is_measured_once():
    spaced = parse_ruleset('Rules = [ IsComplete "a" ,\n  Completeness "a" > 0.5 ]', "a.dqdl")
    tight = parse_ruleset('Rules=[IsComplete "a",Completeness "a">0.5]', "a.dqdl")
    assert compile_plan(spaced).to_json() == compile_plan(tight).to_json()
    assert {name: number["sql"] for name, number in json.loads(compile_plan(tight).to_json())["numbers"].items()} == {
        "rows": "count(1)",
        "n1": "count_if((`a` IS NOT NULL))",
    }


def test_the_job_file_needs_nothing_but_python_3_9_and_pyspark():
    import ast  # of this test only

    tree = ast.parse(JOB.read_text(encoding="utf-8"), feature_version=(3, 9))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in getattr(node, "names", [])]
        )
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imported <= {*sys.stdlib_module_names, "pyspark"}
    assert "match_case" not in ast.dump(tree)


def test_what_a_combined_rule_compares_with_earlier_days_is_kept_for_later_days():
    text = (
        'Rules = [ (RowCount > avg(last(7))) or ((Mean "a" < 2) and (Entropy "b" < max(last(2)))), Sum "a" > last() ]'
    )
    plan = compile_plan(parse_ruleset(text, "a.dqdl"))
    assert list(plan.analyzers) == ["RowCount", 'Entropy "b"']
