from local_airflow import logs

TRACEBACK = """Starting
Traceback (most recent call last):
  File "x.py", line 1, in <module>
sqlalchemy.exc.OperationalError: unable to open database file
and goodbye
"""


def test_the_cause_is_the_last_exception():
    assert logs.cause(TRACEBACK) == "sqlalchemy.exc.OperationalError: unable to open database file"


def test_without_an_exception_it_is_the_last_error():
    text = "2026-01-01 [error    ] no room [x]\n2026-01-01 [info     ] bye"
    assert logs.cause(text) == "2026-01-01 [error    ] no room [x]"


def test_without_an_error_it_is_the_last_line():
    assert logs.cause("one\n\x1b[31mtwo\x1b[0m\n\n") == "two"


def test_an_empty_log_is_said_to_be_empty():
    assert logs.cause("") == "it wrote nothing"


def test_a_warning_is_no_cause():
    assert logs.cause("RuntimeWarning: hm\nall is well") == "all is well"


def test_a_death_names_the_cause_first_and_the_log_last(tmp_path):
    path = tmp_path / "scheduler.log"
    message = logs.death_message("Airflow's scheduler", TRACEBACK, path, last=2)
    assert message.splitlines() == [
        "Airflow's scheduler ended while starting: sqlalchemy.exc.OperationalError: unable to open database file",
        f"The last lines of {path}:",
        "  sqlalchemy.exc.OperationalError: unable to open database file",
        "  and goodbye",
    ]


def test_a_log_is_read_from_where_this_start_began(tmp_path):
    path = tmp_path / "x.log"
    path.write_text("old\n")
    offset = logs.size(path)
    with path.open("a") as log:
        log.write("new\n")
    assert logs.read_from(path, offset) == "new\n"


def test_a_log_that_does_not_exist_is_empty(tmp_path):
    assert (logs.size(tmp_path / "none"), logs.read_from(tmp_path / "none", 0)) == (0, "")
