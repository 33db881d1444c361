"""Checks every profile of every environment, as a DAG that is parsed there would, and prints a line for each.

``python -m emr_pipelines.check_profiles [folder]``; the folder is ``include/compute`` unless it is said. Ends with 1 when
something is wrong.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from emr_pipelines.environments import (
    environment_files,
    include_folder,
    read_document,
    read_environment,
    read_profile,
    read_rules,
)
from emr_pipelines.errors import ConfigurationError
from emr_pipelines.targets import capabilities_of
from emr_pipelines.targets.profile import Profile


@dataclass(frozen=True)
class Line:
    """What is said of a profile, or of a whole file: its name, and a mistake or what it is."""

    name: str
    words: str
    wrong: bool = False


def check_folder(folder: Path) -> Iterator[Line]:
    """Check the environments of a folder, one line for each profile, and one for each file that is wrong in another way."""
    files = environment_files(folder)
    if not files:
        yield Line(str(folder), "there is no environment: write one, such as dev.yaml", wrong=True)
    for environment, path in files.items():
        try:
            yield from check_environment(environment, path)
        except ConfigurationError as error:
            yield Line(environment, str(error), wrong=True)


def check_environment(environment: str, path: Path) -> Iterator[Line]:
    """Check one environment, a line for each profile.

    :raises ConfigurationError: the file is wrong in another way.
    """
    document, rules = read_document(path), read_rules(path)
    right = True
    for name in document.settings["profiles"]:
        try:
            yield Line(f"{environment}/{name}", described(read_profile(document, name, rules)))
        except ConfigurationError as error:
            right = False
            yield Line(f"{environment}/{name}", str(error), wrong=True)
    if right:
        read_environment(path, os.environ.get("EMR_PIPELINES_DEPLOYMENT"))


def described(profile: Profile) -> str:
    """Say in a line what a profile is, what it is relaxed about, and what cannot work well."""
    size = f", at most {profile.most_nodes} node{'s' * (profile.most_nodes > 1)}" if profile.most_nodes else ""
    relaxed = ", ".join(relaxation.kind for relaxation in profile.relaxations)
    parts = [f"{capabilities_of(profile.target).title} in {profile.region}{size}"]
    parts += [f"relaxed: {relaxed}"] if relaxed else []
    parts += [f"warning: {warning}" for warning in profile.warnings]
    return "; ".join(parts)


def main(folder: Path) -> int:
    """Print the lines and return the exit code."""
    lines = list(check_folder(folder))
    width = max(len(line.name) for line in lines)
    for line in lines:
        print(f"{line.name:{width}}  {'WRONG  ' if line.wrong else 'ok     '}{line.words}")  # noqa: T201  # a command
    return 1 if any(line.wrong for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else include_folder() / "compute"))
