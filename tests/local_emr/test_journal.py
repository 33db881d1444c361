"""The journal: what whoever serves the endpoint is told, and when."""

from __future__ import annotations

import json
import socket
import threading

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from local_emr.endpoint import running
from tests.local_emr.asking import arm, create, state_of, step_states
from tests.local_emr.conftest import client_of
from tests.local_emr.eks.conftest import Namespace
from tests.local_emr.scripted import DEADLINE, ManualClock, ScriptedEngine, eventually, step
from tests.local_emr.serverless.asking import Asker


def told(endpoint, what):
    """Return the journal's entries of one kind."""
    return [entry for entry in endpoint.journal if entry["what"] == what]


def states(endpoint, what, identity):
    return [entry["state"] for entry in told(endpoint, what) if entry["id"] == identity]


# Compute and job runs


def test_a_cluster_and_its_steps_are_told_of_at_each_change_with_what_identifies_them(endpoint):
    tags = [{"Key": "lease", "Value": "a1"}]
    cluster_id = create(endpoint, step("succeed", "--key", "k1", name="once"), keep_alive=False, Tags=tags)
    eventually(lambda: state_of(endpoint, cluster_id)[0], "TERMINATED")
    (step_id,) = {entry["id"] for entry in told(endpoint, "job run")}
    known = {"service": "elasticmapreduce", "id": cluster_id, "name": "flights", "tags": {"lease": "a1"}}
    assert told(endpoint, "compute") == [
        {"at": endpoint.clock.now(), "what": "compute", **known, "state": state}
        for state in ("STARTING", "BOOTSTRAPPING", "RUNNING", "TERMINATING", "TERMINATED")
    ]
    args = {"compute": cluster_id, "id": step_id, "name": "once", "args": ["succeed", "--key", "k1"]}
    assert told(endpoint, "job run") == [
        {"at": endpoint.clock.now(), "what": "job run", "service": "elasticmapreduce", **args, "state": state}
        for state in ("PENDING", "RUNNING", "COMPLETED")
    ]


def test_a_virtual_cluster_and_its_job_runs_are_told_of(endpoint):
    namespace = Namespace(endpoint, tags={"profile": "eks"})
    run_id = namespace.start("fail", "--key", "k1", name="clean")
    eventually(lambda: namespace.state(run_id), "FAILED")
    (made,) = told(endpoint, "compute")
    assert (made["service"], made["id"], made["name"]) == ("emr-containers", namespace.id, "etl")
    assert (made["state"], made["tags"]) == ("RUNNING", {"profile": "eks"})
    runs = told(endpoint, "job run")
    assert [run["state"] for run in runs] == ["PENDING", "SUBMITTED", "RUNNING", "FAILED"]
    assert {(run["compute"], run["id"], run["name"], *run["args"]) for run in runs} == {
        (namespace.id, run_id, "clean", "--key", "k1")
    }


def test_an_application_and_its_job_runs_are_told_of(endpoint):
    serverless = Asker(client=endpoint.client("emr-serverless"))
    application = serverless.create(name="flights", tags={"lease": "a1"})
    run_id = serverless.submit(application, "hold", "held", name="clean", parameters="--conf spark.executor.cores=4")
    serverless.becomes(application, run_id, "RUNNING")
    serverless.client.cancel_job_run(applicationId=application, jobRunId=run_id)
    serverless.becomes(application, run_id, "CANCELLED")
    assert states(endpoint, "compute", application) == ["CREATING", "CREATED", "STARTING", "STARTED"]
    assert {tuple(entry["tags"].items()) for entry in told(endpoint, "compute")} == {(("lease", "a1"),)}
    walked = ["SUBMITTED", "PENDING", "SCHEDULED", "RUNNING", "CANCELLING", "CANCELLED"]
    assert walked == states(endpoint, "job run", run_id)
    assert {(run["compute"], run["name"], *run["args"]) for run in told(endpoint, "job run")} == {
        (application, "clean", "held")
    }


def test_sql_and_hive_have_no_arguments_to_tell(endpoint):
    sql = {"sparkSqlJobDriver": {"entryPoint": "s3://bucket/succeed", "sparkSqlParameters": "--hivevar key=k1"}}
    Namespace(endpoint).start(jobDriver=sql)
    serverless = Asker(client=endpoint.client("emr-serverless"))
    hive = {"hive": {"query": "SELECT 1", "parameters": "--hivevar key=k1"}}
    serverless.submit(serverless.create(type="Hive"), "", jobDriver=hive)
    assert {(entry["service"], *entry["args"]) for entry in told(endpoint, "job run")} == {
        ("emr-containers",),
        ("emr-serverless",),
    }


