"""What moto's CloudFormation leaves out of the templates in include/infra, carried out by the same calls that CloudFormation makes.

moto makes a bucket without its lifecycle, versions, privacy, ownership and replication, forgets the outputs of
what a change set makes, takes the tags of a key for those of KMS's own calls, deletes no route table
and no security configuration, and knows neither Fn::Cidr nor the types below,
although it has what they make. `MISSING` says so of each; a test holds that moto still lacks them.
"""

from __future__ import annotations

import json
from ipaddress import ip_network
from itertools import islice
from typing import Any

import boto3
from moto.cloudformation import parsing
from moto.cloudformation.models import ChangeSet
from moto.core.common_models import CloudFormationModel
from moto.ec2.models import ec2_backends
from moto.ec2.models.route_tables import RouteTable
from moto.emr.models import SecurityConfiguration, emr_backends
from moto.iam.models import ManagedPolicy, Role
from moto.kms.models import Key
from moto.s3.models import FakeBucket

MISSING = {
    "AWS::CloudWatch::Alarm": "moto has alarms, and CloudFormation does not make them",
    "AWS::CloudTrail::Trail": "moto has trails, and CloudFormation does not make them",
    "AWS::EMRContainers::VirtualCluster": "moto has virtual clusters, and CloudFormation does not make them",
    "AWS::EMRServerless::Application": "moto has applications, and CloudFormation does not make them",
    "AWS::S3::BucketPolicy": "moto has policies of buckets, and CloudFormation does not put them",
    "AWS::SNS::TopicPolicy": "moto has policies of topics, and CloudFormation does not put them",
    "AWS::SQS::QueuePolicy": "moto has policies of queues, and CloudFormation does not put them",
}


class Completed(CloudFormationModel):
    """A resource that one call makes and one call deletes."""

    def __init__(self, physical_id: str, attributes: dict[str, str] | None = None) -> None:
        self.physical_resource_id = physical_id
        self.attributes = attributes or {}

    @staticmethod
    def cloudformation_name_type():
        return None

    @classmethod
    def has_cfn_attr(cls, attr):
        return attr == "Arn"

    def get_cfn_attribute(self, attribute_name):
        return self.attributes[attribute_name]

    @classmethod
    def create_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name, **kwargs):
        return cls(*cls.make(cloudformation_json["Properties"], region_name))

    @classmethod
    def update_from_cloudformation_json(
        cls, original_resource, new_resource_name, cloudformation_json, account_id, region_name
    ):
        return cls(*cls.make(cloudformation_json["Properties"], region_name))

    @classmethod
    def delete_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name):
        cls.unmake(resource_name, region_name)

    @classmethod
    def unmake(cls, physical_id, region):
        """Nothing is left to delete: it ends with what it belongs to."""


class BucketPolicy(Completed):
    @staticmethod
    def cloudformation_type():
        return "AWS::S3::BucketPolicy"

    @staticmethod
    def make(given, region):
        policy = json.dumps(given["PolicyDocument"])
        boto3.client("s3", region).put_bucket_policy(Bucket=given["Bucket"], Policy=policy)
        return (given["Bucket"],)


class QueuePolicy(Completed):
    @staticmethod
    def cloudformation_type():
        return "AWS::SQS::QueuePolicy"

    @staticmethod
    def make(given, region):
        for queue in given["Queues"]:
            policy = json.dumps(given["PolicyDocument"])
            boto3.client("sqs", region).set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
        return (given["Queues"][0],)


class TopicPolicy(Completed):
    @staticmethod
    def cloudformation_type():
        return "AWS::SNS::TopicPolicy"

    @staticmethod
    def make(given, region):
        for topic in given["Topics"]:
            boto3.client("sns", region).set_topic_attributes(
                TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps(given["PolicyDocument"])
            )
        return (given["Topics"][0],)


class Alarm(Completed):
    @staticmethod
    def cloudformation_type():
        return "AWS::CloudWatch::Alarm"

    @staticmethod
    def make(given, region):
        boto3.client("cloudwatch", region).put_metric_alarm(**typed(given))
        return (given["AlarmName"],)

    @classmethod
    def unmake(cls, physical_id, region):
        boto3.client("cloudwatch", region).delete_alarms(AlarmNames=[physical_id])


def typed(given: dict[str, Any]) -> dict[str, Any]:
    """What moto's CloudFormation has as texts, as PutMetricAlarm takes it."""
    kinds = {"Threshold": float, "Period": int, "EvaluationPeriods": int, "DatapointsToAlarm": int}
    whole = {name: kinds[name](one) if name in kinds else one for name, one in given.items()}
    if "Metrics" in whole:
        whole["Metrics"] = [
            {**one, "ReturnData": str(one.get("ReturnData", True)).lower() == "true"}
            | ({"Period": int(one["Period"])} if "Period" in one else {})
            | (
                {"MetricStat": {**one["MetricStat"], "Period": int(one["MetricStat"]["Period"])}}
                if "MetricStat" in one
                else {}
            )
            for one in whole["Metrics"]
        ]
    return whole


