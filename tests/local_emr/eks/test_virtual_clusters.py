"""Virtual clusters, job templates and tags of EMR on EKS through boto3."""

from __future__ import annotations

import pytest

from local_emr.endpoint import running
from tests.local_emr.asking import refusal
from tests.local_emr.conftest import client_of
from tests.local_emr.eks.conftest import ROLE, Namespace, virtual_cluster
from tests.local_emr.scripted import ManualClock, ScriptedEngine, eventually

# Virtual clusters


def test_a_virtual_cluster_is_what_it_was_asked_to_be(endpoint):
    limits = {"maxConcurrentJobRuns": 5, "maxInQueueJobRuns": 50}
    made = virtual_cluster(endpoint, namespace="spark", tags={"owner": "me"}, schedulerConfiguration=limits)
    found = endpoint.eks.describe_virtual_cluster(id=made["id"])["virtualCluster"]
    del found["createdAt"]
    assert found == {
        "id": made["id"],
        "name": "etl",
        "arn": f"arn:aws:emr-containers:us-east-1:123456789012:/virtualclusters/{made['id']}",
        "state": "RUNNING",
        "containerProvider": {"type": "EKS", "id": "analytics", "info": {"eksInfo": {"namespace": "spark"}}},
        "tags": {"owner": "me"},
        "schedulerConfiguration": limits,
        "schedulerStatus": {"currentInQueueJobRuns": 0, "currentConcurrentJobRuns": 0},
    }


def test_a_namespace_has_one_virtual_cluster_until_that_is_terminated(endpoint):
    first = virtual_cluster(endpoint, "first", namespace="spark")
    expected = ("ValidationException", "A virtual cluster already exists in the given namespace")
    assert expected == refusal(virtual_cluster, endpoint=endpoint, name="second", namespace="spark")
    virtual_cluster(endpoint, "third", namespace="spark", eks_cluster="another")
    endpoint.eks.delete_virtual_cluster(id=first["id"])
    eventually(lambda: endpoint.eks.describe_virtual_cluster(id=first["id"])["virtualCluster"]["state"], "TERMINATED")
    assert endpoint.engine.released == [endpoint.data / "virtual-clusters" / first["id"]]
    virtual_cluster(endpoint, "second", namespace="spark")


def test_a_virtual_cluster_with_active_job_runs_is_not_deleted(namespace):
    run_id = namespace.start("hold", "1")
    code, message = refusal(namespace.eks.delete_virtual_cluster, id=namespace.id)
    assert (code, message) == (
        "ValidationException",
        f"Virtual cluster {namespace.id} has active job runs: cancel them first",
    )
    namespace.cancel(run_id)
    eventually(lambda: namespace.state(run_id), "CANCELLED")
    namespace.eks.delete_virtual_cluster(id=namespace.id)
    eventually(lambda: namespace.described()["state"], "TERMINATED")
    assert refusal(namespace.start)[1].startswith(f"Virtual cluster {namespace.id} is TERMINATED")
    namespace.eks.delete_virtual_cluster(id=namespace.id)


def test_a_client_token_makes_one_virtual_cluster(endpoint):
    ids = {virtual_cluster(endpoint, clientToken="once")["id"] for _ in range(3)}
    assert len(ids) == 1
    assert refusal(virtual_cluster, endpoint=endpoint, name="other", clientToken="once")[0] == "ValidationException"


def test_virtual_clusters_are_listed_newest_first_by_pages_state_provider_and_time(endpoint):
    made = []
    for number in range(5):
        made.append(virtual_cluster(endpoint, f"n{number}", eks_cluster=f"eks-{number % 2}")["id"])
        endpoint.clock.advance(10)
    endpoint.eks.delete_virtual_cluster(id=made[1])
    eventually(lambda: endpoint.eks.describe_virtual_cluster(id=made[1])["virtualCluster"]["state"], "TERMINATED")

    def listed(**wanted):
        pages = endpoint.eks.get_paginator("list_virtual_clusters").paginate(PaginationConfig={"PageSize": 2}, **wanted)
        return [made.index(cluster["id"]) for page in pages for cluster in page["virtualClusters"]]

    assert listed() == [4, 3, 2, 1, 0]
    assert listed(states=["RUNNING"]) == [4, 3, 2, 0]
    assert listed(containerProviderId="eks-1") == [3, 1]
    at = endpoint.eks.describe_virtual_cluster(id=made[3])["virtualCluster"]["createdAt"]
    assert (listed(createdAfter=at), listed(createdBefore=at, states=["TERMINATED"])) == ([4, 3], [1])
    assert refusal(endpoint.eks.list_virtual_clusters, nextToken="none")[0] == "ValidationException"
    assert refusal(endpoint.eks.list_virtual_clusters, maxResults=0)[0] == "ValidationException"


