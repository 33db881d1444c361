"""What is made once: in time, by one process, and never half."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from local_emr.engine import cache
from local_emr.engine.cache import Cache, PreparationError

INCLUDE = Path(__file__).parents[3] / "include"
PREPARE = "import sys; from pathlib import Path; from local_emr.engine.cache import Cache; Cache(Path(sys.argv[1])).make_jars()"


def test_processes_that_prepare_at_once_make_one_cache(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(INCLUDE)}
    command = [sys.executable, "-c", PREPARE, str(tmp_path)]
    processes = [subprocess.Popen(command, env=environment) for _ in range(3)]
    assert [process.wait(120) for process in processes] == [0, 0, 0]
    made = Cache(tmp_path)
    assert all(jar.exists() for jar in made.classpath)
    assert list(made.folder.glob("*.tmp")) == []


def test_what_an_interrupted_preparation_left_is_cleared_away(tmp_path):
    interrupted = Cache(tmp_path)
    (interrupted.folder / "jars-abc.tmp").mkdir(parents=True)
    interrupted.make_jars()
    assert not (interrupted.folder / "jars-abc.tmp").exists()


def test_a_damaged_archive_is_thrown_away(tmp_path):
    damaged = Cache(tmp_path)
    damaged.folder.mkdir(parents=True)
    archive = damaged.folder / f"classes-{zlib.crc32(b'whole'):08x}.jsa"
    archive.write_bytes(b"half")
    assert damaged.archive() is None
    assert not archive.exists()


def test_a_whole_archive_is_used(tmp_path):
    whole = Cache(tmp_path)
    whole.folder.mkdir(parents=True)
    archive = whole.folder / f"classes-{zlib.crc32(b'whole'):08x}.jsa"
    archive.write_bytes(b"whole")
    assert archive == whole.archive()


def test_a_compiler_that_fails_leaves_no_jar_and_says_why(tmp_path, monkeypatch):
    (tmp_path / "java").mkdir()
    (tmp_path / "java" / "Broken.java").write_text("class Broken { int }")
    monkeypatch.setattr(cache, "SOURCES", tmp_path / "java")
    broken = Cache(tmp_path)
    with pytest.raises(PreparationError, match=r"Could not compile the file system(?s:.*)Broken\.java"):
        broken.make_jars()
    assert not broken.classpath[0].exists()


def test_other_java_sources_have_a_cache_of_their_own(tmp_path, monkeypatch):
    before = Cache(tmp_path).folder
    (tmp_path / "java").mkdir()
    (tmp_path / "java" / "Other.java").write_text("class Other { }")
    monkeypatch.setattr(cache, "SOURCES", tmp_path / "java")
    assert Cache(tmp_path).folder != before
