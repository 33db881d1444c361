"""What is made of a result: the decision and the table."""

from __future__ import annotations

import json

import pytest

from emr_pipelines.quality import ResultError, decide, format_table, parse_results


def rule(outcome="Passed", measured=1.0, reason="5 of 5 rows", text='IsComplete "a"'):
    return {"rule": text, "outcome": outcome, "measured": measured, "bound": "= 1", "reason": reason}


def result(*rules):
    return json.dumps(
        {"version": 1, "source": "quality/a.dqdl", "data": "s3://b/dt=1/", "rows": 5, "seconds": 1.25, "rules": rules}
    )


def test_data_passes_when_every_rule_passed():
    decision = decide(parse_results(result(rule(), rule())))
    assert (decision.passed, decision.reason, decision.failing) == (True, "All 2 data quality rules passed", ())


def test_a_failed_rule_and_one_that_could_not_be_evaluated_both_stop_the_data_and_are_named():
    parsed = parse_results(result(rule(), rule("Failed", 0.8, "4 of 5 rows"), rule("Error", None, "no column", "X")))
    decision = decide(parsed)
    assert not decision.passed
    assert decision.reason == '2 of 3 data quality rules failed: IsComplete "a" (4 of 5 rows); X (no column)'
    assert parsed.rules[1:] == decision.failing


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "JSONDecodeError"),
        ("[]", "TypeError"),
        ("{}", "KeyError: 'rules'"),
        (result(), "holds no rule"),
        (result(rule("passed")), "the outcome 'passed' is none of Passed, Failed, Error"),
        (result(rule("Passed", None)), "passed, but nothing was measured"),
        (result({"rule": "X", "outcome": "Passed"}), "KeyError: 'measured'"),
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
