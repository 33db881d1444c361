"""What is said to help against well-known causes, from lines as Spark, YARN, Kubernetes and AWS write them."""

from __future__ import annotations

import pytest

from emr_pipelines.hints import CATALOGUE, hint_for

LINES = [
    ("out of memory", "java.lang.OutOfMemoryError: Java heap space"),
    ("out of memory", "Container killed by YARN for exceeding memory limits. 5.5 GB of 5.5 GB physical memory used."),
    ("out of memory", "MemoryError: Unable to allocate 7.45 GiB for an array"),
    ("out of memory", "The executor with id 3 exited with exit code 137(SIGKILL, possible container OOM). OOMKilled"),
    ("killed from outside", "ExecutorLostFailure (executor 4 exited): Container exited with a non-zero exit code 137."),
    ("killed from outside", "JobRun failed. Driver exit code: 137"),
    ("killed from outside", "Exit status: 137. Diagnostics: Container killed on request."),
    ("spot loss", "The Spot Instance i-0abc was reclaimed: spot instances in the cluster were terminated"),
    ("spot loss", "Slave lost: NODE_LOST ip-10-0-0-7.ec2.internal"),
    ("disk full", "java.io.IOException: No space left on device"),
    (
        "access denied",
        "com.amazonaws.services.s3.model.AmazonS3Exception: Access Denied (Service: Amazon S3; Status Code: 403; Error Code: AccessDenied)",
    ),
    (
        "access denied",
        "User: arn:aws:sts::1:assumed-role/r is not authorized to perform: glue:GetTable on resource: db",
    ),
    ("missing class or module", "java.lang.ClassNotFoundException: com.example.Main"),
    ("missing class or module", "ModuleNotFoundError: No module named 'pandas'"),
    (
        "schema mismatch",
        "org.apache.spark.sql.execution.datasources.SchemaColumnConvertNotSupportedException: column: [delay]",
    ),
    ("schema mismatch", "[UNRESOLVED_COLUMN.WITH_SUGGESTION] A column with name `dep_dely` cannot be resolved."),
    ("missing input", "[PATH_NOT_FOUND] Path does not exist: s3://b/k."),
]


@pytest.mark.parametrize(("name", "line"), LINES)
def test_a_well_known_cause_has_its_hint(name, line):
    assert hint_for(line, {}) == CATALOGUE[name].hint


def test_every_entry_of_the_catalogue_is_known_by_a_real_line():
    assert {name for name, _ in LINES} == set(CATALOGUE)


@pytest.mark.parametrize(
    "line",
    [
        "ValueError: 3 malformed rows, first: '2013,x,1375'",
        "RuntimeError: 137 flights are missing",
        "AssertionError: expected exit code 13",
        "",
    ],
)
def test_a_cause_of_the_jobs_own_has_no_hint(line):
    assert hint_for(line, {"stderr": "24/01/15 INFO BlockManagerMasterEndpoint: Registering block manager"}) is None


def test_the_line_that_says_why_counts_before_what_the_log_ends_with():
    logs = {"stderr": "java.lang.OutOfMemoryError: Java heap space"}
    assert hint_for("java.io.IOException: No space left on device", logs) == CATALOGUE["disk full"].hint
    assert hint_for("The job run ended failed and gave no reason", logs) == CATALOGUE["out of memory"].hint


def test_what_lies_far_before_the_end_of_a_log_is_not_the_cause():
    log = "java.lang.OutOfMemoryError: handled\n" + "all is well\n" * 50
    assert hint_for("ValueError: x", {"stdout": log}) is None
