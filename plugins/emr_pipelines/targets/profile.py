"""What every target's profile has in common, and the settings that profiles share.

Settings carry the names and the meaning of the services' API references, in YAML's spelling.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from emr_pipelines.errors import ConfigurationError
from emr_pipelines.keys import Key, Lease
from emr_pipelines.targets.names import Named, Names, named_in
from emr_pipelines.targets.platforms import Platform
from emr_pipelines.targets.secret_names import Properties

Relaxed = Literal[
    "public_subnet",
    "unencrypted_s3",
    "unencrypted_disks",
    "unencrypted_traffic",
    "instance_metadata_v1",
    "no_authentication_between_nodes",
    "unknown_security",
]
"""What a profile may be less strict about than its service allows."""

Owner = Literal["run", "profile"]
"""Whose compute is: ``run``, made for one run and ended by its release; ``profile``, shared, and ended by nobody here."""

PROFILE_TAG = "emr-pipelines:profile"
DEPLOYMENT_TAG = "emr-pipelines:deployment"
LEASE_TAG = "emr-pipelines:lease"
TASK_TAG = "emr-pipelines:task"
_LONGEST_TAG = 256

_ROLE = re.compile(r"arn:aws[a-zA-Z0-9-]*:iam::\d{12}:role/[\w+=,.@/-]+")


def _role(text: str) -> str:
    if not _ROLE.fullmatch(text):
        raise ValueError(f"{text!r} is no ARN of a role: write arn:aws:iam::<account of 12 digits>:role/<name>")
    return text


@dataclass(frozen=True)
class Like:
    """Text of a form, which a mistake tells by an example."""

    pattern: str
    example: str
    shown: bool = True
    """Whether a mistake may be repeated: what passes for a secret's name may be the secret."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check the form after the type."""
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Show the example."""
        return {**handler(schema), "examples": [self.example]}

    def _checked(self, text: str) -> str:
        if not re.fullmatch(self.pattern, text):
            given = repr(text) if self.shown else "what stands there"
            raise ValueError(f"{given} has not the form that is needed: write it like {self.example}")
        return text


Address = Annotated[str, Like(r"s3://[^/\s]+/\S*", "s3://example-bucket/folder/")]
Region = Annotated[str, Like(r"[a-z]{2}(-[a-z]+)+-\d", "us-east-1")]
RoleArn = Annotated[str, AfterValidator(_role), Names("role")]
Subnet = Annotated[str, Like(r"subnet-[0-9a-f]+", "subnet-0123456789abcdef0"), Names("subnet")]
SecurityGroup = Annotated[str, Like(r"sg-[0-9a-f]+", "sg-0123456789abcdef0"), Names("security_group")]


class Settings(BaseModel):
    """Settings: frozen, and a name that is not among them is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True)


class Classification(Settings):
    """A configuration classification, such as ``spark-defaults``, with its properties."""

    classification: str
    properties: Properties = Field(default={})
    configurations: tuple[Classification, ...] = ()


@dataclass(frozen=True)
class Relaxation:
    """One thing about which a profile is less strict than it could be, and what that means, as a sentence without its full stop."""

    kind: Relaxed
    words: str


class Profile(Settings):
    """What every profile says, whatever its target."""

    name: str
    target: str
    description: str = ""
    """A few words for the form in which a person chooses."""
    region: Region
    """The AWS region."""
    connection: str | None = None
    """The Airflow connection to AWS; ``None`` uses boto3's own chain (environment, instance role)."""
    log_uri: Annotated[Address, Names("folder")]
    """Folder in S3 for the logs of job runs."""
    tags: dict[str, str] = {}
    """Tags of everything that is created, besides those that say whose it is."""
    max_concurrent: int | None = Field(default=None, ge=1)
    """Runs of this deployment that may hold compute of this profile at the same time; further ones wait."""
    overrides: dict[str, int | str] = {}
    """What was put over the file's settings when the run was triggered; never written in a file."""

    @model_validator(mode="after")
    def _tags_are_free(self) -> Self:
        if reserved := [tag for tag in self.tags if tag.startswith(("emr-pipelines:", "aws:"))]:
            raise ValueError(f"tag {reserved[0]!r} has a prefix that is not free: give it another name")
        return self

    @property
    def place(self) -> tuple[str | None, ...]:
        """Where compute of this profile is found: profiles of one place see the same."""
        return (self.target, self.connection, self.region)

    @property
    def relaxations(self) -> tuple[Relaxation, ...]:
        """What this profile is less strict about than its service allows; a policy may forbid it, and a run's log lists it."""
        return ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about settings that are allowed and cannot work well, such as executors larger than any node."""
        return ()

    @property
    def instance_types(self) -> tuple[str, ...]:
        """EC2 instance types that this profile may start, where it says them."""
        return ()

    @property
    def named(self) -> tuple[Named, ...]:
        """What this profile names and its account has to have: subnets, roles, keys, addresses in S3 and the like."""
        return tuple(named_in(self))

    @property
    def most_nodes(self) -> int | None:
        """Nodes of a cluster, or workers of one job, that there may be at a time; ``None`` when nothing bounds them."""
        return None

    @property
    def platform(self) -> Platform:
        """What the packages of its jobs are made for.

        :raises ConfigurationError: that is not known.
        """
        raise ConfigurationError(
            f"Profile {self.name!r} of target {self.target!r} says no platform for the packages of jobs: take it out of targets=, or the "
            "lock file away"
        )

    def tags_for(self, lease: Lease) -> dict[str, str]:
        """Return the tags of compute that is made for a lease."""
        return {**self.tags, **lease.tags, PROFILE_TAG: self.name}

    def shared_tags(self, lease: Lease) -> dict[str, str]:
        """Return the tags of compute that the profile keeps for all runs of the lease's deployment."""
        return {**self.tags, DEPLOYMENT_TAG: lease.deployment, PROFILE_TAG: self.name}

    def run_tags(self, key: Key) -> dict[str, str]:
        """Return the tags of a job run."""
        return {**self.tags_for(key.lease), TASK_TAG: key.task_id[:_LONGEST_TAG]}

    def overridden(self, values: Mapping[str, int | str]) -> Self:
        """Return this profile with other values of some settings, checked again.

        :raises pydantic.ValidationError: a setting does not exist, or does not take its value.
        """
        own: dict[str, Any] = self.model_dump(exclude_unset=True)
        return type(self).model_validate({**own, **values, "overrides": {**self.overrides, **values}})


def given(request: dict[str, Any]) -> dict[str, Any]:
    """Leave out of a request what was not given."""
    return {name: value for name, value in request.items() if value is not None}
