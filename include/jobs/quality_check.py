"""Evaluates a plan of data quality checks, as far as possible in one scan of the data, and writes what it found as JSON.

    spark-submit quality_check.py --plan s3://b/plan.json --data s3://b/flights/dt=2013-01-15/ --format parquet
                                  --result s3://b/result.json [--history s3://b/history.json]
                                  [--reference carriers=s3://b/carriers/ ...]
                                  [--quarantine s3://b/bad/ [--good s3://b/good/]]

Exits with 0 when rules fail: whoever reads the result decides. Fails when the data or the plan cannot be read.
Plain pyspark 3.3 or later and Python 3.9: this file runs alone on any EMR release from 6.10 on.
"""

import argparse
import json
import math
import operator
import time
from decimal import Decimal
from fractions import Fraction
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F  # noqa: N812  # the name that Spark's own guide gives it
from pyspark.sql.types import ArrayType, DataType, DateType, MapType, NumericType, StringType, StructType, TimestampType

NESTED = (ArrayType, MapType, StructType)
OWN = "__quality_"  # what the columns begin with that a plan's SQL finds beside the data's own
FAILED = "failed_rules"
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


class UnmeasurableError(Exception):
    """Why a number cannot be had; the reason of each rule that needs it."""


class Inputs(NamedTuple):
    """What there is to measure.

    :param references: name -> the other dataset, or why it cannot be read.
    :param history: name of a measure -> its earlier values, the newest first.
    """

    spark: SparkSession
    frame: DataFrame
    address: str
    references: Dict[str, Any]
    history: Dict[str, List[float]]


Numbers = Dict[str, Any]
Reasons = Dict[str, str]


def main() -> None:
    """Read the plan and the data, measure, judge, write."""
    arguments = parse_arguments()
    # dates are UTC's; what cannot be converted is NULL and meets no condition, whatever Spark's version has as default
    spark = (
        SparkSession.builder.appName("quality_check")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.ansi.enabled", "false")
        .config("spark.sql.legacy.timeParserPolicy", "CORRECTED")
        .getOrCreate()
    )
    result = check(spark, arguments)
    write_text(spark, arguments.result, json.dumps(result, indent=1, ensure_ascii=False))
    for rule in result["rules"]:
        print(f"{rule['outcome']:6} {rule['rule']}: {rule['reason']}")
    spark.stop()


