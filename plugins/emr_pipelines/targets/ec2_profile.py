"""The profile of a transient EMR cluster on EC2, and the RunJobFlow request that it means.

Settings carry the names and the meaning of the EMR API reference (RunJobFlow), in YAML's spelling.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from emr_pipelines.jobs import Engine
from emr_pipelines.keys import Lease, name_of
from emr_pipelines.targets.applications import check_release_has, checked_applications
from emr_pipelines.targets.ec2_instances import Ami, check_gp3, configuration
from emr_pipelines.targets.ec2_nodes import ClusterNodes, Nodes, place_members
from emr_pipelines.targets.ec2_scaling import ManagedScaling
from emr_pipelines.targets.ec2_steps import DEBUGGING, BootstrapAction, SetupStep
from emr_pipelines.targets.profile import Classification, Profile, SecurityGroup, Subnet, given
from emr_pipelines.targets.releases import Release, number_of

_APPLICATION_OF_ENGINE: dict[Engine, str] = {"spark": "Spark", "hive": "Hive"}
_WITH_METASTORE = ("Hive", "Hue", "Oozie")
_ROOT_VOLUME = 15
"""GiB of a root volume whose size is not said (EMR Management Guide, "Customizing the Amazon EBS root device volume")."""

AvailabilityZone = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-\d[a-z]$")]
KmsKeyArn = Annotated[str, StringConstraints(pattern=r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:(key|alias)/\S+$")]


class Ec2Profile(Profile):
    """A transient EMR cluster on EC2. Defaults are the safe ones: it ends by itself when idle, and logs are kept."""

    target: Literal["ec2"]
    release: Release = "emr-7.9.0"
    applications: Annotated[tuple[str, ...], AfterValidator(checked_applications)] = ("Spark", "Hive")
    """What is installed; what the run's jobs need joins it."""
    primary: Nodes
    core: Nodes | None = None
    task: Nodes | None = None
    managed_scaling: ManagedScaling | None = None
    scaling_role: str | None = None
    """Name of the role of custom automatic scaling, such as ``EMR_AutoScaling_DefaultRole``."""
    scale_down_behavior: Literal["TERMINATE_AT_TASK_COMPLETION", "TERMINATE_AT_INSTANCE_HOUR"] | None = None
    """When an instance that is too many ends."""
    unhealthy_node_replacement: bool | None = None
    """Whether EMR replaces core nodes that have degraded."""
    subnet: Subnet | None = None
    """Without it EMR takes one of the region's default VPC."""
    subnets: tuple[Subnet, ...] = ()
    """Of several zones: EMR takes the one where it gets the instance fleets best."""
    availability_zones: tuple[AvailabilityZone, ...] = ()
    """Instead of subnets, in the default VPC; several only with instance fleets."""
    placement_group: Literal["SPREAD"] | None = None
    """Puts three primary nodes on hardware of their own."""
    key_pair: str | None = None
    primary_security_group: SecurityGroup | None = None
    core_security_group: SecurityGroup | None = None
    service_access_security_group: SecurityGroup | None = None
    additional_primary_security_groups: tuple[SecurityGroup, ...] = ()
    additional_core_security_groups: tuple[SecurityGroup, ...] = ()
    """Of core and task nodes."""
    service_role: str = "EMR_DefaultRole"
    instance_profile: str = "EMR_EC2_DefaultRole"
    """Whose role the jobs run under."""
    security_configuration: str | None = None
    log_encryption_key: KmsKeyArn | None = None
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
    def _nodes_fit(self) -> Self:
        nodes = ClusterNodes(self.primary, self.core, self.task, self.managed_scaling)
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
        if max(len(self.subnets), len(self.availability_zones)) > 1 and not self.nodes.are_fleets:
            raise ValueError(
                "several subnets or availability_zones need instance fleets: give the nodes types, or keep one"
            )
        if foreign := [zone for zone in self.availability_zones if zone[:-1] != self.region]:
            raise ValueError(f"availability zone {foreign[0]} is not in region {self.region}: change one of them")
        if (self.primary_security_group is None) != (self.core_security_group is None):
            raise ValueError("primary_security_group and core_security_group go together: give both, or none")
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
        if (self.root_volume_iops or self.root_volume_throughput) and number_of(self.release) < (6, 15):
            raise ValueError(
                f"release {self.release} takes no root_volume_iops and root_volume_throughput: emr-6.15.0 and later do"
            )
        check_gp3(self.root_volume_size or _ROOT_VOLUME, self.root_volume_iops, self.root_volume_throughput)
        if self.managed_scaling and self.managed_scaling.performance_index and number_of(self.release) < (7, 0):
            raise ValueError(
                f"release {self.release} takes no managed_scaling.performance_index: emr-7.0.0 and later do"
            )
        if self.repository_upgrade and not self.custom_ami:
            raise ValueError("repository_upgrade is of a custom AMI: give custom_ami, or leave it out")
        return self

    @property
    def nodes(self) -> ClusterNodes:
        """The nodes, of which ``maximum_workers`` bounds those beside the primary ones."""
        nodes = ClusterNodes(self.primary, self.core, self.task, self.managed_scaling)
        return nodes if self.maximum_workers is None else nodes.up_to(self.maximum_workers)

    @property
    def instance_types(self) -> tuple[str, ...]:
        """EC2 instance types that the cluster may have, each once."""
        return self.nodes.instance_types

    @property
    def most_nodes(self) -> int:
        """Instances that the cluster may have at a time, the primary ones among them."""
        return self.nodes.most

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is allowed and keeps the cluster from ending by itself, or its jobs from finding what they need."""
        said = [*super().warnings, *self.nodes.warnings]
        if self.nodes.primaries > 1 and (local := [name for name in _WITH_METASTORE if name in self.applications]):
            said.append(f"{local[0]} with three primary nodes needs a metastore outside the cluster: configure one")
        if self.termination_protection and self.nodes.primaries == 1:
            said.append("EMR may not end a protected cluster when idle: only release and the reaper surely end it")
        if self.setup_steps and self.concurrent_steps > 1:
            said.append(
                f"concurrent_steps is {self.concurrent_steps}: jobs do not wait for set-up steps; with 1 they do"
            )
        return tuple(said)

    def cluster_name(self, lease: Lease) -> str:
        """Return the name by which the lease's cluster of this profile is found."""
        return name_of(lease.id, self.name, lease.dag_id)

    def request(self, lease: Lease, engines: frozenset[Engine]) -> dict[str, Any]:
        """Return the RunJobFlow request that creates this cluster for a lease."""
        needed = {_APPLICATION_OF_ENGINE[engine] for engine in engines if engine in _APPLICATION_OF_ENGINE}
        steps = [*([DEBUGGING] if self.debugging else []), *(step.request() for step in self.setup_steps)]
        return given(
            {
                "Name": self.cluster_name(lease),
                "LogUri": self.log_uri,
                "LogEncryptionKmsKeyId": self.log_encryption_key,
                "ReleaseLabel": self.release,
                "OSReleaseLabel": self.os_release,
                "Applications": [{"Name": name} for name in dict.fromkeys((*self.applications, *sorted(needed)))],
                "Instances": self._instances(),
                "Steps": steps or None,
                "ServiceRole": self.service_role,
                "JobFlowRole": self.instance_profile,
                "AutoScalingRole": self.scaling_role,
                "ScaleDownBehavior": self.scale_down_behavior,
                "SecurityConfiguration": self.security_configuration,
                "CustomAmiId": self.custom_ami,
                "RepoUpgradeOnBoot": self.repository_upgrade,
                "EbsRootVolumeSize": self.root_volume_size,
                "EbsRootVolumeIops": self.root_volume_iops,
                "EbsRootVolumeThroughput": self.root_volume_throughput,
                "Configurations": [configuration(classification) for classification in self.configurations],
                "BootstrapActions": [action.request() for action in self.bootstrap_actions],
                "StepConcurrencyLevel": self.concurrent_steps,
                "ManagedScalingPolicy": self.nodes.policy(),
                "PlacementGroupConfigs": self.placement_group
                and [{"InstanceRole": "MASTER", "PlacementStrategy": self.placement_group}],
                "AutoTerminationPolicy": {"IdleTimeout": self.idle_minutes * 60},
                "VisibleToAllUsers": True,
                "Tags": [{"Key": name, "Value": value} for name, value in self.tags_for(lease).items()],
            }
        )

    def _instances(self) -> dict[str, Any]:
        """Return a ``JobFlowInstancesConfig``."""
        subnets = self.subnets or ((self.subnet,) if self.subnet else ())
        return given(
            {
                **self.nodes.members(),
                **place_members(self.nodes, subnets, self.availability_zones),
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
