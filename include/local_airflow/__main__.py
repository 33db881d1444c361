"""The commands `python -m local_airflow up|down|status|password|demo`, which `make` calls."""

import argparse
import json
import shlex
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from botocore.exceptions import BotoCoreError

from local_airflow import demo, endpoint, system
from local_airflow.endpoint import LocalEndpoint
from local_airflow.errors import LocalAirflowError, PortInUseError
from local_airflow.measures import Measures
from local_airflow.ports import HIGHEST
from local_airflow.settings import USER
from local_airflow.system import LocalAirflow, only_one

DATE = "2013-01-15"
ROOT = Path(__file__).resolve().parents[2]


def say(text: str) -> None:
    """Print for the person at the terminal, at once."""
    print(text, flush=True)  # noqa: T201  this is the command's output


def complain(text: str) -> None:
    """Tell the person at the terminal what is wrong."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201  this is the command's output


def settings_of_run(text: str) -> dict[str, Any]:
    """Read the JSON object given as a run's settings."""
    value = json.loads(text)
    if isinstance(value, dict):
        return value
    raise ValueError(text)


def port_number(text: str) -> int:
    """Read a TCP port."""
    port = int(text)
    if 0 <= port <= HIGHEST:
        return port
    raise ValueError(text)


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="local_airflow", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home", type=Path, default=ROOT / ".local" / "airflow", help="where its state lies")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("up", "start the system and leave it running"), ("demo", "run one day of flights_daily")):
        command = commands.add_parser(name, help=text)
        command.add_argument(
            "--port", type=port_number, default=system.DEFAULT_PORT, help="of Airflow's UI and REST API"
        )
        command.add_argument(
            "--endpoint-port", type=port_number, default=endpoint.DEFAULT_PORT, help="of the EMR endpoint"
        )
        if name == "demo":
            command.add_argument("--date", default=DATE, help="a day of 2013")
            command.add_argument(
                "--target", choices=[*demo.TARGETS, "all"], default=demo.TARGETS[0], help="which compute"
            )
            command.add_argument("--conf", type=settings_of_run, help="the run's settings, a JSON object")
    commands.add_parser("down", help="stop the system, and only it")
    commands.add_parser("status", help="say what runs")
    commands.add_parser("password", help=f"print the password of the user {USER}")
    return parser.parse_args(words)


def make_command(command: str, options: argparse.Namespace, instead: Mapping[str, int] = MappingProxyType({})) -> str:
    """Write a `make` command that asks for these options, with other ports where `instead` says so."""
    variables: dict[str, tuple[Any, Any]] = {
        "PORT": (instead.get("PORT", options.port), system.DEFAULT_PORT),
        "EMR_PORT": (instead.get("EMR_PORT", options.endpoint_port), endpoint.DEFAULT_PORT),
    }
    if command == "demo":
        variables |= {
            "DATE": (options.date, DATE),
            "TARGET": (options.target, demo.TARGETS[0]),
            "CONF": (json.dumps(options.conf), "null"),
        }
    typed = [shlex.quote(f"{name}={value}") for name, (value, default) in variables.items() if value != default]
    return " ".join(["make", command, *typed])


class Local:
    """Airflow and its endpoint together, as the commands use them."""

    def __init__(self, home: Path, port: int, endpoint_port: int) -> None:
        self.endpoint = LocalEndpoint(home, ROOT, endpoint_port)
        self.airflow = LocalAirflow(home, ROOT, port, endpoint_url=self.endpoint.url)
        self.airflow_was_up = self.airflow.alive()
        self._endpoint_was_up = self.endpoint.alive()

    def start(self, days: str) -> None:
        """Start what does not run, with the raw flights of `days` in S3, and say what was done."""
        began = time.monotonic()
        started = self.endpoint.start()
        self.airflow.endpoint_url = self.endpoint.url
        if started:
            say(f"EMR endpoint started at {self.endpoint.url}")
        else:
            say(f"EMR endpoint answers at {self.endpoint.url}")
        Measures(self.endpoint.url).create_buckets(*demo.BUCKETS)
        with demo.start_seeding(ROOT, self.endpoint.url, days) as seeding:
            try:
                say("Airflow is starting ..." if not self.airflow.alive() else f"Airflow runs at {self.airflow.url}")
                started = self.airflow.start()
            except BaseException:
                seeding.terminate()
                raise
            say(demo.finish_seeding(seeding))
        if started:
            say(f"Airflow started at {self.airflow.url}; all is up after {time.monotonic() - began:.0f} s")

    def restore(self) -> None:
        """End what this command started; an Airflow that was up before stays up, its endpoint with it."""
        if not self.airflow_was_up:
            self.stop(endpoint=not self._endpoint_was_up)

    def stop(self, *, endpoint: bool = True) -> None:
        """End Airflow, and the endpoint too if asked for; raise LocalAirflowError when something would not end."""
        survivors = self.airflow.stop()
        survivors += self.endpoint.stop() if endpoint else []
        if survivors:
            raise LocalAirflowError(f"Would not end, even when killed: {', '.join(survivors)}")


