"""What OpenLineage is told of a quality check, by its provider's own extractor and client."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.providers.openlineage.extractors import manager
from airflow.sdk import BaseOperator
from airflow.utils.state import TaskInstanceState
from openlineage.client import event_v2 as openlineage
from openlineage.client import serde

from emr_pipelines.lineage import column_metrics, column_of, dataset_name, lineage_of
from emr_pipelines.quality import parse_results
from tests.support.airflow import ROOT, ask_airflow

COLUMNS = {"carrier": "string", "delay": "int", 'odd "name"': "double", "plane": "struct<tailnum:string>"}
DATA = "s3://data/flights/dt=2013-01-15/version=0123456789abcdef/"


def result_of(*rules, analyzers=(), rows=1000):
    """A check's result; each rule is (text, measure, outcome, measured), and may have labels."""
    text = {
        "version": 2,
        "source": "flights.dqdl",
        "data": DATA,
        "rows": rows,
        "seconds": 1,
        "schema": [{"name": name, "type": kind, "nullable": True} for name, kind in COLUMNS.items()],
        "rules": [
            {
                "rule": rule,
                "measure": measure,
                "outcome": outcome,
                "measured": measured,
                "labels": dict(*labels),
                "bound": "> 0.9",
                "reason": "as seen",
            }
            for rule, measure, outcome, measured, *labels in rules
        ],
        "analyzers": [{"measure": measure, "measured": measured, "reason": ""} for measure, measured in analyzers],
        "quarantine": None,
    }
    return parse_results(json.dumps(text))


RESULT = result_of(
    ('Completeness "carrier" > 0.9', 'Completeness "carrier"', "Passed", 0.98),
    ('IsUnique "carrier" "delay"', 'IsUnique "carrier" "delay"', "Failed", 0.25, {"severity": "warn"}),
    ('ColumnValues "delay" > 0', 'ColumnValues "delay" > 0', "Error", None, {"severity": "ask"}),
    ('(RowCount > 0) or (IsComplete "delay")', None, "Passed", None),
    analyzers=[('Sum "delay"', 12.5), ('DistinctValuesCount "carrier"', 16), ('Mean "delay"', 2)],
)


class Check(BaseOperator):
    """An operator that tells of a check as QualityCheckOperator does."""

    found = RESULT

    def get_openlineage_facets_on_complete(self, task_instance):
        return lineage_of(self.found, "s3://data/flights/")


def told(operator, state):
    """The event that the provider would send, as JSON."""
    lineage = manager.ExtractorManager().extract_metadata(
        SimpleNamespace(run_id="r"), operator, state, SimpleNamespace(task=operator)
    )
    now = datetime.now(UTC).isoformat()
    event = openlineage.RunEvent(
        eventType=openlineage.RunState.COMPLETE,
        eventTime=now,
        run=openlineage.Run("01941f29-7c00-7087-8940-40e512257bd4"),
        job=openlineage.Job("airflow", "flights_daily.emr.check"),
        inputs=lineage.inputs,
        outputs=lineage.outputs,
    )
    return json.loads(serde.Serde.to_json(event))


@pytest.mark.parametrize("state", [TaskInstanceState.SUCCESS, TaskInstanceState.FAILED])
def test_the_providers_extractor_gets_a_dataset_with_its_facets_whether_or_not_the_check_passed(state):
    (dataset,) = told(Check(task_id="check"), state)["inputs"]
    assert (dataset["namespace"], dataset["name"]) == ("s3://data", "flights")
    assert {name: facet["_schemaURL"].rpartition("/")[2] for name, facet in dataset["inputFacets"].items()} == {
        "dataQualityAssertions": "DataQualityAssertionsDatasetFacet",
        "dataQualityMetrics": "DataQualityMetricsInputDatasetFacet",
    }
    assert dataset["facets"]["version"]["datasetVersion"] == DATA
    assert {field["name"]: field["type"] for field in dataset["facets"]["schema"]["fields"]} == COLUMNS


