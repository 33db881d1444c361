"""Which rows are set aside, rules that are combined, rules about files, and input that cannot be read: the real job on real Spark."""

from __future__ import annotations

import datetime as dt
import json
import os

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emr_pipelines.quality import compile_plan, parse_ruleset
from tests.support.spark_jobs import JOBS, spark_jobs

JOB = JOBS / "quality_check.py"
TABLE = pa.table(
    {
        "id": [1, 2, 3, 4, 5, 6],
        "code": ["a", "a", "b", None, "c", "zz"],
        "number": [1.0, -1.0, None, 4.0, 5.0, 6.0],
        "dotted.name": [1, 1, 2, 3, 4, 5],
    }
)
CODES = {"code": ["a", "b", "b", "c"], "name": ["A", "B", "B", "C"]}
# rule, and the ids of the rows that break it; None when it says nothing about single rows, [] when it tolerates those that do
ROW_RULES = [
    ('IsComplete "number"', [3]),
    ('Completeness "code" > 0.9', [4]),
    ('IsUnique "code"', [1, 2]),
    ('IsUnique "code" where "id > 1"', []),
    ('Uniqueness "dotted.name" > 0.9', [1, 2]),
    ('UniqueValueRatio "code" > 0.9', [1, 2]),
    ('IsPrimaryKey "code"', [1, 2, 4]),
    ('ColumnValues "number" > 0 with threshold > 0.9', [2, 3]),
    ('ColumnValues "number" > 0 where "id in (2, 5)"', [2]),
    ('ColumnLength "code" = 1', [4, 6]),
    ('ColumnDataType "number" = "Double"', [3]),
    ('ReferentialIntegrity "code" "codes.code" > 0.9', [4, 6]),
    ('CustomSql "select id from primary where id < 5"', [5, 6]),
    ('(IsComplete "number") and (ColumnLength "code" = 1)', [3, 4, 6]),
    ('(IsComplete "number") or (IsUnique "code")', []),
    ('(ColumnValues "number" > 0) or (ColumnValues "code" = "b")', [2]),
    ('(IsComplete "number") and (Completeness "code" = 1)', None),
    ('(IsComplete "number") or (RowCount > 100)', None),
    ('ColumnValues "number" > 1 with threshold > 0.1', []),
    ('Completeness "code" > 0.5', []),
    ("RowCount > 100", None),
    ('Mean "number" > 100', None),
    ('IsComplete "absent"', None),
    ('(IsComplete "number") and (IsComplete "absent")', None),
]
COMBINED = [
    ("(RowCount > 1) and (ColumnCount = 4)", "Passed", 2),
    ("(RowCount > 1) and (ColumnCount = 5)", "Failed", 1),
    ("(RowCount > 9) or (ColumnCount = 4)", "Passed", 1),
    ("(RowCount > 9) or (ColumnCount = 5)", "Failed", 0),
    ('(RowCount > 1) or (Mean "code" > 1)', "Error", 1),
    ('(RowCount > 1) and (Mean "absent" > 1)', "Error", 1),
    ('((RowCount > 9) or (ColumnCount = 4)) and (IsUnique "id")', "Passed", 2),
    ("(RowCount > avg(last(3))) or (ColumnCount = 4)", "Error", 1),
]
SQL = [
    ('CustomSql "drop view primary" = 0', "Error"),
    ('CustomSql "create table stolen as select * from primary" = 0', "Error"),
    ('CustomSql "with ours as (select * from primary) insert into stolen select * from ours" = 0', "Error"),
    ('CustomSql "with ours as (select * from primary) select count(*) from ours;" = 6', "Passed"),
]
FILES = {
    "a.csv": "same",
    "deep/b.csv": "same",
    "c.csv": "four",
    "d.json": "longer than others",
    "_SUCCESS": "",
    ".hidden": "x",
}
WRITTEN = {"a.csv": 0, "deep/b.csv": 1, "c.csv": 26, "d.json": 50}  # hours ago


def file_rules(folder):
    return [
        (f'FileUniqueness "{folder}" = 0.5', "Passed", 0.5),
        (f'FileUniqueness "{folder}" > 0.6 with uriRegex = "\\.csv$"', "Failed", 1 / 3),
        (f'FileUniqueness "{folder}" = 1 with recentFiles = 1', "Passed", 1),
        (f'FileSize "{folder}" < 10 B with threshold > 0.7', "Passed", 0.75),
        (f'FileSize "{folder}" between 1 B and 1 KB', "Passed", 1),
        (f'FileSize "{folder}/d.json" > 1 KB', "Failed", 0),
        (f'FileFreshness "{folder}" > (now() - 24 hours)', "Failed", 0.5),
        (f'FileFreshness "{folder}" > (now() - 2 days) with threshold > 0.7', "Passed", 0.75),
        (f'FileFreshness "{folder}" between now() and (now() - 90 minutes) with recentFiles = 2', "Passed", 1),
        (f'FileFreshness "{folder}" > "2020-01-01"', "Passed", 1),
        (f'FileFreshness "{folder}" = "2020-01-01"', "Failed", 0),
        (f'FileFreshness "{folder}/d.json" between "00:00" and "23:59"', "Passed", 1),
        (f'FileSize "{folder}" > 1 B with uriRegex = "nothing"', "Failed", None),
        ("FileUniqueness = 1", "Passed", 1),
        ("FileFreshness > (now() - 1 hours)", "Passed", 1),
        ("FileSize > 100 B", "Passed", 1),
    ]