def test_a_region_sees_its_own_virtual_clusters_only(endpoint, namespace):
    europe = endpoint.client("emr-containers", "eu-west-1")
    assert europe.list_virtual_clusters()["virtualClusters"] == []
    assert refusal(europe.describe_virtual_cluster, id=namespace.id)[0] == "ResourceNotFoundException"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "n" * 65}, "'name' failed"),
        ({"name": "white space"}, "'name' failed"),
        ({"containerProvider": {"type": "EKS", "id": "-analytics"}}, "'containerProvider.id' failed"),
        ({"containerProvider": {"type": "EKS", "id": "analytics"}}, "set info.eksInfo.namespace"),
        ({"containerProvider": {"type": "ECS", "id": "analytics"}}, "enum value set: [EKS]"),
        ({"schedulerConfiguration": {"maxConcurrentJobRuns": 1001}}, "value less than or equal to 1000"),
    ],
)
def test_a_virtual_cluster_that_aws_would_refuse_is_refused_with_the_cause(endpoint, change, words):
    info = {"eksInfo": {"namespace": "etl"}}
    request = {"name": "etl", "containerProvider": {"type": "EKS", "id": "analytics", "info": info}, **change}
    code, message = refusal(endpoint.eks.create_virtual_cluster, **request)
    assert (code, words in message) == ("ValidationException", True), message
    assert endpoint.eks.list_virtual_clusters()["virtualClusters"] == []


# Job templates

TEMPLATE = {
    "executionRoleArn": ROLE,
    "releaseLabel": "${Release}",
    "jobDriver": {
        "sparkSubmitJobDriver": {
            "entryPoint": "${Script}",
            "entryPointArguments": ["--date", "${Day}", "${unknown}"],
            "sparkSubmitParameters": "--conf spark.executor.instances=${Workers}",
        }
    },
    "configurationOverrides": {
        "monitoringConfiguration": {"s3MonitoringConfiguration": {"logUri": "s3://${Bucket}/logs"}}
    },
    "parameterConfiguration": {
        "Release": {"type": "STRING", "defaultValue": "emr-7.9.0-latest"},
        "Script": {"type": "STRING"},
        "Day": {},
        "Workers": {"type": "NUMBER", "defaultValue": "2"},
        "Bucket": {"type": "STRING", "defaultValue": "local-logs"},
    },
    "jobTags": {"from": "template", "kept": "yes"},
}


def template(endpoint, name="daily", **more):
    return endpoint.eks.create_job_template(name=name, jobTemplateData=TEMPLATE, **more)["id"]


def by_template(namespace, template_id, parameters, **more):
    return namespace.eks.start_job_run(
        virtualClusterId=namespace.id, jobTemplateId=template_id, jobTemplateParameters=parameters, **more
    )["id"]


def test_a_job_run_by_template_is_the_template_with_its_parameters(endpoint, namespace):
    parameters = {"Script": "succeed", "Day": "2013-01-15", "Workers": "5"}
    run_id = by_template(namespace, template(endpoint), parameters, tags={"from": "request"})
    eventually(lambda: namespace.state(run_id), "COMPLETED")
    words = ("--conf", "spark.executor.instances=5", "succeed", "--date", "2013-01-15", "${unknown}")
    assert [step.args for step in endpoint.engine.started] == [("spark-submit", *words)]
    run = namespace.run(run_id)
    assert (run["releaseLabel"], run["executionRoleArn"], run["tags"]) == (
        "emr-7.9.0-latest",
        ROLE,
        {"from": "request", "kept": "yes"},
    )
    logs = run["configurationOverrides"]["monitoringConfiguration"]["s3MonitoringConfiguration"]
    assert logs == {"logUri": "s3://local-logs/logs"}


@pytest.mark.parametrize(
    ("parameters", "more", "code", "words"),
    [
        ({"Script": "x"}, {}, "ValidationException", "Parameter Day of the job template has no default"),
        ({"Script": "x", "Day": "1", "Hour": "2"}, {}, "ValidationException", "The job template has no parameter Hour"),
        ({"Script": "x", "Day": "1", "Workers": "many"}, {}, "ValidationException", "Workers is a NUMBER"),
        ({"Script": "x" * 257, "Day": "1"}, {}, "ValidationException", "length less than or equal to 256"),
        ({"Script": "x", "Day": "1", "Release": "r"}, {}, "ResourceNotFoundException", "Release r doesn't exist."),
        (
            {"Script": "x", "Day": "1"},
            {"releaseLabel": "emr-7.9.0-latest"},
            "ValidationException",
            "releaseLabel comes",
        ),
    ],
)
def test_a_job_run_that_does_not_fit_its_template_is_refused(endpoint, namespace, parameters, more, code, words):  # noqa: PLR0913, PLR0917 - a table
    template_id = template(endpoint)
    with pytest.raises(namespace.eks.exceptions.ClientError) as raised:
        by_template(namespace, template_id, parameters, **more)
    error = raised.value.response["Error"]
    assert (error["Code"], words in error["Message"]) == (code, True), error["Message"]


