"""Parses every DAG in each environment as Airflow's dag-processor does, without a database or a network, and prints a line for each.

``python -m emr_deploy.check_dags [--environment dev] [--dags dags] [--seconds 5]``; all environments unless one is said. Ends with 1
when something is wrong. The parsing itself is `emr_deploy.parse_dags`, in a process with an Airflow home of its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

SECONDS = 5.0
"""Time a file may take: a sixth of what Airflow's ``[core] dagbag_import_timeout`` allows it."""


def parsing_environment(inherited: Mapping[str, str], home: Path) -> dict[str, str]:
    """Return the environment of the process that parses: an Airflow of its own, of which nothing is known but this checkout."""
    kept = {name: value for name, value in inherited.items() if not name.startswith(("AIRFLOW_", "_AIRFLOW_"))}
    return {
        **kept,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACK_DEPTH": "100",  # the DAG's own line is among them, however deep the error
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(Path("plugins").absolute()),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
    }


def main(arguments: list[str]) -> int:
    """Parse, print, and return the exit code."""
    parser = argparse.ArgumentParser(prog="check_dags", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--environment", default="all", help="name of a file of include/compute, or all")
    parser.add_argument("--dags", default="dags", help="folder of DAG files")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="time that a file may take")
    options = parser.parse_args(arguments)
    command = [sys.executable, "-m", "emr_deploy.parse_dags", options.dags, options.environment, str(options.seconds)]
    with tempfile.TemporaryDirectory(prefix="check-dags-") as home:
        return subprocess.run(command, check=False, env=parsing_environment(os.environ, Path(home))).returncode  # noqa: S603  # it is this very program


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
