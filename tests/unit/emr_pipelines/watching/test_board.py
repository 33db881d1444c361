"""Whose turn it is, and who is told what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emr_pipelines.watching.board import TOLERATED, Board, Wait
from emr_pipelines.watching.pace import IN_TRIGGERER, Pace
from emr_pipelines.watching.subjects import FEW, plan_look


class Subject:
    def __init__(self, key):
        self.key = key


def board():
    return Board(lambda: 1.0)


def wait(item, since=0.0, expected=None):
    return Wait(item, since, expected=expected)


def test_the_first_look_comes_after_a_quarter_of_the_time_waited_so_far():
    some = board()
    some.add(Subject("a"), wait("an hour old", since=-3500.0), 100.0, IN_TRIGGERER)
    assert some.next().due == 130.0
    some.add(Subject("a"), wait("just handed over", since=76.0), 100.0, IN_TRIGGERER)
    assert some.next().due == 106.0


def test_one_look_answers_all_who_wait_and_wakes_only_those_it_concerns():
    some, subject = board(), Subject("a")
    one, two, three = wait("one"), wait("two"), wait("one")
    for each in (one, two, three):
        some.add(subject, each, 0.0, IN_TRIGGERER)
    assert some.answered(some.next(), {"one": {"state": "succeeded"}, "four": {}}, 10.0, IN_TRIGGERER) == [one, three]
    assert list(some.next().waits.values()) == [two]


def test_a_group_is_looked_at_again_when_the_first_of_it_wants_it():
    some, subject = board(), Subject("a")
    some.add(subject, wait("old", since=0.0), 1000.0, IN_TRIGGERER)
    some.add(subject, wait("about to end", since=960.0, expected=60.0), 1000.0, IN_TRIGGERER)
    group = some.next()
    some.answered(group, {}, 1000.0, IN_TRIGGERER)
    assert group.due == 1005.0


def test_nobody_is_left_where_all_were_told():
    some = board()
    some.add(Subject("a"), wait("one"), 0.0, IN_TRIGGERER)
    some.answered(some.next(), {"one": {}}, 1.0, IN_TRIGGERER)
    assert (some.next(), len(some)) == (None, 0)


def test_a_wait_that_is_given_up_is_forgotten_and_twice_does_no_harm():
    some, subject, one = board(), Subject("a"), wait("one")
    some.add(subject, one, 0.0, IN_TRIGGERER)
    some.remove(subject, one)
    some.remove(subject, one)
    assert some.next() is None


@given(st.lists(st.integers(0, 30), min_size=1, max_size=40))
def test_where_there_are_too_many_groups_each_has_its_turn(turns):
    some = board()
    for number in range(5):
        some.add(Subject(number), wait("one"), 0.0, IN_TRIGGERER)
    seen = []
    now = 100.0
    for took in turns:
        group = some.next()
        seen.append(group.subject.key)
        now = max(now, group.due) + took
        some.answered(group, {}, now, Pace(1.0, 1.0))
    assert all(len(set(seen[start : start + 5])) == len(seen[start : start + 5]) for start in range(0, len(seen), 5))


def test_a_throttle_fails_nobody_however_often_it_comes():
    some = board()
    some.add(Subject("a"), wait("one"), 0.0, IN_TRIGGERER)
    told = [some.failed(some.next(), float(now), IN_TRIGGERER, refused=False) for now in range(1000)]
    assert told == [[]] * 1000
    assert some.next().due == 999.0 + IN_TRIGGERER.latest


def test_refusals_in_a_row_are_told_and_a_look_between_them_starts_the_count_again():
    some, one = board(), wait("one")
    some.add(Subject("a"), one, 0.0, IN_TRIGGERER)
    for _ in range(TOLERATED - 1):
        assert some.failed(some.next(), 1.0, IN_TRIGGERER, refused=True) == []
    some.answered(some.next(), {}, 2.0, IN_TRIGGERER)
    told = [some.failed(some.next(), 3.0, IN_TRIGGERER, refused=True) for _ in range(TOLERATED)]
    assert told == [[]] * (TOLERATED - 1) + [[one]]
    assert len(some) == 0


def test_few_are_asked_about_one_by_one_at_every_look():
    some = [wait(str(number)) for number in range(FEW)]
    for now in (100.0, 101.0):
        assert plan_look(some, 1, now) == (some, [])
    steps = [wait(str(number)) for number in range(10)]
    assert plan_look(steps, 10, 100.0) == (steps, [])


@pytest.mark.parametrize("runs_per_call", [1, 10])
@pytest.mark.parametrize("count", [11, 200, 201, 203, 204, 1000])
def test_of_many_the_oldest_are_asked_about_and_each_of_the_others_within_two_hundred_looks(count, runs_per_call):
    some = [wait(str(number), since=float(number)) for number in range(count)]
    asked = set()
    for look in range(1, 202):
        plan = plan_look(some, runs_per_call, look * 30.0)
        assert len(plan.asked) <= FEW + runs_per_call * (count // 200 + 1)
        assert set(some[:FEW]) <= set(plan.asked)
        assert plan.listed == some[FEW:]
        for one in plan.asked:
            one.asked = look * 30.0
            asked.add(one.item)
    assert len(asked) == count


def test_looks_close_together_ask_about_nobody_twice():
    some = [wait(str(number), since=float(number)) for number in range(300)]
    plans = [plan_look(some, 1, 1000.0)]
    for one in plans[0].asked:
        one.asked = 1000.0
    plans.append(plan_look(some, 1, 1002.0))
    assert {one.item for one in plans[0].asked} & {one.item for one in plans[1].asked} == set()
    assert plans[1].listed == some[FEW:]
