"""EMR on EC2 through boto3: a real HTTP server, a scripted engine."""

from __future__ import annotations

import gzip
from concurrent.futures import ThreadPoolExecutor

import pytest

from local_emr.endpoint import running
from tests.local_emr.asking import SIMPLE, cluster_of, create, refusal, state_of, step_states, steps_of
from tests.local_emr.conftest import client_of
from tests.local_emr.scripted import ScriptedEngine, eventually, step

# A cluster's life


def test_a_cluster_without_more_to_do_ends_by_itself(endpoint):
    cluster_id = create(endpoint, step("succeed"), keep_alive=False)
    eventually(lambda: state_of(endpoint, cluster_id), ("TERMINATED", "ALL_STEPS_COMPLETED"))
    assert step_states(endpoint, cluster_id) == ["COMPLETED"]
    assert cluster_of(endpoint, cluster_id)["Status"]["StateChangeReason"]["Message"] == "Steps completed"
    assert [endpoint.data / "clusters" / cluster_id] == endpoint.engine.released


def test_a_kept_cluster_waits_takes_steps_and_ends_when_asked_to(endpoint):
    cluster_id = create(endpoint)
    eventually(lambda: state_of(endpoint, cluster_id), ("WAITING", None))
    added = endpoint.emr.add_job_flow_steps(JobFlowId=cluster_id, Steps=[step("succeed"), step("fail")])["StepIds"]
    eventually(lambda: step_states(endpoint, cluster_id), ["COMPLETED", "FAILED"])
    eventually(lambda: state_of(endpoint, cluster_id), ("WAITING", None))
    assert [
        endpoint.emr.describe_step(ClusterId=cluster_id, StepId=step_id)["Step"]["Id"] for step_id in added
    ] == added
    endpoint.emr.terminate_job_flows(JobFlowIds=[cluster_id])
    eventually(lambda: state_of(endpoint, cluster_id), ("TERMINATED", "USER_REQUEST"))


def test_the_timeline_tells_creation_readiness_and_end(endpoint):
    cluster_id = create(endpoint)
    eventually(lambda: state_of(endpoint, cluster_id), ("WAITING", None))
    endpoint.clock.advance(100)
    endpoint.emr.terminate_job_flows(JobFlowIds=[cluster_id])
    eventually(lambda: state_of(endpoint, cluster_id)[0], "TERMINATED")
    timeline = cluster_of(endpoint, cluster_id)["Status"]["Timeline"]
    seconds = [timeline[name].timestamp() for name in ("CreationDateTime", "ReadyDateTime", "EndDateTime")]
    assert seconds == [1_700_000_000, 1_700_000_000, 1_700_000_100]


def test_terminating_cancels_the_running_step_and_those_that_wait(endpoint):
    cluster_id = create(endpoint, step("hold", "a", name="running"), step("succeed", name="waiting"))
    eventually(lambda: steps_of(endpoint, cluster_id), [("running", "RUNNING"), ("waiting", "PENDING")])
    endpoint.emr.terminate_job_flows(JobFlowIds=[cluster_id])
    eventually(lambda: state_of(endpoint, cluster_id), ("TERMINATED", "USER_REQUEST"))
    assert steps_of(endpoint, cluster_id) == [("running", "CANCELLED"), ("waiting", "CANCELLED")]
    assert [made.args for made in endpoint.engine.started] == [("hold", "a")]


@pytest.mark.parametrize(
    ("on_failure", "state", "steps"),
    [
        ("CONTINUE", ("WAITING", None), ["FAILED", "COMPLETED"]),
        ("CANCEL_AND_WAIT", ("WAITING", None), ["FAILED", "CANCELLED"]),
        ("TERMINATE_CLUSTER", ("TERMINATED_WITH_ERRORS", "STEP_FAILURE"), ["FAILED", "CANCELLED"]),
    ],
)
def test_a_failed_step_does_to_the_cluster_what_it_was_told(endpoint, on_failure, state, steps):
    cluster_id = create(endpoint, step("fail", on_failure=on_failure), step("succeed"))
    eventually(lambda: state_of(endpoint, cluster_id), state)
    assert step_states(endpoint, cluster_id) == steps


