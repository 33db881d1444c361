"""What Airflow's metrics tell of the watchers; docs/reference/metrics.md lists them."""

from __future__ import annotations

import time

from airflow.sdk.observability import stats

PREFIX = "emr_pipelines.watcher"


def called(service: str, operation: str) -> None:
    """Count a call to AWS: ``calls``, by service and operation."""
    stats.incr(f"{PREFIX}.calls", tags={"service": service, "operation": operation})


def throttled(service: str, operation: str) -> None:
    """Count a call that AWS refused because there were too many: ``throttles``, by service and operation."""
    stats.incr(f"{PREFIX}.throttles", tags={"service": service, "operation": operation})


def waiting(target: str, region: str, count: int) -> None:
    """Say how many triggers wait: ``waiting``, by target and region."""
    stats.gauge(f"{PREFIX}.waiting", count, tags={"target": target, "region": region})


def look_failed(target: str, region: str) -> None:
    """Count a look that failed, for whatever reason: ``failed_looks``, by target and region."""
    stats.incr(f"{PREFIX}.failed_looks", tags={"target": target, "region": region})


def noticed(target: str, ended: float) -> None:
    """Tell how late the end of a job run was noticed: ``notice_delay`` in milliseconds, by target; ``ended`` is the service's time."""
    stats.timing(f"{PREFIX}.notice_delay", max(0.0, time.time() - ended) * 1000, tags={"target": target})


def heard(*, waited_for: bool) -> None:
    """Count an event that told of an end: ``events``, by whether anybody waited for it here."""
    stats.incr(f"{PREFIX}.events", tags={"waited_for": str(waited_for).lower()})