def test_each_rule_is_an_assertion_with_its_column_severity_and_values():
    (dataset,) = told(Check(task_id="check"), TaskInstanceState.SUCCESS)["inputs"]
    keys = ("assertion", "success", "column", "severity", "actual")
    assert [
        tuple(one.get(key) for key in keys) for one in dataset["inputFacets"]["dataQualityAssertions"]["assertions"]
    ] == [
        ("Completeness", True, "carrier", "error", "0.98"),
        ("IsUnique", False, None, "warn", "0.25"),
        ("ColumnValues", False, "delay", "ask", None),
        ("Composite", True, None, "error", None),
    ]
    first = dataset["inputFacets"]["dataQualityAssertions"]["assertions"][0]
    assert (first["name"], first["expected"], first["description"]) == (
        'Completeness "carrier" > 0.9',
        "> 0.9",
        "as seen",
    )


def test_rows_and_what_was_measured_of_columns_are_metrics():
    (dataset,) = told(Check(task_id="check"), TaskInstanceState.SUCCESS)["inputs"]
    metrics = dataset["inputFacets"]["dataQualityMetrics"]
    assert metrics["rowCount"] == 1000
    columns = {name: {k: v for k, v in found.items() if v} for name, found in metrics["columnMetrics"].items()}
    assert columns == {"carrier": {"nullCount": 20, "distinctCount": 16}, "delay": {"sum": 12.5}}


def test_a_check_that_found_nothing_tells_nothing():
    operator = Check(task_id="check")
    operator.found = None
    assert told(operator, TaskInstanceState.FAILED)["inputs"] == []


@pytest.mark.parametrize(
    ("measure", "value", "expected"),
    [
        ('IsComplete "delay"', 1, {"delay": {"nullCount": 0}}),
        ('Completeness "delay"', 0.999, {"delay": {"nullCount": 1}}),
        ('Completeness "odd \\"name\\""', 0.5, {'odd "name"': {"nullCount": 500}}),
        ('Completeness "delay" where "carrier = \'AA\'"', 0.5, {}),  # of some rows
        ('Uniqueness "delay"', 0.5, {}),  # OpenLineage has no such metric
        ("RowCount", 5, {}),
        ('Sum "delay" "x"', 5, {}),
    ],
)
def test_a_measure_is_a_columns_metric_only_where_openlineage_has_one_of_the_whole_column(measure, value, expected):
    assert column_metrics(result_of((measure, measure, "Passed", value))) == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ('IsComplete "delay"', "delay"),
        ('ColumnValues "delay" in ["a", "b"]', "delay"),
        ('ColumnValues "carrier" matches "[A-Z]" where "delay > 0" with threshold > 0.5', "carrier"),
        ('IsComplete "odd \\"name\\""', 'odd "name"'),
        ('IsPrimaryKey "carrier" "delay"', None),
        ('CustomSql "select count(*) from primary" > 0', None),
        ('ColumnExists "gone"', None),
        ("RowCount > 0", None),
        ("Schema of flights", None),
        ('(IsComplete "delay") and (IsComplete "carrier")', None),
    ],
)
def test_a_rule_has_a_column_where_it_is_about_one_that_there_is(rule, expected):
    assert column_of(rule, RESULT.schema) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("s3://data/flights/", ("s3://data", "flights")),
        ("s3://data/a/b/", ("s3://data", "a/b")),
        ("s3://data/", ("s3://data", "/")),
    ],
)
def test_datasets_are_named_as_openlineage_says(address, expected):
    assert dataset_name(address) == expected


def test_the_module_needs_no_openlineage_until_somebody_asks(tmp_path):
    script = """
import json, sys, emr_pipelines.lineage
print(json.dumps([name for name in sys.modules if "openlineage.client" in name]))
"""
    assert ask_airflow(script, tmp_path, PYTHONPATH=str(ROOT / "plugins")) == []