def test_nothing_is_told_twice_and_what_a_former_endpoint_ran_is_told_as_lost(tmp_path):
    journal = []
    for _ in range(2):
        with running(tmp_path, ScriptedEngine, boot_seconds=0, clock=ManualClock(), journal=journal.append) as url:
            if not journal:
                emr = client_of(url, "emr")
                instances = {"MasterInstanceType": "m5.xlarge", "InstanceCount": 1}
                emr.run_job_flow(
                    Name="c", ReleaseLabel="emr-7.10.0", Instances=instances, Steps=[step("hold", "a", name="s")]
                )
                eventually(lambda: [entry["state"] for entry in journal if entry["what"] == "job run"][-1], "RUNNING")
    walked = [(entry["what"], entry["state"]) for entry in journal if "state" in entry]
    assert walked[-2:] == [("compute", "TERMINATED_WITH_ERRORS"), ("job run", "INTERRUPTED")]
    assert len(walked) == len(set(walked))


# Calls


def test_a_call_is_told_of_before_and_after_its_effect(endpoint):
    cluster_id = create(endpoint)
    eventually(lambda: state_of(endpoint, cluster_id)[0], "WAITING")
    endpoint.journal.clear()
    endpoint.emr.add_job_flow_steps(JobFlowId=cluster_id, Steps=[step("hold", "a", name="s")])
    kinds = [entry["what"] for entry in endpoint.journal if entry.get("state", "PENDING") == "PENDING"]
    assert kinds == ["asked", "job run", "answered"]
    asked, answered = told(endpoint, "asked")[0], told(endpoint, "answered")[0]
    path, _, body = asked["text"].partition("\n")
    assert (path, json.loads(body)["JobFlowId"]) == ("/?", cluster_id)
    assert (asked["service"], asked["operation"]) == ("elasticmapreduce", "AddJobFlowSteps")
    assert answered == {**asked, "what": "answered", "status": 200, "fault": None}


def test_a_call_over_rest_is_told_of_with_its_path_and_query(endpoint):
    namespace = Namespace(endpoint)
    endpoint.journal.clear()
    endpoint.eks.list_job_runs(virtualClusterId=namespace.id, maxResults=7)
    assert [(entry["operation"], entry["text"]) for entry in endpoint.journal] == [
        ("ListJobRuns", f"/virtualclusters/{namespace.id}/jobruns?maxResults=7\n")
    ] * 2


@pytest.mark.parametrize(
    ("fault", "status", "error"),
    [("throttle", 400, ClientError), ("error", 500, ClientError), ("lose_answer", 200, ConnectionClosedError)],
)
def test_a_struck_call_is_told_of_with_its_fault(endpoint, fault, status, error):
    arm(endpoint, fault)
    with pytest.raises(error):
        endpoint.emr.list_clusters()
    assert [(entry["what"], entry.get("status"), entry.get("fault")) for entry in endpoint.journal] == [
        ("asked", None, None),
        ("answered", status, fault),
    ]


def test_calls_of_other_services_and_of_the_side_door_are_not_told_of(endpoint):
    endpoint.s3.create_bucket(Bucket="local-data")
    arm(endpoint, "throttle")
    assert endpoint.journal == []


def test_whoever_listens_can_hold_a_call_before_it_has_any_effect_and_knows_its_caller(tmp_path):
    asked, go_on = [], threading.Event()

    def listen(entry):
        if entry["what"] == "asked" and entry["operation"] == "CreateVirtualCluster":
            asked.append(entry["port"])
            assert go_on.wait(DEADLINE)

    with running(tmp_path, ScriptedEngine, boot_seconds=0, journal=listen) as url:
        body = json.dumps(
            {
                "name": "etl",
                "clientToken": "t",
                "containerProvider": {"type": "EKS", "id": "e", "info": {"eksInfo": {"namespace": "n"}}},
            }
        )
        scope = "Credential=local/20260101/us-east-1/emr-containers/aws4_request"
        head = f"POST /virtualclusters HTTP/1.1\r\nHost: x\r\nAuthorization: AWS4-HMAC-SHA256 {scope}\r\n"
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as caller:
            caller.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            eventually(lambda: asked, [caller.getsockname()[1]])
            assert client_of(url, "emr-containers").list_virtual_clusters()["virtualClusters"] == []
            go_on.set()
            assert caller.recv(12) == b"HTTP/1.1 200"


def test_a_state_that_a_client_sees_has_been_told_of(endpoint):
    cluster_id = create(endpoint, step("hold", "a"), step("succeed"))
    eventually(lambda: step_states(endpoint, cluster_id), ["RUNNING", "PENDING"])
    endpoint.emr.terminate_job_flows(JobFlowIds=[cluster_id])
    assert states(endpoint, "compute", cluster_id)[-1] in {"TERMINATING", "TERMINATED_WITH_ERRORS", "TERMINATED"}
    assert ["PENDING", "CANCELLED"] in [states(endpoint, "job run", entry["id"]) for entry in told(endpoint, "job run")]
