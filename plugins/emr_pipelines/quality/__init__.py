"""Data quality: DQDL rulesets compiled to a plan of checks, and the decision on what the checks found.

Imports neither Airflow, boto3 nor Spark.
"""

from emr_pipelines.quality.dqdl import parse_ruleset
from emr_pipelines.quality.gate import Decision, Gate, decide, question, severity, strictest
from emr_pipelines.quality.plan import Check, Plan, compile_plan
from emr_pipelines.quality.results import (
    SEVERITY,
    Measured,
    Outcome,
    QualityResult,
    Quarantine,
    ResultError,
    RuleResult,
    format_table,
    parse_results,
)
from emr_pipelines.quality.ruleset import Rule, Ruleset, RulesetError, RuleType

__all__ = [
    "SEVERITY",
    "Check",
    "Decision",
    "Gate",
    "Measured",
    "Outcome",
    "Plan",
    "QualityResult",
    "Quarantine",
    "ResultError",
    "Rule",
    "RuleResult",
    "RuleType",
    "Ruleset",
    "RulesetError",
    "compile_plan",
    "decide",
    "format_table",
    "parse_results",
    "parse_ruleset",
    "question",
    "severity",
    "strictest",
]
