"""The demo's wall time, split into seconds of jobs, of compute starts, and of orchestration.

    python benchmarks/bench_demo.py [--runs 3]

Runs ``flights_daily`` for a day of its own each time, on an Airflow and an endpoint of their own, and prints the medians of what the
demo measures: jobs from the steps' own times at the endpoint, orchestration all that is neither a job nor compute's start.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from local_airflow.ports import any_free

ROOT = Path(__file__).resolve().parents[1]
WALL = re.compile(
    r"Wall time ([\d.]+) s = ([\d.]+) s of jobs \+ ([\d.]+) s of compute start \+ ([\d.]+) s of orchestration"
)


def local_airflow(home: str, ports: list[str], *words: str) -> str:
    """Run one command of the local system and return what it printed."""
    command = [sys.executable, "-m", "local_airflow", "--home", home, *words]
    ran = subprocess.run([*command, *ports], capture_output=True, text=True, check=False, cwd=ROOT)
    if ran.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{ran.stdout}\n{ran.stderr}")
    return ran.stdout


def main() -> None:
    """Run the days and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="days to run after one that is not counted (default 3)")
    runs = parser.parse_args().runs
    found: list[tuple[float, ...]] = []
    with tempfile.TemporaryDirectory() as folder:
        home = str(Path(folder) / "airflow")
        ports = ["--port", str(any_free()), "--endpoint-port", str(any_free())]
        try:
            local_airflow(home, ports, "up")
            for day in range(1, runs + 2):
                wall = WALL.search(local_airflow(home, ports, "demo", "--date", f"2013-05-{day:02}"))
                if wall is None:
                    raise SystemExit("the demo printed no wall time")
                found.append(tuple(float(group) for group in wall.groups()))
        finally:
            local_airflow(home, [], "down")
    print(f"The demo's wall time: medians of {runs} days, after one that is not counted")
    whole = median(day[0] for day in found[1:])
    for title, figure in (("wall time", 0), ("jobs", 1), ("compute start", 2), ("orchestration", 3)):
        seconds = median(day[figure] for day in found[1:])
        print(f"{title:16}{seconds:8.1f} s{seconds / whole:8.0%}")


if __name__ == "__main__":
    main()
