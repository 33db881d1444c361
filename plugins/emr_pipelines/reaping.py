"""The reaper: finds what a deployment owns and no run needs any more, tells it, and ends it. What it decides is pure."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from emr_pipelines.clients import target_of_profile
from emr_pipelines.environments import Environment, Reaping, current_environment
from emr_pipelines.errors import ComputeError
from emr_pipelines.job_metrics import DEPLOYMENT, ORPHANS, Datum
from emr_pipelines.keys import Lease
from emr_pipelines.links import REAPER_LINKS, show_links, xcom_page
from emr_pipelines.measuring import publish
from emr_pipelines.missing import remembered
from emr_pipelines.releasing import end
from emr_pipelines.targets.base import Owned, Target
from emr_pipelines.targets.profile import Profile

if TYPE_CHECKING:
    from airflow.sdk import Context

logger = logging.getLogger(__name__)

Row = dict[str, str]
"""What is told of one thing that the deployment owns."""


ENDED, SPARED = "ended", "would be ended"
"""What was done about an orphan."""


class Life(StrEnum):
    """How a run stands, as far as its compute is concerned."""

    LIVE = "is live"
    STRANDED = "waits for ever: its DAG has disappeared"
    ENDED = "has ended"
    DELETED = "was deleted"


class Finding(StrEnum):
    """What the reaper finds about one thing that the deployment owns."""

    KEPT = "kept by its profile"
    NEEDED = "its run is live"
    UNMATCHED = "cannot be matched with a run"
    YOUNG = "orphaned, within the grace period"
    ORPHANED = "orphaned"


def judge(owned: Owned, life: Life | None, age: float, grace: float) -> Finding:
    """Decide what to do about something owned; ``life`` of its run is ``None`` when its tags name none, times are in seconds."""
    if owned.compute.owner == "profile" and not owned.compute.lease:
        return Finding.KEPT
    if life is None:
        return Finding.UNMATCHED
    if life is Life.LIVE:
        return Finding.NEEDED
    return Finding.ORPHANED if age >= grace else Finding.YOUNG


def life_of(lease: Lease) -> Life:
    """Ask Airflow how the run of a lease stands. What is neither ended nor gone is live, whatever its state is called."""
    if _runs(lease, states=["success", "failed"]):
        return Life.ENDED
    return Life.LIVE if _runs(lease) else Life.DELETED


def _runs(lease: Lease, states: list[str] | None = None) -> int:
    # A run id travels as a query parameter here; in the path, where GetDagRunState puts it, one with a slash is never found.
    return RuntimeTaskInstance.get_dr_count(lease.dag_id, run_ids=[lease.run_id], states=states)


def settings_of(environment: Environment, params: Mapping[str, Any]) -> Reaping:
    """Return what the environment says, under what the run was triggered with.

    :raises pydantic.ValidationError: the run was triggered with a value that the setting does not take.
    """
    given = {name: params[name] for name in Reaping.model_fields if params.get(name) is not None}
    return Reaping.model_validate({**environment.reaper.model_dump(), **given})


def places_of(environment: Environment) -> list[Profile]:
    """Return one profile for each place in which the environment's profiles have compute."""
    return list({profile.place: profile for profile in environment.profiles.values()}.values())


def table_of(rows: Sequence[Row]) -> list[str]:
    """Lay out rows, with their heads, as lines of text."""
    lines = [list(rows[0]), *(list(row.values()) for row in rows)] if rows else []
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


class EmrReaperOperator(BaseOperator):
    """Lists what this deployment owns in every account and region of its environment, and ends what no run needs any more.

    Compute made for a run is orphaned when the run has ended or was deleted, or when its DAG has disappeared; so are job runs on shared
    compute. It is ended once it is older than the grace period, and its DAG has been missing for as long. Never touched are what a live
    run holds, what cannot be matched with a run, what a profile keeps, and another deployment's.

    Parameters of the run, ``grace_minutes`` and ``dry_run``, go over what the environment says under ``reaper``. Its XCom lists what was
    found, as ``{"target", "region", "profile", "what", "dag", "run", "created", "found", "done"}``.
    """

    operator_extra_links = REAPER_LINKS
    ui_color = "#d8e8f5"

    def execute(self, context: Context) -> None:
        """Reap, and tell what was found."""
        environment = current_environment()
        rows, troubles = reap(environment, settings_of(environment, context["params"]))
        context["ti"].xcom_push(key="return_value", value=rows)
        show_links(context, {"findings": xcom_page(context)})
        self._tell(rows, environment)
        of = {DEPLOYMENT: environment.deployment}
        publish(environment, [Datum(ORPHANS, orphans_among(rows), time.time(), of)])
        if troubles:
            raise ComputeError(
                f"{'; '.join(troubles)}. All else was looked at; the reaper's next run tries again, and until then what is left may "
                "run and cost."
            )

    def _tell(self, rows: Sequence[Row], environment: Environment) -> None:
        places = ", ".join(_where(place) for place in places_of(environment))
        self.log.info("Deployment %r owns %d things: %s", environment.deployment, len(rows), places)
        for line in table_of(rows):
            self.log.info("%s", line)
        if spared := [row["what"] for row in rows if row["done"] == SPARED]:
            self.log.warning(
                "A dry run: %d orphaned would be ended, and cost until then: %s. Trigger %s with dry_run off to end them now, or put "
                "`reaper: {dry_run: false}` into %s.",
                len(spared),
                ", ".join(spared),
                self.dag_id,
                environment.source,
            )
        if unmatched := [row["what"] for row in rows if row["found"] == Finding.UNMATCHED]:
            self.log.warning(
                "%s cannot be matched with a run and is never ended here: look whether you need it.",
                ", ".join(unmatched),
            )
        self.log.info("Ended %s", ", ".join(row["what"] for row in rows if row["done"] == ENDED) or "nothing")


