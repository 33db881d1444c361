"""The profile of a transient EMR cluster on EC2, and the RunJobFlow request that it means.

Settings carry the names and the meaning of the EMR API reference (RunJobFlow), in YAML's spelling.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from emr_pipelines.jobs import Engine
from emr_pipelines.keys import Lease, name_of
from emr_pipelines.targets.ec2_security import Security, name_of_configuration
from emr_pipelines.targets.profile import (
    Address,
    Classification,
    Profile,
    Relaxation,
    RoleArn,
    SecurityGroup,
    Settings,
    Subnet,
    given,
)

_APPLICATION_OF_ENGINE: dict[Engine, str] = {"spark": "Spark", "hive": "Hive"}

InstanceType = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+\.[a-z0-9]+$")]


class Volumes(Settings):
    """EBS volumes of each instance: sizes in GiB, throughput in MiB per second."""

    type: Literal["gp3", "gp2", "io1", "io2", "st1", "sc1", "standard"] = "gp3"
    size: int = Field(ge=1, le=16384)
    iops: int | None = Field(default=None, ge=100, le=256000)
    throughput: int | None = Field(default=None, ge=125, le=2000)
    per_instance: int = Field(default=1, ge=1, le=25)

    def request(self) -> dict[str, Any]:
        """Return an ``EbsConfiguration``."""
        specification = {
            "VolumeType": self.type,
            "SizeInGB": self.size,
            "Iops": self.iops,
            "Throughput": self.throughput,
        }
        return {
            "EbsBlockDeviceConfigs": [
                {"VolumeSpecification": given(specification), "VolumesPerInstance": self.per_instance}
            ]
        }


class InstanceGroup(Settings):
    """Instances of one type; ``spot`` instances cost at most ``bid`` US dollars an hour, or the On-Demand price."""

    type: InstanceType
    count: int = Field(default=1, ge=1)
    spot: bool = False
    bid: Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)?$")] | None = None
    volumes: Volumes | None = None

    def at_most(self, count: int) -> Self:
        """Return this group with no more instances than that."""
        return self.model_copy(update={"count": min(self.count, count)})

    def request(self, role: str) -> dict[str, Any]:
        """Return an ``InstanceGroupConfig`` for MASTER, CORE or TASK."""
        return given(
            {
                "Name": role.lower(),
                "InstanceRole": role,
                "InstanceType": self.type,
                "InstanceCount": self.count,
                "Market": "SPOT" if self.spot else "ON_DEMAND",
                "BidPrice": self.bid,
                "EbsConfiguration": self.volumes and self.volumes.request(),
            }
        )


class ManagedScaling(Settings):
    """Bounds, in instances, between which EMR sizes the cluster by itself."""

    minimum: int = Field(ge=1)
    maximum: int = Field(ge=1)
    maximum_on_demand: int | None = Field(default=None, ge=0)
    maximum_core: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _bounds_are_ordered(self) -> Self:
        if self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} is above maximum {self.maximum}")
        return self

    def up_to(self, maximum: int) -> Self:
        """Return these bounds with that maximum; the others give way to it."""
        given_way = {
            name: min(value, maximum)
            for name in ("minimum", "maximum_on_demand", "maximum_core")
            if (value := getattr(self, name)) is not None
        }
        return self.model_copy(update={**given_way, "maximum": maximum})

    def request(self) -> dict[str, Any]:
        """Return a ``ManagedScalingPolicy``."""
        limits = {
            "UnitType": "Instances",
            "MinimumCapacityUnits": self.minimum,
            "MaximumCapacityUnits": self.maximum,
            "MaximumOnDemandCapacityUnits": self.maximum_on_demand,
            "MaximumCoreCapacityUnits": self.maximum_core,
        }
        return {"ComputeLimits": given(limits)}


class BootstrapAction(Settings):
    """A script that runs on every instance before the applications start."""

    name: str
    script: Address
    args: tuple[str, ...] = ()

    def request(self) -> dict[str, Any]:
        """Return a ``BootstrapActionConfig``."""
        return {"Name": self.name, "ScriptBootstrapAction": {"Path": self.script, "Args": list(self.args)}}


class Ec2Profile(Profile):
    """A transient EMR cluster on EC2. Defaults are the safe ones: it ends by itself when idle, and logs are kept."""

    target: Literal["ec2"]
    release: Annotated[str, StringConstraints(pattern=r"^emr-\d+\.\d+\.\d+$")] = "emr-7.9.0"
    applications: tuple[str, ...] = ("Spark", "Hive")
    """What is installed; what the run's jobs need joins it."""
    primary: InstanceGroup
    core: InstanceGroup | None = None
    task: InstanceGroup | None = None
    managed_scaling: ManagedScaling | None = None
    subnet: Subnet | None = None
    """Without it EMR takes one of the region's default VPC."""
    key_pair: str | None = None
    primary_security_group: SecurityGroup | None = None
    core_security_group: SecurityGroup | None = None
    service_access_security_group: SecurityGroup | None = None
    service_role: str = "EMR_DefaultRole"
    instance_profile: str = "EMR_EC2_DefaultRole"
    """Whose role the jobs run under."""
    execution_role: RoleArn | None = None
    """The role that Spark and Hive jobs run under in place of the instance profile's (a runtime role), from emr-6.7.0 on."""
    security: Security = Security()
    """What the security configuration says that is made for such clusters."""
    security_configuration: str | None = None
    """Name of a security configuration that there is, in place of ``security``, but for the realm and passwords of ``kerberos``."""
    public_subnet: bool = False
    """Says that ``subnet`` is public, or that the default VPC's may be taken: a relaxation, which a policy may forbid."""
    root_volume_size: int | None = Field(default=None, ge=15, le=1000)
    configurations: tuple[Classification, ...] = ()
    bootstrap_actions: tuple[BootstrapAction, ...] = ()
    concurrent_steps: int = Field(default=4, ge=1, le=256)
    """Jobs of a run at the same time; further ones wait."""
    idle_minutes: int = Field(default=30, ge=1, le=10080)
    """Minutes without a step after which EMR ends the cluster by itself, whatever happened to Airflow."""
    deploy_mode: Literal["client", "cluster"] = "client"
    """Where a Spark driver runs; ``client`` puts its output into the step's own log, where a failure's cause is looked for."""
    maximum_workers: int | None = Field(default=None, ge=1)
    """Instances beside the primary node, at most: instead of ``managed_scaling.maximum``, or of the counts of core and task."""

    @model_validator(mode="after")
    def _nodes_fit(self) -> Self:
        if self.primary.count != 1:
            raise ValueError(f"primary.count is {self.primary.count}: a transient cluster has one primary node")
        if self.task and not self.core:
            raise ValueError("task instances need core instances: EMR keeps HDFS on the core nodes")
        return self

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
        """What its clusters leave open; of a security configuration that is only named, nothing is known here."""
        subnets = []
        if self.public_subnet:
            subnets = [Relaxation("public_subnet", "its nodes may be put into a public subnet: public_subnet is true")]
        elif self.subnet is None:
            words = "its nodes are put into the default VPC, whose subnets are public: subnet is not given"
            subnets = [Relaxation("public_subnet", words)]
        return (*subnets, *(() if self.security_configuration else self.security.relaxations))

    def cluster_name(self, lease: Lease) -> str:
        """Return the name by which the lease's cluster of this profile is found."""
        return name_of(lease.id, self.name, lease.dag_id)

    def request(self, lease: Lease, engines: frozenset[Engine]) -> dict[str, Any]:
        """Return the RunJobFlow request that creates this cluster for a lease."""
        needed = {_APPLICATION_OF_ENGINE[engine] for engine in engines if engine in _APPLICATION_OF_ENGINE}
        core, task, scaling = self._sized()
        groups = {"MASTER": self.primary, "CORE": core, "TASK": task}
        return given(
            {
                "Name": self.cluster_name(lease),
                "LogUri": self.log_uri,
                "ReleaseLabel": self.release,
                "Applications": [{"Name": name} for name in dict.fromkeys((*self.applications, *sorted(needed)))],
                "Instances": given(
                    {
                        "InstanceGroups": [group.request(role) for role, group in groups.items() if group],
                        "KeepJobFlowAliveWhenNoSteps": True,
                        "TerminationProtected": False,
                        "Ec2SubnetId": self.subnet,
                        "Ec2KeyName": self.key_pair,
                        "EmrManagedMasterSecurityGroup": self.primary_security_group,
                        "EmrManagedSlaveSecurityGroup": self.core_security_group,
                        "ServiceAccessSecurityGroup": self.service_access_security_group,
                    }
                ),
                "ServiceRole": self.service_role,
                "JobFlowRole": self.instance_profile,
                "SecurityConfiguration": self.security_configuration
                or (name_of_configuration(made) if (made := self.security_settings) else None),
                "EbsRootVolumeSize": self.root_volume_size,
                "Configurations": [_configuration(classification) for classification in self.configurations],
                "BootstrapActions": [action.request() for action in self.bootstrap_actions],
                "StepConcurrencyLevel": self.concurrent_steps,
                "ManagedScalingPolicy": scaling and scaling.request(),
                "AutoTerminationPolicy": {"IdleTimeout": self.idle_minutes * 60},
                "VisibleToAllUsers": True,
                "Tags": [{"Key": name, "Value": value} for name, value in self.tags_for(lease).items()],
            }
        )

    def _sized(self) -> tuple[InstanceGroup | None, InstanceGroup | None, ManagedScaling | None]:
        """Return core, task and scaling with no more instances than ``maximum_workers``; core instances come first."""
        if self.maximum_workers is None:
            return self.core, self.task, self.managed_scaling
        core = self.core and self.core.at_most(self.maximum_workers)
        left = self.maximum_workers - (core.count if core else 0)
        task = self.task.at_most(left) if self.task and left else None
        return core, task, self.managed_scaling and self.managed_scaling.up_to(self.maximum_workers)


def _configuration(classification: Classification) -> dict[str, Any]:
    nested = [_configuration(inner) for inner in classification.configurations]
    return {
        "Classification": classification.classification,
        "Properties": classification.properties,
        "Configurations": nested,
    }
