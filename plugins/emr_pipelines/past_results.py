"""What earlier quality checks of a dataset measured: where results lie in S3, and how those of earlier partitions are found.

    s3://<data bucket>/quality-results/<dataset>/<partition>/<key of the job run>.json

The newest result of a partition is the one that S3 has got last. Partitions come one after another as people order them: ``9`` before
``10``, and days by date.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from operator import itemgetter
from typing import Any, Final
from urllib.parse import quote, unquote

from emr_pipelines.quality import QualityResult, ResultError, Rule, Ruleset, parse_results
from emr_pipelines.quality.ruleset import Arithmetic, Call, Composite, Operand

logger = logging.getLogger(__name__)

FOLDER: Final = "quality-results"
_CHECKS: Final = 5
"""Results of one partition that are read at most, where the newest lacks a measure: another check may have taken it."""
_FURTHER: Final = 3
"""Times as many partitions as are needed that are read when some of them lack a value."""
SHOWN: Final = 7
"""Values that a trend shows, this one included: a week of daily partitions."""


def result_address(bucket: str, dataset: str, partition: str, key_id: str) -> str:
    """Return where the result of a check lies: for one job run always the same.

    :param dataset: the dataset's name; ``<dag>.<task>`` for a check of data that is none.
    :param partition: the partition's value; what else tells the runs of the check apart, such as the logical date.
    """
    return f"s3://{bucket}/{_prefix(dataset)}{_encoded(partition)}/{key_id}.json"


def earlier_measures(
    s3: Any, bucket: str, dataset: str, partition: str, needed: Mapping[str, int]
) -> dict[str, list[float]]:
    """Return what was measured of the partitions before this one: measure -> values, that of the nearest partition first.

    Of each partition the newest result that has a measure counts; this partition's own and those of later ones never do. Where a
    measure was not taken, for want of a column that day for example, the partition before it counts instead.

    Calls: one ListObjectsV2 for each thousand results of the dataset, and a GetObject for each partition that is read: as many as
    the greatest number needed, and where values are missing at most three times as many; none when nothing is needed.

    :param needed: how many values of which measures, as ``depth_needed`` says.
    """
    measures: dict[str, list[float]] = {}
    if not needed:
        return measures
    results = _results(s3, bucket, _prefix(dataset))
    before = sorted((one for one in results if in_order(one) < in_order(partition)), key=in_order, reverse=True)
    for one in before[: _FURTHER * max(needed.values())]:
        taken: dict[str, float] = {}
        for result in _readable(s3, bucket, results[one][-_CHECKS:]):
            taken = result.measures | taken
            if set(needed) <= set(taken):
                break
        for measure, value in taken.items():
            measures.setdefault(measure, []).append(value)
        if all(len(measures.get(measure, [])) >= count for measure, count in needed.items()):
            break
    return measures


def earlier_result(s3: Any, address: str, source: str) -> QualityResult | None:
    """Return the newest readable result of the same partition and ruleset before the one at this address; ``None`` for the first.

    Calls: one ListObjectsV2, and a GetObject for each result until one is of that ruleset.
    """
    bucket, _, this = address.removeprefix("s3://").partition("/")
    keys = _keys(s3, bucket, this.rpartition("/")[0] + "/")
    before = _readable(s3, bucket, (keys[: keys.index(this)] if this in keys else keys)[-_CHECKS:])
    return next((result for result in before if result.source == source), None)


def depth_needed(ruleset: Ruleset) -> dict[str, int]:
    """Return how many earlier values of each measure a ruleset's dynamic rules need: the greatest ``last(n)``; empty when none does."""
    needed: dict[str, int] = {}
    for rule in _rules(ruleset.rules):
        depth = max((_depth(operand) for operand in _operands(rule)), default=0)
        if depth > needed.get(rule.measure, 0):
            needed[rule.measure] = depth
    return needed


