"""What an account has of what an environment names: nothing missing where all is there, one sentence for each thing that is not."""

from __future__ import annotations

import re

import boto3
import pytest
from botocore import xform_name
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws

from emr_deploy.checks import check
from emr_pipelines.environments import read_environment
from tests.support.allowed_calls import held_to, statements_of
from tests.support.endpoint import ROOT
from tests.support.recorded_calls import requests_of
from tests.unit.emr_deploy import accounts

ENVIRONMENT = """
deployment: trial
buckets: {data: example-emr-pipelines-dev-data, logs: example-emr-pipelines-dev-logs, artifacts: example-emr-pipelines-dev-artifacts}
profiles:
"""
EC2 = "  ec2: {target: ec2, region: us-east-1, subnet: SUBNET, primary: {type: m5.xlarge}"
EKS = (
    "  eks: {target: eks, region: us-east-1, eks_cluster: analytics, namespace: emr, "
    "execution_role: 'arn:aws:iam::123456789012:role/emr-on-eks-jobs'"
)
SERVERLESS = (
    "  serverless: {target: serverless, region: us-east-1, maximum_workers: 2, "
    "execution_role: 'arn:aws:iam::123456789012:role/emr-serverless-jobs'"
)
INFRA = "`make infra` makes"
ROLES = (
    "`aws emr create-default-roles` makes EMR's defaults, `make infra` those of a deployment; or name one that there is"
)


@pytest.fixture(scope="module")
def furnished(tmp_path_factory):
    """The folder whose environments name what is in the account, the ids that AWS drew, and the account."""
    with mock_aws():
        include = accounts.copied(tmp_path_factory.mktemp("checkout"))
        drawn = accounts.furnish(include)
        yield include / "compute", drawn, accounts.account()


@pytest.fixture
def answers(monkeypatch):
    """What a test wants answered, by operation; all else is moto's."""
    monkeypatch.setattr(accounts, "ANSWERS", accounts.ANSWERS.copy())
    return accounts.ANSWERS


@pytest.mark.parametrize("name", ["dev", "test", "prod"])
def test_nothing_is_missing_in_an_account_that_has_all_that_an_environment_names(name, furnished):
    folder, _, account = furnished
    findings = check(read_environment(folder / f"{name}.yaml"), account)
    assert [one.sentence for one in findings.missing] == []
    assert [one.sentence for one in findings.short] == []
    assert [one.sentence for one in findings.unasked] == []


def found(furnished, tmp_path, profile, beside=""):
    """The sentences about one profile, with the ids of the account put in, and what could not be asked."""
    _, drawn, account = furnished
    path = tmp_path / "trial.yaml"
    subnet = drawn["subnet-0123456789abcdef0"]
    path.write_text(ENVIRONMENT + profile.replace("SUBNET", subnet) + "}\n" + beside)
    findings = check(read_environment(path), account)
    tell = lambda some: [one.sentence.replace(subnet, "SUBNET") for one in some]  # noqa: E731  # said of three
    return tell(findings.missing), tell(findings.short), tell(findings.unasked)


