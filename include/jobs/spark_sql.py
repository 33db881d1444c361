"""Runs a file of Spark SQL where a service has no Spark SQL of its own, as ``spark-sql -f`` runs it.

    spark-submit spark_sql.py --script s3://b/sums.sql --variable dt=2013-01-15

Statements end with a semicolon and run in order; the first that fails ends the job. ``${name}`` and ``${hivevar:name}`` are
replaced by Spark itself. What a statement gives is printed as spark-sql prints it: a line for each row, tabs between columns.
Plain pyspark 3.3 or later and Python 3.9: this file runs alone on any EMR release from 6.10 on.
"""

import argparse
import sys
from typing import Iterator, List, Tuple

from pyspark.sql import SparkSession

QUOTES = "'\"`"


def main() -> None:
    """Read the script and run its statements."""
    arguments = parse_arguments()
    spark = SparkSession.builder.appName("spark_sql").enableHiveSupport().getOrCreate()
    for name, value in arguments.variable:
        spark.conf.set(name, value)
    for number, statement in enumerate(statements(read_text(spark, arguments.script)), start=1):
        try:
            run(spark, statement)
        except Exception:
            print(f"Statement {number} failed: {first_line(statement)}", file=sys.stderr)
            raise
    spark.stop()


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--script", required=True, help="address of the SQL")
    parser.add_argument(
        "--variable", action="append", default=[], type=variable, metavar="NAME=VALUE", help="what ${NAME} stands for"
    )
    return parser.parse_args()


def variable(text: str) -> Tuple[str, str]:
    """Read one variable of the command line."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=VALUE")
    return name, value


def read_text(spark: SparkSession, address: str) -> str:
    """Read a small text through Hadoop, which reaches S3 with the job's own credentials."""
    path = spark._jvm.org.apache.hadoop.fs.Path(address)  # noqa: SLF001  # Hadoop is reached through the JVM only
    stream = path.getFileSystem(spark._jsc.hadoopConfiguration()).open(path)  # noqa: SLF001  # likewise
    try:
        return spark._jvm.org.apache.commons.io.IOUtils.toString(stream, "UTF-8")  # noqa: SLF001  # likewise
    finally:
        stream.close()


def statements(script: str) -> List[str]:
    """Split a script at the semicolons that stand in no text, name or comment; comments alone are no statement."""
    found, begun, told = [], 0, False
    for start, end, kind in tokens(script):
        if kind == "end":
            found += [script[begun:start].strip()] if told else []
            begun, told = end, False
        elif kind == "word":
            told = True
    return found + ([script[begun:].strip()] if told else [])


def tokens(script: str) -> Iterator[Tuple[int, int, str]]:
    """Yield where each comment, quoted text and other character begins and ends, and which it is: comment, word, space, end."""
    at = 0
    while at < len(script):
        if script.startswith("--", at):
            end, kind = line_end(script, at), "comment"
        elif script.startswith("/*", at):
            end, kind = comment_end(script, at), "comment"
        elif script[at] in QUOTES:
            end, kind = quote_end(script, at), "word"
        elif script[at] == ";":
            end, kind = at + 1, "end"
        else:
            end, kind = at + 1, "space" if script[at].isspace() else "word"
        yield at, end, kind
        at = end


def line_end(script: str, start: int) -> int:
    """Return where a line ends."""
    end = script.find("\n", start)
    return len(script) if end < 0 else end


def comment_end(script: str, start: int) -> int:
    """Return where a bracketed comment ends; Spark lets them stand in each other, and a hint is one, too."""
    depth, at = 0, start
    while at < len(script):
        if script.startswith("/*", at):
            depth, at = depth + 1, at + 2
        elif script.startswith("*/", at):
            depth, at = depth - 1, at + 2
            if depth == 0:
                return at
        else:
            at += 1
    return at


def quote_end(script: str, start: int) -> int:
    """Return where a quoted text or name ends; in a text, a backslash takes its meaning from the quote that follows."""
    quote, at = script[start], start + 1
    while at < len(script):
        if script[at] == "\\" and quote != "`":
            at += 2
        elif script[at] == quote:
            return at + 1
        else:
            at += 1
    return len(script)


def run(spark: SparkSession, statement: str) -> None:
    """Run one statement and print what it gives, in the words of spark-sql itself."""
    frame = spark.sql(statement)
    plan = frame._jdf.queryExecution().executedPlan()  # noqa: SLF001  # what formats rows for spark-sql is Scala's
    lines = spark._jvm.org.apache.spark.sql.execution.HiveResult.hiveResultString(plan)  # noqa: SLF001  # likewise
    if lines.nonEmpty():
        print(lines.mkString("\n"), flush=True)


def first_line(statement: str) -> str:
    """Return the first line of a statement that says something."""
    return next((line.strip() for line in statement.splitlines() if line.strip()[:2] not in ("", "--")), statement)


if __name__ == "__main__":
    main()
