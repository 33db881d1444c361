"""What would be asked of Glue Data Quality, held against botocore's model of it, and what its answer means here."""

from __future__ import annotations

import datetime as dt
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from emr_pipelines.quality import (
    QualityResult,
    ResultError,
    RuleResult,
    RulesetError,
    decide,
    format_table,
    parse_ruleset,
)
from emr_pipelines.quality.glue import GlueRuleset, GlueTable, read_data_quality_result
from emr_pipelines.quality.results import Measured

FLIGHTS = GlueTable("flights", "flights", partitions="dt = '2013-01-15'")
TEXT = 'Rules = [ RowCount > 200 labels=["severity"="warn"], (IsComplete "a") or (RowCountMatch "airlines" = 1) ]'
RULESET = parse_ruleset(TEXT, "quality/flights.dqdl")
STARTED = dt.datetime(2026, 1, 15, 3, 0, tzinfo=dt.UTC)
ANSWER = {
    "ResultId": "dqresult-1",
    "RulesetName": "flights",
    "Score": 0.5,
    "StartedOn": STARTED,
    "CompletedOn": STARTED + dt.timedelta(seconds=62.5),
    "DataSource": {
        "GlueTable": {
            "DatabaseName": "flights",
            "TableName": "flights",
            "AdditionalOptions": {"pushDownPredicate": "dt = '2013-01-15'"},
        }
    },
    "RuleResults": [
        {
            "Name": "Rule_1",
            "Description": "RowCount > 200",
            "Result": "PASS",
            "EvaluatedMetrics": {"Dataset.*.RowCount": 842.0},
            "Labels": {"severity": "warn"},
        },
        {
            "Name": "Rule_2",
            "Description": 'ColumnValues "delay" <= 180 with threshold > 0.99',
            "EvaluationMessage": "Value: 0.98 does not meet the constraint requirement!",
            "Result": "FAIL",
            "EvaluatedMetrics": {
                "Column.delay.Maximum": 1301.0,
                "Column.delay.Minimum": -30.0,
                "Column.delay.ColumnValues.Compliance": 0.98,
            },
        },
        {
            "Name": "Rule_3",
            "Description": '(IsComplete "nobody") and (ColumnCount > 1)',
            "EvaluationMessage": "Column nobody does not exist",
            "Result": "ERROR",
        },
        {"Name": "Rule_4", "Description": 'DetectAnomalies "RowCount"', "Result": "PASS", "EvaluatedMetrics": {}},
    ],
    "AnalyzerResults": [
        {
            "Name": "Analyzer_1",
            "Description": 'Completeness "a"',
            "EvaluatedMetrics": {"Column.a.Completeness": 0.9},
        },
        {
            "Name": "Analyzer_2",
            "Description": 'ColumnLength "a"',
            "EvaluatedMetrics": {"Column.a.MaximumLength": 9.0, "Column.a.MinimumLength": 2.0},
        },
        {"Name": "Analyzer_3", "Description": 'Mean "b"', "EvaluationMessage": "no such column"},
    ],
}


def problems(method: str, parameters: dict[str, Any]) -> str:
    """What botocore would say before it sends this."""
    operation = botocore.session.get_session().get_service_model("glue").operation_model(method)
    report: str = ParamValidator().validate(parameters, operation.input_shape).generate_report()
    return report


def test_a_ruleset_is_created_with_its_text_its_table_its_tags_and_a_token():
    request = GlueRuleset("flights", RULESET).create("k1", target=FLIGHTS, tags={"deployment": "prod"})
    assert problems("CreateDataQualityRuleset", request) == ""
    assert request == {
        "Name": "flights",
        "Ruleset": str(RULESET),
        "ClientToken": "k1",
        "TargetTable": {"DatabaseName": "flights", "TableName": "flights"},
        "Tags": {"deployment": "prod"},
    }
    assert parse_ruleset(request["Ruleset"], "quality/flights.dqdl") == RULESET


def test_an_evaluation_reads_the_partitions_and_the_tables_that_the_aliases_stand_for():
    airlines = GlueTable("reference", "airlines", catalog="123456789012")
    kept = GlueRuleset("flights", RULESET, {"airlines": airlines, "unused": FLIGHTS})
    request = kept.start("k2", data=FLIGHTS, role="GlueQuality", results="s3://b/results/")
    assert problems("StartDataQualityRulesetEvaluationRun", request) == ""
    assert request == {
        "DataSource": {
            "GlueTable": {
                "DatabaseName": "flights",
                "TableName": "flights",
                "AdditionalOptions": {"pushDownPredicate": "dt = '2013-01-15'"},
            }
        },
        "Role": "GlueQuality",
        "RulesetNames": ["flights"],
        "ClientToken": "k2",
        "AdditionalRunOptions": {"CompositeRuleEvaluationMethod": "COLUMN", "ResultsS3Prefix": "s3://b/results/"},
        "AdditionalDataSources": {
            "airlines": {
                "GlueTable": {"DatabaseName": "reference", "TableName": "airlines", "CatalogId": "123456789012"}
            }
        },
    }


