"""The role of Airflow allows what the product calls, and nothing that it never calls: both are compared here, statement by statement.

One pass through everything that the product does in an account, on an endpoint with scripted jobs, whose calls ``conftest.py`` judges.
"""

from __future__ import annotations

import ast
import time

import pendulum
import pytest
from airflow.sdk import DAG
from botocore import xform_name
from botocore.session import get_session

from emr_pipelines import Dataset, EmrPipeline, QualityCheckOperator, SparkJob, published
from emr_pipelines.environments import read_environment
from emr_pipelines.events import DELETE, Fate, Queue
from emr_pipelines.keys import Lease
from emr_pipelines.targets import capabilities_of, target_for
from emr_pipelines.targets.ec2_profile import Ec2Profile
from tests.conformance.cases import ENGINES, ended, key, settled
from tests.conformance.endpoints import ENVIRONMENT, LocalService
from tests.support.allowed_calls import statements_of
from tests.support.endpoint import ROOT
from tests.support.policies import ACCOUNT, allows, as_list
from tests.support.recorded_calls import forms_of, requests_of
from tests.support.scripted_runs import DAY, Run, client_of, endpoint, environment, s3, writing

__all__ = ["endpoint", "environment", "s3"]

FLIGHTS = Dataset("flights", "s3://t-data/flights/", table="flights")
JOB = SparkJob(script="jobs/any.py", args=("succeed",))
HOLDS = SparkJob(script="jobs/any.py", args=("hold",))
CODE = {"jobs/any.py": "s3://t-artifacts/code/any.py"}
DEPLOYMENT = "test"
PACKAGE = ROOT / "plugins" / "emr_pipelines"

NOT_DRIVEN = {
    "FiguresOfJobRuns": "`metrics` of an environment sends them",
    "DocumentsOfRuns": "the verdict of a run writes one",
    "RowsOfJobs": "a job that counts its rows has them read",
    "PackagesOfJobs": "a job with a lock file has them looked for",
    "KeyOfTheBuckets": "S3 asks KMS in the name of who reads and writes: S3 User Guide, 'Using server-side encryption with AWS KMS keys'",
}
"""Statements for calls that are not made here, and where they come from."""


OWN = {
    "ec2": {
        "service_role": "emr-pipelines-test-emr",
        "instance_profile": "emr-pipelines-test-instances",
        "scaling_role": "emr-pipelines-test-scaling",
        "security": {"kerberos": {"realm": "EC2.INTERNAL", "admin_password": {"secret": "emr/driven"}}},
    },
    "eks": {"execution_role": f"arn:aws:iam::{ACCOUNT}:role/emr-pipelines-test-eks"},
    "serverless": {
        "execution_role": f"arn:aws:iam::{ACCOUNT}:role/emr-pipelines-test-serverless",
        "network": {"subnets": ["subnet-0123456789abcdef0"], "security_groups": ["sg-0123456789abcdef0"]},
    },
}
"""Settings by target, with the roles that the template makes."""


def profile_of(target, **changes):
    profile = ENVIRONMENT.profile(target)
    return type(profile).model_validate({**profile.model_dump(exclude_unset=True), **OWN[target], **changes})


@pytest.fixture
def world(endpoint):
    """What others keep: a cluster and a virtual cluster that they share, a job template, a password."""
    emr, eks = client_of(endpoint.url, "emr"), client_of(endpoint.url, "emr-containers")
    client_of(endpoint.url, "secretsmanager").create_secret(Name="emr/driven", SecretString="a password")
    nodes = {"MasterInstanceType": "m5.xlarge", "InstanceCount": 1, "KeepJobFlowAliveWhenNoSteps": True}
    shared = {"emr-pipelines:shared-with": f"elsewhere {DEPLOYMENT}"}
    tags = [{"Key": name, "Value": value} for name, value in shared.items()]
    spark = [{"Name": "Spark"}]
    kept = {"Name": "analytics", "ReleaseLabel": "emr-7.9.0", "Applications": spark, "Instances": nodes, "Tags": tags}
    emr.run_job_flow(**kept)
    place = {"type": "EKS", "id": "local", "info": {"eksInfo": {"namespace": "theirs"}}}
    virtual = eks.create_virtual_cluster(name="theirs", clientToken="1", containerProvider=place, tags=shared)["id"]
    data = {
        "executionRoleArn": OWN["eks"]["execution_role"],
        "releaseLabel": "emr-7.9.0-latest",
        "jobDriver": {"sparkSubmitJobDriver": {"entryPoint": "${entry}", "entryPointArguments": ["${word}"]}},
        "parameterConfiguration": {"entry": {"type": "STRING"}, "word": {"type": "STRING"}},
    }
    template = eks.create_job_template(name="any", clientToken="1", jobTemplateData=data)["id"]
    parameters = {"entry": "{entry_point}", "word": "{arguments[0]}"}
    return {
        "cluster": Ec2Profile(
            name="shared", target="ec2", region="us-east-1", log_uri="s3://local-logs/emr/", cluster="analytics"
        ),
        "virtual cluster": {"namespace": "theirs", "virtual_cluster": virtual},
        "template": {"job_template": {"id": template, "parameters": parameters}},
    }


