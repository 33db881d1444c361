"""Profiles, jobs and answers of AWS from which the pages are generated: what the code makes of them is what a page says."""

# ruff: noqa: INP001  # the pages' own script, no package
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from emr_pipelines.cluster_jobs import (
    CommandJob,
    FlinkJob,
    HBaseJob,
    MapReduceJob,
    S3DistCpJob,
    StreamingJob,
    TrinoJob,
)
from emr_pipelines.jobs import HiveJob, Job, SparkJob, SparkSqlJob
from emr_pipelines.keys import Attempt, Key, Lease, Record
from emr_pipelines.targets import ec2_clusters, ec2_steps, eks_jobs, serverless_jobs
from emr_pipelines.targets.ec2_profile import Ec2Profile
from emr_pipelines.targets.eks_profile import EksProfile
from emr_pipelines.targets.profile import Profile
from emr_pipelines.targets.serverless_profile import ServerlessProfile

LEASE = Lease("deployment", "dag", "run", "group")
KEY = Key(LEASE, "task", -1, "nonce")
WHEN = datetime(2013, 1, 15, tzinfo=UTC)

# Jobs

JOBS: Sequence[Job] = (
    SparkJob(script="jobs/clean.py", args=("--date", "2013-01-15"), conf={"spark.executor.memory": "4g"}),
    SparkJob(script="jars/report.jar", main_class="com.example.Report", files=("jobs/report.conf",)),
    SparkSqlJob(script="sql/report.sql", variables={"dt": "2013-01-15"}),
    HiveJob(script="hive/report.hql", variables={"dt": "2013-01-15"}, conf={"hive.exec.parallel": "true"}),
    HiveJob(script="hive/report.hql", variables={"dt": "2013-01-15"}, spark_sql=True),
    MapReduceJob(jar="jars/count.jar", main_class="com.example.Count", args=("s3://data/in/", "s3://data/out/")),
    StreamingJob(
        mapper="python3 count.py map",
        reducer="python3 count.py reduce",
        inputs=("s3://data/in/",),
        output="s3://data/out/",
        files=("jobs/count.py",),
        reduce_tasks=2,
    ),
    S3DistCpJob(
        source="s3://data/small/",
        destination="s3://data/large/",
        source_pattern=r".*\.log",
        group_by=r".*/(\d{4}-\d{2})/.*\.(log)",
        target_size=128,
        output_codec="gzip",
    ),
    FlinkJob(jar="jars/stream.jar", main_class="com.example.Stream", args=("--from", "trades"), parallelism=4),
    TrinoJob(script="sql/report.sql", schema_name="sales", variables={"dt": "2013-01-15"}),
    HBaseJob(script="hbase/tables.rb", variables={"table": "flights"}),
    HBaseJob(main_class="org.apache.hadoop.hbase.mapreduce.RowCounter", args=("flights",)),
    CommandJob(command=("bash", "-c", "hadoop fs -ls /")),
)


def uploaded(job: Job) -> dict[str, str]:
    """Say where a job's files would lie in S3."""
    return {path: f"s3://artifacts/{path.rpartition('/')[2]}" for path in job.code()}


# What an execution of a task may find; the first that holds counts

RECORD = Record(nonce="n", generation=1, max_tries=1, clear_number=0, fingerprint="f")
SITUATIONS: Mapping[str, tuple[Record | None, Attempt]] = {
    "there is no record": (None, Attempt(1, 0, "f")),
    "the task was cleared (`max_tries` rose)": (RECORD, Attempt(2, 1, "f")),
    "the job changed (its fingerprint differs)": (RECORD, Attempt(1, 0, "changed")),
    "only the run's `clear_number` rose": (RECORD, Attempt(1, 1, "f")),
    "nothing changed": (RECORD, Attempt(1, 0, "f")),
}

# Profiles


@dataclass(frozen=True)
class Sample:
    """A target's plain profile, another value of every other setting, and the requests that a profile becomes."""

    model: type[Profile]
    plain: Mapping[str, Any]
    other: Mapping[str, Any]
    requests: Mapping[str, Callable[[Any], list[dict[str, Any]]]]

    def profile(self, **changed: Any) -> Any:
        """Return the plain profile with some settings changed."""
        return self.model(**{**self.plain, **changed})

    def runs(self, job: Job) -> dict[str, Any]:
        """Return the request that starts a job's run."""
        return _RUN_OF[self.model](job, self.profile())


def _step(job: Job, profile: Any) -> dict[str, Any]:
    return ec2_steps.step_request(job, uploaded(job), "name", profile)


def _eks_run(job: Job, profile: Any) -> dict[str, Any]:
    return eks_jobs.run_request(job, uploaded(job), KEY, profile)


def _serverless_run(job: Job, profile: Any) -> dict[str, Any]:
    return serverless_jobs.run_request(job, uploaded(job), KEY, profile)


