"""What Amazon Managed Workflows for Apache Airflow (MWAA) takes: ``plugins.zip``, ``requirements.txt``, ``startup.sh``, ``dags/``.

MWAA unpacks the zip into ``/usr/local/airflow/plugins``, keeps ``/usr/local/airflow/dags`` like the folder in S3, runs the script in
each component before Airflow starts, and installs the requirements under constraints (MWAA User Guide: "Installing custom plugins",
"Adding or updating DAGs", "Using a startup script", "Managing Python dependencies in requirements.txt").
"""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from emr_pipelines.environments import environment_files
from emr_pipelines.errors import ConfigurationError, suggestion

_SUFFIXES = frozenset(
    {".avsc", ".dqdl", ".hql", ".jar", ".json", ".lark", ".py", ".q", ".sh", ".sql", ".txt", ".typed", ".yaml", ".zip"}
)
"""Of files that pipelines are made of. What ends otherwise is left out: it may be a key."""

_PRIVATE = re.compile(r"credential|password|secret", re.IGNORECASE)
_NO_PART = frozenset({"infra"})
"""Folders of ``include/`` that no pipeline reads, besides Python packages, which are commands of people."""

_HOME = "/usr/local/airflow"
_CONSTRAINTS = "constraints.txt"
_FIRST_DAY = (1980, 1, 1, 0, 0, 0)
"""The first date that a zip can hold, for each file: the same content makes the same zip."""


def package(root: Path, environment: str, target: Path) -> list[str]:
    """Write into ``target``, from nothing, what MWAA takes of the checkout ``root``; return the files that were left out.

    :raises ConfigurationError: there is no such environment, or ``target`` holds something else.
    """
    known = environment_files(root / "include" / "compute")
    if environment not in known:
        raise ConfigurationError(
            f"There is no environment {environment!r}{suggestion(environment, known)}; there are: {', '.join(known)}"
        )
    _emptied(target)
    dags, parts = target / "dags", sorted(_parts(root / "include"))
    _zip(root / "plugins", target / "plugins.zip")
    for source, to in ((root / "dags", dags), *((part, dags / "include" / part.name) for part in parts)):
        for name in _packed(source):
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, to / name)
    (dags / ".airflowignore").write_text("include/\n")
    (dags / _CONSTRAINTS).write_text(_constraints((root / "requirements.txt").read_text()))
    (target / "requirements.txt").write_text(_requirements((root / "requirements.in").read_text()))
    (target / "startup.sh").write_text(_startup(environment))
    return [str(file.relative_to(root)) for source in (root / "dags", *parts) for file in _left_out(source)]


def _emptied(target: Path) -> None:
    """Take away what an earlier call wrote."""
    if target.exists() and any(target.iterdir()) and not (target / "startup.sh").is_file():
        raise ConfigurationError(
            f"{target} holds something else than a package for MWAA: empty it, or name another folder"
        )
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)


def _parts(include: Path) -> Iterator[Path]:
    """Yield the folders that pipelines are made of."""
    for folder in include.iterdir():
        hidden, program = folder.name.startswith((".", "__")), (folder / "__init__.py").exists()
        if folder.is_dir() and not hidden and not program and folder.name not in _NO_PART:
            yield folder


def _packed(source: Path) -> list[Path]:
    """List the files of a folder that belong into a package, by their paths in it."""
    files = (file.relative_to(source) for file in source.rglob("*") if file.is_file())
    return sorted(name for name in files if _is_packed(source, name))


def _is_packed(source: Path, name: Path) -> bool:
    """Whether a file may leave this machine: nothing hidden, nothing named like a secret, and no link that leads elsewhere."""
    if any(part.startswith(".") or part == "__pycache__" for part in name.parts):
        return False
    private = name.suffix != ".py" and _PRIVATE.search(name.name)
    inside = (source / name).resolve().is_relative_to(source.resolve())
    return name.suffix in _SUFFIXES and not private and inside


def _left_out(source: Path) -> list[Path]:
    packed = set(_packed(source))
    files = (file for file in source.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    return sorted(file for file in files if file.relative_to(source) not in packed)


def _zip(plugins: Path, to: Path) -> None:
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as archive:
        # The one hidden file that belongs there: it keeps Airflow from importing the package's modules one by one.
        for name in (Path(".airflowignore"), *_packed(plugins)):
            member = zipfile.ZipInfo(name.as_posix(), _FIRST_DAY)
            member.compress_type, member.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(member, (plugins / name).read_bytes())


def _requirements(asked: str) -> str:
    """Return what MWAA installs besides its image's own Airflow, under the pins that lie among the DAGs."""
    return "\n".join((f'--constraint "{_HOME}/dags/{_CONSTRAINTS}"', *_names(asked.splitlines()), ""))


def _names(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        name = line.partition("#")[0].strip()
        if name and not re.match(r"apache-airflow(\[|=|$)", name):
            yield name


def _constraints(lock: str) -> str:
    """Return a lock file as constraints, which know no extras."""
    return re.sub(r"^([\w.-]+)\[[^]]*\]", r"\1", lock, flags=re.MULTILINE)


def _startup(environment: str) -> str:
    return (
        "#!/bin/bash\n"
        "# MWAA runs this in every component before Airflow starts; what is exported here is in Airflow's environment.\n"
        f"export EMR_PIPELINES_ENVIRONMENT={shlex.quote(environment)}\n"
        f'export EMR_PIPELINES_INCLUDE="${{AIRFLOW_HOME:-{_HOME}}}/dags/include"\n'
    )


def main(arguments: list[str]) -> int:
    """Package a checkout, and say what lies where; the exit code is 2 for a mistake."""
    parser = argparse.ArgumentParser(prog="emr_deploy.mwaa", description="Package a checkout for MWAA.")
    parser.add_argument("environment", help="name of a file in include/compute")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the checkout")
    parser.add_argument("--target", type=Path, default=Path("dist/mwaa"), help="folder to write")
    given = parser.parse_args(arguments)
    try:
        left_out = package(given.root, given.environment, given.target)
    except ConfigurationError as error:
        print(error, file=sys.stderr)  # noqa: T201  # a command speaks to a person
        return 2
    for file in left_out:
        print(f"left out  {file}")  # noqa: T201  # a command speaks to a person
    print(f"packaged  {given.target}: plugins.zip, requirements.txt, startup.sh, dags/")  # noqa: T201  # a command speaks to a person
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
