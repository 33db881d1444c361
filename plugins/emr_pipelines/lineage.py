"""What a quality check tells OpenLineage of the data that it looked at: an assertion for each rule, and what was measured of its columns.

The OpenLineage provider asks an operator for it when its task has ended, well or not (``get_openlineage_facets_on_complete``, in
``airflow.providers.openlineage.extractors.base``). It and its classes are imported then: without the provider nothing asks.
Facets: OpenLineage specification, DataQualityAssertionsDatasetFacet, DataQualityMetricsInputDatasetFacet, SchemaDatasetFacet,
DatasetVersionDatasetFacet.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final

from emr_pipelines.quality import Gate, QualityResult, RuleResult, severity
from emr_pipelines.quality.ruleset import unquoted

_STRING = r'"(?:[^"\\]|\\.)*"'
_ONE_COLUMN: Final = re.compile(rf"(\w+) ({_STRING})(?! {_STRING})")
_METRICS: Final[Mapping[str, tuple[str, Callable[[float, int], float]]]] = {
    "IsComplete": ("nullCount", lambda share, rows: round((1 - share) * rows)),
    "Completeness": ("nullCount", lambda share, rows: round((1 - share) * rows)),
    "DistinctValuesCount": ("distinctCount", lambda count, _: round(count)),
    "Sum": ("sum", lambda total, _: total),
}
"""Rule type -> the metric of a column that its measure is, and how it follows from the value and the number of rows."""


def lineage_of(result: QualityResult | None, address: str) -> Any:
    """Return what the provider's extractor asks of a check; ``None`` when it found nothing that could be told.

    :param address: the dataset's, ``s3://<bucket>/<prefix>/``, under which jobs that write or publish it tell of it, too.
    """
    if result is None:
        return None
    extractors = import_module("airflow.providers.openlineage.extractors")
    events = import_module("openlineage.client.event_v2")
    namespace, name = dataset_name(address)
    facets, input_facets = facets_of(result)
    return extractors.OperatorLineage(
        inputs=[events.InputDataset(namespace, name, inputFacets=input_facets, facets=facets)]
    )


def dataset_name(address: str) -> tuple[str, str]:
    """Return OpenLineage's namespace and name of a dataset in S3: ``s3://<bucket>`` and the prefix (specification, "Dataset Naming")."""
    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    return f"s3://{bucket}", prefix.strip("/") or "/"


def facets_of(result: QualityResult) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the facets of the dataset that a check looked at, and those of this look at it."""
    facets = import_module("openlineage.client.facet_v2")
    metrics = facets.data_quality_metrics_input_dataset
    columns = {name: metrics.ColumnMetrics(**found) for name, found in column_metrics(result).items()}
    fields = [facets.schema_dataset.SchemaDatasetFacetFields(one["name"], one["type"]) for one in result.schema]
    return (
        {
            "schema": facets.schema_dataset.SchemaDatasetFacet(fields),
            "version": facets.dataset_version_dataset.DatasetVersionDatasetFacet(result.data),
        },
        {
            "dataQualityAssertions": facets.data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(
                [_assertion(facets, rule, result) for rule in result.rules]
            ),
            "dataQualityMetrics": metrics.DataQualityMetricsInputDatasetFacet(columns, result.rows),
        },
    )


def column_metrics(result: QualityResult) -> dict[str, dict[str, float]]:
    """Return what was measured of whole columns, by column, under the names that OpenLineage has for it.

    What was measured of the rows that meet a ``where`` alone says nothing of a column.
    """
    found: dict[str, dict[str, float]] = {}
    for measure, value in result.measures.items():
        match = _ONE_COLUMN.fullmatch(measure)
        if match and match[1] in _METRICS:
            metric, of = _METRICS[match[1]]
            found.setdefault(unquoted(match[2]), {})[metric] = of(value, result.rows)
    return found


def column_of(rule: str, schema: tuple[Mapping[str, Any], ...]) -> str | None:
    """Return the column that a rule is about; ``None`` for one about several, or about something else."""
    match = _ONE_COLUMN.match(rule)
    column = unquoted(match[2]) if match else None
    return column if column in [one["name"] for one in schema] else None


def _assertion(facets: Any, rule: RuleResult, result: QualityResult) -> Any:
    word = re.match(r"\w+", rule.rule)
    weight = severity(rule)
    return facets.data_quality_assertions_dataset.Assertion(
        assertion=word[0] if word else "Composite",
        success=rule.outcome == "Passed",
        column=column_of(rule.rule, result.schema),
        severity="error" if weight is Gate.FAIL else str(weight),
        name=rule.rule,
        description=rule.reason,
        expected=rule.bound,
        actual=None if rule.measured is None else f"{rule.measured:.10g}",
    )
