"""What is made of a result: values and the table."""

from __future__ import annotations

import json

import pytest

from emr_pipelines.quality import Measured, Quarantine, ResultError, format_table, parse_results


def rule(outcome="Passed", measured=1.0, reason="5 of 5 rows", text='IsComplete "a"'):
    return {"rule": text, "outcome": outcome, "measured": measured, "bound": "= 1", "reason": reason}


def result(*rules):
    return json.dumps(
        {"version": 2, "source": "quality/a.dqdl", "data": "s3://b/dt=1/", "rows": 5, "seconds": 1.25, "rules": rules}
    )


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "JSONDecodeError"),
        ("[]", "TypeError"),
        ("{}", "KeyError: 'version'"),
        (result(), "holds no rule"),
        (result(rule("passed")), "the outcome 'passed' is none of Passed, Failed, Error"),
        (result(rule("Passed", None)), "passed, but nothing was measured"),
        (result({"rule": "X", "outcome": "Passed"}), "KeyError: 'measured'"),
        (result(rule() | {"labels": ["severity"]}), "AttributeError"),
        ("null", "TypeError"),
        (result(rule()).replace('"version": 2', '"version": 3'), "version 3 is not 2"),
        (result(rule("Passed", float("nan"))), "passed, but nothing was measured"),
    ],
)
def test_a_result_that_cannot_be_read_never_counts_as_passed(text, cause):
    with pytest.raises(ResultError, match=r"Run the check again\.$") as raised:
        parse_results(text)
    assert cause in str(raised.value)


def test_the_table_is_aligned_and_gives_the_reason_below_what_did_not_pass():
    parsed = parse_results(
        result(
            rule(),
            rule("Failed", 0.8, "4 of 5 rows; needs = 1"),
            rule("Error", None, "there is no column b", 'IsComplete "b"'),
        )
    )
    assert format_table(parsed).splitlines() == [
        "quality/a.dqdl: 1 of 3 rules passed",
        "5 rows of s3://b/dt=1/ seen in 1.2 s",
        "",
        "Outcome  Measured  Needs  Rule",
        'Passed          1  = 1    IsComplete "a"',
        'Failed     0.8000  = 1    IsComplete "a"',
        "                            4 of 5 rows; needs = 1",
        'Error           -  = 1    IsComplete "b"',
        "                            there is no column b",
    ]


def test_a_share_that_misses_one_by_a_hair_does_not_look_like_one():
    assert "0.9999" in format_table(parse_results(result(rule("Failed", 0.9999999, "9999999 of 10000000 rows"))))


def test_the_table_stays_within_120_columns_however_long_a_rule_is():
    long = rule("Failed", 123456789.0, "because " * 40, 'ColumnValues "a" in [' + ", ".join(["1234567890"] * 60) + "]")
    lines = format_table(parse_results(result({**long, "bound": "in [" + ", ".join(["1"] * 60) + "]"}))).splitlines()
    assert max(map(len, lines)) <= 120
    assert " ".join(lines).count("1234567890") == 60


def test_what_rules_and_analyzers_measured_is_found_by_its_name():
    text = json.loads(
        result(rule(measured=0.5) | {"measure": 'Completeness "a"'}, rule(measured=None) | {"measure": None})
    )
    text["analyzers"] = [
        {"measure": "RowCount", "measured": 5, "reason": "5 rows"},
        {"measure": 'Mean "a"', "measured": None, "reason": "no values"},
    ]
    parsed = parse_results(json.dumps(text))
    assert parsed.measures == {'Completeness "a"': 0.5, "RowCount": 5}
    assert parsed.analyzers[1] == Measured('Mean "a"', None, "no values")


def test_where_bad_rows_went_is_read():
    text = json.loads(result(rule()))
    text["quarantine"] = {"address": "s3://b/bad/", "rows": 2, "good": None, "good_rows": 3}
    assert parse_results(json.dumps(text)).quarantine == Quarantine("s3://b/bad/", 2, None, 3)


@pytest.mark.parametrize(("label", "told"), [("fail", "Failed"), ("warn", "Failed: warn"), ("ask", "Failed: ask")])
def test_the_table_tells_what_a_rule_that_did_not_pass_leads_to(label, told):
    failed = rule("Failed", 0.8) | {"labels": {"severity": label}}
    assert told in [line.split("  ")[0] for line in format_table(parse_results(result(failed))).splitlines()]
