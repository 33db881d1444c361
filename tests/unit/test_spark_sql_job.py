"""The runner of Spark SQL splits a script as spark-sql does, and prints what it gives as spark-sql does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jobs.spark_sql import statements

from tests.support.spark_jobs import JOBS, spark_jobs

RUNNER = JOBS / "spark_sql.py"


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("", []),
        (" ;; ;", []),
        ("-- nothing; at all", []),
        ("/* nothing; */ ; -- at all", []),
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1;\nSELECT 2;\n", ["SELECT 1", "SELECT 2"]),
        ("SELECT 'a;b'; SELECT \"c;d\"; SELECT `e;f`", ["SELECT 'a;b'", 'SELECT "c;d"', "SELECT `e;f`"]),
        (r"SELECT 'it\'s; so'; SELECT 2", [r"SELECT 'it\'s; so'", "SELECT 2"]),
        ("SELECT 'it''s; so'; SELECT 2", ["SELECT 'it''s; so'", "SELECT 2"]),
        ("SELECT `a\\`; SELECT 2", ["SELECT `a\\`", "SELECT 2"]),
        ("SELECT 1 -- it's; a comment\n + 1; SELECT 2", ["SELECT 1 -- it's; a comment\n + 1", "SELECT 2"]),
        ("SELECT /*+ a; /* b; */ c; */ 1; SELECT 2", ["SELECT /*+ a; /* b; */ c; */ 1", "SELECT 2"]),
        ("SELECT '-- no comment; here'; SELECT 2", ["SELECT '-- no comment; here'", "SELECT 2"]),
        ("SELECT 'never closed; SELECT 2", ["SELECT 'never closed; SELECT 2"]),
        ("SELECT 1 /* never closed; SELECT 2", ["SELECT 1 /* never closed; SELECT 2"]),
        ("SELECT 6 / 2; SELECT 3 - 1", ["SELECT 6 / 2", "SELECT 3 - 1"]),
    ],
)
def test_a_script_is_split_where_a_statement_ends(script, expected):
    assert statements(script) == expected


WORDS = ["SELECT 1", "'a;b'", r"'it\'s'", '"c;--d"', "`e;f`", "x", "6 / 2"]
COMMENTS = ["/* g; /* h */ */", "-- i; 'j\n"]


@given(st.lists(st.lists(st.sampled_from(WORDS + COMMENTS), min_size=1, max_size=4), max_size=6))
def test_what_was_joined_is_split_again_and_comments_alone_are_left_out(parts):
    told = [" ".join(pieces).strip() for pieces in parts if set(pieces) & set(WORDS)]
    assert statements(";".join(" ".join(pieces) for pieces in parts)) == told


def test_statements_run_in_order_with_their_variables_and_print_as_spark_sql_does(tmp_path):
    script = tmp_path / "script.sql"
    script.write_text(
        """
        CREATE TEMPORARY VIEW days AS SELECT * FROM VALUES (1, '${dt}', 0.5D), (2, NULL, 1e10D) AS days (n, dt, x);
        SET spark.sql.session.timeZone = UTC;
        SELECT n, dt, x, array(n, n), TIMESTAMP_SECONDS(n) FROM days ORDER BY n; -- the rows; in order
        SELECT '${hivevar:dt};' WHERE false; SELECT count(dt) FROM days WHERE dt = '${hivevar:dt}'
        """
    )
    finished = spark_jobs().run(RUNNER, "--script", f"file://{script}", "--variable", "dt=it=a; day")
    assert (finished.exit_code, finished.error) == (0, "")
    assert finished.stdout.splitlines() == [
        "spark.sql.session.timeZone\tUTC",
        "1\tit=a; day\t0.5\t[1,1]\t1970-01-01 00:00:01",
        "2\tNULL\t1.0E10\t[2,2]\t1970-01-01 00:00:02",
        "1",
    ]


def test_the_first_statement_that_fails_ends_the_job(tmp_path):
    script = tmp_path / "script.sql"
    script.write_text("SELECT 'before'; SELECT assert_true(1 > 2, 'no such luck'); SELECT 'after'")
    finished = spark_jobs().run(RUNNER, "--script", f"file://{script}")
    assert (finished.exit_code, finished.stdout.splitlines()) == (1, ["before"])
    assert "no such luck" in finished.error


@pytest.mark.parametrize("argument", ["dt", "=x"])
def test_a_variable_without_name_or_value_is_refused(argument, tmp_path):
    script = tmp_path / "script.sql"
    script.write_text("SELECT 1")
    finished = spark_jobs().run(RUNNER, "--script", f"file://{script}", "--variable", argument)
    assert (finished.exit_code, finished.stdout) == (2, "")
