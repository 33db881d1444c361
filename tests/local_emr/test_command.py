"""`python -m local_emr` as its user meets it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from tests.local_emr.conftest import client_of
from tests.support.endpoint import ROOT, processes_of, running_endpoint


def command(*arguments):
    """Run the command to its end; return exit code, output and error output."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "include")}
    done = subprocess.run(
        [sys.executable, "-m", "local_emr", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_port_in_use_is_named_and_a_free_one_offered(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, output, errors = command("--port", f"{port}", "--data", str(tmp_path / "data"))
        offer = re.fullmatch(rf"local_emr: port {port} is in use; try --port (\d+)\n", errors)
        assert (code, output) == (2, "")
        assert offer
        with socket.create_server(("127.0.0.1", int(offer[1]))):
            pass


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--port", "seventy"), "'seventy' is not a port: give a number from 0 to 65535"),
        (("--port", "65536"), "'65536' is not a port"),
        (("--boot-seconds", "-1"), "'-1' is not a duration: give seconds, 0 or more"),
        (("--boot-seconds", "nan"), "'nan' is not a duration"),
        (("--data", "/proc/version"), "cannot serve on 127.0.0.1 port 4566 from /proc/version"),
        (("--host", "256.1.1.1", "--port", "0"), "cannot serve on 256.1.1.1"),
    ],
)
def test_a_wrong_value_is_refused_in_words(tmp_path, arguments, words):
    data = () if "--data" in arguments else ("--data", str(tmp_path))
    code, output, errors = command(*arguments, *data)
    assert (code, output) == (2, "")
    assert words in errors.splitlines()[-1]


def test_a_data_folder_serves_one_endpoint_at_a_time(tmp_path):
    with running_endpoint(tmp_path):
        code, _, errors = command("--port", "0", "--data", str(tmp_path))
    assert code == 2
    assert errors == (
        f"local_emr: the data folder {tmp_path} is in use by another endpoint; end that one, or choose another --data\n"
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_success(tmp_path, number):
    process = subprocess.Popen(
        [sys.executable, "-m", "local_emr", "--port", "0", "--data", str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "include")},
    )
    with process, process.stdout as output:
        url = re.search(r"http://127\.0\.0\.1:\d+", output.readline())[0]
        with urllib.request.urlopen(f"{url}/_local_emr/health") as answer:
            assert answer.status == 200
        process.send_signal(number)
        assert process.wait(10) == 0
    assert processes_of(tmp_path) == []


def test_a_killed_endpoint_forgets_nothing_and_lets_the_folder_go(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "local_emr", "--port", "0", "--data", str(tmp_path), "--boot-seconds", "3600"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "include")},
    )
    with process, process.stdout as output:
        url = re.search(r"http://\S+", output.readline())[0]
        client_of(url, "s3").create_bucket(Bucket="local-data")
        cluster_id = client_of(url, "emr").run_job_flow(
            Name="n", ReleaseLabel="emr-7.10.0", Instances={"MasterInstanceType": "m5.xlarge", "InstanceCount": 1}
        )["JobFlowId"]
        process.kill()
    with running_endpoint(tmp_path) as url:
        status = client_of(url, "emr").describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]
        assert (status["State"], status["StateChangeReason"]["Code"]) == ("TERMINATED_WITH_ERRORS", "INTERNAL_ERROR")
        assert [bucket["Name"] for bucket in client_of(url, "s3").list_buckets()["Buckets"]] == ["local-data"]


def test_listening_everywhere_tells_a_url_that_leads_there(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "local_emr", "--host", "0.0.0.0", "--port", "0", "--data", str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "include")},
    )
    with process, process.stdout as output:
        assert re.search(r"http://127\.0\.0\.1:\d+$", output.readline())
        process.terminate()