def test_as_many_steps_run_at_a_time_as_the_cluster_allows(endpoint):
    names = ["a", "b", "c"]
    cluster_id = create(endpoint, *[step("hold", name, name=name) for name in names], StepConcurrencyLevel=2)
    eventually(lambda: step_states(endpoint, cluster_id), ["RUNNING", "RUNNING", "PENDING"])
    assert endpoint.emr.modify_cluster(ClusterId=cluster_id, StepConcurrencyLevel=3)["StepConcurrencyLevel"] == 3
    eventually(lambda: step_states(endpoint, cluster_id), ["RUNNING", "RUNNING", "RUNNING"])


def test_an_idle_cluster_ends_after_its_idle_timeout_and_not_before(endpoint):
    cluster_id = create(endpoint, AutoTerminationPolicy={"IdleTimeout": 60})
    eventually(lambda: state_of(endpoint, cluster_id), ("WAITING", None))
    endpoint.clock.advance(59)
    endpoint.emr.add_job_flow_steps(JobFlowId=cluster_id, Steps=[step("succeed")])
    eventually(lambda: step_states(endpoint, cluster_id), ["COMPLETED"])
    eventually(lambda: state_of(endpoint, cluster_id), ("WAITING", None))
    endpoint.clock.advance(59)
    assert state_of(endpoint, cluster_id) == ("WAITING", None)
    endpoint.clock.advance(1)
    eventually(lambda: state_of(endpoint, cluster_id), ("TERMINATED", "ALL_STEPS_COMPLETED"))


def test_idle_time_counts_from_the_policy_on(endpoint):
    cluster_id = create(endpoint)
    eventually(lambda: state_of(endpoint, cluster_id), ("WAITING", None))
    endpoint.clock.advance(1000)
    endpoint.emr.put_auto_termination_policy(ClusterId=cluster_id, AutoTerminationPolicy={"IdleTimeout": 60})
    endpoint.clock.advance(59)
    assert state_of(endpoint, cluster_id) == ("WAITING", None)
    endpoint.clock.advance(1)
    eventually(lambda: state_of(endpoint, cluster_id), ("TERMINATED", "ALL_STEPS_COMPLETED"))


def test_a_protected_cluster_is_not_terminated_but_the_others_of_the_call_are(endpoint):
    protected = create(endpoint, Instances={"TerminationProtected": True})
    open_ = create(endpoint)
    error = refusal(endpoint.emr.terminate_job_flows, JobFlowIds=[protected, open_])
    assert error == (
        "ValidationException",
        "Could not shut down one or more job flows since they are termination protected.",
    )
    eventually(lambda: state_of(endpoint, open_), ("TERMINATED", "USER_REQUEST"))
    endpoint.emr.set_termination_protection(JobFlowIds=[protected], TerminationProtected=False)
    endpoint.emr.terminate_job_flows(JobFlowIds=[protected])
    eventually(lambda: state_of(endpoint, protected), ("TERMINATED", "USER_REQUEST"))


def test_a_kept_cluster_ends_once_it_is_no_longer_kept(endpoint):
    cluster_id = create(endpoint)
    eventually(lambda: state_of(endpoint, cluster_id), ("WAITING", None))
    endpoint.emr.set_keep_job_flow_alive_when_no_steps(JobFlowIds=[cluster_id], KeepJobFlowAliveWhenNoSteps=False)
    eventually(lambda: state_of(endpoint, cluster_id), ("TERMINATED", "ALL_STEPS_COMPLETED"))


def test_boto3_waiters_see_the_end(endpoint):
    cluster_id = create(endpoint, step("succeed"), keep_alive=False)
    step_id = endpoint.emr.list_steps(ClusterId=cluster_id)["Steps"][0]["Id"]
    quick = {"Delay": 0.05, "MaxAttempts": 200}
    endpoint.emr.get_waiter("step_complete").wait(ClusterId=cluster_id, StepId=step_id, WaiterConfig=quick)
    endpoint.emr.get_waiter("cluster_terminated").wait(ClusterId=cluster_id, WaiterConfig=quick)