def parsed(rules):
    return parse_ruleset(f"Rules = [ {', '.join(rules)} ]", "a.dqdl")


def run(folder, rules, *options, data="data"):
    (folder / "plan.json").write_text(compile_plan(parsed(rules)).to_json(), encoding="utf-8")
    words = {"--plan": "plan.json", "--data": data, "--result": "result.json"}
    return spark_jobs().run(
        JOB, *(word for name, path in words.items() for word in (name, f"file://{folder / path}")), *options
    )


def result_of(folder, rules, *options):
    finished = run(folder, rules, *options)
    assert (finished.exit_code, finished.error) == (0, "")
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))


def write(folder, table):
    folder.mkdir()
    pq.write_table(table, folder / "part.parquet")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    write(folder / "data", TABLE)
    write(folder / "codes", pa.table(CODES))
    for name, text in FILES.items():
        (folder / "files" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "files" / name).write_text(text)
    now = dt.datetime.now(dt.UTC).timestamp() - 60
    for name, hours in WRITTEN.items():
        os.utime(folder / "files" / name, (now, now - hours * 3600))
    # what a run before left there must go
    write(folder / "bad", pa.table({"old": [1]}))
    return folder


@pytest.fixture(scope="module")
def result(folder):
    rules = [rule for rule, *_ in [*SQL, *ROW_RULES, *COMBINED, *file_rules(folder / "files")]]
    options = (
        "--reference",
        f"codes=file://{folder}/codes",
        "--quarantine",
        f"file://{folder}/bad",
        "--good",
        f"file://{folder}/good",
    )
    return result_of(folder, rules, *options)


@pytest.fixture(scope="module")
def outcomes(result):
    return {rule["rule"]: rule for rule in result["rules"]}


def text_of(rule):
    return str(parsed([rule]).rules[0])


def test_rows_that_break_a_rule_are_set_aside_with_the_rules_that_they_break(folder, result):
    broken = {number: [] for number in range(1, 7)}
    for rule, numbers in ROW_RULES:
        for number in numbers or []:
            broken[number].append(text_of(rule))
    set_aside = pd.read_parquet(folder / "bad")
    found = {row.id: list(row.failed_rules) for row in set_aside.itertuples()}
    assert found == {number: rules for number, rules in broken.items() if rules}
    assert list(set_aside.columns) == [*TABLE.column_names, "failed_rules"]
    assert result["quarantine"] == {
        "address": f"file://{folder}/bad",
        "rows": len(found),
        "good": f"file://{folder}/good",
        "good_rows": 6 - len(found),
    }


def test_a_clean_dataset_leaves_an_empty_quarantine_and_all_rows_are_good(tmp_path):
    write(tmp_path / "data", TABLE)
    options = ("--quarantine", f"file://{tmp_path}/bad", "--good", f"file://{tmp_path}/good")
    result = result_of(tmp_path, ['IsComplete "id"', 'IsUnique "id"', "RowCount > 100"], *options)
    assert (result["quarantine"]["rows"], result["quarantine"]["good_rows"]) == (0, 6)
    assert pd.read_parquet(tmp_path / "bad").empty
    good = pd.read_parquet(tmp_path / "good").sort_values("id", ignore_index=True)
    pd.testing.assert_frame_equal(good, TABLE.to_pandas())


@pytest.mark.parametrize(("rule", "outcome", "passed"), COMBINED, ids=[rule for rule, *_ in COMBINED])
def test_rules_are_combined_and_an_error_in_one_is_no_pass_of_all(outcomes, rule, outcome, passed):
    assert (outcomes[text_of(rule)]["outcome"], outcomes[text_of(rule)]["measured"]) == (outcome, passed)


@pytest.mark.parametrize(("rule", "outcome"), SQL)
def test_sql_that_does_more_than_select_is_an_error_of_its_rule(outcomes, rule, outcome):
    assert outcomes[text_of(rule)]["outcome"] == outcome


@pytest.mark.parametrize("place", range(len(file_rules(""))), ids=[rule for rule, *_ in file_rules("files")])
def test_rules_about_files_count_files(folder, outcomes, place):
    rule, outcome, measured = file_rules(folder / "files")[place]
    found = outcomes[text_of(rule)]
    assert (found["outcome"], found["measured"]) == (outcome, measured and pytest.approx(measured)), found["reason"]


def test_data_with_a_column_of_the_name_that_the_rules_take_is_refused(tmp_path):
    write(tmp_path / "data", pa.table({"failed_rules": [1]}))
    finished = run(tmp_path, ["RowCount > 0"], "--quarantine", f"file://{tmp_path}/bad")
    assert finished.error.startswith("ValueError: The data has a column failed_rules: rename it")


