"""The calls of AWS that the product makes while tests run, and what IAM would decide about.

A call is the product's when the nearest function of this repository on the stack is: a paginator, a retry or a thread between them
does not matter, and a test that looks behind the product's back is not recorded.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from policy_sentry.querying.actions import get_action_data

from tests.support.endpoint import ROOT
from tests.support.policies import ACCOUNT, Request

PRODUCT = (f"{ROOT}/plugins/", f"{ROOT}/include/emr_deploy/")
_OTHERS = (f"{ROOT}/tests/", f"{ROOT}/include/", f"{ROOT}/benchmarks/", f"{ROOT}/docs/")

ACTION_OF = {
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListObjectsV2": "s3:ListBucket",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
}
"""IAM's action for an operation of another name (S3 User Guide, "Required permissions for Amazon S3 API operations"; SQS Developer
Guide, "Amazon SQS API permissions")."""

_PREFIX = {"monitoring": "cloudwatch"}
"""IAM's prefix for a service that signs its requests with another name."""

_NAMED_BY: Mapping[str, tuple[str, ...]] = {
    "ApplicationId": ("applicationId",),
    "BucketName": ("Bucket",),
    "ClusterId": ("ClusterId", "JobFlowId", "JobFlowIds"),
    "ClusterName": ("name",),
    "DatabaseName": ("DatabaseName",),
    "InstanceProfileNameWithPath": ("InstanceProfileName",),
    "JobRunId": ("jobRunId", "id"),
    "JobTemplateId": ("id",),
    "KeyId": ("KeyId",),
    "LogGroupName": ("logGroupName",),
    "ObjectName": ("Key",),
    "QueueName": ("QueueUrl",),
    "QuotaCode": ("QuotaCode",),
    "RoleNameWithPath": ("RoleName",),
    "SecretId": ("SecretId",),
    "ServiceCode": ("ServiceCode",),
    "TableName": ("TableName", "Name"),
    "VirtualClusterId": ("virtualClusterId", "id"),
}
"""The parameters of requests that say what stands in the ARNs of the Service Authorization Reference."""


@dataclass(frozen=True)
class Call:
    """One call: the service as IAM names it, and the operation, as AWS's API names it."""

    service: str
    operation: str
    parameters: Mapping[str, Any]
    region: str

    @property
    def action(self) -> str:
        """Return IAM's action for it."""
        own = f"{self.service}:{self.operation}"
        return ACTION_OF.get(own, own)

    @property
    def tags(self) -> dict[str, str]:
        """Return the tags that it asks for."""
        return _tags(self.parameters) or {}


