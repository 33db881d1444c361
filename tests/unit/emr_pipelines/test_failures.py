"""The line that says why a job failed."""

from __future__ import annotations

import pytest

from emr_pipelines.failures import TAIL_LINES, cause_in, failure_message, tail_of

PYTHON = """\
24/01/15 10:00:00 INFO SparkContext: Running
Traceback (most recent call last):
  File "/tmp/clean.py", line 7, in <module>
    main()
ValueError: 3 malformed rows, first: '2013,x,15'
24/01/15 10:00:03 INFO ShutdownHookManager: Shutdown hook called
"""
CHAINED = """\
Traceback (most recent call last):
  File "a.py", line 1, in <module>
KeyError: 'dt'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "a.py", line 3, in <module>
RuntimeError: no date was given
"""
PY4J = """\
Traceback (most recent call last):
  File "a.py", line 3, in <module>
py4j.protocol.Py4JJavaError: An error occurred while calling o1.parquet.
: org.apache.spark.SparkException: Job aborted.
\tat org.apache.spark.Foo(Foo.java:1)
Caused by: java.io.IOException: No space left on device
\tat java.base/java.io.FileOutputStream.writeBytes(Native Method)
"""
ANALYSIS = """\
Traceback (most recent call last):
  File "a.py", line 3, in <module>
pyspark.errors.exceptions.captured.AnalysisException: [PATH_NOT_FOUND] Path does not exist: s3://b/k.
"""
JAVA = """\
Exception in thread "main" java.lang.ClassNotFoundException: com.example.Main
\tat java.base/java.net.URLClassLoader.findClass(URLClassLoader.java:445)
"""
SQL = "Error in query: [TABLE_OR_VIEW_NOT_FOUND] The table `flights` cannot be found.\n"
HIVE = "FAILED: SemanticException [Error 10001]: Line 1:14 Table not found 'flights'\n"


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        (PYTHON, "ValueError: 3 malformed rows, first: '2013,x,15'"),
        (CHAINED, "RuntimeError: no date was given"),
        (PY4J, "java.io.IOException: No space left on device"),
        (
            ANALYSIS,
            "pyspark.errors.exceptions.captured.AnalysisException: [PATH_NOT_FOUND] Path does not exist: s3://b/k.",
        ),
        (JAVA, "java.lang.ClassNotFoundException: com.example.Main"),
        (SQL, "[TABLE_OR_VIEW_NOT_FOUND] The table `flights` cannot be found."),
        (HIVE, "SemanticException [Error 10001]: Line 1:14 Table not found 'flights'"),
        ("all went well\n", None),
        ("", None),
    ],
    ids=["python", "chained", "py4j", "analysis", "java", "spark sql", "hive", "no cause", "empty"],
)
def test_the_cause_is_the_exception_that_a_person_would_point_at(log, cause):
    assert cause_in({"stdout": log}) == cause


def test_a_traceback_in_standard_output_beats_noise_in_standard_error():
    noise = "java.net.ConnectException: retrying\n"
    assert cause_in({"stdout": PYTHON, "stderr": noise}) == "ValueError: 3 malformed rows, first: '2013,x,15'"


def test_the_cause_is_found_in_whichever_log_holds_it():
    assert cause_in({"stdout": "", "stderr": SQL}) == "[TABLE_OR_VIEW_NOT_FOUND] The table `flights` cannot be found."


def test_the_tail_keeps_the_last_lines_that_say_something():
    log = "".join(f"line {number}\n\n" for number in range(100))
    assert tail_of(log) == [f"line {number}" for number in range(100 - TAIL_LINES, 100)]


def test_the_message_begins_with_the_cause_and_ends_with_where_to_look():
    message = failure_message(
        "ValueError: x",
        hint="Mend it.",
        run="Job run s-1 ended as failed.",
        still="j-1 runs.",
        retry="Retrying.",
        address="s3://l/",
    )
    assert message.splitlines() == [
        "ValueError: x",
        "Hint: Mend it.",
        "Job run s-1 ended as failed.",
        "j-1 runs.",
        "Retrying.",
        "Logs: s3://l/",
    ]


def test_a_message_says_nothing_of_what_is_not_known():
    message = failure_message("x", hint=None, run="run.", still="still.", retry="retry.", address=None)
    assert message.splitlines() == ["x", "run.", "still.", "retry."]
