"""Evaluates a plan of data quality checks in one scan of the data, and writes what it found as JSON.

    spark-submit quality_check.py --plan s3://b/plan.json --data s3://b/flights/dt=2013-01-15/ --format parquet
                                  --result s3://b/result.json

Exits with 0 when rules fail: whoever reads the result decides. Fails when the data or the plan cannot be read.
Plain pyspark 3.3 or later and Python 3.9: this file runs alone on any EMR release from 6.10 on.
"""

import argparse
import json
import operator
import time
from fractions import Fraction
from typing import Any, Callable, Dict, List, Optional, Tuple

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  # the name that Spark's own guide gives it
from pyspark.sql.types import ArrayType, DataType, DateType, MapType, NumericType, StringType, StructType, TimestampType
from pyspark.sql.utils import AnalysisException, ParseException

NESTED = (ArrayType, MapType, StructType)
COMPARISONS: Dict[str, Callable[..., bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "in": lambda value, *among: value in among,
    "not in": lambda value, *among: value not in among,
    # both ends excluded, as in AWS Glue
    "between": lambda value, low, high: low < value < high,
    "not between": lambda value, low, high: not low < value < high,
}


def main() -> None:
    """Read the plan and the data, measure, judge, write."""
    arguments = parse_arguments()
    started = time.monotonic()
    # dates are UTC's; what cannot be converted is NULL and meets no condition, whatever Spark's version has as default
    spark = (
        SparkSession.builder.appName("quality_check")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.ansi.enabled", "false")
        .getOrCreate()
    )
    plan = json.loads(read_text(spark, arguments.plan))
    if plan["version"] != 1:
        raise ValueError(f"This job reads plans of version 1; {arguments.plan} has version {plan['version']}")
    frame = read_data(spark, arguments.data, arguments.format)
    checks = [(check, unmeasurable(spark, frame, plan, check)) for check in plan["checks"]]
    measured = measure(frame, plan, [check for check, reason in checks if not reason])
    result = {
        "version": 1,
        "source": plan["source"],
        "data": arguments.data,
        "rows": measured["rows"],
        "seconds": round(time.monotonic() - started, 3),
        "rules": [judge(check, measured, reason) for check, reason in checks],
    }
    write_text(spark, arguments.result, json.dumps(result, indent=1, ensure_ascii=False))
    for rule in result["rules"]:
        print(f"{rule['outcome']:6} {rule['rule']}: {rule['reason']}")
    spark.stop()


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", required=True, help="address of the plan, JSON")
    parser.add_argument("--data", required=True, help="address of the folder that holds the data")
    parser.add_argument("--format", default="parquet", help="format of the data, as Spark names it")
    parser.add_argument("--result", required=True, help="address to write the result to, JSON")
    return parser.parse_args()


def read_data(spark: SparkSession, address: str, data_format: str) -> DataFrame:
    """Read the data; a folder that is not there, or holds no file, is an error and not an empty dataset."""
    path = spark._jvm.org.apache.hadoop.fs.Path(address)  # noqa: SLF001  # Hadoop is reached through the JVM only
    file_system = path.getFileSystem(spark._jsc.hadoopConfiguration())  # noqa: SLF001  # likewise
    recursive = True
    if not (file_system.exists(path) and file_system.listFiles(path, recursive).hasNext()):
        raise FileNotFoundError(
            f"There is no data at {address}: the task that writes it has not run, or writes elsewhere"
        )
    reader = spark.read.format(data_format)
    return (reader.option("header", "true") if data_format == "csv" else reader).load(address)


def unmeasurable(spark: SparkSession, frame: DataFrame, plan: Dict[str, Any], check: Dict[str, Any]) -> Optional[str]:
    """Say why a check cannot be evaluated on this data; ``None`` when it can."""
    types = {field.name: field.dataType for field in frame.schema.fields}
    for column in check["columns"]:
        name, kind = column["name"], column["kind"]
        if name not in types:
            return f"there is no column {name}; there are {', '.join(types)}"
        if not suits(types[name], kind):
            return f"column {name} is of type {types[name].simpleString()}; this condition needs a {kind}"
    try:
        if check["pattern"]:
            spark._jvm.java.util.regex.Pattern.compile(check["pattern"])  # noqa: SLF001  # only the JVM knows its syntax
        if check["where"]:
            F.expr(check["where"])  # it must be one expression, not the end of one and the start of another
        frame.agg(*aggregates(plan, [check]))  # analysed, not run
    except (AnalysisException, ParseException) as error:
        return first_line(error)
    except Exception as error:  # noqa: BLE001  # py4j's, which the pattern raised
        return f"the pattern cannot be read: {first_line(getattr(error, 'java_exception', error))}"
    return None


def suits(data_type: DataType, kind: str) -> bool:
    """Tell whether a column of this type can be compared as numbers, dates or text."""
    if kind == "number":
        return isinstance(data_type, NumericType)
    if kind == "date":
        return isinstance(data_type, (DateType, TimestampType, StringType)) or data_type.typeName() == "timestamp_ntz"
    return kind == "any" or not isinstance(data_type, NESTED)


def aggregates(plan: Dict[str, Any], checks: List[Dict[str, Any]]) -> List[Any]:
    """List the aggregates that some checks need, ``rows`` always."""
    names = {check[key] for check in checks for key in ("measured", "share_of")} - {None} | {"rows"}
    return [F.expr(plan["aggregates"][name]).alias(name) for name in sorted(names)]


def measure(frame: DataFrame, plan: Dict[str, Any], checks: List[Dict[str, Any]]) -> Dict[str, int]:
    """Evaluate all aggregates in one job over the data."""
    return frame.agg(*aggregates(plan, checks)).first().asDict()


def judge(check: Dict[str, Any], measured: Dict[str, int], reason: Optional[str]) -> Dict[str, Any]:
    """Judge one check by what was measured. Shares are compared as fractions, so 19 of 20 is 0.95 exactly."""
    bound = check["condition"]["text"]
    result = {"rule": check["rule"], "bound": bound, "measured": None}
    if reason:
        return {**result, "outcome": "Error", "reason": reason}
    value, seen = seen_value(check, measured)
    if value is None:
        return {**result, "outcome": "Failed", "reason": f"no {check['unit']}: what is not there meets no promise"}
    operands = [Fraction(operand) for operand in check["condition"]["operands"]]
    passed = COMPARISONS[check["condition"]["operator"]](value, *operands)
    number = float(value) if check["share_of"] else int(value)
    reason = seen if passed else f"{seen}; needs {bound}"
    return {**result, "measured": number, "outcome": "Passed" if passed else "Failed", "reason": reason}


def seen_value(check: Dict[str, Any], measured: Dict[str, int]) -> Tuple[Optional[Fraction], str]:
    """Give the value to compare, ``None`` for a share of nothing, and say it in words."""
    count = measured[check["measured"]]
    if check["share_of"] is None:
        return Fraction(count), f"{count} {check['unit']}"
    whole = measured[check["share_of"]]
    return Fraction(count, whole) if whole else None, f"{count} of {whole} {check['unit']}"


def read_text(spark: SparkSession, address: str) -> str:
    """Read a small text through Hadoop, which reaches S3 with the cluster's own credentials."""
    path = spark._jvm.org.apache.hadoop.fs.Path(address)  # noqa: SLF001  # Hadoop is reached through the JVM only
    stream = path.getFileSystem(spark._jsc.hadoopConfiguration()).open(path)  # noqa: SLF001  # likewise
    try:
        return spark._jvm.org.apache.commons.io.IOUtils.toString(stream, "UTF-8")  # noqa: SLF001  # likewise
    finally:
        stream.close()


def write_text(spark: SparkSession, address: str, text: str) -> None:
    """Write a small text through Hadoop in one piece, over what was there."""
    path = spark._jvm.org.apache.hadoop.fs.Path(address)  # noqa: SLF001  # Hadoop is reached through the JVM only
    overwrite = True
    stream = path.getFileSystem(spark._jsc.hadoopConfiguration()).create(path, overwrite)  # noqa: SLF001  # likewise
    try:
        stream.write(bytearray(text, "utf-8"))
    finally:
        stream.close()


def first_line(error: Any) -> str:
    """Shorten Spark's message to its cause."""
    return str(getattr(error, "desc", None) or error).strip().splitlines()[0]


if __name__ == "__main__":
    main()
