"""What a check does with what its job found: told, compared with earlier days and with the published schema, and decided."""

from __future__ import annotations

import json

import pendulum
import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException

from emr_pipelines import Dataset, EmrPipeline, QualityCheckOperator
from emr_pipelines.errors import ConfigurationError
from tests.support.scripted_runs import Run, client_of, endpoint, environment, key_of, s3, writing

__all__ = ["endpoint", "environment", "s3"]

FLIGHTS = Dataset("flights", "s3://t-data/flights/")
BEFORE = ("emr.acquire", "emr.clean")
NARROWER = ({"name": "carrier", "type": "int", "nullable": True},)


def checking(*, asks=True, day="2013-01-15", audits=True, **more):
    """A run of a pipeline whose check is asked about, or not."""
    with DAG("d", schedule=None, start_date=pendulum.datetime(2013, 1, 1)) as dag:
        with EmrPipeline("emr") as emr:
            clean = writing("clean", FLIGHTS)
            more = {"audits": FLIGHTS.partition("{{ ds }}"), **more} if audits else more
            check = QualityCheckOperator(task_id="check", ruleset="quality/a.dqdl", data=clean.staged, **more)
            check.job["args"].append("succeed")
            clean >> check
        if asks:
            emr.publish(clean)
    return Run(dag, run_id=day, day=day)


def checked(run):
    run.execute(*BEFORE, "emr.check")
    return run.told["emr.check", "quality"]


def words_of(endpoint, run):
    """What the check's job run was started with."""
    told, cluster = run.told["emr.check", "return_value"], run.told["emr.acquire", "return_value"]["compute"]["id"]
    emr = client_of(endpoint.url, "emr")
    return emr.describe_step(ClusterId=cluster, StepId=told["job_run"])["Step"]["Config"]["Args"]


def after(words, name):
    return words[words.index(name) + 1]


def test_what_was_found_is_told_to_other_tasks(s3, endpoint):
    run = checking()
    told = checked(run)
    assert {name: told[name] for name in ("decision", "rows", "measures", "quarantine")} == {
        "decision": "pass",
        "rows": 881,
        "measures": {"RowCount": 881},
        "quarantine": None,
    }
    assert [(rule["rule"], rule["severity"]) for rule in told["rules"]] == [
        ("RowCount > 900", "ask"),
        ("Schema of flights", "fail"),
    ]
    assert s3.head_object(Bucket="t-data", Key=key_of(told["result"]))


def test_a_rule_that_stops_the_data_fails_the_task_and_is_told_all_the_same(s3, endpoint):
    endpoint.engine.outcome, endpoint.engine.severity = "Failed", "fail"
    run = checking()
    with pytest.raises(AirflowFailException) as raised:
        checked(run)
    assert str(raised.value).startswith("1 of 2 data quality rules did not pass: RowCount > 900 (881 rows)\n")
    assert run.told["emr.check", "quality"]["decision"] == "fail"


@pytest.mark.parametrize("outcome", ["Failed", "Error"])
@pytest.mark.parametrize("severity", ["ask", "warn"])
def test_a_rule_that_asks_or_warns_lets_the_pipeline_end(s3, endpoint, outcome, severity):
    endpoint.engine.outcome, endpoint.engine.severity = outcome, severity
    assert checked(checking())["decision"] == severity


def test_a_rule_that_asks_where_nobody_can_be_asked_fails_the_task(s3, endpoint):
    endpoint.engine.outcome = "Failed"
    with pytest.raises(
        AirflowFailException, match="A rule asks a person, and no task of this DAG can: put ApproveOperator"
    ):
        checked(checking(asks=False))


def test_a_dynamic_rule_is_given_the_values_of_the_days_before_newest_first(s3, endpoint, tmp_path):
    (tmp_path / "quality/a.dqdl").write_text("Rules = [ RowCount > avg(last(2)) ]")
    for day, rows in (("2013-01-11", 1), ("2013-01-12", 2), ("2013-01-13", 3), ("2013-01-20", 9)):
        endpoint.engine.measured = rows
        checked(checking(day=day))
    run = checking(day="2013-01-14")
    checked(run)
    checked(run)
    history = s3.get_object(Bucket="t-data", Key=key_of(after(words_of(endpoint, run), "--history")))["Body"].read()
    assert json.loads(history) == {"measures": {"RowCount": [3, 2]}}


def test_a_ruleset_that_compares_with_nothing_earlier_reads_nothing_earlier(s3, endpoint):
    run = checking()
    checked(run)
    assert "--history" not in words_of(endpoint, run)


@pytest.mark.parametrize(("schema_changes", "decision"), [("ask", "ask"), ("warn", "warn")])
def test_a_schema_that_breaks_the_readers_of_what_is_published_does_not_pass(s3, endpoint, schema_changes, decision):
    first = checking()
    checked(first)
    first.execute("approve", "publish")
    endpoint.engine.schema = NARROWER
    told = checked(checking(day="2013-01-16", schema_changes=schema_changes))
    assert told["decision"] == decision
    assert told["rules"][-1]["rule"] == "Schema of flights"
    assert "carrier" in told["rules"][-1]["reason"]
    with pytest.raises(AirflowFailException, match="Schema of flights"):
        checked(checking(day="2013-01-17"))


def test_bad_rows_go_to_a_folder_of_the_check_s_own(s3, endpoint):
    run = checking(quarantine="s3://t-data/bad/dt={{ ds }}")
    checked(run)
    address = after(words_of(endpoint, run), "--quarantine")
    assert address.startswith("s3://t-data/bad/dt=2013-01-15/version=")
    assert address.endswith("/")


def test_data_that_is_no_datasets_is_checked_too(s3, endpoint):
    told = checked(checking(audits=False, asks=False))
    assert told["result"].startswith("s3://t-data/quality-results/d.emr.check/2013-01-15")
    assert [rule["rule"] for rule in told["rules"]] == ["RowCount > 900"]


@pytest.mark.parametrize(
    ("settings", "cause"),
    [
        ({"ruleset": "quality/compares.dqdl"}, "compare with carriers, which references= does not name"),
        ({"schema_changes": "never"}, "schema_changes='never' is none of fail, ask, warn"),
        ({"ruleset": "quality/absent.dqdl"}, "There is no file 'quality/absent.dqdl'"),
    ],
)
def test_a_check_that_cannot_work_is_refused_when_the_dag_is_parsed(tmp_path, settings, cause):
    (tmp_path / "quality/compares.dqdl").write_text('Rules = [ RowCountMatch "carriers" = 1.0 ]')
    words = {"task_id": "check", "ruleset": "quality/a.dqdl", "data": "s3://t-data/x/", **settings}
    dag = DAG("d", schedule=None, start_date=pendulum.datetime(2013, 1, 1))
    with dag, EmrPipeline("emr"), pytest.raises(ConfigurationError, match=cause):
        QualityCheckOperator(**words)
