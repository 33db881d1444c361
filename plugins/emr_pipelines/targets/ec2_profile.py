"""The profile of an EMR cluster on EC2, made for each run or named, and the RunJobFlow request that it means.

Settings carry the names and the meaning of the EMR API reference (RunJobFlow), in YAML's spelling.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from emr_pipelines.errors import ConfigurationError
from emr_pipelines.jobs import Engine
from emr_pipelines.keys import Lease, name_of
from emr_pipelines.targets.applications import check_release_has, checked_applications
from emr_pipelines.targets.ec2_instances import Ami, InstanceGroup, check_gp3, configuration
from emr_pipelines.targets.ec2_nodes import ClusterNodes, Nodes, place_members
from emr_pipelines.targets.ec2_scaling import ManagedScaling
from emr_pipelines.targets.ec2_security import Security, name_of_configuration
from emr_pipelines.targets.ec2_setup import DEBUGGING, BootstrapAction, SetupStep
from emr_pipelines.targets.names import Named, Names, named_in
from emr_pipelines.targets.platforms import Platform, architectures_of, platform
from emr_pipelines.targets.profile import (
    Classification,
    Like,
    Owner,
    Profile,
    Relaxation,
    RoleArn,
    SecurityGroup,
    Subnet,
    given,
)
from emr_pipelines.targets.releases import Release, version_of
from emr_pipelines.targets.secret_references import KmsKey
from emr_pipelines.targets.sections import ClusterSections
from emr_pipelines.targets.sizing import Nodes as NodesOfType

_APPLICATION_OF_ENGINE: dict[Engine, str] = {
    "spark": "Spark",
    "hive": "Hive",
    "hadoop": "Hadoop",
    "flink": "Flink",
    "trino": "Trino",
    "hbase": "HBase",
}
_PRESTO = frozenset({"Presto", "PrestoSQL"})
"""Applications that run what is written for Trino; EMR installs only one of the three on a cluster."""

_WITH_DATABASE = ("Hue", "Oozie")
"""Applications that keep a database on the primary node, besides Hive, which may have a metastore elsewhere."""

_METASTORES = frozenset(
    {"hive.metastore.client.factory.class", "hive.metastore.uris", "javax.jdo.option.ConnectionURL"}
)
"""Properties of ``hive-site`` that name a metastore outside of the cluster."""

_ROOT_VOLUME = 15
"""GiB of a root volume whose size is not said (EMR Management Guide, "Customizing the Amazon EBS root device volume")."""

_PER_JOB = frozenset({"deploy_mode", "execution_role"})
"""Settings of jobs: all others shape a cluster, and cannot be given, or overridden, where ``cluster`` names one that runs."""

_CLUSTER_ID = re.compile(r"j-[0-9A-Z]{13}")

AvailabilityZone = Annotated[str, Like(r"[a-z]{2}(-[a-z]+)+-\d[a-z]", "us-east-1a"), Names("zone")]


_MANAGED = {"for-use-with-amazon-emr-managed-policies": "true"}
"""The tag without which AmazonEMRServicePolicy_v2 lets no service role start instances (EMR Management Guide, "Managed policies")."""


class Ec2Profile(ClusterSections):
    """An EMR cluster on EC2 for each run, or one that runs already and that all runs share.

    Defaults are the safe ones: a cluster for a run ends by itself when idle, and logs are kept. A cluster that ``cluster`` names keeps
    its own shape, and its own place for logs; it is never ended here.
    """

    target: Literal["ec2"]
    cluster: Annotated[str, Like(r"[^<>$|`]{1,256}", "analytics"), Names("cluster")] | None = None
    """A cluster that runs already, by its id (``j-`` and thirteen letters and digits) or its name: what shapes one is not given then."""
    release: Annotated[Release, Names("release")] = "emr-7.9.0"
    applications: Annotated[tuple[str, ...], AfterValidator(checked_applications)] = ("Spark", "Hive")
    """What is installed; what the run's jobs need joins it."""
    primary: Nodes | None = None
    """Needed, unless ``cluster`` names one that runs."""
    core: Nodes | None = None
    task: Nodes | None = None
    managed_scaling: ManagedScaling | None = None
    scaling_role: Annotated[str, Names("role", "application-autoscaling.amazonaws.com")] | None = None
    """Name of the role of custom automatic scaling, such as ``EMR_AutoScaling_DefaultRole``."""
    scale_down_behavior: Literal["TERMINATE_AT_TASK_COMPLETION", "TERMINATE_AT_INSTANCE_HOUR"] | None = None
    """When an instance that is too many ends."""
    unhealthy_node_replacement: bool | None = None
    """Whether EMR replaces core nodes that have degraded."""
    subnet: Subnet | None = None
    """A private one, unless ``public_subnet`` says otherwise; with that and without this, EMR takes one of the default VPC."""
    subnets: tuple[Subnet, ...] = ()
    """Of several zones: EMR takes the one where it gets the instance fleets best."""
    availability_zones: tuple[AvailabilityZone, ...] = ()
    """Instead of subnets, in the default VPC; several only with instance fleets."""
    placement_group: Literal["SPREAD"] | None = None
    """Puts three primary nodes on hardware of their own."""
    key_pair: Annotated[str, Names("key_pair")] | None = None
    primary_security_group: SecurityGroup | None = None
    core_security_group: SecurityGroup | None = None
    service_access_security_group: SecurityGroup | None = None
    """By which EMR reaches the cluster in a private subnet; needed there beside security groups of one's own."""
    additional_primary_security_groups: tuple[SecurityGroup, ...] = ()
    additional_core_security_groups: tuple[SecurityGroup, ...] = ()
    """Of core and task nodes."""
    service_role: Annotated[str, Names("role", "elasticmapreduce.amazonaws.com")] = "EMR_DefaultRole"
    instance_profile: Annotated[str, Names("instance_profile", "ec2.amazonaws.com")] = "EMR_EC2_DefaultRole"
    """Whose role the jobs run under."""
    execution_role: RoleArn | None = None
    """The role that Spark and Hive jobs run under in place of the instance profile's (a runtime role), from emr-6.7.0 on."""
    security: Security = Security()
    """What the security configuration says that is made for such clusters."""
    security_configuration: Annotated[str, Names("security_configuration")] | None = None
    """Name of a security configuration that there is, in place of ``security``, but for the realm and passwords of ``kerberos``."""
    public_subnet: bool = False
    """Says that the subnets are public, or that the default VPC's may be taken: a relaxation, which a policy may forbid."""
    log_encryption_key: KmsKey | None = None
    """ARN of the KMS key with which EMR encrypts the logs that it writes to S3."""
    custom_ami: Ami | None = None
    os_release: str | None = None
    """Release of Amazon Linux, such as ``2023.6.20250218.2``; without it the newest that EMR has validated."""
    repository_upgrade: Literal["SECURITY", "NONE"] | None = None
    """What instances of a custom AMI upgrade when they start."""
    root_volume_size: int | None = Field(default=None, ge=15, le=1000)
    root_volume_iops: int | None = Field(default=None, ge=3000, le=16000)
    root_volume_throughput: int | None = Field(default=None, ge=125, le=1000)
    configurations: tuple[Classification, ...] = ()
    """Configuration classifications; they win over what the sections become."""
    bootstrap_actions: tuple[BootstrapAction, ...] = ()
    setup_steps: tuple[SetupStep, ...] = ()
    """Steps that the cluster begins with. With ``concurrent_steps`` above 1 jobs do not wait for them."""
    debugging: bool = False
    """Whether a first step lets EMR's console show the logs of steps, jobs and tasks."""
    concurrent_steps: int = Field(default=4, ge=1, le=256)
    """Jobs of a run at the same time; further ones wait."""
    idle_minutes: int = Field(default=30, ge=1, le=10080)
    """Minutes without a step after which EMR ends the cluster by itself, whatever happened to Airflow."""
    termination_protection: bool = False
    """Whether EMR refuses to end the cluster; release takes it away first."""
    deploy_mode: Literal["client", "cluster"] = "client"
    """Where a Spark driver runs; ``client`` puts its output into the step's own log, where a failure's cause is looked for."""
    maximum_workers: int | None = Field(default=None, ge=1)
    """Instances beside the primary node, at most: instead of what scaling, or the counts and capacities of core and task, allow."""

    @model_validator(mode="after")
    def _is_named_or_shaped(self) -> Self:
        if self.cluster is None and self.primary is None:
            raise ValueError(
                "primary is missing: give the primary node, such as primary: {type: m5.xlarge}, or name a cluster that runs, as cluster"
            )
        if self.cluster is None:
            return self
        if self.max_concurrent is not None:
            raise ValueError(
                "max_concurrent counts compute made for runs, and the cluster that cluster names is shared: leave it out; how many steps "
                "run at a time is the cluster's own StepConcurrencyLevel"
            )
        if shared := sorted(set(self.overrides) - _PER_JOB):
            raise ValueError(
                f"{shared[0]} shapes a cluster that all runs share: override {', '.join(sorted(_PER_JOB))}, or take a profile without "
                "cluster"
            )
        of_jobs = _PER_JOB | Profile.model_fields.keys() | {"cluster"}
        if shaping := [name for name in type(self).model_fields if name in self.model_fields_set - of_jobs]:
            raise ValueError(
                f"{shaping[0]} shapes a cluster, and cluster names {self.cluster!r}, which runs already: leave one of them out"
            )
        return self

    @model_validator(mode="after")
    def _nodes_fit(self) -> Self:
        if nodes := self._asked_nodes():
            nodes.check()
            nodes.check_scaling(self.scaling_role)
            if self.placement_group and nodes.primaries == 1:
                raise ValueError("placement_group spreads three primary nodes: write primary.count: 3, or leave it out")
        return self

    @model_validator(mode="after")
    def _place_fits(self) -> Self:
        if (self.subnet is not None) + bool(self.subnets) + bool(self.availability_zones) > 1:
            raise ValueError(
                "subnet, subnets and availability_zones exclude each other: a subnet lies in one zone, so keep one setting"
            )
        if max(len(self.subnets), len(self.availability_zones)) > 1 and isinstance(self.primary, InstanceGroup):
            raise ValueError(
                "several subnets or availability_zones need instance fleets: give the nodes types, or keep one"
            )
        if foreign := [zone for zone in self.availability_zones if zone[:-1] != self.region]:
            raise ValueError(f"availability zone {foreign[0]} is not in region {self.region}: change one of them")
        if (self.primary_security_group is None) != (self.core_security_group is None):
            raise ValueError("primary_security_group and core_security_group go together: give both, or none")
        if not (self.cluster or self.subnet or self.subnets or self.public_subnet):
            raise ValueError(
                "subnet is missing: name a private one, or write public_subnet: true for the default VPC, whose subnets are public"
            )
        return self

    @model_validator(mode="after")
    def _steps_fit(self) -> Self:
        if self.concurrent_steps > 1 and (ending := [one for one in self.setup_steps if one.on_failure != "CONTINUE"]):
            raise ValueError(
                f"set-up step {ending[0].name!r} has on_failure: {ending[0].on_failure}, and EMR takes only CONTINUE where "
                "steps run at the same time: write concurrent_steps: 1"
            )
        return self

    @model_validator(mode="after")
    def _release_has_it(self) -> Self:
        check_release_has(self.applications, self.release)
        if (self.root_volume_iops or self.root_volume_throughput) and version_of(self.release) < (6, 15):
            raise ValueError(
                f"release {self.release} takes no root_volume_iops and root_volume_throughput: emr-6.15.0 and later do"
            )
        check_gp3(self.root_volume_size or _ROOT_VOLUME, self.root_volume_iops, self.root_volume_throughput)
        if self.managed_scaling and self.managed_scaling.performance_index and version_of(self.release) < (7, 0):
            raise ValueError(
                f"release {self.release} takes no managed_scaling.performance_index: emr-7.0.0 and later do"
            )
        if self.repository_upgrade and not self.custom_ami:
            raise ValueError("repository_upgrade is of a custom AMI: give custom_ami, or leave it out")
        return self

    @property
    def nodes(self) -> ClusterNodes | None:
        """The nodes, of which ``maximum_workers`` bounds those beside the primary ones; none of a cluster that is only named."""
        nodes = self._asked_nodes()
        return nodes.up_to(self.maximum_workers) if nodes and self.maximum_workers else nodes

    def _asked_nodes(self) -> ClusterNodes | None:
        return ClusterNodes(self.primary, self.core, self.task, self.managed_scaling) if self.primary else None

    @property
    def instance_types(self) -> tuple[str, ...]:
        """EC2 instance types that the cluster may have, each once."""
        return self.nodes.instance_types if self.nodes else ()

    @property
    def named(self) -> tuple[Named, ...]:
        """What its clusters need; of one that is only named, what was written: defaults of what shapes a cluster mean nothing then."""
        if self.cluster:
            return tuple(one for one in named_in(self) if one.setting.partition(".")[0] in self.model_fields_set)
        subnets = " ".join(self.subnets or filter(None, (self.subnet,)))
        fits = {
            "subnet": "" if self.public_subnet else "private",
            "security_group": subnets,
        }
        nodes = {"primary": self.primary, "core": self.core, "task": self.task}
        places = subnets or " ".join(self.availability_zones)
        return (
            *(replace(one, of=fits.get(one.kind, one.of)) for one in named_in(self)),
            *(
                Named("instance_type", instance_type, role, places)
                for role, some in nodes.items()
                if some
                for instance_type in some.instance_types
            ),
            *(Named("application", name, "applications", self.release) for name in self.applications),
        )

    @property
    def most_nodes(self) -> int:
        """Instances that the cluster may have at a time, the primary ones among them; none are started of one that is only named."""
        return self.nodes.most if self.nodes else 0

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is allowed and keeps the cluster from ending by itself, or its jobs from finding what they need."""
        nodes = self.nodes
        if nodes is None:
            return super().warnings
        said = [*super().warnings, *nodes.warnings]
        if nodes.primaries > 1 and (local := [name for name in self._with_metastore if name in self.applications]):
            said.append(f"{local[0]} with three primary nodes needs a metastore outside the cluster: configure one")
        if self.primary_security_group and not (self.service_access_security_group or self.public_subnet):
            said.append(
                "EMR refuses security groups of one's own in a private subnet without service_access_security_group: name it, "
                "or say public_subnet: true"
            )
        if self.hive and self.hive.database and "Hive" not in self.applications:
            said.append("hive.database is Hive's own, and applications has no Hive: only jobs of Hive bring it along")
        if self.termination_protection and nodes.primaries == 1:
            said.append("EMR may not end a protected cluster when idle: only release and the reaper surely end it")
        if self.setup_steps and self.concurrent_steps > 1:
            said.append(
                f"concurrent_steps is {self.concurrent_steps}: jobs do not wait for set-up steps; with 1 they do"
            )
        return tuple(said)

    @property
    def _with_metastore(self) -> tuple[str, ...]:
        """Applications that need a database outside of a cluster whose primary nodes may be replaced."""
        site = [name for one in self.all_configurations if one.classification == "hive-site" for name in one.properties]
        return _WITH_DATABASE if _METASTORES.intersection(site) else ("Hive", *_WITH_DATABASE)

    @property
    def worker_nodes(self) -> tuple[NodesOfType, ...]:
        """The core and task nodes, by type; of a fleet, as if its types had equal shares of its capacity."""
        workers = self.nodes.workers if self.nodes else []
        return tuple(NodesOfType(*one) for nodes in workers for one in nodes.by_type)

    @property
    def is_scaled(self) -> bool:
        """Whether EMR adds and removes nodes by itself."""
        return self.nodes is not None and self.nodes.are_scaled

    @property
    def is_shared(self) -> bool:
        """Whether jobs of a run are beside each other."""
        return self.concurrent_steps > 1

    @property
    def driver_node(self) -> str | None:
        """The primary node's type, where Spark drivers run unless ``deploy_mode`` is ``cluster``."""
        return self.primary.instance_types[0] if self.primary and self.deploy_mode == "client" else None

    @model_validator(mode="after")
    def _security_fits(self) -> Self:
        if self.security_configuration is None:
            self.security.require(self.region, self.release, self.execution_role)
        elif self.security.model_fields_set - {"kerberos"}:
            raise ValueError(
                "security_configuration names one that there is, and security describes another: write one of them; of a "
                "configuration with Kerberos, security.kerberos alone says realm and passwords"
            )
        return self

    @property
    def security_settings(self) -> dict[str, Any]:
        """The security configuration to make; empty where one is named, or where everything that it would say is relaxed."""
        return {} if self.security_configuration else self.security.configuration(self.execution_role)

    @property
    def relaxations(self) -> tuple[Relaxation, ...]:
        """What its clusters leave open; of a cluster, or a security configuration, that is only named, nothing is known here."""
        if self.cluster:
            return (Relaxation("unknown_security", f"how cluster {self.cluster!r} is secured is not known here"),)
        words = "its nodes may be put into a public subnet: public_subnet is true"
        subnets = [Relaxation("public_subnet", words)] if self.public_subnet else []
        if self.security_configuration is None:
            return (*subnets, *self.security.relaxations)
        unknown = f"what security configuration {self.security_configuration!r} says is not known here"
        return (*subnets, Relaxation("unknown_security", unknown))

    @property
    def owner(self) -> Owner:
        """Whose its clusters are: the profile's, where it names one that runs."""
        return "profile" if self.cluster else "run"

    @property
    def cluster_id(self) -> str | None:
        """The id of the cluster that it names, where it does so by id."""
        return self.cluster if self.cluster and _CLUSTER_ID.fullmatch(self.cluster) else None

    @property
    def place(self) -> tuple[str | None, ...]:
        """Where its clusters are found: everywhere in the region, or the one that it names."""
        return (*super().place, self.cluster)

    @property
    def platform(self) -> Platform:
        """What the packages of its jobs are made for: the release's Python, on the processors that its instance types have.

        :raises ConfigurationError: it names a cluster, whose nodes are not known here, or its nodes have processors of both kinds.
        """
        found = architectures_of(self.instance_types)
        if len(found) != 1:
            why = (
                "its nodes have processors of both kinds, X86_64 and ARM64" if found else "cluster names one that runs"
            )
            raise ConfigurationError(
                f"Profile {self.name!r} cannot run jobs with a lock file, for {why}: take it out of targets=, or write a profile whose "
                "nodes have one kind"
            )
        return platform(self.release, self.python, found.pop())

    def cluster_name(self, lease: Lease) -> str:
        """Return the name by which the lease's cluster of this profile is found."""
        return name_of(lease.id, self.name, lease.dag_id)

    @property
    def trino_command(self) -> str:
        """The command line that runs SQL: Trino's, or Presto's where the profile installs Presto."""
        return "presto-cli" if _PRESTO.intersection(self.applications) else "trino-cli"

    def request(self, lease: Lease, engines: frozenset[Engine]) -> dict[str, Any]:
        """Return the RunJobFlow request that creates this cluster for a lease."""
        presto = _PRESTO.intersection(self.applications)
        needed = [name for name in applications_of(engines) if not (presto and name == "Trino")]
        steps = [*([DEBUGGING] if self.debugging else []), *(step.request() for step in self.setup_steps)]
        return given(
            {
                "Name": self.cluster_name(lease),
                "LogUri": self.log_uri,
                "LogEncryptionKmsKeyId": self.log_encryption_key,
                "ReleaseLabel": self.release,
                "OSReleaseLabel": self.os_release,
                "Applications": [{"Name": name} for name in dict.fromkeys((*self.applications, *needed))],
                "Instances": self._instances(),
                "Steps": steps or None,
                "ServiceRole": self.service_role,
                "JobFlowRole": self.instance_profile,
                "AutoScalingRole": self.scaling_role,
                "ScaleDownBehavior": self.scale_down_behavior,
                "CustomAmiId": self.custom_ami,
                "RepoUpgradeOnBoot": self.repository_upgrade,
                "SecurityConfiguration": self.security_configuration
                or (name_of_configuration(made) if (made := self.security_settings) else None),
                "EbsRootVolumeSize": self.root_volume_size,
                "EbsRootVolumeIops": self.root_volume_iops,
                "EbsRootVolumeThroughput": self.root_volume_throughput,
                "Configurations": [configuration(one) for one in self.all_configurations],
                "BootstrapActions": [action.request() for action in self.bootstrap_actions],
                "StepConcurrencyLevel": self.concurrent_steps,
                "ManagedScalingPolicy": self.nodes.policy() if self.nodes else None,
                "PlacementGroupConfigs": self.placement_group
                and [{"InstanceRole": "MASTER", "PlacementStrategy": self.placement_group}],
                "AutoTerminationPolicy": {"IdleTimeout": self.idle_minutes * 60},
                "VisibleToAllUsers": True,
                "Tags": [{"Key": name, "Value": value} for name, value in (_MANAGED | self.tags_for(lease)).items()],
            }
        )

    def _instances(self) -> dict[str, Any]:
        """Return a ``JobFlowInstancesConfig``."""
        subnets = self.subnets or ((self.subnet,) if self.subnet else ())
        nodes = self.nodes
        return given(
            {
                **(nodes.members() | place_members(nodes, subnets, self.availability_zones) if nodes else {}),
                "KeepJobFlowAliveWhenNoSteps": True,
                "TerminationProtected": self.termination_protection,
                "UnhealthyNodeReplacement": self.unhealthy_node_replacement,
                "Ec2KeyName": self.key_pair,
                "EmrManagedMasterSecurityGroup": self.primary_security_group,
                "EmrManagedSlaveSecurityGroup": self.core_security_group,
                "ServiceAccessSecurityGroup": self.service_access_security_group,
                "AdditionalMasterSecurityGroups": list(self.additional_primary_security_groups) or None,
                "AdditionalSlaveSecurityGroups": list(self.additional_core_security_groups) or None,
            }
        )


def applications_of(engines: Iterable[Engine]) -> list[str]:
    """List the applications that a cluster needs for jobs of these engines."""
    return sorted({_APPLICATION_OF_ENGINE[engine] for engine in engines if engine in _APPLICATION_OF_ENGINE})
