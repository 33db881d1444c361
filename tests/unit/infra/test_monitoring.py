"""Dashboards and alarms: every metric that they name is published, and who is told can do something about it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import boto3
import pytest
import yaml
from moto import mock_aws

from tests.support.endpoint import ROOT
from tests.unit.infra.published import EVERY, PUBLISHED

MONITORING = (ROOT / "include/infra/monitoring.yaml").read_text()
DASHBOARDS = (ROOT / "include/infra/dashboards.yaml").read_text()
RUNBOOKS = ROOT / "docs/runbooks"
RECOVERIES = {"lost-region", "lost-bucket", "lost-metadata-database"}
QUEUE = "arn:aws:sqs:us-east-1:123456789012:emr-pipelines-dev-events-Queue-EAYET828IBB1"
VALUES = {
    "Deployment": "dev",
    "Email": "",
    "Runbooks": "docs/runbooks",
    "KeyArn": "",
    "QueueArn": QUEUE,
    "QuietHours": 24,
    "EksNamespace": "emr",
    "Topic": "arn:aws:sns:us-east-1:123456789012:alarms",
    "Key.Arn": "arn:aws:kms:us-east-1:123456789012:key/1",
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
}
"""Parameters, pseudo parameters, and what stands for the ids that AWS gives."""


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short functions, worked out with the values above."""


def _worked_out(loader, name, node):
    made = {
        yaml.ScalarNode: loader.construct_scalar,
        yaml.SequenceNode: lambda n: loader.construct_sequence(n, deep=True),
    }
    value = made[type(node)](node)
    match name:
        case "Ref" | "GetAtt":
            return VALUES[value]
        case "Sub":
            return re.sub(r"\$\{([\w:.]+)\}", lambda found: str(VALUES[found[1]]), value)
        case "Split":
            return value[1].split(value[0])
        case "If":  # only which key: here, the one that is made
            return value[1]
        case "Select":
            return value[1][value[0]]
        case _:
            return {name: value}


Loader.add_multi_constructor("!", _worked_out)


def resources(text, kind):
    found = yaml.load(text, Loader)["Resources"]
    return {name: made for name, made in found.items() if made["Type"] == kind}


ALARMS = resources(MONITORING, "AWS::CloudWatch::Alarm")
BOARDS = {
    name: json.loads(made["Properties"]["DashboardBody"])["widgets"]
    for name, made in resources(DASHBOARDS, "AWS::CloudWatch::Dashboard").items()
}


@dataclass(frozen=True)
class Series:
    """Values that an alarm or a graph reads."""

    namespace: str
    metric: str
    dimensions: frozenset[str]
    statistic: str
    period: int


IDENTIFIER = r'"?([\w/]+)"?'
QUERY = re.compile(
    rf"SELECT (AVG|COUNT|MAX|MIN|SUM)\((\w+)\) FROM SCHEMA\({IDENTIFIER}, ([\w, ]+)\)"
    r"(?: WHERE (\w+) = '([^']+)')? GROUP BY ([\w, ]+) ORDER BY (\w+)\(\) DESC"
)
"""CloudWatch User Guide, "Query components and syntax in CloudWatch Metrics Insights"; of an alarm on several series."""

SEARCH = re.compile(r"""SEARCH\('\{([\w/]+),([\w,]+)\} MetricName="(\w+)"((?: \w+="[^"]+")*)', '(\w+)', (\d+)\)""")
"""CloudWatch User Guide, "CloudWatch search expression syntax"."""


def read_query(text, period):
    """Read a query of Metrics Insights; an AssertionError where it is none, or groups by what it does not have."""
    found = QUERY.fullmatch(text)
    assert found, text
    function, metric, namespace, dimensions, filtered, _, grouped, ordered = found.groups()
    schema = frozenset(dimensions.split(", "))
    assert set(grouped.split(", ")) <= schema, text
    assert filtered is None or filtered in schema, text
    assert ordered == function, text
    return Series(namespace, metric, schema, function, period)


def read_search(text):
    found = SEARCH.fullmatch(text)
    assert found, text
    namespace, dimensions, metric, filters, statistic, period = found.groups()
    schema = frozenset(dimensions.split(","))
    assert set(re.findall(r' (\w+)="', filters)) <= schema, text
    return Series(namespace, metric, schema, statistic, int(period))


def read_stat(asked):
    metric = asked["Metric"]
    names = frozenset(one["Name"] for one in metric["Dimensions"])
    return Series(metric["Namespace"], metric["MetricName"], names, asked["Stat"], asked["Period"])


