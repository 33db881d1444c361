"""What a refusal by AWS means: want of capacity or quota, an outage, or somebody's mistake."""

from __future__ import annotations

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)

from emr_pipelines.errors import ComputeError, ComputeUnavailableError, JobCapacityError
from emr_pipelines.targets.refusals import did_nothing, job_refused, refused

URL = "https://elasticmapreduce.us-east-9.amazonaws.com/"


def answer(code: str, message: str = "", status: int = 400) -> ClientError:
    detail = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(detail, "RunJobFlow")


SHORTAGES = {
    "quota": answer("ServiceQuotaExceededException", "Application vCPU quota", 402),
    "limit": answer("LimitExceededException"),
    "vcpus": answer(
        "VcpuLimitExceeded", "You have requested more vCPU capacity than your current vCPU limit of 32 allows"
    ),
    "instances": answer("InstanceLimitExceeded"),
    "capacity": answer("InsufficientInstanceCapacity"),
    "said of instances": answer(
        "ValidationException", "The number of instances for m5.xlarge exceeds the EC2 service quota."
    ),
    "said of clusters": answer("ValidationException", "Maximum number of active clusters has been reached"),
    "said of steps": answer(
        "ValidationException",
        "Maximum number of active steps(State = 'Running', 'Pending' or 'Cancel_Pending') for cluster exceeded.",
    ),
    "said of a limit": answer("ValidationException", "Instance limit exceeded"),
    "said of a queue": answer("ValidationException", "The job run queue of virtual cluster abc is full"),
}
OUTAGES = {
    "throttled": answer("ThrottlingException", "Rate exceeded"),
    "throttled by EKS": answer("EKSRequestThrottledException", "Slow down", 429),
    "failed": answer("InternalServerException", "Sorry", 500),
    "not reached": EndpointConnectionError(endpoint_url=URL),
    "not answered": ReadTimeoutError(endpoint_url=URL),
}
MISTAKES = {
    "nobody may": answer(
        "AccessDeniedException", "not authorized to perform: servicequotas:GetServiceQuota on capacity"
    ),
    "a setting": answer("ValidationException", "initialCapacity exceeds maximumCapacity settings: [cpu: 4 vCPU]"),
    "a capacity": answer("ValidationException", "maximumCapacity must have memory"),
    "a name": answer(
        "ValidationException", "1 validation error: member name must not exceed the limit of 64 characters"
    ),
    "a role": answer("ValidationException", "Role arn:aws:iam::123456789012:role/capacity-quota is not valid"),
    "tags": answer("InvalidRequestException", "The number of tags of the cluster exceeds the limit"),
    "no parameter": ParamValidationError(report="Unknown parameter: capacity, quota, LimitExceeded"),
    "nobody": NoCredentialsError(),
}


def kinds(error) -> tuple[type, type]:
    """What acquiring raises, and what submitting raises."""
    return type(refused(error, "it was refused", "Nothing runs.")), type(job_refused(error, "it was refused", ""))


@pytest.mark.parametrize("error", SHORTAGES.values(), ids=SHORTAGES)
def test_want_of_capacity_or_quota_is_told_apart(error):
    assert kinds(error) == (ComputeUnavailableError, JobCapacityError)


@pytest.mark.parametrize("error", OUTAGES.values(), ids=OUTAGES)
def test_an_outage_lets_another_profile_try_and_is_no_want_of_the_jobs(error):
    assert kinds(error) == (ComputeUnavailableError, ComputeUnavailableError)


@pytest.mark.parametrize("error", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_never_taken_for_a_shortage_whatever_its_words(error):
    assert kinds(error) == (ComputeError, ComputeError)


def test_a_refusal_says_the_services_words_then_what_it_means_then_what_runs():
    error = refused(answer("ValidationException", "No such release"), "profile 'ec2' got no cluster", "Nothing runs.")
    assert str(error) == "No such release (ValidationException): profile 'ec2' got no cluster. Nothing runs."


@pytest.mark.parametrize("error", [EndpointConnectionError(endpoint_url=URL), ConnectTimeoutError(endpoint_url=URL)])
def test_an_endpoint_that_is_not_there_asks_whether_the_region_is_right(error):
    assert f'"{URL}" (is the profile\'s region right' in str(refused(error, "", ""))


@pytest.mark.parametrize(
    ("error", "operation", "certain"),
    [
        (answer("ValidationException"), "RunJobFlow", True),
        (answer("ThrottlingException"), "RunJobFlow", True),
        (answer("InternalFailure", status=500), "RunJobFlow", False),
        (answer("ValidationException"), "ListClusters", False),
        (ReadTimeoutError(endpoint_url=URL), "RunJobFlow", False),
        (ParamValidationError(report="Unknown parameter"), "RunJobFlow", True),
    ],
    ids=["refused", "throttled", "failed", "another call refused", "no answer", "never sent"],
)
def test_only_a_call_that_was_refused_itself_is_known_to_have_done_nothing(error, operation, certain):
    assert did_nothing(error, operation) == certain
