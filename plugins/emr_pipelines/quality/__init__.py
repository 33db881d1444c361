"""Data quality: DQDL rulesets compiled to a plan of checks, and the decision on what the checks found.

Imports neither Airflow, boto3 nor Spark.
"""

from emr_pipelines.quality.dqdl import parse_ruleset
from emr_pipelines.quality.plan import Check, Plan, compile_plan
from emr_pipelines.quality.results import (
    Decision,
    Outcome,
    QualityResult,
    ResultError,
    RuleResult,
    decide,
    format_table,
    parse_results,
)
from emr_pipelines.quality.ruleset import Rule, Ruleset, RulesetError, RuleType

__all__ = [
    "Check",
    "Decision",
    "Outcome",
    "Plan",
    "QualityResult",
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
]