# Steps


def test_the_engine_gets_the_step_as_it_was_asked_for(endpoint):
    asked = {
        "Jar": "s3://artifacts/job.jar",
        "MainClass": "Main",
        "Args": ["succeed", "2013-01-15"],
        "Properties": [{"Key": "a", "Value": "b"}],
    }
    configurations = [
        {"Classification": "spark-defaults", "Properties": {"spark.sql.shuffle.partitions": "3"}},
        {"Classification": "hive-site", "Properties": {"hive.exec.dynamic.partition": "true"}},
        {"Classification": "core-site", "Properties": {"has.no.meaning": "here"}},
        {
            "Classification": "spark-env",
            "Configurations": [{"Classification": "export", "Properties": {"STAGE": "dev"}}],
        },
    ]
    cluster_id = create(endpoint, {"Name": "job", "HadoopJarStep": asked}, Configurations=configurations)
    eventually(lambda: step_states(endpoint, cluster_id), ["COMPLETED"])
    (started,), ((environment, spark_defaults),) = endpoint.engine.started, endpoint.engine.environments
    assert (
        started.jar,
        started.args,
        started.main_class,
        started.properties,
    ) == ("s3://artifacts/job.jar", ("succeed", "2013-01-15"), "Main", {"a": "b"})
    assert environment == {
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "STAGE": "dev",
    }
    assert spark_defaults == {
        "spark.sql.shuffle.partitions": "3",
        "spark.hadoop.hive.exec.dynamic.partition": "true",
    }


def test_a_failed_step_says_why_and_where_its_logs_are_before_it_is_seen_as_failed(endpoint):
    endpoint.s3.create_bucket(Bucket="local-logs")
    cluster_id = create(endpoint, step("fail"), LogUri="s3n://local-logs/emr/")
    eventually(lambda: step_states(endpoint, cluster_id), ["FAILED"])
    made = endpoint.emr.list_steps(ClusterId=cluster_id)["Steps"][0]
    folder = f"emr/{cluster_id}/steps/{made['Id']}"
    assert made["Status"]["FailureDetails"] == {
        "Reason": "Unknown Error.",
        "Message": "ValueError: no such carrier",
        "LogFile": f"s3://local-logs/{folder}/stderr.gz",
    }
    listed = endpoint.s3.list_objects_v2(Bucket="local-logs", Prefix=folder)["Contents"]
    assert [entry["Key"] for entry in listed] == [f"{folder}/{name}.gz" for name in ("controller", "stderr", "stdout")]
    body = endpoint.s3.get_object(Bucket="local-logs", Key=f"{folder}/stdout.gz")["Body"].read()
    assert gzip.decompress(body) == b"stdout of fail"


def test_logs_without_a_bucket_fail_no_step(endpoint):
    cluster_id = create(endpoint, step("succeed"), LogUri="s3://nowhere/logs")
    eventually(lambda: step_states(endpoint, cluster_id), ["COMPLETED"])


def test_a_step_that_the_engine_cannot_start_fails_with_the_cause(endpoint):
    cluster_id = create(endpoint, step("raise"))
    eventually(lambda: step_states(endpoint, cluster_id), ["FAILED"])
    details = endpoint.emr.list_steps(ClusterId=cluster_id)["Steps"][0]["Status"]["FailureDetails"]
    assert details["Message"] == "the disk is full"


def test_cancelling_says_for_each_step_whether_it_could_be(endpoint):
    cluster_id = create(
        endpoint, step("succeed", name="done"), step("hold", "a", name="running"), step("succeed", name="waiting")
    )
    eventually(lambda: step_states(endpoint, cluster_id), ["COMPLETED", "RUNNING", "PENDING"])
    ids = [made["Id"] for made in endpoint.emr.list_steps(ClusterId=cluster_id)["Steps"]][::-1]
    infos = endpoint.emr.cancel_steps(ClusterId=cluster_id, StepIds=ids, StepCancellationOption="TERMINATE_PROCESS")[
        "CancelStepsInfoList"
    ]
    assert [(info["StepId"], info["Status"], "Reason" in info) for info in infos] == [
        (ids[0], "FAILED", True),
        (ids[1], "SUBMITTED", False),
        (ids[2], "SUBMITTED", False),
    ]
    eventually(lambda: step_states(endpoint, cluster_id), ["COMPLETED", "CANCELLED", "CANCELLED"])
    eventually(lambda: state_of(endpoint, cluster_id), ("WAITING", None))


