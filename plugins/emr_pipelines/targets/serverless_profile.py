"""The profile of applications on EMR Serverless, and the CreateApplication request that it means.

Settings carry the names and the meaning of the EMR Serverless API reference (CreateApplication, StartJobRun), in YAML's
spelling. Sizes of workers: https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/jobs-spark.html and its
"Worker configurations".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import ceil
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from emr_pipelines.jobs import Engine
from emr_pipelines.keys import Lease, name_of
from emr_pipelines.targets.hive_settings import ServerlessHive
from emr_pipelines.targets.managed_encryption import IdentityCenter, ServerlessEncryption
from emr_pipelines.targets.names import Names
from emr_pipelines.targets.platforms import Architecture, Platform, platform
from emr_pipelines.targets.profile import (
    Classification,
    Like,
    Owner,
    Relaxation,
    RoleArn,
    SecurityGroup,
    Settings,
    Subnet,
    given,
)
from emr_pipelines.targets.releases import version_of
from emr_pipelines.targets.secret_names import ANNOTATION
from emr_pipelines.targets.sections import ContainerSections, merged
from emr_pipelines.targets.spark_settings import SparkDriver

ENGINES: tuple[Engine, ...] = ("spark", "hive")
"""What an application can be made for, in the order in which its parts are named."""

_MEMORY = {1: (2, 8, 1), 2: (4, 16, 1), 4: (8, 30, 1), 8: (16, 60, 4), 16: (32, 120, 8)}
"""GB that a worker may have, by its vCPUs: from, to, in steps of."""

_STANDARD_DISK = 200
"""GB that a disk of type STANDARD may have."""

_FIRST_EXECUTORS = 3
"""Executors that EMR Serverless begins a job with, where nothing says how many."""

_DEFAULT_RUNS = 15
"""Job runs at a time on one application, where its scheduler is not told (SchedulerConfiguration)."""

_LONGEST_KEPT_NAME = 26
"""Characters of a profile's name that fit into an application's, beside the deployment's and the engine's."""

_COMPARED = (
    "architecture",
    "imageConfiguration",
    "initialCapacity",
    "maximumCapacity",
    "autoStartConfiguration",
    "autoStopConfiguration",
    "schedulerConfiguration",
    "networkConfiguration",
    "jobLevelCostAllocationConfiguration",
    "diskEncryptionConfiguration",
    "identityCenterConfiguration",
)
"""What of a kept application may be another than its profile says; where logs go, each job run says again."""

_NEVER_UNASKED = (
    "imageConfiguration",
    "initialCapacity",
    "networkConfiguration",
    "diskEncryptionConfiguration",
    "identityCenterConfiguration",
)
"""What an application has only if it was asked for; of all else, AWS decides what a request leaves out."""

_PER_JOB = frozenset({"maximum_workers", "attempts", "execution_timeout_minutes", "mode"})
"""What of a kept application's profile may be overridden when a run is triggered: it concerns that run's jobs alone."""


Image = Annotated[
    str,
    Like(
        r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/[\w./-]+(:[\w.-]+|@sha256:[0-9a-f]{64})",
        "123456789012.dkr.ecr.us-east-1.amazonaws.com/jobs:1.0",
    ),
    Names("image"),
]


class Worker(Settings):
    """One kind of workers: vCPUs, memory and disk in GB, and how many are ready as soon as the application has started."""

    cpu: Literal[1, 2, 4, 8, 16]
    memory: int
    disk: int = Field(default=20, ge=20, le=2000)
    disk_type: Literal["STANDARD", "SHUFFLE_OPTIMIZED"] = "STANDARD"
    initial: int = Field(default=0, ge=0, le=1_000_000)

    @model_validator(mode="after")
    def _size_exists(self) -> Self:
        least, most, step = _MEMORY[self.cpu]
        if self.memory not in range(least, most + 1, step):
            raise ValueError(
                f"memory is {self.memory}: a worker of {self.cpu} vCPU has {least} to {most} GB, in steps of {step}"
            )
        if self.disk > _STANDARD_DISK and self.disk_type == "STANDARD":
            raise ValueError(f"disk is {self.disk}: above {_STANDARD_DISK} GB it needs disk_type: SHUFFLE_OPTIMIZED")
        return self

    @classmethod
    def holding(cls, role: str, size: SparkDriver) -> Self:
        """Return the smallest worker that has room for a ``driver`` or ``executor`` of a size.

        :raises ValueError: there is no such worker, or the size is said in part only.
        """
        if size.cores is None or size.memory is None:
            raise ValueError(
                f"spark.{role}: a worker needs both, cores and memory, and one of them is not said: write it, too"
            )
        if size.cores not in _MEMORY:
            raise ValueError(
                f"spark.{role}.cores is {size.cores}: a worker has 1, 2, 4, 8 or 16 vCPU: write one of these"
            )
        least, most, step = _MEMORY[size.cores]
        needed = size.memory + (size.overhead or ceil(size.memory / 10))
        memory = next((one for one in range(least, most + 1, step) if one >= needed), None)
        if memory is None:
            raise ValueError(
                f"spark.{role} takes {needed} GB with what lies outside of its heap, and a worker of {size.cores} vCPU has at most "
                f"{most}: lower memory, or raise cores"
            )
        return cls.model_validate({"cpu": size.cores, "memory": memory})

    @property
    def heap(self) -> int:
        """GB for the process itself: a tenth of that is added for what lies outside of its heap."""
        return self.memory * 10 // 11

    def request(self) -> dict[str, Any]:
        """Return an ``InitialCapacityConfig``."""
        size = {"cpu": f"{self.cpu} vCPU", "memory": f"{self.memory} GB", "disk": f"{self.disk} GB"}
        return {"workerCount": self.initial, "workerConfiguration": {**size, "diskType": self.disk_type}}


class Capacity(Settings):
    """What all workers of an application may have together, at most: vCPUs, memory and disk in GB."""

    cpu: int = Field(ge=1)
    memory: int = Field(ge=1)
    disk: int | None = Field(default=None, ge=20)

    def request(self) -> dict[str, Any]:
        """Return ``MaximumAllowedResources``."""
        return given(
            {
                "cpu": f"{self.cpu} vCPU",
                "memory": f"{self.memory} GB",
                "disk": f"{self.disk} GB" if self.disk else None,
            }
        )


class Scheduler(Settings):
    """Job runs beyond these wait in the application's queue."""

    max_concurrent_runs: int = Field(default=_DEFAULT_RUNS, ge=1, le=1000)
    queue_timeout_minutes: int = Field(default=360, ge=15, le=720)


