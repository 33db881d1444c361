"""Stacks of an environment, deployed into moto in their order, looked at through AWS's calls, and taken down to nothing."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import boto3
import pytest
import yaml
from botocore.exceptions import ClientError
from moto import mock_aws

from emr_deploy import infra
from emr_deploy.stacks import Account, StackError, steps_up
from emr_deploy.templates import read_stacks
from emr_pipelines.check_profiles import check_folder
from emr_pipelines.environments import read_environment
from emr_pipelines.keys import Lease
from emr_pipelines.targets.serverless_profile import differences_of
from tests.support import cloudformation
from tests.support.endpoint import ROOT

COMPUTE = ROOT / "include" / "compute"
HOME = "us-east-1"
WEST = "us-west-2"


def environment(name):
    return read_environment(COMPUTE / f"{name}.yaml")


@pytest.fixture(scope="module")
def aws():
    """An empty account, whose CloudFormation makes all that the templates say."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(variable, "testing")
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        patch.delenv("AWS_PROFILE", raising=False)
        patch.setenv("EMR_PIPELINES_INCLUDE", str(ROOT / "include"))
        cloudformation.complete(patch)
        yield boto3.Session(region_name=HOME)


@pytest.fixture(scope="module")
def said(aws):
    """What deploying prod says; the account then has its stacks in three regions."""
    lines = []
    infra.up(environment("prod"), aws, lines.append, dry_run=False)
    return lines


def stack_names(aws, region):
    return {one["StackName"] for one in aws.client("cloudformation", region).describe_stacks()["Stacks"]}


def buckets(aws):
    return {one["Name"] for one in aws.client("s3").list_buckets()["Buckets"]}


PROD = [
    "example-emr-pipelines-prod-data",
    "example-emr-pipelines-prod-logs",
    "example-emr-pipelines-prod-artifacts",
    "example-emr-pipelines-prod-logs-west",
    "example-emr-pipelines-prod-artifacts-europe",
    "example-emr-pipelines-prod-data-replica",
]


def test_a_dry_run_makes_nothing(aws):
    lines = []
    infra.up(environment("test"), aws, lines.append, dry_run=True)
    assert {line.split()[0] for line in lines} == {"would"}
    assert not {name for name in stack_names(aws, HOME) if "-test-" in name}


def test_the_stacks_are_made_in_every_region(aws, said):
    assert {"emr-pipelines-prod-storage", "emr-pipelines-prod-endpoints", "emr-pipelines-prod-audit"} <= stack_names(
        aws, HOME
    )
    assert {"emr-pipelines-prod-replica", "emr-pipelines-prod-storage"} <= stack_names(aws, WEST)
    assert [line.split()[0] for line in said[:-1]] == ["doing"] * (len(said) - 1)


