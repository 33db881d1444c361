"""What tests of the control plane ask it for."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError

SIMPLE = {"MasterInstanceType": "m5.xlarge", "SlaveInstanceType": "m5.2xlarge", "InstanceCount": 3}


def create(endpoint, *steps, keep_alive=True, client=None, **more):
    """Create a cluster and return its id."""
    instances = {**SIMPLE, "KeepJobFlowAliveWhenNoSteps": keep_alive, **more.pop("Instances", {})}
    request = {"Name": "flights", "ReleaseLabel": "emr-7.10.0", "Instances": instances, "Steps": list(steps), **more}
    return (client or endpoint.emr).run_job_flow(**request)["JobFlowId"]


def cluster_of(endpoint, cluster_id):
    return endpoint.emr.describe_cluster(ClusterId=cluster_id)["Cluster"]


def state_of(endpoint, cluster_id):
    status = cluster_of(endpoint, cluster_id)["Status"]
    return status["State"], status["StateChangeReason"].get("Code")


def steps_of(endpoint, cluster_id):
    """Return name and state of all steps, oldest first."""
    pages = endpoint.emr.get_paginator("list_steps").paginate(ClusterId=cluster_id)
    return [(made["Name"], made["Status"]["State"]) for page in pages for made in page["Steps"]][::-1]


def step_states(endpoint, cluster_id):
    return [state for _, state in steps_of(endpoint, cluster_id)]


def refusal(call, **request):
    """Return code and message of the error that a call answers."""
    with pytest.raises(ClientError) as raised:
        call(**request)
    error = raised.value.response["Error"]
    return error["Code"], error["Message"]


def ask(endpoint, method, body=None):
    """Call the side door; return status and answer."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"{endpoint.url}/_local_emr/faults", data, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def arm(endpoint, fault, service="elasticmapreduce", **more):
    assert ask(endpoint, "POST", {"service": service, "fault": fault, **more})[0] == 200
