"""Security configurations: kept and told; of what they say, Kerberos alone is looked at when a cluster is created.

Sources: CreateSecurityConfiguration in the Amazon EMR API reference; "Create a security configuration" and "Security configuration
and cluster settings for Kerberos" in the Amazon EMR Management Guide.
"""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local_emr.emr.paging import page_of
from local_emr.emr.refusals import invalid, refused
from local_emr.runs import Records

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_emr.protocol import Answer, Caller
    from local_emr.runs import Machine

_PARTS = {
    "AuthenticationConfiguration",
    "AuthorizationConfiguration",
    "EncryptionConfiguration",
    "InstanceMetadataServiceConfiguration",
}
_ENABLED = {
    "EnableAtRestEncryption": "AtRestEncryptionConfiguration",
    "EnableInTransitEncryption": "InTransitEncryptionConfiguration",
}
"""What an EncryptionConfiguration says more about where it is enabled."""


@dataclass
class SecurityConfiguration:
    """A security configuration. `text` is the JSON that it was created with, `created` epoch seconds."""

    name: str
    region: str
    text: str
    created: float

    @classmethod
    def read(cls, text: str) -> SecurityConfiguration:
        """Return a record from its JSON. Raises ValueError, TypeError or KeyError for anything else."""
        return cls(**json.loads(text))

    @property
    def has_kerberos(self) -> bool:
        """Whether a cluster that uses it needs KerberosAttributes."""
        return "KerberosConfiguration" in json.loads(self.text).get("AuthenticationConfiguration", {})


class SecurityConfigurations:
    """Those of all regions, each under its name; operations as in boto3."""

    def __init__(self, machine: Machine) -> None:
        self._clock = machine.clock
        self._records = Records(
            machine.data / "security-configurations", "*/*.json", SecurityConfiguration.read, machine.clock
        )
        self._known = {(one.region, one.name): one for one in self._records.load()}
        self._changing = threading.Lock()

    def create_security_configuration(self, request: Answer, caller: Caller) -> Answer:
        """Keep a security configuration under a name that is free."""
        name, text = request["Name"], request["SecurityConfiguration"]
        _check(name, text)
        made = SecurityConfiguration(name, caller.region, text, self._clock.now())
        with self._changing:
            if (caller.region, name) in self._known:
                raise invalid(f"SecurityConfiguration with name '{name}' already exists.")
            self._records.save(made, *_place(made))
            self._known[caller.region, name] = made
        return {"Name": name, "CreationDateTime": made.created}

    def describe_security_configuration(self, request: Answer, caller: Caller) -> Answer:
        """Describe a security configuration."""
        found = self._found(request["Name"], caller)
        return {"Name": found.name, "SecurityConfiguration": found.text, "CreationDateTime": found.created}

    def list_security_configurations(self, request: Answer, caller: Caller) -> Answer:
        """List security configurations, oldest first."""
        found = [one for one in list(self._known.values()) if one.region == caller.region]
        page, marker = page_of(found, found, request.get("Marker"), lambda one: one.name)
        shown = [{"Name": one.name, "CreationDateTime": one.created} for one in page]
        return {"SecurityConfigurations": shown, "Marker": marker}

    def delete_security_configuration(self, request: Answer, caller: Caller) -> Answer:
        """Forget a security configuration; clusters that were created with it keep its name."""
        with self._changing:
            found = self._found(request["Name"], caller)
            self._records.remove(*_place(found))
            del self._known[caller.region, found.name]
        return {}

    def check_cluster(self, request: Mapping[str, Any], caller: Caller) -> None:
        """Refuse a RunJobFlow request whose security configuration is unknown, or says otherwise of Kerberos than the request."""
        name = request.get("SecurityConfiguration")
        found = self._known.get((caller.region, name)) if name else None
        if name and found is None:
            raise refused(f"Security configuration with name '{name}' does not exist.")
        has_kerberos = found is not None and found.has_kerberos
        if has_kerberos and "KerberosAttributes" not in request:
            raise refused(f"KerberosAttributes are required: security configuration '{name}' enables Kerberos.")
        if "KerberosAttributes" in request and not has_kerberos:
            raise refused("KerberosAttributes need a security configuration that enables Kerberos.")

    def _found(self, name: str, caller: Caller) -> SecurityConfiguration:
        found = self._known.get((caller.region, name))
        if found is None:
            raise invalid(f"Security configuration with name '{name}' does not exist.")
        return found


def without_passwords(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a RunJobFlow request as it may be kept and described: without the passwords of its KerberosAttributes."""
    kept = dict(request)
    if attributes := kept.get("KerberosAttributes"):
        kept["KerberosAttributes"] = {
            name: value for name, value in attributes.items() if not name.endswith("Password")
        }
    return kept


def _place(configuration: SecurityConfiguration) -> tuple[str, str]:
    """Return where it is kept: a name may hold any letters, and more of them than the name of a file."""
    return configuration.region, hashlib.sha256(configuration.name.encode()).hexdigest()


def _check(name: str, text: str) -> None:
    if not name.strip():
        raise invalid("The name of a security configuration must not be empty.")
    try:
        configuration = json.loads(text)
    except ValueError as error:
        raise invalid(f"SecurityConfiguration is not valid JSON: {error}.") from None
    if not isinstance(configuration, dict) or not configuration:
        raise invalid("SecurityConfiguration must be a JSON object with at least one configuration.")
    if unknown := sorted(configuration.keys() - _PARTS):
        raise invalid(f"SecurityConfiguration has no member '{unknown[0]}'.")
    if any(not isinstance(part, dict) for part in configuration.values()):
        raise invalid("Each member of SecurityConfiguration must be a JSON object.")
    encryption = configuration.get("EncryptionConfiguration", {})
    for enabled, needed in _ENABLED.items():
        # The guide's examples write true both as a boolean and as a text.
        if str(encryption.get(enabled)).lower() == "true" and needed not in encryption:
            raise invalid(f"{needed} is required when {enabled} is true.")
