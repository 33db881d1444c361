"""How long a job run is expected to take."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from emr_pipelines.history import usual_seconds


@pytest.mark.parametrize(
    ("earlier", "expected"),
    [
        ({"compute": "j-1", "job_run": "s-1", "began": 1000.0, "ended": 1360.5}, 360.5),
        (None, None),  # there is no earlier run
        ({"compute": "j-1", "job_run": "s-1", "began": None, "ended": 1360.5}, None),  # the service did not tell
        ({"rows": 3}, None),  # another operator had the task's id then
        ("text", None),
    ],
)
def test_the_last_time_is_what_the_task_said_of_its_job_run(earlier, expected):
    asked = []
    ti = SimpleNamespace(task_id="emr.job", map_index=2, xcom_pull=lambda **how: asked.append(how) or earlier)
    assert usual_seconds({"ti": ti}) == expected
    assert asked == [{"task_ids": "emr.job", "map_indexes": 2, "include_prior_dates": True}]
