"""The profile of a virtual cluster of EMR on EKS, and the requests that it means.

Settings carry the names and the meaning of the EMR on EKS API reference (CreateVirtualCluster, StartJobRun), in YAML's spelling.
"""

from __future__ import annotations

import string
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from emr_pipelines.keys import Lease, name_of
from emr_pipelines.targets.managed_encryption import EksEncryption
from emr_pipelines.targets.names import Named, Names
from emr_pipelines.targets.platforms import Architecture, Platform, platform
from emr_pipelines.targets.profile import Classification, Like, Relaxation, RoleArn, Settings, given
from emr_pipelines.targets.sections import ContainerSections, merged

_LONGEST_NAME = 32
"""Characters of a profile's name that fit into a virtual cluster's, beside the deployment's."""

_SHARED = frozenset(
    {"eks_cluster", "namespace", "virtual_cluster", "security_configuration", "max_concurrent_jobs", "max_queued_jobs"}
)
"""Settings of the virtual cluster, which all runs share: they cannot be overridden for one of them."""

_FIELDS = frozenset({"entry_point", "arguments", "spark_parameters"})

_NODES = "spark.kubernetes.node.selector.kubernetes.io/arch"
"""Chooses nodes by Kubernetes' own label of their processors (https://kubernetes.io/docs/reference/labels-annotations-taints/)."""

IN_IMAGE = "local://"
"""How Spark on Kubernetes names a file of its container image."""

Identifier = Annotated[str, Like(r"[0-9a-z]{1,64}", "0123456789abcdefghij")]
Release = Annotated[str, Like(r"emr-(spark-)?\d+\.\d+(\.\d+)?-(latest|\d{8})", "emr-7.9.0-latest")]
PodTemplate = Annotated[str, Like(r"(s3://[^/]+/.+|/.+)", "s3://example-bucket/driver.yaml"), Names("object")]
"""An address in S3, or the path of a file in the container image."""


class Pod(Settings):
    """A driver or executor: vCPUs, and memory of its process in GB."""

    cores: int = Field(default=1, ge=1, le=128)
    memory: int = Field(default=2, ge=1, le=1024)
    template: PodTemplate | None = None


class Executors(Pod):
    """Executors of a job."""

    count: int = Field(default=2, ge=1)


class CloudWatch(Settings):
    """Where in CloudWatch Logs the logs go, beside S3."""

    log_group: Annotated[str, Like(r"[.\-_/#A-Za-z0-9]{1,512}", "/aws/emr-containers"), Names("log_group")]
    log_stream_prefix: Annotated[str, StringConstraints(min_length=1, max_length=256)] | None = None


class LogRotation(Settings):
    """Files into which a container's log is cut, for jobs that run long."""

    size: Annotated[str, Like(r"\d+(\.\d+)?[KMG][Bb]?", "10MB")]
    files: int = Field(ge=1, le=50)


class JobTemplate(Settings):
    """A job template: a StartJobRun request of its own, with parameters for what it leaves open.

    A parameter's value may name ``{entry_point}``, ``{arguments[0]}`` and so on, and ``{spark_parameters}`` of the job.
    """

    id: Annotated[Identifier, Names("job_template")]
    parameters: dict[str, str]

    @field_validator("parameters")
    @classmethod
    def _name_what_there_is(cls, parameters: dict[str, str]) -> dict[str, str]:
        named = {field for value in parameters.values() for field in fields_of(value)}
        if unknown := sorted(field for field in named if field.partition("[")[0] not in _FIELDS):
            raise ValueError(f"there is no {{{unknown[0]}}}: a value may name {', '.join(sorted(_FIELDS))}")
        if "entry_point" not in named:
            raise ValueError("one of them must be '{entry_point}': without it every job would run the same file")
        return parameters

    @property
    def named(self) -> frozenset[str]:
        """What of a job the parameters name."""
        return frozenset(field for value in self.parameters.values() for field in fields_of(value))


