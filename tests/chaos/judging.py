"""What a journal of the endpoint says about runs: which jobs were doubled, what was left alive, whether the state was true.

Pure: it reads entries of ``local_emr.journal`` and the states in which Airflow left the runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

from tests.chaos.engine import Identity, identity_in

_SUCCEEDED = frozenset({"COMPLETED", "SUCCESS"})
ENDED = _SUCCEEDED | {"FAILED", "CANCELLED", "INTERRUPTED"}
"""States of a job run, in the words of the three services, that nothing follows."""

_GONE = frozenset({"TERMINATED", "TERMINATED_WITH_ERRORS", "TERMINATING", "STOPPED", "STOPPING", "CREATED"})
"""States of compute that does not run, or will not in a moment, and costs nothing; a CREATED application was never started."""


@dataclass
class JobRunFact:
    """What the journal says of one job run; times in seconds since 1970."""

    id: str
    job: Identity
    began: float
    state: str
    at: float

    @property
    def ended(self) -> float | None:
        """When it ended; None: it is alive."""
        return self.at if self.state in ENDED else None

    @property
    def succeeded(self) -> bool:
        """Whether it ended well."""
        return self.state in _SUCCEEDED


@dataclass(frozen=True)
class RunFact:
    """What became of one run of Airflow: its last state, None when it never ended; what was asked for again, and when."""

    run: str
    state: str | None
    meant_to_fail: bool = False
    cleared: tuple[float, ...] = ()
    reasons_told: Mapping[Identity, bool] | None = None
    """For each job that failed for good, whether its reason stands in the task's log."""


@dataclass(frozen=True)
class Tally:
    """How many of each, in a table and for machines."""

    runs: int = 0
    duplicates: int = 0
    leaks: int = 0
    reaped: int = 0
    wrong: int = 0
    hung: int = 0
    lost: int = 0

    def __add__(self, other: Self) -> Tally:
        """Add up."""
        return Tally(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


def job_runs_in(journal: Iterable[Mapping[str, Any]]) -> list[JobRunFact]:
    """Return every job run with an identity, in the order of their beginnings."""
    found: dict[str, JobRunFact] = {}
    for entry in journal:
        if entry["what"] != "job run" or (job := identity_in(entry["args"])) is None:
            continue
        fact = found.setdefault(entry["id"], JobRunFact(entry["id"], job, entry["at"], entry["state"], entry["at"]))
        if fact.state not in ENDED:
            fact.state, fact.at = entry["state"], entry["at"]
    return sorted(found.values(), key=lambda fact: fact.began)


def live_compute_in(journal: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the names, by id, of clusters and applications that were made for a run and are alive at the journal's end."""
    last = {
        entry["id"]: entry
        for entry in journal
        if entry["what"] == "compute"
        and entry["service"] != "emr-containers"  # virtual clusters are kept, and cost nothing
    }
    return {id_: entry["name"] for id_, entry in last.items() if entry["state"] not in _GONE}


def doubled(facts: Iterable[JobRunFact], cleared: Mapping[str, tuple[float, ...]]) -> list[JobRunFact]:
    """Return the job runs that began while another of the same job was alive, or after it had succeeded and nobody asked again.

    ``cleared`` says when a run was asked for again.
    """
    found = []
    of_job: dict[Identity, list[JobRunFact]] = {}
    for fact in sorted(facts, key=lambda fact: fact.began):
        of_job.setdefault(fact.job, []).append(fact)
    for job, runs in of_job.items():
        asked = cleared.get(job.run, ())
        for number, later in enumerate(runs):
            if any(_is_doubled_by(earlier, later, asked) for earlier in runs[:number]):
                found.append(later)
    return found


def _is_doubled_by(earlier: JobRunFact, later: JobRunFact, asked: Iterable[float]) -> bool:
    if earlier.ended is None or later.began < earlier.ended:
        return True
    return earlier.succeeded and not any(earlier.began <= moment <= later.began for moment in asked)


def is_wrong(run: RunFact, facts: Iterable[JobRunFact], tasks: Iterable[str]) -> bool:
    """Say whether a run is green though some job's last job run did not succeed, or red though all did and nobody wanted it red."""
    last = {
        fact.job.task: fact.succeeded for fact in sorted(facts, key=lambda fact: fact.began) if fact.job.run == run.run
    }
    all_succeeded = all(last.get(task, False) for task in tasks)
    if run.state == "success":
        return not all_succeeded
    return run.state == "failed" and all_succeeded and not run.meant_to_fail


def tally(
    journal: Sequence[Mapping[str, Any]], runs: Iterable[RunFact], tasks: Iterable[str], reaped: Iterable[str] = ()
) -> Tally:
    """Count what a batch of runs did to the invariants; ``reaped`` are ids of what only the reaper ended."""
    runs, tasks = list(runs), list(tasks)
    facts = job_runs_in(journal)
    live = [fact for fact in facts if fact.ended is None]
    told = [said for run in runs for said in (run.reasons_told or {}).values()]
    return Tally(
        runs=len(runs),
        duplicates=len(doubled(facts, {run.run: run.cleared for run in runs})),
        leaks=len(live) + len(live_compute_in(journal)),
        reaped=len(list(reaped)),
        wrong=sum(is_wrong(run, facts, tasks) for run in runs),
        hung=sum(run.state is None for run in runs),
        lost=told.count(False),
    )


def machine_line(who: str, counted: Tally) -> str:
    """Return the line that machines read."""
    return (
        f"{who} runs={counted.runs} duplicates={counted.duplicates} leaks={counted.leaks} "
        f"wrong={counted.wrong} hung={counted.hung}"
    )


def table(rows: Mapping[str, Tally]) -> list[str]:
    """Lay tallies out as lines of text, one for each who."""
    heads = ["", "runs", "duplicates", "leaks", "ended by reaper", "wrong states", "hung", "lost reasons"]
    cells = [heads] + [[who, *(str(getattr(row, field.name)) for field in fields(row))] for who, row in rows.items()]
    widths = [max(len(line[column]) for line in cells) for column in range(len(heads))]
    return ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
