"""What survives the end of an endpoint: objects and the records of clusters."""

from __future__ import annotations

import json

import pytest

from local_emr.endpoint import running
from tests.local_emr.conftest import client_of
from tests.local_emr.scripted import ManualClock, ScriptedEngine, eventually, step

INSTANCES = {"MasterInstanceType": "m5.xlarge", "InstanceCount": 1, "KeepJobFlowAliveWhenNoSteps": True}


def serving(data, engines=None):
    """Run an endpoint on `data`; its engine is appended to `engines`."""

    def engine(folder, url):
        made = ScriptedEngine(folder, url)
        if engines is not None:
            engines.append(made)
        return made

    return running(data, engine, boot_seconds=0, clock=ManualClock())


def states(emr, cluster_id):
    return [made["Status"]["State"] for made in emr.list_steps(ClusterId=cluster_id)["Steps"]][::-1]


def test_a_cluster_that_lived_is_lost_and_says_so(tmp_path):
    engines = []
    with serving(tmp_path, engines) as url:
        emr = client_of(url, "emr")
        steps = [step("succeed", name="done"), step("hold", "a", name="running"), step("succeed", name="waiting")]
        cluster_id = emr.run_job_flow(
            Name="n", ReleaseLabel="emr-7.10.0", Instances=INSTANCES, Steps=steps, Tags=[{"Key": "k", "Value": "v"}]
        )["JobFlowId"]
        eventually(lambda: states(emr, cluster_id), ["COMPLETED", "RUNNING", "PENDING"])
    assert engines[0].closed
    with serving(tmp_path) as url:
        emr = client_of(url, "emr")
        found = emr.describe_cluster(ClusterId=cluster_id)["Cluster"]
        assert (found["Status"]["State"], found["Status"]["StateChangeReason"]) == (
            "TERMINATED_WITH_ERRORS",
            {"Code": "INTERNAL_ERROR", "Message": "endpoint was restarted"},
        )
        assert found["Tags"] == [{"Key": "k", "Value": "v"}]
        assert states(emr, cluster_id) == ["COMPLETED", "INTERRUPTED", "CANCELLED"]
        assert [entry["Id"] for entry in emr.list_clusters()["Clusters"]] == [cluster_id]


def test_a_cluster_that_had_ended_stays_as_it_was(tmp_path):
    with serving(tmp_path) as url:
        emr = client_of(url, "emr")
        transient = {**INSTANCES, "KeepJobFlowAliveWhenNoSteps": False}
        request = {"ReleaseLabel": "emr-7.10.0", "Instances": transient, "Steps": [step("fail")]}
        ids = [emr.run_job_flow(Name=name, **request)["JobFlowId"] for name in ("first", "second")]
        for cluster_id in ids:
            emr.get_waiter("cluster_terminated").wait(
                ClusterId=cluster_id, WaiterConfig={"Delay": 0.05, "MaxAttempts": 400}
            )
        before = [emr.describe_cluster(ClusterId=cluster_id)["Cluster"] for cluster_id in ids]
        before_steps = [emr.list_steps(ClusterId=cluster_id)["Steps"] for cluster_id in ids]
    with serving(tmp_path) as url:
        emr = client_of(url, "emr")
        assert before == [emr.describe_cluster(ClusterId=cluster_id)["Cluster"] for cluster_id in ids]
        assert before_steps == [emr.list_steps(ClusterId=cluster_id)["Steps"] for cluster_id in ids]
        assert sorted(ids) == sorted(entry["Id"] for entry in emr.list_clusters()["Clusters"])


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"steps": [], "id": "j-OLD"}'])
def test_a_record_that_cannot_be_read_is_named_and_hinders_nothing(tmp_path, caplog, content):
    record = tmp_path / "clusters/j-OLD/cluster.json"
    record.parent.mkdir(parents=True)
    record.write_text(content)
    with serving(tmp_path) as url:
        assert client_of(url, "emr").list_clusters()["Clusters"] == []
    assert f"{record} is no record" in caplog.text
    assert record.read_text() == content


def test_a_record_is_whole_at_any_time(tmp_path):
    with serving(tmp_path) as url:
        emr = client_of(url, "emr")
        cluster_id = emr.run_job_flow(Name="n", ReleaseLabel="emr-7.10.0", Instances=INSTANCES)["JobFlowId"]
        record = tmp_path / "clusters" / cluster_id / "cluster.json"
        for _ in range(50):
            emr.add_job_flow_steps(JobFlowId=cluster_id, Steps=[step("succeed")])
            assert json.loads(record.read_text())["id"] == cluster_id


def test_objects_survive(tmp_path):
    with serving(tmp_path) as url:
        s3 = client_of(url, "s3")
        s3.create_bucket(Bucket="local-data")
        s3.put_object(Bucket="local-data", Key="deep/key", Body=b"content")
        before = s3.head_object(Bucket="local-data", Key="deep/key")
    with serving(tmp_path) as url:
        s3 = client_of(url, "s3")
        assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["local-data"]
        after = s3.head_object(Bucket="local-data", Key="deep/key")
        assert [before[name] for name in ("ETag", "ContentLength", "LastModified")] == [
            after[name] for name in ("ETag", "ContentLength", "LastModified")
        ]
        assert s3.get_object(Bucket="local-data", Key="deep/key")["Body"].read() == b"content"
