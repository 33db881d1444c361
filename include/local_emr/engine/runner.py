"""The engine itself: starts steps, and keeps what outlives one: caches, metastores, the archive's preparation."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from local_emr.engine.archives import unpack
from local_emr.engine.cache import Cache
from local_emr.engine.contract import Outcome, RunningStep, Step
from local_emr.engine.failures import UNKNOWN
from local_emr.engine.launching import Launch, Place, job_environment, launch
from local_emr.engine.metastore import MEMORY_MB, Metastore
from local_emr.engine.planning import RUN_JAR, Command, JavaCommand, Refusal, ShellCommand, SparkCommand, plan
from local_emr.engine.processes import GuardedProcess
from local_emr.engine.running import Controller, EndedStep, ProcessStep

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_emr.engine.java import Java

logger = logging.getLogger(__name__)


class Engine:
    """Runs steps over the data of one endpoint.

    `data` is the endpoint's data folder: bucket b's key k is the file `<data>/s3/b/k`.
    `endpoint_url` is what jobs get as AWS_ENDPOINT_URL. `cache` is a folder that several endpoints may share.
    """

    def __init__(self, data: Path, endpoint_url: str, *, cache: Path | None = None) -> None:
        self._data = data.resolve()
        self._endpoint_url = endpoint_url
        self._shared_cache = cache.resolve() if cache else self._data / "cache"
        self._cache = Cache(self._data, self._shared_cache)
        self._lock = threading.RLock()
        self._java: Java | None = None
        self._steps: set[ProcessStep] = set()
        self._metastores: dict[Path, Metastore] = {}
        self._preparation: GuardedProcess | None = None
        self._java_used = False
        self._closed = False

    def prepare(self) -> None:
        """Make what every step needs and is not cached yet (a second once, then nothing). `start` does it if need be.

        Raises PreparationError when the JVM of the wheel cannot do it.
        """
        with self._lock:
            if self._java is None:
                self._java = self._cache.java()

    def java(self) -> Java:
        """Return the JVM that steps run on, for what is no step; see `prepare` for what it takes and raises."""
        self.prepare()
        assert self._java is not None  # noqa: S101 - prepare has just made it
        return self._java

    def start(
        self,
        step: Step,
        *,
        folder: Path,
        cluster: Path,
        environment: Mapping[str, str],
        spark_defaults: Mapping[str, str],
    ) -> RunningStep:
        """Start `step`; its logs `controller`, `stdout` and `stderr` grow in `folder` as plain text.

        `cluster` is the folder of what lives as long as the cluster (tables, HDFS). What has no engine here, or
        asks for what cannot be, comes back as a step that has already failed, with the reason.
        Raises PreparationError and OSError for what is not the step's fault, RuntimeError after `close`.
        """
        folder, cluster = folder.resolve(), cluster.resolve()
        (folder / "work").mkdir(parents=True, exist_ok=True)
        for log in ("stdout", "stderr"):
            (folder / log).touch()
        controller = Controller(folder)
        controller.start(step)
        for note in step.notes:
            controller.say(f"INFO {note}")
        try:
            command = plan(step)
            if isinstance(command, Refusal):
                return _failed(controller, folder, command.reason, command.message)
            return self._start(
                command,
                controller,
                folder=folder,
                cluster=cluster,
                environment=environment,
                spark_defaults=spark_defaults,
            )
        except ValueError as error:
            return _failed(controller, folder, "Invalid configuration", str(error))
        except FileNotFoundError as error:
            return _failed(controller, folder, UNKNOWN, str(error))
        except Exception as error:
            _failed(controller, folder, UNKNOWN, str(error))
            raise

    def _start(  # noqa: PLR0913 - what `start` was given
        self,
        command: Command,
        controller: Controller,
        *,
        folder: Path,
        cluster: Path,
        environment: Mapping[str, str],
        spark_defaults: Mapping[str, str],
    ) -> RunningStep:
        """Raise FileNotFoundError for a script or jar that is not there, ValueError for an impossible setting."""
        place = self._place(folder, cluster)
        _bring_files(command, place)
        unpacked = unpack(command.options, spark_defaults, place) if isinstance(command, SparkCommand) else {}
        launched = launch(command, self.java(), place, {**unpacked, **environment}, spark_defaults)
        for note in launched.notes:
            controller.say(f"INFO {note}")
        if isinstance(command, SparkCommand) and command.uses_metastore:
            self._metastore(cluster).warm()
        with self._lock:
            self._java_used |= isinstance(command, SparkCommand | JavaCommand)
        return self._run(launched, folder, controller)

    def release(self, cluster: Path) -> None:
        """End what serves `cluster` beside its steps (the metastore): the cluster has ended."""
        with self._lock:
            metastore = self._metastores.pop(cluster.resolve(), None)
        if metastore is not None:
            metastore.close()

    def close(self) -> None:
        """End every step and service: the endpoint ends. Nothing that the engine started runs afterwards."""
        with self._lock:
            self._closed = True
            steps, metastores = list(self._steps), list(self._metastores.values())
            self._metastores.clear()
            preparation = self._preparation
        ending = [step.cancel for step in steps] + [metastore.close for metastore in metastores]
        if preparation is not None:
            ending.append(preparation.end)
        threads = [threading.Thread(target=end) for end in ending]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _place(self, folder: Path, cluster: Path) -> Place:
        place = Place(
            work=folder / "work",
            hdfs=cluster / "hdfs",
            s3=self._data / "s3",
            events=self._data / "spark-events" / self._name(folder),
            endpoint_url=self._endpoint_url,
            metastore_uri=self._metastore(cluster).uri,
        )
        (cluster / "tmp").mkdir(parents=True, exist_ok=True)
        place.hdfs.mkdir(exist_ok=True)
        place.events.mkdir(parents=True, exist_ok=True)
        return place

    def _name(self, folder: Path) -> str:
        """Return what a job is called, from its folder: `<step>`, or `<job run>-<attempt>`."""
        jobs = self._data / "jobs"
        return "-".join(folder.relative_to(jobs).parts) if folder.is_relative_to(jobs) else folder.name

    def _metastore(self, cluster: Path) -> Metastore:
        with self._lock:
            if self._closed:
                raise RuntimeError("The endpoint is ending: it starts no more steps.")
            if cluster not in self._metastores:
                self._metastores[cluster] = Metastore(
                    cluster,
                    lambda arguments: self._metastore_command(cluster, arguments),
                    job_environment(self._endpoint_url),
                )
            return self._metastores[cluster]

    def _metastore_command(self, cluster: Path, arguments: list[str]) -> list[str]:
        main_class, *rest = arguments
        return self.java().command(
            main_class, rest, hdfs=cluster / "hdfs", temporary=cluster / "tmp", memory_mb=MEMORY_MB
        )

    def _run(self, launched: Launch, folder: Path, controller: Controller) -> RunningStep:
        controller.say(f"INFO redirectOutput to {folder / 'stdout'}")
        controller.say(f"INFO redirectError to {folder / 'stderr'}")
        controller.say(f"INFO Working dir {folder / 'work'}")
        with self._lock, (folder / "stdout").open("ab") as stdout, (folder / "stderr").open("ab") as stderr:
            if self._closed:
                raise RuntimeError("The endpoint is ending: it starts no more steps.")
            process = GuardedProcess(
                launched.arguments,
                folder=folder / "work",
                environment=launched.environment,
                stdout=stdout,
                stderr=stderr,
            )
            controller.say(f"INFO ProcessRunner started child process {process.pid}")
            step = ProcessStep(process, folder, controller, self._forget)
            self._steps.add(step)
        return step

    def _forget(self, step: ProcessStep) -> None:
        """Let go of an ended step; the first moment in which none runs is used to prepare faster ones."""
        with self._lock:
            self._steps.discard(step)
            idle = not (self._steps or self._closed or self._preparation)
            if idle and self._java_used and self._java is not None and self._java.archive is None:
                self._preparation = self._make_archive()
                threading.Thread(target=self._take_archive, args=(self._preparation,), daemon=True).start()

    def _make_archive(self) -> GuardedProcess:
        """Archive Spark's classes in a process that only takes processors nobody else wants."""
        packages = Path(__file__).parents[2]
        environment = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(packages)}
        command = [sys.executable, "-m", __package__, "prepare", "--background", "--data", str(self._data)]
        command += ["--cache", str(self._shared_cache)]
        with (self._cache.folder / "archive.log").open("wb") as log:
            return GuardedProcess(command, folder=self._cache.folder, environment=environment, stdout=log, stderr=log)

    def _take_archive(self, preparation: GuardedProcess) -> None:
        """Use the archive for the next steps, once it is there."""
        if preparation.wait() == 0:
            java = self._cache.java()
            with self._lock:
                self._java = java
        elif not self._closed:
            logger.warning("Jobs stay slower: no archive of classes, see %s", self._cache.folder / "archive.log")


def _bring_files(command: Command, place: Place) -> None:
    """Copy a script-runner's script to where it runs, and look for the jar of a jar step."""
    if isinstance(command, JavaCommand) and command.main_class == RUN_JAR:
        _existing(command.arguments[0], place)
    if isinstance(command, ShellCommand) and command.script is not None:
        script = place.work / Path(command.script).name
        shutil.copyfile(_existing(command.script, place), script)
        script.chmod(0o700)


def _existing(uri: str, place: Place) -> Path:
    file = place.local(uri)
    if not file.is_file():
        raise FileNotFoundError(f"No such file: {uri}. Upload it, or correct the step.")
    return file


def _failed(controller: Controller, folder: Path, reason: str, message: str) -> EndedStep:
    outcome = Outcome(succeeded=False, exit_code=None, reason=reason, message=message)
    controller.end(outcome)
    (folder / "stderr").write_text(f"{message}\n")
    shutil.rmtree(folder / "work", ignore_errors=True)
    return EndedStep(outcome)
