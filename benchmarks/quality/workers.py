"""One way to measure the flights: started once, then asked again and again, so that each has its own warm Spark.

    python benchmarks/quality/workers.py ours|by-hand|great-expectations FOLDER

For each line on standard input it measures FOLDER's flights once and answers with a line of JSON: ``seconds``, and ``measured`` or
``passed``. Each way imports what it needs only where it needs it: they have different environments.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

KEY = ["year", "month", "day", "carrier", "flight", "origin", "sched_dep_time"]


def ours(spark: Any, folder: str) -> Callable[[], dict[str, Any]]:
    """Run the job of a quality check, from reading the plan to writing the result."""
    import quality_check  # noqa: PLC0415  # of include/jobs, and of this way only

    arguments = argparse.Namespace(
        plan=f"file://{folder}/plan.json", data=f"file://{folder}/flights", result=f"file://{folder}/result.json"
    )
    arguments.__dict__.update(format="parquet", history=None, reference=[], quarantine=None, good=None)

    def run() -> dict[str, Any]:
        result = quality_check.check(spark, arguments)
        quality_check.write_text(spark, arguments.result, json.dumps(result))
        if any(rule["outcome"] != "Passed" for rule in result["rules"]):
            raise SystemExit(f"a rule did not pass: {result}")
        return {"measured": [rule["measured"] for rule in result["rules"]]}

    return run


def by_hand(spark: Any, folder: str) -> Callable[[], dict[str, Any]]:
    """Take the same measures in one aggregation, as one writes it by hand."""
    from pyspark.sql import functions as F  # noqa: N812, PLC0415  # the name that Spark's own guide gives it; of this way only

    def count(condition: Any) -> Any:
        return F.count(F.when(condition, 1))

    def share(condition: Any) -> Any:
        return count(condition) / F.count(F.lit(1))

    def run() -> dict[str, Any]:
        flights = spark.read.parquet(f"file://{folder}/flights")
        row = flights.agg(
            F.count(F.lit(1)),
            F.lit(len(flights.columns)),
            *[
                share(F.col(name).isNotNull())
                for name in ("carrier", "flight", "time_hour", "tailnum", "dep_delay", "arr_delay")
            ],
            share(F.col("origin").isin("EWR", "JFK", "LGA")),
            share((F.col("month") > 0) & (F.col("month") < 13)),  # noqa: PLR2004  # as in the rules
            share(F.col("hour") < 24),  # noqa: PLR2004  # likewise
            share(F.col("carrier").rlike("^[A-Z0-9]{2}$")),
            share(F.col("dep_delay") <= 180),  # noqa: PLR2004  # likewise
            share(F.length("dest") == 3),  # noqa: PLR2004  # likewise
            F.avg("air_time"),
            F.stddev_pop("distance"),
            F.sum("distance"),
            F.countDistinct("carrier"),
            F.countDistinct("tailnum"),
            F.countDistinct(*KEY) / F.count(F.lit(1)),
        ).first()
        return {"measured": list(row)}

    return run


def great_expectations(spark: Any, folder: str) -> Callable[[], dict[str, Any]]:
    """Validate the same expectations, with the least that Great Expectations can tell of each: whether it is met."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx  # noqa: PLC0415  # only its own environment has it

    e = gx.expectations
    suite = gx.ExpectationSuite(
        "flights",
        expectations=[
            e.ExpectTableRowCountToBeBetween(min_value=300_000, max_value=400_000),
            e.ExpectTableColumnCountToEqual(value=19),
            *[e.ExpectColumnValuesToNotBeNull(column=name) for name in ("carrier", "flight", "time_hour")],
            *[
                e.ExpectColumnValuesToNotBeNull(column=name, mostly=0.95)
                for name in ("tailnum", "dep_delay", "arr_delay")
            ],
            e.ExpectColumnValuesToBeInSet(column="origin", value_set=["EWR", "JFK", "LGA"]),
            e.ExpectColumnValuesToBeBetween(
                column="month", min_value=0, max_value=13, strict_min=True, strict_max=True
            ),
            e.ExpectColumnValuesToBeBetween(column="hour", max_value=24, strict_max=True),
            e.ExpectColumnValuesToMatchRegex(column="carrier", regex="^[A-Z0-9]{2}$"),
            e.ExpectColumnValuesToBeBetween(column="dep_delay", max_value=180, mostly=0.9),
            e.ExpectColumnValueLengthsToEqual(column="dest", value=3),
            e.ExpectColumnMeanToBeBetween(column="air_time", min_value=100, max_value=200),
            e.ExpectColumnStdevToBeBetween(column="distance", min_value=700, max_value=800),
            e.ExpectColumnSumToBeBetween(column="distance", min_value=1_000_000),
            e.ExpectColumnUniqueValueCountToBeBetween(column="carrier", min_value=16, max_value=16),
            e.ExpectColumnUniqueValueCountToBeBetween(column="tailnum", min_value=4000),
            e.ExpectCompoundColumnsToBeUnique(column_list=KEY),
        ],
    )
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_spark("spark").add_dataframe_asset("flights")
    definition = asset.add_batch_definition_whole_dataframe("all")

    def run() -> dict[str, Any]:
        batch = definition.get_batch({"dataframe": spark.read.parquet(f"file://{folder}/flights")})
        result = batch.validate(suite, result_format="BOOLEAN_ONLY")
        if not result.success:
            raise SystemExit(f"an expectation is not met: {result}")
        return {"passed": len(result.results)}

    return run


WAYS = {"ours": ours, "by-hand": by_hand, "great-expectations": great_expectations}


def main() -> None:
    """Start Spark, then measure once for each line."""
    way, folder = sys.argv[1:]
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "include" / "jobs"))
    from pyspark.sql import SparkSession  # noqa: PLC0415  # the path must be set before

    answers, sys.stdout = sys.stdout, sys.stderr
    spark = SparkSession.builder.config("spark.sql.session.timeZone", "UTC").getOrCreate()
    run = WAYS[way](spark, folder)
    for _ in sys.stdin:
        before = time.perf_counter()
        told = run()
        seconds = time.perf_counter() - before
        # Great Expectations keeps what it read in memory: the next time must not be a reading of that
        spark.catalog.clearCache()
        answers.write(json.dumps({"seconds": seconds, **told}) + "\n")
        answers.flush()
    spark.stop()


if __name__ == "__main__":
    main()