def test_what_may_be_left_out_is_not_sent():
    ruleset = parse_ruleset("Rules = [ RowCount > 1 ]", "a.dqdl")
    created = GlueRuleset("a", ruleset).create("k")
    started = GlueRuleset("a", ruleset).start("k", data=GlueTable("d", "t"), role="r")
    assert (
        problems("CreateDataQualityRuleset", created) + problems("StartDataQualityRulesetEvaluationRun", started) == ""
    )
    assert set(created) == {"Name", "Ruleset", "ClientToken"}
    assert set(started) == {"DataSource", "Role", "RulesetNames", "ClientToken", "AdditionalRunOptions"}


def test_the_validator_of_these_tests_finds_what_is_wrong():
    assert "Missing required parameter" in problems("CreateDataQualityRuleset", {"Name": "a"})


def test_an_alias_without_a_table_is_named():
    with pytest.raises(
        ValueError, match=r"^No table for airlines, which quality/flights\.dqdl reads: name it in references\.$"
    ):
        GlueRuleset("flights", RULESET).start("k", data=FLIGHTS, role="r")


@pytest.mark.parametrize(
    "rule",
    [
        "RowCount > avg(last(3))",
        'ColumnDataType "a" = "Date" with threshold > last()',
        "(RowCount > last()) or (RowCount > 1)",
    ],
)
def test_rules_that_need_earlier_results_are_not_for_glue(rule):
    ruleset = parse_ruleset(f"Rules = [ ColumnCount > 1,\n {rule} ]", "a.dqdl")
    with pytest.raises(RulesetError, match=r"^a\.dqdl:2:\d: .*uses earlier results.*; write a fixed bound$"):
        GlueRuleset("a", ruleset).create("k")


def test_a_text_that_is_too_long_for_glue_is_refused_before_it_is_sent():
    ruleset = parse_ruleset(f"Rules = [ {', '.join(['RowCount > 1'] * 4000)} ]", "a.dqdl")
    with pytest.raises(RulesetError, match=r"characters are too many for Glue, which takes 65536"):
        GlueRuleset("a", ruleset).create("k")


def test_an_answer_becomes_a_result_like_any_other():
    assert read_data_quality_result(ANSWER) == QualityResult(
        source="flights",
        data="flights.flights where dt = '2013-01-15'",
        rows=842,
        seconds=62.5,
        rules=(
            RuleResult("RowCount > 200", "Passed", 842.0, "> 200", "", "RowCount", {"severity": "warn"}),
            RuleResult(
                'ColumnValues "delay" <= 180 with threshold > 0.99',
                "Failed",
                0.98,
                "> 0.99",
                "Value: 0.98 does not meet the constraint requirement!",
                'ColumnValues "delay" <= 180',
            ),
            RuleResult(
                '(IsComplete "nobody") and (ColumnCount > 1)', "Error", None, "", "Column nobody does not exist"
            ),
            RuleResult('DetectAnomalies "RowCount"', "Passed", None, "", ""),
        ),
        analyzers=(
            Measured('Completeness "a"', 0.9, ""),
            Measured("Column.a.MaximumLength", 9.0, ""),
            Measured("Column.a.MinimumLength", 2.0, ""),
            Measured('Mean "b"', None, "no such column"),
        ),
    )


def test_the_gate_and_the_table_do_not_know_whose_result_it_is():
    result = read_data_quality_result(ANSWER)
    assert [rule.rule for rule in decide(result).failing] == [result.rules[1].rule, result.rules[2].rule]
    assert format_table(result).startswith("flights: 2 of 4 rules passed\n842 rows of flights.flights where dt")


def test_the_answer_of_these_tests_is_one_that_glue_may_give():
    shape = (
        botocore.session.get_session().get_service_model("glue").operation_model("GetDataQualityResult").output_shape
    )
    assert ParamValidator().validate(ANSWER, shape).generate_report() == ""


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({}, "Glue's result holds no rule: nothing was checked. Run the evaluation again."),
        ({"RuleResults": []}, "Glue's result holds no rule: nothing was checked. Run the evaluation again."),
        (
            {"RuleResults": [{"Description": "RowCount > 1", "Result": "UNKNOWN"}]},
            "Glue's result has the outcome UNKNOWN, none of PASS, FAIL, ERROR. Look at it in Glue.",
        ),
    ],
)
def test_an_answer_that_tells_nothing_never_passes(answer, message):
    with pytest.raises(ResultError) as raised:
        read_data_quality_result(answer)
    assert message == str(raised.value)


@pytest.mark.parametrize(
    ("more", "rows"),
    [({"AggregatedMetrics": {"TotalRowsProcessed": 7.0}}, 7), ({}, 0)],
)
def test_the_rows_are_those_that_glue_says_it_processed_or_unknown(more, rows):
    answer = {"RuleResults": [{"Description": 'IsComplete "a"', "Result": "PASS"}], **more}
    assert rows == read_data_quality_result(answer).rows
