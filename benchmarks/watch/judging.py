"""What triggers told, against what had happened. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.watch.plan import Plan, Run

if TYPE_CHECKING:
    from tests.chaos.judging import JobRunFact


class Heard(NamedTuple):
    """One trigger's event: of which job run, when (seconds since 1970), and what it said or `raised`."""

    run: str
    at: float
    said: Mapping[str, Any]


def judged(
    plan: Plan, began: float, heard: Iterable[Heard], now: float, lost: AbstractSet[str] = frozenset()
) -> dict[str, Any]:
    """Return the notice `delays` in seconds, how many ends were `unnoticed`, the `failed` waits and what they said first.

    An end that nobody noticed until `now` counts with the delay that it has by then. The ends of the job runs whose event was `lost`
    are told apart, as `lost_delays` and `lost_unnoticed`.
    """
    delays: dict[str, float] = {}
    failed: Counter[str] = Counter()
    noticed: set[str] = set()
    for event in heard:
        run = plan.runs[event.run]
        noticed.add(run.id)
        if run.ends is not None and run.has_ended(event.at - began) and is_true(run, event.said):
            delays[run.id] = event.at - began - run.ends
        else:
            failed[str(event.said)[:300]] += 1
    late = {run.id: now - began - run.ends for run in plan.waited if run.ends is not None and run.id not in noticed}
    delays |= late
    return {
        "delays": sorted(delay for run, delay in delays.items() if run not in lost),
        "unnoticed": len(late.keys() - lost),
        "lost_delays": sorted(delay for run, delay in delays.items() if run in lost),
        "lost_unnoticed": len(late.keys() & lost),
        "failed": failed.total(),
        "reasons": dict(failed.most_common(3)),
    }


def is_true(run: Run, said: Mapping[str, Any]) -> bool:
    """Say whether an event tells how a job run ended: our triggers' `state`, in our words or the service's, or the provider's `status`.

    The provider tells a job run's failure and a failure to wait with the same status; the first has botocore's words in its message.
    """
    if "state" in said:
        return said["state"] in (("succeeded", "SUCCESS", "COMPLETED") if run.succeeds else ("failed", "FAILED"))
    if run.succeeds:
        return said.get("status") == "success"
    return "terminal failure" in str(said.get("message"))


class Outcome(NamedTuple):
    """What came of the jobs that were waited for; delays are in seconds."""

    jobs: int
    lost: list[str]
    failed: dict[str, Any]
    delays: list[float]


def outcome(
    facts: Mapping[str, JobRunFact], waited: Mapping[str, str], told: Mapping[str, Mapping[str, Any]]
) -> Outcome:
    """Compare what triggers told with what the endpoint's journal says. `waited`: the job run of each trigger.

    Lost is what ended without its trigger telling, or never ended; failed is what a trigger told and is not true.
    """
    lost, failed, delays = [], {}, []
    for name, run in waited.items():
        fact, event = facts[run], told.get(name)
        if event is None:
            lost.append(name)
        elif fact.ended is None or event["said"].get("state") != ("succeeded" if fact.succeeded else "failed"):
            failed[name] = event["said"]
        else:
            delays.append(event["at"] - fact.ended)
    return Outcome(len(waited), lost, failed, sorted(delays))


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest of sorted values that at least this share of them does not exceed; 0 of none."""
    if not values:
        return 0.0
    return values[max(0, -(-len(values) * round(share * 100) // 100) - 1)]


def difference(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """Return how often each operation was counted between two moments."""
    return {name: count - before.get(name, 0) for name, count in after.items() if count > before.get(name, 0)}