ABSENT = {
    "subnet": (
        "  ec2: {target: ec2, region: us-east-1, subnet: subnet-1, primary: {type: m5.xlarge}",
        "there is no subnet 'subnet-1' in us-east-1 (profiles.ec2.subnet): name a private one of this account; `make infra` makes some",
    ),
    "security group": (
        EC2 + ", additional_core_security_groups: [sg-1]",
        (
            "there is no security group 'sg-1' in us-east-1 (profiles.ec2.additional_core_security_groups): name one of this account, or "
            "leave the setting out: EMR then makes its own"
        ),
    ),
    "zone": (
        "  ec2: {target: ec2, region: us-east-1, public_subnet: true, availability_zones: [us-east-1z], primary: {type: m5.xlarge}",
        (
            "there is no availability zone 'us-east-1z' for this account (profiles.ec2.availability_zones): take one of us-east-1a, "
            "us-east-1b, us-east-1c, us-east-1d, us-east-1e, us-east-1f"
        ),
    ),
    "key pair": (
        EC2 + ", key_pair: mine",
        (
            "there is no key pair 'mine' in us-east-1 (profiles.ec2.key_pair): `aws ec2 create-key-pair --region us-east-1 --key-name "
            "mine` makes it, or leave the setting out"
        ),
    ),
    "machine image": (
        EC2 + ", custom_ami: ami-1",
        (
            "there is no AMI 'ami-1' in us-east-1 that this account may use (profiles.ec2.custom_ami): copy it into the region and share "
            "it with the account, or leave the setting out"
        ),
    ),
    "instance type": (
        EC2 + ", core: {type: m99.xlarge}",
        (
            "us-east-1 has no instance type 'm99.xlarge' (profiles.ec2.core): take another: `aws ec2 describe-instance-type-offerings "
            "--region us-east-1` lists them"
        ),
    ),
    "service role": (
        EC2 + ", service_role: nobody",
        f"there is no role 'nobody' (profiles.ec2.service_role): {ROLES}",
    ),
    "role of jobs on EMR Serverless": (
        (
            "  serverless: {target: serverless, region: us-east-1, maximum_workers: 2, "
            "execution_role: 'arn:aws:iam::123456789012:role/nobody'"
        ),
        "there is no role 'nobody' (profiles.serverless.execution_role): `make infra` makes one; or name one that there is",
    ),
    "role of jobs on EMR on EKS": (
        (
            "  eks: {target: eks, region: us-east-1, eks_cluster: analytics, namespace: emr, "
            "execution_role: 'arn:aws:iam::123456789012:role/nobody'"
        ),
        "there is no role 'nobody' (profiles.eks.execution_role): `make infra` makes one; or name one that there is",
    ),
    "trust in the service": (
        EC2 + ", service_role: EMR_EC2_DefaultRole",
        (
            "role 'EMR_EC2_DefaultRole' may not be assumed by elasticmapreduce.amazonaws.com (profiles.ec2.service_role): add the service "
            "to the role's trust policy, as principal of sts:AssumeRole"
        ),
    ),
    "role of another account": (
        (
            "  serverless: {target: serverless, region: us-east-1, maximum_workers: 2, "
            "execution_role: 'arn:aws:iam::999999999999:role/emr-serverless-jobs'"
        ),
        (
            "there is no role 'arn:aws:iam::999999999999:role/emr-serverless-jobs', and the one of that name is "
            "arn:aws:iam::123456789012:role/emr-serverless-jobs (profiles.serverless.execution_role): write that ARN, or log in to the "
            "other account"
        ),
    ),
    "trust in pods": (
        (
            "  eks: {target: eks, region: us-east-1, eks_cluster: analytics, namespace: emr, "
            "execution_role: 'arn:aws:iam::123456789012:role/EMR_DefaultRole'"
        ),
        (
            "role 'EMR_DefaultRole' may be assumed by no service account of a namespace (profiles.eks.execution_role): `aws emr-containers "
            "update-role-trust-policy --cluster-name <EKS cluster> --namespace <namespace> --role-name EMR_DefaultRole` lets them"
        ),
    ),
    "instance profile": (
        EC2 + ", instance_profile: nobody",
        f"there is no instance profile 'nobody' (profiles.ec2.instance_profile): {ROLES}",
    ),
    "KMS key": (
        EC2 + ", log_encryption_key: 'arn:aws:kms:us-east-1:123456789012:key/99999999-2222-3333-4444-555555555555'",
        (
            "there is no KMS key arn:aws:kms:us-east-1:123456789012:key/99999999-2222-3333-4444-555555555555 "
            "(profiles.ec2.log_encryption_key): name one that there is; `make infra` makes one for the buckets, its output KeyArn"
        ),
    ),
    "secret, whose name is not told": (
        EC2 + ", security: {kerberos: {realm: A.B, admin_password: {secret: hunter2}}}",
        (
            "there is no secret in us-east-1 of the name that stands in profiles.ec2.security.kerberos.admin_password.secret: `aws "
            "secretsmanager create-secret` makes it, or name one that there is"
        ),
    ),
    "security configuration": (
        EC2 + ", security_configuration: strict",
        (
            "EMR has no security configuration 'strict' in us-east-1 (profiles.ec2.security_configuration): `make infra` makes one; or "
            "write security instead, from which it is made"
        ),
    ),
    "script of a bootstrap action": (
        EC2 + ", bootstrap_actions: [{name: a, script: 's3://example-emr-pipelines-dev-data/a.sh'}]",
        (
            "there is no object s3://example-emr-pipelines-dev-data/a.sh (profiles.ec2.bootstrap_actions.script): `aws s3 cp <file> "
            "s3://example-emr-pipelines-dev-data/a.sh` lays it there"
        ),
    ),
    "release": (
        EC2 + ", release: emr-7.3.0",
        (
            "EMR has no release 'emr-7.3.0' in us-east-1 (profiles.ec2.release): take another: `aws emr list-release-labels --region "
            "us-east-1` lists them"
        ),
    ),
    "application of the release": (
        EC2 + ", applications: [Spark, ZooKeeper]",
        (
            "release emr-7.9.0 has no application 'ZooKeeper' in us-east-1 (profiles.ec2.applications): take it out of applications, or "
            "take another release"
        ),
    ),
    "release of EMR Serverless": (
        SERVERLESS + ", release: emr-7.3.0",
        (
            "EMR has no release 'emr-7.3.0' in us-east-1 (profiles.serverless.release): take another: `aws emr list-release-labels "
            "--region us-east-1` lists them"
        ),
    ),
    "release of EMR on EKS": (
        EKS + ", release: emr-7.3.0-latest",
        (
            "EMR has no release 'emr-7.3.0-latest' in us-east-1 (profiles.eks.release): take another: `aws emr list-release-labels "
            "--region us-east-1` lists them"
        ),
    ),
    "cluster that runs": (
        "  named: {target: ec2, region: us-east-1, cluster: nowhere",
        (
            "no cluster 'nowhere' runs in us-east-1 (profiles.named.cluster): start it, or name one that runs: `aws emr list-clusters "
            "--active` lists them"
        ),
    ),
    "EKS cluster": (
        (
            "  eks: {target: eks, region: us-east-1, eks_cluster: nowhere, namespace: emr, "
            "execution_role: 'arn:aws:iam::123456789012:role/emr-on-eks-jobs'"
        ),
        "there is no EKS cluster 'nowhere' in us-east-1 (profiles.eks.eks_cluster): name one of this account; the project makes none",
    ),
    "virtual cluster": (
        EKS + ", virtual_cluster: 0123456789abcdefghij",
        (
            "there is no virtual cluster '0123456789abcdefghij' in us-east-1 (profiles.eks.virtual_cluster): take it out, and one is made; "
            "or name one that there is"
        ),
    ),
    "log group": (
        EKS + ", cloudwatch: {log_group: /aws/emr-containers}",
        (
            "there is no log group '/aws/emr-containers' in us-east-1 (profiles.eks.cloudwatch.log_group): `aws logs create-log-group "
            "--region us-east-1 --log-group-name /aws/emr-containers` makes it"
        ),
    ),
    "image": (
        SERVERLESS + ", image: '123456789012.dkr.ecr.us-east-1.amazonaws.com/jobs:1.0'",
        (
            "there is no image 123456789012.dkr.ecr.us-east-1.amazonaws.com/jobs:1.0 (profiles.serverless.image): push it, or leave the "
            "setting out"
        ),
    ),
    "bucket of a warehouse": (
        EC2 + ", hive: {warehouse: 's3://nowhere-at-all/warehouse/'}",
        (
            "there is no bucket 'nowhere-at-all' (profiles.ec2.hive.warehouse): `make infra` makes it, on one "
            "machine `make up`; or name one that there is"
        ),
    ),
}


