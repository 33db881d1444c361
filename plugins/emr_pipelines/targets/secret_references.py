"""Secrets by reference: a profile names where a password or a key lies, and never says it."""

from __future__ import annotations

import re
from typing import Annotated, Any, Self

from pydantic import AfterValidator, model_validator

from emr_pipelines.errors import ComputeError
from emr_pipelines.targets.names import Names
from emr_pipelines.targets.profile import Like, Settings

_KEY = re.compile(r"arn:aws[a-zA-Z0-9-]*:kms:(?P<region>[a-z0-9-]+):\d{12}:key/[a-zA-Z0-9-]+")


def _key(text: str) -> str:
    if not _KEY.fullmatch(text):
        raise ValueError(
            f"{text!r} is no ARN of a KMS key: write arn:aws:kms:<region>:<account of 12 digits>:key/<id>, and no alias"
        )
    return text


KmsKey = Annotated[str, AfterValidator(_key), Names("kms_key")]
SecretArn = Annotated[
    str,
    Like(
        r"arn:aws[a-zA-Z0-9-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:[A-Za-z0-9/_+=.@-]+",
        "arn:aws:secretsmanager:<region>:<account>:secret:<name>",
        shown=False,
    ),
    Names("secret"),
]


def region_of(key: str) -> str:
    """Return the region of a KMS key's ARN, or of that of a secret."""
    return key.split(":")[3]


class Secret(Settings):
    """Where a password lies: in Secrets Manager, or as the password of an Airflow connection. It is read when it is needed."""

    secret: Annotated[str, Like(r"[A-Za-z0-9/_+=.@:-]+", "prod/emr/name", shown=False), Names("secret")] | None = None
    """Name or ARN of a secret in Secrets Manager, in the profile's region and account unless the ARN says another."""
    key: str | None = None
    """Which member of a secret that is a JSON object; without it, the whole secret is the password."""
    connection: str | None = None
    """Id of the Airflow connection whose password it is."""

    @model_validator(mode="before")
    @classmethod
    def _is_a_reference(cls, value: Any) -> Any:
        if not isinstance(value, dict | Secret):
            # The value stays unsaid: it may be the password itself.
            raise ValueError(  # noqa: TRY004  # pydantic's findings are ValueErrors
                "a password is never written here: name where it lies, with {secret: <name or ARN in Secrets Manager>} or "
                "{connection: <Airflow connection>}"
            )
        return value

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.secret is None) == (self.connection is None):
            raise ValueError("either secret or connection says where the password lies: write one of them")
        if self.key is not None and self.secret is None:
            raise ValueError("key names a member of a secret in Secrets Manager: leave it out beside connection")
        return self

    def __str__(self) -> str:
        """Say where it lies, for people."""
        if self.connection is not None:
            return f"the password of Airflow connection {self.connection!r}"
        return f"secret {self.secret!r}" + (f", key {self.key!r}" if self.key else "")


def unreadable(reference: Secret) -> str:
    """Read no password: of clients that were given no way to.

    :raises ComputeError: always.
    """
    raise ComputeError(f"{reference} cannot be read here: only the task that acquires compute reads passwords.")
