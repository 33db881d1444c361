"""An AWS account in moto that has what the shipped environments name; ids that AWS draws are put into copies of their files."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path

import boto3
import botocore.session
from botocore.loaders import create_loader

from emr_deploy.account import Account
from tests.support.endpoint import ROOT

_MODELS = create_loader()
"""Reads each service's model once for all sessions: EC2's takes a second."""

REGIONS = ("us-east-1", "us-west-2", "eu-west-1")
BUCKETS = {
    "us-east-1": (
        *(
            f"example-emr-pipelines-{name}-{use}"
            for name in ("dev", "test", "prod")
            for use in ("data", "logs", "artifacts")
        ),
        "example-emr-pipelines-data",
    ),
    "us-west-2": (
        "example-emr-pipelines-test-logs-west",
        "example-emr-pipelines-test-artifacts-west",
        "example-emr-pipelines-prod-logs-west",
        "example-emr-pipelines-prod-artifacts-west",
    ),
    "eu-west-1": ("example-emr-pipelines-prod-logs-europe", "example-emr-pipelines-prod-artifacts-europe"),
}
CERTIFICATES = (
    ("us-east-1", "example-emr-pipelines-prod-artifacts"),
    ("us-west-2", "example-emr-pipelines-prod-artifacts-west"),
    ("eu-west-1", "example-emr-pipelines-prod-artifacts-europe"),
)
SUBNETS = {
    "subnet-0123456789abcdef0": "us-east-1a",
    "subnet-0fedcba9876543210": "us-east-1b",
    "subnet-0aaaaaaaaaaaaaaa1": "us-west-2a",
    "subnet-0bbbbbbbbbbbbbbb1": "eu-west-1a",
}
GROUPS = {
    "sg-0123456789abcdef0": "us-east-1",
    "sg-0fedcba9876543210": "us-east-1",
    "sg-00112233445566778": "us-east-1",
    "sg-0aaaaaaaaaaaaaaa1": "us-west-2",
    "sg-0aaaaaaaaaaaaaaa2": "us-west-2",
    "sg-0aaaaaaaaaaaaaaa3": "us-west-2",
    "sg-0bbbbbbbbbbbbbbb1": "eu-west-1",
    "sg-0bbbbbbbbbbbbbbb2": "eu-west-1",
    "sg-0bbbbbbbbbbbbbbb3": "eu-west-1",
}
KEYS = {
    "11111111-2222-3333-4444-555555555555": "us-east-1",
    "22222222-2222-3333-4444-555555555555": "us-west-2",
    "33333333-2222-3333-4444-555555555555": "eu-west-1",
}
ROLES = {
    "EMR_DefaultRole": "elasticmapreduce.amazonaws.com",
    "EMR_EC2_DefaultRole": "ec2.amazonaws.com",
    "EMR_AutoScaling_DefaultRole": "application-autoscaling.amazonaws.com",
    "emr-serverless-jobs": "emr-serverless.amazonaws.com",
}
PODS = {"Federated": "arn:aws:iam::123456789012:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/ABCD"}
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:hive-metastore-AbCdEf"

RELEASES = {
    "emr-7.9.0": ["Spark", "Hive", "Hadoop", "Tez", "Flink"],
    "emr-7.0.0": ["Spark", "Hive", "Hadoop", "Tez", "Flink", "ZooKeeper"],
}
"""Moto knows no DescribeReleaseLabel: this is its answer."""


client = cache(boto3.client)
"""Made once for each service and region."""


def trust(principal):
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def copied(folder: Path) -> Path:
    """Copy what a deploy reads of ``include/``."""
    include = folder / "include"
    shutil.copytree(ROOT / "include", include, ignore=shutil.ignore_patterns("__pycache__", "local_*", "emr_deploy"))
    return include


def furnish(include: Path) -> dict[str, str]:
    """Make in the account all that the files of a folder name; return the ids that AWS drew, by those in the shipped files."""
    drawn = {**_network(), **_keys(), SECRET: _secret()}
    for path in (include / "compute").glob("*.yaml"):
        text = path.read_text()
        for shipped, real in drawn.items():
            text = text.replace(shipped, real)
        path.write_text(text)
    _buckets()
    _roles()
    for name in ("analytics", "content-processing-eks-cluster"):
        _eks_cluster(name)
    client("logs", "us-east-1").create_log_group(logGroupName="/aws/emr-containers/dev")
    for region in REGIONS:
        client("ec2", region).create_key_pair(KeyName="market-data")
    run_cluster("analytics")
    return drawn


def run_cluster(name):
    """Start a cluster of EMR in us-east-1; return its id."""
    instances = {"MasterInstanceType": "m5.xlarge", "InstanceCount": 1, "KeepJobFlowAliveWhenNoSteps": True}
    emr = client("emr", "us-east-1")
    return emr.run_job_flow(Name=name, Instances=instances, ReleaseLabel="emr-7.9.0")["JobFlowId"]


def _network():
    drawn, vpcs = {}, {}
    for shipped, zone in SUBNETS.items():
        ec2 = client("ec2", zone[:-1])
        vpc = vpcs.setdefault(zone[:-1], None) or ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        vpcs[zone[:-1]] = vpc
        block = f"10.0.{list(SUBNETS).index(shipped)}.0/24"
        made = ec2.create_subnet(VpcId=vpc, CidrBlock=block, AvailabilityZone=zone)
        drawn[shipped] = made["Subnet"]["SubnetId"]
    for shipped, region in GROUPS.items():
        made = client("ec2", region).create_security_group(
            GroupName=shipped.removeprefix("sg-"), Description="of a test", VpcId=vpcs[region]
        )
        drawn[shipped] = made["GroupId"]
    return drawn


def _keys():
    return {shipped: client("kms", region).create_key()["KeyMetadata"]["KeyId"] for shipped, region in KEYS.items()}


def _secret():
    made = client("secretsmanager", "us-east-1").create_secret(Name="hive-metastore", SecretString="of a test")
    return made["ARN"]


def make_bucket(name, region="us-east-1"):
    where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    client("s3", region).create_bucket(Bucket=name, **where)


def _buckets():
    for region, names in BUCKETS.items():
        for name in names:
            make_bucket(name, region)
    for region, name in CERTIFICATES:
        client("s3", region).put_object(Bucket=name, Key="certificates/nodes.zip", Body=b"zip")


def make_role(name, principal):
    client("iam", "us-east-1").create_role(RoleName=name, AssumeRolePolicyDocument=trust(principal))


def _roles():
    iam = client("iam", "us-east-1")
    for name, service in ROLES.items():
        make_role(name, {"Service": service})
    make_role("emr-on-eks-jobs", PODS)
    iam.create_instance_profile(InstanceProfileName="EMR_EC2_DefaultRole")
    iam.add_role_to_instance_profile(InstanceProfileName="EMR_EC2_DefaultRole", RoleName="EMR_EC2_DefaultRole")


def _eks_cluster(name):
    client("eks", "us-east-1").create_cluster(
        name=name,
        roleArn="arn:aws:iam::123456789012:role/eks",
        resourcesVpcConfig={"subnetIds": []},
    )


@cache
def account() -> Account:
    """Return the account; ``ANSWERS`` are asked before moto, which takes one call at a time."""
    core = botocore.session.Session()
    core.register_component("data_loader", _MODELS)
    session = boto3.Session(botocore_session=core)
    session.events.register("before-call", lambda model, params, **_: ANSWERS.get(model.name, lambda _: None)(params))
    return Account(session, retries={"total_max_attempts": 1}, threads=1)


def answer(status=200, **parsed):
    """What stands in botocore for the answer of a call."""

    class Http:
        status_code = status

    return Http(), {"ResponseMetadata": {"HTTPStatusCode": status}, **parsed}


def refusal(code, status=400):
    return answer(status, Error={"Code": code, "Message": "as a test wants it"})


def _release(params):
    label = json.loads(params["body"])["ReleaseLabel"]
    if label not in RELEASES:
        return refusal("InvalidRequestException")
    return answer(ReleaseLabel=label, Applications=[{"Name": name, "Version": "1"} for name in RELEASES[label]])


ANSWERS = {
    "DescribeReleaseLabel": _release,
    "ListReleaseLabels": lambda _: answer(ReleaseLabels=list(RELEASES)),
    "GetServiceQuota": lambda _: answer(Quota={"Value": 10_000.0}),
}
"""What moto does not know is answered as AWS's API references have it, by operation."""
