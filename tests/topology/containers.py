"""Runs the services of docker-compose.yaml as processes, in the order and with the health checks and restarts that it asks for."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from local_airflow import logs
from tests.topology.compose import ComposeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.topology.compose import Service
    from tests.topology.differences import Machine, Started

INIT = Path(__file__).parent / "container" / "init.py"
LOOK_SECONDS = 0.2
"""Pause between two looks at what is not healthy yet. The file's intervals are for a machine that runs for months."""

TIMES = 4
"""How much longer a health check and an end may take than the file allows: a machine of tests is slow while it does other work."""

RESTART_SECONDS = 0.1
"""How long Docker waits before it starts again what has ended; twice as long each time, until it has run for 10 s."""


class TopologyError(Exception):
    """A container did not become what others wait for: which, and why, from its log."""


class Container:
    """One container of a service."""

    def __init__(self, name: str, service: Service, machine: Machine) -> None:
        self.name = name
        self.service = service
        self.log = machine.home / "logs" / f"{name}.log"
        self.starts: list[float] = []
        """When it was started, in seconds since 1970."""

        self._machine = machine
        self._started: Started | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper = threading.Thread(target=self._keep, name=name, daemon=True)
        self._stopping = threading.Event()

    def start(self) -> None:
        """Start it, and again whenever it ends, if the file says so."""
        self._started = self._machine.start_of(self.service, self.name)
        self._run()
        self._keeper.start()

    @property
    def process(self) -> psutil.Process:
        """Its first process."""
        assert self._process is not None
        return psutil.Process(self._process.pid)

    @property
    def exit_code(self) -> int | None:
        """The exit code of a container that is not started again; None while it runs."""
        if self._process is None or self._keeper.is_alive():
            return None
        return self._process.returncode

    def is_healthy(self) -> bool:
        """Run its health check, as Docker does inside the container. One without a check is well while it runs."""
        started = self._started
        if started is None or self.exit_code is not None:
            return False
        if started.health is None:
            return True
        assert self.service.health is not None
        return _succeeds(started.health, started, TIMES * self.service.health.timeout)

    def kill(self) -> None:
        """Kill every process in it at once, as when its memory runs out or its machine dies."""
        self._signal(signal.SIGUSR1)

    def stop(self) -> None:
        """End it for good: its stop signal, its time of grace, then SIGKILL. It returns at once; `join` waits."""
        self._stopping.set()
        self._signal(signal.Signals[self.service.stop_signal])

    def join(self) -> bool:
        """Wait for its end; return whether it ended by itself within its time of grace."""
        self._keeper.join(TIMES * self.service.grace)
        if in_time := not self._keeper.is_alive():
            return in_time
        self.kill()
        self._keeper.join()
        return False

    def _run(self) -> None:
        started = self._started
        assert started is not None
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(INIT), started.user or "", *started.command],
                env=started.environment,
                cwd=started.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.starts.append(time.time())

    def _keep(self) -> None:
        """Wait for its end, and start it again."""
        pause = RESTART_SECONDS
        while True:
            assert self._process is not None
            self._process.wait()
            pause = RESTART_SECONDS if time.time() - self.starts[-1] > 10 else 2 * pause
            if not self.service.restarts or self._stopping.wait(pause):
                return
            self._run()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)


def _succeeds(command: Sequence[str], started: Started, seconds: float) -> bool:
    """Run a command inside a container; what takes too long is killed, with all that it has started."""
    with subprocess.Popen(
        [sys.executable, "-I", str(INIT), started.user or "", *command],
        env=started.environment,
        cwd=started.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            return process.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGUSR1)
            return False


class Topology:
    """All containers of all services."""

    def __init__(self, services: Sequence[Service], machine: Machine) -> None:
        self.machine = machine
        self.services = {service.name: service for service in services}
        self.containers = {
            name: Container(name, service, machine)
            for service in services
            for name in (
                [service.name]
                if service.replicas == 1
                else [f"{service.name}-{number}" for number in range(1, service.replicas + 1)]
            )
        }
        self._healthy: set[str] = set()

    def of(self, service: str) -> list[Container]:
        """Return the containers of a service."""
        return [container for container in self.containers.values() if container.service.name == service]

    def up(self) -> None:
        """Start each container as soon as what it depends on is as the file asks; return when all are well.

        :raises TopologyError: one has ended, or is not well after the time that its health check allows.
        """
        waiting = list(self.containers.values())
        while waiting:
            for container in [one for one in waiting if self._may_start(one)]:
                container.start()
                waiting.remove(container)
            needed = {name for container in waiting for name in container.service.needs}
            self._look([one for one in self._unhealthy() if one.service.name in needed])
        # What nobody waits for is asked last, one after the other: a check of Airflow takes seconds of a core.
        while unhealthy := self._unhealthy():
            self._look(unhealthy[:1])

    def down(self) -> list[str]:
        """Stop what needs others before these; return which containers had to be killed."""
        killed = []
        left = {name: one for name, one in self.containers.items() if one.starts}
        while left:
            needed = {other for one in left.values() for other in one.service.needs}
            ending = [one for one in left.values() if one.service.name not in needed]
            for one in ending:
                one.stop()
            killed += [one.name for one in ending if not one.join()]
            left = {name: one for name, one in left.items() if one not in ending}
        return killed

    def _may_start(self, container: Container) -> bool:
        return all(self._is_met(service, condition) for service, condition in container.service.needs.items())

    def _is_met(self, service: str, condition: str) -> bool:
        met = {
            "service_started": lambda one: bool(one.starts),
            "service_healthy": lambda one: one.name in self._healthy,
            "service_completed_successfully": lambda one: one.exit_code == 0,
        }
        if condition not in met:
            raise ComposeError(f"The condition {condition!r} for {service} is none that the harness knows.")
        return all(map(met[condition], self.of(service)))

    def _unhealthy(self) -> list[Container]:
        """Return what runs for long and was not well yet."""
        return [
            one
            for one in self.containers.values()
            if one.starts and one.service.restarts and one.name not in self._healthy
        ]

    def _look(self, containers: Iterable[Container]) -> None:
        """Let who is well now be known as such."""
        self._healthy |= {one.name for one in containers if one.is_healthy()}
        for one in self.containers.values():
            _require_hope(one, healthy=one.name in self._healthy)
        time.sleep(LOOK_SECONDS)


def _require_hope(container: Container, *, healthy: bool) -> None:
    """Raise TopologyError when a container cannot become what is waited for."""
    text = logs.read_from(container.log, 0)
    if container.exit_code or len(container.starts) > 1:
        raise TopologyError(logs.death_message(container.name, text, container.log))
    check = container.service.health
    if check and not healthy and container.starts and time.time() - container.starts[0] > TIMES * check.patience:
        raise TopologyError(f"{container.name} is not well after {check.patience:.0f} s: {logs.cause(text)}")