def changed_since(earlier: QualityResult, now: QualityResult) -> list[str]:
    """Say what another check of the same partition found otherwise than the one before, a line for each rule; empty for nothing."""
    before = {rule.rule: rule for rule in earlier.rules}
    lines = [] if earlier.rows == now.rows else [f"{earlier.rows:,} rows became {now.rows:,}"]
    for rule in now.rules:
        was = before.pop(rule.rule, None)
        if was is None:
            lines.append(f"{rule.rule}: is new, {rule.outcome}")
        elif (was.outcome, was.measured) != (rule.outcome, rule.measured):
            values = f"measured {_number(was.measured)}, now {_number(rule.measured)}"
            lines.append(f"{rule.rule}: was {was.outcome}, is {rule.outcome}; {values}")
    return lines + [f"{rule}: is no longer checked" for rule in before]


def trend(earlier: Mapping[str, Sequence[float]], now: Mapping[str, float]) -> list[str]:
    """Lay out the last values of each measure as lines of text, oldest first and this one last; nothing for what has no past.

    :param earlier: as ``earlier_measures`` returns it.
    """
    rows = [
        (measure, [_number(one) for one in [*reversed(earlier[measure][: SHOWN - 1]), value]])
        for measure, value in now.items()
        if earlier.get(measure)
    ]
    widest = max((len(measure) for measure, _ in rows), default=0)
    return [f"{measure.ljust(widest)}  {' -> '.join(values)}" for measure, values in rows]


def in_order(partition: str) -> list[Any]:
    """Return what partitions are sorted by: their values, numbers within them by size."""
    return [int(part) if place % 2 else part for place, part in enumerate(re.split(r"([0-9]+)", partition))]


def _prefix(dataset: str) -> str:
    return f"{FOLDER}/{_encoded(dataset)}/"


def _encoded(text: str) -> str:
    """Encode a text as one part of a key: also ``..``, which clients take for a way up."""
    return quote(text, safe="") if text.strip(".") else text.replace(".", "%2E")


def _results(s3: Any, bucket: str, prefix: str) -> dict[str, list[str]]:
    """List the keys of a dataset's results by partition, oldest first."""
    results: dict[str, list[str]] = {}
    for key in _keys(s3, bucket, prefix):
        partition, slash, _ = key.removeprefix(prefix).partition("/")
        if slash:
            results.setdefault(unquote(partition), []).append(key)
    return results


def _keys(s3: Any, bucket: str, prefix: str) -> list[str]:
    """List the keys of results, oldest first."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    found = [one for page in pages for one in page.get("Contents", []) if one["Key"].endswith(".json")]
    return [one["Key"] for one in sorted(found, key=itemgetter("LastModified"))]


def _readable(s3: Any, bucket: str, keys: Sequence[str]) -> Iterator[QualityResult]:
    """Read results, given oldest first, the newest first; what is no result is told, and must not fail a check."""
    for key in reversed(keys):
        try:
            yield parse_results(s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode())
        except (ResultError, UnicodeDecodeError, s3.exceptions.NoSuchKey) as error:
            logger.warning("The earlier result s3://%s/%s is passed over: %s", bucket, key, error)


def _rules(rules: Iterable[Rule | Composite]) -> Iterator[Rule]:
    for rule in rules:
        if isinstance(rule, Composite):
            yield from _rules(rule.rules)
        else:
            yield rule


def _operands(rule: Rule) -> Iterator[Operand]:
    for condition in (rule.condition, *rule.tags.values()):
        if condition is not None:
            yield from condition.operands


def _depth(operand: Operand) -> int:
    match operand:
        case Call("last", (Decimal() as count,)):
            return int(count)
        case Call("last"):
            return 1
        case Call():
            return max((_depth(argument) for argument in operand.arguments), default=0)
        case Arithmetic():
            return max(_depth(operand.left), _depth(operand.right))
    return 0


def _number(measured: float | None) -> str:
    return "nothing" if measured is None else f"{measured:,.10g}"
