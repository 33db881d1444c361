"""What each mapper of Hadoop Streaming reads: files cut into splits, splits into lines.

Source: org.apache.hadoop.mapred.FileInputFormat, TextInputFormat, KeyValueTextInputFormat and NLineInputFormat.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from local_emr.engine.hadoop.keys import split
from local_emr.engine.hadoop.storage import Storage, is_compressed, is_hidden, opened
from local_emr.engine.hadoop.streaming_options import StreamingJob

SPLIT_BYTES = 32 << 20
"""The block size of a local file system in Hadoop, which a file is cut by."""


@dataclass(frozen=True)
class Split:
    """A part of a file, in bytes; `address` is the file's. Compressed files are not cut."""

    address: str
    path: Path
    start: int
    length: int

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield where each line begins, and the line: those that begin in the split, and the one that begins where it ends."""
        with opened(self.path) as file:
            place = self.start
            if place:
                file.seek(place)
                place += len(file.readline())
            whole = self.start == 0 and self.length == self.path.stat().st_size
            while (whole or place <= self.start + self.length) and (line := file.readline()):
                yield place, line.removesuffix(b"\n").removesuffix(b"\r")
                place += len(line)


def splits(storage: Storage, job: StreamingJob) -> list[Split]:
    """Cut the input into what one mapper each reads, the largest first, as Hadoop's client does.

    Raises FileNotFoundError for input that is not there, ValueError for folders within it.
    """
    found = [split for address in job.inputs for file in _files(storage, job, address) for split in _cut(job, *file)]
    return sorted(found, key=lambda split: -split.length)


def _files(storage: Storage, job: StreamingJob, pattern: str) -> list[tuple[str, Path]]:
    matching = storage.matching(pattern)
    if not matching:
        has_pattern = any(character in pattern for character in "*?[{")
        raise FileNotFoundError(
            f"Input Pattern {pattern} matches 0 files" if has_pattern else f"Input path does not exist: {pattern}"
        )
    found = []
    for address in matching:
        path = storage.local(address)
        deep = job.is_on("mapreduce.input.fileinputformat.input.dir.recursive")
        for file in _visible(path, deep=deep) if path.is_dir() else [path]:
            if file.is_dir():
                raise ValueError(f"Not a file: {storage.address(file, address)}")
            found.append((storage.address(file, address), file))
    return found


def _visible(folder: Path, *, deep: bool) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if is_hidden(path.name):
            continue
        if path.is_dir() and deep:
            yield from _visible(path, deep=True)
        else:
            yield path


def _cut(job: StreamingJob, address: str, path: Path) -> Iterator[Split]:
    if job.input_format == "NLineInputFormat":
        yield from _by_lines(job, address, path)
        return
    size = path.stat().st_size
    longest = size if is_compressed(path) else job.number("mapreduce.input.fileinputformat.split.maxsize", SPLIT_BYTES)
    start = 0
    while start + longest < size:
        yield Split(address, path, start, longest)
        start += longest
    yield Split(address, path, start, size - start)


def _by_lines(job: StreamingJob, address: str, path: Path) -> Iterator[Split]:
    """Cut a file after every so many lines; a split begins with the end of the line before, which is another's."""
    many = job.number("mapreduce.input.lineinputformat.linespermap", 1)
    begins, end = [], 0
    for number, (place, line) in enumerate(Split(address, path, 0, path.stat().st_size).lines()):
        end = place + len(line) + 1
        if number % many == 0:
            begins.append(place)
    for begin, next_begin in zip(begins, [*begins[1:], end], strict=True):
        start = max(begin - 1, 0)
        yield Split(address, path, start, next_begin - 1 - start)


def records(job: StreamingJob, split_of_file: Split) -> Iterator[bytes]:
    """Yield the lines that a mapper gets: of other formats than text with their keys, which are places in the file."""
    for place, line in split_of_file.lines():
        if job.input_format == "KeyValueTextInputFormat":
            separator = job.properties.get("mapreduce.input.keyvaluelinerecordreader.key.value.separator", "\t")
            key, value = split(line, separator.encode(), 1)
            yield key + b"\t" + value
        elif job.input_format == "NLineInputFormat" and not job.is_on("stream.map.input.ignoreKey"):
            yield b"%d\t%b" % (place, line)
        else:
            yield line
