"""What differs between two schemas of a dataset, and what of it breaks readers."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emr_pipelines.quality.schemas import Kind, SchemaError, changes


def schema(**columns):
    """Columns by name; a type that ends with ! may not be NULL."""
    return [
        {"name": name, "type": text.removesuffix("!"), "nullable": not text.endswith("!")}
        for name, text in columns.items()
    ]


def kinds(before, now):
    return [(change.column, change.kind) for change in changes(before, now)]


FLIGHTS = schema(
    carrier="string", day="date", delay="int", plane="struct<tailnum:string,engines:int>", legs="array<string>"
)


def test_a_schema_is_the_same_as_itself_in_any_order():
    assert changes(FLIGHTS, FLIGHTS) == []
    assert changes(FLIGHTS, FLIGHTS[::-1]) == []
    assert changes(schema(a="struct<x:int,y:date>"), schema(a="struct<y:date,x:int>")) == []


@pytest.mark.parametrize(
    ("before", "now", "kind", "breaking"),
    [
        ("", "int", Kind.ADDED, False),
        ("int!", "int", Kind.OPTIONAL, False),
        ("", "int!", Kind.ADDED_REQUIRED, True),
        ("int", "int!", Kind.REQUIRED, True),
        ("int", "", Kind.REMOVED, True),
        ("int", "bigint", Kind.WIDENED, True),
        ("tinyint", "int", Kind.WIDENED, True),
        ("float", "double", Kind.WIDENED, True),
        ("decimal(10,2)", "decimal(12,2)", Kind.WIDENED, True),
        ("decimal(10,2)", "decimal(12,4)", Kind.WIDENED, True),
        ("decimal(10,2)", "decimal(11,4)", Kind.RETYPED, True),  # one digit less before the point
        ("decimal(10,2)", "decimal(10,1)", Kind.RETYPED, True),
        ("bigint", "int", Kind.RETYPED, True),
        ("int", "double", Kind.RETYPED, True),
        ("int", "string", Kind.RETYPED, True),
        ("date", "timestamp", Kind.RETYPED, True),
        ("timestamp", "timestamp_ntz", Kind.RETYPED, True),
        ("varchar(10)", "varchar(20)", Kind.RETYPED, True),
        ("string", "struct<a:string>", Kind.RETYPED, True),
        ("array<int>", "map<int,int>", Kind.RETYPED, True),
    ],
)
def test_each_change_of_a_column_has_a_kind_that_says_whether_it_breaks_readers(before, now, kind, breaking):
    def with_column(text):
        return FLIGHTS + (schema(x=text) if text else [])

    (change,) = changes(with_column(before), with_column(now))
    assert (change.column, change.kind, change.kind.breaking) == ("x", kind, breaking)


def test_a_column_that_changed_its_type_and_became_optional_has_both_changes():
    assert kinds(schema(a="int!"), schema(a="bigint")) == [("a", Kind.WIDENED), ("a", Kind.OPTIONAL)]


def test_a_name_in_another_case_is_one_change_and_not_two():
    assert [str(change) for change in changes(schema(Carrier="string"), schema(carrier="string"))] == [
        "carrier is spelt otherwise: readers that tell upper from lower case see another column (Carrier before)"
    ]


def test_a_second_column_in_another_case_is_added():
    assert kinds(schema(Carrier="int"), schema(Carrier="int", carrier="int")) == [("carrier", Kind.ADDED)]


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ("struct<a:int>", "struct<a:int,b:string>", [("x.b", Kind.ADDED)]),
        ("struct<a:int,b:string>", "struct<b:string>", [("x.a", Kind.REMOVED)]),
        ("struct<a:struct<b:int>>", "struct<a:struct<b:bigint>>", [("x.a.b", Kind.WIDENED)]),
        ("array<struct<b:int>>", "array<struct<b:int,c:date>>", [("x.element.c", Kind.ADDED)]),
        ("map<string,struct<b:int>>", "map<string,struct<b:date>>", [("x.value.b", Kind.RETYPED)]),
        ("map<string,int>", "map<date,int>", [("x.key", Kind.RETYPED)]),
        ("array<array<int>>", "array<array<bigint>>", [("x.element.element", Kind.WIDENED)]),
        ("struct<a:decimal(10,2),b:int>", "struct<a:decimal(12,2),b:int>", [("x.a", Kind.WIDENED)]),
        ("struct<a:map<string,decimal(3,1)>>", "struct<a:map<string,decimal(3,1)>>", []),
        ("struct<>", "struct<a:int>", [("x.a", Kind.ADDED)]),
        ("struct<A:int>", "struct<a:int>", [("x.a", Kind.RENAMED)]),
    ],
)
def test_nested_types_are_compared_field_by_field(before, now, expected):
    assert kinds(schema(x=before), schema(x=now)) == expected


@pytest.mark.parametrize(
    "text", ["struct<a int>", "struct<a:int,a:int>", "map<int>", "array<a,b>", "struct<a:int", "<>", ""]
)
def test_a_type_that_cannot_be_read_is_compared_as_a_text(text):
    assert changes(schema(x=text), schema(x=text)) == []
    assert kinds(schema(x=text), schema(x="int")) == [("x", Kind.RETYPED)]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (["carrier"], "'carrier' is no column of a schema"),
        ([{"name": "a"}], "is no column of a schema: write"),
        ([{"name": "a", "type": None}], "name and type are texts"),
        ([{"name": "a", "type": "int", "nullable": "no"}], "nullable is true or false"),
        ([{"name": "a", "type": "int"}, {"name": "a", "type": "int"}], "'a' stands in the schema twice"),
    ],
)
def test_what_is_no_schema_is_refused_in_words(broken, said):
    with pytest.raises(SchemaError, match=said):
        changes(FLIGHTS, broken)
    with pytest.raises(SchemaError, match=said):
        changes(broken, FLIGHTS)


# Properties: schemas are made as trees and written as Spark writes them

LEAVES = st.sampled_from(["int", "bigint", "string", "date", "decimal(10,2)", "timestamp"])
NAMES = st.text("abcdef", min_size=1, max_size=3)
TYPES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        inner.map("array<{}>".format),
        st.tuples(LEAVES, inner).map(lambda pair: "map<{},{}>".format(*pair)),
        st.dictionaries(NAMES, inner, max_size=4).map(
            lambda fields: "struct<" + ",".join(f"{name}:{text}" for name, text in fields.items()) + ">"
        ),
    ),
    max_leaves=8,
)
SCHEMAS = st.dictionaries(NAMES, st.builds(str.__add__, TYPES, st.sampled_from(["", "!"])), max_size=6)


@given(SCHEMAS)
def test_any_schema_is_the_same_as_itself(columns):
    assert changes(schema(**columns), schema(**columns)) == []


@given(SCHEMAS, SCHEMAS)
def test_columns_that_only_one_has_are_added_or_gone_and_no_others_are(before, now):
    found = Counter(kinds(schema(**before), schema(**now)))
    gone = {name for name in before if name not in now}
    added = {name for name in now if name not in before}
    assert {column for column, kind in found if kind is Kind.REMOVED and "." not in column} == gone
    assert {
        column for column, kind in found if kind in (Kind.ADDED, Kind.ADDED_REQUIRED) and "." not in column
    } == added


@given(SCHEMAS, SCHEMAS)
def test_going_back_is_a_change_if_and_only_if_going_there_was(before, now):
    there, back = changes(schema(**before), schema(**now)), changes(schema(**now), schema(**before))
    assert {change.column for change in there} == {change.column for change in back}
