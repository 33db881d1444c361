"""What a cluster does before its first job: bootstrap actions on every instance, then set-up steps.

Sources: BootstrapActionConfig and StepConfig in the EMR API reference; "Enable the debugging tool" in the EMR Management Guide.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from emr_pipelines.keys import lease_in
from emr_pipelines.targets.names import Names
from emr_pipelines.targets.profile import Like, Settings, given

_RUNNER = "command-runner.jar"

DEBUGGING: dict[str, Any] = {
    "Name": "Setup Hadoop Debugging",
    "ActionOnFailure": "CONTINUE",
    "HadoopJarStep": {"Jar": _RUNNER, "Args": ["state-pusher-script"]},
}
"""The ``StepConfig`` that lets EMR's console show the logs of steps, jobs and tasks."""


class BootstrapAction(Settings):
    """A script that runs on every instance before the applications start."""

    name: str
    script: Annotated[str, Like(r"s3://[^/\s]+/\S+", "s3://example-bucket/script.sh"), Names("object")]
    args: tuple[str, ...] = ()

    def request(self) -> dict[str, Any]:
        """Return a ``BootstrapActionConfig``."""
        return {"Name": self.name, "ScriptBootstrapAction": {"Path": self.script, "Args": list(self.args)}}


class SetupStep(Settings):
    """A step that a new cluster begins with: a ``command`` of its primary node, or a ``jar`` with ``args``."""

    name: str = Field(min_length=1, max_length=256)
    command: tuple[str, ...] = ()
    jar: Annotated[str, Names("object")] | None = None
    """Where it lies in S3, or on the primary node."""
    main_class: str | None = None
    args: tuple[str, ...] = ()
    on_failure: Literal["CONTINUE", "CANCEL_AND_WAIT", "TERMINATE_CLUSTER"] = "CONTINUE"

    @model_validator(mode="after")
    def _runs_something(self) -> Self:
        if bool(self.command) == bool(self.jar):
            raise ValueError("a set-up step runs either a command, such as [bash, -c, ls], or a jar: give one of them")
        if self.command and (self.args or self.main_class):
            raise ValueError("args and main_class are of a jar: write them behind the command instead")
        if lease_in(self.name):
            raise ValueError(f"{self.name!r} would pass for a job of a run: call the set-up step otherwise")
        return self

    def request(self) -> dict[str, Any]:
        """Return a ``StepConfig``."""
        jar = {"Jar": self.jar or _RUNNER, "MainClass": self.main_class, "Args": list(self.command or self.args)}
        return {"Name": self.name, "ActionOnFailure": self.on_failure, "HadoopJarStep": given(jar)}
