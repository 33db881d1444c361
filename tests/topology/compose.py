"""What docker-compose.yaml and the Dockerfile say about each service, as Docker Compose reads them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

ACTED_ON = {"image", "entrypoint", "command", "environment", "volumes", "healthcheck", "depends_on", "restart"} | {
    "profiles",
    "deploy",
    "stop_grace_period",
    "stop_signal",
}
ABOUT_ISOLATION = {"build", "init", "user", "cap_drop", "security_opt", "networks", "ports"}
"""Keys that say what a container may and may not reach: a process on the loopback address has no part in that."""

VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?:(:-|:\?)([^}]*))?\})")
DURATION = re.compile(r"(?:(\d+)m)?(?:(\d+)s)?")


class ComposeError(Exception):
    """The file says what this harness does not know how to do: it must learn it, rather than leave it out."""


@dataclass(frozen=True)
class Image:
    """What a stage of the Dockerfile gives to its containers."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: str | None = None


@dataclass(frozen=True)
class HealthCheck:
    """How a container is asked whether it is well; times in seconds. Docker's own defaults are 30 s, 30 s, 3 and 0 s."""

    command: tuple[str, ...]
    interval: float = 30
    timeout: float = 30
    retries: int = 3
    start_period: float = 0

    @property
    def patience(self) -> float:
        """Seconds after which Docker calls a container that was never well unhealthy."""
        return self.start_period + self.retries * (self.interval + self.timeout)


@dataclass(frozen=True)
class Service:
    """One service, with all that Compose fills in."""

    name: str
    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: str | None
    volumes: Mapping[str, str]
    """Path in the container: name of the volume."""

    health: HealthCheck | None
    needs: Mapping[str, str]
    """Service: the condition that it must meet first."""

    restarts: bool
    replicas: int
    grace: float
    stop_signal: str


def services_in(compose: str, dockerfile: str, variables: Mapping[str, str], profiles: Sequence[str]) -> list[Service]:
    """Read the services that `docker compose up` with these variables and profiles starts.

    :raises ComposeError: a variable is not set, or a service says what this harness does not know.
    """
    images = images_in(dockerfile)
    told = yaml.safe_load(compose)["services"]
    return [
        _service(name, filled(words, variables), images)
        for name, words in told.items()
        if not words.get("profiles") or set(words["profiles"]) & set(profiles)
    ]


def filled(value: Any, variables: Mapping[str, str]) -> Any:
    """Fill variables into every text: `${NAME}`, `${NAME:-default}`, `${NAME:?message}`; `$$` is a dollar sign."""
    if isinstance(value, dict):
        return {key: filled(inner, variables) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, variables) for inner in value]
    return VARIABLE.sub(lambda match: _variable(match, variables), value) if isinstance(value, str) else value


def _variable(match: re.Match[str], variables: Mapping[str, str]) -> str:
    dollar, name, kind, text = match.groups()
    if dollar:
        return "$"
    if kind == ":-":
        return variables.get(name) or text
    if kind == ":?" and not variables.get(name):
        raise ComposeError(f"{name} {text}")
    return variables.get(name, "")


def images_in(dockerfile: str) -> dict[str, Image]:
    """Read the stages of a Dockerfile; a stage has what the one that it is made from has."""
    images: dict[str, Image] = {}
    for stage in re.split(r"^FROM ", dockerfile.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
        first, *lines = stage.splitlines()
        origin, _, name = first.split()
        start = images.get(origin, Image())
        said = [line.partition(" ")[::2] for line in lines]
        last = {word: rest for word, rest in said if word in ("ENTRYPOINT", "CMD", "WORKDIR")}
        added = dict(pair.split("=", 1) for word, rest in said if word == "ENV" for pair in shlex.split(rest))
        images[name] = Image(
            tuple(json.loads(last["ENTRYPOINT"])) if "ENTRYPOINT" in last else start.entrypoint,
            tuple(json.loads(last["CMD"])) if "CMD" in last else start.command,
            {**start.environment, **added},
            last.get("WORKDIR", start.folder),
        )
    return images


def _service(name: str, words: Mapping[str, Any], images: Mapping[str, Image]) -> Service:
    if unknown := words.keys() - ACTED_ON - ABOUT_ISOLATION:
        raise ComposeError(f"Service {name} has {sorted(unknown)}, which the harness does not act on.")
    image = images.get(words["image"].removeprefix("emr-pipelines/"), Image())
    # As Docker does: a new entrypoint takes the image's command away.
    command = _words(words.get("command", [] if "entrypoint" in words else image.command))
    return Service(
        name=name,
        image=words["image"],
        command=(*_words(words.get("entrypoint", image.entrypoint)), *command),
        environment={**image.environment, **{key: str(value) for key, value in words.get("environment", {}).items()}},
        folder=image.folder,
        volumes={path: volume for volume, path in (entry.split(":") for entry in words.get("volumes", []))},
        health=_health(words["healthcheck"]) if "healthcheck" in words else None,
        needs={other: how["condition"] for other, how in words.get("depends_on", {}).items()},
        restarts=words.get("restart", "no") != "no",
        replicas=words.get("deploy", {}).get("replicas", 1),
        grace=seconds(words.get("stop_grace_period", "10s")),
        stop_signal=words.get("stop_signal", "SIGTERM"),
    )


def _words(command: str | Sequence[str]) -> tuple[str, ...]:
    return tuple(shlex.split(command) if isinstance(command, str) else command)


def _health(words: Mapping[str, Any]) -> HealthCheck:
    kind, *test = words["test"]
    times = {key: seconds(words[key]) for key in ("interval", "timeout", "start_period") if key in words}
    command = ("sh", "-c", *test) if kind == "CMD-SHELL" else tuple(test)
    return HealthCheck(command, retries=words.get("retries", 3), **times)


def seconds(duration: str) -> float:
    """Read a duration such as `90s` or `1m30s`."""
    match = DURATION.fullmatch(duration)
    if not match or not duration:
        raise ComposeError(f"{duration!r} is not a duration that the harness reads.")
    minutes, rest = (int(part or 0) for part in match.groups())
    return float(60 * minutes + rest)