@pytest.mark.parametrize(("profile", "sentence"), ABSENT.values(), ids=list(ABSENT))
def test_one_thing_that_is_missing_is_one_sentence(profile, sentence, furnished, tmp_path):
    assert found(furnished, tmp_path, profile) == ([sentence], [], [])


BESIDE = {
    "queue": (
        "watching: {events_queue: 'https://sqs.us-east-1.amazonaws.com/123456789012/emr'}",
        (
            "there is no queue https://sqs.us-east-1.amazonaws.com/123456789012/emr (watching.events_queue): `make infra` makes one, its "
            "output QueueUrl; or leave the setting out"
        ),
    ),
    "database": (
        "catalogue: {database: flights}",
        (
            "there is no database 'flights' in the Glue Data Catalog of us-east-1 (catalogue.database): `aws glue create-database --region "
            "us-east-1 --database-input Name=flights` makes it"
        ),
    ),
    "bucket of a region": (
        "regions: {us-east-1: {buckets: {logs: nowhere-at-all}}}",
        (
            "there is no bucket 'nowhere-at-all' (regions.us-east-1.buckets.logs): `make infra` makes it in us-east-1, on one "
            "machine `make up`; or name one that "
            "there is"
        ),
    ),
    "bucket in its region": (
        "regions: {us-east-1: {buckets: {logs: example-emr-pipelines-test-logs-west}}}",
        (
            "bucket 'example-emr-pipelines-test-logs-west' lies in us-west-2, and compute in us-east-1 uses it "
            "(regions.us-east-1.buckets.logs): name one of that region in regions.us-east-1.buckets"
        ),
    ),
}


