"""The programs of Hadoop Streaming: each gets lines and gives lines, and may count and speak on its standard error.

Source: org.apache.hadoop.streaming.PipeMapRed, and "How do I update counters in streaming applications?" of its page.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

_COUNTER = re.compile(rb"reporter:counter:(?P<group>[^,]*),(?P<name>[^,]*),\s*(?P<amount>-?\d+)\s*")
_STATUS = b"reporter:status:"


class TaskFailedError(Exception):
    """A program could not be started, or did not end well."""


@dataclass
class Counters:
    """Sums by group and name, from several threads."""

    sums: Counter[tuple[str, str]] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, group: str, name: str, amount: int = 1) -> None:
        """Add to a sum."""
        with self._lock:
            self.sums[group, name] += amount


class Processes:
    """The programs that run now, so that all can be ended when one of them has failed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._ended = False

    def start(self, words: list[str], folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start a program with three pipes. Raises OSError, and TaskFailedError after `end`."""
        with self._lock:
            if self._ended:
                raise TaskFailedError("Another task of the job has failed")
            process = subprocess.Popen(  # noqa: S603 - running the job's programs is what this is for
                words,
                cwd=folder,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            self._running.add(process)
        return process

    def forget(self, process: subprocess.Popen[bytes]) -> None:
        """Let go of a program that has ended."""
        with self._lock:
            self._running.discard(process)

    def end(self) -> None:
        """End all that run, and start no more."""
        with self._lock:
            self._ended = True
            for process in self._running:
                process.kill()


@dataclass(frozen=True)
class Program:
    """A command line, the folder where it runs, its environment, and whether another exit code than 0 is a failure."""

    processes: Processes
    command: str
    folder: Path
    environment: Mapping[str, str]
    must_succeed: bool = True

    def lines(self, given: Iterable[bytes], counters: Counters) -> Iterator[bytes]:
        """Run on the given lines, and yield the lines that come out.

        Raises TaskFailedError, and whatever `given` raises.
        """
        process = self._started()
        feeder = _Feeder(process, given)
        listener = threading.Thread(target=_listen, args=(process.stderr, counters), daemon=True)
        feeder.start()
        listener.start()
        try:
            assert process.stdout is not None  # noqa: S101 - a pipe was asked for
            for line in process.stdout:
                yield line.removesuffix(b"\n")
            code = process.wait()
        finally:
            process.kill()
            process.wait()
            self.processes.forget(process)
            feeder.join()
            listener.join()
            for pipe in (process.stdout, process.stderr):
                assert pipe is not None  # noqa: S101 - as above
                pipe.close()
        if feeder.error:
            raise feeder.error
        if code and self.must_succeed:
            code = code if code > 0 else 128 - code
            raise TaskFailedError(f"PipeMapRed.waitOutputThreads(): subprocess failed with code {code}")

    def _started(self) -> subprocess.Popen[bytes]:
        words = _words(self.command)
        here = self.folder / words[0]
        words[0] = str(here) if here.is_file() else words[0]
        try:
            return self.processes.start(words, self.folder, {**os.environ, **self.environment})
        except OSError as error:
            raise TaskFailedError(f'Cannot run program "{words[0]}": error={error.errno}, {error.strerror}') from None


class _Feeder(threading.Thread):
    """Writes lines to a program; one that reads no further is let be."""

    def __init__(self, process: subprocess.Popen[bytes], given: Iterable[bytes]) -> None:
        super().__init__(daemon=True)
        self._process = process
        self._given = given
        self.error: Exception | None = None

    def run(self) -> None:
        assert self._process.stdin is not None  # noqa: S101 - a pipe was asked for
        try:
            with suppress(BrokenPipeError), self._process.stdin as pipe:
                for line in self._given:
                    pipe.write(line + b"\n")
        except Exception as error:  # noqa: BLE001 - raised again where the program's lines are read
            self.error = error
            self._process.kill()


def _words(command: str) -> list[str]:
    """Split a command line at blanks, but for those in quotes; no other character means anything."""
    reader = shlex.shlex(command, posix=True, punctuation_chars=False)
    reader.whitespace_split, reader.escape, reader.commenters = True, "", ""
    try:
        return list(reader)
    except ValueError:
        raise TaskFailedError(f"The command {command!r} has a quotation mark without its second") from None


def _listen(stream: IO[bytes] | None, counters: Counters) -> None:
    """Pass on what a program says, but for what it tells its reporter."""
    assert stream is not None  # noqa: S101 - a pipe was asked for
    for line in stream:
        if match := _COUNTER.fullmatch(line):
            counters.add(match["group"].decode(), match["name"].decode(), int(match["amount"]))
        elif not line.startswith(_STATUS):
            sys.stderr.buffer.write(line)
            sys.stderr.buffer.flush()
