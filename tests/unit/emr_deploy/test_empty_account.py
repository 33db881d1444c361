"""What is said of an account that has nothing."""

from __future__ import annotations

import re

import pytest
from moto import mock_aws

from emr_deploy.checks import check
from emr_pipelines.environments import read_environment
from tests.unit.emr_deploy import accounts

DEFAULTS = [
    "EKS cluster 'analytics'",
    "instance profile 'EMR_EC2_DefaultRole'",
    "role 'EMR_DefaultRole'",
    "role 'emr-on-eks-jobs'",
    "role 'emr-serverless-jobs'",
    "subnet 'subnet-0123456789abcdef0'",
]


def buckets(name, *uses):
    return [f"bucket 'example-emr-pipelines-{name}-{use}'" for use in uses]


REGIONS_OF_PROD = (
    ("", "us-east-1", "11111111"),
    ("-west", "us-west-2", "22222222"),
    ("-europe", "eu-west-1", "33333333"),
)

LACKING = {
    "dev": [*DEFAULTS, *buckets("dev", "data", "logs", "artifacts"), "log group '/aws/emr-containers/dev'"],
    "test": [
        *DEFAULTS,
        *buckets("test", "data", "logs", "artifacts", "logs-west", "artifacts-west"),
        "subnet 'subnet-0aaaaaaaaaaaaaaa1'",
    ],
    "prod": [
        *DEFAULTS,
        *buckets("prod", "data", "logs", "artifacts", "logs-west", "artifacts-west", "logs-europe", "artifacts-europe"),
        "bucket 'example-emr-pipelines-data'",
        "subnet 'subnet-0fedcba9876543210'",
        "subnet 'subnet-0aaaaaaaaaaaaaaa1'",
        "subnet 'subnet-0bbbbbbbbbbbbbbb1'",
        *(f"security group '{group}'" for group in accounts.GROUPS),
        *("key pair 'market-data'" for _ in REGIONS_OF_PROD),
        *(f"KMS key arn:aws:kms:{r}:123456789012:key/{k}-2222-3333-4444-555555555555" for _, r, k in REGIONS_OF_PROD),
        *(f"object s3://example-emr-pipelines-prod-artifacts{w}/certificates/nodes.zip" for w, *_ in REGIONS_OF_PROD),
        "role 'EMR_AutoScaling_DefaultRole'",
        "EKS cluster 'content-processing-eks-cluster'",
        "secret",
        "cluster 'analytics'",
    ],
}
"""By hand, from the files of include/compute."""


@pytest.mark.parametrize("name", LACKING)
def test_what_an_empty_account_lacks_is_said_once_each(name, tmp_path):
    environment = read_environment(accounts.copied(tmp_path) / "compute" / f"{name}.yaml")
    with mock_aws():
        sentences = [one.what for one in check(environment, accounts.account()).missing]
    things = [
        re.match(r"(?:there is )?no (.+?)(?: in [a-z]+-[a-z]+-\d.*| runs .*| \(.*)$", one)[1] for one in sentences
    ]
    assert sorted(LACKING[name]) == sorted(things)
