"""Secrets in configurations: by reference only. Pure.

EMR on EC2 takes the ARN of a secret as the value of a property whose name begins with ``EMR.secret@``
(https://docs.aws.amazon.com/emr/latest/ReleaseGuide/storing-sensitive-data.html); EMR Serverless takes ``EMR.secret@`` and the
secret's name as the value (https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/secrets-manager.html); for EMR on EKS AWS
documents neither.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator

from emr_pipelines.targets.names import Names

ANNOTATION = "EMR.secret@"

_NAME = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}")
_ARN = re.compile(r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:[A-Za-z0-9/_+=.@-]{1,512}")
_SECRET = re.compile(
    r"(passw(or)?d|secret|token|credentials?|(secret|access|account|private|api)[._-]?key)$", re.IGNORECASE
)
_NO_SECRET = re.compile(r"(?i:true|false|none)?")


def _secret(text: str) -> str:
    if not _ARN.fullmatch(text) and not _NAME.fullmatch(text):
        raise ValueError("this is no secret of AWS Secrets Manager: write its name or its ARN, never the secret itself")
    return text


SecretName = Annotated[str, AfterValidator(_secret), Names("secret")]
"""Name or ARN of a secret in AWS Secrets Manager."""


def is_arn(secret: str) -> bool:
    """Whether a secret is named by its ARN."""
    return bool(_ARN.fullmatch(secret))


def plain_secret(properties: Mapping[str, str]) -> str | None:
    """Return the first property that holds a secret in plain text, by its name; a reference to one is none."""
    return next(
        (
            name
            for name, value in properties.items()
            if _SECRET.search(name)
            and not name.startswith(ANNOTATION)
            and not value.startswith(ANNOTATION)
            and not _NO_SECRET.fullmatch(value)
        ),
        None,
    )


def without_plain_secrets(properties: dict[str, str]) -> dict[str, str]:
    """Return properties that hold no secret.

    :raises ValueError: a property is named like a secret, and its value is no reference; the value is not told.
    """
    if name := plain_secret(properties):
        raise ValueError(
            f"{name} would hold a secret in plain text: keep it in AWS Secrets Manager and write, for EC2, "
            f"'{ANNOTATION}{name}' with the secret's ARN, for Serverless '{ANNOTATION}' and its name as the value"
        )
    return properties


Properties = Annotated[dict[str, str], AfterValidator(without_plain_secrets)]
"""Properties of a configuration, none of which is a secret in plain text."""