@pytest.mark.parametrize(("beside", "sentence"), BESIDE.values(), ids=list(BESIDE))
def test_what_an_environment_names_beside_its_profiles_is_looked_for(beside, sentence, furnished, tmp_path):
    assert found(furnished, tmp_path, SERVERLESS, beside) == ([sentence], [], [])


def test_a_subnet_whose_route_table_leads_to_an_internet_gateway_is_no_private_one(furnished, tmp_path):
    ec2 = boto3.client("ec2", "us-east-1")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    (table,) = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]
    ec2.create_route(RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    public, private = (
        ec2.create_subnet(VpcId=vpc, CidrBlock=block, AvailabilityZone="us-east-1a")["Subnet"]["SubnetId"]
        for block in ("10.9.0.0/24", "10.9.1.0/24")
    )
    own = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=own, SubnetId=private)
    said = (
        f"subnet {public!r} in us-east-1 is public, its route table leads to an internet gateway (profiles.ec2.subnet)"
    )
    cure = "name a private one, or write public_subnet: true"
    assert found(furnished, tmp_path, EC2.replace("SUBNET", public)) == ([f"{said}: {cure}"], [], [])
    assert found(furnished, tmp_path, EC2.replace("SUBNET", f"{public}, public_subnet: true")) == ([], [], [])
    assert found(furnished, tmp_path, EC2.replace("SUBNET", private)) == ([], [], [])


def test_a_security_group_of_another_network_than_the_subnet_is_told(furnished, tmp_path):
    ec2 = boto3.client("ec2", "us-east-1")
    vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    group = ec2.create_security_group(GroupName="apart", Description="apart", VpcId=vpc)["GroupId"]
    beside = ec2.describe_subnets(SubnetIds=[furnished[1]["subnet-0123456789abcdef0"]])["Subnets"][0]["VpcId"]
    said = f"security group {group!r} lies in {vpc}, and subnet 'SUBNET' in {beside} (profiles.ec2.additional_core_security_groups)"
    told = found(furnished, tmp_path, EC2 + f", additional_core_security_groups: [{group}]")
    assert told == ([f"{said}: name a group and a subnet of one VPC"], [], [])


