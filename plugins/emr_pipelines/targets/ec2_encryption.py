"""Encryption of what a cluster on EC2 writes to S3 and to its disks, and of the traffic between its nodes.

Source: Amazon EMR Management Guide, "Create a security configuration with the Amazon EMR console or with the AWS CLI".
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import model_validator

from emr_pipelines.targets.names import Names
from emr_pipelines.targets.profile import Like, Settings, given
from emr_pipelines.targets.secret_references import KmsKey

Bucket = Annotated[str, Like(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "example-bucket")]
S3Object = Annotated[
    str, Like(r"(s3://|arn:aws[a-zA-Z0-9-]*:s3:::)[^/]+/.+", "s3://example-bucket/file.zip"), Names("object")
]
"""An object in S3, as an address or an ARN."""

_KMS_MODES = ("SSE-KMS", "CSE-KMS")


def _require_key(mode: str, key: str | None) -> None:
    if (mode in _KMS_MODES) != (key is not None):
        raise ValueError(
            f"mode is {mode}: SSE-KMS and CSE-KMS have a key, and no other mode does: add key, or leave it out"
        )


class Provider(Settings):
    """A jar in S3 and the class in it that provides keys or certificates."""

    jar: S3Object
    class_name: Annotated[str, Like(r"[\w$]+(\.[\w$]+)+", "com.example.Provider")]
    """Full name of the class: an EncryptionMaterialsProvider for keys, a TLSArtifactsProvider for certificates."""


class BucketEncryption(Settings):
    """How objects of one bucket are encrypted, where that is another way than the rest."""

    bucket: Bucket
    mode: Literal["SSE-S3", "SSE-KMS", "CSE-KMS"]
    key: KmsKey | None = None

    @model_validator(mode="after")
    def _has_its_key(self) -> Self:
        _require_key(self.mode, self.key)
        return self

    def configuration(self) -> dict[str, Any]:
        """Return one of ``Overrides``."""
        return given({"BucketName": self.bucket, "EncryptionMode": self.mode, "AwsKmsKey": self.key})


class S3Encryption(Settings):
    """How EMRFS encrypts what it writes to S3. A mode without more may stand by itself: ``s3: none``."""

    mode: Literal["SSE-S3", "SSE-KMS", "CSE-KMS", "CSE-Custom", "none"] = "SSE-S3"
    key: KmsKey | None = None
    """For ``SSE-KMS`` and ``CSE-KMS``; in the region of the cluster."""
    provider: Provider | None = None
    """For ``CSE-Custom``."""
    overrides: tuple[BucketEncryption, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _mode_by_itself(cls, value: Any) -> Any:
        return {"mode": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _has_what_its_mode_needs(self) -> Self:
        _require_key(self.mode, self.key)
        if (self.mode == "CSE-Custom") != (self.provider is not None):
            raise ValueError(f"mode is {self.mode}: CSE-Custom has a provider, and no other mode does")
        if self.mode == "none" and self.overrides:
            raise ValueError("overrides differ from a mode, and mode is none: write the mode of all other buckets")
        return self

    def configuration(self) -> dict[str, Any]:
        """Return an ``S3EncryptionConfiguration``."""
        overrides = [override.configuration() for override in self.overrides]
        provided = self.provider and {
            "S3Object": self.provider.jar,
            "EncryptionKeyProviderClass": self.provider.class_name,
        }
        return given({"EncryptionMode": self.mode, "AwsKmsKey": self.key, "Overrides": overrides or None}) | (
            provided or {}
        )


class DiskEncryption(Settings):
    """How the disks of the nodes are encrypted: with a KMS key, or with keys of a provider."""

    key: KmsKey | None = None
    """In the region of the cluster; its policy lets the service role and the instance profile use it."""
    provider: Provider | None = None
    ebs: bool = True
    """Whether with a ``key`` EBS encrypts the volumes, the root volume too; else LUKS encrypts them, and not the root volume."""

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.key is None) == (self.provider is None):
            raise ValueError("either key or provider says what disks are encrypted with: write one of them")
        return self

    @property
    def of_root_volumes(self) -> bool:
        """Whether the root volumes are encrypted too."""
        return self.key is not None and self.ebs

    def configuration(self) -> dict[str, Any]:
        """Return a ``LocalDiskEncryptionConfiguration``."""
        if self.provider:
            return {
                "EncryptionKeyProviderType": "Custom",
                "S3Object": self.provider.jar,
                "EncryptionKeyProviderClass": self.provider.class_name,
            }
        encrypted = {"EncryptionKeyProviderType": "AwsKms", "AwsKmsKey": self.key}
        return {"EnableEbsEncryption": True, **encrypted} if self.ebs else encrypted


class TrafficEncryption(Settings):
    """Certificates with which traffic between nodes is encrypted (TLS)."""

    certificates: S3Object | None = None
    """A zip file with ``privateKey.pem`` and ``certificateChain.pem``, and if need be ``trustedCertificates.pem``."""
    provider: Provider | None = None

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.certificates is None) == (self.provider is None):
            raise ValueError("either certificates or provider says where certificates come from: write one of them")
        return self

    def configuration(self) -> dict[str, Any]:
        """Return a ``TLSCertificateConfiguration``."""
        if self.provider:
            return {
                "CertificateProviderType": "Custom",
                "S3Object": self.provider.jar,
                "CertificateProviderClass": self.provider.class_name,
            }
        return {"CertificateProviderType": "PEM", "S3Object": self.certificates}
