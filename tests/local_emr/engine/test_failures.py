"""Messages of failed steps, from what real jobs wrote (`outputs/`, shortened stack traces)."""

from __future__ import annotations

from pathlib import Path

import pytest

from local_emr.engine import Outcome
from local_emr.engine.failures import judge, message

OUTPUTS = Path(__file__).parent / "outputs"
DIVISION = (
    "org.apache.spark.SparkArithmeticException: [DIVIDE_BY_ZERO] Division by zero. Use `try_divide` to tolerate divisor "
    'being 0 and return NULL instead. If necessary set "spark.sql.ansi.enabled" to "false" to bypass this error.'
)

UNKNOWN_TABLE = (
    "[TABLE_OR_VIEW_NOT_FOUND] The table or view `missing_table` cannot be found. "
    "Verify the spelling and correctness of the schema and catalog."
)


def written(name: str, stream: str) -> str:
    file = OUTPUTS / f"{name}.{stream}"
    return file.read_text() if file.exists() else ""


@pytest.mark.parametrize(
    ("name", "exit_code", "expected"),
    [
        ("python_error", 1, "ValueError: only 10 rows for 2013-01-15, expected at least 1000"),
        ("chained_exception", 1, "RuntimeError: cannot read the partition"),
        ("python_syntax", 1, "SyntaxError: invalid syntax"),
        ("unknown_module", 1, "ModuleNotFoundError: No module named 'a_module_nobody_has'"),
        (
            "missing_input",
            1,
            "AnalysisException: [PATH_NOT_FOUND] Path does not exist: s3://local-data/nothing/dt=2013-01-15.",
        ),
        ("user_function", 1, "ZeroDivisionError: division by zero"),
        ("task_failure", 1, DIVISION),
        ("sql_task_failure", 1, DIVISION),
        ("out_of_memory", 1, "java.lang.OutOfMemoryError: Java heap space"),
        (
            "missing_bucket",
            1,
            "java.io.FileNotFoundException: NoSuchBucket: The specified bucket does not exist: no-such-bucket",
        ),
        (
            "missing_script",
            1,
            "java.io.FileNotFoundException: No such file or directory: s3://local-data/jobs/nope.py",
        ),
        (
            "unknown_table",
            1,
            UNKNOWN_TABLE,
        ),
        ("sql_syntax", 1, "[PARSE_SYNTAX_ERROR] Syntax error at or near 'SELEC'.(line 1, pos 0)"),
        (
            "missing_sql_script",
            3,
            "Could not open input file for reading. (No such file or directory: s3://local-data/jobs/nope.hql)",
        ),
        ("list_missing_folder", 1, "Exit code 1: ls: `s3://local-data/nope/': No such file or directory"),
        ("exit_with_text", 1, "Exit code 1: no flights on 2013-01-15"),
        ("shell_exit", 3, "Exit code 3: oops"),
    ],
)
def test_a_failed_job_is_named_by_its_drivers_last_exception(name, exit_code, expected):
    assert expected == message(written(name, "stdout"), written(name, "stderr"), exit_code)


def test_an_unknown_column_is_named_without_pysparks_module():
    expected = (
        "AnalysisException: [UNRESOLVED_COLUMN.WITH_SUGGESTION] A column or function parameter with name `carrier` "
        "cannot be resolved. Did you mean one of the following? [`id`].;"
    )
    assert expected == message(written("unknown_column", "stdout"), "", 1)


def test_a_job_without_a_word_is_named_by_its_exit_code():
    assert message("", "", 4) == "Exit code 4"


def test_a_killed_job_is_named_by_the_signal_whatever_it_logged():
    assert message("", written("user_function", "stderr"), 137) == "Killed by signal 9 (SIGKILL)"


def test_colours_are_no_part_of_a_message():
    text = 'Traceback (most recent call last):\n  File "x.py", line 1\n\x1b[1;31mValueError\x1b[0m: \x1b[1mno rows\x1b[0m\n'
    assert message(text, "", 1) == "ValueError: no rows"


def test_windows_line_ends_are_no_part_of_a_message():
    assert message('  File "x.py", line 1\r\nValueError: no rows\r\n', "", 1) == "ValueError: no rows"


def test_a_very_long_message_is_cut():
    assert len(message('  File "x.py", line 1\nValueError: ' + "x" * 5000, "", 1)) == 1000


def test_success_has_no_reason():
    assert Outcome(succeeded=True, exit_code=0) == judge("Traceback", "ERROR", 0)


def test_failure_has_the_reason_that_emr_gives():
    assert Outcome(succeeded=False, exit_code=2, reason="Unknown Error.", message="Exit code 2") == judge("", "", 2)