def orphans_among(rows: Sequence[Row]) -> int:
    """Count what was found without a run, whatever its age and whatever was done about it."""
    return len([row for row in rows if row["found"].startswith(str(Finding.ORPHANED))])


def reap(environment: Environment, reaper: Reaping) -> tuple[list[Row], list[str]]:
    """Find what the deployment owns and end what is orphaned; return a row for each, and what could not be asked or ended.

    One account's trouble keeps no other from being reaped.
    """
    rows: list[Row] = []
    troubles: list[str] = []
    found = list(_found(environment, troubles))
    missing = _missing_dags(owned for _, _, owned in found)
    for place, target, owned in found:
        row = row_of(place, owned)
        try:
            row |= _reaped(target, owned, reaper, missing)
        except Exception as error:  # noqa: BLE001  # everything gets its turn
            row |= {"found": "not known", "done": "failed"}
            troubles.append(f"{row['what']} was not reaped: {error}")
        rows.append(row)
    return rows, troubles


def _found(environment: Environment, troubles: list[str]) -> Iterator[tuple[Profile, Target, Owned]]:
    seen: set[tuple[str, ...]] = set()
    for place in places_of(environment):
        try:
            target = target_of_profile(place)
            listed = target.owned(environment.deployment)
        except Exception as error:  # noqa: BLE001  # every account gets its turn
            troubles.append(f"{_where(place)} could not be asked: {error}")
            continue
        for owned in listed:
            # Two connections may lead to one account.
            identity = (place.target, place.region, owned.compute.id, owned.compute.lease)
            if identity not in seen:
                seen.add(identity)
                yield place, target, owned


def _missing_dags(found: Iterable[Owned]) -> dict[str, float]:
    """Return since when the DAGs of live runs are missing."""
    try:
        leases = [lease for owned in found if (lease := Lease.from_tags(owned.tags))]
        return remembered({lease.dag_id for lease in leases if life_of(lease) is Life.LIVE}, time.time())
    except Exception as error:  # noqa: BLE001  # a run that cannot be asked for is told with its compute
        logger.warning("Whether DAGs have disappeared could not be learned, so their runs count as live: %s", error)
        return {}


def _reaped(target: Target, owned: Owned, reaper: Reaping, missing: Mapping[str, float]) -> Row:
    """Find out about something owned, and end it if it is orphaned: its run is asked for right before."""
    lease = Lease.from_tags(owned.tags)
    life = life_of(lease) if lease else None
    age = time.time() - owned.created
    if lease and life is Life.LIVE and lease.dag_id in missing:
        life, age = Life.STRANDED, min(age, time.time() - missing[lease.dag_id])
    finding = judge(owned, life, age, 60 * reaper.grace_minutes)
    found = f"{finding}: its run {life}" if finding in (Finding.YOUNG, Finding.ORPHANED) else str(finding)
    if finding is not Finding.ORPHANED or lease is None:
        return {"found": found, "done": "left alone"}
    if reaper.dry_run:
        return {"found": found, "done": SPARED}
    end(target, lease, owned.compute)
    return {"found": found, "done": ENDED}


def row_of(place: Profile, owned: Owned) -> Row:
    """Describe something owned."""
    compute = owned.compute
    shared_work = compute.owner == "profile" and compute.lease
    return {
        "target": compute.target,
        "region": place.region,
        "profile": compute.profile,
        "what": f"job runs of lease {compute.lease} on {compute.id}" if shared_work else compute.id,
        "dag": _tag(owned.tags, "dag"),
        "run": _tag(owned.tags, "run"),
        "created": datetime.fromtimestamp(owned.created, UTC).isoformat(timespec="seconds"),
    }


def _tag(tags: Mapping[str, str], part: str) -> str:
    return tags.get(f"emr-pipelines:{part}", "")


def _where(place: Profile) -> str:
    return f"{place.target} in {place.region}" + (
        f" through connection {place.connection!r}" if place.connection else ""
    )