@pytest.mark.parametrize("address", ["data", "data/bad", ""])
def test_a_quarantine_never_overwrites_the_data(tmp_path, address):
    write(tmp_path / "data", TABLE)
    finished = run(tmp_path, ["RowCount > 0"], "--quarantine", f"file://{tmp_path}/{address}")
    assert "must not overlap with" in finished.error
    assert pd.read_parquet(tmp_path / "data" / "part.parquet").shape == (6, 4)


def test_a_file_that_is_no_parquet_fails_the_job_with_its_address(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "part.parquet").write_bytes(b"PAR1 and then nothing")
    finished = run(tmp_path, ["RowCount > 0", 'IsComplete "id"'])
    cause = f"OSError: The data at file://{tmp_path}/data cannot be read; write it again, or tell its format: "
    assert (finished.exit_code, finished.error[: len(cause)]) == (1, cause)
    assert len(finished.error.splitlines()) == 1
    assert not (tmp_path / "result.json").exists()


def test_a_column_that_cannot_be_read_is_an_error_of_its_rules_and_spares_the_others(tmp_path):
    write(tmp_path / "data", pa.table({"good": [str(n) for n in range(1000)], "spoilt": [str(n) for n in range(1000)]}))
    path = tmp_path / "data" / "part.parquet"
    columns = pq.ParquetFile(path).metadata.row_group(0)
    start = columns.column(1).dictionary_page_offset or columns.column(1).data_page_offset
    content = bytearray(path.read_bytes())
    content[start : start + 200] = b"\xff" * 200
    path.write_bytes(content)
    result = result_of(
        tmp_path, ['IsUnique "good"', 'ColumnLength "spoilt" > 0', "RowCount = 1000", 'ColumnLength "good" > 0']
    )
    assert [rule["outcome"] for rule in result["rules"]] == ["Passed", "Error", "Passed", "Passed"]


def test_columns_that_differ_only_by_case_fail_the_job_with_their_name(tmp_path):
    write(tmp_path / "data", pa.table({"a": [1], "A": [2]}))
    finished = run(tmp_path, ["RowCount > 0"])
    assert finished.error.startswith(f"OSError: The data at file://{tmp_path}/data cannot be read")
    assert "`a`" in finished.error


def test_a_plan_without_a_rule_is_refused(tmp_path):
    write(tmp_path / "data", TABLE)
    plan = json.loads(compile_plan(parsed(["RowCount > 0"])).to_json())
    (tmp_path / "plan.json").write_text(json.dumps({**plan, "rules": []}))
    options = [
        word
        for name in ("plan.json", "data", "result.json")
        for word in (f"--{name.split('.')[0]}", f"file://{tmp_path}/{name}")
    ]
    finished = spark_jobs().run(JOB, *options)
    assert (
        finished.error
        == f"ValueError: file://{tmp_path}/plan.json has no rule: a check of nothing would always pass; add one"
    )


def test_rows_are_neither_lost_nor_doubled_where_the_reference_has_other_types(tmp_path):
    write(tmp_path / "data", pa.table({"k": [1, 2, 3]}))
    write(tmp_path / "codes", pa.table({"k": ["1", "01", "1.0", "2", " 2"]}))
    result = result_of(
        tmp_path,
        ['ReferentialIntegrity "k" "codes.k" = 1'],
        *("--reference", f"codes=file://{tmp_path}/codes"),
        *("--quarantine", f"file://{tmp_path}/bad", "--good", f"file://{tmp_path}/good"),
    )
    assert (result["quarantine"]["rows"], result["quarantine"]["good_rows"]) == (1, 2)
    assert sorted(pd.read_parquet(tmp_path / "good")["k"]) == [1, 2]


def test_files_that_spark_does_not_read_are_no_pass(tmp_path):
    write(tmp_path / "data", pa.table({"x": [1, 2]}))
    write(tmp_path / "data" / "HIVE_UNION_SUBDIR_1", pa.table({"x": [-5, -6]}))
    finished = run(tmp_path, ['ColumnValues "x" > 0'])
    assert finished.error.startswith(f"OSError: 1 of 2 files at file://{tmp_path}/data lie where Spark does not read")


def test_a_column_that_only_a_later_file_has_is_seen(tmp_path):
    write(tmp_path / "data", pa.table({"x": [1]}))
    pq.write_table(pa.table({"x": [2], "secret": ["s"]}), tmp_path / "data" / "zz.parquet")
    result = result_of(tmp_path, ["ColumnCount = 1"])
    assert (result["rules"][0]["outcome"], [one["name"] for one in result["schema"]]) == ("Failed", ["x", "secret"])


def test_quarantine_and_good_rows_lie_apart(tmp_path):
    write(tmp_path / "data", TABLE)
    options = ("--quarantine", f"file://{tmp_path}/out", "--good", f"file://{tmp_path}/out/good")
    assert "must not overlap with" in run(tmp_path, ["RowCount > 0"], *options).error
    assert not (tmp_path / "out").exists()