def test_a_template_whose_default_is_of_another_type_is_refused(endpoint):
    parameters = {**TEMPLATE["parameterConfiguration"], "Workers": {"type": "NUMBER", "defaultValue": "two"}}
    code, message = refusal(
        endpoint.eks.create_job_template,
        name="n",
        jobTemplateData={**TEMPLATE, "parameterConfiguration": parameters},
    )
    assert (code, message) == ("ValidationException", "Parameter Workers is a NUMBER, which 'two' is not")


def test_templates_are_made_once_by_token_described_listed_and_deleted(endpoint):
    first = template(endpoint, "first", clientToken="once", tags={"a": "1"})
    assert template(endpoint, "first", clientToken="once", tags={"a": "1"}) == first
    endpoint.clock.advance(1)
    second = template(endpoint, "second")
    found = endpoint.eks.describe_job_template(id=first)["jobTemplate"]
    assert (found["name"], found["tags"], found["jobTemplateData"]) == ("first", {"a": "1"}, TEMPLATE)
    assert found["arn"] == f"arn:aws:emr-containers:us-east-1:123456789012:/jobtemplates/{first}"
    assert [made["id"] for made in endpoint.eks.list_job_templates()["templates"]] == [second, first]
    endpoint.eks.delete_job_template(id=first)
    assert [made["id"] for made in endpoint.eks.list_job_templates()["templates"]] == [second]
    assert refusal(endpoint.eks.describe_job_template, id=first)[0] == "ResourceNotFoundException"
    assert refusal(endpoint.eks.delete_job_template, id=first)[0] == "ValidationException"


# Tags


@pytest.mark.parametrize("kind", ["virtual cluster", "job run"])
def test_tags_come_and_go(endpoint, namespace, kind):
    tags = {"a": "1", "b": "2"}
    if kind == "virtual cluster":
        arn = virtual_cluster(endpoint, "tagged", tags=tags)["arn"]
    else:
        arn = namespace.run(namespace.start(tags=tags))["arn"]
    endpoint.eks.tag_resource(resourceArn=arn, tags={"b": "3", "c": "4"})
    endpoint.eks.untag_resource(resourceArn=arn, tagKeys=["a", "none"])
    assert endpoint.eks.list_tags_for_resource(resourceArn=arn)["tags"] == {"b": "3", "c": "4"}


def test_tags_of_what_is_not_there_are_not_there(endpoint):
    nothing = "arn:aws:emr-containers:us-east-1:123456789012:/virtualclusters/none"
    for arn in (nothing, f"{nothing}/jobruns/none", f"{nothing}/endpoints/none"):
        assert refusal(endpoint.eks.list_tags_for_resource, resourceArn=arn)[0] == "ResourceNotFoundException"


# After a restart


def test_after_a_restart_virtual_clusters_live_on_and_what_ran_has_failed(tmp_path):
    clock = ManualClock()
    with running(tmp_path, ScriptedEngine, boot_seconds=0, clock=clock) as url:
        eks = client_of(url, "emr-containers")
        first = Namespace(type("Endpoint", (), {"eks": eks}))
        done, lost = first.start(clientToken="done"), first.start("hold", "1")
        eventually(lambda: (first.state(done), first.state(lost)), ("COMPLETED", "RUNNING"))
        kept = eks.create_job_template(name="t", jobTemplateData=TEMPLATE)["id"]
    with running(tmp_path, ScriptedEngine, boot_seconds=0, clock=clock) as url:
        first.eks = client_of(url, "emr-containers")
        assert (first.described()["state"], first.state(done)) == ("RUNNING", "COMPLETED")
        run = first.run(lost)
        assert (run["state"], run["failureReason"], run["stateDetails"]) == (
            "FAILED",
            "INTERNAL_ERROR",
            "The job run failed: endpoint was restarted",
        )
        assert first.start(clientToken="done") == done
        assert first.eks.describe_job_template(id=kept)["jobTemplate"]["name"] == "t"
        again = first.start()
        eventually(lambda: first.state(again), "COMPLETED")
