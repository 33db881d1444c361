"""The local Airflow: four components as processes that start, live and end together."""

import fcntl
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx

from local_airflow import endpoint, logs, processes, settings
from local_airflow.errors import LocalAirflowError
from local_airflow.ports import LOOPBACK, any_free, require_free
from local_airflow.rest import AirflowClient

DEFAULT_PORT = 8080
START_SECONDS = 180
STOP_SECONDS = 5  # the scheduler would wait for running tasks; a task that is killed is found and retried later
# The api-server takes longest to start, so it starts first. The servers that would offer logs to other machines
# listen on every address: on one machine the api-server reads the files.
COMPONENTS: Mapping[str, Sequence[str]] = {
    "api-server": (),
    "scheduler": ("--skip-serve-logs",),
    "dag-processor": (),
    "triggerer": ("--skip-serve-logs",),
}


def not_ready(health: Mapping[str, Any], since: datetime) -> list[str]:
    """Name the parts of `/api/v2/monitor/health` that are unhealthy or whose last heartbeat is older than `since`."""
    missing = [] if health["metadatabase"]["status"] == "healthy" else ["metadatabase"]
    for part in ("scheduler", "dag_processor", "triggerer"):
        report = health.get(part) or {}
        beat = report.get(f"latest_{part}_heartbeat")
        if report.get("status") != "healthy" or not beat or datetime.fromisoformat(beat) < since:
            missing.append(part.replace("_", "-"))
    return missing