class Network(Settings):
    """Where workers reach what lies in a VPC."""

    subnets: tuple[Subnet, ...] = Field(min_length=1, max_length=16)
    security_groups: tuple[SecurityGroup, ...] = Field(default=(), max_length=5)


class CloudWatch(Settings):
    """Where in CloudWatch Logs the logs go, beside S3."""

    log_group: Annotated[str, Like(r"[.\-_/#A-Za-z0-9]{1,512}", "/aws/emr-serverless")] = "/aws/emr-serverless"
    log_stream_prefix: Annotated[str, Like(r"[^:*]{1,512}", "emr-pipelines")] | None = None

    def request(self) -> dict[str, Any]:
        """Return a ``CloudWatchLoggingConfiguration``."""
        return given({"enabled": True, "logGroupName": self.log_group, "logStreamNamePrefix": self.log_stream_prefix})


class ServerlessProfile(ContainerSections):
    """Applications on EMR Serverless, one for each engine that a pipeline needs.

    Defaults are the safe ones: they end with the run, and stop by themselves when idle. ``owner: profile`` keeps them: found by
    deployment and profile, created once, started again by whichever run comes next.
    """

    target: Literal["serverless"]
    owner: Owner = "run"
    """``run``: applications of the run's own, deleted at its end; ``profile``: kept for all runs."""
    release: Annotated[str, Like(r"emr-(spark-)?\d+\.\d+(\.\d+)?", "emr-7.9.0"), Names("serverless_release")] = (
        "emr-7.9.0"
    )
    """Release label of the applications."""
    execution_role: Annotated[RoleArn, Names("role", "emr-serverless.amazonaws.com")]
    """The role that the jobs have."""
    architecture: Architecture = "X86_64"
    """Processors of the workers."""
    driver: Worker = Worker(cpu=4, memory=16)
    """The Spark driver."""
    executor: Worker = Worker(cpu=4, memory=16)
    """Each Spark executor."""
    hive_driver: Worker = Worker(cpu=2, memory=6)
    """The Hive driver."""
    tez_task: Worker = Worker(cpu=2, memory=8)
    """Each Tez task of Hive."""
    image: Image | None = None
    """Container image of the workers, in Amazon ECR, built on EMR's; without it EMR's own."""
    maximum_capacity: Capacity | None = None
    """What all workers of an application may have together."""
    maximum_workers: int | None = Field(default=None, ge=1)
    """Executors of a job, at most. An application that ends with its run gets no more capacity than that, beside its drivers."""
    auto_start: bool = True
    """Whether a job run starts an application that is not started."""
    auto_stop: bool = True
    """Whether an application stops by itself after ``idle_minutes``."""
    idle_minutes: int = Field(default=15, ge=1, le=10080)
    """Minutes without a job after which an application stops by itself, whatever happened to Airflow."""
    scheduler: Scheduler | None = None
    network: Network | None = None
    managed_logs: bool = True
    """Whether AWS keeps the logs too, for 30 days, which its UIs need."""
    cloudwatch: CloudWatch | None = None
    hive: ServerlessHive | None = None
    """Hive, and where its tables and Spark's are known."""
    configurations: tuple[Classification, ...] = ()
    """Configuration classifications of every job run; they win over what the sections become."""
    mode: Literal["BATCH", "STREAMING"] = "BATCH"
    """``STREAMING`` for jobs that do not end; they are tried again for ever."""
    attempts: int | None = Field(default=None, ge=1, le=10)
    """Attempts at a job in all; of a streaming one, those that may fail within an hour."""
    execution_timeout_minutes: int | None = Field(default=None, ge=0, le=10080)
    """Minutes after which EMR cancels a job; without it 720, and 0 is never."""
    cost_allocation: bool = False
    """Whether the bill names each job run's tags (jobLevelCostAllocationConfiguration)."""
    encryption: ServerlessEncryption = ServerlessEncryption()
    """What is encrypted, and with which keys."""
    identity_center: IdentityCenter | None = None

    @model_validator(mode="after")
    def _encryption_fits(self) -> Self:
        self.encryption.require(self.region, managed_logs=self.managed_logs, cloudwatch=self.cloudwatch is not None)
        self.require_told(self.encryption.spark())
        return self

    @property
    def platform(self) -> Platform:
        """What the packages of its jobs are made for."""
        return platform(self.release, self.python, self.architecture)

    @property
    def relaxations(self) -> tuple[Relaxation, ...]:
        """What its applications leave open; disks are encrypted with keys of AWS where no other is named."""
        return self.encryption.relaxations(version_of(self.release))

    @model_validator(mode="after")
    def _can_be_kept(self) -> Self:
        if self.owner == "run":
            return self
        if self.max_concurrent is not None:
            raise ValueError(
                "max_concurrent counts applications made for runs, and owner: profile shares them: use scheduler.max_concurrent_runs"
            )
        if len(self.name) > _LONGEST_KEPT_NAME:
            raise ValueError(f"a profile with owner: profile has a name of at most {_LONGEST_KEPT_NAME} characters")
        if shared := sorted(set(self.overrides) - _PER_JOB):
            raise ValueError(
                f"{shared[0]} shapes an application that all runs share: override {', '.join(sorted(_PER_JOB))}, or use owner: run"
            )
        return self

    @model_validator(mode="after")
    def _workers_exist(self) -> Self:
        # Looked at for the error of a size that no worker has.
        _ = self.spark_workers
        return self

    @model_validator(mode="after")
    def _database_is_reached(self) -> Self:
        if self.hive and self.hive.database and self.network is None:
            raise ValueError(
                "hive.database lies in a VPC, which network names: write network: {subnets: [...], security_groups: [...]}"
            )
        return self

    @model_validator(mode="after")
    def _secrets_are_names(self) -> Self:
        for name, _ in self._given_properties():
            if name.startswith(ANNOTATION):
                plain = name.removeprefix(ANNOTATION)
                raise ValueError(
                    f"{name}: EMR Serverless takes the name of a secret: write {plain}: {ANNOTATION}<name>"
                )
        return self

    @property
    def spark_workers(self) -> dict[str, Worker]:
        """The workers of Spark jobs: of the sizes that ``spark`` says, or else ``driver`` and ``executor``."""
        sizes = {"Driver": self.spark and self.spark.driver, "Executor": self.spark and self.spark.executor}
        return {
            role: Worker.holding(role.lower(), size) if size and size.sized else getattr(self, role.lower())
            for role, size in sizes.items()
        }

    def configurations_of(self, engine: Engine) -> tuple[Classification, ...]:
        """Return what the sections become for an engine, and over it ``configurations``; each engine refuses those of the other."""
        other = ("hive", "tez") if engine == "spark" else ("spark",)
        site = Classification(classification="hive-site", properties=self.hive.site() if self.hive else {})
        own = [one for one in (self.spark_defaults(), site) if one.properties]
        return tuple(one for one in merged([*own, *self.configurations]) if not one.classification.startswith(other))

    @property
    def most_nodes(self) -> int | None:
        """Workers that a job may have, the driver among them, or that are ready before it; by capacity, where nothing else bounds them."""
        executors = self.most_executors(_FIRST_EXECUTORS, dynamic=True)
        if executors is not None:
            ready = max(sum(worker.initial for worker in self._workers(engine).values()) for engine in ENGINES)
            return max(1 + executors, ready)
        smallest = min(worker.cpu for engine in ENGINES for worker in self._workers(engine).values())
        return self.maximum_capacity.cpu // smallest if self.maximum_capacity else None

    def application_name(self, lease: Lease, engine: Engine) -> str:
        """Return the name by which the application for an engine is found."""
        if self.owner == "profile":
            return name_of(lease.deployment, engine, self.name)
        return name_of(lease.id, engine, self.name, lease.dag_id)

    def request(self, lease: Lease, engine: Engine) -> dict[str, Any]:
        """Return the CreateApplication request for an engine, without its client token."""
        tags = self.shared_tags(lease) if self.owner == "profile" else self.tags_for(lease)
        initial = {role: worker.request() for role, worker in self._workers(engine).items() if worker.initial}
        capacity = self._capacity(engine)
        return given(
            {
                "name": self.application_name(lease, engine),
                "type": engine.upper(),
                "releaseLabel": self.release,
                "architecture": self.architecture,
                "imageConfiguration": {"imageUri": self.image} if self.image else None,
                "initialCapacity": initial or None,
                "maximumCapacity": capacity and capacity.request(),
                "autoStartConfiguration": {"enabled": self.auto_start},
                "autoStopConfiguration": given(
                    {"enabled": self.auto_stop, "idleTimeoutMinutes": self.idle_minutes if self.auto_stop else None}
                ),
                "schedulerConfiguration": self.scheduler
                and {
                    "maxConcurrentRuns": self.scheduler.max_concurrent_runs,
                    "queueTimeoutMinutes": self.scheduler.queue_timeout_minutes,
                },
                "networkConfiguration": self.network
                and {"subnetIds": [*self.network.subnets], "securityGroupIds": [*self.network.security_groups]},
                "monitoringConfiguration": self.monitoring(),
                "jobLevelCostAllocationConfiguration": {"enabled": True} if self.cost_allocation else None,
                "diskEncryptionConfiguration": self.encryption.disks_request(),
                "identityCenterConfiguration": self.identity_center and self.identity_center.request(),
                "tags": portable(tags),
            }
        )

    def monitoring(self) -> dict[str, Any]:
        """Return the ``MonitoringConfiguration`` of applications and job runs."""
        keys = self.encryption
        return given(
            {
                "s3MonitoringConfiguration": _keyed({"logUri": self.log_uri}, keys.logs),
                "managedPersistenceMonitoringConfiguration": _keyed({"enabled": self.managed_logs}, keys.managed_logs),
                "cloudWatchLoggingConfiguration": self.cloudwatch
                and _keyed(self.cloudwatch.request(), keys.cloudwatch),
            }
        )

    def _workers(self, engine: Engine) -> dict[str, Worker]:
        if engine == "hive":
            return {"HiveDriver": self.hive_driver, "TezTask": self.tez_task}
        return self.spark_workers

    def _capacity(self, engine: Engine) -> Capacity | None:
        """Return what is stated, and no more than ``maximum_workers`` need beside as many drivers as may run at a time."""
        if self.maximum_workers is None or self.owner == "profile":
            return self.maximum_capacity
        driver, worker = self._workers(engine).values()
        drivers = self.scheduler.max_concurrent_runs if self.scheduler else _DEFAULT_RUNS
        needed = {
            size: drivers * getattr(driver, size) + self.maximum_workers * getattr(worker, size)
            for size in ("cpu", "memory", "disk")
        }
        stated = self.maximum_capacity.model_dump(exclude_none=True) if self.maximum_capacity else needed
        return Capacity(**{size: min(needed[size], stated.get(size, needed[size])) for size in needed})


