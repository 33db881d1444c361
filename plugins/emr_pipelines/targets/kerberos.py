"""Kerberos on a cluster: what its security configuration says of it, and what RunJobFlow says besides.

Sources: Amazon EMR Management Guide, "Security configuration and cluster settings for Kerberos" and its "Configuration
examples"; EMR API reference, KerberosAttributes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from emr_pipelines.targets.profile import Like, Settings, given
from emr_pipelines.targets.secret_references import Secret

Realm = Annotated[str, Like(r"[A-Z0-9][A-Z0-9._-]{0,255}", "EXAMPLE.INTERNAL")]
Domain = Annotated[str, Like(r"[A-Za-z0-9][A-Za-z0-9.-]{0,255}", "example.internal")]
Server = Annotated[str, Like(r"[A-Za-z0-9][A-Za-z0-9.-]*(:\d{1,5})?", "kdc.example.internal:88")]
"""Name of a host, with its port where that is not Kerberos's own (749 for administration, 88 for the KDC)."""


class CrossRealmTrust(Settings):
    """Another realm, such as an Active Directory domain, whose principals the cluster's own KDC trusts."""

    realm: Realm
    domain: Domain
    admin_server: Server
    kdc_server: Server
    principal_password: Secret
    """Of the cross-realm principal; the same in both realms."""

    def configuration(self) -> dict[str, Any]:
        """Return a ``CrossRealmTrustConfiguration``."""
        return {
            "Realm": self.realm,
            "Domain": self.domain,
            "AdminServer": self.admin_server,
            "KdcServer": self.kdc_server,
        }


class ActiveDirectory(Settings):
    """The Active Directory domain that an external KDC trusts."""

    realm: Realm
    domain: Domain
    server: Server | None = None

    def configuration(self) -> dict[str, Any]:
        """Return an ``AdIntegrationConfiguration``."""
        return given({"AdRealm": self.realm, "AdDomain": self.domain, "AdServer": self.server})


class ExternalKdc(Settings):
    """A KDC outside of the cluster, such as that of another cluster."""

    admin_server: Server
    kdc_server: Server
    active_directory: ActiveDirectory | None = None

    def configuration(self) -> dict[str, Any]:
        """Return an ``ExternalKdcConfiguration`` without its ticket lifetime."""
        return given(
            {
                "KdcServerType": "Single",
                "AdminServer": self.admin_server,
                "KdcServer": self.kdc_server,
                "AdIntegrationConfiguration": self.active_directory and self.active_directory.configuration(),
            }
        )


class DomainJoin(Settings):
    """Who may join the cluster's nodes to the Active Directory domain."""

    user: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    password: Secret


class Kerberos(Settings):
    """Kerberos between the cluster's nodes and services: by a KDC of its own, unless ``external_kdc`` names another."""

    realm: Realm
    """Realm of the cluster's nodes, such as ``EC2.INTERNAL``."""
    admin_password: Secret
    """Of the KDC's administration service (kadmin)."""
    ticket_lifetime_hours: int = Field(default=24, ge=1)
    cross_realm_trust: CrossRealmTrust | None = None
    external_kdc: ExternalKdc | None = None
    domain_join: DomainJoin | None = None

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.cross_realm_trust and self.external_kdc:
            raise ValueError(
                "cross_realm_trust is of the cluster's own KDC, and external_kdc names another: write one of them; "
                "external_kdc.active_directory names the domain that an external KDC trusts"
            )
        directory = self.cross_realm_trust or (self.external_kdc and self.external_kdc.active_directory)
        if self.domain_join and not directory:
            raise ValueError(
                "domain_join joins nodes to a domain, and none is named: write cross_realm_trust or external_kdc.active_directory"
            )
        return self

    def configuration(self) -> dict[str, Any]:
        """Return a ``KerberosConfiguration``, in which no secret is."""
        provider, own = ("ExternalKdc", self.external_kdc.configuration()) if self.external_kdc else _cluster_kdc(self)
        return {
            "Provider": provider,
            f"{provider}Configuration": {"TicketLifetimeInHours": self.ticket_lifetime_hours, **own},
        }

    def attributes(self, read: Callable[[Secret], str]) -> dict[str, str]:
        """Return ``KerberosAttributes`` with the passwords that ``read`` gives: for the request alone, and told to nobody."""
        trust, join = self.cross_realm_trust, self.domain_join
        return given(
            {
                "Realm": self.realm,
                "KdcAdminPassword": read(self.admin_password),
                "CrossRealmTrustPrincipalPassword": read(trust.principal_password) if trust else None,
                "ADDomainJoinUser": join.user if join else None,
                "ADDomainJoinPassword": read(join.password) if join else None,
            }
        )


def _cluster_kdc(kerberos: Kerberos) -> tuple[str, dict[str, Any]]:
    trust = kerberos.cross_realm_trust
    return "ClusterDedicatedKdc", {"CrossRealmTrustConfiguration": trust.configuration()} if trust else {}
