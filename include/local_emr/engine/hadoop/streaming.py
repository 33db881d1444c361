"""Hadoop Streaming on one machine: mappers, a sort, reducers, as processes of their own over files of S3 and HDFS.

`python -m local_emr.engine.hadoop.streaming S3 HDFS -input ... -output ... -mapper ... -reducer ...` in a folder of its own.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from local_emr.engine.hadoop import log
from local_emr.engine.hadoop.inputs import Split, splits
from local_emr.engine.hadoop.keys import order, partitioner
from local_emr.engine.hadoop.programs import Counters, Processes, TaskFailedError
from local_emr.engine.hadoop.storage import UNREADABLE, Storage
from local_emr.engine.hadoop.streaming_options import StreamingJob, parse
from local_emr.engine.hadoop.tasks import FRAMEWORK, Tasks

_error = partial(log.error, "streaming.StreamJob")
_info = partial(log.info, "mapreduce.Job")
_T = TypeVar("_T")
_UNUSABLE, _EXISTS, _NOT_LAUNCHED, _FAILED = 1, 4, 5, 1
"""Exit codes of org.apache.hadoop.streaming.StreamJob."""


def run(storage: Storage, words: Sequence[str], folder: Path) -> int:
    """Run a job in a folder of its own, and return the exit code of Hadoop Streaming."""
    try:
        job = parse(words)
        partitioner(job)
        order(job)
    except ValueError as error:
        _error(str(error))
        return _UNUSABLE
    try:
        output = storage.local(job.output)
        if output.exists():
            _error(f"Error launching job , Output path already exists : Output directory {job.output} already exists")
            return _EXISTS
        parts = splits(storage, job)
        job = _with_code(storage, job, folder / "code")
    except (ValueError, *UNREADABLE) as error:
        _error(f"Error Launching job : {error}")
        return _NOT_LAUNCHED
    try:
        written = _ran(job, parts, folder)
    except (TaskFailedError, ValueError, *UNREADABLE) as error:
        sys.stderr.write(f"java.lang.RuntimeException: {error}\n")
        _error("Job not successful!")
        return _FAILED
    _commit(storage, job, output, written)
    log.info("streaming.StreamJob", f"Output directory: {job.output}")
    return 0


def _with_code(storage: Storage, job: StreamingJob, code: Path) -> StreamingJob:
    """Bring files and archives to where tasks find them; a program named by an address in S3 is one of the files."""
    code.mkdir()
    commands: dict[str, Any] = {}
    fetched = list(job.files)
    for name in ("mapper", "combiner", "reducer"):
        command = getattr(job, name)
        program, _, rest = (command or "").partition(" ")
        if program.startswith(("s3://", "s3a://", "s3n://")):
            fetched.append(program)
            commands[name] = f"{shlex.quote(program.rpartition('/')[2])} {rest}".strip()
    for address in fetched:
        path, name = _source(storage, address)
        if path.is_dir():
            shutil.copytree(path, code / name)
        else:
            shutil.copyfile(path, code / name)
            (code / name).chmod(0o755)
    for address in job.archives:
        path, name = _source(storage, address)
        shutil.unpack_archive(path, code / name, "zip" if path.suffix == ".jar" else None, filter=_filter_of(path))
    return replace(job, **commands)


def _filter_of(path: Path) -> Any:
    """Tar files must stay in their folder; those of other formats do so by themselves."""
    return None if path.suffix in {".zip", ".jar"} else "data"


def _source(storage: Storage, address: str) -> tuple[Path, str]:
    """Return the file behind an address and its name for tasks; without a scheme it is a file of this machine."""
    place, _, name = address.partition("#")
    path = storage.local(place) if ":" in place else Path(place)
    if not path.exists():
        raise FileNotFoundError(f"File {place} does not exist")
    return path, name or path.name


def _ran(job: StreamingJob, parts: Sequence[Split], folder: Path) -> list[Path]:
    """Run all tasks, as many at a time as there are processors, and return where the output lies."""
    counters = Counters()
    properties = {**job.properties, "mapreduce.job.maps": str(len(parts))}
    tasks = Tasks(replace(job, properties=properties), folder, folder / "code", counters, f"local{os.getpid()}_0001")
    _info(f"Running job: job_{tasks.identity}: {len(parts)} mappers, {job.reducers} reducers")
    mapped = _together(tasks.processes, tasks.map, list(enumerate(parts)))
    if job.reducers:
        runs = list(zip(*mapped, strict=True))
        written = _together(tasks.processes, tasks.reduce, list(enumerate(runs)))
    else:
        written = [path for paths in mapped for path in paths]
    _tell(counters)
    return written


def _together(processes: Processes, task: Callable[..., _T], arguments: Sequence[tuple[Any, ...]]) -> list[_T]:
    """Return what the task gives for each arguments; the first failure ends all programs, and is raised."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        running = [pool.submit(task, *given) for given in arguments]
        ended, waiting = wait(running, return_when=FIRST_EXCEPTION)
        failures = [failure for future in running if future in ended and (failure := future.exception())]
        if failures:
            processes.end()
            for future in waiting:
                future.cancel()
            raise failures[0]
        return [future.result() for future in running]


def _tell(counters: Counters) -> None:
    """Show the counters as Hadoop's client does, its own first."""
    sums = sorted(counters.sums.items(), key=lambda counted: (counted[0][0] != FRAMEWORK, counted[0]))
    _info(f"Counters: {len(sums)}")
    for group, members in groupby(sums, key=lambda counted: counted[0][0]):
        sys.stderr.write(f"\t{group}\n")
        sys.stderr.writelines(f"\t\t{name}={value}\n" for (_, name), value in members)


def _commit(storage: Storage, job: StreamingJob, output: Path, written: Sequence[Path]) -> None:
    """Let the output appear, and last of all what says that it is complete."""
    if job.output_format == "NullOutputFormat":
        return
    for part in written:
        if part.stat().st_size or not job.lazy:
            with storage.writing(output / part.name) as file, part.open("rb") as content:
                shutil.copyfileobj(content, file)
    if job.is_on("mapreduce.fileoutputcommitter.marksuccessfuljobs", otherwise=True):
        with storage.writing(output / "_SUCCESS"):
            pass


def main() -> int:
    """Run as a program, in the working folder; return its exit code."""
    s3, hdfs, *words = sys.argv[1:]
    os.environ.pop("PYTHONPATH", None)  # it is this program's own, not the mappers'
    code = run(Storage(Path(s3), Path(hdfs)), words, Path.cwd())
    if code:
        sys.stderr.write("Streaming Command Failed!\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
