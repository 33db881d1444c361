"""What a guard does when its command or its holder ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from contextlib import ExitStack

import pytest

from local_emr.engine import processes
from local_emr.engine.processes import GUARD, GuardedProcess

# Leaves its process group, ignores TERM, and writes a file when it is ready
STUBBORN = """
import os, pathlib, signal, sys, time
os.setsid()
signal.signal(15, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).touch()
time.sleep(300)
"""


@pytest.fixture
def start(tmp_path):
    with ExitStack() as cleanup:
        out = cleanup.enter_context((tmp_path / "out").open("wb"))

        def guarded(*command):
            process = GuardedProcess(
                command, folder=tmp_path, environment={"PATH": os.environ["PATH"]}, stdout=out, stderr=out
            )
            cleanup.callback(process.end)
            return process

        yield guarded


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -TERM $$", 143), ("kill -KILL $$", 137)]
)
def test_a_guard_exits_as_its_command_does(start, script, code):
    assert code == start("bash", "-c", script).wait(20)


def test_a_command_that_does_not_exist_exits_as_in_a_shell(start, tmp_path):
    assert start("no-such-program-anywhere").wait(20) == 127
    assert "no-such-program-anywhere" in (tmp_path / "out").read_text()


def test_waiting_gives_up_in_time_and_says_nothing(start):
    assert start("sleep", "300").wait(0.1) is None


def test_ending_takes_what_the_command_started(start, tmp_path, eventually, running):
    mark = uuid.uuid4().hex
    process = start("bash", "-c", f"(exec -a sleep-{mark} sleep 300) & touch ready; wait")
    eventually((tmp_path / "ready").exists, "the command has started")
    process.end()
    assert running(mark) == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only the process group is ended")
def test_ending_takes_what_left_the_process_group_and_ignores_term(start, tmp_path, eventually, running, monkeypatch):
    ready = tmp_path / uuid.uuid4().hex
    process = start("bash", "-c", f"{sys.executable} -c '{STUBBORN}' {ready} & wait")
    eventually(ready.exists, "the stubborn process has started")
    process.end()
    assert running(str(ready)) == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only the process group is ended")
def test_what_a_command_leaves_behind_ends_with_it(start, tmp_path, running):
    ready = tmp_path / uuid.uuid4().hex
    process = start(
        "bash", "-c", f"{sys.executable} -c '{STUBBORN}' {ready} & until test -e {ready}; do sleep 0.05; done"
    )
    assert process.wait(20) == 0
    assert running(str(ready)) == []


def test_a_killed_holder_takes_the_command_along(tmp_path, eventually, running):
    mark = uuid.uuid4().hex
    script = f"""
import subprocess, sys, time
command = ["bash", "-c", "exec -a sleep-{mark} sleep 300"]
subprocess.Popen([sys.executable, {str(GUARD)!r}, *command], stdin=subprocess.PIPE, start_new_session=True)
time.sleep(300)
"""
    holder = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path)
    eventually(lambda: len([c for c in running(mark) if c.startswith("sleep-")]) == 1, "the command has started")
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    eventually(lambda: running(mark) == [], "the command has ended")


@pytest.mark.skipif(sys.platform != "linux", reason="needs the kernel's parent-death signal")
def test_a_killed_guard_takes_the_command_along(start, tmp_path, eventually, running):
    mark = uuid.uuid4().hex
    process = start("bash", "-c", f"touch ready; exec -a sleep-{mark} sleep 300")
    eventually((tmp_path / "ready").exists, "the command has started")
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(20) == 137
    eventually(lambda: running(mark) == [], "the command has ended")


def test_a_stuck_guard_is_killed(start, tmp_path, eventually, monkeypatch):
    monkeypatch.setattr(processes, "END_SECONDS", 0.2)
    process = start("bash", "-c", "touch ready; exec sleep 300")
    eventually((tmp_path / "ready").exists, "the command has started")
    os.kill(process.pid, signal.SIGSTOP)
    before = time.monotonic()
    process.end()
    assert process.wait(0) == 137
    assert time.monotonic() - before < 10