class Trail(Completed):
    @staticmethod
    def cloudformation_type():
        return "AWS::CloudTrail::Trail"

    @staticmethod
    def make(given, region):
        cloudtrail = boto3.client("cloudtrail", region)
        made = cloudtrail.create_trail(
            Name=given["TrailName"],
            TagsList=given["Tags"],
            **{
                name: given[name]
                for name in ("S3BucketName", "IsMultiRegionTrail", "IncludeGlobalServiceEvents")
                if name in given
            },
            **({"KmsKeyId": given["KMSKeyId"]} if "KMSKeyId" in given else {}),
            EnableLogFileValidation=given["EnableLogFileValidation"],
        )
        cloudtrail.put_event_selectors(
            TrailName=given["TrailName"], AdvancedEventSelectors=given["AdvancedEventSelectors"]
        )
        if given["IsLogging"]:
            cloudtrail.start_logging(Name=given["TrailName"])
        return given["TrailName"], {"Arn": made["TrailARN"]}

    @classmethod
    def unmake(cls, physical_id, region):
        boto3.client("cloudtrail", region).delete_trail(Name=physical_id)


def uncapitalised(value: Any) -> Any:
    """The members of a request in the letters of EMR Serverless and EMR on EKS."""
    if isinstance(value, dict):
        return {name[0].lower() + name[1:]: uncapitalised(one) for name, one in value.items()}
    return [uncapitalised(one) for one in value] if isinstance(value, list) else value


class Application(Completed):
    @staticmethod
    def cloudformation_type():
        return "AWS::EMRServerless::Application"

    @staticmethod
    def make(given, region):
        request = uncapitalised({name: one for name, one in given.items() if name not in ("Tags", "InitialCapacity")})
        request["initialCapacity"] = {one["Key"]: uncapitalised(one["Value"]) for one in given["InitialCapacity"]}
        for worker in request["initialCapacity"].values():
            worker["workerCount"] = int(worker["workerCount"])
        request["autoStopConfiguration"]["idleTimeoutMinutes"] = int(
            given["AutoStopConfiguration"]["IdleTimeoutMinutes"]
        )
        request["schedulerConfiguration"] = {name: int(one) for name, one in request["schedulerConfiguration"].items()}
        request["tags"] = {one["Key"]: one["Value"] for one in given["Tags"]}
        made = boto3.client("emr-serverless", region).create_application(clientToken="made-by-a-stack", **request)
        return made["applicationId"], {"Arn": made["arn"]}

    @classmethod
    def unmake(cls, physical_id, region):
        serverless = boto3.client("emr-serverless", region)
        serverless.stop_application(applicationId=physical_id)
        serverless.delete_application(applicationId=physical_id)


class VirtualCluster(Completed):
    @staticmethod
    def cloudformation_type():
        return "AWS::EMRContainers::VirtualCluster"

    @staticmethod
    def make(given, region):
        request = uncapitalised({name: given[name] for name in ("Name", "ContainerProvider")})
        tags = {one["Key"]: one["Value"] for one in given["Tags"]}
        made = boto3.client("emr-containers", region).create_virtual_cluster(
            clientToken="made-by-a-stack", tags=tags, **request
        )
        return made["id"], {"Arn": made["arn"]}

    @classmethod
    def unmake(cls, physical_id, region):
        boto3.client("emr-containers", region).delete_virtual_cluster(id=physical_id)


def days(rule: dict[str, Any]) -> dict[str, Any]:
    """A rule of a lifecycle as S3 takes it."""
    made = {name: rule[name] for name in ("ID", "Status") if name in rule} | {
        "ID": rule["Id"],
        "Filter": {"Prefix": rule.get("Prefix", "")},
    }
    expiration = {"ExpiredObjectDeleteMarker": True} if rule.get("ExpiredObjectDeleteMarker") else {}
    expiration |= {"Days": int(rule["ExpirationInDays"])} if "ExpirationInDays" in rule else {}
    if expiration:
        made["Expiration"] = expiration
    for name, member in (
        ("AbortIncompleteMultipartUpload", "DaysAfterInitiation"),
        ("NoncurrentVersionExpiration", "NoncurrentDays"),
    ):
        if name in rule:
            made[name] = {member: int(rule[name][member])}
    if "Transitions" in rule:
        made["Transitions"] = [
            {"StorageClass": one["StorageClass"], "Days": int(one["TransitionInDays"])} for one in rule["Transitions"]
        ]
    return made


