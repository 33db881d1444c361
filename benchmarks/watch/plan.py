"""What happens at the scripted endpoint, decided before it happens. Pure, and the same for the same seed.

Some job runs are waited for, created in the two hours before: most outlive the measurement, a share of them ends during its window.
Half as many others, of the same hours, have ended before: listings have them too. Moments are seconds from the window's begin.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

Service = Literal["serverless", "ec2"]

APPLICATION = "00f1a2b3c4d5e609"
STEPS_PER_CLUSTER = 100
"""Waited for on one cluster; EMR allows 256 that have not ended (EMR Management Guide, "Submit work to a cluster")."""

_SHARE, _FEWEST = 0.1, 5
"""How many of the job runs end during the window: this share, and not fewer than five."""
_FAILING = 0.1
_PAST_PER_JOB = 0.5
_HOURS = 7_200.0


class Run(NamedTuple):
    """One job run: on which compute, when it was created, when it ends (None: after everything) and whether it succeeds then."""

    id: str
    compute: str
    created: float
    ends: float | None
    succeeds: bool

    def has_ended(self, moment: float) -> bool:
        """Say whether it has ended at a moment."""
        return self.ends is not None and self.ends <= moment


@dataclass(frozen=True)
class Plan:
    """All job runs of one measurement with so many `jobs` that are waited for, and a `window` in seconds in which some end."""

    service: Service
    jobs: int
    window: float
    seed: int = 0

    @cached_property
    def waited(self) -> list[Run]:
        """The job runs that triggers wait for."""
        return [run for run in self.runs.values() if run.ends is None or run.ends > 0]

    @cached_property
    def runs(self) -> dict[str, Run]:
        """All job runs by id, newest first as AWS lists them."""
        chance = random.Random(f"{self.service} {self.jobs} {self.seed}")  # noqa: S311 - nothing secret
        ending = set(chance.sample(range(self.jobs), min(self.jobs, max(_FEWEST, round(self.jobs * _SHARE)))))
        drawn = []
        for number in range(self.jobs):
            ends = chance.uniform(0, self.window) or self.window if number in ending else None
            drawn.append((-chance.uniform(0, _HOURS) - self.window, ends))
        for _ in range(round(self.jobs * _PAST_PER_JOB)):
            created = -chance.uniform(0, _HOURS) - self.window
            drawn.append((created, chance.uniform(created, -self.window)))
        drawn.sort(key=lambda one: one[0], reverse=True)
        clusters = -(-self.jobs // STEPS_PER_CLUSTER)
        runs = (
            Run(self._id(number), self._compute(number % clusters), created, ends, chance.random() > _FAILING)
            for number, (created, ends) in enumerate(drawn)
        )
        return {run.id: run for run in runs}

    def _id(self, number: int) -> str:
        return f"00g{number:013d}" if self.service == "serverless" else f"s-{number:013d}"

    def _compute(self, number: int) -> str:
        return APPLICATION if self.service == "serverless" else f"j-{number:013d}"