@pytest.mark.parametrize("bucket", PROD)
def test_a_bucket_is_encrypted_by_a_key_of_the_account_private_versioned_and_its_owners(bucket, aws, said):
    s3 = aws.client("s3")
    (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    assert ":123456789012:key/" in rule["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"]
    assert set(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values()) == {True}
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    owned = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert owned == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert {"Key": "emr-pipelines:deployment", "Value": "prod"} in s3.get_bucket_tagging(Bucket=bucket)["TagSet"]


@pytest.mark.parametrize("bucket", PROD)
def test_a_bucket_is_talked_to_by_tls_alone(bucket, aws, said):
    policy = json.loads(aws.client("s3").get_bucket_policy(Bucket=bucket)["Policy"])
    denied = [one["Condition"] for one in policy["Statement"] if one["Effect"] == "Deny"]
    assert denied == [{"Bool": {"aws:SecureTransport": "false"}}, {"NumericLessThan": {"s3:TlsVersion": "1.2"}}]
    for one in policy["Statement"]:
        assert one["Resource"] == [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
        assert (one["Principal"], one["Action"]) == ("*", "s3:*")


def lifecycle(aws, bucket):
    rules = aws.client("s3").get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    return {rule["ID"]: rule for rule in rules}


def test_data_is_tiered_and_nothing_that_a_manifest_may_name_is_deleted(aws, said):
    rules = lifecycle(aws, "example-emr-pipelines-prod-data")
    assert rules["tiering"]["Transitions"] == [{"Days": 30, "StorageClass": "INTELLIGENT_TIERING"}]
    assert rules["what-is-over"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    assert rules["what-is-over"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    deleting = {rule["Filter"]["Prefix"] for rule in rules.values() if "Days" in rule.get("Expiration", {})}
    assert deleting == {"hive/scratch/"}


def test_logs_and_job_code_expire_and_what_lies_beside_the_code_stays(aws, said):
    logs = lifecycle(aws, "example-emr-pipelines-prod-logs")["logs"]
    code = lifecycle(aws, "example-emr-pipelines-prod-artifacts")["job-code"]
    assert (logs["Filter"], logs["Expiration"]["Days"]) == ({"Prefix": ""}, 90)
    assert (code["Filter"], code["Expiration"]["Days"]) == ({"Prefix": "code/"}, 180)


def test_data_is_replicated_to_another_region_under_a_key_of_that_region(aws, said):
    replication = aws.client("s3").get_bucket_replication(Bucket="example-emr-pipelines-prod-data")
    (rule,) = replication["ReplicationConfiguration"]["Rules"]
    key = rule["Destination"]["EncryptionConfiguration"]["ReplicaKmsKeyID"]
    assert rule["Destination"]["Bucket"] == "arn:aws:s3:::example-emr-pipelines-prod-data-replica"
    assert key.startswith("arn:aws:kms:us-west-2:")


def test_the_keys_are_renewed_every_year(aws, said):
    for region in (HOME, WEST):
        kms = aws.client("kms", region)
        keys = [one["KeyId"] for one in kms.list_keys()["Keys"]]
        assert keys
        assert [kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"] for key in keys] == [True] * len(keys)


def rules_of(aws, word):
    ec2 = aws.client("ec2")
    filters = [{"Name": "tag:Name", "Values": [f"emr-pipelines-prod-{word}"]}]
    (group,) = ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
    return {
        (rule["IpProtocol"], rule.get("FromPort"), rule.get("ToPort"), pair["GroupId"])
        for rule in group["IpPermissions"]
        for pair in rule["UserIdGroupPairs"]
    }, group


def test_the_security_groups_have_the_rules_that_emr_demands_and_let_nobody_else_in(aws, said):
    """EMR Management Guide, "Working with Amazon EMR-managed security groups", private subnets."""
    (of_primary, primary), (of_core, core) = rules_of(aws, "primary"), rules_of(aws, "core")
    of_service, service = rules_of(aws, "service-access")
    among = {
        (protocol, first, last, group["GroupId"])
        for protocol, first, last in (("tcp", 0, 65535), ("udp", 0, 65535), ("icmp", -1, -1))
        for group in (primary, core)
    }
    assert of_primary == of_core == among | {("tcp", 8443, 8443, service["GroupId"])}
    assert of_service == {("tcp", 9443, 9443, primary["GroupId"])}
    open_to_addresses = [rule for one in (primary, core, service) for rule in one["IpPermissions"] if rule["IpRanges"]]
    assert open_to_addresses == []


def test_subnets_are_private_and_reach_the_services_of_aws(aws, said):
    ec2 = aws.client("ec2")
    filters = [{"Name": "tag:emr-pipelines:deployment", "Values": ["prod"]}]
    subnets = ec2.describe_subnets(Filters=filters)["Subnets"]
    assert [one["CidrBlock"] for one in subnets] == ["10.40.0.0/20", "10.40.16.0/20"]
    assert len({one["AvailabilityZone"] for one in subnets}) == 2
    assert [one["MapPublicIpOnLaunch"] for one in subnets] == [False, False]
    assert ec2.describe_internet_gateways(Filters=filters)["InternetGateways"] == []
    vpc = [{"Name": "vpc-id", "Values": [subnets[0]["VpcId"]]}]
    endpoints = ec2.describe_vpc_endpoints(Filters=vpc)["VpcEndpoints"]
    assert {one["ServiceName"].removeprefix("com.amazonaws.us-east-1.") for one in endpoints} == {
        *("s3", "glue", "logs", "monitoring", "sts", "kms", "secretsmanager"),
        *("elasticmapreduce", "emr-serverless", "emr-containers", "sqs"),
    }


def test_every_call_and_every_object_of_data_and_code_is_in_the_trail(aws, said):
    cloudtrail = aws.client("cloudtrail")
    (trail,) = cloudtrail.describe_trails()["trailList"]
    assert (trail["Name"], trail["IsMultiRegionTrail"], trail["LogFileValidationEnabled"]) == (
        "emr-pipelines-prod",
        True,
        True,
    )
    assert trail["KmsKeyId"].startswith("arn:aws:kms:us-east-1:")
    assert cloudtrail.get_trail_status(Name="emr-pipelines-prod")["IsLogging"] is True
    _, objects = cloudtrail.get_event_selectors(TrailName="emr-pipelines-prod")["AdvancedEventSelectors"]
    assert objects["FieldSelectors"][-1] == {
        "Field": "resources.ARN",
        "StartsWith": [f"arn:aws:s3:::example-emr-pipelines-prod-{one}/" for one in ("data", "artifacts")],
    }


def test_what_is_printed_makes_a_valid_environment(said, tmp_path):
    printed = yaml.safe_load(said[-1])
    assert printed["watching"]["events_queue"].startswith("https://sqs.us-east-1.amazonaws.com/123456789012/")
    for path in COMPUTE.glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text())
    document = yaml.safe_load((COMPUTE / "prod.yaml").read_text())
    document["presets"] |= printed["presets"]
    document["watching"] |= printed["watching"]
    (tmp_path / "prod.yaml").write_text(yaml.safe_dump(document))
    assert [line for line in check_folder(tmp_path) if line.wrong] == []
    account = read_environment(tmp_path / "prod.yaml").profile("ec2")
    assert account.subnet == printed["presets"]["account"]["subnet"]


def test_a_second_deploy_finds_everything_there(aws, said):
    lines = []
    infra.up(environment("prod"), aws, lines.append, dry_run=False)
    assert {line.split()[0] for line in lines[:-1]} == {"is"}


def test_what_a_change_would_do_is_shown(aws, said):
    prod = environment("prod")
    (storage,) = [one for one in read_stacks(prod, ROOT / "include" / "infra") if one.key == (HOME, "storage")]
    template = replace(storage.template, body=storage.template.body.replace("Default: 90", "Default: 91"))
    account = Account(aws)
    for stack in read_stacks(prod, ROOT / "include" / "infra"):
        account.status(stack)
    words = [step.sentence for step in steps_up(account, [replace(storage, template=template)], dry_run=True)]
    assert len(words) == 1
    assert words[0].startswith("update stack emr-pipelines-prod-storage in us-east-1")


def test_a_stack_of_which_nothing_is_known_is_an_error_that_says_so(aws, monkeypatch):
    def refuse(self, stack):
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "not allowed"}}, "DescribeStacks")

    monkeypatch.setattr(Account, "status", refuse)
    with pytest.raises(StackError, match=r"AWS could not be asked, or refused: .*not allowed"):
        infra.up(environment("dev"), aws, print, dry_run=False)


def test_without_credentials_a_dry_run_shows_the_plan(monkeypatch, tmp_path, capsys):
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for variable in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(variable, str(tmp_path / "none"))
    monkeypatch.setenv("EMR_PIPELINES_INCLUDE", str(ROOT / "include"))
    assert infra.main(["up", "dev", "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("AWS was not asked what is there, for there are no credentials.")
    names = [
        re.match(r"would     create or update stack emr-pipelines-dev-(\S+) in us-east-1", line)[1]
        for line in lines[1:]
    ]
    chosen = yaml.safe_load((ROOT / "include/infra/parameters/dev.yaml").read_text())["us-east-1"]
    assert sorted(names) == sorted(chosen)
    assert names.index("vpc") < names.index("endpoints")
    assert names.index("events") < names.index("monitoring")
    assert infra.main(["up", "dev"]) == 1
    assert capsys.readouterr().err.startswith("There are no credentials for AWS: sign in (aws sso login)")


def test_an_environment_that_is_not_there_is_told(capsys, monkeypatch):
    monkeypatch.setenv("EMR_PIPELINES_INCLUDE", str(ROOT / "include"))
    assert infra.main(["up", "pord"]) == 1
    assert "(did you mean 'prod'?); there are: dev, local, prod, test" in capsys.readouterr().err


def test_kept_compute_of_the_stacks_is_what_the_product_looks_for(aws, tmp_path):
    """The application and the virtual cluster carry the names and tags by which runs find them, and the profile's settings."""
    dev = environment("dev")
    folder = tmp_path / "infra"
    folder.mkdir()
    for name in ("serverless", "eks"):
        (folder / f"{name}.yaml").write_text((ROOT / "include" / "infra" / f"{name}.yaml").read_text())
    (folder / "parameters").mkdir()
    (folder / "parameters" / "dev.yaml").write_text(
        "us-east-1: {serverless: {}, eks: {EksCluster: analytics, Namespace: emr-dev}}"
    )
    stacks, account = read_stacks(dev, folder), Account(aws)
    for step in steps_up(account, stacks, dry_run=False):
        step.do()
    lease = Lease("dev", "a_dag", "a_run", "emr")
    asked = dev.profile("serverless-warm").request(lease, "spark")
    serverless = aws.client("emr-serverless")
    kept = serverless.get_application(applicationId=account.outputs[HOME, "serverless"]["ApplicationId"])["application"]
    assert {name: kept[name] for name in ("name", "type", "releaseLabel", "tags")} == {
        "name": asked["name"],
        "type": "Spark",
        "releaseLabel": asked["releaseLabel"],
        "tags": asked["tags"],
    }
    # moto forgets these two.
    assert (
        differences_of(asked, {**kept, **{name: asked[name] for name in ("architecture", "schedulerConfiguration")}})
        == []
    )
    virtual = dev.profile("eks").request(lease)
    made = aws.client("emr-containers").describe_virtual_cluster(id=account.outputs[HOME, "eks"]["VirtualClusterId"])
    assert {name: made["virtualCluster"][name] for name in ("name", "containerProvider", "tags")} == virtual
    groups = aws.client("logs").describe_log_groups(logGroupNamePrefix="/aws/emr-containers/dev")["logGroups"]
    assert [one["retentionInDays"] for one in groups] == [90]


def test_moto_still_lacks_what_the_tests_put_in_its_place():
    own = {
        model.cloudformation_type()
        for model in cloudformation.original_models()
        if hasattr(model, "cloudformation_type")
    }
    assert set(cloudformation.MISSING) & own == set()


def test_the_stacks_are_taken_down_to_nothing_but_data_only_where_that_is_said(aws, said):
    prod, lines = environment("prod"), []
    # moto reads no conditions of a policy: it refuses whoever asks.
    aws.client("s3").delete_bucket_policy(Bucket="example-emr-pipelines-prod-logs-west")
    aws.client("s3").put_object(Bucket="example-emr-pipelines-prod-logs-west", Key="kept", Body=b"")
    infra.down(prod, aws, lines.append, dry_run=False, delete_data=False)
    assert (
        stack_names(aws, HOME) & {"emr-pipelines-prod-vpc", "emr-pipelines-prod-endpoints", "emr-pipelines-prod-events"}
        == set()
    )
    assert "emr-pipelines-prod-storage" in stack_names(aws, HOME)
    assert any("objects in bucket example-emr-pipelines-prod-logs-west" in line for line in lines)
    infra.down(prod, aws, lines.append, dry_run=False, delete_data=True)
    for region in (HOME, WEST, "eu-west-1"):
        assert {name for name in stack_names(aws, region) if "-prod-" in name} == set()
        assert aws.client("sqs", region).list_queues().get("QueueUrls", []) == []
        ours = [{"Name": "tag:emr-pipelines:deployment", "Values": ["prod"]}]
        ec2 = aws.client("ec2", region)
        assert ec2.describe_vpcs(Filters=ours)["Vpcs"] == []
        assert ec2.describe_security_groups(Filters=ours)["SecurityGroups"] == []
    assert {name for name in buckets(aws) if "prod" in name} == set()
    assert aws.client("iam").list_roles()["Roles"] == []
    assert aws.client("sns").list_topics()["Topics"] == []
    assert aws.client("cloudtrail").describe_trails()["trailList"] == []
