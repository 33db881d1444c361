"""`make chaos`: generated faults on a real Airflow; what they did to ours and to the provider's operators, in a table."""

# ruff: noqa: T201  # a command speaks through its standard output

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.contestants import OURS, PEER, make_peer_venv
from tests.chaos.judging import Tally, machine_line, table
from tests.chaos.schedules import TARGETS, schedule_of
from tests.chaos.world import Batch, World, running_world

BATCH = 12
"""Runs that go on together: the processes that die are all of theirs."""


def main() -> int:
    """Run, print, and say by the exit status whether any of ours broke an invariant."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=12, help="how many schedules on each target")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--target", choices=(*TARGETS, "all"), default="all")
    parser.add_argument("--who", choices=("ours", "provider", "both"), default="both")
    parser.add_argument("--keep", type=Path, default=Path(".local/chaos"), help="where journals of failing batches go")
    parser.add_argument("--keep-all", action="store_true", help="keep the journals of all batches")
    given = parser.parse_args()
    targets = TARGETS if given.target == "all" else (given.target,)
    seeds = range(given.first, given.first + given.seeds)
    rows: dict[str, Tally] = {}
    for contestant in (OURS, PEER):
        if given.who in ("both", contestant.name):
            if contestant is PEER:
                make_peer_venv()
            with (
                tempfile.TemporaryDirectory(prefix="chaos-") as folder,
                running_world(contestant, Path(folder)) as world,
            ):
                for target in targets:
                    rows[f"{contestant.name}, {target}"] = _run(world, target, seeds, given)
    for line in table(rows):
        print(line)
    tallies = [tally for who, tally in rows.items() if who.startswith("ours")]
    total = sum(tallies, Tally())
    print(machine_line("ours", total))
    return int(bool(total.duplicates or total.leaks or total.wrong or total.hung))


def _run(world: World, target: str, seeds: range, given: argparse.Namespace) -> Tally:
    total = Tally()
    for start in range(seeds.start, seeds.stop, BATCH):
        some = range(start, min(start + BATCH, seeds.stop))
        begun = time.monotonic()
        batch = world.run([schedule_of(seed, target) for seed in some])
        total += batch.tally
        findings = batch.findings()
        took = time.monotonic() - begun
        print(
            f"{world.contestant.name}, {target}, seeds {some.start} to {some.stop - 1}: {took:.0f} s", file=sys.stderr
        )
        for finding in (*findings, *batch.rehearsal.troubles, *batch.rehearsal.missed):
            print(f"  {finding}", file=sys.stderr)
        if findings or given.keep_all:
            _keep(batch, given.keep / f"{world.contestant.name}-{target}-{some.start}.jsonl")
    return total


def _keep(batch: Batch, path: Path) -> None:
    """Keep the journal of a batch in which an invariant broke."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(entry) + "\n" for entry in batch.rehearsal.journal))


if __name__ == "__main__":
    sys.exit(main())
