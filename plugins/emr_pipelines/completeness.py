"""The task that looks which partitions of a dataset are published: which days are missing, and whether the newest is fresh.

It reads names only, so it needs no compute. What is expected and what is missing is pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from emr_pipelines.clients import clients_of_environment
from emr_pipelines.datasets import Dataset
from emr_pipelines.environments import current_environment
from emr_pipelines.errors import ConfigurationError, DataError
from emr_pipelines.manifests import Manifest, published_partitions
from emr_pipelines.past_results import in_order
from emr_pipelines.reaping import table_of

if TYPE_CHECKING:
    from airflow.sdk import Context

_FORMATS = ("%Y-%m-%d", "%Y%m%d", "%Y-%m-%dT%H", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S")
_MOST = 100_000
"""Partitions that are expected at most: all hours of ten years. More is a mistake in first=, last= or every=."""
_SHOWN = 20
"""Ranges of missing partitions that an error names."""


@dataclass(frozen=True)
class Span:
    """Partitions that follow one another and are all published, or all missing."""

    first: str
    last: str
    partitions: int
    published: bool

    def __str__(self) -> str:
        return self.first if self.partitions == 1 else f"{self.first} to {self.last}"


@dataclass(frozen=True)
class Found:
    """What a look at the published partitions of a dataset found.

    :param expected: how many there should be.
    :param missing: those that are not published, in order.
    :param newest: the last of those that are; ``None`` when none is.
    :param published_at: when that was published, ISO 8601, UTC; ``None`` when nobody asked.
    """

    dataset: str
    expected: int
    missing: list[str]
    newest: str | None
    published_at: str | None = None


def expected_partitions(first: str | None, last: str | None, every: timedelta | Sequence[str]) -> list[str]:
    """Return the partitions from ``first`` to ``last``, both included: one in each step of time, or those of a list that lie between.

    Steps of time are written as ``first`` is: 2013-01-15, 20130115, 2013-01-15T05 or 2013-01-15T05:30.

    :raises ConfigurationError: there is none, or the bounds are no times of one form.
    """
    expected = _steps(first, last, every) if isinstance(every, timedelta) else _listed(first, last, every)
    if not expected:
        raise ConfigurationError(
            f"No partition is expected from {first} to {last}: first= comes before last=, and both are included"
        )
    return expected


def spans(expected: Sequence[str], published: Collection[str]) -> list[Span]:
    """Group expected partitions, in their order, into those that are published and those that are missing."""
    groups = [(there, list(group)) for there, group in groupby(expected, lambda one: one in published)]
    return [Span(group[0], group[-1], len(group), there) for there, group in groups]


def trouble_of(
    found: Found, looked: Sequence[Span], allow_missing: int, fresh_within: timedelta | None, now: datetime
) -> str | None:
    """Say what is wrong with the partitions of a dataset, the missing ones first; ``None`` for nothing."""
    troubles = []
    if len(found.missing) > allow_missing:
        ranges = [str(span) for span in looked if not span.published]
        more = f" and {len(ranges) - _SHOWN} more ranges" if len(ranges) > _SHOWN else ""
        named = ", ".join(ranges[:_SHOWN]) + more
        troubles.append(
            f"{len(found.missing)} of {found.expected} partitions of dataset {found.dataset!r} are not published: {named}"
        )
    if fresh_within is not None and not found.published_at:
        troubles.append(f"nothing of dataset {found.dataset!r} is published, and fresh_within is {_told(fresh_within)}")
    if fresh_within is not None and found.published_at:
        age = now - datetime.fromisoformat(found.published_at)
        if age > fresh_within:
            troubles.append(
                f"the newest partition of dataset {found.dataset!r}, {found.newest}, was published {_told(age)} ago, and "
                f"fresh_within is {_told(fresh_within)}"
            )
    return "; ".join(troubles) or None


class PartitionsCheckOperator(BaseOperator):
    """Fails when partitions of a dataset are not published, or the newest of them was published too long ago. It uses no compute.

    Its XCom, there also when it fails, is ``{"dataset", "expected", "missing": [...], "newest", "published_at"}``.

    :param dataset: the dataset.
    :param first: the first partition that is expected; may hold templates. Not needed with a list.
    :param last: the last one, likewise; ``{{ data_interval_start | ds }}``, for example.
    :param every: the time from one partition to the next, or a list of the partitions' values, of which those from ``first`` to
        ``last`` count: trading days, for example, or what is no time.
    :param fresh_within: how long ago the newest of them may have been published; any time when ``None``.
    :param allow_missing: how many may be missing.
    :raises ConfigurationError: the bounds are no times of one form, are the wrong way round, or are missing.
    """

    template_fields = ("first", "last")
    ui_color = "#d8f5dc"

    def __init__(  # noqa: PLR0913  # each is a setting that stands in a DAG by its name
        self,
        *,
        dataset: Dataset,
        first: str | None = None,
        last: str | None = None,
        every: timedelta | Sequence[str] = timedelta(days=1),
        fresh_within: timedelta | None = None,
        allow_missing: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(inlets=[*(kwargs.pop("inlets", None) or []), dataset.asset], **kwargs)
        self.dataset = dataset
        self.first = first
        self.last = last
        self.every = every
        self.fresh_within = fresh_within
        self.allow_missing = allow_missing
        if "{" not in f"{first}{last}":
            self._expected()

    def execute(self, context: Context) -> None:
        """Look, tell, and fail when something is wrong."""
        try:
            expected = self._expected()
        except ConfigurationError as error:
            # A retry renders the same.
            raise AirflowFailException(str(error)) from error
        published = published_partitions(clients_of_environment(current_environment()).repeating("s3"), self.dataset)
        # asked for one by one, each would be read
        there = set(published)
        looked = spans(expected, there)
        found = self._found(expected, there, published)
        context["ti"].xcom_push(key="return_value", value=asdict(found))
        for line in table_of([_row(span) for span in looked]):
            self.log.info("%s", line)
        if found.newest and found.published_at:
            self.log.info("The newest, %s, was published at %s", found.newest, found.published_at)
        if trouble := trouble_of(found, looked, self.allow_missing, self.fresh_within, datetime.now(UTC)):
            raise DataError(
                f"{trouble}.\nRun the pipeline that publishes them for these partitions, or see why its last run did not come to that; "
                "a retry of this task looks again."
            )

    def _expected(self) -> list[str]:
        try:
            return expected_partitions(self.first, self.last, self.every)
        except ConfigurationError as error:
            raise ConfigurationError(f"Task {self.task_id!r}: {error}") from None

    def _found(self, expected: Sequence[str], there: Collection[str], published: Mapping[str, Manifest]) -> Found:
        newest = next((one for one in reversed(expected) if one in there), None)
        manifest = published.get(newest) if newest and self.fresh_within is not None else None
        missing = [one for one in expected if one not in there]
        return Found(self.dataset.name, len(expected), missing, newest, manifest.published_at if manifest else None)


def _listed(first: str | None, last: str | None, every: Sequence[str]) -> list[str]:
    if isinstance(every, str):
        raise ConfigurationError(f"every= is a timedelta, or a list of partitions, and it is {every!r}")
    return [
        one
        for one in sorted(set(every), key=in_order)
        if (first is None or in_order(first) <= in_order(one)) and (last is None or in_order(one) <= in_order(last))
    ]


def _steps(first: str | None, last: str | None, every: timedelta) -> list[str]:
    if first is None or last is None:
        raise ConfigurationError(
            "first= and last= say from when to when partitions are expected, and one of them is missing"
        )
    if every <= timedelta():
        raise ConfigurationError(f"every= is the time from one partition to the next, and it is {every}")
    form = _form(first)
    at, end = _time(first, form), _time(last, form)
    if at is None or end is None:
        raise ConfigurationError(f"{last!r} is written otherwise than {first!r}: write first= and last= in one form")
    if (end - at) / every >= _MOST:
        raise ConfigurationError(
            f"More than {_MOST} partitions are expected from {first} to {last}: make every= longer"
        )
    steps = []
    while at <= end:
        steps.append(f"{at:{form}}")
        if _time(steps[-1], form) != at:
            raise ConfigurationError(
                f"every={every} falls between partitions that are written as {first}: write first= and last= with hours, or "
                "make every= whole days"
            )
        at += every
    return steps


def _form(text: str) -> str:
    for form in _FORMATS:
        if _time(text, form):
            return form
    raise ConfigurationError(
        f"{text!r} is no time that partitions are named by: write such as 2013-01-15 or 2013-01-15T05, as "
        "{{ data_interval_start | ds }} does"
    )


def _time(text: str, form: str) -> datetime | None:
    """Read a time that is written exactly so; ``None`` for any other text."""
    try:
        time = datetime.strptime(text, form)  # noqa: DTZ007  # what partitions are called has no time zone
    except ValueError:
        return None
    return time if f"{time:{form}}" == text else None


def _row(span: Span) -> dict[str, str]:
    return {
        "partitions": str(span),
        "how many": str(span.partitions),
        "state": "published" if span.published else "MISSING",
    }


def _told(time: timedelta) -> str:
    """Write a length of time in the unit that people would take."""
    seconds = time.total_seconds()
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}".replace(".0 ", " ")
    return f"{seconds:.0f} seconds"
