"""Evaluates a plan of data quality checks, as far as possible in one scan of the data, and writes what it found as JSON.

    spark-submit quality_check.py --plan s3://b/plan.json --data s3://b/flights/dt=2013-01-15/ --format parquet
                                  --result s3://b/result.json [--history s3://b/history.json]
                                  [--reference carriers=s3://b/carriers/ ...] [--quarantine s3://b/bad/ [--good s3://b/good/]]

Exits with 0 when rules fail: whoever reads the result decides. Fails when the data or the plan cannot be read.
Plain pyspark 3.3 or later and Python 3.9: this file runs alone on any EMR release from 6.10 on.
"""

import argparse
import json
import math
import operator
import statistics
import time
from contextlib import closing
from decimal import Decimal
from fractions import Fraction
from itertools import chain, permutations
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F  # noqa: N812  # the name that Spark's own guide gives it
from pyspark.sql.types import AtomicType, DataType, DateType, NumericType, StringType, TimestampType

OWN = "__quality_"  # what the columns begin with that a plan's SQL finds beside the data's own
FAILED = "failed_rules"
UNREADABLE = "The data at {} cannot be read; write it again, or tell its format: {}"
MOMENTS = (DateType, TimestampType, StringType)
SUITED = {"any": DataType, "number": NumericType, "string": StringType, "text": AtomicType, "date": MOMENTS}
SIGNS = {"=": operator.eq, "!=": operator.ne, ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
COMPARISONS: Dict[str, Callable[..., bool]] = {
    **SIGNS,
    "in": lambda value, *among: value in among,
    "not in": lambda value, *among: value not in among,
    "between": lambda value, low, high: low < value < high,  # both ends excluded, as in AWS Glue
    "not between": lambda value, low, high: not low < value < high,
}
Spec = Dict[str, Any]
Reasons = Dict[str, str]


class UnmeasurableError(Exception):
    """Why a number cannot be had; the reason of each rule that needs it."""


class Inputs(NamedTuple):
    """What there is to measure, and of the references that cannot be read the reason; earlier values, the newest first."""

    spark: SparkSession
    frame: DataFrame
    address: str
    references: Dict[str, Any]
    history: Dict[str, List[float]]


def main() -> None:
    """Read the plan and the data, measure, judge, write."""
    arguments = parse_arguments()
    # dates are UTC's; what cannot be converted is NULL and meets no condition, whatever Spark's version has as default
    builder = SparkSession.builder.appName("quality_check").config("spark.sql.session.timeZone", "UTC")
    builder = builder.config("spark.sql.ansi.enabled", "false").config("spark.sql.legacy.timeParserPolicy", "CORRECTED")
    for skipped in ("Corrupt", "Missing"):  # whatever a profile says: what is skipped is not checked
        builder = builder.config(f"spark.sql.files.ignore{skipped}Files", "false")
    spark = builder.getOrCreate()
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
    columns = [{"name": f.name, "type": f.dataType.simpleString(), "nullable": f.nullable} for f in inputs.frame.schema]
    numbers, reasons = measure(inputs, plan["numbers"])
    rules = [judge(rule, numbers, reasons, inputs.history) for rule in plan["rules"]]
    analyzed = [judge(analyzer, numbers, reasons, {}) for analyzer in plan["analyzers"]]
    return {
        "version": 2,
        "source": plan["source"],
        "data": arguments.data,
        "rows": numbers["rows"],
        "schema": columns,
        "rules": rules,
        "analyzers": [{key: one[key] for key in ("measure", "measured", "reason")} for one in analyzed],
        "quarantine": quarantine(inputs, plan, rules, arguments) if arguments.quarantine else None,
        "seconds": round(time.monotonic() - started, 3),
    }


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
    if not (file_system.exists(path) and file_system.listFiles(path, True).hasNext()):
        raise FileNotFoundError(f"There is no data at {address}: what writes it has not run, or writes elsewhere")
    try:
        frame = spark.read.format(data_format).option("header", "true").option("mergeSchema", "true").load(address)
        there = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(address).inputFiles()
        unread = len(there) - len(frame.inputFiles())
    except Exception as error:
        raise OSError(UNREADABLE.format(address, reason_of(error))) from error
    if unread:
        raise OSError(f"{unread} of {len(there)} files at {address} lie where Spark does not read, and others may")
    return frame


def measure(inputs: Inputs, specs: Dict[str, Spec]) -> Tuple[Spec, Reasons]:
    """Measure all numbers; give those that there are, and of the others the reason."""
    numbers: Spec = {}
    reasons = {name: reason for name, reason in ((name, unsuited(inputs, specs[name])) for name in specs) if reason}
    sets: Dict[str, Dict[str, Spec]] = {}
    for name in sorted(set(specs) - set(reasons)):
        sets.setdefault(specs[name].get("set", name), {})[name] = specs[name]
    for some in sets.values():
        together(inputs, some, numbers, reasons)
    if "rows" in reasons:
        raise OSError(UNREADABLE.format(inputs.address, reasons["rows"]))
    return numbers, reasons


def together(inputs: Inputs, specs: Dict[str, Spec], numbers: Spec, reasons: Reasons) -> None:
    """Take numbers in one go; when that fails, each half, so that one that cannot be had spares the others."""
    names = list(specs)
    try:
        numbers.update(MEASURES[specs[names[0]]["kind"]](inputs, specs))
    except Exception as error:  # noqa: BLE001  # whatever Spark, Hadoop or a pattern raises is a rule's reason
        if len(names) == 1:
            reasons[names[0]] = reason_of(error)
            return
        for half in (names[: len(names) // 2], names[len(names) // 2 :]):
            together(inputs, {name: specs[name] for name in half}, numbers, reasons)


def unsuited(inputs: Inputs, spec: Spec) -> Optional[str]:
    """Say why a number cannot be measured on this data, as far as that shows without a query."""
    types = {field.name: field.dataType for field in inputs.frame.schema.fields}
    for name, kind in spec.get("columns", []):
        if name not in types:
            return f"there is no column {name}; there are {', '.join(list(types)[:20])}"
        if not isinstance(types[name], SUITED[kind]) and (kind, types[name].typeName()) != ("date", "timestamp_ntz"):
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


def aggregate(inputs: Inputs, specs: Dict[str, Spec]) -> Spec:
    """Evaluate aggregates in one query: of the rows, or of the groups of equal values."""
    spec, frame = next(iter(specs.values())), inputs.frame
    if spec["kind"] == "group":
        frame = sizes(frame.where(spec.get("where", "true")), [name for name, _ in spec["columns"]])
    row = frame.agg(*[F.expr(spec["sql"]).alias(name) for name, spec in specs.items()]).first()
    return row.asDict() if row else {}


def sizes(frame: DataFrame, names: List[str]) -> DataFrame:
    """Group equal values, and count each group's rows."""
    return frame.groupBy(*[F.col(quoted(name)) for name in names]).agg(F.count(F.lit(1)).alias(OWN + "rows"))


def query(inputs: Inputs, specs: Dict[str, Spec]) -> Spec:
    """Run a query that gives one number."""
    ((name, spec),) = specs.items()
    rows = [tuple(row) for row in inputs.spark.sql(spec["sql"]).take(2)]
    if [len(row) for row in rows] != [1] or not isinstance(rows[0][0], (int, float, Decimal, type(None))):
        raise UnmeasurableError("the query must give one row with one number; it gave something else")
    return {name: rows[0][0]}


def match(inputs: Inputs, specs: Dict[str, Spec]) -> Spec:
    """Count the rows that find their like."""
    ((name, spec),) = specs.items()
    others, condition, _ = likes(inputs, name, spec)
    return {name: inputs.frame.join(others, condition, "left_semi").count()}


def likes(inputs: Inputs, name: str, spec: Spec) -> Tuple[DataFrame, Any, List[str]]:
    """Give the rows among which the data's find their like, when two are alike, and by which columns of the data."""
    pairs, told = list(spec["pairs"]), {ours for ours, _, _ in spec["pairs"]}
    reference = inputs.spark.sql(spec["sql"]) if "sql" in spec else inputs.references[spec["reference"]]
    if spec["others"]:
        names = reference.columns if "sql" in spec else inputs.frame.columns
        pairs += [[column, column, "<=>"] for column in names if column not in told]
    if spec["distinct"]:
        require_keys(inputs.frame, [ours for ours, _, sign in pairs if sign == "="], "the data")
        require_keys(reference, [theirs for _, theirs, sign in pairs if sign == "="], "the reference")
    own = [f"{OWN}{name}_{place}" for place in range(len(pairs))]
    columns = [F.col(quoted(theirs)).alias(own[place]) for place, (_, theirs, _) in enumerate(pairs)]
    tests = [f"{quoted(ours)} {sign} {own[place]}" for place, (ours, _, sign) in enumerate(pairs)]
    return reference.select(*columns), F.expr(" AND ".join(tests)), list(dict.fromkeys(ours for ours, _, _ in pairs))


def require_keys(frame: DataFrame, names: List[str], where: str) -> None:
    """Refuse keys that several rows have: which of them are alike could not be told."""
    if twice := sizes(frame, names).where(f"{OWN}rows > 1").count():
        raise UnmeasurableError(f"{', '.join(names)} is no key of {where}: {twice} values occur more than once")


def schema(inputs: Inputs, specs: Dict[str, Spec]) -> Spec:
    """Count columns: all, of a name, with names like a pattern, or those that a reference has, too."""
    ((name, spec),) = specs.items()
    types = dict(inputs.frame.dtypes)
    counts = {"columns": len(types), "exists": int(spec.get("column") in types)}
    if spec["kind"] in counts:
        return {name: counts[spec["kind"]]}
    if spec["kind"] == "named":
        pattern = compiled(inputs.spark, spec["pattern"])
        return {name: sum(bool(pattern.matcher(column).find()) for column in types)}
    others = dict(inputs.references[spec["reference"]].dtypes)
    alike = sum(others.get(column) == data_type for column, data_type in types.items())
    return {name: alike if len(types) == len(others) else 0}


def files(inputs: Inputs, specs: Dict[str, Spec]) -> Spec:
    """Run a query about the files at an address, or about those that were read; hidden ones are none, as Spark has it."""
    ((_, spec),) = specs.items()
    reader = inputs.spark.read.format("binaryFile").option("recursiveFileLookup", "true")
    found = reader.load(spec.get("address") or inputs.address).drop("content")
    if spec.get("digest"):
        md5 = inputs.spark._jvm.org.apache.commons.codec.digest.DigestUtils.md5Hex  # noqa: SLF001  # the JVM's own stream
        alike = Window.partitionBy("length")
        digests = []
        for row in found.withColumn("alike", F.count(F.lit(1)).over(alike)).where("alike > 1").collect():
            path, file_system = hadoop(inputs.spark, row.path)
            with closing(file_system.open(path)) as stream:  # a file may be larger than the memory
                digests.append((row.path, md5(stream)))
        found = found.join(inputs.spark.createDataFrame(digests, "path string, digest string"), "path", "left")
    found.createOrReplaceTempView(OWN + "files")
    return query(inputs, specs)


MEASURES: Dict[str, Callable[[Inputs, Dict[str, Spec]], Spec]] = {
    **dict.fromkeys(("scan", "group"), aggregate),
    "query": query,
    "match": match,
    "files": files,
    **dict.fromkeys(("columns", "exists", "named", "schema"), schema),
}


def judge(rule: Spec, numbers: Spec, reasons: Reasons, history: Dict[str, List[float]]) -> Dict[str, Any]:
    """Judge one rule by what was measured. Shares are compared as fractions, so 19 of 20 is 0.95 exactly."""
    if "parts" in rule:
        return combined(rule, [judge(part, numbers, reasons, history) for part in rule["parts"]])
    condition = rule["condition"]
    result = {"rule": rule["rule"], "measure": rule["measure"], "labels": rule["labels"], "bound": condition["text"]}
    result.update(measured=None, outcome="Error")
    try:
        value, seen = seen_value(rule, numbers, reasons)
        if value is None:
            return {**result, "outcome": "Failed", "reason": seen}
        result["measured"] = int(value) if rule["meaning"] == "count" else float(value)
        operands = [only(evaluated(operand, history.get(rule["measure"], []))) for operand in condition["operands"]]
    except UnmeasurableError as error:
        return {**result, "reason": str(error)}
    # earlier values were written as floating point numbers, so that this one must be one, too, to be equal to them
    compared = exactly(float(value)) if condition["dynamic"] else value
    passed = COMPARISONS[condition["operator"]](compared, *operands)
    needs = f"{condition['text']} ({', '.join(map(plain, operands))})" if condition["dynamic"] else condition["text"]
    result.update(outcome="Passed" if passed else "Failed", reason=seen if passed else f"{seen}; needs {needs}")
    return result


def combined(rule: Spec, parts: List[Dict[str, Any]]) -> Dict[str, Any]:
    """Judge rules together; when one of them cannot be evaluated, nothing can be said of them all."""
    outcomes = [part["outcome"] for part in parts]
    passed = outcomes.count("Passed")
    enough = passed == len(parts) if rule["operator"] == "and" else passed > 0
    return {
        "rule": rule["rule"],
        "measure": None,
        "labels": rule["labels"],
        "outcome": "Error" if "Error" in outcomes else "Passed" if enough else "Failed",
        "measured": passed,
        "bound": f"all {len(parts)} rules" if rule["operator"] == "and" else f"one of {len(parts)} rules",
        "reason": f" {rule['operator']} ".join(f"({part['outcome']}: {part['reason']})" for part in parts),
    }


def seen_value(rule: Spec, numbers: Spec, reasons: Reasons) -> Tuple[Optional[Fraction], str]:
    """Give the value to compare, ``None`` when there is none, and say it in words."""
    for name in (rule["number"], rule["of"]):
        if name in reasons:
            raise UnmeasurableError(reasons[name])
    number, of, unit = numbers[rule["number"]], numbers.get(rule["of"]), rule["unit"]
    nothing = f"no {unit}: what is not there meets no promise"
    if rule["meaning"] == "count":
        return Fraction(number), f"{number} {unit}"
    if rule["meaning"] == "share":
        return (Fraction(number, of), f"{number} of {of} {unit}") if of else (None, nothing)
    if number is None and rule["meaning"] == "number" and of:
        raise UnmeasurableError(f"the {unit} of {of} values is too large for its type")
    if number is None or (of is None and rule["meaning"] == "ratio"):
        return None, nothing
    if not all(math.isfinite(one) for one in (number, of or 0)):
        return None, f"{unit} is {number}: there is a value that is no finite number"
    value = exactly(number)
    if rule["meaning"] == "number":
        return value, f"{unit} {plain(value)}"
    if of == 0 and number != 0:
        raise UnmeasurableError(f"{unit} is {plain(value)} / 0: division by zero")
    ratio = value / exactly(of) if of else Fraction(1)
    return ratio, f"{unit} = {plain(value)} / {plain(exactly(of))} = {plain(ratio)}"


def exactly(number: Any) -> Fraction:
    """Take a number for what it is written as: 0.1 is a tenth, though no floating point number is one."""
    return Fraction(repr(number)) if isinstance(number, float) else Fraction(number)


def plain(number: Fraction) -> str:
    """Write a number for people."""
    return str(number.numerator) if number.denominator == 1 else f"{float(number):.6g}"


def evaluated(expression: Any, history: List[float]) -> List[Fraction]:
    """Evaluate what a measure is compared with: text is a number, a list is a function and what it takes."""
    if isinstance(expression, str):
        return [Fraction(expression)]
    function, arguments = expression[0], [evaluated(argument, history) for argument in expression[1:]]
    if function == "last":
        many, there = int(only(*arguments)) if arguments else 1, len(history)
        if there < many:
            raise UnmeasurableError(f"last({many}) needs {many} earlier results of this measure; there are {there}")
        return [exactly(number) for number in history[:many]]
    try:
        return [FUNCTIONS[function](*arguments)]
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise UnmeasurableError(f"{function} cannot be computed: {error}") from error


def only(numbers: List[Fraction]) -> Fraction:
    """Take the one number of a list."""
    if len(numbers) != 1:
        raise UnmeasurableError(f"{len(numbers)} earlier results are no number: take avg, max or another of them")
    return numbers[0]


def percentile(numbers: List[Fraction], percent: List[Fraction]) -> Fraction:
    """Interpolate between the two numbers around a percentile."""
    ordered, place = sorted(numbers), (len(numbers) - 1) * only(percent) / 100
    low = ordered[math.floor(place)]
    return low + (ordered[math.ceil(place)] - low) * (place % 1)


FUNCTIONS: Dict[str, Callable[..., Fraction]] = {
    "+": lambda left, right: only(left) + only(right),
    "-": lambda left, right: only(left) - only(right),
    "*": lambda left, right: only(left) * only(right),
    "/": lambda left, right: only(left) / only(right),
    "avg": lambda *numbers: statistics.mean(chain(*numbers)),
    "min": lambda *numbers: min(chain(*numbers)),
    "max": lambda *numbers: max(chain(*numbers)),
    "sum": lambda *numbers: sum(chain(*numbers), Fraction(0)),
    "median": lambda *numbers: statistics.median(chain(*numbers)),
    "std": lambda *numbers: exactly(float(statistics.pstdev(chain(*numbers)))),  # as the rule StandardDeviation's
    "percentile": percentile,
    "index": lambda numbers, place: numbers[int(only(place))],
}


def quarantine(inputs: Inputs, plan: Spec, judged: List[Spec], arguments: argparse.Namespace) -> Dict[str, Any]:
    """Write the rows that break a rule which failed, with those rules, and the others if they are wanted."""
    places = [place.rstrip("/") + "/" for place in (arguments.data, arguments.quarantine, arguments.good) if place]
    for ours, theirs in permutations(places, 2):
        if ours.startswith(theirs):
            raise ValueError(f"{ours} must not overlap with {theirs}: data, quarantine and good rows lie apart")
    failed = [rule for n, rule in enumerate(plan["rules"]) if rule["row"] and judged[n]["outcome"] == "Failed"]
    marked = mark(inputs, failed, plan["numbers"]).persist()
    bad, good = marked.where(F.size(FAILED) > 0), marked.where(F.size(FAILED) == 0).drop(FAILED)
    bad.write.mode("overwrite").parquet(arguments.quarantine)
    if arguments.good:
        good.write.mode("overwrite").parquet(arguments.good)
    counts = {"rows": bad.count(), "good_rows": good.count()}
    if sum(counts.values()) != inputs.frame.count():
        raise ValueError(f"{counts} do not make up the rows of {arguments.data}: nothing of it may be used")
    return {"address": arguments.quarantine, "good": arguments.good, **counts}


def mark(inputs: Inputs, rules: List[Spec], specs: Dict[str, Spec]) -> DataFrame:
    """Add a column with the rules that each row breaks."""
    taken = [column for column in inputs.frame.columns if column.lower() == FAILED or column.lower().startswith(OWN)]
    if taken:
        raise ValueError(f"The data has a column {taken[0]}: rename it, for the rules that a row breaks take that name")
    frame = inputs.frame
    for name in sorted({need for rule in rules for need in rule["row"]["needs"]}):
        frame = with_need(inputs, frame, name, specs[name])
    broken = [F.when(F.expr(rule["row"]["breaks"]), F.lit(rule["rule"])) for rule in rules]
    marks = F.filter(F.array(*broken), lambda rule: rule.isNotNull()).cast("array<string>")
    return frame.withColumn(FAILED, marks).drop(*[column for column in frame.columns if column.startswith(OWN)])


def with_need(inputs: Inputs, frame: DataFrame, name: str, spec: Spec) -> DataFrame:
    """Add to each row how many have its values, or whether it finds its like."""
    if spec["kind"] == "group":
        alike = Window.partitionBy(*[F.col(quoted(column)) for column, _ in spec["columns"]])
        return frame.withColumn(OWN + name, F.count(F.when(F.expr(spec.get("where", "true")), 1)).over(alike))
    others, condition, ours = likes(inputs, name, spec)
    # distinct in the data's own types, so that each row finds at most one
    keys = inputs.frame.select(*[F.col(quoted(column)) for column in ours]).distinct()
    found = keys.join(others, condition, "left_semi")
    found = found.toDF(*[f"{OWN}{name}_{place}" for place in range(len(ours))]).withColumn(OWN + name, F.lit(True))
    same = " AND ".join(f"{quoted(column)} <=> {OWN}{name}_{place}" for place, column in enumerate(ours))
    return frame.join(found, F.expr(same), "left").withColumn(OWN + name, F.coalesce(F.col(OWN + name), F.lit(False)))


def quoted(name: str) -> str:
    """Quote a name, so that a dot in it is one."""
    return "`" + name.replace("`", "``") + "`"


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
    with closing(file_system.open(path)) as stream:
        return str(spark._jvm.org.apache.commons.io.IOUtils.toString(stream, "UTF-8"))  # noqa: SLF001  # the JVM's own stream


def write_text(spark: SparkSession, address: str, text: str) -> None:
    """Write a small text in one piece, over what was there."""
    path, file_system = hadoop(spark, address)
    with closing(file_system.create(path, True)) as stream:
        stream.write(bytearray(text, "utf-8"))


def reason_of(error: Any) -> str:
    """Shorten an error to its cause, one line: Spark wraps what happened in what it was doing then."""
    cause = getattr(error, "java_exception", None)
    while cause is not None and cause.getCause() is not None:
        cause = cause.getCause()
    text = cause.toString() if cause is not None else getattr(error, "desc", None) or str(error) or type(error).__name__
    return str(text).strip().splitlines()[0][:300]


if __name__ == "__main__":
    main()