def put_the_rest_of_a_bucket(bucket: str, given: dict[str, Any], region: str) -> None:
    s3 = boto3.client("s3", region)
    s3.put_public_access_block(
        Bucket=bucket,
        PublicAccessBlockConfiguration={
            name: str(value).lower() == "true" for name, value in given["PublicAccessBlockConfiguration"].items()
        },
    )
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=given["OwnershipControls"])
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=given["VersioningConfiguration"])
    rules = [days(rule) for rule in given["LifecycleConfiguration"]["Rules"]]
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    if given.get("ReplicationConfiguration"):
        told = given["ReplicationConfiguration"]
        rules = [{"ID": rule.pop("Id"), **rule, "Priority": int(rule["Priority"])} for rule in map(dict, told["Rules"])]
        s3.put_bucket_replication(Bucket=bucket, ReplicationConfiguration={"Role": told["Role"], "Rules": rules})


def cidr(block: str, count: Any, bits: Any) -> list[str]:
    """CloudFormation User Guide, Fn::Cidr: that many subnets of a block, each with so many bits for its hosts."""
    subnets = ip_network(block).subnets(new_prefix=32 - int(bits))
    return [str(one) for one in islice(subnets, int(count))]


def end_roles_and_policies(monkeypatch) -> None:
    """Let moto's CloudFormation delete roles that have policies, and managed policies."""
    end_role = Role.delete_from_cloudformation_json.__func__

    def ended_role(cls, resource_name, cloudformation_json, account_id, region_name):
        # CloudFormation lets go of a role's policies before it deletes the role.
        iam = boto3.client("iam")
        for policy in iam.list_attached_role_policies(RoleName=resource_name)["AttachedPolicies"]:
            iam.detach_role_policy(RoleName=resource_name, PolicyArn=policy["PolicyArn"])
        end_role(cls, resource_name, cloudformation_json, account_id, region_name)

    def ended_policy(cls, resource_name, cloudformation_json, account_id, region_name):
        iam = boto3.client("iam")
        for role in iam.list_entities_for_policy(PolicyArn=resource_name)["PolicyRoles"]:
            iam.detach_role_policy(RoleName=role["RoleName"], PolicyArn=resource_name)
        iam.delete_policy(PolicyArn=resource_name)

    monkeypatch.setattr(Role, "delete_from_cloudformation_json", classmethod(ended_role))
    monkeypatch.setattr(ManagedPolicy, "delete_from_cloudformation_json", classmethod(ended_policy), raising=False)


def complete(monkeypatch) -> None:
    """Let moto's CloudFormation make what the templates say, for one test."""
    clean = parsing.clean_json

    def cleaned(value, resources):
        if isinstance(value, dict) and "Fn::Cidr" in value:
            return cidr(*(cleaned(one, resources) for one in value["Fn::Cidr"]))
        made = clean(value, resources)
        # AWS::NoValue takes an element out of a list.
        return [one for one in made if one is not None] if isinstance(value, list) else made

    monkeypatch.setattr(parsing, "clean_json", cleaned)
    apply = ChangeSet.apply

    def applied(change_set):
        apply(change_set)
        change_set.stack.template_dict = change_set.template_dict
        change_set.stack.output_map = change_set.stack._create_output_map()

    monkeypatch.setattr(ChangeSet, "apply", applied)
    # It looks for the name in properties whose functions nobody has read.
    monkeypatch.setattr(
        SecurityConfiguration,
        "delete",
        lambda made, account, region: emr_backends[account][region].delete_security_configuration(made.name),
        raising=False,
    )

    def delete_table(made, account, region):
        made._associations.clear()
        ec2_backends[account][region].delete_route_table(made.id)

    monkeypatch.setattr(RouteTable, "delete", delete_table, raising=False)
    make_key = Key.create_from_cloudformation_json.__func__

    def made_key(cls, resource_name, cloudformation_json, account_id, region_name, **kwargs):
        given = cloudformation_json["Properties"]
        # CloudFormation says Key and Value where KMS says TagKey and TagValue.
        tags = [{"TagKey": one["Key"], "TagValue": one["Value"]} for one in given.get("Tags", [])]
        return make_key(
            cls,
            resource_name,
            {**cloudformation_json, "Properties": {**given, "Tags": tags}},
            account_id,
            region_name,
            **kwargs,
        )

    monkeypatch.setattr(Key, "create_from_cloudformation_json", classmethod(made_key))
    make = FakeBucket.create_from_cloudformation_json.__func__

    def made(cls, resource_name, cloudformation_json, account_id, region_name, **kwargs):
        bucket = make(cls, resource_name, cloudformation_json, account_id, region_name, **kwargs)
        put_the_rest_of_a_bucket(bucket.name, cloudformation_json["Properties"], region_name)
        return bucket

    monkeypatch.setattr(FakeBucket, "create_from_cloudformation_json", classmethod(made))
    end_roles_and_policies(monkeypatch)
    models = [*original_models(), *Completed.__subclasses__()]
    monkeypatch.setattr(parsing, "get_model_list", lambda: models)
    monkeypatch.setattr(parsing, "get_model_map", lambda: {model.cloudformation_type(): model for model in models})


def original_models() -> list[type[CloudFormationModel]]:
    """The models that moto has of its own."""
    return [model for model in CloudFormationModel.__subclasses__() if not issubclass(model, Completed)]
