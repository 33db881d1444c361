"""Waiting for many job runs: our triggers against the amazon provider's, at an endpoint that keeps AWS's rates.

    python benchmarks/bench_watch.py [--sizes 10,100,1000,10000] [--services serverless,ec2] [--plot]

Each case is one triggerer process with room for all its triggers, and a scripted endpoint of its own (`watch/endpoint.py`): one
application with all job runs on EMR Serverless, a hundred steps to a cluster on EMR on EC2. Both look at a long job run every 30
seconds (ours: at most). When all have begun to wait comes a window of a minute, in which a tenth of the job runs ends; calls,
refusals, processor time and memory are those of the window, notice delays reach from a run's end at the endpoint to its trigger's
event. Ours are measured with a queue of events and without, all cases at the same time; the provider's cases after them. `--plot`
writes the table and the plot into docs/.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.watch.reporting import circumstances, in_order, last_line, table, write_page
from benchmarks.watch.rounds import LARGEST, SIZES, Case, Result, cases_of, measure_together
from tests.chaos.contestants import make_peer_venv


def machine(load: float) -> str:
    """Say where, when and beside what this was measured; `load` is that of the minute before."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = os.cpu_count() or 1
    return (
        f"{cores} cores ({platform.machine()}), {memory:.0f} GiB, Python {platform.python_version()}, "
        f"{datetime.now(UTC):%d %B %Y}, {circumstances(load, cores)}"
    )


def measure_all(rounds: Sequence[Sequence[Case]]) -> list[Result]:
    """Measure one round after the other."""
    with tempfile.TemporaryDirectory() as folder:
        return in_order(result for cases in rounds for result in measure_together(cases, Path(folder)))


def main() -> None:
    """Measure, and print the table; the last line is for machines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="job runs that wait, such as 10,1000")
    parser.add_argument("--services", default=",".join(LARGEST), help="serverless, ec2 or both")
    parser.add_argument("--plot", action="store_true", help="write table and plot into docs/")
    asked = parser.parse_args()
    try:
        rounds = cases_of({int(size) for size in asked.sizes.split(",")}, asked.services.split(","))
    except ValueError:
        rounds = []
    if not rounds:
        sys.exit(
            f"There is nothing to measure: give --sizes up to {max(SIZES)} and --services of {', '.join(LARGEST)}."
        )
    make_peer_venv()
    measured_on = machine(os.getloadavg()[0])
    results = measure_all(rounds)
    print(measured_on)
    print(table(results), flush=True)
    if asked.plot:
        write_page(results, measured_on)
    print(last_line(results))


if __name__ == "__main__":
    main()