_RUN_OF: Mapping[type[Profile], Callable[[Job, Any], dict[str, Any]]] = {
    Ec2Profile: _step,
    EksProfile: _eks_run,
    ServerlessProfile: _serverless_run,
}
_SPARK = SparkJob(script="job.py")
_HIVE = HiveJob(script="job.hql")
_SHARED = {
    "description": "a few words",
    "region": "eu-west-1",
    "connection": "aws_other",
    "log_uri": "s3://other-logs/",
    "tags": {"team": "data"},
}
_SECTIONS = {
    "spark": {"adaptive": {}},
    "s3": {"multipart_size": 134217728},
    "hive": {"metastore": "glue"},
    "tables": ["iceberg"],
    "python": "3.11",
}
_ROLE = "arn:aws:iam::123456789012:role"
_KEY = "arn:aws:kms:us-east-1:123456789012:key/12345678-1234-1234-1234-123456789012"

SAMPLES: Mapping[str, Sample] = {
    "ec2": Sample(
        Ec2Profile,
        {
            "name": "ec2",
            "target": "ec2",
            "region": "us-east-1",
            "log_uri": "s3://example-logs/emr/",
            "public_subnet": True,
            "primary": {"type": "m5.xlarge", "count": 3},
            "core": {"type": "m5.xlarge", "count": 2},
            "managed_scaling": {"minimum": 2, "maximum": 10},
            "primary_security_group": "sg-1",
            "core_security_group": "sg-2",
            "custom_ami": "ami-1",
        },
        {
            **_SHARED,
            **_SECTIONS,
            "max_concurrent": 3,
            "release": "emr-7.0.0",
            "applications": ["Spark", "Presto"],
            "primary": {"type": "m5.2xlarge", "count": 3},
            "core": {"type": "r5.xlarge"},
            "task": {"type": "r5.xlarge"},
            "managed_scaling": {"minimum": 1, "maximum": 9},
            "scaling_role": "ScalingRole",
            "scale_down_behavior": "TERMINATE_AT_INSTANCE_HOUR",
            "unhealthy_node_replacement": True,
            "subnet": "subnet-1",
            "subnets": ["subnet-1"],
            "availability_zones": ["us-east-1a"],
            "placement_group": "SPREAD",
            "key_pair": "key",
            "primary_security_group": "sg-3",
            "core_security_group": "sg-4",
            "service_access_security_group": "sg-5",
            "additional_primary_security_groups": ["sg-6"],
            "additional_core_security_groups": ["sg-7"],
            "service_role": "OtherRole",
            "instance_profile": "OtherProfile",
            "execution_role": f"{_ROLE}/other",
            "security": {"instance_metadata_hops": 2},
            "security_configuration": "encrypted",
            "log_encryption_key": _KEY,
            "custom_ami": "ami-2",
            "os_release": "2023.6.20250218.2",
            "repository_upgrade": "NONE",
            "root_volume_size": 50,
            "root_volume_iops": 4000,
            "root_volume_throughput": 250,
            "configurations": [{"classification": "spark-defaults"}],
            "bootstrap_actions": [{"name": "install", "script": "s3://example/install.sh"}],
            "setup_steps": [{"name": "prepare", "command": ["hdfs", "dfs", "-mkdir", "/work"]}],
            "debugging": True,
            "hdfs": {"replication": 3},
            "mapreduce": {},
            "concurrent_steps": 2,
            "idle_minutes": 5,
            "termination_protection": True,
            "deploy_mode": "cluster",
            "maximum_workers": 1,
        },
        {
            "RunJobFlow": lambda profile: [profile.request(LEASE, frozenset())],
            "AddJobFlowSteps": lambda profile: [_step(_SPARK, profile)],
        },
    ),
    "eks": Sample(
        EksProfile,
        {
            "name": "eks",
            "target": "eks",
            "region": "us-east-1",
            "log_uri": "s3://example-logs/emr/",
            "eks_cluster": "analytics",
            "namespace": "emr",
            "execution_role": f"{_ROLE}/jobs",
        },
        {
            **_SHARED,
            **_SECTIONS,
            "eks_cluster": "other",
            "namespace": "other",
            "virtual_cluster": "0123456789abcdefghijklmno",
            "security_configuration": "0123456789abcdefghijklmno",
            "release": "emr-7.0.0-latest",
            "architecture": "ARM64",
            "execution_role": f"{_ROLE}/other",
            "driver": {"cores": 4},
            "executor": {"cores": 4},
            "maximum_workers": 5,
            "configurations": [{"classification": "spark-defaults"}],
            "job_template": {"id": "0123456789abcdefghijklmno", "parameters": {"Script": "{entry_point}"}},
            "persistent_ui": False,
            "cloudwatch": {"log_group": "group"},
            "log_rotation": {"size": "2GB", "files": 10},
            "attempts": 3,
            "max_concurrent_jobs": 5,
            "max_queued_jobs": 50,
            "encryption": {"traffic": True, "logs": _KEY},
        },
        {
            "CreateVirtualCluster": lambda profile: [profile.request(LEASE)],
            "StartJobRun": lambda profile: [_eks_run(_SPARK, profile)],
        },
    ),
    "serverless": Sample(
        ServerlessProfile,
        {
            "name": "serverless",
            "target": "serverless",
            "region": "us-east-1",
            "log_uri": "s3://example-logs/emr/",
            "execution_role": f"{_ROLE}/jobs",
            "driver": {"cpu": 1, "memory": 4, "initial": 1},
            "executor": {"cpu": 1, "memory": 4, "initial": 1},
            "hive_driver": {"cpu": 1, "memory": 4, "initial": 1},
            "tez_task": {"cpu": 1, "memory": 4, "initial": 1},
        },
        {
            **_SHARED,
            **_SECTIONS,
            "max_concurrent": 3,
            "owner": "profile",
            "release": "emr-7.0.0",
            "execution_role": f"{_ROLE}/other",
            "architecture": "ARM64",
            "driver": {"cpu": 2, "memory": 8, "initial": 1},
            "executor": {"cpu": 2, "memory": 8, "initial": 1},
            "hive_driver": {"cpu": 2, "memory": 8, "initial": 1},
            "tez_task": {"cpu": 2, "memory": 8, "initial": 1},
            "image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/jobs:1.0",
            "maximum_capacity": {"cpu": 400, "memory": 3000},
            "maximum_workers": 5,
            "auto_start": False,
            "auto_stop": False,
            "idle_minutes": 5,
            "scheduler": {"max_concurrent_runs": 5},
            "network": {"subnets": ["subnet-1"]},
            "managed_logs": False,
            "cloudwatch": {"log_group": "group"},
            "configurations": [{"classification": "spark-defaults"}],
            "mode": "STREAMING",
            "attempts": 3,
            "execution_timeout_minutes": 60,
            "cost_allocation": True,
            "encryption": {"traffic": False, "disks": _KEY, "logs": _KEY},
            "identity_center": {"instance": "arn:aws:sso:::instance/ssoins-1234567890abcdef"},
        },
        {
            "CreateApplication": lambda profile: [profile.request(LEASE, engine) for engine in ("spark", "hive")],
            "StartJobRun": lambda profile: [_serverless_run(job, profile) for job in (_SPARK, _HIVE)],
        },
    ),
}

