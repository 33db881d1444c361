"""The templates of roles: what is allowed and what is not, who may assume a role, and how large policies are."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from emr_deploy.templates import read_template
from tests.support.allowed_calls import PARAMETERS, statements_of
from tests.support.policies import ACCOUNT, TEMPLATES, Rendered, Request, actions_of, allows

CLUSTER = f"arn:aws:elasticmapreduce:eu-west-1:{ACCOUNT}:cluster/j-1"
APPLICATION = f"arn:aws:emr-serverless:eu-west-1:{ACCOUNT}:/applications/00f"
EMR_TAG = "elasticmapreduce:ResourceTag/emr-pipelines"
TAG = "aws:ResourceTag/emr-pipelines"
OURS = {f"{EMR_TAG}:deployment": "dev"}
THEIRS = {f"{EMR_TAG}:deployment": "test"}
ASKED = "aws:RequestTag/emr-pipelines"
TAGGED = {"elasticmapreduce:RequestTag/emr-pipelines:deployment": "dev"}
VIRTUAL = f"arn:aws:emr-containers:eu-west-1:{ACCOUNT}:/virtualclusters/abc"
EKS = f"arn:aws:eks:eu-west-1:{ACCOUNT}:cluster/analytics"
EMR_ON_EKS = (
    f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/emr-containers.amazonaws.com/AWSServiceRoleForAmazonEMRContainers"
)
ROLE = f"arn:aws:iam::{ACCOUNT}:role/emr-pipelines-dev"


def is_allowed(action, resource, role="AirflowRole", **context):
    request = Request(action, resource, context)
    return any(allows(one, request) for one in statements_of("dev", role))


@pytest.mark.parametrize(
    ("allowed", "action", "resource", "context"),
    [
        (True, "elasticmapreduce:TerminateJobFlows", CLUSTER, OURS),
        (False, "elasticmapreduce:TerminateJobFlows", CLUSTER, {}),
        (False, "elasticmapreduce:TerminateJobFlows", CLUSTER, {f"{EMR_TAG}:deployment": "development"}),
        (False, "elasticmapreduce:TerminateJobFlows", CLUSTER, {f"{EMR_TAG}:shared-with": "dev"}),
        (True, "elasticmapreduce:AddJobFlowSteps", CLUSTER, {f"{EMR_TAG}:shared-with": "dev"}),
        (True, "elasticmapreduce:AddJobFlowSteps", CLUSTER, {f"{EMR_TAG}:shared-with": "test dev prod"}),
        (False, "elasticmapreduce:AddJobFlowSteps", CLUSTER, {f"{EMR_TAG}:shared-with": "test development"}),
        (False, "elasticmapreduce:AddJobFlowSteps", CLUSTER, OURS | {"elasticmapreduce:ExecutionRoleArn": "arn:any"}),
        (True, "elasticmapreduce:DescribeCluster", CLUSTER, {}),
        (False, "elasticmapreduce:RunJobFlow", "*", {}),
        (True, "elasticmapreduce:RunJobFlow", "*", {"elasticmapreduce:RequestTag/emr-pipelines:deployment": "dev"}),
        (False, "elasticmapreduce:RunJobFlow", "*", {"elasticmapreduce:RequestTag/emr-pipelines:deployment": "test"}),
        (True, "elasticmapreduce:AddTags", CLUSTER, TAGGED),
        (True, "elasticmapreduce:AddTags", CLUSTER, TAGGED | OURS),
        (False, "elasticmapreduce:AddTags", CLUSTER, TAGGED | THEIRS),
        (False, "elasticmapreduce:AddTags", CLUSTER, OURS),
        (False, "elasticmapreduce:PutAutoTerminationPolicy", CLUSTER, THEIRS),
        (False, "elasticmapreduce:PutManagedScalingPolicy", CLUSTER, THEIRS),
        (True, "emr-serverless:TagResource", APPLICATION, {f"{ASKED}:deployment": "dev"}),
        (False, "emr-serverless:TagResource", APPLICATION, {f"{ASKED}:deployment": "dev", f"{TAG}:deployment": "test"}),
        (True, "emr-containers:TagResource", VIRTUAL, {f"{ASKED}:deployment": "dev"}),
        (False, "emr-containers:TagResource", VIRTUAL, {f"{ASKED}:deployment": "dev", f"{TAG}:deployment": "test"}),
        (True, "eks:CreateAccessEntry", EKS, {"eks:principalArn": EMR_ON_EKS}),
        (False, "eks:CreateAccessEntry", EKS, {"eks:principalArn": f"{ROLE}-airflow"}),
        (True, "s3:PutObject", "arn:aws:s3:::d-artifacts/code/1/a.py", {"s3:ResourceAccount": ACCOUNT}),
        (False, "s3:PutObject", "arn:aws:s3:::d-artifacts/code/1/a.py", {"s3:ResourceAccount": "666666666666"}),
        (True, "emr-serverless:StopApplication", APPLICATION, {f"{TAG}:deployment": "dev"}),
        (False, "emr-serverless:StopApplication", APPLICATION, {f"{TAG}:deployment": "test"}),
        (False, "emr-serverless:StartJobRun", APPLICATION, {f"{TAG}:deployment": "dev"}),
        (False, "emr-containers:DeleteVirtualCluster", "*", {f"{TAG}:deployment": "dev"}),
        (True, "iam:PassRole", f"{ROLE}-emr", {"iam:PassedToService": "elasticmapreduce.amazonaws.com"}),
        (False, "iam:PassRole", f"{ROLE}-emr", {"iam:PassedToService": "lambda.amazonaws.com"}),
        (False, "iam:PassRole", f"{ROLE}-airflow", {"iam:PassedToService": "ec2.amazonaws.com"}),
        (True, "s3:PutObject", "arn:aws:s3:::d-data/flights/_published/dt=2013-01-15.json", {}),
        (False, "s3:GetObject", "arn:aws:s3:::d-data/flights/dt=2013-01-15/part-0.parquet", {}),
        (False, "s3:DeleteObject", "arn:aws:s3:::d-data/flights/_published/dt=2013-01-15.json", {}),
        (False, "s3:PutObject", "arn:aws:s3:::l-logs/runs/deployment=test/x.json", {}),
        (True, "cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "EmrPipelines"}),
        (False, "cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "AWS/ElasticMapReduce"}),
    ],
)
def test_airflow_may_do_this_and_not_that(allowed, action, resource, context):
    assert is_allowed(action, resource, **context) == allowed


def test_a_build_server_reads_no_secret_and_ends_nothing():
    assert is_allowed(
        "secretsmanager:DescribeSecret", f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:a", "DeployRole"
    )
    assert not is_allowed(
        "secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:a", "DeployRole"
    )
    assert not is_allowed("elasticmapreduce:TerminateJobFlows", CLUSTER, "DeployRole", **OURS)


def test_service_accounts_of_the_role_alone_assume_the_role_of_eks_jobs():
    named = Rendered(Deployment="dev", **PARAMETERS, EksNamespace="emr-dev", EksRoleInBase36="2c91xn4e")
    (statement,) = named.trust("EksJobRole")["Statement"]
    issuer = "oidc.eks.us-east-1.amazonaws.com/id/EXAMPLE"
    assert statement["Principal"] == {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{issuer}"}
    assert statement["Condition"] == {
        "StringEquals": {f"{issuer}:aud": "sts.amazonaws.com"},
        "StringLike": {
            f"{issuer}:sub": f"system:serviceaccount:emr-dev:emr-containers-sa-*-*-{ACCOUNT}-2c91xn4e",
        },
    }


def test_tokens_of_one_repository_assume_the_role_of_a_build_server():
    (statement,) = Rendered(Deployment="dev", **PARAMETERS).trust("DeployRole")["Statement"]
    tokens = "token.actions.githubusercontent.com"
    assert statement["Condition"] == {
        "StringEquals": {
            f"{tokens}:aud": "sts.amazonaws.com",
            f"{tokens}:sub": "repo:example/pipelines:environment:dev",
        }
    }


def test_what_is_not_there_has_no_statement():
    least = Rendered(Deployment="dev", DataBucket="d", LogsBucket="l", ArtifactsBucket="a")
    absent = {
        "EksJobRole",
        "AirflowOnEks",
        "AirflowKey",
        "AirflowEvents",
        "AirflowSecrets",
        "AirflowCatalogue",
        "DeployKey",
    }
    assert absent & least.resources == set()
    services = {action.partition(":")[0] for action in actions_of(least.statements("AirflowRole"))}
    assert services & {"kms", "sqs", "secretsmanager", "glue", "eks", "emr-containers"} == set()


def test_policies_keep_to_iams_sizes():
    """10240 characters for a role's own policies, 6144 for a managed one, without white space (IAM User Guide, "IAM and STS quotas")."""
    long = Rendered(Deployment="d" * 31, **{**PARAMETERS, "DataBucket": "b" * 63, "LogsBucket": "b" * 63})
    own: Counter[str] = Counter()
    for stack in long.stacks:
        for one in stack.resources.values():
            written = len(json.dumps(stack.value(one["Properties"].get("PolicyDocument", "")), separators=(",", ":")))
            if one["Type"] == "AWS::IAM::ManagedPolicy":
                assert written <= 6144
            elif one["Type"] == "AWS::IAM::Policy":
                own.update(dict.fromkeys(stack.value(one["Properties"]["Roles"]), written))
    assert {name for name in own if name.endswith(("-airflow", "-deploy"))} != set()
    assert max(own.values()) <= 10240


def test_what_airflows_role_passes_comes_from_the_stack_of_the_jobs_roles():
    jobs, airflow, deploy = (read_template(path) for path in TEMPLATES)
    passed = {"ServiceRoleArn", "InstanceRoleArn", "ScalingRoleArn", "ServerlessJobRoleArn", "EksJobRoleArn"}
    assert passed == jobs.outputs & airflow.parameters.keys()
    assert (jobs.outputs | airflow.outputs) & deploy.parameters.keys() == set()