def read_alarm(alarm):
    """Return the series that an alarm reads."""
    if "Metrics" not in alarm:
        plain = {name: alarm[name] for name in ("Namespace", "MetricName", "Dimensions")}
        return [read_stat({"Metric": plain, "Stat": alarm["Statistic"], "Period": alarm["Period"]})]
    found = [read_stat(one["MetricStat"]) for one in alarm["Metrics"] if "MetricStat" in one]
    return found or [read_query(one["Expression"], one["Period"]) for one in alarm["Metrics"]]


def read_board(widgets):
    return [
        read_search(series["expression"])
        for widget in widgets
        if widget["type"] == "metric"
        for (series,) in widget["properties"]["metrics"]
    ]


READ = {
    **{name: read_alarm(made["Properties"]) for name, made in ALARMS.items()},
    **{name: read_board(widgets) for name, widgets in BOARDS.items()},
}
properties = pytest.mark.parametrize("alarm", [made["Properties"] for made in ALARMS.values()], ids=list(ALARMS))


@pytest.mark.parametrize("name", READ)
def test_every_metric_is_published_with_these_dimensions(name):
    wrong = [one for one in READ[name] if one.dimensions not in PUBLISHED.get((one.namespace, one.metric), set())]
    assert READ[name]
    assert wrong == []


@pytest.mark.parametrize("name", READ)
def test_a_period_holds_a_value_at_least_and_a_statistic_is_one(name):
    for one in READ[name]:
        assert one.period % EVERY.get(one.namespace, 60) == 0, one
        assert re.fullmatch(r"Average|Maximum|Minimum|Sum|SampleCount|p\d\d|AVG|COUNT|MAX|MIN|SUM", one.statistic), one


@pytest.mark.parametrize(
    "text",
    [
        'SELECT MAX(MissingBlocks) FROM SCHEMA("AWS/ElasticMapReduce", JobFlowId) GROUP BY ClusterId ORDER BY MAX() DESC',
        'SELECT MAX(MissingBlocks) FROM SCHEMA("AWS/ElasticMapReduce", JobFlowId) GROUP BY JobFlowId ORDER BY MIN() DESC',
        'SELECT MEDIAN(MissingBlocks) FROM SCHEMA("AWS/ElasticMapReduce", JobFlowId) GROUP BY JobFlowId ORDER BY MEDIAN() DESC',
        'SELECT MAX(MissingBlocks) FROM SCHEMA("AWS/ElasticMapReduce", JobFlowId)',
    ],
)
def test_a_query_that_is_wrong_is_noticed(text):
    with pytest.raises(AssertionError):
        read_query(text, 300)


@pytest.mark.parametrize(
    "text",
    [
        """SEARCH('{AWS/ElasticMapReduce,JobFlowId} MetricName="MissingBlock"', 'Maximum', 300)""",
        """SEARCH('{AWS/ElasticMapReduce,ClusterId} MetricName="MissingBlocks"', 'Maximum', 300)""",
        """SEARCH('{AWS/EMRServerless,ApplicationId} MetricName="CPUAllocated"', 'Maximum', 60)""",
        """SEARCH('{AWS/EMRContainers,VirtualClusterId} MetricName="RunningJobs"', 'Maximum', 60)""",
    ],
)
def test_a_search_for_what_nobody_publishes_is_noticed(text):
    found = read_search(text)
    assert found.dimensions not in PUBLISHED.get((found.namespace, found.metric), set())


def test_the_dashboard_of_clusters_shows_what_operators_of_hadoop_look_at():
    assert {one.metric for one in READ["Clusters"]} >= {
        "IsIdle", "AppsCompleted", "AppsFailed", "AppsRunning", "AppsPending", "MemoryAllocatedMB", "MemoryAvailableMB",
        "YARNMemoryAvailablePercentage", "ContainerAllocated", "ContainerPending", "ContainerReserved", "ContainerPendingRatio",
        "CapacityRemainingGB", "HDFSUtilization", "CorruptBlocks", "MissingBlocks", "UnderReplicatedBlocks", "CoreNodesRunning",
        "LiveDataNodes",
    }  # fmt: skip


def test_all_that_this_package_publishes_is_on_the_dashboard_of_jobs():
    ours = {metric for namespace, metric in PUBLISHED if namespace == "EmrPipelines"}
    assert {one.metric for one in READ["Jobs"]} == ours


def test_the_dashboard_of_jobs_shows_every_alarm_that_is_always_there():
    (widget,) = [widget for widget in BOARDS["Jobs"] if widget["type"] == "alarm"]
    shown = {arn.rpartition(":")[2] for arn in widget["properties"]["alarms"]}
    assert shown == {made["Properties"]["AlarmName"] for made in ALARMS.values() if "Condition" not in made}


