"""When to look again."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emr_pipelines.watching.pace import BESIDE_EVENTS, IN_TASK, IN_TRIGGERER, Pace, after_failures, look_again_in

seconds = st.floats(0, 200_000)


def test_the_longer_a_job_runs_the_more_rarely_it_is_looked_at():
    pauses = [look_again_in(float(waited), IN_TASK) for waited in range(1000)]
    assert all(earlier <= later for earlier, later in pairwise(pauses))
    assert (pauses[0], pauses[60], pauses[-1]) == (0.5, 15.0, 30.0)


@pytest.mark.parametrize(
    ("waited", "expected", "pause"),
    [
        (0, 3600, 30.0),  # an hour is left
        (3540, 3600, 15.0),  # a minute is left
        (3598, 3600, 2.0),  # it should end now
        (3600, 3600, 2.0),
        (3640, 3600, 10.0),  # it takes longer than it used to
        (9000, 3600, 30.0),
    ],
)
def test_looks_are_close_together_near_the_end_that_is_expected(waited, expected, pause):
    assert look_again_in(waited, IN_TRIGGERER, expected) == pause


@given(waited=seconds, expected=st.none() | seconds, pace=st.sampled_from([IN_TASK, IN_TRIGGERER, BESIDE_EVENTS]))
def test_a_pause_is_never_shorter_nor_longer_than_the_pace_allows(waited, expected, pace):
    assert pace.soonest <= look_again_in(waited, pace, expected) <= pace.latest


@given(expected=seconds, late=st.floats(0, 100_000))
def test_an_end_without_history_is_noticed_late_by_at_most_a_quarter_of_what_the_job_took(expected, late):
    assert look_again_in(expected, IN_TRIGGERER) <= max(IN_TRIGGERER.soonest, expected / 4)
    assert look_again_in(expected + late, IN_TRIGGERER, expected) <= max(IN_TRIGGERER.soonest, late / 4 + 1e-6)


def test_failures_double_the_pause_up_to_the_longest():
    pauses = [after_failures(count, Pace(soonest=2.0, latest=30.0)) for count in range(1, 8)]
    assert pauses == [4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0]
