"""Time and memory to parse a DAG, against the same DAG written by hand with the amazon provider's operators.

    python benchmarks/bench_parse.py [--runs 7]

Each run does what a dag-processor does: a new process imports Airflow, loads the plugins folder, and imports the ``airflow`` modules
that the DAG files name (``airflow.dag_processing.processor``); then it forks a process for each parse, which parses and serializes.
The hand-written DAG has an empty plugins folder. Runs of both alternate; medians are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]

CHILD = """
import json, os, resource, sys, time

begun = time.perf_counter()
import structlog
import airflow
from airflow import plugins_manager
from airflow.dag_processing.dagbag import DagBag
from airflow.dag_processing.processor import _pre_import_airflow_modules
from airflow.serialization.serialized_objects import DagSerialization

plugins_manager.ensure_plugins_loaded()
folder = sys.argv[1]
for name in os.listdir(folder):
    if name.endswith(".py"):
        _pre_import_airflow_modules(os.path.join(folder, name), structlog.get_logger())
started = time.perf_counter() - begun


def parse():
    begun = time.perf_counter()
    bag = DagBag(dag_folder=folder, bundle_name="b", bundle_path=folder)
    assert not bag.import_errors, bag.import_errors
    assert len(bag.dags) == 1
    for dag in bag.dags.values():
        DagSerialization.serialize_dag(dag)
    return time.perf_counter() - begun


def in_a_fork():
    ends = os.pipe()
    if not os.fork():
        os.write(ends[1], repr(parse()).encode())
        os._exit(0)
    os.wait()
    return float(os.read(ends[0], 64))


parses = sorted(in_a_fork() for _ in range(7))
peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(json.dumps({"parse": parses[3] * 1000, "start": started, "memory": peak / 1024}))
"""


def measure(folder: Path, plugins: Path, home: str) -> dict[str, float]:
    """Parse a folder in a new process; milliseconds of a parse, seconds of the start, MiB at the peak."""
    environment = {
        **os.environ,
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins),
        "PYTHONPATH": f"{ROOT / 'include'}:{ROOT}",
        "EMR_PIPELINES_ENVIRONMENT": "local",
        "EMR_PIPELINES_INCLUDE": str(ROOT / "include"),
    }
    ran = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder)],
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise SystemExit(f"parsing {folder} failed:\n{ran.stderr}")
    figures: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return figures


def main() -> None:
    """Measure both folders in turn and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, help="counted runs of each folder (default 7)")
    runs = parser.parse_args().runs
    ours: list[dict[str, float]] = []
    peer: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "plugins").mkdir()
        dags = Path(home) / "dags"
        dags.mkdir()
        shutil.copy(ROOT / "dags" / "flights_daily.py", dags)
        for run in range(-1, runs):
            mine = measure(dags, ROOT / "plugins", home)
            theirs = measure(ROOT / "benchmarks" / "peer_dags", Path(home) / "plugins", home)
            if run >= 0:
                ours.append(mine)
                peer.append(theirs)
    print(f"Parsing flights_daily: medians of {runs} runs each")
    print(f"{'':24}{'ours':>10}{'by hand':>10}{'ratio':>8}")
    for figure, title in (("parse", "a parse, ms"), ("start", "start of a process, s"), ("memory", "memory, MiB")):
        us, them = median(run[figure] for run in ours), median(run[figure] for run in peer)
        print(f"{title:24}{us:10.1f}{them:10.1f}{us / them:8.2f}")


if __name__ == "__main__":
    main()