class LocalAirflow:
    """One Airflow in one home folder, on the loopback address, for the DAGs and plugins of one checkout.

    `endpoint_url` is the AWS endpoint its tasks use; without one they have none. `dag_folders` default to the
    checkout's `dags/`. `environment` is added to every component's. `port` 0 takes any free port. `python` is that of the
    virtual environment whose Airflow it is. An Airflow that already runs in `home` is taken over: its port, its database,
    its processes.
    """

    def __init__(  # noqa: PLR0913  each is a choice of its own
        self,
        home: Path,
        root: Path,
        port: int = DEFAULT_PORT,
        *,
        endpoint_url: str | None = None,
        dag_folders: Sequence[Path] = (),
        environment: Mapping[str, str] | None = None,
        python: Path = Path(sys.executable),
    ) -> None:
        self.home = home.absolute()
        self.root = root.absolute()
        self.port = port
        self.endpoint_url = endpoint_url
        self.dag_folders = [folder.absolute() for folder in dag_folders] or [self.root / "dags"]
        self.python = python
        self._extra = dict(environment or {})
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._log_starts: dict[str, int] = {}
        self._launched_at = datetime.min.replace(tzinfo=UTC)
        if self.alive():
            self.port = int(self._written_config()["api"]["port"])

    @property
    def url(self) -> str:
        """The address of the UI and the REST API."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def password_file(self) -> Path:
        """The file, readable by its owner alone, that holds the password of the user `admin`."""
        return self.home / "passwords.json"

    def password(self) -> str:
        """Return the password of the user `admin`; raise LocalAirflowError before the first start."""
        try:
            return str(json.loads(self.password_file.read_text())[settings.USER])
        except FileNotFoundError:
            raise LocalAirflowError("There is no password before the first start. Type: make up") from None

    def client(self) -> AirflowClient:
        """Return a client of the REST API, logged in as `admin`."""
        return AirflowClient(self.url, settings.USER, self.password())

    def log_of(self, component: str) -> Path:
        """Return the log file of a component."""
        return self.home / "logs" / f"{component}.log"

    def components(self) -> dict[str, int | None]:
        """Return each component's process id, None for one that does not run."""
        found = {name: processes.running(processes.read(self._record(name))) for name in COMPONENTS}
        return {name: process.pid if process else None for name, process in found.items()}

    def alive(self) -> bool:
        """Tell whether all components run."""
        return all(self.components().values())

    def launch(self) -> bool:
        """Start the components unless they run; returns whether it did. `wait` then waits until they work.

        What is left of an incomplete system, or of one for another endpoint, is ended first.
        """
        if self.alive() and self._run_note() == self._note():
            return False
        self.stop()
        self.port = self.port or any_free()
        require_free(self.port, "Airflow")
        self._prepare_home()
        self._migrate()
        self._launched_at = datetime.now(UTC)
        for name in COMPONENTS:
            self.launch_component(name)
        self._note_file().write_text(json.dumps(self._note()))
        return True

    def launch_component(self, name: str) -> None:
        """Start one component, which does not run, as `launch` does for all."""
        self._log_starts[name] = logs.size(self.log_of(name))
        self._children[name] = processes.start(
            [str(self.python), "-m", "airflow", name, *COMPONENTS[name]],
            record=self._record(name),
            log=self.log_of(name),
            environment=self.environment(),
            folder=self.root,
        )

    def end_component(self, name: str, grace: float = 0) -> None:
        """End one component alone: SIGTERM and up to `grace` seconds, or SIGKILL at once as a crash; what it started lives on.

        What lives on is ended by `stop`.
        """
        record = self._record(name)
        if leader := processes.running(processes.read(record)):
            record.rename(record.with_name(f"{name}.{leader.pid}.json"))
            processes.end(leader, grace)
        if child := self._children.pop(name, None):
            child.wait()

    def wait(self) -> None:
        """Return once every component works; raise LocalAirflowError when one ends before or they take too long."""
        deadline = time.monotonic() + START_SECONDS
        while missing := self._not_ready():
            for name, child in self._children.items():
                if child.poll() is not None:
                    text = logs.read_from(self.log_of(name), self._log_starts[name])
                    self.stop()
                    raise LocalAirflowError(logs.death_message(f"Airflow's {name}", text, self.log_of(name)))
            if time.monotonic() > deadline:
                late = ", ".join(missing)
                raise LocalAirflowError(
                    f"Airflow is not ready after {START_SECONDS} s, missing: {late}. Its logs: {self.home / 'logs'}"
                )
            time.sleep(0.2)

    def start(self) -> bool:
        """Start what does not run and wait until it works; returns whether anything was started.

        Raises LocalAirflowError when the endpoint does not answer, the port is taken or a component ends.
        """
        if self.endpoint_url:
            endpoint.require(self.endpoint_url)
        started = self.launch()
        self.wait()
        return started

    def stop(self) -> list[str]:
        """End all components and everything they started; returns what would not end (nothing, normally)."""
        ended_alone = (self.home / "run").glob("*.*.json")
        survivors = processes.stop([*(self._record(name) for name in COMPONENTS), *ended_alone], STOP_SECONDS)
        for child in self._children.values():
            child.poll()
        self._children.clear()
        self._note_file().unlink(missing_ok=True)
        return [f"{survivor.name()} (process {survivor.pid})" for survivor in survivors]

    def environment(self) -> dict[str, str]:
        """Return the environment of the components, with which `airflow` commands work on this home, too."""
        return settings.component_environment(os.environ, self.home, self.root, self.endpoint_url, self._extra)

    def _not_ready(self) -> list[str]:
        """Name what does not work yet."""
        try:
            reply = httpx.get(f"{self.url}/api/v2/monitor/health", timeout=30, trust_env=False)
            # The API that tasks speak with is built at its first request, which else the first task would wait for.
            tasks = httpx.get(f"{self.url}/execution/health", timeout=30, trust_env=False)
        except httpx.TransportError:
            return ["api-server"]
        return not_ready(reply.json(), self._launched_at) if reply.is_success and tasks.is_success else ["api-server"]

    def _prepare_home(self) -> None:
        """Write the configuration and, once, the password; both are for their owner's eyes only."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o700)
        (self.home / "logs").mkdir(exist_ok=True)
        (self.home / "run").mkdir(exist_ok=True)
        drawn = settings.kept_secrets(self._written_config()) or settings.new_secrets()
        config = settings.airflow_config(self.home, self.root, self.port, self.dag_folders, drawn)
        _write_private(self.home / "airflow.cfg", settings.render(config))
        if not self.password_file.exists():
            _write_private(self.password_file, json.dumps({settings.USER: secrets.token_urlsafe(12)}) + "\n")

    def _migrate(self) -> None:
        """Create or upgrade the database, when this version of Airflow has not done so before."""
        stamp = self.home / "run" / "database-version"
        current = version("apache-airflow-core")
        if stamp.exists() and stamp.read_text() == current and (self.home / "airflow.db").exists():
            return
        log = self.log_of("db-migrate")
        with log.open("wb") as output:
            command = [str(self.python), "-m", "airflow", "db", "migrate"]
            done = subprocess.run(  # noqa: S603  Airflow's own command
                command, check=False, stdout=output, stderr=output, env=self.environment(), cwd=self.root
            )
        if done.returncode:
            raise LocalAirflowError(logs.death_message("`airflow db migrate`", logs.read_from(log, 0), log))
        stamp.write_text(current)

    def _written_config(self) -> settings.Config:
        """Return the home's configuration as it was last written, empty before the first start."""
        try:
            return settings.parse((self.home / "airflow.cfg").read_text())
        except FileNotFoundError:
            return {}

    def _record(self, component: str) -> Path:
        """Return the file that holds the component's process."""
        return self.home / "run" / f"{component}.json"

    def _note_file(self) -> Path:
        """Return the file that says with what the running components were started."""
        return self.home / "run" / "started-with.json"

    def _note(self) -> dict[str, Any]:
        """Return what the running components must have been started with to be of use."""
        folders = [str(folder) for folder in self.dag_folders]
        return {"endpoint_url": self.endpoint_url, "dag_folders": folders, "environment": self._extra}

    def _run_note(self) -> Any:
        """Return what the running components were started with, None when unknown."""
        try:
            return json.loads(self._note_file().read_text())
        except (FileNotFoundError, ValueError):
            return None


@contextmanager
def only_one(home: Path) -> Iterator[None]:
    """Keep other commands off `home` meanwhile; raise LocalAirflowError when one is at work on it."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LocalAirflowError(
                "Another make up, down or demo is at work on this checkout. Wait for it, then try again."
            ) from None
        yield


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    draft = path.with_name(f".{path.name}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)
