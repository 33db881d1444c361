"""Events: what the three services announce on EventBridge, as `include/infra/events.yaml` brings it into a queue."""

from __future__ import annotations

import json
import urllib.request
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from local_emr.events import Events
from local_emr.faults import Faults, InvalidFaultError, fault_of
from tests.local_emr.asking import arm, ask
from tests.local_emr.commands import command_line_of
from tests.local_emr.eks.conftest import ROLE
from tests.local_emr.scripted import SUCCESS, ManualClock, eventually
from tests.local_emr.services import SERVICES, Ec2, Eks, Serverless
from tests.support.endpoint import ROOT

# moto's CloudFormation leaves queue policies out, and says so; `test_infra_events.py` reads this one.
pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse AWS..SQS..QueuePolicy:UserWarning")

TEMPLATE = (ROOT / "include/infra/events.yaml").read_text()


class Deployed:
    """The stack of events in an endpoint, and all that its queue was sent."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        stacks = endpoint.client("cloudformation")
        stacks.create_stack(StackName="emr-events", TemplateBody=TEMPLATE)
        (stack,) = stacks.describe_stacks(StackName="emr-events")["Stacks"]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        self.url, self.sqs, self.events = outputs["QueueUrl"], endpoint.client("sqs"), []

    def received(self):
        """Take what is there, at once, and return all events so far."""
        answer = self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10, WaitTimeSeconds=0)
        for message in answer.get("Messages", []):
            self.events.append(json.loads(message["Body"]))
            self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return self.events

    def told(self):
        """Return id and state of what the events so far tell, in the order of their arrival."""
        return [(subject_of(event["detail"]), event["detail"]["state"]) for event in self.received()]

    def everything(self):
        """Let the queue be sent every event of the three services, and not the ends alone."""
        rules = self.endpoint.client("events")
        arn = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        for rule in rules.list_rules()["Rules"]:
            rules.disable_rule(Name=rule["Name"])
        rules.put_rule(Name="everything", EventPattern='{"source": [{"prefix": "aws.emr"}]}')
        rules.put_targets(Rule="everything", Targets=[{"Id": "queue", "Arn": arn}])


def subject_of(detail):
    named = ("stepId", "jobRunId", "id", "clusterId", "applicationId")
    return next(detail[name] for name in named if name in detail)


@pytest.fixture
def deployed(endpoint):
    """The stack; moto, which outlives an endpoint in one process, forgets it afterwards."""
    yield Deployed(endpoint)
    forget(endpoint)


def forget(endpoint):
    urllib.request.urlopen(urllib.request.Request(f"{endpoint.url}/moto-api/reset", method="POST")).close()


def let_end(endpoint, name):
    eventually(lambda: name in endpoint.engine.held, expected=True)
    endpoint.engine.held[name].end(SUCCESS)


# What arrives


@pytest.mark.parametrize("service", SERVICES)
def test_the_queue_is_sent_the_ends_of_job_runs_and_nothing_before(endpoint, deployed, service):
    asked = service(endpoint)
    good = asked.start("hold", "a")
    let_end(endpoint, "a")
    eventually(deployed.told, [(good, "SUCCESS" if service is Serverless else "COMPLETED")])
    bad = asked.start("fail")
    eventually(lambda: deployed.told()[1:], [(bad, "FAILED")])


@pytest.fixture
def saved(monkeypatch, tmp_path):
    """For each end of a job run: whether its record was saved when it was announced."""
    found = []

    def announce(self, service, compute, run=None):
        if run is not None and run.state in {"COMPLETED", "SUCCESS"}:
            texts = [path.read_text() for path in tmp_path.rglob("*.json")]
            found.append(any(run.id in text and f'"state": "{run.state}"' in text for text in texts))

    monkeypatch.setattr(Events, "announce", announce)
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_an_end_is_announced_when_the_listing_shows_it(saved, endpoint, service):
    asked = service(endpoint)
    run = asked.start("succeed")
    eventually(lambda: saved[:1], [True])
    assert asked.listed()[run] in {"COMPLETED", "SUCCESS"}


def test_the_queue_hears_of_its_own_region_alone(endpoint, deployed):
    Eks(SimpleNamespace(eks=endpoint.client("emr-containers", "eu-west-1"))).start("succeed", "elsewhere")
    eventually(lambda: [step.args for step in endpoint.engine.started if "elsewhere" in step.args] != [], expected=True)
    here = Eks(endpoint).start("succeed")
    eventually(deployed.told, [(here, "COMPLETED")])


def test_the_queue_is_sent_the_end_of_a_cluster(endpoint, deployed):
    cluster = Ec2(endpoint)
    endpoint.emr.terminate_job_flows(JobFlowIds=[cluster.id])
    eventually(deployed.told, [(cluster.id, "TERMINATED")])
    detail = deployed.events[0]["detail"]
    assert json.loads(detail.pop("stateChangeReason")) == {
        "code": "USER_REQUEST",
        "message": "Terminated by user request",
    }
    assert detail == {
        "severity": "INFO",
        "name": "flights",
        "clusterId": cluster.id,
        "state": "TERMINATED",
        "message": f"Amazon EMR cluster {cluster.id} (flights) is TERMINATED.",
    }


# In whose words


def envelope(endpoint, event, kind, source):
    """Return the event without its detail, as it should be."""
    return {
        "version": "0",
        "id": event["id"],
        "detail-type": kind,
        "source": source,
        "account": "123456789012",
        "time": f"{datetime.fromtimestamp(endpoint.clock.now(), UTC):%Y-%m-%dT%H:%M:%SZ}",
        "region": "us-east-1",
        "resources": [],
        "detail": event["detail"],
    }


def test_a_step_is_announced_in_the_words_of_emr(endpoint, deployed):
    cluster = Ec2(endpoint)
    step_id = cluster.start("fail", name="clean")
    eventually(lambda: len(deployed.received()), 1)
    (event,) = deployed.events
    assert event == envelope(endpoint, event, "EMR Step Status Change", "aws.emr")
    assert event["detail"] == {
        "severity": "ERROR",
        "actionOnFailure": "CONTINUE",
        "stepId": step_id,
        "name": "clean",
        "clusterId": cluster.id,
        "state": "FAILED",
        "message": f"Step {step_id} (clean) in Amazon EMR cluster {cluster.id} (flights) is FAILED.",
    }


def test_a_job_run_is_announced_in_the_words_of_emr_on_eks(endpoint, deployed):
    namespace = Eks(endpoint)
    run = namespace.start("succeed", name="clean")
    eventually(lambda: len(deployed.received()), 1)
    (event,) = deployed.events
    now = f"{datetime.fromtimestamp(endpoint.clock.now(), UTC):%Y-%m-%dT%H:%M:%S}.000000Z"
    assert event == envelope(endpoint, event, "EMR Job Run State Change", "aws.emr-containers")
    assert event["detail"] == {
        "id": run,
        "name": "clean",
        "virtualClusterId": namespace.id,
        "arn": f"arn:aws:emr-containers:us-east-1:123456789012:/virtualclusters/{namespace.id}/jobruns/{run}",
        "state": "COMPLETED",
        "stateDetails": namespace.described(run)["stateDetails"],
        "releaseLabel": "emr-7.9.0-latest",
        "executionRoleArn": ROLE,
        "createdAt": now,
        "finishedAt": now,
    }


def test_a_job_run_is_announced_in_the_words_of_emr_serverless(endpoint, deployed):
    application = Serverless(endpoint)
    run = application.start("succeed", name="clean")
    eventually(lambda: len(deployed.received()), 1)
    (event,) = deployed.events
    now = f"{datetime.fromtimestamp(endpoint.clock.now(), UTC):%Y-%m-%dT%H:%M:%S}.000000Z"
    assert event == envelope(endpoint, event, "EMR Serverless Job Run State Change", "aws.emr-serverless")
    assert event["detail"] == {
        "jobRunId": run,
        "jobRunName": "clean",
        "applicationId": application.id,
        "arn": f"arn:aws:emr-serverless:us-east-1:123456789012:/applications/{application.id}/jobruns/{run}",
        "releaseLabel": "emr-7.10.0",
        "state": "SUCCESS",
        "previousState": "RUNNING",
        "updatedAt": now,
        "createdAt": now,
    }


@pytest.mark.parametrize(
    ("service", "compute", "run"),
    [
        (Ec2, ["STARTING", "RUNNING", "WAITING"], ["PENDING", "RUNNING", "COMPLETED"]),
        (Eks, [], ["PENDING", "SUBMITTED", "RUNNING", "COMPLETED"]),
        (
            Serverless,
            ["CREATING", "CREATED", "STARTING", "STARTED"],
            ["SUBMITTED", "PENDING", "SCHEDULED", "RUNNING", "SUCCESS"],
        ),
    ],
)
def test_every_change_that_aws_announces_is_announced_in_its_order(endpoint, deployed, service, compute, run):
    deployed.everything()
    asked = service(endpoint)
    started = asked.start("succeed")
    eventually(lambda: [state for subject, state in deployed.told() if subject == started], run)
    assert [state for subject, state in deployed.told() if subject == asked.id][: len(compute)] == compute


# Events that fail


ENDS = {"service": "emr-containers", "state": "COMPLETED"}


def test_an_event_that_is_lost_never_comes_and_the_next_one_does(endpoint, deployed):
    arm(endpoint, "lose_event", **ENDS, name_contains="etl/first")
    namespace = Eks(endpoint)
    first = namespace.start("succeed", name="first")
    eventually(lambda: namespace.state(first), "COMPLETED")
    second = namespace.start("succeed", name="second")
    eventually(deployed.told, [(second, "COMPLETED")])


def test_an_event_that_comes_twice_is_the_same_event(endpoint, deployed):
    arm(endpoint, "repeat_event", **ENDS)
    run = Eks(endpoint).start("succeed")
    eventually(deployed.told, [(run, "COMPLETED")] * 2)
    first, second = deployed.events
    assert first == second


def test_a_late_event_comes_after_younger_ones_when_its_time_has_come(endpoint, deployed):
    arm(endpoint, "late_event", **ENDS, seconds=90)
    namespace = Eks(endpoint)
    first = namespace.start("succeed")
    eventually(lambda: namespace.state(first), "COMPLETED")
    second = namespace.start("succeed")
    eventually(deployed.told, [(second, "COMPLETED")])
    endpoint.clock.advance(90)
    eventually(deployed.told, [(second, "COMPLETED"), (first, "COMPLETED")])
    assert len({event["time"] for event in deployed.events}) == 1
    assert [fault["struck"] for fault in ask(endpoint, "GET")[1]["faults"]] == [1]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"fault": "late_event"}, "seconds must be a number, more than 0 and at most 600, not None."),
        ({"fault": "lose_event", "state": 7}, "state must be a text, not 7."),
        ({"fault": "repeat_event", "count": 0}, "count must be a whole number of 1 or more, not 0."),
        (
            {"fault": "lose_event", "service": "s3"},
            "s3 has no lose_event here: give elasticmapreduce or emr-containers",
        ),
    ],
)
def test_what_is_no_fault_of_events_is_refused(asked, words):
    with pytest.raises(InvalidFaultError) as refused:
        fault_of({"service": "emr-serverless"} | asked)
    assert str(refused.value).startswith(words)


def test_a_rule_that_cannot_deliver_disturbs_neither_the_others_nor_the_job(endpoint, deployed, caplog):
    rules = endpoint.client("events")
    rules.put_rule(Name="a-broken-one", EventPattern='{"source": ["aws.emr-containers"]}')
    gone = "arn:aws:sqs:us-east-1:123456789012:gone"
    rules.put_targets(Rule="a-broken-one", Targets=[{"Id": "gone", "Arn": gone}])
    namespace = Eks(endpoint)
    run = namespace.start("succeed")
    eventually(deployed.told, [(run, "COMPLETED")])
    assert namespace.state(run) == "COMPLETED"
    assert "rule a-broken-one did not deliver event" in caplog.text


def test_what_cannot_be_told_disturbs_nobody(caplog):
    Events(Faults(), ManualClock()).announce("emr-serverless", SimpleNamespace(id="a", state="STARTED"))
    assert "a change of state at emr-serverless was not announced" in caplog.text


# As a user


def test_the_command_line_creates_the_stack_and_receives_an_end(endpoint, monkeypatch, capsys, request):
    aws = command_line_of(endpoint.url, monkeypatch, capsys)
    request.addfinalizer(lambda: forget(endpoint))
    aws.names |= {"TEMPLATE": str(ROOT / "include/infra/events.yaml"), "AWS_ENDPOINT_URL": endpoint.url}
    aws("aws cloudformation create-stack --template-body file://$TEMPLATE --stack-name emr-events")
    aws.names["URL"] = aws(
        "aws cloudformation describe-stacks --stack-name emr-events --output text "
        """--query "Stacks[0].Outputs[?OutputKey=='QueueUrl'].OutputValue\""""
    )
    run = Eks(endpoint).start("succeed")
    (message,) = aws(
        "aws sqs receive-message --endpoint-url $AWS_ENDPOINT_URL --queue-url $URL --wait-time-seconds 20"
    )["Messages"]
    assert json.loads(message["Body"])["detail"]["id"] == run
