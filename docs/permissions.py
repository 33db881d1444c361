"""What the tasks may do in an AWS account: the operations that the code calls, and what AWS checks beside them."""

# ruff: noqa: INP001  # the pages' own script, no package
from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from botocore import xform_name
from botocore.session import get_session

from emr_pipelines.environments import read_environment
from emr_pipelines.job_metrics import NAMESPACE
from emr_pipelines.row_counts import FOLDER as JOB_ROWS
from emr_pipelines.run_log import FOLDER as RUN_LOG
from emr_pipelines.targets import REGISTRY, target_names

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "plugins" / "emr_pipelines"

ACTION_OF = {"s3:HeadObject": "s3:GetObject", "s3:ListObjectsV2": "s3:ListBucket"}
"""IAM's action for an operation, where it has another name."""

BESIDES: Mapping[str, Mapping[str, str]] = {
    "ec2": {
        "elasticmapreduce:AddTags": "RunJobFlow carries tags",
        "elasticmapreduce:PutAutoTerminationPolicy": "and `idle_minutes`",
        "elasticmapreduce:PutManagedScalingPolicy": "and, if the profile has it, `managed_scaling`",
        "secretsmanager:GetSecretValue": "only with `security.kerberos`, whose passwords it reads: narrow it to their secrets",
    },
    "eks": {
        "emr-containers:DescribeJobTemplate": "only with `job_template`",
        "emr-containers:TagResource": "CreateVirtualCluster and StartJobRun carry tags",
        "eks:AssociateAccessPolicy": "CreateVirtualCluster gives EMR access to the namespace; not needed where `virtual_cluster` is set",
        "eks:CreateAccessEntry": "likewise",
        "eks:DescribeAccessEntry": "likewise",
        "eks:ListAssociatedAccessPolicies": "likewise",
    },
    "serverless": {
        "ec2:CreateNetworkInterface": "only with `network`",
        "emr-serverless:TagResource": "CreateApplication and StartJobRun carry tags",
    },
}
"""What AWS checks beside an operation's own permission, with the reason (Service Authorization Reference)."""


def policy_document() -> dict[str, Any]:
    """Return what the tasks may do as a policy of IAM, with the names of ``dev.yaml``."""
    environment = read_environment(ROOT / "include" / "compute" / "dev.yaml")
    bucket = {purpose: f"arn:aws:s3:::{name}" for purpose, name in environment.buckets}
    account = "arn:aws:iam::123456789012"
    passed = [
        f"{account}:role/{environment.profile('ec2').service_role}",  # type: ignore[attr-defined]  # an Ec2Profile's
        f"{account}:role/{environment.profile('ec2').instance_profile}",  # type: ignore[attr-defined]  # an Ec2Profile's
        environment.profile("serverless").execution_role,  # type: ignore[attr-defined]  # a ServerlessProfile's
    ]
    statements = [
        {
            "Sid": target.capitalize(),
            "Effect": "Allow",
            "Action": sorted({*calls_of(target), *BESIDES[target]}),
            "Resource": "*",
        }
        for target in target_names()
    ]
    statements += [
        {"Sid": "Roles", "Effect": "Allow", "Action": "iam:PassRole", "Resource": passed},
        {
            "Sid": "JobCode",
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject"],
            "Resource": f"{bucket['artifacts']}/*",
        },
        {
            "Sid": "ResultsAndLogs",
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": [
                f"{bucket['data']}/quality-results/*",
                f"{bucket['data']}/{JOB_ROWS}/*",
                f"{bucket['logs']}/*",
            ],
        },
        {
            "Sid": "RunLog",
            "Effect": "Allow",
            "Action": "s3:PutObject",
            "Resource": f"{bucket['logs']}/{RUN_LOG}/*",
        },
        {
            # The action knows no resources (Service Authorization Reference of CloudWatch).
            "Sid": "Metrics",
            "Effect": "Allow",
            "Action": "cloudwatch:PutMetricData",
            "Resource": "*",
            "Condition": {"StringEquals": {"cloudwatch:namespace": NAMESPACE}},
        },
        {
            "Sid": "Published",
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject"],
            "Resource": [
                f"{bucket['data']}/{below}" for below in ("*/_published/*", "*/_schemas/*", "quality-results/*")
            ],
        },
        {
            "Sid": "Catalogue",
            "Effect": "Allow",
            "Action": ["glue:CreatePartition", "glue:GetPartition", "glue:GetTable", "glue:UpdatePartition"],
            "Resource": "*",
        },
        {
            # Without it S3 answers 403 where there is no object, and nobody could tell what is not published.
            "Sid": "Listings",
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": [bucket["artifacts"], bucket["data"], bucket["logs"]],
        },
    ]
    return {"Version": "2012-10-17", "Statement": statements}


def calls_of(target: str) -> set[str]:
    """Find the operations of EMR that a target calls, as actions of IAM."""
    module = REGISTRY[target].partition(":")[0].rpartition(".")[2]
    paths = sorted((PACKAGE / "targets").glob(f"{module}*.py"))
    asked = {service for path in paths for service in _clients_of(path)} - {"s3"}
    prefix = {"emr": "elasticmapreduce"}
    return {
        f"{prefix.get(service, service)}:{name}"
        for service in asked
        for path in paths
        for name in _calls(path, service)
    }


def calls_of_s3() -> set[str]:
    """Find the operations of S3 that the tasks call, as actions of IAM."""
    names = {f"s3:{name}" for path in PACKAGE.rglob("*.py") for name in _calls(path, "s3")}
    return {ACTION_OF.get(name, name) for name in names}


def _clients_of(path: Path) -> set[str]:
    """Find the services whose clients a module asks for."""
    return {
        node.args[0].value
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("repeating", "once")
        and isinstance(node.args[0], ast.Constant)
    }


@cache
def _operations(service: str) -> Mapping[str, str]:
    """Return a service's operations by the names of boto3's methods."""
    return {xform_name(name): name for name in get_session().get_service_model(service).operation_names}


def _calls(path: Path, service: str) -> set[str]:
    """Find the operations of a service among the attributes and words of a module."""
    known = _operations(service)
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    words = {
        node.attr if isinstance(node, ast.Attribute) else node.value
        for node in tree
        if isinstance(node, ast.Attribute) or (isinstance(node, ast.Constant) and isinstance(node.value, str))
    }
    return {known[word] for word in words if word in known}
