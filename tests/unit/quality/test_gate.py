"""What the gate decides, and what it tells the person who is asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emr_pipelines.quality import Gate, QualityResult, Quarantine, RuleResult, decide, question, strictest


def rule(outcome="Passed", text="RowCount > 0", reason="0 rows", **labels):
    return RuleResult(text, outcome, 0.0, "> 0", reason, "RowCount", labels)


def result(*rules, **more):
    return QualityResult("quality/a.dqdl", "s3://b/dt=1/", 1234, 1.0, rules, **more)


def test_data_passes_when_every_rule_passed():
    decision = decide(result(rule(), rule(severity="ask")))
    assert (decision.gate, decision.reason, decision.failing) == (Gate.PASS, "All 2 data quality rules passed", ())


def test_a_failed_rule_and_one_that_could_not_be_evaluated_both_stop_the_data_and_are_named():
    failed, error = rule("Failed", 'IsComplete "a"', "4 of 5 rows"), rule("Error", "X", "no column")
    decision = decide(result(rule(), failed, error))
    assert decision.gate == Gate.FAIL
    assert decision.reason == '2 of 3 data quality rules did not pass: IsComplete "a" (4 of 5 rows); X (no column)'
    assert decision.failing == (failed, error)


@pytest.mark.parametrize("outcome", ["Failed", "Error"])
@pytest.mark.parametrize(
    ("labels", "gate"),
    [
        ({}, Gate.FAIL),
        ({"severity": "fail"}, Gate.FAIL),
        ({"severity": "ask"}, Gate.ASK),
        ({"severity": "warn"}, Gate.WARN),
        ({"severity": "pass"}, Gate.FAIL),
        ({"severity": "whatever"}, Gate.FAIL),
        ({"team": "warn"}, Gate.FAIL),
    ],
)
def test_a_label_says_what_a_rule_that_did_not_pass_leads_to_and_nothing_makes_it_a_pass(outcome, labels, gate):
    assert decide(result(rule(), rule(outcome, **labels))).gate == gate


def test_the_rule_that_weighs_most_decides_and_stands_first():
    rules = (
        rule("Failed", "A", severity="warn"),
        rule("Error", "B", severity="ask"),
        rule("Failed", "C", severity="warn"),
    )
    decision = decide(result(*rules))
    assert decision.gate == Gate.ASK
    assert decision.reason == (
        "3 of 3 data quality rules did not pass (1 ask a person, 2 warn only): B (0 rows); A (0 rows); C (0 rows)"
    )


@given(st.lists(st.tuples(st.sampled_from(["Passed", "Failed", "Error"]), st.sampled_from(["fail", "ask", "warn"]))))
def test_one_more_rule_never_makes_the_decision_milder(drawn):
    order = [Gate.PASS, Gate.WARN, Gate.ASK, Gate.FAIL]
    rules = [rule(outcome, severity=severity) for outcome, severity in drawn]
    gates = [order.index(decide(result(*rules[:count])).gate) for count in range(len(rules) + 1)]
    assert gates == sorted(gates)


@pytest.mark.parametrize(
    ("gates", "decides"),
    [([], "pass"), (["pass", "warn"], "warn"), (["ask", "warn", "pass"], "ask"), (["ask", "fail"], "fail")],
)
def test_of_several_checks_the_strictest_decides(gates, decides):
    assert decides == strictest([Gate(gate) for gate in gates])


def test_a_person_is_told_each_rule_that_did_not_pass_and_where_the_bad_rows_are():
    asked = rule("Failed", 'ColumnValues "a" matches "x|y"', "5 of 9 rows", severity="ask")
    quarantine = Quarantine("s3://b/bad/", 4, None, 0)
    assert question(result(rule(), asked, quarantine=quarantine)).splitlines() == [
        "| Outcome | Rule | Measured | Needs | Seen |",
        "|---|---|---|---|---|",
        '| Failed: ask | ColumnValues "a" matches "x\\|y" | 0 | > 0 | 5 of 9 rows |',
        "",
        "- quality/a.dqdl: 1 of 2 rules passed on 1,234 rows of `s3://b/dt=1/`.",
        "- 4 rows that broke a rule are in `s3://b/bad/`.",
    ]


def test_a_ruleset_of_hundreds_of_rules_is_told_in_a_few_lines():
    failed = [rule("Failed", f"R{number}") for number in range(500)]
    assert len(decide(result(*failed)).reason) < 400
    assert "and 490 more" in decide(result(*failed)).reason
    assert "490 more rules did not pass" in question(result(*failed))


def test_a_share_that_misses_one_by_a_hair_is_not_shown_as_one_to_the_person_who_is_asked():
    near = RuleResult('IsComplete "a"', "Failed", 0.99999996, "= 1", "`<b>[x](y)*`", "m", {"severity": "ask"})
    assert "| 0.9999 | = 1 | \\`\\<b>\\[x\\](y)\\*\\` |" in question(result(near))
