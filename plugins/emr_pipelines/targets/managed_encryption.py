"""Encryption where AWS keeps the machines or Kubernetes does: EMR Serverless, EMR on EKS.

Sources: EMR Serverless User Guide, "Inter-worker encryption", "Disk Encryption with KMS CMK", "Encrypting logs"; EMR on EKS API
reference, MonitoringConfiguration; Apache Spark, "Security".
"""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from emr_pipelines.targets.profile import Like, Relaxation, Settings, given
from emr_pipelines.targets.secret_references import KmsKey, region_of

_TLS_SINCE = (6, 15)
"""The release of EMR Serverless from which workers talk by TLS."""


class IdentityCenter(Settings):
    """The instance of IAM Identity Center whose users applications know."""

    instance: Annotated[
        str,
        Like(
            r"arn:aws[a-zA-Z0-9-]*:sso:::instance/(sso)?ins-[a-zA-Z0-9-.]{16}",
            "arn:aws:sso:::instance/ssoins-1234567890abcdef",
        ),
    ]
    """Its ARN."""
    user_background_sessions: bool = False
    """Whether sessions go on after their user has logged out."""

    def request(self) -> dict[str, Any]:
        """Return an ``IdentityCenterConfigurationInput``."""
        return {
            "identityCenterInstanceArn": self.instance,
            "userBackgroundSessionsEnabled": self.user_background_sessions,
        }


class ServerlessEncryption(Settings):
    """Encryption on EMR Serverless, whose disks are encrypted with keys of AWS where no other is named."""

    traffic: bool = True
    """Whether the workers of a Spark job talk by TLS, with certificates that EMR makes (``spark.ssl.internode.enabled``)."""
    disks: KmsKey | None = None
    """KMS key of the workers' disks; the key's policy and the jobs' role let EMR Serverless use it."""
    disks_context: dict[str, str] = Field(default={}, max_length=8)
    """Encryption context of that key's use; CloudTrail shows it, so it holds nothing secret."""
    logs: KmsKey | None = None
    """KMS key of the logs in S3."""
    managed_logs: KmsKey | None = None
    """KMS key of the logs that AWS keeps."""
    cloudwatch: KmsKey | None = None
    """KMS key of the logs in CloudWatch Logs."""

    @model_validator(mode="after")
    def _context_has_its_key(self) -> Self:
        if self.disks_context and not self.disks:
            raise ValueError("disks_context goes with a key: add disks")
        return self

    def require(self, region: str, *, managed_logs: bool, cloudwatch: bool) -> None:
        """Raise ``ValueError`` where it does not fit the rest of its profile."""
        _require_region(region, self.disks, self.logs, self.managed_logs, self.cloudwatch)
        if self.managed_logs and not managed_logs:
            raise ValueError(
                "encryption.managed_logs is the key of logs that AWS keeps, and managed_logs is false: turn it on, or leave the key out"
            )
        if self.cloudwatch and not cloudwatch:
            raise ValueError("encryption.cloudwatch is the key of logs in CloudWatch Logs: add cloudwatch")

    def disks_request(self) -> dict[str, Any] | None:
        """Return a ``DiskEncryptionConfiguration``."""
        if self.disks is None:
            return None
        return given({"encryptionKeyArn": self.disks, "encryptionContext": self.disks_context or None})

    def spark(self) -> dict[str, str]:
        """Return what Spark is told of it."""
        return {"spark.ssl.internode.enabled": "true"} if self.traffic else {}

    def relaxations(self, release: tuple[int, ...]) -> tuple[Relaxation, ...]:
        """Return what applications of a release leave open, given its numbers."""
        if self.traffic and release >= _TLS_SINCE:
            return ()
        why = "encryption.traffic is false" if not self.traffic else "it begins with release emr-6.15.0"
        return (
            Relaxation("unencrypted_traffic", f"traffic between its workers is not encrypted: {why}"),
            Relaxation("no_authentication_between_nodes", f"its workers do not authenticate each other: {why}"),
        )


class EksEncryption(Settings):
    """Encryption on EMR on EKS. The disks of the nodes are encrypted, or not, by whoever runs the EKS cluster."""

    traffic: bool = False
    """Whether Spark's processes authenticate each other and encrypt what they say (``spark.authenticate``, ``spark.network.crypto``)."""
    disks: bool = False
    """Whether Spark encrypts what it writes to local disks: shuffles, and what memory cannot hold (``spark.io.encryption``)."""
    logs: KmsKey | None = None
    """KMS key of the logs in S3."""

    def require(self, region: str) -> None:
        """Raise ``ValueError`` where it does not fit the rest of its profile."""
        _require_region(region, self.logs)

    def spark(self) -> dict[str, str]:
        """Return what Spark is told of it; on Kubernetes it makes the secret of each application by itself."""
        told = {"spark.authenticate": "true", "spark.network.crypto.enabled": "true"} if self.traffic else {}
        return told | ({"spark.io.encryption.enabled": "true"} if self.disks else {})

    @property
    def relaxations(self) -> tuple[Relaxation, ...]:
        """What job runs leave open."""
        traffic = (
            Relaxation("unencrypted_traffic", "traffic between its pods is not encrypted: encryption.traffic is false"),
            Relaxation(
                "no_authentication_between_nodes",
                "its pods do not authenticate each other: encryption.traffic is false",
            ),
        )
        disks = Relaxation(
            "unencrypted_disks", "Spark does not encrypt what it writes to its pods' disks: encryption.disks is false"
        )
        return (*(() if self.traffic else traffic), *(() if self.disks else (disks,)))


def _require_region(region: str, *keys: str | None) -> None:
    for key in keys:
        if key and region_of(key) != region:
            raise ValueError(f"KMS key {key} lies in {region_of(key)}: name one of the profile's region, {region}")
