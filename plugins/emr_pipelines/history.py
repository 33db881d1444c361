"""How long a task's job runs took before: from the XCom of its earlier runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import Context


def usual_seconds(context: Context) -> float | None:
    """Return the seconds that the task's job run took the last time, in the latest earlier run that succeeded; ``None`` for the first.

    Which run is earlier Airflow says, by logical date or by when a run might start (``XComModel.get_many``).
    """
    ti = context["ti"]
    earlier = ti.xcom_pull(task_ids=ti.task_id, map_indexes=ti.map_index, include_prior_dates=True)
    try:
        return float(earlier["ended"]) - float(earlier["began"])
    except (TypeError, KeyError):
        return None
