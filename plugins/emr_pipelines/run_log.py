"""What a run of a pipeline leaves behind: one JSON object in S3 that says on what it ran, what its jobs did, and how it ended.

    s3://<logs bucket>/runs/deployment=<deployment>/dag=<dag>/date=<logical date>/<run>.<group>.json

It stands on one line, so that Athena reads the folder as a table. A run that is cleared writes its document again, by the same name.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final
from urllib.parse import quote

from emr_pipelines.clients import brief_client
from emr_pipelines.engines import jobs_in
from emr_pipelines.job_metrics import COMPUTE_USE, DEPLOYMENT, Datum, JobEnd, use_of
from emr_pipelines.keys import Lease
from emr_pipelines.measuring import JOB_ENDS, publish
from emr_pipelines.membership import Run
from emr_pipelines.targets.base import Compute, Usage
from emr_pipelines.watching import target_of
from emr_pipelines.watching.looking import profile_of

logger = logging.getLogger(__name__)

RELEASED: Final = "released"
"""Key of the XCom in which release tells when it had ended the compute, in seconds since 1970."""

FOLDER: Final = "runs"
_USE_TOLD: Final = "compute_use_told"
_LONGEST_PART: Final = 300


@dataclass(frozen=True)
class Life:
    """The compute of a run: what it was, where, and from when to when; times in seconds since 1970."""

    compute: Compute
    region: str
    asked: float
    ready: float
    released: float | None
    """``None`` where release has not told, and the compute may be alive."""

    def use(self, ends: Sequence[JobEnd]) -> float | None:
        """Return the share of its life, in percent, in which jobs worked; ``None`` of shared compute: others may have used it."""
        if self.compute.owner == "profile" or self.released is None:
            return None
        return use_of(self.ends_among(ends), self.asked, self.released)

    def ends_among(self, ends: Iterable[JobEnd]) -> list[JobEnd]:
        """Return those of job runs on this compute: what ran before a clear was on another."""
        return [end for end in ends if end.compute == self.compute.id]


def close(run: Run, failed: Sequence[str]) -> None:
    """Publish how well the run's compute was used, and write its document. Whatever stands in the way is one warning.

    :param failed: the tasks that did not succeed.
    """
    try:
        life, ends = _life_of(run), _ends_of(run)
        use = life.use(ends) if life else None
        _publish_use(run, life, use)
        if run.environment.metrics.run_log:
            _write(run, document_of(run.lease, life, ends, _usage_of(life, ends), use, _facts_of(run, failed)))
    except Exception as error:  # noqa: BLE001  # the run has ended as it has, whether or not that is written down
        logger.warning("The run's document could not be written: %s", error)


def document_of(  # noqa: PLR0913, PLR0917  # what there is to say of a run
    lease: Lease,
    life: Life | None,
    ends: Sequence[JobEnd],
    usage: Usage | None,
    use: float | None,
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the document; what is not known of a run is null. Times are ISO 8601, UTC."""
    return {
        "deployment": lease.deployment,
        "dag": lease.dag_id,
        "run": lease.run_id,
        "group": lease.group_id,
        "profile": life.compute.profile if life else None,
        "target": life.compute.target if life else None,
        "region": life.region if life else None,
        "compute": life.compute.id if life else None,
        "owner": life.compute.owner if life else None,
        "acquired": _iso(life.asked) if life else None,
        "ready": _iso(life.ready) if life else None,
        "released": _iso(life.released) if life else None,
        "jobs": [end.to_json() | {"began": _iso(end.began), "ended": _iso(end.ended)} for end in ends],
        "usage": asdict(usage) if usage else None,
        "compute_use": None if use is None else round(use, 2),
        **facts,
    }


def address_of(bucket: str, lease: Lease, date: str) -> str:
    """Return where the document of a run lies.

    :param date: the run's logical date, or the day for which it was triggered, ``2013-01-15``.
    """
    return f"s3://{bucket}/{key_of(lease, date)}"