@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboards_widgets_fit_and_each_graph_has_a_title_of_its_own(name):
    assert all(1 <= widget["width"] <= 24 for widget in BOARDS[name])
    titles = [widget["properties"]["title"] for widget in BOARDS[name] if widget["type"] == "metric"]
    assert len(titles) == len(set(titles)) >= 6
    for widget in BOARDS[name]:
        ids = [series["id"] for (series,) in widget["properties"].get("metrics", [])]
        assert len(ids) == len(set(ids))


# Alarms


@properties
def test_an_alarm_looks_back_no_further_than_cloudwatch_does(alarm):
    """PutMetricAlarm: a week, a day where a period is shorter than an hour; queries of Metrics Insights see three hours."""
    (period,) = {one.period for one in read_alarm(alarm)}
    queried = any("SELECT" in one.get("Expression", "") for one in alarm.get("Metrics", []))
    furthest = 3 * 3600 if queried else 7 * 86400 if period >= 3600 else 86400
    assert period * alarm["EvaluationPeriods"] <= furthest


def test_an_alarm_goes_off_at_what_its_runbook_says():
    """Behind which threshold a value is bad, and for how many minutes it has to be."""
    limits = {
        name: (
            alarm["ComparisonOperator"],
            alarm["Threshold"],
            read_alarm(alarm)[0].period * alarm["EvaluationPeriods"] / 60,
        )
        for name, made in ALARMS.items()
        for alarm in [made["Properties"]]
    }
    from_on, above = "GreaterThanOrEqualToThreshold", "GreaterThanThreshold"
    assert limits == {
        "MissingBlocks": (from_on, 1, 10),
        "CorruptBlocks": (from_on, 1, 10),
        "HdfsFull": (from_on, 85, 15),
        "NodesLost": (from_on, 1, 10),
        "NodesUnhealthy": (from_on, 1, 10),
        "ClusterIdle": (from_on, 1, 30),
        "ContainersPending": (above, 0.75, 30),
        "ServerlessJobsWait": (from_on, 1, 15),
        "ServerlessQuota": (above, 80, 15),
        "JobsFail": (above, 25, 60),
        "JobsOfATypeFail": (from_on, 1, 120),
        "NoJobs": ("LessThanThreshold", 1, 24 * 60),
        "Orphans": (from_on, 1, 90),
        "EventsQueue": (from_on, 1800, 15),
    }


def test_the_longest_quiet_is_the_longest_that_an_alarm_takes():
    (alarm,) = [made["Properties"] for made in ALARMS.values() if made["Properties"]["TreatMissingData"] == "breaching"]
    longest = yaml.load(MONITORING, Loader)["Parameters"]["QuietHours"]["MaxValue"]
    assert alarm["Period"] * longest == 7 * 86400


@properties
def test_one_expression_of_an_alarm_is_what_it_watches(alarm):
    asked = alarm.get("Metrics", [{}])
    assert [one for one in asked if one.get("ReturnData", True)] == [asked[-1]]
    names = {one["Id"] for one in asked[:-1]}
    if names:
        assert set(re.findall(r"\b[a-z]+\b", asked[-1]["Expression"])) == names


def test_only_where_silence_is_the_fault_does_silence_alarm():
    silent = {name for name, made in ALARMS.items() if made["Properties"]["TreatMissingData"] == "breaching"}
    assert silent == {"NoJobs"}
    assert {made["Properties"]["TreatMissingData"] for name, made in ALARMS.items() if name not in silent} == {
        "notBreaching"
    }


@properties
def test_people_are_told_of_an_alarm_and_of_its_end(alarm):
    assert alarm["AlarmActions"] == alarm["OKActions"] == [VALUES["Topic"]]
    assert alarm["AlarmName"].startswith("emr-pipelines-dev-")
    assert {"Key": "emr-pipelines:deployment", "Value": "dev"} in alarm["Tags"]


@properties
def test_an_alarm_says_its_cause_and_which_runbook_to_open(alarm):
    told = re.fullmatch(r"([A-Z].+)\. docs/runbooks/([\w-]+)\.md", alarm["AlarmDescription"])
    assert told
    assert alarm["AlarmName"] in (RUNBOOKS / f"{told[2]}.md").read_text().replace("$DEPLOYMENT", "dev")


def test_every_runbook_is_for_an_alarm_or_a_recovery():
    named = {re.search(r"([\w-]+)\.md$", made["Properties"]["AlarmDescription"])[1] for made in ALARMS.values()}
    assert {page.stem for page in RUNBOOKS.glob("*.md")} == named | RECOVERIES | {"README"}


