"""The EC2 instances of a cluster's nodes: their EBS volumes, and instance groups, each of one instance type.

Sources: InstanceGroupConfig and VolumeSpecification in the EMR API reference; "Amazon EBS volume types" in the EBS User Guide.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from emr_pipelines.targets.ec2_scaling import AutomaticScaling, Unit
from emr_pipelines.targets.names import Names
from emr_pipelines.targets.profile import Classification, Like, Settings, given

InstanceType = Annotated[str, Like(r"[a-z0-9-]+\.[a-z0-9-]+", "m5.xlarge")]
Ami = Annotated[str, Like(r"ami-[0-9a-f]+", "ami-0123456789abcdef0"), Names("ami")]
Price = Annotated[str, Field(coerce_numbers_to_str=True), Like(r"\d+(\.\d+)?", "0.40")]
"""US dollars an hour."""

_GP3_IOPS = 3000
"""IOPS of a gp3 volume that asks for none, and the fewest that it may ask for."""

_MOST_VOLUMES = 25
"""EBS volumes that EMR attaches to an instance."""

_SIZES = {"medium": 1, "large": 2, "xlarge": 4}


def vcpus_of(size: str) -> int | None:
    """Return the vCPUs of an instance type or size by EC2's rule: four for each xlarge; ``None`` for those it does not tell."""
    size = size.rpartition(".")[2]
    times = re.fullmatch(r"(\d+)xlarge", size)
    return 4 * int(times[1]) if times else _SIZES.get(size)


class Volumes(Settings):
    """EBS volumes of each instance: sizes in GiB, throughput in MiB per second."""

    type: Literal["gp3", "gp2", "io1", "io2", "st1", "sc1", "standard"] = "gp3"
    size: int = Field(ge=1, le=16384)
    iops: int | None = Field(default=None, ge=100, le=256000)
    throughput: int | None = Field(default=None, ge=125, le=2000)
    per_instance: int = Field(default=1, ge=1, le=_MOST_VOLUMES)

    @model_validator(mode="after")
    def _type_takes_them(self) -> Self:
        if self.throughput and self.type != "gp3":
            raise ValueError(f"a volume of type {self.type} takes no throughput: leave it out, or take type: gp3")
        if self.iops and self.type not in ("gp3", "io1", "io2"):
            raise ValueError(f"a volume of type {self.type} takes no iops: leave it out, or take type: gp3")
        if not self.iops and self.type in ("io1", "io2"):
            raise ValueError(f"a volume of type {self.type} needs iops: say how many, or take type: gp3")
        if self.type == "gp3":
            check_gp3(self.size, self.iops, self.throughput)
        return self

    def request(self) -> dict[str, Any]:
        """Return an ``EbsBlockDeviceConfig``."""
        specification = {
            "VolumeType": self.type,
            "SizeInGB": self.size,
            "Iops": self.iops,
            "Throughput": self.throughput,
        }
        return {"VolumeSpecification": given(specification), "VolumesPerInstance": self.per_instance}


def check_gp3(size: int, iops: int | None, throughput: int | None) -> None:
    """Check what a gp3 volume is asked for: at least 3000 IOPS, at most 500 for each GiB, and 0.25 MiB/s for each IOPS.

    :raises ValueError: it cannot have that.
    """
    have = iops or _GP3_IOPS
    if have < _GP3_IOPS:
        raise ValueError(f"iops is {iops}: a gp3 volume has at least {_GP3_IOPS}")
    if iops and iops > max(_GP3_IOPS, 500 * size):
        raise ValueError(f"iops is {iops}: a gp3 volume of {size} GiB has at most {max(_GP3_IOPS, 500 * size)}")
    if throughput and throughput > have / 4:
        raise ValueError(f"throughput is {throughput}: a gp3 volume needs at least {4 * throughput} iops for it")


def _in_a_list(volumes: Any) -> Any:
    return (volumes,) if isinstance(volumes, dict | Volumes) else volumes


EachVolumes = Annotated[tuple[Volumes, ...], BeforeValidator(_in_a_list)]


def configuration(classification: Classification) -> dict[str, Any]:
    """Return a ``Configuration``."""
    nested = [configuration(inner) for inner in classification.configurations]
    return {
        "Classification": classification.classification,
        "Properties": classification.properties,
        "Configurations": nested,
    }


class Instances(Settings):
    """What instances have, whatever their type."""

    volumes: EachVolumes = ()
    """One kind of EBS volumes, or a list of kinds; without them EMR attaches its default."""
    ebs_optimized: bool | None = None
    custom_ami: Ami | None = None
    """Instead of the cluster's."""
    configurations: tuple[Classification, ...] = ()
    """Over those of the cluster."""

    @model_validator(mode="after")
    def _volumes_can_be_attached(self) -> Self:
        if (count := sum(volumes.per_instance for volumes in self.volumes)) > _MOST_VOLUMES:
            raise ValueError(f"volumes are {count} per instance: EMR attaches at most {_MOST_VOLUMES}")
        return self

    def members(self) -> dict[str, Any]:
        """Return the members that instance groups and the types of fleets share."""
        storage = {
            "EbsBlockDeviceConfigs": [volumes.request() for volumes in self.volumes] or None,
            "EbsOptimized": self.ebs_optimized,
        }
        return given(
            {
                "EbsConfiguration": given(storage) or None,
                "CustomAmiId": self.custom_ami,
                "Configurations": [configuration(one) for one in self.configurations] or None,
            }
        )


class InstanceGroup(Instances):
    """Instances of one type; ``spot`` instances cost at most ``bid`` US dollars an hour, or the On-Demand price."""

    type: InstanceType
    count: int = Field(default=1, ge=1)
    """Of ``primary``: 1, or 3 for high availability."""
    spot: bool = False
    bid: Price | None = None
    automatic_scaling: AutomaticScaling | None = None
    """Custom automatic scaling, of ``core`` and ``task``: instead of ``managed_scaling``."""

    @model_validator(mode="after")
    def _only_spot_has_a_bid(self) -> Self:
        if self.bid and not self.spot:
            raise ValueError("bid is a price of Spot instances: add spot: true, or leave it out")
        return self

    @property
    def by_type(self) -> tuple[tuple[str, int], ...]:
        """How many instances there are of the type."""
        return ((self.type, self.count),)

    @property
    def instance_types(self) -> tuple[str, ...]:
        """The type."""
        return (self.type,)

    @property
    def instances(self) -> int:
        """Instances at the start."""
        return self.count

    @property
    def are_spot(self) -> bool:
        """Whether some of the instances are Spot."""
        return self.spot

    @property
    def most(self) -> int:
        """Instances at most, unless managed scaling adds some."""
        return max(self.count, self.automatic_scaling.maximum if self.automatic_scaling else 0)

    def units(self, unit: Unit) -> int:
        """Return how many units of managed scaling an instance counts for, at least."""
        return (vcpus_of(self.type) or 1) if unit == "vcpu" else 1

    def at_most(self, count: int) -> Self:
        """Return this group with no more instances than that."""
        scaling = self.automatic_scaling and self.automatic_scaling.up_to(count)
        return self.model_copy(update={"count": min(self.count, count), "automatic_scaling": scaling})

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
                "AutoScalingPolicy": self.automatic_scaling and self.automatic_scaling.request(),
                **self.members(),
            }
        )
