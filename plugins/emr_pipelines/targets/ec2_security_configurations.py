"""Security configurations in an account, made once for all that mean the same, and the passwords that RunJobFlow needs besides.

CreateSecurityConfiguration takes no client token: its name is the hash of what it says, so that whoever finds it finds the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from emr_pipelines.errors import ComputeError
from emr_pipelines.targets.base import Clients
from emr_pipelines.targets.ec2_profile import Ec2Profile
from emr_pipelines.targets.ec2_security import canonical, name_of_configuration
from emr_pipelines.targets.refusals import REFUSALS, code_of, refused
from emr_pipelines.targets.secret_references import Secret

_NOTHING_RUNS = "No cluster was created."


def secured(profile: Ec2Profile, clients: Clients) -> dict[str, Any]:
    """Make the security configuration of a profile's clusters, unless it is there; return what RunJobFlow says that nobody else may see.

    :raises ComputeUnavailableError: the service failed.
    :raises ComputeError: the configuration was refused, or a password could not be read.
    """
    if settings := profile.security_settings:
        try:
            _make_once(clients.repeating("emr"), name_of_configuration(settings), canonical(settings))
        except REFUSALS as error:
            what = f"profile {profile.name!r} got no security configuration"
            raise refused(error, what, _NOTHING_RUNS) from error
    kerberos = None if profile.security_configuration else profile.security.kerberos
    return {"KerberosAttributes": kerberos.attributes(clients.secret)} if kerberos else {}


def _make_once(emr: Any, name: str, configuration: str) -> None:
    if _exists(emr, name):
        return
    try:
        emr.create_security_configuration(Name=name, SecurityConfiguration=configuration)
    except ClientError:
        # Another task may have made it at the same moment, or this call before its answer was lost.
        if not _exists(emr, name):
            raise


def _exists(emr: Any, name: str) -> bool:
    try:
        emr.describe_security_configuration(Name=name)
    except ClientError as error:
        if code_of(error) != "InvalidRequestException":
            raise
        return False
    return True


def secret_value(client: Callable[[str], Any], reference: Secret) -> str:
    """Read a secret of Secrets Manager. Whoever asks keeps it from logs.

    :raises ComputeError: it cannot be read, or does not have the member that is named.
    """
    try:
        answer = client("secretsmanager").get_secret_value(SecretId=reference.secret)
    except REFUSALS as error:
        raise refused(error, f"{reference} could not be read", _NOTHING_RUNS) from error
    value = answer.get("SecretString")
    if value is None:
        raise ComputeError(f"{reference} is binary, and a password is text: store it as text. {_NOTHING_RUNS}")
    return str(value) if reference.key is None else _member(value, reference)


def _member(text: str, reference: Secret) -> str:
    """Return a member of a secret; what the secret says stays out of the error."""
    try:
        members = json.loads(text)
    except ValueError:
        members = None
    member = members.get(reference.key) if isinstance(members, dict) else None
    if not isinstance(member, str):
        raise ComputeError(
            f"{reference}: the secret is no JSON object with such a text in it: mend the secret, or key. {_NOTHING_RUNS}"
        )
    return member
