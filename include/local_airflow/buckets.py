"""Create buckets that do not exist: `python -m local_airflow.buckets NAME ...`, for the AWS of the environment."""

import sys
from typing import TYPE_CHECKING

import boto3

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


def create_missing(client: "S3Client", *names: str) -> list[str]:
    """Create those of the named buckets that the account does not have; returns them."""
    there = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    missing = [name for name in names if name not in there]
    for name in missing:
        client.create_bucket(Bucket=name)
    return missing


if __name__ == "__main__":
    create_missing(boto3.client("s3"), *sys.argv[1:])