def fields_of(value: str) -> list[str]:
    """List what stands in braces in a parameter's value."""
    try:
        return [field for _, field, _, _ in string.Formatter().parse(value) if field is not None]
    except ValueError as error:
        raise ValueError(f"{value!r}: {error}; write {{{{ and }}}} for braces") from None


class EksProfile(ContainerSections):
    """Job runs on a Kubernetes namespace of an EKS cluster.

    The virtual cluster is the one that ``virtual_cluster`` names, or else the deployment's own in that namespace, made once. It costs
    nothing by itself, all runs share it, and none ends it.
    """

    target: Literal["eks"]
    eks_cluster: Annotated[str, Like(r"[0-9A-Za-z][A-Za-z0-9\-_]{0,99}", "analytics"), Names("eks_cluster")]
    """Name of the EKS cluster."""
    namespace: Annotated[str, Like(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", "emr-jobs")]
    """Kubernetes namespace that EMR on EKS was let into."""
    virtual_cluster: Annotated[Identifier, Names("virtual_cluster")] | None = None
    """Id of a virtual cluster to use as it is; then none is made."""
    security_configuration: Annotated[Identifier, Names("eks_security_configuration")] | None = None
    """Id of a security configuration of EMR on EKS, for a virtual cluster that is made: Lake Formation and its certificates."""
    release: Annotated[Release, Names("eks_release")] = "emr-7.9.0-latest"
    """Release label of EMR on EKS: ``-latest``, or a day."""
    execution_role: Annotated[RoleArn, Names("eks_role")]
    """The role that the jobs have."""
    architecture: Architecture | None = None
    """Processors of the nodes on which pods may run; without it any, and packages of jobs are made for X86_64."""
    driver: Pod = Pod()
    """Size of the driver, and the template of its pod."""
    executor: Executors = Executors()
    """Size and number of the executors, and the template of their pods."""
    maximum_workers: int | None = Field(default=None, ge=1)
    """Executors of a job, at most; with it Spark adds and removes executors while the job runs (dynamic allocation)."""
    configurations: tuple[Classification, ...] = ()
    """Configuration classifications of every job run; they win over what the sections become."""
    job_template: JobTemplate | None = None
    """The job template that job runs are started from, instead of a release and a driver of their own."""
    persistent_ui: bool = True
    """Whether AWS keeps Spark's UI for thirty days."""
    cloudwatch: CloudWatch | None = None
    """CloudWatch Logs, beside S3."""
    log_rotation: LogRotation | None = None
    """How a container's log is cut, for jobs that run long."""
    attempts: int | None = Field(default=None, ge=1, le=10)
    """Attempts at a job's driver in all."""
    max_concurrent_jobs: int | None = Field(default=None, ge=1, le=1000)
    """Job runs at a time on a virtual cluster that is made; further ones wait in its queue."""
    max_queued_jobs: int | None = Field(default=None, ge=1, le=1000)
    """Job runs that may wait in that queue."""
    encryption: EksEncryption = EksEncryption()
    """What is encrypted, and with which keys."""

    @property
    def platform(self) -> Platform:
        """What the packages of its jobs are made for."""
        return platform(self.release, self.python, self.architecture or "X86_64")

    @property
    def relaxations(self) -> tuple[Relaxation, ...]:
        """What its job runs leave open; what a job template says is not known here."""
        if self.job_template is None:
            return self.encryption.relaxations
        unknown = f"what job template {self.job_template.id!r} says is not known here"
        return (*self.encryption.relaxations, Relaxation("unknown_security", unknown))

    @model_validator(mode="after")
    def _encryption_fits(self) -> Self:
        self.encryption.require(self.region)
        self.require_told(self.encryption.spark())
        if self.security_configuration and self.virtual_cluster:
            raise ValueError(
                "security_configuration is for a virtual cluster that is made: leave it or virtual_cluster out"
            )
        if self.job_template and (self.encryption.logs or self.encryption.spark()):
            raise ValueError(
                "encryption would have no effect, as the job template says it: write it there, and leave it out here"
            )
        return self

    @model_validator(mode="after")
    def _is_shared(self) -> Self:
        if self.max_concurrent is not None:
            raise ValueError(
                "max_concurrent counts compute made for runs, and a virtual cluster is shared: use max_concurrent_jobs"
            )
        if len(self.name) > _LONGEST_NAME:
            raise ValueError(f"a profile of target eks has a name of at most {_LONGEST_NAME} characters")
        if shared := sorted(_SHARED & set(self.overrides)):
            raise ValueError(f"{shared[0]} shapes a virtual cluster that all runs share: make another profile for it")
        return self

    @model_validator(mode="after")
    def _template_takes_what_is_overridden(self) -> Self:
        if self.job_template is None:
            return self
        taken = {"attempts", "maximum_workers"} if "spark_parameters" in self.job_template.named else {"attempts"}
        if dropped := sorted(set(self.overrides) - taken):
            raise ValueError(
                f"{dropped[0]} would have no effect, as the job template says it: leave it out, or for maximum_workers let one of "
                "job_template.parameters have the value '{spark_parameters}'"
            )
        return self

    @property
    def named(self) -> tuple[Named, ...]:
        """What its job runs need; the namespace only where a virtual cluster is made in it."""
        made = () if self.virtual_cluster else (Named("namespace", self.namespace, "namespace", self.eks_cluster),)
        return (*super().named, *made)

    @property
    def most_nodes(self) -> int | None:
        """Pods that a job may have at a time: its driver and executors."""
        executors = self.most_executors(self.executor.count, dynamic=False)
        return None if executors is None else 1 + executors

    @property
    def place(self) -> tuple[str | None, ...]:
        """Where its virtual cluster is found: on an EKS cluster, or under the id that the profile names."""
        return (*super().place, self.eks_cluster, self.virtual_cluster)

    @property
    def all_configurations(self) -> tuple[Classification, ...]:
        """Return what the sections become, and over it ``configurations``."""
        chosen = {_NODES: self.architecture.lower().replace("x86_64", "amd64")} if self.architecture else {}
        nodes = Classification(classification="spark-defaults", properties=chosen)
        own = [one for one in (self.spark_defaults(IN_IMAGE), nodes) if one.properties]
        return merged([*own, *self.configurations])

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about settings that a job template leaves without effect, and about numbers that are never reached."""
        if self.job_template is None or not self.all_configurations:
            return super().warnings
        said = "job_template says the configurations of its job runs: those of this profile have no effect"
        return (*super().warnings, said)

    def cluster_name(self, lease: Lease) -> str:
        """Return the name of the deployment's virtual cluster."""
        return name_of(lease.deployment, self.name)

    def request(self, lease: Lease) -> dict[str, Any]:
        """Return the CreateVirtualCluster request, without its client token."""
        scheduler = given({"maxConcurrentJobRuns": self.max_concurrent_jobs, "maxInQueueJobRuns": self.max_queued_jobs})
        return given(
            {
                "name": self.cluster_name(lease),
                "containerProvider": {
                    "type": "EKS",
                    "id": self.eks_cluster,
                    "info": {"eksInfo": {"namespace": self.namespace}},
                },
                "securityConfigurationId": self.security_configuration,
                "schedulerConfiguration": scheduler or None,
                "tags": self.shared_tags(lease),
            }
        )

    def monitoring(self) -> dict[str, Any]:
        """Return the ``MonitoringConfiguration`` of job runs."""
        cloudwatch = self.cloudwatch and given(
            {"logGroupName": self.cloudwatch.log_group, "logStreamNamePrefix": self.cloudwatch.log_stream_prefix}
        )
        rotation = self.log_rotation and {
            "rotationSize": self.log_rotation.size,
            "maxFilesToKeep": self.log_rotation.files,
        }
        return given(
            {
                "persistentAppUI": "ENABLED" if self.persistent_ui else "DISABLED",
                "s3MonitoringConfiguration": given({"logUri": self.log_uri, "encryptionKeyArn": self.encryption.logs}),
                "cloudWatchMonitoringConfiguration": cloudwatch,
                "containerLogRotationConfiguration": rotation,
            }
        )