def _keyed(request: dict[str, Any], key: str | None) -> dict[str, Any]:
    return request | given({"encryptionKeyArn": key})


def portable(tags: dict[str, str]) -> dict[str, str]:
    """Return tags in the letters that EMR Serverless allows (TagMap)."""
    return {name: "".join(one if one.isascii() else "_" for one in value) for name, value in tags.items()}


def differences_of(request: Mapping[str, Any], application: Mapping[str, Any]) -> list[str]:
    """Say which settings an ``Application`` has otherwise than a CreateApplication request, in the API's words."""
    compared = [name for name in _COMPARED if name in request or name in _NEVER_UNASKED]
    says = dict(_leaves({name: request.get(name, {}) for name in compared}))
    has = dict(_leaves({name: application.get(name, {}) for name in compared}))
    unasked = [name for name in has if name.partition(".")[0] in set(_NEVER_UNASKED) - request.keys()]
    names = [name for name in (*says, *unasked) if _compact(says.get(name)) != _compact(has.get(name))]
    return [f"{name} is {has.get(name, 'not set')}, and the profile says {says.get(name, 'nothing')}" for name in names]


def _leaves(settings: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}{name}.")
        elif value != []:
            yield f"{path}{name}", ", ".join(sorted(value)) if isinstance(value, list) else str(value)


def _compact(text: str | None) -> str | None:
    """Return a value without what means nothing: ``4 vCPU`` is ``4vCPU``."""
    return text and text.replace(" ", "").lower()
