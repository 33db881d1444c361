"""Whose turn it is, and who is told what."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from emr_pipelines.watching.board import TOLERATED, Board, Wait
from emr_pipelines.watching.pace import IN_TRIGGERER, Pace
from emr_pipelines.watching.subjects import FEW, plan_look


class Subject:
    def __init__(self, key, patience=None):
        self.key = key
        self.patience = patience


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
    group = some.next()
    assert [some.answered(group, item) for item in ("one", "four", "one")] == [[one, three], [], []]
    assert group.everybody() == [two]


def test_a_group_is_looked_at_again_when_the_first_of_it_wants_it():
    some, subject = board(), Subject("a")
    some.add(subject, wait("old", since=0.0), 1000.0, IN_TRIGGERER)
    some.add(subject, wait("about to end", since=960.0, expected=60.0), 1000.0, IN_TRIGGERER)
    group = some.next()
    some.looked(group, 1000.0, IN_TRIGGERER)
    assert group.due == 1005.0


def test_a_look_that_takes_long_does_not_put_off_the_next():
    some = board()
    some.add(Subject("a"), wait("old", since=-5000.0), 0.0, IN_TRIGGERER)
    group = some.next()
    some.looked(group, 100.0, IN_TRIGGERER)  # it began then, and ended only now
    assert group.due == 130.0


def test_nobody_is_left_where_all_were_told():
    some = board()
    some.add(Subject("a"), wait("one"), 0.0, IN_TRIGGERER)
    some.answered(some.next(), "one")
    assert (some.next(), len(some)) == (None, 0)


def test_a_wait_that_is_given_up_is_forgotten_and_twice_does_no_harm():
    some, subject, one = board(), Subject("a"), wait("one")
    some.add(subject, one, 0.0, IN_TRIGGERER)
    some.remove(subject, one)
    some.remove(subject, one)
    assert some.next() is None


def test_who_begins_to_wait_during_a_look_waits_for_the_next():
    some, subject = board(), Subject("a")
    some.add(subject, wait("one"), 0.0, IN_TRIGGERER)
    during = some.next()
    some.answered(during, "one")
    late = wait("two", since=9.0)
    some.add(subject, late, 10.0, IN_TRIGGERER)
    some.looked(during, 5.0, IN_TRIGGERER)
    assert (some.next().everybody(), some.next().due) == ([late], 12.0)


@example([0, 1, 0, 0, 0, 0, 0])  # two are due at the same moment
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
        some.looked(group, now, Pace(1.0, 1.0))
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
    some.looked(some.next(), 2.0, IN_TRIGGERER)
    told = [some.failed(some.next(), 3.0, IN_TRIGGERER, refused=True) for _ in range(TOLERATED)]
    assert told == [[]] * (TOLERATED - 1) + [[one]]
    assert len(some) == 0


def unreached(some, *moments):
    """What is told when AWS cannot be reached at these moments, one after the other."""
    return [some.failed(some.next(), now, IN_TRIGGERER, refused=False, reached=False) for now in moments]


def test_who_has_no_patience_is_told_when_aws_was_not_reached_for_that_long():
    some, one = board(), wait("one")
    some.add(Subject("a", patience=120.0), one, 0.0, IN_TRIGGERER)
    assert unreached(some, 10.0, 129.0, 130.0) == [[], [], [one]]
    assert len(some) == 0


def test_an_answer_or_a_throttle_between_them_starts_the_patience_again():
    some = board()
    some.add(Subject("a", patience=120.0), wait("one"), 0.0, IN_TRIGGERER)
    unreached(some, 10.0)
    some.looked(some.next(), 100.0, IN_TRIGGERER)
    assert unreached(some, 131.0, 200.0) == [[], []]
    some.failed(some.next(), 240.0, IN_TRIGGERER, refused=False)
    assert unreached(some, 252.0, 371.0) == [[], []]


def test_who_waits_for_a_job_run_waits_until_aws_is_reached():
    some = board()
    some.add(Subject("a"), wait("one"), 0.0, IN_TRIGGERER)
    assert unreached(some, 1.0, 1_000_000.0) == [[], []]


def test_few_are_asked_about_one_by_one_at_every_look():
    some = [wait(str(number)) for number in range(FEW)]
    for now in (100.0, 101.0):
        assert plan_look(some, 1, now) == (some, [])
    steps = [wait(str(number)) for number in range(10)]
    assert plan_look(steps, 10, 100.0) == (steps, [])


def ages(*hours, now=100_000.0):
    return [wait(str(number), since=now - 3600 * hour) for number, hour in enumerate(hours)]


def test_many_are_listed_and_nobody_is_asked_about():
    some = ages(*[0.5] * 300)
    assert plan_look(some, 1, 100_000.0) == ([], some)


def test_those_far_older_than_the_others_are_asked_about_so_that_the_listing_is_short():
    some = ages(50, 48, *[0.5] * 20)
    assert plan_look(some, 1, 100_000.0) == (some[:2], some[2:])


def test_a_listing_goes_back_to_those_who_are_old_together():
    some = ages(*[50 - hour / 2 for hour in range(20)])
    assert plan_look(some, 1, 100_000.0).listed == some


@pytest.mark.parametrize("runs_per_call", [1, 10])
@pytest.mark.parametrize("count", [11, 99, 100, 101, 1000])
def test_each_of_many_is_asked_about_by_itself_every_hour_or_so_and_few_at_a_time(count, runs_per_call):
    some = [wait(str(number)) for number in range(count)]
    times = {one.item: [] for one in some}
    for now in range(0, 4 * 3600, 30):
        plan = plan_look(some, runs_per_call, float(now))
        assert len(plan.asked) <= runs_per_call * (count // 100 + 1)
        assert plan.listed == some
        for one in plan.asked:
            one.asked = float(now)
            times[one.item].append(now)
    assert all(3600 <= first <= 2 * 3600 for first, *_ in times.values())
    assert all(3600 <= later - earlier <= 2 * 3600 for asked in times.values() for earlier, later in pairwise(asked))
