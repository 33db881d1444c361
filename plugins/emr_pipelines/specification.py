"""What all jobs have in common: they are frozen data, checked when a DAG is parsed."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from emr_pipelines.errors import ConfigurationError

Engine = Literal["spark", "hive", "hadoop", "flink", "trino", "hbase", "command"]
"""What a job needs from compute: an application of EMR, or a shell on the primary node of a cluster."""

LOCK = ".requirements.txt"
"""Ending of a lock file: the packages of the script beside it, each with its version."""

_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")


class Specification(BaseModel):
    """What all jobs share: they are frozen, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    engine: ClassVar[Engine]

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise ConfigurationError(say(type(self).__name__, error)) from None

    def code(self) -> tuple[str, ...]:
        """Return the paths and addresses of everything that must lie in S3 before the job can run."""
        return ()

    def lock(self) -> str | None:
        """Return the path of the lock file that would say which packages the job imports; ``None`` of a job that has none."""
        return None

    def engines(self) -> tuple[Engine, ...]:
        """Return the engines that can run this job, the preferred one first."""
        return (self.engine,)

    def engine_on(self, offered: frozenset[Engine]) -> Engine:
        """Return the preferred engine among those that a target offers.

        :raises ConfigurationError: it offers none that can run this job.
        """
        for engine in self.engines():
            if engine in offered:
                return engine
        raise ConfigurationError(f"needs {' or '.join(self.engines())}, and it has: {', '.join(sorted(offered))}")


def check_names(variables: dict[str, str]) -> None:
    """Refuse names of variables that no language takes.

    :raises ValueError: a name holds something else than letters, digits, dots and underscores.
    """
    for name in variables:
        if not _VARIABLE_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no variable name: use letters, digits, dots and underscores")


def say(subject: str, error: ValidationError) -> str:
    """Put pydantic's findings into one sentence each, without its addresses of documentation."""
    findings = []
    for finding in error.errors(include_url=False):
        where = ".".join(str(part) for part in finding["loc"])
        findings.append(f"{where}: {finding['msg']}" if where else finding["msg"])
    return f"{subject} is not valid: {'; '.join(findings)}"
