"""Pages for people: AWS's consoles, or what the local endpoint shows in their place."""

from __future__ import annotations

from emr_pipelines.targets.s3_logs import bucket_and_key


def console_of(endpoint: str, region: str, address: str) -> str:
    """Return the page that lists a folder in S3: the S3 console's, or the local endpoint's own listing."""
    bucket, prefix = bucket_and_key(address)
    if "amazonaws.com" not in endpoint:
        return f"{endpoint}/{bucket}?prefix={prefix}"
    return f"https://{region}.console.aws.amazon.com/s3/buckets/{bucket}?region={region}&prefix={prefix}"


def spark_ui_of(endpoint: str, job_run: str) -> dict[str, str]:
    """Return the link to a job run's Spark UI, which the local endpoint has; AWS gives addresses that carry a token."""
    return {} if "amazonaws.com" in endpoint else {"spark_ui": f"{endpoint}/_local_emr/spark-ui/{job_run}"}
