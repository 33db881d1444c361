"""`python -m local_emr.engine prepare --data DIR`: make the engine's caches now instead of beside the first jobs."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from local_emr.engine.cache import Cache, PreparationError


def main() -> int:
    """Make the caches; return the process's exit code."""
    parser = argparse.ArgumentParser(prog="python -m local_emr.engine", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    prepare = commands.add_parser("prepare", help="make the jars and the archive of classes (about a minute, once)")
    prepare.add_argument("--data", type=Path, required=True, help="data folder of the endpoint")
    prepare.add_argument("--cache", type=Path, help="folder of the caches (default: cache/ in the data folder)")
    prepare.add_argument("--background", action="store_true", help="leave the processors to whoever else wants them")
    given = parser.parse_args()
    if given.background:
        _yield_processors()
    try:
        archive = Cache(given.data.resolve(), given.cache and given.cache.resolve()).make_archive()
    except (PreparationError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command line speaks through its streams
        return 1
    print(f"Ready: {archive}")  # noqa: T201 - as above
    return 0


def _yield_processors() -> None:
    """Run only when nothing else wants a processor (Linux), or at the lowest priority."""
    if sys.platform == "linux":
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.nice(19)


if __name__ == "__main__":
    sys.exit(main())
