import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def make(tmp_path):
    """Runs make on this Makefile, in a folder whose name has spaces and which holds no packages."""
    folder = tmp_path / "a check out"
    folder.mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "requirements-dev.txt").touch()

    def run(*words):
        command = ["make", *words]
        # These tests may themselves run under make, which tells those below it that it does.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        return subprocess.run(
            command, cwd=folder, check=False, capture_output=True, text=True, timeout=60, env=environment
        )

    return run


@pytest.fixture
def other_python(tmp_path):
    program = tmp_path / "python3.12"
    program.write_text("#!/bin/sh\necho 3.12\n")
    program.chmod(0o755)
    return program


def test_make_alone_lists_the_commands(make):
    said = make()
    assert said.returncode == 0
    listed = [line.split()[1] for line in said.stdout.splitlines()]
    assert {"demo", "test", "lint", "up", "down", "local-emr", "bench", "clean", "help"} <= set(listed)


def test_another_python_is_refused_in_one_sentence(make, other_python):
    said = make("test", f"PYTHON={other_python}")
    assert said.returncode == 2
    wanted = f"needs Python 3.11, found 3.12 at {other_python}; make PYTHON=/path/to/python3.11"
    assert said.stderr.splitlines()[0] == wanted


def test_a_missing_python_is_refused_in_one_sentence(make):
    said = make("test", "PYTHON=/no/such/python")
    assert said.stderr.startswith("needs Python 3.11, found none at /no/such/python; make PYTHON=")


def test_what_is_typed_reaches_the_command(make):
    said = make("--dry-run", "demo", "DATE=2013-02-03", "PORT=8081", "EMR_PORT=4567", """CONF={"a": "it's"}""")
    words = said.stdout.splitlines()[-1].split(" demo ")[1]
    assert words.split() == (
        [
            r"--port",
            r"'8081'",
            r"--endpoint-port",
            r"'4567'",
            r"--date",
            r"'2013-02-03'",
            r"--conf",
            r"""'{"a":""",
            r""""it'\''s"}'""",
        ]
    )


def test_what_the_shell_exports_for_something_else_does_not(make, monkeypatch):
    monkeypatch.setenv("PORT", "1")
    monkeypatch.setenv("HOST", "0.0.0.0")
    assert "--host" not in make("--dry-run", "local-emr").stdout
    assert "--port" not in make("--dry-run", "local-emr").stdout
