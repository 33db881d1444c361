"""Requests to Glue Data Quality, and its answer as a result like any other: the form of a result knows no engine.

Pure: parameters for the methods of boto3's ``glue`` client of the same names, and what its ``get_data_quality_result`` returns. They
are checked against botocore's model of the service, and have not been sent to it from here.
Source: AWS Glue Web API Reference, "Data Quality API".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from emr_pipelines.quality.dqdl import parse_ruleset
from emr_pipelines.quality.results import Measured, Outcome, QualityResult, ResultError, RuleResult
from emr_pipelines.quality.ruleset import Composite, Rule, Ruleset, RulesetError

_LONGEST: Final = 65536
_OUTCOMES: Final[Mapping[str, Outcome]] = {"PASS": "Passed", "FAIL": "Failed", "ERROR": "Error"}


@dataclass(frozen=True)
class GlueTable:
    """A table of the Glue Data Catalog, or some of its partitions.

    :param catalog: the account that has the catalogue; ``None`` for the caller's.
    :param partitions: Spark SQL about partition columns, such as ``dt = '2013-01-15'``; ``None`` for all.
    """

    database: str
    name: str
    catalog: str | None = None
    partitions: str | None = None

    def __str__(self) -> str:
        return f"{self.database}.{self.name}" + (f" where {self.partitions}" if self.partitions else "")


@dataclass(frozen=True)
class GlueRuleset:
    """A ruleset as Glue keeps and evaluates it.

    :param name: its name in Glue.
    :param references: the tables that its aliases stand for.
    """

    name: str
    ruleset: Ruleset
    references: Mapping[str, GlueTable] = field(default_factory=dict)

    def create(
        self, key: str, *, target: GlueTable | None = None, tags: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Build the parameters of ``create_data_quality_ruleset``.

        :param key: names the request, so that it is carried out once however often it is sent.
        :param target: the table that the ruleset is about.
        :raises RulesetError: a rule uses earlier results, which Glue keeps for its own ETL jobs only, or the text is too long.
        """
        request: dict[str, Any] = {"Name": self.name, "Ruleset": _text(self.ruleset), "ClientToken": key}
        if target:
            request["TargetTable"] = _named(target)
        if tags:
            request["Tags"] = dict(tags)
        return request

    def start(self, key: str, *, data: GlueTable, role: str, results: str | None = None) -> dict[str, Any]:
        """Build the parameters of ``start_data_quality_ruleset_evaluation_run``.

        :param key: as for :meth:`create`.
        :param role: the role, by name or ARN, that Glue reads the tables with.
        :param results: folder in S3 that gets the results as files too.
        :raises ValueError: an alias stands for no table.
        """
        if missing := [alias for alias in self.ruleset.references if alias not in self.references]:
            raise ValueError(
                f"No table for {', '.join(missing)}, which {self.ruleset.source} reads: name it in references."
            )
        options = {"ResultsS3Prefix": results} if results else {}
        request: dict[str, Any] = {
            "DataSource": {"GlueTable": _source(data)},
            "Role": role,
            "RulesetNames": [self.name],
            "ClientToken": key,
            "AdditionalRunOptions": {"CompositeRuleEvaluationMethod": "COLUMN", **options},
        }
        if self.ruleset.references:
            request["AdditionalDataSources"] = {
                alias: {"GlueTable": _source(self.references[alias])} for alias in self.ruleset.references
            }
        return request


def read_data_quality_result(answer: Mapping[str, Any]) -> QualityResult:
    """Read what ``get_data_quality_result`` returned.

    :raises ResultError: it holds no rule, or an outcome that Glue does not document.
    """
    rules = tuple(_rule_result(rule) for rule in answer.get("RuleResults") or ())
    if not rules:
        raise ResultError("Glue's result holds no rule: nothing was checked. Run the evaluation again.")
    started, completed = answer.get("StartedOn"), answer.get("CompletedOn")
    return QualityResult(
        source=str(answer.get("RulesetName", "")),
        data=str(_table(answer)),
        rows=_rows(answer),
        seconds=(completed - started).total_seconds() if started and completed else 0.0,
        rules=rules,
        analyzers=tuple(one for analyzer in answer.get("AnalyzerResults") or () for one in _measured(analyzer)),
    )