def test_an_instance_type_that_the_zone_of_the_subnet_lacks_is_told(furnished, tmp_path):
    """Moto's record of EC2's offers: mac1.metal is in us-east-1a and b, and not in us-east-1e."""
    ec2 = boto3.client("ec2", "us-east-1")
    vpc = ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    made = ec2.create_subnet(VpcId=vpc, CidrBlock="10.7.0.0/24", AvailabilityZone="us-east-1e")
    offers = ec2.describe_instance_type_offerings(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": ["r6id.large"]}]
    )
    zones = sorted(offer["Location"] for offer in offers["InstanceTypeOfferings"])
    assert "us-east-1e" not in zones
    subnet = made["Subnet"]["SubnetId"]
    told = found(furnished, tmp_path, EC2.replace("SUBNET", subnet).replace("m5.xlarge", "r6id.large"))
    said = "instance type 'r6id.large' is not offered in us-east-1e (profiles.ec2.primary): take another type, or a subnet in "
    assert told == ([said + " or ".join(zones)], [], [])


def test_a_key_that_is_disabled_is_told(furnished, tmp_path):
    kms = boto3.client("kms", "us-east-1")
    key = kms.create_key()["KeyMetadata"]
    kms.disable_key(KeyId=key["KeyId"])
    told = found(furnished, tmp_path, EC2 + f", log_encryption_key: '{key['Arn']}'")
    said = f"KMS key {key['Arn']} is Disabled (profiles.ec2.log_encryption_key): `aws kms enable-key --region us-east-1 --key-id "
    assert told == ([f"{said}{key['KeyId']}` enables it, unless it is to be deleted; or name another"], [], [])


def test_a_name_that_two_clusters_have_is_told(furnished, tmp_path):
    first, second = sorted(accounts.run_cluster("twice") for _ in range(2))
    told = found(furnished, tmp_path, "  named: {target: ec2, region: us-east-1, cluster: twice")
    said = f"2 clusters 'twice' run in us-east-1 (profiles.named.cluster): name one by its id: {first}, {second}"
    assert told == ([said], [], [])
    assert found(furnished, tmp_path, f"  named: {{target: ec2, region: us-east-1, cluster: {first}") == ([], [], [])


def test_a_namespace_that_has_a_virtual_cluster_already_is_told(furnished, tmp_path):
    container = {"id": "analytics", "type": "EKS", "info": {"eksInfo": {"namespace": "taken"}}}
    client = boto3.client("emr-containers", "us-east-1")
    made = client.create_virtual_cluster(name="theirs", containerProvider=container, clientToken="t")["id"]
    container["info"]["eksInfo"]["namespace"] = "ours"
    tags = {"emr-pipelines:deployment": "trial"}
    client.create_virtual_cluster(name="ours", containerProvider=container, clientToken="u", tags=tags)
    said = f"namespace 'taken' of EKS cluster 'analytics' has virtual cluster {made} already (profiles.eks.namespace)"
    told = found(furnished, tmp_path, EKS.replace("namespace: emr", "namespace: taken"))
    assert told == ([f"{said}: write virtual_cluster: {made}, or take another namespace"], [], [])
    assert found(furnished, tmp_path, EKS.replace("namespace: emr", "namespace: ours")) == ([], [], [])


def test_quotas_below_what_a_profile_may_ask_for_are_told_and_miss_nothing(furnished, answers, tmp_path):
    """By hand: 1 m5.xlarge (4 vCPU) and 10 r5.2xlarge (8 vCPU) On-Demand; a driver of 4 and 2 executors of 4 vCPU."""
    nodes = ", core: {type: m5.xlarge, count: 2}, task: {type: r5.2xlarge, count: 10}"
    answers["GetServiceQuota"] = lambda _: accounts.answer(Quota={"Value": 91.0})
    missing, short, _ = found(furnished, tmp_path, EC2 + nodes)
    assert missing == []
    assert short == [
        (
            "the quota 'Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances' in us-east-1 is 91 vCPUs, and a profile may ask "
            "for 92 (profiles.ec2): `aws service-quotas request-service-quota-increase --region us-east-1 --service-code ec2 --quota-code "
            "L-1216C47A --desired-value 92` asks for more, or lower the profile's maximum"
        )
    ]
    answers["GetServiceQuota"] = lambda _: accounts.answer(Quota={"Value": 92.0})
    assert found(furnished, tmp_path, EC2 + nodes) == ([], [], [])
    answers["GetServiceQuota"] = lambda _: accounts.answer(Quota={"Value": 11.0})
    _, short, _ = found(furnished, tmp_path, SERVERLESS)
    assert [re.sub(r".* is (\d+) vCPUs.* for (\d+) .*", r"\1 \2", one) for one in short] == ["11 12"]


