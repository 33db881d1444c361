import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from local_airflow import processes

SLEEPER = "import time; time.sleep(600)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"
)
PARENT = (
    f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {SLEEPER!r}]).pid, flush=True); {SLEEPER}"
)


def until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


@pytest.fixture
def run(tmp_path):
    """Starts a Python script as the module under test would; ends whatever a test leaves."""
    started = []

    def start(script, name="one", port=None):
        record, log = tmp_path / f"{name}.json", tmp_path / f"{name}.log"
        process = processes.start(
            [sys.executable, "-c", script], record=record, log=log, environment=os.environ, folder=tmp_path, port=port
        )
        started.append(process)
        return process, record, log

    yield start
    for process in started:
        for member in processes.session(processes.Record(process.pid, psutil.boot_time())):
            member.kill()
        if process.poll() is None:
            process.kill()
        process.wait()


def test_a_started_process_is_found_by_its_record(run):
    process, record, _ = run(SLEEPER, port=4711)
    found = processes.read(record)
    assert (process.pid, 4711) == (found.pid, found.port)
    assert process.pid == processes.running(found).pid


def test_it_leads_a_session_of_its_own(run):
    process, _, _ = run(SLEEPER)
    assert process.pid == os.getsid(process.pid)


def test_its_output_is_appended_to_its_log(run, tmp_path):
    (tmp_path / "one.log").write_text("before\n")
    process, _, log = run("print('hello')")
    process.wait()
    assert log.read_text() == "before\nhello\n"


def test_stopping_ends_it_and_forgets_it(run):
    process, record, _ = run(SLEEPER)
    assert processes.stop([record], grace=10) == []
    process.poll()
    assert not psutil.pid_exists(process.pid)
    assert not record.exists()


def test_stopping_twice_does_no_harm(run):
    _, record, _ = run(SLEEPER)
    processes.stop([record], grace=10)
    assert processes.stop([record], grace=10) == []


def test_one_that_ignores_sigterm_is_killed(run):
    process, record, log = run(STUBBORN)
    until(lambda: "ready" in log.read_text())
    assert processes.stop([record], grace=0.2) == []
    assert not psutil.pid_exists(process.pid)


def test_what_it_started_is_ended_too(run):
    _, record, log = run(PARENT)
    child = int(until(lambda: log.read_text().strip()))
    processes.stop([record], grace=10)
    assert processes.running(processes.Record(child, psutil.boot_time())) is None
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_what_outlived_a_killed_one_is_ended_too(run):
    process, record, log = run(PARENT)
    child = int(until(lambda: log.read_text().strip()))
    process.kill()
    process.wait()
    assert processes.running(processes.read(record)) is None
    processes.stop([record], grace=10)
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_a_program_that_got_the_id_of_an_ended_process_is_left_alone(tmp_path):
    with subprocess.Popen([sys.executable, "-c", SLEEPER], start_new_session=True) as stranger:
        try:
            record = tmp_path / "one.json"
            born = psutil.Process(stranger.pid).create_time()
            record.write_text(json.dumps({"pid": stranger.pid, "created": born - 3600, "port": None}))
            assert processes.running(processes.read(record)) is None
            assert processes.stop([record], grace=10) == []
            assert stranger.poll() is None
            assert not record.exists()
        finally:
            stranger.kill()


def test_a_zombie_does_not_run(run):
    process, record, _ = run("")
    until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
    assert processes.running(processes.read(record)) is None


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"pid": 1}', "half a rec"])
def test_an_unreadable_record_is_none(tmp_path, content):
    record = tmp_path / "one.json"
    record.write_text(content)
    assert processes.read(record) is None


def test_stopping_without_a_record_does_nothing(tmp_path):
    assert processes.stop([tmp_path / "none.json"], grace=1) == []


def test_one_that_is_ended_alone_leaves_what_it_started(run):
    process, record, log = run(PARENT)
    child = int(until(lambda: log.read_text().strip()))
    processes.end(psutil.Process(process.pid), grace=0)
    assert process.wait() == -signal.SIGKILL
    assert psutil.Process(child).status() != psutil.STATUS_ZOMBIE
    processes.stop([record], grace=10)
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_one_that_is_given_grace_may_end_by_itself(run):
    leaves_a_word = "import pathlib, signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(print('bye', flush=True)));"
    process, record, log = run(f"{leaves_a_word} print('ready', flush=True); time.sleep(600)")
    until(log.read_text)
    processes.end(psutil.Process(process.pid), grace=10)
    assert log.read_text().split() == ["ready", "bye"]
    assert processes.running(processes.read(record)) is None