def _rules(entries: tuple[Rule | Composite, ...]) -> Iterator[Rule]:
    for entry in entries:
        if isinstance(entry, Rule):
            yield entry
        else:
            yield from _rules(entry.rules)


def _text(ruleset: Ruleset) -> str:
    for rule in _rules(ruleset.rules):
        if any(condition.dynamic for condition in (rule.condition, *rule.tags.values()) if condition):
            raise RulesetError(
                f"{rule} uses earlier results, which Glue knows within its own ETL jobs only; write a fixed bound",
                ruleset.source,
                rule.line,
                rule.column,
            )
    text = str(ruleset)
    if len(text) > _LONGEST:
        message = f"{len(text)} characters are too many for Glue, which takes {_LONGEST}; make several rulesets"
        raise RulesetError(message, ruleset.source, 1, 1)
    return text


def _named(table: GlueTable) -> dict[str, Any]:
    told = {"DatabaseName": table.database, "TableName": table.name}
    return {**told, "CatalogId": table.catalog} if table.catalog else told


def _source(table: GlueTable) -> dict[str, Any]:
    told = _named(table)
    return {**told, "AdditionalOptions": {"pushDownPredicate": table.partitions}} if table.partitions else told


def _table(answer: Mapping[str, Any]) -> GlueTable:
    told = answer.get("DataSource", {}).get("GlueTable", {})
    options = told.get("AdditionalOptions", {})
    return GlueTable(
        told.get("DatabaseName", ""), told.get("TableName", ""), told.get("CatalogId"), options.get("pushDownPredicate")
    )


def _rows(answer: Mapping[str, Any]) -> int:
    """Find how many rows Glue saw: it says so with row-level results, or where a rule or an analyzer counted them; else 0."""
    if total := answer.get("AggregatedMetrics", {}).get("TotalRowsProcessed"):
        return int(total)
    told = (*answer.get("RuleResults", ()), *answer.get("AnalyzerResults", ()))
    counts = (one.get("EvaluatedMetrics", {}).get("Dataset.*.RowCount") for one in told)
    return int(next((count for count in counts if count is not None), 0))


def _rule_result(rule: Mapping[str, Any]) -> RuleResult:
    outcome = str(rule.get("Result"))
    if outcome not in _OUTCOMES:
        raise ResultError(
            f"Glue's result has the outcome {outcome}, none of {', '.join(_OUTCOMES)}. Look at it in Glue."
        )
    text = rule.get("Description") or rule.get("EvaluatedRule") or rule.get("Name", "")
    measured = _judged(rule.get("EvaluatedMetrics", {}))
    written = _written(text)
    simple = written if isinstance(written, Rule) else None
    bound = (simple.threshold or simple.condition) if simple else None
    return RuleResult(
        rule=text,
        outcome=_OUTCOMES[outcome],
        measured=measured,
        bound=str(bound or ""),
        reason=rule.get("EvaluationMessage", ""),
        measure=simple.measure if simple and measured is not None else None,
        labels=dict(rule.get("Labels", {})),
    )


def _written(text: str) -> Rule | Composite | None:
    """Read a rule's text; ``None`` for one of a type that only Glue runs."""
    try:
        return parse_ruleset(f"Rules = [ {text} ]", "Glue").rules[0]
    except RulesetError:
        return None


def _judged(metrics: Mapping[str, float]) -> float | None:
    """Find the value that was compared: the only one, or how many of the rows complied."""
    compliance = [value for name, value in metrics.items() if name.endswith("Compliance")]
    values = compliance or list(metrics.values())
    return values[0] if len(values) == 1 else None


def _measured(analyzer: Mapping[str, Any]) -> Iterator[Measured]:
    text, reason = analyzer.get("Description") or analyzer.get("Name", ""), analyzer.get("EvaluationMessage", "")
    metrics = analyzer.get("EvaluatedMetrics", {})
    if len(metrics) <= 1:
        yield Measured(text, next(iter(metrics.values()), None), reason)
    else:
        yield from (Measured(name, value, reason) for name, value in metrics.items())