def key_of(lease: Lease, date: str) -> str:
    """Return the document's key; ids are percent-encoded, so that each stays one part of it."""
    deployment, dag, run, group = map(_part, (lease.deployment, lease.dag_id, lease.run_id, lease.group_id))
    return f"{FOLDER}/deployment={deployment}/dag={dag}/date={date}/{run}.{group}.json"


def _part(text: str) -> str:
    """Return an id as a part of a key; of a long one the beginning and a hash, since S3 takes 1024 bytes in all."""
    part = quote(text, safe="")
    return (
        part
        if len(part) <= _LONGEST_PART
        else f"{part[: _LONGEST_PART - 33]}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"
    )


def line_of(document: Mapping[str, Any]) -> str:
    """Return the object's content: one line."""
    return json.dumps(document, ensure_ascii=False) + "\n"


def _life_of(run: Run) -> Life | None:
    """Return what acquire and release have told; ``None`` where nothing was acquired."""
    ti = run.context["ti"]
    acquired = ti.xcom_pull(task_ids=run.membership.acquire_id)
    if not acquired:
        return None
    compute = Compute.from_json(acquired["compute"])
    return Life(
        compute=compute,
        region=profile_of(compute).region,
        asked=acquired["began"],
        ready=acquired["ended"],
        released=ti.xcom_pull(task_ids=f"{run.membership.group_id}.release", key=RELEASED),
    )


def _ends_of(run: Run) -> list[JobEnd]:
    """Return how the job runs of the run's tasks have ended, in the order of their tasks; of mapped tasks all of them."""
    prefix = f"{run.membership.group_id}."
    tasks = [task for task in run.context["dag"].tasks if task.task_id.startswith(prefix) and jobs_in(task) != []]
    pulled = run.context["ti"].xcom_pull(task_ids=[task.task_id for task in tasks], key=JOB_ENDS) if tasks else []
    return [JobEnd.from_json(one) for told in pulled if told for one in told]


def _publish_use(run: Run, life: Life | None, use: float | None) -> None:
    """Publish it once for each life: the verdict may be cleared alone."""
    store = run.context["task_state_store"]
    if life is None or use is None or life.released is None or store.get(_USE_TOLD) == life.released:
        return
    store.set(_USE_TOLD, life.released)
    of = {DEPLOYMENT: run.lease.deployment, "Target": life.compute.target}
    publish(run.environment, [Datum(COMPUTE_USE, use, life.released, of)])


def _usage_of(life: Life | None, ends: Sequence[JobEnd]) -> Usage | None:
    """Ask what was used; where AWS does not tell, the document says so."""
    if life is None:
        return None
    try:
        return target_of(life.compute).usage(life.compute, [end.job_run for end in life.ends_among(ends)])
    except Exception as error:  # noqa: BLE001  # the rest of the document is worth writing
        logger.warning("What %s used could not be learned: %s", life.compute.id, error)
        return None


def _facts_of(run: Run, failed: Sequence[str]) -> dict[str, Any]:
    return {
        "verdict": "failed" if failed else "success",
        "failed": list(failed),
        "written": _iso(time.time()),
        "airflow": _version_of("apache-airflow"),
        "emr_pipelines": _version_of("emr-pipelines"),
        "logical_date": _iso(_moment(run.context["dag_run"].logical_date)),
    }


def _write(run: Run, document: Mapping[str, Any]) -> None:
    dag_run = run.context["dag_run"]
    day = (dag_run.logical_date or dag_run.run_after).astimezone(UTC).date().isoformat()
    bucket, key = run.environment.buckets.logs, key_of(run.lease, day)
    s3 = brief_client(run.environment, "s3", attempts=3)
    s3.put_object(Bucket=bucket, Key=key, Body=line_of(document).encode(), ContentType="application/json")
    logger.info("The run's document is s3://%s/%s", bucket, key)


def _moment(when: datetime | None) -> float | None:
    return when.timestamp() if when else None


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # the package may lie in the plugins folder, and not be installed
        return None
