"""Mappers and reducers of Hadoop Streaming: what goes into each program, and what becomes of what comes out."""

from __future__ import annotations

import heapq
import marshal
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

from local_emr.engine.hadoop.aggregates import aggregated
from local_emr.engine.hadoop.inputs import Split, records
from local_emr.engine.hadoop.keys import Record, order, partitioner, split
from local_emr.engine.hadoop.programs import Counters, Processes, Program
from local_emr.engine.hadoop.storage import compressed
from local_emr.engine.hadoop.streaming_options import StreamingJob

_T = TypeVar("_T")
FRAMEWORK = "Map-Reduce Framework"
_GZIP = "org.apache.hadoop.io.compress.GzipCodec"
_OLDER_NAMES = {
    "mapreduce.map.input.file": "map_input_file",
    "mapreduce.map.input.start": "map_input_start",
    "mapreduce.map.input.length": "map_input_length",
    "mapreduce.task.id": "mapred_tip_id",
    "mapreduce.task.attempt.id": "mapred_task_id",
    "mapreduce.task.partition": "mapred_task_partition",
    "mapreduce.task.ismap": "mapred_task_is_map",
    "mapreduce.job.id": "mapred_job_id",
}


@dataclass(frozen=True)
class Tasks:
    """The tasks of one job: `folder` is where they run, `code` holds the files that each finds in its own folder."""

    job: StreamingJob
    folder: Path
    code: Path
    counters: Counters
    identity: str
    processes: Processes = field(default_factory=Processes)

    def map(self, number: int, part: Split) -> list[Path]:
        """Run a mapper, and return where its records lie, sorted, for each reducer; without reducers where its output lies."""
        told = {
            "mapreduce.map.input.file": part.address,
            "mapreduce.map.input.start": str(part.start),
            "mapreduce.map.input.length": str(part.length),
        }
        mapper = self._program(self.job.mapper, "m", number, told)
        given = self._counted(records(self.job, part), "Map input records")
        lines = self._counted(mapper.lines(given, self.counters), "Map output records")
        output = (self._split(line, "map") for line in lines)
        if not self.job.reducers:
            return [self._written(number, output)]
        return self._sorted(number, output)

    def reduce(self, number: int, runs: Sequence[Path]) -> Path:
        """Run a reducer on what all mappers have for it, and return where its output lies."""
        key_order = order(self.job)
        merged = heapq.merge(*map(_read, runs), key=lambda record: key_order(record[0]))
        given = self._counted(self._grouped(merged), "Reduce input records")
        output: Iterable[Record]
        if self.job.reducer is None:
            output = given
        elif self.job.reducer == "aggregate":
            groups = groupby(given, key=itemgetter(0))
            sums = (aggregated(key, (value for _, value in members)) for key, members in groups)
            output = (split(line, b"\t", 1) for line in sums)
        else:
            reducer = self._program(self.job.reducer, "r", number, {})
            lines = reducer.lines(self._joined(given), self.counters)
            output = (self._split(line, "reduce") for line in lines)
        return self._written(number, self._counted(output, "Reduce output records"))

    def _sorted(self, number: int, output: Iterable[Record]) -> list[Path]:
        """Sort a mapper's records for each reducer, and let the combiner have them."""
        reducer_of, key_order = partitioner(self.job), order(self.job)
        parts: list[list[Record]] = [[] for _ in range(self.job.reducers)]
        for record in output:
            parts[reducer_of(record[0])].append(record)
        runs = []
        for reducer, part in enumerate(parts):
            part.sort(key=lambda record: key_order(record[0]))
            run = self.folder / f"run_{number:06}_{reducer:05}"
            _write(run, self._combined(number, part) if self.job.combiner and part else part)
            part.clear()
            runs.append(run)
        return runs

    def _combined(self, number: int, part: list[Record]) -> list[Record]:
        combiner = self._program(str(self.job.combiner), "m", number, {})
        given = self._counted(part, "Combine input records")
        lines = self._counted(combiner.lines(self._joined(given), self.counters), "Combine output records")
        key_order = order(self.job)
        return sorted((self._split(line, "map") for line in lines), key=lambda record: key_order(record[0]))

    def _written(self, number: int, output: Iterable[Record]) -> Path:
        """Write an output file as TextOutputFormat does: also a key without a value is followed by the separator."""
        is_compressed = self.job.is_on("mapreduce.output.fileoutputformat.compress")
        codec = self.job.properties.get("mapreduce.output.fileoutputformat.compress.codec", _GZIP)
        if is_compressed and codec != _GZIP:
            raise ValueError(f"The codec {codec} is not on this machine, which has {_GZIP}: run it on EMR")
        suffix = ".gz" if is_compressed else ""
        separator = self.job.properties.get("mapreduce.output.textoutputformat.separator", "\t").encode()
        path = self.folder / f"part-{number:05}{suffix}"
        with path.open("wb") as file:
            writer = compressed(file, suffix)
            for key, value in output:
                writer.write(key + separator + value + b"\n")
            if writer is not file:
                writer.close()
        return path

    def _program(self, command: str, kind: str, number: int, told: dict[str, str]) -> Program:
        task = f"{self.identity}_{kind}_{number:06}"
        folder = self.folder / f"task_{kind}_{number:06}"
        if not folder.is_dir():
            folder.mkdir()
            for file in self.code.iterdir():
                (folder / file.name).symlink_to(file)
        facts = {
            **self.job.properties,
            "mapreduce.job.id": f"job_{self.identity}",
            "mapreduce.task.id": f"task_{task}",
            "mapreduce.task.attempt.id": f"attempt_{task}_0",
            "mapreduce.task.partition": str(number),
            "mapreduce.task.ismap": str(kind == "m").lower(),
            **told,
        }
        variables = {re.sub(r"[^A-Za-z0-9]", "_", name): value for name, value in facts.items()}
        variables |= {older: facts[name] for name, older in _OLDER_NAMES.items() if name in facts}
        variables |= {"TMPDIR": str(folder), **self.job.environment}
        must_succeed = self.job.is_on("stream.non.zero.exit.is.failure", otherwise=True)
        return Program(self.processes, command, folder, variables, must_succeed)

    def _split(self, line: bytes, stage: str) -> Record:
        separator = self.job.properties.get(f"stream.{stage}.output.field.separator", "\t")
        return split(line, separator.encode(), self.job.number(f"stream.num.{stage}.output.key.fields", 1))

    def _joined(self, given: Iterable[Record]) -> Iterator[bytes]:
        separator = self.job.properties.get("stream.reduce.input.field.separator", "\t").encode()
        return (key + separator + value for key, value in given)

    def _grouped(self, merged: Iterable[Record]) -> Iterator[Record]:
        for _, members in groupby(merged, key=itemgetter(0)):
            self.counters.add(FRAMEWORK, "Reduce input groups")
            yield from members

    def _counted(self, given: Iterable[_T], name: str) -> Iterator[_T]:
        number = 0
        try:
            for one in given:
                number += 1
                yield one
        finally:
            self.counters.add(FRAMEWORK, name, number)


def _write(run: Path, part: Sequence[Record]) -> None:
    with run.open("wb") as file:
        for record in part:
            marshal.dump(record, file)


def _read(run: Path) -> Iterator[Any]:
    with run.open("rb") as file:
        while True:
            try:
                yield marshal.load(file)  # noqa: S302 - this program wrote it a moment ago
            except EOFError:
                return