def parse_arguments(words: Optional[List[str]] = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", required=True, help="address of the plan, JSON")
    parser.add_argument("--data", required=True, help="address of the folder that holds the data")
    parser.add_argument("--format", default="parquet", help="format of the data, as Spark names it")
    parser.add_argument("--result", required=True, help="address to write the result to, JSON")
    parser.add_argument("--history", help="address of earlier values, JSON")
    parser.add_argument("--reference", action="append", default=[], help="alias=address of a dataset to compare with")
    parser.add_argument("--quarantine", help="address to write the rows to that break a rule, Parquet")
    parser.add_argument("--good", help="address to write the other rows to, Parquet; needs --quarantine")
    arguments = parser.parse_args(words)
    if arguments.good and not arguments.quarantine:
        parser.error("--good needs --quarantine: rows that break a rule must go somewhere")
    return arguments


def check(spark: SparkSession, arguments: argparse.Namespace) -> Dict[str, Any]:
    """Evaluate a plan and give the result."""
    started = time.monotonic()
    plan = json.loads(read_text(spark, arguments.plan))
    if plan["version"] != 2:  # noqa: PLR2004  # the version that this file reads
        raise ValueError(f"This job reads plans of version 2; {arguments.plan} has version {plan['version']}")
    if not plan["rules"]:
        raise ValueError(f"{arguments.plan} has no rule: a check of nothing would always pass; add one")
    inputs = read_inputs(spark, arguments)
    numbers, reasons = measure(inputs, plan["numbers"])
    rules = [judge(rule, numbers, reasons, inputs.history) for rule in plan["rules"]]
    return {
        "version": 2,
        "source": plan["source"],
        "data": arguments.data,
        "rows": numbers["rows"],
        "schema": [
            {"name": field.name, "type": field.dataType.simpleString(), "nullable": field.nullable}
            for field in inputs.frame.schema.fields
        ],
        "rules": rules,
        "analyzers": [analyze(one, numbers, reasons) for one in plan["analyzers"]],
        "quarantine": quarantine(inputs, plan, reasons, arguments) if arguments.quarantine else None,
        "seconds": round(time.monotonic() - started, 3),
    }


# --- reading ---


def read_inputs(spark: SparkSession, arguments: argparse.Namespace) -> Inputs:
    """Read the data and what it is compared with; SQL finds it as ``primary`` and by the aliases."""
    frame = read_data(spark, arguments.data, arguments.format)
    frame.createOrReplaceTempView("primary")
    references: Dict[str, Any] = {}
    for word in arguments.reference:
        alias, _, address = word.partition("=")
        try:
            references[alias] = read_data(spark, address, arguments.format)
            references[alias].createOrReplaceTempView(quoted(alias))
        except Exception as error:  # noqa: BLE001  # only the rules that need it are in error
            references[alias] = reason_of(error)
    history = json.loads(read_text(spark, arguments.history))["measures"] if arguments.history else {}
    return Inputs(spark, frame, arguments.data, references, history)


def read_data(spark: SparkSession, address: str, data_format: str) -> DataFrame:
    """Read the data; a folder that is not there, or holds no file, is an error and not an empty dataset."""
    path, file_system = hadoop(spark, address)
    recursive = True
    if not (file_system.exists(path) and file_system.listFiles(path, recursive).hasNext()):
        raise FileNotFoundError(
            f"There is no data at {address}: the task that writes it has not run, or writes elsewhere"
        )
    reader = spark.read.format(data_format)
    try:
        return (reader.option("header", "true") if data_format == "csv" else reader).load(address)
    except Exception as error:
        raise unreadable(address, reason_of(error)) from error


def unreadable(address: str, reason: str) -> OSError:
    """Make the error that says that the data is there but cannot be read."""
    return OSError(f"The data at {address} cannot be read; write it again, or tell its format: {reason}")


# --- measuring ---


def measure(inputs: Inputs, specs: Dict[str, Dict[str, Any]]) -> Tuple[Numbers, Reasons]:
    """Measure all numbers; give those that there are, and of the others the reason."""
    numbers: Numbers = {}
    reasons = {name: reason for name, reason in ((n, unsuited(inputs, spec)) for n, spec in specs.items()) if reason}
    sets: Dict[str, Dict[str, Dict[str, Any]]] = {}
    for name, spec in specs.items():
        if name not in reasons:
            sets.setdefault(set_of(name, spec), {})[name] = spec
    for some in sets.values():
        measured, failed = together(some, lambda these: MEASURES[kind_of(these)](inputs, these))
        numbers.update(measured)
        reasons.update(failed)
    if "rows" in reasons:
        raise unreadable(inputs.address, reasons["rows"])
    return numbers, reasons


def set_of(name: str, spec: Dict[str, Any]) -> str:
    """Tell which numbers are measured by the same query: those with the same answer."""
    if spec["kind"] == "scan":
        return "scan"
    if spec["kind"] == "group":
        return json.dumps([spec["columns"], spec.get("where")])
    return name


def kind_of(specs: Dict[str, Dict[str, Any]]) -> str:
    """Give the kind of some numbers of one kind."""
    return str(next(iter(specs.values()))["kind"])


def together(specs: Dict[str, Any], take: Callable[[Dict[str, Any]], Numbers]) -> Tuple[Numbers, Reasons]:
    """Take numbers in one go; when that fails, each alone, so that one that cannot be had spares the others."""
    try:
        return take(specs), {}
    except Exception as error:  # noqa: BLE001  # whatever Spark, Hadoop or a pattern raises is a rule's reason
        if len(specs) == 1:
            return {}, {name: reason_of(error) for name in specs}
    numbers: Numbers = {}
    reasons: Reasons = {}
    for name, spec in specs.items():
        measured, failed = together({name: spec}, take)
        numbers.update(measured)
        reasons.update(failed)
    return numbers, reasons


def unsuited(inputs: Inputs, spec: Dict[str, Any]) -> Optional[str]:
    """Say why a number cannot be measured on this data, as far as that shows without a query."""
    types = {field.name: field.dataType for field in inputs.frame.schema.fields}
    for name, kind in spec.get("columns", []):
        if name not in types:
            return f"there is no column {name}; there are {', '.join(types)}"
        if not suits(types[name], kind):
            return f"column {name} is of type {types[name].simpleString()}; this condition needs a {kind}"
    alias = spec.get("reference")
    if alias and not isinstance(inputs.references.get(alias), DataFrame):
        return str(inputs.references.get(alias, f"no address was given for the reference {alias}; give it one"))
    try:
        if spec.get("pattern"):
            compiled(inputs.spark, spec["pattern"])
        if spec.get("where"):
            F.expr(spec["where"])  # it must be one expression, not the end of one and the start of another
    except Exception as error:  # noqa: BLE001  # Spark's, or what the pattern raised in the JVM
        return reason_of(error)
    return None


def suits(data_type: DataType, kind: str) -> bool:
    """Tell whether a column of this type can be compared as numbers, dates, text or strings."""
    if kind == "number":
        return isinstance(data_type, NumericType)
    if kind == "date":
        return isinstance(data_type, (DateType, TimestampType, StringType)) or data_type.typeName() == "timestamp_ntz"
    if kind == "string":
        return isinstance(data_type, StringType)
    return kind == "any" or not isinstance(data_type, NESTED)


def scan(inputs: Inputs, specs: Dict[str, Dict[str, Any]]) -> Numbers:
    """Evaluate aggregates in one job over the data."""
    return aggregated(inputs.frame, specs)


def group(inputs: Inputs, specs: Dict[str, Dict[str, Any]]) -> Numbers:
    """Evaluate aggregates of the groups of equal values; one grouping serves all that is asked of it."""
    spec = next(iter(specs.values()))
    rows = inputs.frame.where(spec["where"]) if spec.get("where") else inputs.frame
    return aggregated(rows.groupBy(*columns_of(spec)).agg(F.count(F.lit(1)).alias(OWN + "rows")), specs)


def aggregated(frame: DataFrame, specs: Dict[str, Dict[str, Any]]) -> Numbers:
    """Evaluate aggregates."""
    row = frame.agg(*[F.expr(spec["sql"]).alias(name) for name, spec in specs.items()]).first()
    return row.asDict() if row else {}


def query(inputs: Inputs, specs: Dict[str, Dict[str, Any]]) -> Numbers:
    """Run a query that gives one number."""
    ((name, spec),) = specs.items()
    rows = inputs.spark.sql(spec["sql"]).take(2)
    if len(rows) != 1 or len(rows[0]) != 1:
        shape = f"{len(rows)} rows" if len(rows) == 0 else f"{len(rows[0])} columns, {len(rows)} or more rows"
        raise UnmeasurableError(f"the query must give one number, but gave {shape}")
    if not isinstance(rows[0][0], (int, float, Decimal, type(None))):
        raise UnmeasurableError(f"the query must give one number, but gave {rows[0][0]!r}")
    return {name: rows[0][0]}


def match(inputs: Inputs, specs: Dict[str, Dict[str, Any]]) -> Numbers:
    """Count the rows that find their like."""
    ((name, spec),) = specs.items()
    others, condition = likes(inputs, name, spec)
    return {name: inputs.frame.join(others, condition, "left_semi").count()}


def likes(inputs: Inputs, name: str, spec: Dict[str, Any]) -> Tuple[DataFrame, Any]:
    """Give the rows among which the data's find their like, each once, and when two are alike."""
    keys, same = spec.get("keys", []), spec.get("same")
    reference = inputs.spark.sql(spec["sql"]) if "sql" in spec else inputs.references[spec["reference"]]
    ours = inputs.frame.columns
    if "sql" in spec:
        strange = [column for column in reference.columns if column not in ours]
        if strange:
            raise UnmeasurableError(
                f"the query must give columns of the data, which has no {', '.join(strange)}: it says which rows are good"
            )
    if same is None:
        names = reference.columns if "sql" in spec else [column for column in ours if column not in dict(keys)]
        same = [[column, column] for column in names]
    for one, other in keys + same:
        if one not in ours or other not in reference.columns:
            raise UnmeasurableError(f"there is no column {one if one not in ours else f'{other} in the reference'}")
    if spec.get("distinct"):
        require_keys(inputs.frame, [one for one, _ in keys], "the data")
        require_keys(reference, [other for _, other in keys], "the reference")
    pairs = [(one, other, f"{OWN}{name}_{place}") for place, (one, other) in enumerate(keys + same)]
    others = reference.select(*[F.col(quoted(other)).alias(own) for _, other, own in pairs]).distinct()
    condition = F.lit(True)
    for place, (one, _, own) in enumerate(pairs):
        left, right = F.col(quoted(one)), F.col(own)
        condition = condition & (left == right if place < len(keys) else left.eqNullSafe(right))
    return others, condition


def require_keys(frame: DataFrame, names: List[str], where: str) -> None:
    """Refuse keys that several rows have: which of them are alike could not be told."""
    columns = [F.col(quoted(name)) for name in names]
    twice = frame.groupBy(*columns).count().where("count > 1").take(1)
    if twice:
        raise UnmeasurableError(f"{', '.join(names)} is no key of {where}: {list(twice[0])[:-1]} occurs more than once")


def schema(inputs: Inputs, specs: Dict[str, Dict[str, Any]]) -> Numbers:
    """Count columns: all, of a name, with names like a pattern, or those that a reference has, too."""
    ((name, spec),) = specs.items()
    types = {field.name: field.dataType.simpleString() for field in inputs.frame.schema.fields}
    if spec["kind"] == "exists":
        return {name: int(spec["column"] in types)}
    if spec["kind"] == "named":
        pattern = compiled(inputs.spark, spec["pattern"])
        return {name: sum(bool(pattern.matcher(column).find()) for column in types)}
    if spec["kind"] == "columns":
        return {name: len(types)}
    fields = inputs.references[spec["reference"]].schema.fields
    others = {field.name: field.dataType.simpleString() for field in fields}
    alike = sum(others.get(column) == data_type for column, data_type in types.items())
    return {name: alike if len(types) == len(others) else 0}


def files(inputs: Inputs, specs: Dict[str, Dict[str, Any]]) -> Numbers:
    """Run a query about the files at an address, or about those that were read; hidden ones are none, as Spark has it."""
    ((_, spec),) = specs.items()
    reader = inputs.spark.read.format("binaryFile").option("recursiveFileLookup", "true")
    found = reader.load(spec.get("address") or inputs.frame.inputFiles()).drop("content")
    if spec.get("digest"):
        alike = Window.partitionBy("length")
        sizes = found.withColumn("alike", F.count(F.lit(1)).over(alike)).where("alike > 1").select("path").collect()
        digests = [(row.path, digest(inputs.spark, row.path)) for row in sizes]
        found = found.join(inputs.spark.createDataFrame(digests, "path string, digest string"), "path", "left")
    found.createOrReplaceTempView(OWN + "files")
    return query(inputs, specs)


def digest(spark: SparkSession, address: str) -> str:
    """Take the MD5 of a file, which the JVM reads as a stream: a file may be larger than the memory."""
    path, file_system = hadoop(spark, address)
    stream = file_system.open(path)
    try:
        return str(spark._jvm.org.apache.commons.codec.digest.DigestUtils.md5Hex(stream))  # noqa: SLF001  # only the JVM has the stream
    finally:
        stream.close()


MEASURES: Dict[str, Callable[[Inputs, Dict[str, Dict[str, Any]]], Numbers]] = {
    "scan": scan,
    "group": group,
    "query": query,
    "match": match,
    "files": files,
    **dict.fromkeys(("columns", "exists", "named", "schema"), schema),
}


# --- judging ---


def judge(rule: Dict[str, Any], numbers: Numbers, reasons: Reasons, history: Dict[str, List[float]]) -> Dict[str, Any]:
    """Judge one rule by what was measured. Shares are compared as fractions, so 19 of 20 is 0.95 exactly."""
    if "parts" in rule:
        return combined(rule, [judge(part, numbers, reasons, history) for part in rule["parts"]])
    condition = rule["condition"]
    result = {"rule": rule["rule"], "measure": rule["measure"], "labels": rule["labels"], "bound": condition["text"]}
    try:
        value, seen = seen_value(rule, numbers, reasons)
    except UnmeasurableError as error:
        return {**result, "measured": None, "outcome": "Error", "reason": str(error)}
    if value is None:
        return {**result, "measured": None, "outcome": "Failed", "reason": seen}
    result["measured"] = int(value) if rule["meaning"] == "count" else float(value)
    try:
        operands = [operand_value(operand, history.get(rule["measure"], [])) for operand in condition["operands"]]
    except UnmeasurableError as error:
        return {**result, "outcome": "Error", "reason": f"{seen}; {error}"}
    # earlier values were written as floating point numbers, so that this one must be one, too, to be equal to them
    compared = exactly(float(value)) if condition["dynamic"] else value
    passed = COMPARISONS[condition["operator"]](compared, *operands)
    needs = condition["text"]
    if condition["dynamic"]:
        needs += f" ({', '.join(plain(operand) for operand in operands)})"
    reason = seen if passed else f"{seen}; needs {needs}"
    return {**result, "outcome": "Passed" if passed else "Failed", "reason": reason}


def combined(rule: Dict[str, Any], parts: List[Dict[str, Any]]) -> Dict[str, Any]:
    """Judge rules together; when one of them cannot be evaluated, nothing can be said of them all."""
    passed = sum(part["outcome"] == "Passed" for part in parts)
    enough = passed == len(parts) if rule["operator"] == "and" else passed > 0
    error = any(part["outcome"] == "Error" for part in parts)
    return {
        "rule": rule["rule"],
        "measure": None,
        "labels": rule["labels"],
        "outcome": "Error" if error else "Passed" if enough else "Failed",
        "measured": passed,
        "bound": f"all {len(parts)} rules" if rule["operator"] == "and" else f"one of {len(parts)} rules",
        "reason": f" {rule['operator']} ".join(f"({part['outcome']}: {part['reason']})" for part in parts),
    }


def analyze(one: Dict[str, Any], numbers: Numbers, reasons: Reasons) -> Dict[str, Any]:
    """Tell what was measured for an analyzer."""
    try:
        value, seen = seen_value(one, numbers, reasons)
    except UnmeasurableError as error:
        return {"measure": one["measure"], "measured": None, "reason": str(error)}
    measured = None if value is None else int(value) if one["meaning"] == "count" else float(value)
    return {"measure": one["measure"], "measured": measured, "reason": seen}


def seen_value(rule: Dict[str, Any], numbers: Numbers, reasons: Reasons) -> Tuple[Optional[Fraction], str]:
    """Give the value to compare, ``None`` when there is none, and say it in words."""
    for name in (rule["number"], rule["of"]):
        if name in reasons:
            raise UnmeasurableError(reasons[name])
    number, of, unit = numbers[rule["number"]], numbers.get(rule["of"]), rule["unit"]
    if rule["meaning"] == "count":
        return Fraction(number), f"{number} {unit}"
    if rule["meaning"] == "share":
        return Fraction(number, of) if of else None, seen_share(number, of, unit)
    if number is None or (rule["meaning"] == "ratio" and of is None):
        if number is None and of:
            raise UnmeasurableError(f"the {unit} of {of} values is too large for its type")
        return None, f"no {unit}: what is not there meets no promise"
    if not all(math.isfinite(one) for one in (number, of or 0)):
        return None, f"{unit} is {number}: there is a value that is no finite number"
    value = exactly(number)
    if rule["meaning"] == "number":
        return value, f"{unit} {plain(value)}"
    if of == 0 and number != 0:
        raise UnmeasurableError(f"{unit} is {plain(value)} / 0: division by zero")
    ratio = value / exactly(of) if of else Fraction(1)
    return ratio, f"{unit} = {plain(value)} / {plain(exactly(of))} = {plain(ratio)}"


def seen_share(number: int, of: int, unit: str) -> str:
    """Say a share in words."""
    return f"{number} of {of} {unit}" if of else f"no {unit}: what is not there meets no promise"


def exactly(number: Any) -> Fraction:
    """Take a number for what it is written as: 0.1 is a tenth, though no floating point number is one."""
    return Fraction(repr(number)) if isinstance(number, float) else Fraction(number)


def plain(number: Fraction) -> str:
    """Write a number for people."""
    return str(number.numerator) if number.denominator == 1 else f"{float(number):.6g}"


def operand_value(expression: Any, history: List[float]) -> Fraction:
    """Evaluate what a measure is compared with."""
    value = evaluated(expression, history)
    if isinstance(value, list):
        if len(value) != 1:
            raise UnmeasurableError(f"{len(value)} earlier results are no number: take avg, max or another of them")
        return value[0]
    return value


def evaluated(expression: Any, history: List[float]) -> Any:
    """Evaluate an expression: a number is text, a list is a function and what it takes."""
    if isinstance(expression, str):
        return Fraction(expression)
    function, arguments = expression[0], [evaluated(argument, history) for argument in expression[1:]]
    if function == "last":
        wanted = int(operand_value(expression[1], history)) if arguments else 1
        if len(history) < wanted:
            there = f"{len(history) or 'none'} yet"
            raise UnmeasurableError(f"last({wanted}) needs {wanted} earlier results of this measure; there {there}")
        return [exactly(number) for number in history[:wanted]]
    try:
        return FUNCTIONS[function](*arguments)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise UnmeasurableError(f"{function} cannot be computed: {error}") from error


def flat(arguments: Tuple[Any, ...]) -> List[Fraction]:
    """Give numbers, and those in lists of numbers, as one list."""
    return [one for argument in arguments for one in (argument if isinstance(argument, list) else [argument])]


def percentile(values: List[Fraction], percent: Fraction) -> Fraction:
    """Interpolate between the two values around a percentile, as most spreadsheets do."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    low = ordered[math.floor(place)]
    return low + (ordered[math.ceil(place)] - low) * (place % 1)


def deviation(values: List[Fraction]) -> Fraction:
    """Measure the standard deviation, of the values and not of a population that they are a sample of, as the rule of that name."""
    mean = sum(values) / len(values)
    return exactly(math.sqrt(sum((value - mean) ** 2 for value in values) / len(values)))


def scalars(compute: Callable[[Fraction, Fraction], Fraction]) -> Callable[..., Fraction]:
    """Let a list of one stand for its number."""
    return lambda left, right: compute(
        *(one[0] if isinstance(one, list) and len(one) == 1 else one for one in (left, right))
    )


FUNCTIONS: Dict[str, Callable[..., Any]] = {
    "+": scalars(operator.add),
    "-": scalars(operator.sub),
    "*": scalars(operator.mul),
    "/": scalars(operator.truediv),
    "avg": lambda *values: sum(flat(values)) / len(flat(values)),
    "min": lambda *values: min(flat(values)),
    "max": lambda *values: max(flat(values)),
    "sum": lambda *values: sum(flat(values)),
    "std": lambda *values: deviation(flat(values)),
    "median": lambda *values: percentile(flat(values), Fraction(50)),
    "percentile": percentile,
    "index": lambda values, place: values[int(place)],
}


# --- rows ---


def quarantine(inputs: Inputs, plan: Dict[str, Any], reasons: Reasons, arguments: argparse.Namespace) -> Dict[str, Any]:
    """Write the rows that break a rule, with the rules that they break, and the others if they are wanted."""
    for address in filter(None, (arguments.quarantine, arguments.good)):
        ours, theirs = address.rstrip("/") + "/", arguments.data.rstrip("/") + "/"
        if ours.startswith(theirs) or theirs.startswith(ours):
            raise ValueError(f"{address} must not overlap with the data at {arguments.data}: it is written over")
    marked = mark(inputs, plan, reasons).persist()
    bad = F.size(FAILED) > 0
    rows = written(inputs.spark, marked.where(bad), arguments.quarantine)
    good = marked.where(~bad).drop(FAILED)
    good_rows = written(inputs.spark, good, arguments.good) if arguments.good else good.count()
    marked.unpersist()
    return {"address": arguments.quarantine, "rows": rows, "good": arguments.good, "good_rows": good_rows}


def mark(inputs: Inputs, plan: Dict[str, Any], reasons: Reasons) -> DataFrame:
    """Add a column with the rules that each row breaks; a rule that could not be evaluated marks none."""
    if FAILED in inputs.frame.columns:
        raise ValueError(
            f"The data has a column {FAILED}: rename it, its name is wanted for the rules that a row breaks"
        )
    rules = [rule for rule in plan["rules"] if rule["row"] and not set(numbers_of(rule)) & set(reasons)]
    frame = inputs.frame
    for name in sorted({need for rule in rules for need in rule["row"]["needs"]}):
        spec = plan["numbers"][name]
        frame = (with_group_size if spec["kind"] == "group" else with_match)(inputs, frame, name, spec)
    broken = [F.when(F.expr(rule["row"]["breaks"]), F.lit(rule["rule"])) for rule in rules]
    marks = F.filter(F.array(*broken), lambda rule: rule.isNotNull()).cast("array<string>")
    own = [column for column in frame.columns if column.startswith(OWN)]
    return frame.withColumn(FAILED, marks).drop(*own)


def numbers_of(rule: Dict[str, Any]) -> List[str]:
    """List the numbers that a rule needs."""
    if "parts" in rule:
        return [name for part in rule["parts"] for name in numbers_of(part)]
    return [name for name in (rule["number"], rule["of"]) if name]


def with_group_size(_inputs: Inputs, frame: DataFrame, name: str, spec: Dict[str, Any]) -> DataFrame:
    """Add to each row how many have its values."""
    counts = F.when(F.expr(spec["where"]), 1) if spec.get("where") else F.lit(1)
    return frame.withColumn(OWN + name, F.count(counts).over(Window.partitionBy(*columns_of(spec))))


def with_match(inputs: Inputs, frame: DataFrame, name: str, spec: Dict[str, Any]) -> DataFrame:
    """Add to each row whether it finds its like."""
    others, condition = likes(inputs, name, spec)
    joined = frame.join(others.withColumn(OWN + name, F.lit(value=True)), condition, "left")
    return joined.withColumn(OWN + name, F.coalesce(F.col(OWN + name), F.lit(value=False))).drop(*others.columns)


def written(spark: SparkSession, frame: DataFrame, address: str) -> int:
    """Write rows as Parquet over what was there, and count what is there then."""
    frame.write.mode("overwrite").parquet(address)
    return int(spark.read.parquet(address).count())


# --- Spark and Hadoop ---


def quoted(name: str) -> str:
    """Quote a name, so that a dot in it is one."""
    return "`" + name.replace("`", "``") + "`"


def columns_of(spec: Dict[str, Any]) -> List[Any]:
    """Give the columns that a number is about."""
    return [F.col(quoted(name)) for name, _ in spec["columns"]]


def compiled(spark: SparkSession, pattern: str) -> Any:
    """Compile a regular expression with the JVM, which knows the syntax that Spark takes."""
    try:
        return spark._jvm.java.util.regex.Pattern.compile(pattern)  # noqa: SLF001  # only the JVM knows its syntax
    except Exception as error:
        raise UnmeasurableError(f"the pattern cannot be read: {reason_of(error)}") from error


def hadoop(spark: SparkSession, address: str) -> Tuple[Any, Any]:
    """Give an address as Hadoop's path, and its file system, which reaches S3 with the cluster's own credentials."""
    path = spark._jvm.org.apache.hadoop.fs.Path(address)  # noqa: SLF001  # Hadoop is reached through the JVM only
    return path, path.getFileSystem(spark._jsc.hadoopConfiguration())  # noqa: SLF001  # likewise


def read_text(spark: SparkSession, address: str) -> str:
    """Read a small text."""
    path, file_system = hadoop(spark, address)
    stream = file_system.open(path)
    try:
        return str(spark._jvm.org.apache.commons.io.IOUtils.toString(stream, "UTF-8"))  # noqa: SLF001  # the JVM's own stream
    finally:
        stream.close()


def write_text(spark: SparkSession, address: str, text: str) -> None:
    """Write a small text in one piece, over what was there."""
    path, file_system = hadoop(spark, address)
    overwrite = True
    stream = file_system.create(path, overwrite)
    try:
        stream.write(bytearray(text, "utf-8"))
    finally:
        stream.close()


def reason_of(error: Any) -> str:
    """Shorten an error to its cause, one line: Spark wraps what happened in what it was doing then."""
    cause = getattr(error, "java_exception", None)
    while cause is not None and cause.getCause() is not None:
        cause = cause.getCause()
    text = cause.toString() if cause is not None else getattr(error, "desc", None) or str(error) or type(error).__name__
    return str(text).strip().splitlines()[0]


if __name__ == "__main__":
    main()
