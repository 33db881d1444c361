"""What a profile names and AWS has to have: the type of a setting says of what its value is the name. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args, get_type_hints

from pydantic import BaseModel

Kind = Literal[
    "folder",
    "object",
    "subnet",
    "security_group",
    "zone",
    "instance_type",
    "key_pair",
    "ami",
    "image",
    "role",
    "eks_role",
    "instance_profile",
    "kms_key",
    "secret",
    "log_group",
    "release",
    "application",
    "serverless_release",
    "eks_release",
    "security_configuration",
    "cluster",
    "eks_cluster",
    "namespace",
    "virtual_cluster",
    "eks_security_configuration",
    "job_template",
]
"""Kinds of things in AWS; ``folder`` is one of an S3 bucket, ``zone`` an availability zone."""


@dataclass(frozen=True)
class Names:
    """Marks a type whose values are names; of several marks of a type the last counts."""

    kind: Kind
    of: str = ""
    """Of a role, the service that must be able to assume it."""


@dataclass(frozen=True)
class Named:
    """A name in a profile, and the setting that it stands in, such as ``primary.custom_ami``."""

    kind: Kind
    name: str
    setting: str
    of: str = ""
    """What it must fit: of a role the service that assumes it, of an application its release, of a namespace its EKS cluster, of a
    subnet ``private`` where it must be so, of security groups and instance types the subnets or zones, with blanks between."""


def named_in(settings: BaseModel, where: str = "") -> Iterator[Named]:
    """Yield every name that settings, and settings in them, hold; in the order in which the model has them."""
    marks = _marks_of(type(settings))
    for name in type(settings).model_fields:
        yield from _named(getattr(settings, name), marks[name], f"{where}{name}")


def _named(value: Any, mark: Names | None, setting: str) -> Iterator[Named]:
    if isinstance(value, BaseModel):
        yield from named_in(value, f"{setting}.")
    elif isinstance(value, tuple):
        for one in value:
            yield from _named(one, mark, setting)
    elif isinstance(value, str) and mark:
        yield Named(mark.kind, value, setting, mark.of)


@lru_cache(maxsize=128)
def _marks_of(model: type[BaseModel]) -> dict[str, Names | None]:
    return {name: _mark(hint) for name, hint in get_type_hints(model, include_extras=True).items()}


def _mark(annotation: Any) -> Names | None:
    marks = [one for one in getattr(annotation, "__metadata__", ()) if isinstance(one, Names)]
    if marks:
        return marks[-1]
    return next((mark for inner in get_args(annotation) if (mark := _mark(inner))), None)