class Tags:
    """The tags of clusters, applications, virtual clusters and job runs by id, as AWS's answers have told them."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, str]] = {}

    def of(self, resource: str) -> dict[str, str] | None:
        """Return those of an ARN; ``None`` where no answer told of it."""
        return self._known.get(resource.rpartition("/")[2])

    def learn(self, call: Call, answer: Any) -> None:
        """Take what an answer tells: of what was asked for with tags, and of what is described."""
        if call.operation == "TagResource":
            tagged = call.parameters["resourceArn"].rpartition("/")[2]
            self._known[tagged] = self._known.get(tagged, {}) | call.tags
        elif call.tags and isinstance(answer, dict) and (made := _id_in(answer)):
            self._known[made] = call.tags
        for one in _dictionaries(answer):
            tags, described = _tags(one), _id_in(one)
            if tags is not None and described:
                self._known[described] = tags


class Recorder:
    """Takes part in the calls of boto3's clients: notes those of the product, and lets somebody judge them first."""

    def __init__(self, judge: Callable[[Call], str | None] | None = None) -> None:
        self.calls: list[Call] = []
        self.tags = Tags()
        self._judge = judge or (lambda _: None)
        self.recording = True

    def attach(self, session: Any) -> Any:
        """Take part in what a boto3 session's clients call from now on; return the session."""
        for event, handler in self.handlers:
            session.events.register(event, handler)
        return session

    @property
    def handlers(self) -> list[tuple[str, Callable[..., Any]]]:
        """What to register with botocore, by its events."""
        return [
            ("before-parameter-build", self._noted),
            ("before-call", self._refused),
            ("after-call", self._learned),
        ]

    def _noted(self, params: Mapping[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        if not self.recording:
            return
        signs = model.service_model.signing_name
        call = Call(_PREFIX.get(signs, signs), model.name, params, context.get("client_region") or "us-east-1")
        context["call"] = call
        if by_product():
            self.calls.append(call)
            context["refused"] = self._judge(call)

    def _refused(self, context: Mapping[str, Any], **_: Any) -> tuple[Any, dict[str, Any]] | None:
        """Answer as IAM does, where the judge says why not."""
        if not (why := context.get("refused")):
            return None
        error = {"Code": "AccessDeniedException", "Message": why}
        return SimpleNamespace(status_code=403), {"Error": error, "ResponseMetadata": {"HTTPStatusCode": 403}}

    def _learned(self, parsed: Any, context: Mapping[str, Any], **_: Any) -> None:
        if (
            "call" in context and parsed and parsed.get("ResponseMetadata", {}).get("HTTPStatusCode", 200) < 300
        ):  # HTTP's own number
            self.tags.learn(context["call"], parsed)


def by_product() -> bool:
    """Whether the nearest function of this repository on the stack is the product's."""
    frame = sys._getframe(1)  # inspect.stack reads every source file that is on it
    while frame := frame.f_back:
        name = frame.f_code.co_filename
        if name.startswith(PRODUCT):
            return True
        if name.startswith(_OTHERS) and name != __file__:
            return False
    return False


def requests_of(call: Call, tags: Tags) -> list[Request]:
    """Return what IAM decides about when a call is made: the call itself, and what AWS checks with it."""
    asked = {
        f"{prefix}:RequestTag/{name}": value for name, value in call.tags.items() for prefix in ("aws", call.service)
    }
    more = {**asked, **_more(call)}
    own = [
        Request(call.action, resource, {**more, **_resource_tags(call, tags.of(resource))})
        for resource in resources_of(call)
    ]
    return own + list(_besides(call, asked))


def resources_of(call: Call) -> list[str]:
    """Return the ARNs of what a call is about, by the Service Authorization Reference; ``*`` where it knows none for the action."""
    filled = [arn for form in forms_of(call.action) for arn in _filled(form, call)]
    return filled or ["*"]


@cache
def forms_of(action: str) -> tuple[str, ...]:
    """Return the forms of the ARNs that an action can be narrowed to; none where there is no such form.

    :raises KeyError: AWS has no such action.
    """
    service, name = action.split(":")
    data = get_action_data(service, name)
    if not data:
        raise KeyError(f"{action}: the Service Authorization Reference knows no such action")
    return tuple(row["resource_arn_format"] for row in data[service] if row["resource_arn_format"] != "*")


def _filled(form: str, call: Call) -> Iterator[str]:
    """Put the names in, which a request's parameters say; nothing where they do not say all."""
    form = form.replace("${Partition}", "aws").replace("${Region}", call.region).replace("${Account}", ACCOUNT)
    if "${" not in form:
        yield form
        return
    variable = form.partition("${")[2].partition("}")[0]
    for parameter in _NAMED_BY.get(variable, ()):
        given = call.parameters.get(parameter)
        for value in given if isinstance(given, list) else [given] if given else []:
            word = urlsplit(value).path.rpartition("/")[2] if parameter == "QueueUrl" else str(value)
            yield from [word] if word.startswith("arn:") else _filled(form.replace(f"${{{variable}}}", word), call)
        if given:
            return


def _resource_tags(call: Call, tags: Mapping[str, str] | None) -> dict[str, str]:
    return {
        f"{prefix}:ResourceTag/{name}": value
        for name, value in (tags or {}).items()
        for prefix in ("aws", call.service)
    }


def _more(call: Call) -> dict[str, str]:
    """Return what the other condition keys say of a call."""
    match call.service, call.operation:
        case "elasticmapreduce", "AddJobFlowSteps" if "ExecutionRoleArn" in call.parameters:
            return {"elasticmapreduce:ExecutionRoleArn": call.parameters["ExecutionRoleArn"]}
        case "emr-containers", "StartJobRun" if "executionRoleArn" in call.parameters:
            return {"emr-containers:ExecutionRoleArn": call.parameters["executionRoleArn"]}
        case "cloudwatch", "PutMetricData":
            return {"cloudwatch:namespace": call.parameters["Namespace"]}
        case "s3", _:
            return {"s3:ResourceAccount": ACCOUNT}
    return {}


def _besides(call: Call, asked: Mapping[str, str]) -> Iterator[Request]:
    """Tell what AWS checks beside a call's own action."""
    more = BESIDES.get((call.service, call.operation))
    return more(call.parameters, f"{call.region}:{ACCOUNT}", asked) if more else iter(())


def _run_job_flow(given: Mapping[str, Any], where: str, asked: Mapping[str, str]) -> Iterator[Request]:
    """Tell of a cluster's tags, its parts that are actions of their own, and its roles.

    Source: EMR Management Guide, "Using an auto-termination policy", "Using managed scaling", "Policies for tag-based access".
    """
    cluster = f"arn:aws:elasticmapreduce:{where}:cluster/j-NEW"
    yield Request("elasticmapreduce:AddTags", cluster, asked)
    for part in {"AutoTerminationPolicy", "ManagedScalingPolicy"} & given.keys():
        yield Request(f"elasticmapreduce:Put{part}", cluster)
    roles = {"ServiceRole": "elasticmapreduce", "JobFlowRole": "ec2", "AutoScalingRole": "application-autoscaling"}
    for name in roles.keys() & given.keys():
        yield _passed(given[name], roles[name])


def _create_application(given: Mapping[str, Any], where: str, asked: Mapping[str, str]) -> Iterator[Request]:
    """Tell of its tags, and of its network. Source: EMR Serverless User Guide, "User access policy examples"."""
    yield Request("emr-serverless:TagResource", f"arn:aws:emr-serverless:{where}:/applications/new", asked)
    if network := given.get("networkConfiguration"):
        called = {"aws:CalledViaLast": "ops.emr-serverless.amazonaws.com"}
        subnets = [f"subnet/{one}" for one in network.get("subnetIds", ())]
        groups = [f"security-group/{one}" for one in network.get("securityGroupIds", ())]
        for one in ("network-interface/eni-NEW", *subnets, *groups):
            yield Request("ec2:CreateNetworkInterface", f"arn:aws:ec2:{where}:{one}", called)


def _start_serverless(given: Mapping[str, Any], where: str, asked: Mapping[str, str]) -> Iterator[Request]:
    """Tell of a job run's tags and role. Source: Service Authorization Reference, "Dependent actions"."""
    run = f"arn:aws:emr-serverless:{where}:/applications/{given['applicationId']}/jobruns/new"
    yield Request("emr-serverless:TagResource", run, asked)
    yield _passed(given["executionRoleArn"], "emr-serverless")


def _create_virtual_cluster(given: Mapping[str, Any], where: str, asked: Mapping[str, str]) -> Iterator[Request]:
    """Tell of its tags, and of EMR's access. Source: EMR on EKS Development Guide, "Enable cluster access using EKS Access Entry"."""
    yield Request("emr-containers:TagResource", f"arn:aws:emr-containers:{where}:/virtualclusters/new", asked)
    eks = given["containerProvider"]["id"]
    emr = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/emr-containers.amazonaws.com/AWSServiceRoleForAmazonEMRContainers"
    yield Request("eks:CreateAccessEntry", f"arn:aws:eks:{where}:cluster/{eks}", {"eks:principalArn": emr})
    entry = f"arn:aws:eks:{where}:access-entry/{eks}/role/{ACCOUNT}/AWSServiceRoleForAmazonEMRContainers/new"
    for action in ("AssociateAccessPolicy", "DescribeAccessEntry", "ListAssociatedAccessPolicies"):
        yield Request(f"eks:{action}", entry)


def _start_on_eks(given: Mapping[str, Any], where: str, asked: Mapping[str, str]) -> Iterator[Request]:
    """Tell of a job run's tags and template. Source: EMR on EKS Development Guide, "Using job templates"."""
    run = f"arn:aws:emr-containers:{where}:/virtualclusters/{given['virtualClusterId']}/jobruns/new"
    yield Request("emr-containers:TagResource", run, asked)
    if "jobTemplateId" in given:
        template = f"arn:aws:emr-containers:{where}:/jobtemplates/{given['jobTemplateId']}"
        yield Request("emr-containers:DescribeJobTemplate", template)


BESIDES: Mapping[tuple[str, str], Callable[[Mapping[str, Any], str, Mapping[str, str]], Iterator[Request]]] = {
    ("elasticmapreduce", "RunJobFlow"): _run_job_flow,
    ("emr-containers", "CreateVirtualCluster"): _create_virtual_cluster,
    ("emr-containers", "StartJobRun"): _start_on_eks,
    ("emr-serverless", "CreateApplication"): _create_application,
    ("emr-serverless", "StartJobRun"): _start_serverless,
}
"""What AWS checks beside calls: given their parameters, their region and account, and the tags that they ask for."""


def _passed(role: str, service: str) -> Request:
    arn = role if role.startswith("arn:") else f"arn:aws:iam::{ACCOUNT}:role/{role}"
    return Request("iam:PassRole", arn, {"iam:PassedToService": f"{service}.amazonaws.com"})


def _tags(given: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the tags in a request or a description: a mapping, or EMR's list of keys and values."""
    tags = given.get("tags", given.get("Tags"))
    if isinstance(tags, list):
        return {tag["Key"]: tag.get("Value", "") for tag in tags if isinstance(tag, dict) and "Key" in tag}
    return dict(tags) if isinstance(tags, dict) else None


def _id_in(given: Mapping[str, Any]) -> str | None:
    return next((given[name] for name in ("jobRunId", "applicationId", "JobFlowId", "id", "Id") if name in given), None)


def _dictionaries(answer: Any) -> Iterator[dict[str, Any]]:
    if isinstance(answer, dict):
        yield answer
        for value in answer.values():
            yield from _dictionaries(value)
    elif isinstance(answer, list):
        for value in answer:
            yield from _dictionaries(value)