def test_a_step_that_is_cancelled_while_it_starts_is_cancelled(endpoint):
    cluster_id = create(endpoint, step("start late"))
    assert endpoint.engine.starting.wait(60)
    endpoint.emr.cancel_steps(
        ClusterId=cluster_id, StepIds=[endpoint.emr.list_steps(ClusterId=cluster_id)["Steps"][0]["Id"]]
    )
    assert step_states(endpoint, cluster_id) == ["CANCEL_PENDING"]
    endpoint.engine.may_start.set()
    eventually(lambda: step_states(endpoint, cluster_id), ["CANCELLED"])


def test_at_most_256_steps_are_active_but_a_cluster_may_have_had_more(endpoint):
    cluster_id = create(endpoint, step("hold", "a"))
    endpoint.emr.add_job_flow_steps(JobFlowId=cluster_id, Steps=[step("succeed")] * 255)
    error = refusal(endpoint.emr.add_job_flow_steps, JobFlowId=cluster_id, Steps=[step("succeed")])
    assert error == (
        "ValidationException",
        "Maximum number of active steps(State = 'Running', 'Pending' or 'Cancel_Pending') for cluster exceeded.",
    )
    eventually(lambda: sorted(endpoint.engine.held), ["a"])
    endpoint.engine.held["a"].cancel()
    eventually(lambda: step_states(endpoint, cluster_id), ["FAILED", *["COMPLETED"] * 255])
    endpoint.emr.add_job_flow_steps(JobFlowId=cluster_id, Steps=[step("succeed")])
    eventually(lambda: len(steps_of(endpoint, cluster_id)), 257)


def test_steps_are_listed_newest_first_by_pages_of_50_and_by_filter(endpoint):
    cluster_id = create(endpoint, step("fail", name="0"), *[step("succeed", name=f"{n}") for n in range(1, 60)])
    eventually(lambda: step_states(endpoint, cluster_id), ["FAILED", *["COMPLETED"] * 59])
    first = endpoint.emr.list_steps(ClusterId=cluster_id)
    second = endpoint.emr.list_steps(ClusterId=cluster_id, Marker=first["Marker"])
    assert [made["Name"] for made in first["Steps"] + second["Steps"]] == [f"{n}" for n in range(59, -1, -1)]
    assert (len(first["Steps"]), "Marker" in second) == (50, False)
    failed = endpoint.emr.list_steps(ClusterId=cluster_id, StepStates=["FAILED"])["Steps"]
    assert [made["Name"] for made in failed] == ["0"]
    ids = [made["Id"] for made in first["Steps"][:10]]
    assert [made["Id"] for made in endpoint.emr.list_steps(ClusterId=cluster_id, StepIds=ids)["Steps"]] == ids
    assert (
        refusal(endpoint.emr.list_steps, ClusterId=cluster_id, StepIds=[*ids, ids[0]])[0] == "InvalidRequestException"
    )


# What is refused


def test_an_ended_cluster_takes_nothing_more(endpoint):
    cluster_id = create(endpoint, keep_alive=False)
    eventually(lambda: state_of(endpoint, cluster_id)[0], "TERMINATED")
    expected = (
        "ValidationException",
        "A job flow that is shutting down, terminated, or finished may not be modified.",
    )
    assert expected == refusal(endpoint.emr.add_job_flow_steps, JobFlowId=cluster_id, Steps=[step("succeed")])
    assert expected == refusal(endpoint.emr.modify_cluster, ClusterId=cluster_id, StepConcurrencyLevel=2)
    assert expected == refusal(endpoint.emr.remove_auto_termination_policy, ClusterId=cluster_id)
    endpoint.emr.terminate_job_flows(JobFlowIds=[cluster_id])