@pytest.mark.parametrize(
    ("refusal", "subject"),
    [
        (("DescribeSubnets", "UnauthorizedOperation"), "subnets, security groups, instance types in us-east-1"),
        (("DescribeSecurityGroups", "RequestLimitExceeded"), "security groups in us-east-1"),
        (("GetRole", "AccessDenied"), "roles"),
        (("HeadBucket", "403"), "buckets"),
        (("DescribeKey", "AccessDeniedException"), "KMS keys in us-east-1"),
        (("DescribeReleaseLabel", "ThrottlingException"), "releases, applications in us-east-1"),
        (
            ("GetServiceQuota", "NoSuchResourceException"),
            "the quota 'Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances' in us-east-1",
        ),
    ],
)
def test_what_cannot_be_asked_is_said_as_such_and_is_not_missing(refusal, subject, furnished, answers, tmp_path):
    call, code = refusal
    answers[call] = lambda _: accounts.refusal(code, 403)
    key = f"arn:aws:kms:us-east-1:123456789012:key/{furnished[1]['11111111-2222-3333-4444-555555555555']}"
    group = furnished[1]["sg-0123456789abcdef0"]
    profile = EC2 + f", log_encryption_key: '{key}', additional_core_security_groups: [{group}]"
    told = found(furnished, tmp_path, profile)
    assert told == ([], [], [f"{subject} could not be asked for: {call} was answered with {code}"])


def test_a_service_that_does_not_answer_is_said_as_such(furnished, answers, tmp_path):
    def down(_):
        raise EndpointConnectionError(endpoint_url="https://example.internal")

    answers["ListReleaseLabels"] = down
    said = 'serverless releases in us-east-1 could not be asked for: Could not connect to the endpoint URL: "https://example.internal"'
    assert found(furnished, tmp_path, SERVERLESS) == ([], [], [said])


OF_OTHER_SETTINGS = {
    "ec2:DescribeAvailabilityZones",
    "ec2:DescribeImages",
    "ecr:DescribeImages",
    "elasticmapreduce:DescribeSecurityConfiguration",
    "emr-containers:DescribeJobTemplate",
    "emr-containers:DescribeSecurityConfiguration",
    "emr-containers:DescribeVirtualCluster",
    "glue:GetDatabase",
    "sqs:GetQueueAttributes",
}
"""What is asked only for settings that no environment which ships has; the cases above have each of them."""

UPLOADS = {"s3:GetObject": "head_object", "s3:PutObject": "put_object"}
"""What is done after the checks, and the calls that do it."""


def test_a_build_server_may_do_all_that_a_deploy_asks_for_and_nothing_else(furnished):
    folder, _, _ = furnished
    account = accounts.account.__wrapped__()
    with held_to(account.session, "DeployRole", "dev") as recorder:
        for name in ("dev", "test", "prod"):
            assert check(read_environment(folder / f"{name}.yaml"), account).unasked == ()
    called = {request.action for call in recorder.calls for request in requests_of(call, recorder.tags)}
    statements = statements_of("dev", "DeployRole")
    allowed = {
        action
        for one in statements
        for action in ([one["Action"]] if isinstance(one["Action"], str) else one["Action"])
    }
    assert allowed == called | OF_OTHER_SETTINGS | set(UPLOADS)
    source = "".join(
        path.read_text()
        for path in (*(ROOT / "include/emr_deploy").rglob("*.py"), ROOT / "plugins/emr_pipelines/artifacts.py")
    )
    calls = [xform_name(action.partition(":")[2]) for action in OF_OTHER_SETTINGS] + list(UPLOADS.values())
    assert [call for call in calls if call not in source] == []
