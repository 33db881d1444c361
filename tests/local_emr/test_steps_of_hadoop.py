"""Hadoop Streaming and S3DistCp as steps of a cluster, and the applications that this machine does not have."""

from __future__ import annotations

import gzip
from collections import Counter

import pytest

from tests.local_emr.conftest import client_of
from tests.local_emr.scripted import eventually
from tests.support.endpoint import running_endpoint

MASTER = {"InstanceRole": "MASTER", "InstanceType": "m5.xlarge", "InstanceCount": 1}
COUNT = b"""\
import sys
if sys.argv[1] == "map":
    for line in sys.stdin:
        for word in line.split():
            print(f"LongValueSum:{word}\\t1")
else:
    raise ValueError("no such day")
"""
TEXTS = {"words/one.txt": b"the fox the dog\n", "words/two.txt.gz": gzip.compress(b"a dog\n")}
INPUT = ["-files", "s3://local-data/count.py", "-input", "s3://local-data/words/"]
STEPS = {
    "count": [
        *("hadoop-streaming", *INPUT, "-output", "s3://local-data/counted/"),
        *("-mapper", "python3 count.py map", "-reducer", "aggregate", "-numReduceTasks", "2"),
    ],
    "gather": [
        *("s3-dist-cp", "--src=s3://local-data/counted/", "--dest=s3://local-data/gathered/"),
        *("--groupBy=.*/(part)-.*", "--outputCodec=gz", "--deleteOnSuccess"),
    ],
    "fail": [*("hadoop-streaming", *INPUT), "-output", "s3://local-data/x/", "-mapper", "python3 count.py fail"],
    "stream": ["flink", "run", "-m", "yarn-cluster", "s3://local-data/x.jar"],
}


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """S3's client, the cluster's id, and its steps by their names when all have ended."""
    with running_endpoint(tmp_path_factory.mktemp("hadoop")) as url:
        emr, s3 = client_of(url, "emr"), client_of(url, "s3")
        for bucket in ("local-data", "local-logs"):
            s3.create_bucket(Bucket=bucket)
        for key, content in {"count.py": COUNT, **TEXTS}.items():
            s3.put_object(Bucket="local-data", Key=key, Body=content)
        steps = [
            {
                "Name": name,
                "ActionOnFailure": "CONTINUE",
                "HadoopJarStep": {"Jar": "command-runner.jar", "Args": words},
            }
            for name, words in STEPS.items()
        ]
        cluster_id = emr.run_job_flow(
            Name="hadoop",
            ReleaseLabel="emr-7.10.0",
            LogUri="s3://local-logs/",
            Instances={"InstanceGroups": [MASTER]},
            Steps=steps,
        )["JobFlowId"]
        describe = emr.describe_cluster
        eventually(lambda: describe(ClusterId=cluster_id)["Cluster"]["Status"]["State"], "TERMINATED", every=0.2)
        yield s3, cluster_id, {step["Name"]: step for step in emr.list_steps(ClusterId=cluster_id)["Steps"]}


def test_words_are_counted_gathered_into_one_file_and_seen_in_s3(ended):
    s3, _, steps = ended
    assert {name: step["Status"]["State"] for name, step in steps.items()} == {
        "count": "COMPLETED",
        "gather": "COMPLETED",
        "fail": "FAILED",
        "stream": "FAILED",
    }
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket="local-data")["Contents"]]
    # What belongs to no group is neither copied nor deleted.
    assert keys == ["count.py", "counted/_SUCCESS", "gathered/part0.gz", *TEXTS]
    gathered = s3.get_object(Bucket="local-data", Key="gathered/part0.gz")["Body"].read()
    counted = dict(line.split("\t") for line in gzip.decompress(gathered).decode().splitlines())
    words = Counter(["the", "fox", "the", "dog", "a", "dog"])
    assert counted == {word: str(number) for word, number in words.items()}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("fail", "ValueError: no such day"),
        (
            "stream",
            "This machine has no Flink: the step would run on an EMR cluster with the application Flink.",
        ),
    ],
)
def test_a_step_that_fails_says_why_in_its_details_and_on_its_standard_error(ended, name, reason):
    s3, cluster_id, steps = ended
    assert steps[name]["Status"]["FailureDetails"]["Message"] == reason
    key = f"{cluster_id}/steps/{steps[name]['Id']}/stderr.gz"
    said = gzip.decompress(s3.get_object(Bucket="local-logs", Key=key)["Body"].read()).decode()
    assert reason in said
