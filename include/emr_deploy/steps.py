"""What a deploy does, as a list that can be shown before anything is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One thing that shall be so. A dry run says it, a deploy does it where it is needed."""

    sentence: str
    """What is done, as an order without a full stop: ``upload jobs/flights/clean.py to s3://...``."""
    needed: bool
    """False where it is so already."""
    do: Callable[[], None]


@dataclass(frozen=True)
class Missing:
    """What a profile names and the account does not have."""

    what: str
    """The cause, with the setting that names it: ``there is no subnet 'subnet-1' in us-east-1 (profiles.ec2.subnet)``."""
    cure: str
    """How to make it, or what else to write."""

    @property
    def sentence(self) -> str:
        """Both, in one sentence."""
        return f"{self.what}: {self.cure}"


def carry_out(steps: Iterable[Step], say: Callable[[str], None], *, dry_run: bool) -> None:
    """Do what is needed, in order, and say each step before it is done; in a dry run only say."""
    for step in steps:
        if not step.needed:
            say(f"is there  {step.sentence}")
            continue
        say(f"{'would' if dry_run else 'doing'}     {step.sentence}")
        if not dry_run:
            step.do()