# What AWS says of a state beside its name, and what is made of it


@dataclass(frozen=True)
class Seen:
    """A state of some thing in AWS, and what it is translated to."""

    thing: str
    state: str
    detail: str
    here: str
    fault: str


def _seen(thing: str, state: str, detail: str, translated: Any) -> Seen:
    here = getattr(translated, "state", None) or translated.phase
    return Seen(thing, state, detail, here, translated.fault or "")


def _of_ec2() -> list[Seen]:
    steps = [_seen("step", name, "", ec2_steps.job_state({"State": name})) for name in ec2_steps.RUN_STATES]
    clusters = [Seen("cluster", name, "", phase, "") for name, phase in ec2_clusters.PHASES.items()]
    ends: list[tuple[str, dict[str, Any]]] = [
        (code, {"StateChangeReason": {"Code": code}}) for code in ec2_clusters.FAULTS
    ]
    short = "INTERNAL_ERROR_EC2_INSUFFICIENT_CAPACITY_AZ"
    ends.append((short, {"ErrorDetails": [{"ErrorCode": short}]}))
    return [
        *steps,
        *clusters,
        *(Seen("cluster's end", told, "", "ended", ec2_clusters.fault_of_end(status) or "") for told, status in ends),
    ]


def _of_eks() -> list[Seen]:
    told = [(name, "") for name in eks_jobs.RUN_STATES if name != "FAILED"]
    told += [("FAILED", reason) for reason in eks_jobs.FAULTS]
    runs = [
        _seen(
            "job run", name, f"reason {reason}".removesuffix("reason "), eks_jobs.job_state(_eks_answer(name, reason))
        )
        for name, reason in told
    ]
    clusters = [
        _seen("virtual cluster", name, "", eks_jobs.cluster_state({"id": "id", "name": "name", "state": name}))
        for name in eks_jobs.PHASES
    ]
    return runs + clusters


def _eks_answer(state: str, reason: str) -> dict[str, Any]:
    return {"state": state, "createdAt": WHEN, **({"failureReason": reason} if reason else {})}


_SERVERLESS_DETAILS = {
    "FAILED": ("", "ApplicationMaxCapacityExceeded", "Internal server error"),
    "CANCELLED": ("", "timed out"),
    "CREATED": ("", "not enough capacity"),
    "STOPPED": ("", "AUTO_STOPPING"),
}
"""Words in ``stateDetails`` that change what a state means."""


def _of_serverless() -> list[Seen]:
    found = []
    for name in serverless_jobs.RUN_STATES:
        for words in _SERVERLESS_DETAILS.get(name, ("",)):
            answer = {"state": name, "stateDetails": words, "createdAt": WHEN, "updatedAt": WHEN}
            found.append(_seen("job run", name, words, serverless_jobs.job_state(answer)))
    for name in serverless_jobs.PHASES:
        for words in _SERVERLESS_DETAILS.get(name, ("",)):
            answer = {"id": "id", "state": name, "stateDetails": words}
            translated = serverless_jobs.application_state(answer, auto_start=True)
            found.append(_seen("application", name, words, translated))
    return found


STATES: Mapping[str, Callable[[], list[Seen]]] = {"ec2": _of_ec2, "eks": _of_eks, "serverless": _of_serverless}
