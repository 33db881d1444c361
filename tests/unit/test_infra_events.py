"""The template of events: rules that let through every end and nothing else, and a queue that only they may fill."""

from __future__ import annotations

import json
from itertools import product

import pytest
import yaml

from emr_pipelines.events import ended_in
from local_emr.eks.records import EksJobRun
from local_emr.emr.records import ENDED
from local_emr.serverless.records import ServerlessJobRun
from tests.support.endpoint import ROOT

TEXT = (ROOT / "include/infra/events.yaml").read_text()


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short functions: `!GetAtt Queue.Arn` is read as `{"GetAtt": "Queue.Arn"}`."""


Loader.add_multi_constructor("!", lambda loader, name, node: {name: loader.construct_scalar(node)})

RESOURCES = yaml.load(TEXT, Loader)["Resources"]
RULES = {name: made["Properties"] for name, made in RESOURCES.items() if made["Type"] == "AWS::Events::Rule"}

STEP_STATES = {"PENDING", "CANCEL_PENDING", "RUNNING", "COMPLETED", "CANCELLED", "FAILED", "INTERRUPTED"}
"""EMR API Reference, StepStatus."""

IDS = {
    "clusterId": "j-1",
    "stepId": "s-1",
    "virtualClusterId": "v1",
    "id": "r1",
    "applicationId": "a1",
    "jobRunId": "r1",
}


def passed(rule):
    """Return source, detail-type and state of all events that a rule lets through."""
    pattern = rule["EventPattern"]
    return set(product(pattern["source"], pattern["detail-type"], pattern["detail"]["state"]))


def test_every_final_state_of_the_services_is_let_through_and_no_other():
    final = {
        ("aws.emr", "EMR Step Status Change"): STEP_STATES - {"PENDING", "CANCEL_PENDING", "RUNNING"},
        ("aws.emr", "EMR Cluster State Change"): set(ENDED),
        ("aws.emr-containers", "EMR Job Run State Change"): set(EksJobRun.states.ended),
        ("aws.emr-containers", "EmrContainers Job Run State Change"): set(EksJobRun.states.ended),
        ("aws.emr-serverless", "EMR Serverless Job Run State Change"): set(ServerlessJobRun.states.ended),
    }
    expected = {(*event, state) for event, states in final.items() for state in states}
    assert {event for rule in RULES.values() for event in passed(rule)} == expected


@pytest.mark.parametrize("rule", RULES)
def test_what_a_rule_lets_through_is_understood(rule):
    for source, kind, state in passed(RULES[rule]):
        event = {"source": source, "detail-type": kind, "region": "us-east-1", "detail": IDS | {"state": state}}
        assert ended_in(json.dumps(event)).state == state


def test_every_rule_sends_to_the_queue_and_to_nothing_else():
    assert [made["Targets"] for made in RULES.values()] == [[{"Id": "queue", "Arn": {"GetAtt": "Queue.Arn"}}]] * 4


def test_only_these_rules_may_send_to_the_queue():
    (statement,) = RESOURCES["QueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"], statement["Resource"]) == (
        "Allow",
        {"Service": "events.amazonaws.com"},
        "sqs:SendMessage",
        {"GetAtt": "Queue.Arn"},
    )
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": [{"GetAtt": f"{rule}.Arn"} for rule in RULES]}}


def test_the_queue_is_encrypted_and_keeps_nothing_for_long():
    queue = RESOURCES["Queue"]["Properties"]
    assert (queue["SqsManagedSseEnabled"], queue["MessageRetentionPeriod"]) == (True, 3600)
