"""A region that is switched off: what clients see meanwhile, and what is there afterwards."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from local_emr.events import moments
from local_emr.faults import Faults, RegionDown
from tests.local_emr.asking import arm, ask, cluster_of, create, refusal
from tests.local_emr.scripted import eventually, step

HERE, ELSEWHERE = "us-east-1", "eu-west-1"
LISTS = {
    "emr": ("elasticmapreduce", "list_clusters"),
    "emr-containers": ("emr-containers", "list_virtual_clusters"),
    "emr-serverless": ("emr-serverless", "list_applications"),
    "s3": ("s3", "list_buckets"),
    "sqs": ("sqs", "list_queues"),
    "glue": ("glue", "get_databases"),
}


def switch_off(endpoint, region=HERE, **more):
    arm(endpoint, "region_down", service=more.pop("service", None), region=region, **more)


@pytest.mark.parametrize("service", LISTS)
def test_every_service_of_the_region_refuses_and_that_of_another_answers(endpoint, service):
    switch_off(endpoint)
    listing = LISTS[service][1]
    with pytest.raises(ClientError) as refused:
        getattr(endpoint.client(service), listing)()
    answer = refused.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == ("ServiceUnavailable", 503)
    getattr(endpoint.client(service, ELSEWHERE), listing)()


@pytest.mark.parametrize("service", LISTS)
def test_a_silent_region_closes_connections(endpoint, service):
    switch_off(endpoint, silent=True)
    with pytest.raises(ConnectionClosedError):
        getattr(endpoint.client(service), LISTS[service][1])()


def test_one_service_of_a_region_can_be_off_alone(endpoint):
    switch_off(endpoint, service="emr-serverless")
    assert refusal(endpoint.client("emr-serverless").list_applications)[0] == "ServiceUnavailable"
    assert endpoint.emr.list_clusters()["Clusters"] == []


def test_what_was_asked_of_a_region_that_is_off_has_no_effect(endpoint):
    switch_off(endpoint, silent=True)
    with pytest.raises(ConnectionClosedError):
        create(endpoint)
    ask(endpoint, "DELETE")
    assert endpoint.emr.list_clusters()["Clusters"] == []


def test_a_bucket_is_off_with_its_region_from_wherever_it_is_asked_for(endpoint):
    west = endpoint.client("s3", ELSEWHERE)
    endpoint.s3.create_bucket(Bucket="of-the-east")
    west.create_bucket(Bucket="of-the-west", CreateBucketConfiguration={"LocationConstraint": ELSEWHERE})
    endpoint.s3.put_object(Bucket="of-the-east", Key="a", Body=b"kept")
    west.put_object(Bucket="of-the-west", Key="a", Body=b"kept too")
    switch_off(endpoint)
    assert refusal(west.get_object, Bucket="of-the-east", Key="a")[0] == "ServiceUnavailable"
    copied = {"Bucket": "of-the-west", "Key": "b", "CopySource": "of-the-east/a"}
    assert refusal(west.copy_object, **copied)[0] == "ServiceUnavailable"
    assert refusal(endpoint.s3.get_object, Bucket="of-the-west", Key="a")[0] == "ServiceUnavailable"
    assert west.get_object(Bucket="of-the-west", Key="a")["Body"].read() == b"kept too"
    ask(endpoint, "DELETE")
    assert west.get_object(Bucket="of-the-east", Key="a")["Body"].read() == b"kept"


def test_what_ran_in_the_region_goes_on_and_is_seen_when_it_is_back(endpoint):
    cluster = create(endpoint, step("succeed", "a"))
    switch_off(endpoint)
    assert refusal(endpoint.emr.describe_cluster, ClusterId=cluster)[0] == "ServiceUnavailable"
    ask(endpoint, "DELETE")
    eventually(lambda: cluster_of(endpoint, cluster)["Status"]["State"], "WAITING")
    eventually(
        lambda: [one["Status"]["State"] for one in endpoint.emr.list_steps(ClusterId=cluster)["Steps"]], ["COMPLETED"]
    )


def test_what_was_refused_is_counted_and_told_in_the_journal(endpoint):
    switch_off(endpoint)
    refusal(endpoint.emr.list_clusters)
    (armed,) = ask(endpoint, "GET")[1]["faults"]
    assert armed == {"fault": "region_down", "service": None, "region": HERE, "silent": False, "struck": 1}
    assert [entry["fault"] for entry in endpoint.journal if entry["what"] == "answered"] == ["region_down"]


@pytest.mark.parametrize(("region", "delivered"), [(HERE, []), (ELSEWHERE, [1.0])])
def test_events_of_the_region_are_lost(region, delivered):
    faults = Faults()
    faults.arm(RegionDown(region=HERE))
    assert moments(faults.strike_event("elasticmapreduce", region, "flights", "RUNNING"), 1.0) == delivered


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"fault": "region_down"}, "'' is no region: give the one that goes down, such as us-east-1."),
        ({"fault": "region_down", "region": "the east"}, "'the east' is no region"),
        ({"fault": "region_down", "region": 1}, "1 is no region"),
        ({"fault": "region_down", "region": HERE, "silent": "yes"}, "silent must be true or false, not 'yes'."),
        ({"fault": "region_down", "region": HERE, "service": "emr"}, "'emr' is no service"),
    ],
)
def test_what_is_no_region_is_refused(endpoint, asked, words):
    status, answer = ask(endpoint, "POST", asked)
    assert status == 400
    assert words in answer["message"]
