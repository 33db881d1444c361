"""Checks of buckets and objects, log groups, images of containers, the queue of events and the catalogue's database."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError

from emr_deploy.needs import Thing
from emr_deploy.steps import Missing
from emr_pipelines.targets.refusals import code_of

Clients = Callable[[str], Any]

_NOT_FOUND = 404
_IMAGE = re.compile(r"(?P<account>\d{12})\.[^/]+/(?P<repository>[^:@]+)(:(?P<tag>[^@]+)|@(?P<digest>.+))")


def bucket(clients: Clients, thing: Thing) -> Iterator[Missing]:
    """Yield a bucket that there is not, or that lies in another region than the compute that uses it."""
    try:
        head = clients("s3").head_bucket(Bucket=thing.name)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != _NOT_FOUND:
            raise
        where = next(iter(thing.fits), "")
        yield Missing(
            f"there is no bucket {thing.name!r} {thing.told}",
            f"`make infra` makes it{f' in {where}' if where else ''}, on one machine `make up`; or name one that there is",
        )
        return
    lies = head.get("BucketRegion")
    for region, used in thing.fits.items():
        if lies and lies != region:
            yield Missing(
                f"bucket {thing.name!r} lies in {lies}, and compute in {region} uses it {used.told}",
                f"name one of that region in regions.{region}.buckets",
            )


def stored(clients: Clients, thing: Thing) -> Iterator[Missing]:
    """Yield an object in S3 that there is not. It is listed: who deploys need not be allowed to read certificates, or data."""
    bucket, _, key = thing.name.removeprefix("s3://").partition("/")
    try:
        listed = clients("s3").list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1).get("Contents", [])
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != _NOT_FOUND:
            raise
        listed = []
    if not any(one["Key"] == key for one in listed):
        yield Missing(f"there is no object {thing.name} {thing.told}", f"`aws s3 cp <file> {thing.name}` lays it there")


def log_group(clients: Clients, thing: Thing) -> Iterator[Missing]:
    """Yield a log group of CloudWatch Logs that there is not."""
    name = thing.name.partition(":log-group:")[2].removesuffix(":*") or thing.name
    pages = clients("logs").get_paginator("describe_log_groups").paginate(logGroupNamePrefix=name)
    if not any(group["logGroupName"] == name for page in pages for group in page["logGroups"]):
        yield Missing(
            f"there is no log group {name!r} in {thing.region} {thing.told}",
            f"`aws logs create-log-group --region {thing.region} --log-group-name {name}` makes it",
        )


def image(clients: Clients, thing: Thing) -> Iterator[Missing]:
    """Yield an image of Amazon ECR that there is not."""
    parts = _IMAGE.fullmatch(thing.name)
    if parts is None:
        return
    wanted = {"imageTag": parts["tag"]} if parts["tag"] else {"imageDigest": parts["digest"]}
    try:
        clients("ecr").describe_images(
            registryId=parts["account"], repositoryName=parts["repository"], imageIds=[wanted]
        )
    except ClientError as error:
        if code_of(error) not in ("ImageNotFoundException", "RepositoryNotFoundException"):
            raise
        yield Missing(f"there is no image {thing.name} {thing.told}", "push it, or leave the setting out")


def queue(clients: Clients, thing: Thing) -> Iterator[Missing]:
    """Yield a queue of SQS that there is not."""
    try:
        clients("sqs").get_queue_attributes(QueueUrl=thing.name, AttributeNames=["QueueArn"])
    except ClientError as error:
        if not code_of(error).endswith(("NonExistentQueue", "QueueDoesNotExist")):
            raise
        yield Missing(
            f"there is no queue {thing.name} {thing.told}",
            "`make infra` makes one, its output QueueUrl; or leave the setting out",
        )


def database(clients: Clients, thing: Thing) -> Iterator[Missing]:
    """Yield a database of the Glue Data Catalog that there is not."""
    try:
        clients("glue").get_database(Name=thing.name)
    except ClientError as error:
        if code_of(error) != "EntityNotFoundException":
            raise
        yield Missing(
            f"there is no database {thing.name!r} in the Glue Data Catalog of {thing.region} {thing.told}",
            f"`aws glue create-database --region {thing.region} --database-input Name={thing.name}` makes it",
        )