def works(endpoint, profile, *, jobs=(JOB, HOLDS)):
    """Do with a target all that its contract has, in the order of a run."""
    target = target_for(profile, LocalService(endpoint.url, profile.target, {}).clients)
    mine = Lease(DEPLOYMENT, "dag", profile.name, "emr")
    compute = target.acquire(mine, ENGINES)
    settled(target, compute)
    target.states([compute, compute])
    begun = time.time()
    done, held = (target.submit(compute, job, CODE, key(mine, nonce=str(number))) for number, job in enumerate(jobs))
    ended(target, compute, done.id)
    target.find(compute, key(mine))
    target.active(compute, mine)
    target.owned(DEPLOYMENT)
    target.lookup(mine)
    if profile.target == "ec2":  # steps that the listing does not show are asked for
        target.poll(compute, [done.id, "s-AAAAAAAAAAAAA"])
    list(target.ended(compute, [done.id], begun))
    target.logs(compute, done.id)
    target.usage(compute, [done.id])
    target.cancel(compute, held.id)
    ended(target, compute, held.id)
    target.release(compute)


def acquires_all_of_prod(endpoint):
    for profile in read_environment(ROOT / "include" / "compute" / "prod.yaml").profiles.values():
        if not getattr(profile, "cluster", None):
            target = target_for(profile, LocalService(endpoint.url, profile.target, {}).clients)
            target.release(
                target.acquire(
                    Lease(DEPLOYMENT, "dag", profile.name, "emr"), ENGINES & capabilities_of(profile.target).engines
                )
            )


def publishes(endpoint, environment, s3):
    """Run a pipeline whose check compares with earlier ones, publish what it staged twice, and read it."""
    environment("catalogue: {database: db}")
    glue = client_of(endpoint.url, "glue")
    glue.create_database(DatabaseInput={"Name": "db"})
    described = {"Columns": [{"Name": "carrier", "Type": "string"}], "Location": "s3://t-data/flights/"}
    keys = [{"Name": "dt", "Type": "string"}]
    glue.create_table(
        DatabaseName="db", TableInput={"Name": "flights", "PartitionKeys": keys, "StorageDescriptor": described}
    )
    with DAG("d", schedule=None, start_date=pendulum.datetime(2013, 1, 1)) as dag:
        with EmrPipeline("emr") as emr:
            clean = writing("clean", FLIGHTS)
            check = QualityCheckOperator(
                task_id="check", ruleset="quality/a.dqdl", data=clean.staged, audits=FLIGHTS.partition("{{ ds }}")
            )
            check.job["args"].append("succeed")
            clean >> check
        emr.publish(clean)
    endpoint.engine.severity = "warn"
    run = Run(dag)
    run.execute("emr.acquire", "emr.clean", "emr.check", "publish")
    run.execute("publish")
    published(FLIGHTS, DAY)


def hears_of_ends(endpoint):
    sqs = client_of(endpoint.url, "sqs")
    url = sqs.create_queue(QueueName="events")["QueueUrl"]
    for fate in (DELETE, Fate(0)):
        sqs.send_message(QueueUrl=url, MessageBody="{}")
        queue = Queue(sqs, url)
        queue.settle([(message, fate) for message in queue.receive(1)])


@pytest.fixture
def calls(endpoint, environment, s3, world, allowed_calls):
    """Do everything, and return what the product called."""
    works(endpoint, profile_of("ec2"))
    works(endpoint, world["cluster"])
    works(endpoint, profile_of("serverless"))
    works(endpoint, profile_of("serverless", name="kept", owner="profile"))
    works(endpoint, profile_of("eks"))
    works(endpoint, profile_of("eks", name="shared", **world["virtual cluster"]))
    works(endpoint, profile_of("eks", name="templated", namespace="another", **world["template"]))
    acquires_all_of_prod(endpoint)
    publishes(endpoint, environment, s3)
    hears_of_ends(endpoint)
    return list(allowed_calls.recorder.calls)


def test_the_role_of_airflow_allows_nothing_that_is_never_called_and_all_that_can_be_is_called_here(
    calls, allowed_calls
):
    asked = (request for call in calls for request in requests_of(call, allowed_calls.recorder.tags))
    requests = {str(request): request for request in asked}.values()
    unused = {
        (statement["Sid"], action)
        for statement in statements_of(DEPLOYMENT)
        for action in as_list(statement["Action"])
        if not any(allows({**statement, "Action": action}, request) for request in requests)
    }
    assert {(sid, action) for sid, action in unused if sid not in NOT_DRIVEN} == set()
    called = {call.operation for call in calls}
    assert set(said_by_the_product()) - called == {"GetSession"}  # Airflow's hook has a method of that name


def said_by_the_product():
    """Find AWS's operations among the words of the product: methods of clients, and the names that paginators take."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    words = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    words |= {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    for name in ("emr", "emr-containers", "emr-serverless", "s3", "glue", "sqs", "secretsmanager"):
        for operation in get_session().get_service_model(name).operation_names:
            if xform_name(operation) in words:
                yield operation


ROLES = ("AirflowRole", "DeployRole", "ServiceRole", "ScalingRole", "InstanceRole", "ServerlessJobRole", "EksJobRole")


@pytest.mark.parametrize("role", ROLES)
def test_what_is_allowed_everywhere_can_be_narrowed_to_nothing(role):
    anywhere = {
        action
        for statement in statements_of("dev", role)
        if "*" in as_list(statement["Resource"])
        for action in as_list(statement["Action"])
    }
    assert {action for action in anywhere if forms_of(action)} == set()


def test_every_action_and_every_resource_is_one_that_aws_has():
    for role in ROLES:
        for statement in statements_of("dev", role):
            for action in as_list(statement["Action"]):
                forms = {form.split(":")[2] for form in forms_of(action)}
                services = {resource.split(":")[2] for resource in as_list(statement["Resource"]) if resource != "*"}
                assert services <= forms, f"{role}: {action} has no resource of {services - forms}"