def up(local: Local) -> int:
    """Start the system and say how to use it."""
    try:
        local.start("all")
    except BaseException:
        local.restore()
        raise
    say(f"Open {local.airflow.url} and log in as {USER}; `make password` prints the password.")
    say("`make down` stops it.")
    return 0


def down(local: Local) -> int:
    """Stop the system."""
    ran = any(local.airflow.components().values()) or local.endpoint.owned()
    local.stop()
    say("All is stopped." if ran else "Nothing was running.")
    return 0


def run_demo(local: Local, options: argparse.Namespace) -> int:
    """Run the demo's day, then stop what was not running before."""
    day = demo.flights_day(options.date)
    try:
        local.start(f"{day}:{day}")
        if options.target == "all":
            succeeded = demo.run_on_all(local.airflow, local.endpoint.url, day, options.conf or {}, say)
        else:
            conf = {"target": options.target, **(options.conf or {})}
            succeeded = demo.run_day(local.airflow, local.endpoint.url, day, conf, say)
    finally:
        local.restore()
    entry = f"open {local.airflow.url}, log in as {USER}; `make password` prints the password."
    if local.airflow_was_up:
        say(f"Airflow was up before and still is: {entry}")
    else:
        say(f"All is stopped again. To look around: `{make_command('up', options)}`, {entry}")
    return 0 if succeeded else 1


def status(local: Local) -> int:
    """Say what runs."""
    for name, pid in local.airflow.components().items():
        say(f"{name:<14} {f'process {pid}' if pid else 'not running'}")
    answering = local.endpoint.alive()
    say(f"{'emr endpoint':<14} {local.endpoint.url if answering else 'not running'}")
    if local.airflow.alive():
        say(f"Airflow is at {local.airflow.url}")
    return 0


def run(options: argparse.Namespace) -> int:
    """Run one command; returns its exit code: 0 done, 1 the demo's run failed."""
    home = options.home.absolute()
    if options.command == "password":
        say(LocalAirflow(home, ROOT).password())
        return 0
    if options.command == "status":
        return status(Local(home, system.DEFAULT_PORT, endpoint.DEFAULT_PORT))
    with only_one(home):
        if options.command == "down":
            return down(Local(home, system.DEFAULT_PORT, endpoint.DEFAULT_PORT))
        local = Local(home, options.port, options.endpoint_port)
        return up(local) if options.command == "up" else run_demo(local, options)


def main(words: Sequence[str]) -> int:
    """Run one command; returns its exit code, 2 when the system cannot do it."""
    options = arguments(words)
    try:
        return run(options)
    except PortInUseError as error:
        complain(str(error))
        if error.free:
            variable = "PORT" if error.port == options.port else "EMR_PORT"
            complain(f"Type: {make_command(options.command, options, {variable: error.free})}")
    except LocalAirflowError as error:
        complain(str(error))
    except BotoCoreError as error:
        complain(f"The EMR endpoint does not answer as it should: {error}")
    return 2


def _end(*_: object) -> None:
    """Turn SIGTERM into an exit that cleans up."""
    sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    with suppress(KeyboardInterrupt):
        sys.exit(main(sys.argv[1:]))
    sys.exit(128 + signal.SIGINT)
