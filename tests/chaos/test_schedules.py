"""Schedules are fixed by their seeds, and every case has its turn."""

from __future__ import annotations

import pytest

from tests.chaos.acts import Acts
from tests.chaos.schedules import CASES, TARGETS, schedule_of


@pytest.mark.parametrize("target", TARGETS)
def test_every_case_of_a_target_has_its_turn_alone_and_then_with_something_besides(target):
    cases = [case for case in CASES if target in case.targets]
    alone = [schedule_of(seed, target) for seed in range(len(cases))]
    assert [schedule.case for schedule in alone] == [case.case for case in cases]
    assert [schedule.events for schedule in alone] == [case.events for case in cases]
    together = [schedule_of(seed, target) for seed in range(len(cases), 2 * len(cases))]
    assert all(len(both.events) > len(case.events) for both, case in zip(together, cases, strict=True))


@pytest.mark.parametrize("target", TARGETS)
def test_a_seed_always_gives_the_same_schedule(target):
    assert [schedule_of(seed, target) for seed in range(200)] == [schedule_of(seed, target) for seed in range(200)]


@pytest.mark.parametrize("target", TARGETS)
def test_everything_that_is_scheduled_can_be_done(target):
    schedules = [schedule_of(seed, target) for seed in range(200)]
    acts = {event.act.replace("-", "_") for schedule in schedules for event in (*schedule.events, *schedule.before)}
    assert {act for act in acts if not callable(getattr(Acts, act, None))} == set()


def test_runs_have_names_of_which_none_holds_another():
    names = [schedule_of(seed, target).run_id for seed in range(200) for target in TARGETS]
    assert [(one, other) for one in names for other in names if one != other and one in other] == []
