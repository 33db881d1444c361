"""Whatever the data and the rules: the real job on real Spark finds what plain Python finds. One job checks many rules."""

from __future__ import annotations

import json
import math
import operator
import statistics
import tempfile
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from emr_pipelines.quality import RulesetError, compile_plan, parse_ruleset
from tests.support.spark_jobs import JOBS, spark_jobs

SCHEMA = pa.schema({"n": pa.int64(), "t": pa.string(), "f": pa.float64()})
ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(-3, 3),
        st.none() | st.sampled_from(["", " ", "a", "ab", "A", "é'\\", "long enough"]),
        st.none() | st.integers(-20, 20).map(lambda quarters: quarters / 4),
    ),
    max_size=12,
)
WHERE = {
    None: lambda n, t, f: True,
    "n > 0": lambda n, t, f: n is not None and n > 0,
    "t IS NOT NULL OR f < 0": lambda n, t, f: t is not None or (f is not None and f < 0),
}
PLACES = {"n": 0, "t": 1, "f": 2}
COMPARED = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    "!=": operator.ne,
}


def values_of(rows, columns):
    """The values of some columns together; those of which nothing is there are none."""
    together = [tuple(row[PLACES[column]] for column in columns) for row in rows]
    return [value for value in together if any(part is not None for part in value)]


def ratio(part, whole):
    return Fraction(part, whole) if whole else None


def once(values):
    return sum(count == 1 for count in Counter(values).values())


def entropy(values):
    counts = Counter(values).values()
    return -sum(c / len(values) * math.log(c / len(values)) for c in counts) if values else None


# type -> how many columns, of which, and what plain Python makes of the rows
MEASURES = {
    "RowCount": (0, "", lambda rows, columns: len(rows)),
    "Completeness": (1, "ntf", lambda rows, columns: ratio(len(values_of(rows, columns)), len(rows))),
    "Uniqueness": (
        2,
        "ntf",
        lambda rows, columns: ratio(once(values_of(rows, columns)), len(values_of(rows, columns))),
    ),
    "UniqueValueRatio": (
        1,
        "nt",
        lambda rows, columns: ratio(once(values_of(rows, columns)), len(set(values_of(rows, columns)))),
    ),
    "DistinctValuesCount": (1, "ntf", lambda rows, columns: len(set(values_of(rows, columns)))),
    "Entropy": (1, "ntf", lambda rows, columns: entropy(values_of(rows, columns))),
    "Mean": (
        1,
        "nf",
        lambda rows, columns: (
            statistics.mean(v for (v,) in values_of(rows, columns)) if values_of(rows, columns) else None
        ),
    ),
    "Sum": (
        1,
        "nf",
        lambda rows, columns: sum(v for (v,) in values_of(rows, columns)) if values_of(rows, columns) else None,
    ),
    "StandardDeviation": (
        1,
        "nf",
        lambda rows, columns: (
            statistics.pstdev(v for (v,) in values_of(rows, columns)) if values_of(rows, columns) else None
        ),
    ),
}


@st.composite
def measure_rules(draw):
    """A rule on one measure, and what plain Python measures for it."""
    name = draw(st.sampled_from(list(MEASURES)))
    count, choice, take = MEASURES[name]
    columns = draw(st.lists(st.sampled_from(choice), min_size=1, max_size=count, unique=True)) if count else []
    where = draw(st.sampled_from(list(WHERE)))
    # equality of what was computed in floating point says nothing
    signs = "<>" if name in {"Entropy", "Mean", "StandardDeviation"} else list(COMPARED)
    sign, bound = draw(st.sampled_from(signs)), draw(st.integers(-8, 16)) / 8
    text = " ".join(
        [name, *(f'"{column}"' for column in columns), f"{sign} {bound}", *([f'where "{where}"'] if where else [])]
    )

    def found(rows):
        value = take([row for row in rows if WHERE[where](*row)], columns)
        return value, value is not None and COMPARED[sign](value, bound)

    return text, found


@st.composite
def row_rules(draw):
    """A rule on each row, and the share of the rows that plain Python finds good."""
    where, sign = draw(st.sampled_from(list(WHERE))), draw(st.sampled_from(list(COMPARED)))
    bound, least = draw(st.integers(-3, 4)), draw(st.integers(0, 8)) / 8
    column = draw(st.sampled_from(["n", "f", "length"]))

    def good(n, t, f):
        value = {"n": n, "f": f, "length": len(t or "")}[column]
        return sign == "!=" if value is None else COMPARED[sign](value, bound)

    def found(rows):
        chosen = [row for row in rows if WHERE[where](*row)]
        share = ratio(sum(good(*row) for row in chosen), len(chosen))
        return share, share is not None and share >= least

    head = f'ColumnLength "t" {sign} {bound}' if column == "length" else f'ColumnValues "{column}" {sign} {bound}'
    return f'{head}{f""" where "{where}" """ if where else ""} with threshold >= {least}', found


@st.composite
def key_rules(draw):
    """A rule that no value occurs twice, and the share that plain Python finds."""
    name = draw(st.sampled_from(["IsUnique", "IsPrimaryKey"]))
    columns = draw(st.lists(st.sampled_from("ntf"), min_size=1, max_size=3, unique=True))

    def found(rows):
        values = values_of(rows, columns)
        if name == "IsUnique":
            share = ratio(len(set(values)), len(values))
        else:
            counts = Counter(values)
            share = ratio(sum(None not in value and counts[value] == 1 for value in values), len(rows))
        return share, share == 1

    return " ".join([name, *(f'"{column}"' for column in columns)]), found


def is_ruleset(rule):
    """Whether the language takes a rule: a share above 1, for one, it does not."""
    try:
        return bool(parse_ruleset(f"Rules = [ {rule[0]} ]", "a.dqdl"))
    except RulesetError:
        return False


ANY_RULE = (measure_rules() | row_rules() | key_rules()).filter(is_ruleset)
RULES = st.lists(ANY_RULE, min_size=12, max_size=16, unique_by=lambda rule: rule[0])


@settings(
    max_examples=3,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],  # a smaller example would take hundreds of Spark jobs
)
@given(ROWS, RULES)
def test_any_rules_on_any_rows_measure_what_plain_python_does(rows, rules):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data").mkdir()
        table = pa.table({column: [row[place] for row in rows] for column, place in PLACES.items()}, schema=SCHEMA)
        pq.write_table(table, folder / "data" / "part.parquet")
        ruleset = parse_ruleset(f"Rules = [ {', '.join(text for text, _ in rules)} ]", "a.dqdl")
        (folder / "plan.json").write_text(compile_plan(ruleset).to_json(), encoding="utf-8")
        words = {
            "--plan": "plan.json",
            "--data": "data",
            "--result": "result.json",
            "--quarantine": "bad",
            "--good": "good",
        }
        arguments = (word for option, path in words.items() for word in (option, f"file://{folder}/{path}"))
        finished = spark_jobs().run(JOBS / "quality_check.py", *arguments)
        assert (finished.exit_code, finished.error) == (0, "")
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    for (text, found), told in zip(rules, result["rules"], strict=True):
        measured, passes = found(rows)
        expected = None if measured is None else pytest.approx(float(measured), abs=1e-9)
        assert (text, told["outcome"], told["measured"]) == (text, "Passed" if passes else "Failed", expected), rows
    assert result["quarantine"]["rows"] + result["quarantine"]["good_rows"] == len(rows)
