"""The plan of a measurement, the judgement on what triggers told, and how it is reported."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from benchmarks.watch.judging import Heard, difference, is_true, judged, percentile
from benchmarks.watch.plan import STEPS_PER_CLUSTER, Plan, Run
from benchmarks.watch.reporting import BEGIN, END, between_markers, circumstances, in_order, last_line, plot, table
from benchmarks.watch.rounds import Case, Result, cases_of, too_slow
from benchmarks.watch.triggerer import is_starting

SUCCESS = {"status": "success", "job_details": {}}


def result(who, jobs, calls, service="serverless", **figures):
    usual = {
        "refused": 0.0,
        "failed": 0,
        "unnoticed": 0,
        "p50": 5.0,
        "p99": 20.0,
        "cpu": 1.0,
        "memory": 2048.0,
        "reasons": {},
    }
    return Result(Case(who, service, jobs), calls={"GetJobRun": calls}, **{**usual, **figures})


@pytest.mark.parametrize(("jobs", "ending"), [(10, 5), (100, 10), (1_000, 100)])
def test_a_tenth_of_the_job_runs_ends_in_the_window_and_at_least_five(jobs, ending):
    plan = Plan("serverless", jobs, 60)
    assert jobs == len(plan.waited)
    assert ending == sum(0 < (run.ends or -1) <= 60 for run in plan.waited)


def test_a_plan_is_the_same_for_the_same_seed_and_another_for_another():
    assert Plan("ec2", 50, 60, 1).runs == Plan("ec2", 50, 60, 1).runs
    assert Plan("ec2", 50, 60, 1).runs != Plan("ec2", 50, 60, 2).runs


def test_everything_was_created_before_the_window_and_what_nobody_waits_for_has_ended():
    plan = Plan("serverless", 100, 60)
    waited = {run.id for run in plan.waited}
    others = [run for run in plan.runs.values() if run.id not in waited]
    assert len(others) == 50
    assert all(run.created < run.ends < -60 for run in others)
    assert max(run.created for run in plan.runs.values()) <= -60


def test_no_cluster_has_more_steps_than_it_is_said_to_have():
    plan = Plan("ec2", 250, 60)
    counts = [
        sum(run.compute == cluster for run in plan.runs.values()) for cluster in {run.compute for run in plan.waited}
    ]
    assert len(counts) == 3
    assert max(counts) <= 1.5 * STEPS_PER_CLUSTER


@pytest.mark.parametrize(
    ("succeeds", "said", "true"),
    [
        (True, {"state": "succeeded"}, True),
        (True, {"state": "lost"}, False),
        (True, {"state": "SUCCESS"}, True),
        (True, {"state": "FAILED"}, False),
        (False, {"state": "COMPLETED"}, False),
        (False, {"state": "failed"}, True),
        (True, SUCCESS, True),
        (False, SUCCESS, False),
        (
            False,
            {
                "status": "error",
                "message": "Serverless Job failed: FAILED\nWaiter encountered a terminal failure state",
            },
            True,
        ),
        (False, {"status": "error", "message": "Waiter error: max attempts reached"}, False),
        (True, {"error": "ClientError: Rate exceeded"}, False),
        (True, {"raised": "KeyError: 'run'"}, False),
    ],
)
def test_an_event_is_true_when_it_says_how_the_job_run_ended(succeeds, said, true):
    assert true == is_true(Run("r", "c", -100, 10, succeeds), said)


def test_delays_are_from_the_end_and_what_nobody_noticed_counts_as_it_stands():
    plan = Plan("serverless", 10, 60)
    ends = [run for run in plan.waited if run.ends]
    said = {True: {"state": "succeeded"}, False: {"state": "failed"}}
    heard = [Heard(run.id, 1_000.0 + run.ends + 2, said[run.succeeds]) for run in ends[:-1]]
    verdict = judged(plan, 1_000.0, heard, 1_000.0 + ends[-1].ends + 90)
    assert pytest.approx(verdict["delays"]) == [2, 2, 2, 2, 90]
    assert (verdict["unnoticed"], verdict["failed"]) == (1, 0)


def test_what_no_event_tells_of_is_judged_apart():
    plan = Plan("serverless", 10, 60)
    first, second, *others = [run for run in plan.waited if run.ends]
    said = {True: {"state": "SUCCESS"}, False: {"state": "FAILED"}}
    heard = [Heard(run.id, run.ends + 0.5, said[run.succeeds]) for run in others]
    heard.append(Heard(first.id, first.ends + 40, {"state": "succeeded" if first.succeeds else "failed"}))
    verdict = judged(plan, 0, heard, second.ends + 90, {first.id, second.id})
    assert pytest.approx(verdict["delays"]) == [0.5] * 3
    assert pytest.approx(verdict["lost_delays"]) == [40, 90]
    assert (verdict["unnoticed"], verdict["lost_unnoticed"], verdict["failed"]) == (0, 1, 0)


@pytest.mark.parametrize(
    ("who", "asked_for", "calls", "starting"),
    [
        ("provider", 9, ["GetJobRun"], True),
        ("provider", 10, ["GetJobRun"], False),
        ("ours", 0, [], True),
        ("ours", 0, ["ListJobRuns"], False),
        ("ours with events", 0, ["ReceiveMessage"], True),
        ("ours with events", 0, ["ListSteps"], True),
        ("ours with events", 0, ["ListSteps", "ReceiveMessage"], False),
    ],
)
def test_the_window_begins_when_everybody_has_asked(who, asked_for, calls, starting):
    assert starting is is_starting(who, 10, {"asked_for": asked_for, "calls": dict.fromkeys(calls, 1), "refused": {}})


def test_an_event_of_a_job_run_that_goes_on_is_a_failed_wait():
    plan = Plan("serverless", 10, 60)
    running = next(run for run in plan.waited if run.ends is None)
    verdict = judged(plan, 0, [Heard(running.id, 10, {"state": "succeeded"})], 100)
    assert verdict["failed"] == 1
    assert verdict["reasons"] == {"{'state': 'succeeded'}": 1}


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100)])
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(share, value):
    assert value == percentile(range(1, 101), share)


def test_the_last_percentile_of_few_values_is_the_last_value():
    assert percentile([1, 2, 7], 0.99) == 7


def test_calls_are_those_between_two_moments():
    assert difference(
        {"GetJobRun": 4, "GetApplication": 1}, {"GetJobRun": 7, "GetApplication": 1, "ListJobRuns": 1}
    ) == {"GetJobRun": 3, "ListJobRuns": 1}


def test_the_last_line_tells_the_ratio_at_a_thousand_or_at_the_most():
    small = [result("ours", 10, 5.0), result("provider", 10, 20.0)]
    large = [result("ours", 1_000, 30.0), result("provider", 1_000, 2_000.0), result("ours", 1_000, 1.0, service="ec2")]
    assert last_line(small + large) == "calls ratio=67 at jobs=1000"
    assert last_line(small) == "calls ratio=4 at jobs=10"
    assert last_line([result("ours", 10_000, 5.0)]) == "calls ratio=none"


def test_the_table_names_what_failed_waits_said():
    lines = table([result("provider", 10, 20.0, failed=2, reasons={"{'status': 'error'}": 2})]).splitlines()
    assert lines[2] == "| serverless | 10 | provider | GetJobRun 20 | 0 | 2 | 5.0 s | 20.0 s |  | 1.00 | 2 |"
    assert lines[-1] == "provider, 10 on serverless, 2 times: {'status': 'error'}"


def test_calls_of_sqs_are_told_apart_from_those_of_emr():
    calls = {"DeleteMessageBatch": 5.0, "ListJobRuns": 4.0, "ReceiveMessage": 7.0}
    one = replace(result("ours with events", 100, 0.0), calls=calls)
    assert one.calls_a_minute == 4.0
    assert "| ListJobRuns 4, SQS 12 |" in table([one])


def test_the_table_tells_the_ends_whose_event_was_lost_apart():
    one = result("ours with events", 100, 2.0, p99=0.9, lost_delays=(3.0, 120.5), lost_unnoticed=1)
    assert "| 0.9 s | 2, up to 120.5 s (1 not noticed) |" in table([one])


def test_the_plot_has_a_point_for_each_result_and_more_lies_higher():
    shown = [result(who, jobs, jobs * factor) for jobs in (10, 100) for who, factor in (("ours", 1), ("provider", 100))]
    svg = "{http://www.w3.org/2000/svg}"
    panel = ET.fromstring(plot(shown)).find(f"{svg}g")
    dots = [float(dot.get("cy")) for dot in panel.iter(f"{svg}circle")]
    # Ours with 10 and with 100, then the provider's: a decade up is a step up, and all steps are alike.
    assert len(dots) == 4
    steps = [dots[0] - dot for dot in dots[1:]]
    assert pytest.approx([step / steps[0] for step in steps], abs=0.01) == [1, 2, 3]


def test_a_process_that_is_not_through_is_told_and_not_drawn():
    shown = [result("ours", 10, 10), result("ours", 100, 10), too_slow(Case("provider", "serverless", 100), 650)]
    assert "provider, 100 on serverless, 1 times: its process was not through after 650 seconds" in table(shown)
    assert plot(shown).count("<circle") == 3 * 2


def test_the_page_keeps_what_stands_around_the_markers():
    assert f"a\n{BEGIN}\nnew \\1\n{END}\nb" == between_markers(f"a\n{BEGIN}\nold\n{END}\nb", "new \\1")
    with pytest.raises(ValueError, match="needs <!-- bench-watch: begin -->"):
        between_markers("a page without them", "new")


def test_ours_are_measured_together_and_then_the_provider_up_to_a_thousand():
    ours, providers = cases_of({10_000, 10, 1_000}, ["serverless", "ec2"])
    assert {"ours", "ours with events"} == {case.who for case in ours}
    assert [(case.service, case.jobs) for case in ours if case.jobs > 1_000] == [("serverless", 10_000)] * 2
    assert {("serverless", 10), ("serverless", 1_000), ("ec2", 10), ("ec2", 1_000)} == {
        (case.service, case.jobs) for case in providers if case.who == "provider"
    }
    assert (len(ours), len(providers)) == (10, 4)


def test_the_rows_stand_by_size_then_service_whatever_was_measured_first():
    measured = [
        result("ours", 100, 1.0),
        result("ours", 10, 1.0, service="ec2"),
        result("provider", 10, 1.0),
        result("ours", 10, 1.0),
    ]
    assert [(one.case.service, one.case.who, one.case.jobs) for one in in_order(measured)] == [
        ("serverless", "ours", 10),
        ("serverless", "provider", 10),
        ("ec2", "ours", 10),
        ("serverless", "ours", 100),
    ]


@pytest.mark.parametrize(("load", "told"), [(0.4, False), (15.5, True)])
def test_the_page_tells_of_other_work_when_the_machine_had_it(load, told):
    assert told == ("other work" in circumstances(load, 2))
