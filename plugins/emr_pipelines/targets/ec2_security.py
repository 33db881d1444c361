"""The security of a cluster on EC2, and the security configuration that it means.

Sources: Amazon EMR Management Guide, "Create a security configuration with the Amazon EMR console or with the AWS CLI", "Create
the EMR security configuration" (Ranger), "Create the Amazon EMR security configuration for LDAP integration", "Runtime roles for
Amazon EMR steps".
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Self

from pydantic import Field, model_validator

from emr_pipelines.targets.ec2_access import LakeFormation, Ldap, Ranger
from emr_pipelines.targets.ec2_encryption import DiskEncryption, S3Encryption, TrafficEncryption
from emr_pipelines.targets.kerberos import Kerberos
from emr_pipelines.targets.profile import Relaxation, Settings, given
from emr_pipelines.targets.releases import version_of
from emr_pipelines.targets.secret_references import region_of


class Security(Settings):
    """What a cluster's security configuration says. By default: SSE-S3 for what is written to S3, and version 2 alone of IMDS."""

    s3: S3Encryption = S3Encryption()
    disks: DiskEncryption | None = None
    traffic: TrafficEncryption | None = None
    instance_metadata_v1: bool = False
    """Whether version 1 of the instance metadata service answers too."""
    instance_metadata_hops: int = Field(default=1, ge=1, le=64)
    """Hops that a token of version 2 may travel: 1 stays on the node, containers on it need 2."""
    kerberos: Kerberos | None = None
    ldap: Ldap | None = None
    ranger: Ranger | None = None
    lake_formation: LakeFormation | None = None
    propagate_source_identity: bool = False
    """Whether CloudTrail shows who submitted a job that runs with an ``execution_role``."""

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.ldap and not self.traffic:
            raise ValueError("ldap sends credentials between nodes, and EMR takes it with traffic only: add traffic")
        if self.ldap and self.kerberos:
            raise ValueError("ldap comes with a KDC that EMR manages by itself: leave kerberos out")
        if self.ldap and self.lake_formation:
            raise ValueError("EMR takes ldap and lake_formation in no one security configuration: write one of them")
        if self.ranger and not (self.kerberos or self.ldap):
            raise ValueError("ranger judges users whom kerberos or ldap has authenticated: add one of them")
        if self.ranger and self.lake_formation:
            raise ValueError("ranger and lake_formation both judge who may read what: write one of them")
        return self

    @property
    def keys(self) -> tuple[str, ...]:
        """The KMS keys that it names."""
        named = [self.s3.key, *(override.key for override in self.s3.overrides), self.disks and self.disks.key]
        return tuple(key for key in named if key)

    def require(self, region: str, release: str, execution_role: str | None) -> None:
        """Raise ``ValueError`` where it does not fit the rest of its profile."""
        for key in self.keys:
            if region_of(key) != region:
                raise ValueError(
                    f"KMS key {key} lies in {region_of(key)}: EMR needs one of the cluster's region, {region}"
                )
        if execution_role is None and (self.lake_formation or self.propagate_source_identity):
            what = "lake_formation" if self.lake_formation else "propagate_source_identity"
            raise ValueError(f"security.{what} is about the role that a job runs with: add execution_role")
        if execution_role and self.ldap:
            raise ValueError("EMR takes security.ldap and execution_role in no one cluster: write one of them")
        needed = [
            (self.ldap, "security.ldap", (6, 12)),
            (execution_role, "execution_role", (6, 7)),
        ]
        for present, what, since in needed:
            if present and version_of(release) < since:
                raise ValueError(
                    f"{what} needs release emr-{since[0]}.{since[1]}.0 or a newer one, and release is {release}"
                )
        if not self.instance_metadata_v1 and not _can_do_without_v1(release):
            raise ValueError(
                f"release {release} needs version 1 of the instance metadata service: take emr-5.32.0, emr-6.2.0 or a newer one, "
                "or write security: {instance_metadata_v1: true}"
            )

    def configuration(self, execution_role: str | None = None) -> dict[str, Any]:
        """Return the security configuration; empty when all is relaxed. Which role a job runs with is not in it, only that there is one."""
        return {
            name: part
            for name, part in {
                "EncryptionConfiguration": self._encryption(),
                "InstanceMetadataServiceConfiguration": self._instance_metadata(),
                "AuthenticationConfiguration": self._authentication(),
                "AuthorizationConfiguration": self._authorization(execution_role is not None),
            }.items()
            if part
        }

    def _encryption(self) -> dict[str, Any]:
        at_rest = given(
            {
                "S3EncryptionConfiguration": None if self.s3.mode == "none" else self.s3.configuration(),
                "LocalDiskEncryptionConfiguration": self.disks and self.disks.configuration(),
            }
        )
        in_transit = self.traffic and {"TLSCertificateConfiguration": self.traffic.configuration()}
        if not at_rest and not in_transit:
            return {}
        return given(
            {
                "EnableInTransitEncryption": bool(in_transit),
                "EnableAtRestEncryption": bool(at_rest),
                "InTransitEncryptionConfiguration": in_transit,
                "AtRestEncryptionConfiguration": at_rest or None,
            }
        )

    def _instance_metadata(self) -> dict[str, Any]:
        if self.instance_metadata_v1 and "instance_metadata_hops" not in self.model_fields_set:
            return {}
        return {
            "MinimumInstanceMetadataServiceVersion": 1 if self.instance_metadata_v1 else 2,
            "HttpPutResponseHopLimit": self.instance_metadata_hops,
        }

    def _authentication(self) -> dict[str, Any]:
        return given(
            {
                "KerberosConfiguration": self.kerberos and self.kerberos.configuration(),
                "LDAPConfiguration": self.ldap and self.ldap.configuration(),
            }
        )

    def _authorization(self, runtime_roles: bool) -> dict[str, Any]:
        propagated = {"PropagateSourceIdentity": True} if self.propagate_source_identity else None
        roles = given({"EnableApplicationScopedIAMRole": True, "ApplicationScopedIAMRoleConfiguration": propagated})
        return given(
            {
                "IAMConfiguration": roles if runtime_roles else None,
                "LakeFormationConfiguration": self.lake_formation and self.lake_formation.configuration(),
                "RangerConfiguration": self.ranger and self.ranger.configuration(),
            }
        )

    @property
    def relaxations(self) -> tuple[Relaxation, ...]:
        """What it leaves open."""
        found: list[Relaxation] = []
        if self.s3.mode == "none":
            found.append(
                Relaxation("unencrypted_s3", "EMRFS does not ask S3 to encrypt what it writes: security.s3 is none")
            )
        if self.disks is None:
            found.append(
                Relaxation(
                    "unencrypted_disks", "local disks of its nodes are not encrypted: security.disks has no KMS key"
                )
            )
        elif not self.disks.of_root_volumes:
            found.append(
                Relaxation(
                    "unencrypted_disks", "root volumes of its nodes are not encrypted: security.disks does not use EBS"
                )
            )
        if self.traffic is None:
            found.append(
                Relaxation(
                    "unencrypted_traffic",
                    "traffic between its nodes is not encrypted: security.traffic has no certificates",
                )
            )
        if self.instance_metadata_v1:
            found.append(
                Relaxation(
                    "instance_metadata_v1",
                    "the instance metadata service answers without a token: security.instance_metadata_v1 is true",
                )
            )
        if not (self.kerberos or self.ldap):
            found.append(
                Relaxation(
                    "no_authentication_between_nodes",
                    "its nodes do not authenticate each other: security has neither kerberos nor ldap",
                )
            )
        return tuple(found)


def _can_do_without_v1(release: str) -> bool:
    """Whether a release works with version 2 of IMDS alone: the guide names 5.23.1, 5.27.1, 5.32 and later, 6.2 and later."""
    version = version_of(release)
    return version in {(5, 23, 1), (5, 27, 1)} or version >= (6, 2) or (5, 32) <= version < (6,)


def canonical(configuration: dict[str, Any]) -> str:
    """Return a security configuration as the JSON that EMR is sent."""
    return json.dumps(configuration, sort_keys=True, separators=(",", ":"))


def name_of_configuration(configuration: dict[str, Any]) -> str:
    """Return the name under which EMR keeps it: whoever means the same configuration means the same name."""
    return f"emr-pipelines-{hashlib.sha256(canonical(configuration).encode()).hexdigest()[:32]}"
