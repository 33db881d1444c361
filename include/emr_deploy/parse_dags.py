"""What `emr_deploy.check_dags` runs: one forked process for each DAG file and environment, as Airflow's dag-processor has them."""

from __future__ import annotations

import multiprocessing
import os
import re
import sys
import time
import traceback
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from airflow import plugins_manager
from airflow.dag_processing.dagbag import BundleDagBag
from airflow.dag_processing.importers import get_importer_registry
from airflow.serialization.serialized_objects import DagSerialization

from emr_pipelines.environments import environment_files, include_folder
from emr_pipelines.errors import suggestion

_FORK = multiprocessing.get_context("fork")
_FRAME = re.compile(r'^ *File "(.+)", line (\d+)', re.MULTILINE)
_CONTACTS = {"socket.connect": 1, "socket.getaddrinfo": 0, "sqlite3.connect": 0}
"""Audit events of Python (its "Audit events table") with which a process reaches out, and where each says to what."""


@dataclass
class Parsed:
    """What became of a file: its DAGs by id with their numbers of tasks, and what is wrong with it."""

    file: Path
    dags: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    """Each as ``file:line: cause``."""
    seconds: float = 0.0

    @property
    def words(self) -> str:
        """What it is, in a line."""
        dags, tasks = len(self.dags), sum(self.dags.values())
        return f"{dags} DAG{'s' * (dags != 1)}, {tasks} task{'s' * (tasks != 1)}, {self.seconds:.2f} s"


def dag_files(folder: Path) -> list[Path]:
    """List the files of a folder that Airflow would parse."""
    return sorted(Path(file) for file in get_importer_registry().list_dag_files(folder, safe_mode=True))


def parse_apart(file: Path, folder: Path, environment: str, seconds: float) -> Parsed:
    """Parse a file in a process of its own, which has ``seconds`` for it."""
    receiver, sender = _FORK.Pipe(duplex=False)
    process = _FORK.Process(target=_send_parsed, args=(sender, file, folder, environment))
    process.start()
    sender.close()
    try:
        if receiver.poll(seconds):
            return receiver.recv()  # type: ignore[no-any-return]  # what _send_parsed has sent
        return Parsed(
            file,
            faults=[f"{file}: is not parsed after {seconds:g} s: move what takes long into a task"],
            seconds=seconds,
        )
    except EOFError:
        return Parsed(file, faults=[f"{file}: ended the process that parsed it"])
    finally:
        process.kill()
        process.join()


def _send_parsed(sender: Connection, file: Path, folder: Path, environment: str) -> None:
    os.environ["EMR_PIPELINES_ENVIRONMENT"] = environment
    sender.send(parse(file, folder))


def parse(file: Path, folder: Path) -> Parsed:
    """Parse a file as the dag-processor does. This process can reach out to nothing from then on."""
    reached: list[str] = []
    _refuse_contacts(file, reached)
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        bag = BundleDagBag(dag_folder=file, bundle_path=folder, load_op_links=False)
    faults = [_located(file, text) for text in bag.import_errors.values()]
    for dag in bag.dags.values():
        try:
            DagSerialization.to_dict(dag)
        except Exception:  # noqa: BLE001  # whatever it is, the dag-processor would show it
            faults.append(_located(file, traceback.format_exc()))
    took = time.perf_counter() - begun
    told = [*reached, *faults, *(text for texts in bag.captured_warnings.values() for text in texts)]
    return Parsed(file, {name: len(dag.tasks) for name, dag in bag.dags.items()}, list(dict.fromkeys(told)), took)


def _refuse_contacts(file: Path, reached: list[str]) -> None:
    """Refuse connections to AWS, to a database or to anybody else, and tell the line of the file that wanted one."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _CONTACTS:
            frames = [frame for frame in traceback.extract_stack() if frame.filename == str(file)]
            line = f":{frames[-1].lineno}" if frames else ""
            to = arguments[_CONTACTS[event]]
            cause = "asks Airflow's database" if event == "sqlite3.connect" else f"reaches out to {to}"
            reached.append(f"{file}{line}: {cause} when it is parsed: do that in a task")
            raise ConnectionRefusedError(reached[-1])

    sys.addaudithook(hook)


def _located(file: Path, text: str) -> str:
    """Say an error by the line of the DAG's file that it came from, and its last line: the cause."""
    lines = [line for name, line in _FRAME.findall(text) if name == str(file)]
    cause = text.strip().splitlines()[-1]
    return f"{file}{':' + lines[-1] if lines else ''}: {cause}"


def duplicates(parsed: Iterable[Parsed]) -> Iterator[str]:
    """Tell the ids that DAGs of several files have: Airflow shows one of them, now this and now that."""
    owner: dict[str, Path] = {}
    for one in parsed:
        for dag_id in one.dags:
            if dag_id in owner:
                yield f"{one.file}: DAG {dag_id!r} is in {owner[dag_id]} too: name one of them otherwise"
            owner.setdefault(dag_id, one.file)


def check(folder: Path, environment: str, seconds: float) -> Iterator[tuple[str, list[str], str]]:
    """Yield for each file, and for what concerns several: a name, what is wrong, and what it is where nothing is."""
    parsed = [parse_apart(file, folder, environment, seconds) for file in dag_files(folder)]
    for one in parsed:
        yield f"{environment}/{one.file.relative_to(folder)}", one.faults, one.words
    if not parsed:
        yield environment, [f"there is no DAG in {folder}: name a folder with DAG files"], ""
    if found := list(duplicates(parsed)):
        yield environment, found, ""


def main(folder: Path, chosen: str, seconds: float) -> int:
    """Print the lines of the chosen environments and return the exit code."""
    known = environment_files(include_folder() / "compute")
    if chosen not in {"all", *known}:
        print(f"There is no environment {chosen!r}{suggestion(chosen, known)}; there are: all, {', '.join(known)}")  # noqa: T201  # a command
        return 1
    plugins_manager.ensure_plugins_loaded()
    wrong = False
    for environment in known if chosen == "all" else [chosen]:
        for name, faults, words in check(folder, environment, seconds):
            wrong = wrong or bool(faults)
            print(f"{name:40}  {'WRONG' if faults else 'ok   '}  {'' if faults else words}".rstrip())  # noqa: T201  # a command
            for fault in faults:
                print(f"  {fault}")  # noqa: T201  # a command
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), sys.argv[2], float(sys.argv[3])))