def test_a_cluster_or_step_that_does_not_exist_is_not_valid(endpoint):
    cluster_id = create(endpoint)
    invalid = ("InvalidRequestException", "Cluster id 'j-NONE' is not valid.")
    assert invalid == refusal(endpoint.emr.describe_cluster, ClusterId="j-NONE")
    unknown = ("ValidationException", "Specified job flow ID not valid.")
    assert unknown == refusal(endpoint.emr.terminate_job_flows, JobFlowIds=["j-NONE"])
    assert unknown == refusal(endpoint.emr.add_job_flow_steps, JobFlowId="j-NONE", Steps=[step("succeed")])
    no_step = ("InvalidRequestException", "Step id 's-NONE' is not valid.")
    assert no_step == refusal(endpoint.emr.describe_step, ClusterId=cluster_id, StepId="s-NONE")
    assert no_step == refusal(endpoint.emr.cancel_steps, ClusterId=cluster_id, StepIds=["s-NONE"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ReleaseLabel": "7.10"}, "The supplied release label is invalid: 7.10."),
        ({"ReleaseLabel": "emr-7.99.0"}, "The supplied release label is invalid: emr-7.99.0."),
        ({"JobFlowRole": ""}, "InstanceProfile is required for creating cluster"),
        ({"ServiceRole": " "}, "ServiceRole is required for creating cluster"),
        ({"Instances": {"MasterInstanceType": "m5.xlrage"}}, "Instance type 'm5.xlrage' is not supported."),
        ({"Name": "a`b"}, "can't contain the characters"),
        ({"LogUri": "file:///tmp"}, "log URI file:///tmp is not valid"),
        ({"StepConcurrencyLevel": 257}, "from 1 to 256, not 257"),
        ({"AutoTerminationPolicy": {"IdleTimeout": 59}}, "from 60 to 604800 seconds, not 59"),
        (
            {"Instances": {"InstanceGroups": [{"InstanceRole": "MASTER", "InstanceType": "m", "InstanceCount": 1}]}},
            "exactly one of",
        ),
        ({"Instances": {"InstanceCount": 0}}, "at least 1, not 0"),
        ({"Steps": [step("x" * 10_241)]}, "exceed 10240 characters"),
        ({"Steps": [step("x")] * 257}, "Maximum number of active steps"),
        ({"Steps": [step("x", on_failure="TERMINATE_CLUSTER")], "StepConcurrencyLevel": 2}, "ActionOnFailure"),
        ({"Steps": [step("x", on_failure="RETRY")]}, "Value 'RETRY' at 'steps.1.member.actionOnFailure' failed"),
    ],
)
def test_a_cluster_that_emr_would_refuse_is_refused_with_the_cause(endpoint, change, words):
    instances = {**SIMPLE, **change.pop("Instances", {})}
    request = {"Name": "flights", "ReleaseLabel": "emr-7.10.0", "Instances": instances, **change}
    code, message = refusal(endpoint.emr.run_job_flow, **request)
    assert code == "ValidationException"
    assert words in message
    assert endpoint.emr.list_clusters()["Clusters"] == []


def test_a_release_label_is_required(endpoint):
    code, message = refusal(endpoint.emr.run_job_flow, Name="flights", Instances=SIMPLE)
    assert code == "ValidationException"
    assert message.startswith("ReleaseLabel is required")


def test_clusters_that_are_created_at_the_same_moment_are_listed_in_the_order_of_their_creation(tmp_path):
    with running(tmp_path, ScriptedEngine, boot_seconds=0.0) as url, ThreadPoolExecutor(8) as pool:
        emr = client_of(url, "emr")
        request = {"ReleaseLabel": "emr-7.10.0", "Instances": {**SIMPLE, "KeepJobFlowAliveWhenNoSteps": True}}
        list(pool.map(lambda number: emr.run_job_flow(Name=str(number), **request), range(16)))
        listed = emr.list_clusters()["Clusters"]
    created = [cluster["Status"]["Timeline"]["CreationDateTime"] for cluster in listed]
    assert created == sorted(created, reverse=True)
