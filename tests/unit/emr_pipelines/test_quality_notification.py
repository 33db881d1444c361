"""The page's notifier, sent by the provider to a topic of SNS and read from a queue that is subscribed to it."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import pytest

from emr_pipelines import QualityCheckOperator
from local_emr.endpoint import running
from tests.local_emr.conftest import client_of
from tests.local_emr.scripted import ManualClock, ScriptedEngine
from tests.support.endpoint import ROOT

REASON = "1 of 10 data quality rules did not pass: RowCount > 0 (0 rows)"
TABLE = "flights.dqdl: 9 of 10 rules passed\n\nOutcome  Rule\nFailed   RowCount > 0"


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with running(tmp_path_factory.mktemp("endpoint"), ScriptedEngine, clock=ManualClock()) as url:
        yield url


@pytest.fixture(scope="module")
def queue(url):
    """A queue that is subscribed to the topic of the page; returns what it was sent."""
    sns, sqs = client_of(url, "sns"), client_of(url, "sqs")
    topic = sns.create_topic(Name="data-quality")["TopicArn"]
    address = sqs.create_queue(QueueName="on-call")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=address, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

    def received():
        (message,) = sqs.receive_message(QueueUrl=address)["Messages"]
        sqs.delete_message(QueueUrl=address, ReceiptHandle=message["ReceiptHandle"])
        return json.loads(message["Body"])

    return received


@pytest.fixture
def check(url, monkeypatch):
    """The check of the page, whose connection leads to the endpoint."""
    extra = {"endpoint_url": url, "region_name": "us-east-1"}
    connection = {"conn_type": "aws", "login": "local", "password": "local", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    page = (ROOT / "docs/how-to/get-told.md").read_text()
    (text,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    made: dict[str, object] = {}
    exec(compile(text, "flights_told.py", "exec"), made)
    assert isinstance(made["check"], QualityCheckOperator)
    return made["check"]


def fail(check, exception, quality, dag_id="flights_told"):
    """Call back as Airflow does when the task has failed."""
    ti = SimpleNamespace(dag_id=dag_id, log_url="http://airflow/log", xcom_pull=lambda key: {"quality": quality}[key])
    (callback,) = check.on_failure_callback
    callback({"dag": check.dag, "ti": ti, "exception": exception})


def test_a_failed_check_tells_its_reason_and_table(check, queue):
    fail(check, RuntimeError(REASON), {"decision": "fail", "reason": REASON, "table": TABLE})
    message = queue()
    assert message["TopicArn"] == "arn:aws:sns:us-east-1:123456789012:data-quality"
    assert message["Subject"] == "Data quality: flights_told"
    assert message["Message"] == f"{REASON}\n\n{TABLE}\n\nhttp://airflow/log"


def test_a_check_whose_job_failed_tells_why_without_a_table(check, queue):
    fail(check, RuntimeError("FileNotFoundError: There is no data"), None)
    assert queue()["Message"] == "FileNotFoundError: There is no data\n\n\n\nhttp://airflow/log"


def test_a_subject_is_never_longer_than_sns_takes(check, queue):
    fail(check, RuntimeError(REASON), None, dag_id="d" * 250)
    assert len(queue()["Subject"]) <= 100
