"""How the compute of a run stands afterwards, asked of the service that it belongs to."""

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

ClientOf = Callable[[str], Any]
"""Makes a boto3 client by service name."""


def standing(compute: Mapping[str, Any], client_of: ClientOf) -> list[str]:
    """Write one line for each thing that a run's compute was made of: what it is, and how it stands."""
    describe = _STANDING.get(compute["target"])
    return describe(compute, client_of) if describe else [f"{compute['id']} of target {compute['target']}"]


def _ec2(compute: Mapping[str, Any], client_of: ClientOf) -> list[str]:
    cluster = client_of("emr").describe_cluster(ClusterId=compute["id"])["Cluster"]
    status = cluster["Status"]
    reason = status.get("StateChangeReason", {}).get("Code", "")
    return [f"EMR cluster {compute['id']} ({cluster['Name']}): {status['State']} {reason}".rstrip()]


def _serverless(compute: Mapping[str, Any], client_of: ClientOf) -> list[str]:
    return [
        f"EMR Serverless application {application} ({engine}): {_application_state(application, client_of)}"
        for engine, application in sorted(compute["parts"].items())
    ]


def _application_state(application: str, client_of: ClientOf) -> str:
    try:
        state: str = client_of("emr-serverless").get_application(applicationId=application)["application"]["state"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        return "DELETED"
    return state


def _eks(compute: Mapping[str, Any], client_of: ClientOf) -> list[str]:
    client = client_of("emr-containers")
    cluster = client.describe_virtual_cluster(id=compute["id"])["virtualCluster"]
    pages = client.get_paginator("list_job_runs").paginate(
        virtualClusterId=compute["id"], states=["PENDING", "SUBMITTED", "RUNNING", "CANCEL_PENDING"]
    )
    active = sum(len(page["jobRuns"]) for page in pages)
    return [
        f"Virtual cluster {compute['id']} ({cluster['name']}): {cluster['state']}, kept by its profile, with {active} active job runs"
    ]


_STANDING: Mapping[str, Callable[[Mapping[str, Any], ClientOf], list[str]]] = {
    "ec2": _ec2,
    "serverless": _serverless,
    "eks": _eks,
}
