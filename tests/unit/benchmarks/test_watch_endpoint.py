"""The scripted endpoint answers real clients, and keeps AWS's rates."""

import asyncio
import threading
import time
import urllib.request
from contextlib import contextmanager

import boto3
import pytest
from aiohttp import web
from botocore.config import Config
from botocore.exceptions import ClientError

from benchmarks.watch.endpoint import Endpoint
from benchmarks.watch.plan import APPLICATION, Plan

LIVE = ["SUBMITTED", "PENDING", "SCHEDULED", "RUNNING"]


@contextmanager
def serving(plan):
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(Endpoint(plan).application, access_log=None)

    async def start():
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()

    loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield "http://{}:{}".format(*runner.addresses[0])
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def client_of(service, plan, began):
    with serving(plan) as url:
        made = boto3.client(
            service,
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="bench",
            aws_secret_access_key="bench",
            config=Config(retries={"total_max_attempts": 1}),
        )
        urllib.request.urlopen(f"{url}/_bench/begin", str(began).encode()).close()
        try:
            yield made
        finally:
            made.close()


def test_emr_serverless_lists_every_live_job_run_once_newest_first():
    plan = Plan("serverless", 120, 60)
    with client_of("emr-serverless", plan, time.time() + 60) as client:
        pages = client.get_paginator("list_job_runs").paginate(applicationId=APPLICATION, states=LIVE)
        listed = [page["jobRuns"] for page in pages]
    assert [len(page) for page in listed] == [50, 50, 20]
    runs = [run for page in listed for run in page]
    assert {run.id for run in plan.waited} == {run["id"] for run in runs}
    assert sorted((run["createdAt"] for run in runs), reverse=True) == [run["createdAt"] for run in runs]


def test_emr_serverless_lists_what_was_created_between_two_moments():
    plan = Plan("serverless", 20, 60)
    began = time.time() + 60
    oldest, newest = plan.waited[-1], plan.waited[0]
    with client_of("emr-serverless", plan, began) as client:
        after = client.list_job_runs(applicationId=APPLICATION, createdAtAfter=began + newest.created - 1)
        before = client.list_job_runs(
            applicationId=APPLICATION, states=LIVE, createdAtBefore=began + oldest.created + 1
        )
    assert [newest.id] == [run["id"] for run in after["jobRuns"]]
    assert [oldest.id] == [run["id"] for run in before["jobRuns"]]


def test_a_job_run_changes_its_state_when_the_plan_says():
    plan = Plan("serverless", 10, 60)
    run = next(run for run in plan.waited if run.ends and run.succeeds)
    seen = []
    for moment in (run.ends - 5, run.ends + 5):
        with client_of("emr-serverless", plan, time.time() - moment) as client:
            seen.append(client.get_job_run(applicationId=APPLICATION, jobRunId=run.id)["jobRun"]["state"])
    assert seen == ["RUNNING", "SUCCESS"]


def test_emr_lists_the_steps_of_a_cluster_by_state_and_by_id():
    plan = Plan("ec2", 250, 60)
    cluster = plan.waited[0].compute
    mine = [run.id for run in plan.waited if run.compute == cluster]
    with client_of("emr", plan, time.time() + 60) as client:
        pages = client.get_paginator("list_steps").paginate(ClusterId=cluster, StepStates=["PENDING", "RUNNING"])
        live = [step["Id"] for page in pages for step in page["Steps"]]
        named = client.list_steps(ClusterId=cluster, StepIds=mine[:10])["Steps"]
        described = client.describe_step(ClusterId=cluster, StepId=mine[0])["Step"]
        clusters = client.list_clusters(ClusterStates=["RUNNING"])["Clusters"]
    assert mine == live
    assert mine[:10] == [step["Id"] for step in named]
    assert described == named[0] | {key: value for key, value in described.items() if key not in named[0]}
    assert {run.compute for run in plan.waited} == {one["Id"] for one in clusters}


@pytest.mark.parametrize(
    ("service", "operation", "burst"), [("emr-serverless", "get_job_run", 50), ("emr", "describe_step", 10)]
)
def test_calls_beyond_the_burst_are_refused_as_throttled(service, operation, burst):
    plan = Plan("ec2" if service == "emr" else "serverless", 10, 60)
    run = plan.waited[0]
    asked = (
        {"ClusterId": run.compute, "StepId": run.id}
        if service == "emr"
        else {"applicationId": APPLICATION, "jobRunId": run.id}
    )
    with client_of(service, plan, time.time()) as client:
        answered = refusal = None
        for number in range(10 * burst):
            try:
                getattr(client, operation)(**asked)
            except ClientError as error:
                answered, refusal = number, error.response["Error"]["Code"]
                break
    assert refusal == "ThrottlingException"
    assert answered >= burst


def test_what_is_not_there_is_told_as_aws_tells_it():
    with (
        client_of("emr-serverless", Plan("serverless", 10, 60), time.time()) as client,
        pytest.raises(ClientError) as one,
    ):
        client.get_job_run(applicationId=APPLICATION, jobRunId="00gnever")
    assert one.value.response["Error"]["Code"] == "ResourceNotFoundException"
    with client_of("emr", Plan("ec2", 10, 60), time.time()) as client, pytest.raises(ClientError) as other:
        client.describe_step(ClusterId="j-0000000000000", StepId="s-NEVER")
    assert other.value.response["Error"]["Code"] == "InvalidRequestException"