def test_the_page_lists_every_alarm_with_its_runbook():
    page = (ROOT / "docs/how-to/monitor.md").read_text()
    rows = re.findall(r"^\| `([\w-]+)` \| .+ \| \[.+\]\(\.\./runbooks/([\w-]+)\.md\) \|$", page, re.MULTILINE)
    told = {made["Properties"]["AlarmName"]: made["Properties"]["AlarmDescription"] for made in ALARMS.values()}
    assert {f"emr-pipelines-dev-{name}": runbook for name, runbook in rows} == {
        name: re.search(r"([\w-]+)\.md$", text)[1] for name, text in told.items()
    }


# The topic


def test_only_alarms_of_this_deployment_may_tell_through_the_topic_and_never_in_plain_text():
    (policy,) = [made["Properties"] for made in resources(MONITORING, "AWS::SNS::TopicPolicy").values()]
    allowed, denied = policy["PolicyDocument"]["Statement"]
    assert (allowed["Effect"], allowed["Principal"], allowed["Action"]) == (
        "Allow",
        {"Service": "cloudwatch.amazonaws.com"},
        "sns:Publish",
    )
    assert allowed["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "123456789012"},
        "ArnLike": {"aws:SourceArn": "arn:aws:cloudwatch:us-east-1:123456789012:alarm:emr-pipelines-dev-*"},
    }
    assert (denied["Effect"], denied["Principal"], denied["Condition"]) == (
        "Deny",
        "*",
        {"Bool": {"aws:SecureTransport": "false"}},
    )


def test_cloudwatch_may_use_the_key_of_the_topic():
    """Without it alarms go off and nobody hears: the key that AWS keeps for SNS does not let CloudWatch in."""
    (key,) = [made["Properties"] for made in resources(MONITORING, "AWS::KMS::Key").values()]
    (topic,) = [made["Properties"] for made in resources(MONITORING, "AWS::SNS::Topic").values()]
    assert topic["KmsMasterKeyId"] == VALUES["Key.Arn"]
    (allowed,) = [one for one in key["KeyPolicy"]["Statement"] if "Service" in one["Principal"]]
    assert (allowed["Principal"], allowed["Action"]) == (
        {"Service": "cloudwatch.amazonaws.com"},
        ["kms:Decrypt", "kms:GenerateDataKey*"],
    )


# Deployed


@pytest.fixture
def aws(monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield lambda service: boto3.client(
            service, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
        )


@pytest.mark.filterwarnings("ignore:Tried to parse AWS::")  # moto makes alarms when asked, but not for CloudFormation
def test_the_stacks_give_what_they_say_and_leave_nothing(aws):
    stacks = {"monitoring": MONITORING, "dashboards": DASHBOARDS}
    given = [{"ParameterKey": "Deployment", "ParameterValue": "dev"}]
    # moto cannot tag a key that CloudFormation makes, so the topic gets one that is there.
    key = [{"ParameterKey": "KeyArn", "ParameterValue": VALUES["Key.Arn"]}]
    for name, text in stacks.items():
        aws("cloudformation").create_stack(
            StackName=name, TemplateBody=text, Parameters=given + key * (name == "monitoring")
        )
    (topic,) = aws("sns").list_topics()["Topics"]
    (stack,) = aws("cloudformation").describe_stacks(StackName="monitoring")["Stacks"]
    assert {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]} == {"TopicArn": topic["TopicArn"]}
    made = aws("cloudwatch").list_dashboards()["DashboardEntries"]
    assert {one["DashboardName"] for one in made} == {
        f"emr-pipelines-dev-{name}" for name in ("jobs", "clusters", "serverless", "eks")
    }
    body = aws("cloudwatch").get_dashboard(DashboardName="emr-pipelines-dev-clusters")["DashboardBody"]
    assert json.loads(body)["widgets"] == BOARDS["Clusters"]
    for name in stacks:
        aws("cloudformation").delete_stack(StackName=name)
    assert aws("sns").list_topics()["Topics"] == []
    assert aws("cloudwatch").list_dashboards()["DashboardEntries"] == []


def test_cloudwatch_takes_every_alarm_as_it_is_written(aws):
    for made in ALARMS.values():
        aws("cloudwatch").put_metric_alarm(**made["Properties"])
    taken = aws("cloudwatch").describe_alarms()["MetricAlarms"]
    assert {alarm["AlarmName"]: alarm["Threshold"] for alarm in taken} == {
        made["Properties"]["AlarmName"]: made["Properties"]["Threshold"] for made in ALARMS.values()
    }
