"""The packages of jobs: a lock file beside a script becomes one archive for each platform that the environment's profiles run on.

``jobs/flights/clean.requirements.txt`` names what ``jobs/flights/clean.py`` imports, each package with its version, as
``uv pip compile`` writes it. The archive holds wheels only, unpacked: nothing is compiled, here or there.
"""

from __future__ import annotations

import gzip
import io
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from uv import find_uv_bin

from emr_deploy.steps import Step
from emr_pipelines.artifacts import head_of, packages_key
from emr_pipelines.environments import Environment
from emr_pipelines.errors import ConfigurationError
from emr_pipelines.masking import masked
from emr_pipelines.specification import LOCK
from emr_pipelines.targets.platforms import Platform

_WITHOUT_WHEEL = re.compile(r"(\S+?==\S+?) (?:has no (?:usable )?wheels|requires Python)")
_OF_THE_BUILD = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json")
"""Files that tell how and where packages were installed: they would differ from build to build, and nothing that runs reads them."""


def steps(environment: Environment, include: Path, s3_of: Callable[[str], Any]) -> Iterator[Step]:
    """Yield an upload for each archive that the environment's profiles need of the lock files below ``include``.

    ``s3_of`` gives the S3 client of a region, or ``None`` where AWS is not asked: each upload may be needed then.

    :raises ConfigurationError: a lock file does not say what to pack; when a step is done, a package has no wheel for a platform.
    """
    builds = lru_cache(maxsize=None)(build)
    for path in locks(include):
        lock = (include / path).read_bytes()
        pins(path, lock)
        for region, platform in platforms(environment):
            bucket, key = environment.buckets_in(region).artifacts, packages_key(lock, platform)
            yield Step(
                f"upload the packages of {path} for {platform} to s3://{bucket}/{key}",
                needed=(s3 := s3_of(region)) is None or head_of(s3, bucket, key) is None,
                do=partial(_upload, s3, bucket, key, partial(builds, path, lock, platform)),
            )


def locks(include: Path) -> list[str]:
    """List the lock files, by their paths below ``include``; links that lead elsewhere are none.

    :raises ConfigurationError: one has no script beside it.
    """
    files = (file for file in include.rglob(f"*{LOCK}") if file.resolve().is_relative_to(include.resolve()))
    found = sorted(file.relative_to(include).as_posix() for file in files)
    for path in found:
        script = f"{path.removesuffix(LOCK)}.py"
        if not (include / script).is_file():
            raise ConfigurationError(
                f"{path} is the lock file of {script}, and there is no such script: rename it, or take it away"
            )
    return found


def platforms(environment: Environment) -> list[tuple[str, Platform]]:
    """List region and platform of the profiles, each once; of those whose platform is unknown acquire tells, if a job needs it."""
    found: dict[tuple[str, Platform], None] = {}
    for profile in environment.profiles.values():
        try:
            found[profile.region, profile.platform] = None
        except ConfigurationError:
            continue
    return list(found)


def pins(path: str, lock: bytes) -> dict[str, Requirement]:
    """Return what a lock file names, by normalized name.

    :raises ConfigurationError: a line is no package with its version: then two builds could differ. Options are refused, too, for an
        index may be named with a password.
    """
    named: dict[str, Requirement] = {}
    for line in _lines(lock):
        requirement = re.sub(r"\s--hash[= ]\S+", "", line)
        try:
            one = Requirement(requirement)
        except InvalidRequirement:
            one = None
        if one is None or not re.fullmatch(r"==[^*,]+", str(one.specifier)):
            first = requirement.split()[0] if requirement.startswith("-") else masked(requirement)
            raise ConfigurationError(
                f"{path}: {first!r} is no package with its version, such as lark==1.3.1: write the file with `uv pip compile`"
            )
        named[canonicalize_name(one.name)] = one
    return named


def _lines(lock: bytes) -> list[str]:
    """Return a lock file without its comments, one package a line; a comment ends with its line, whatever stands at its end."""
    said = (re.sub(r"(^|\s)#.*", "", line) for line in lock.decode(errors="replace").splitlines())
    return [line.strip() for line in "\n".join(said).replace("\\\n", " ").splitlines() if line.strip()]


def build(path: str, lock: bytes, platform: Platform) -> bytes:
    """Return the archive of a lock file's packages: the same for the same lock and platform, byte by byte.

    :raises ConfigurationError: a package has no wheel for the platform, or needs another that the lock file does not name.
    """
    with tempfile.TemporaryDirectory(prefix="packages-") as scratch:
        folder, named = Path(scratch) / "packages", Path(scratch) / "requirements.txt"
        # What was read, and nothing else: a line that uv alone would see could name an index of somebody's.
        named.write_text("\n".join(_lines(lock)), encoding="utf-8")
        _install(path, named, folder, platform)
        installed = {canonicalize_name(one.name) for one in distributions(path=[str(folder)])}
        if unnamed := sorted(installed - pins(path, lock).keys()):
            raise ConfigurationError(
                f"{path} does not name {', '.join(unnamed)}, which its packages need: write it again with `uv pip compile`"
            )
        return _packed(folder)


def _install(path: str, lock: Path, folder: Path, platform: Platform) -> None:
    command = [
        find_uv_bin(),
        "pip",
        "install",
        "--quiet",
        "--no-config",
        "--only-binary",
        ":all:",
        "--requirements",
        str(lock),
    ]
    command += ["--target", str(folder), "--python-version", platform.python, "--python-platform", _name_of(platform)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603  # uv, with words of ours
    if done.returncode == 0:
        return
    said = " ".join(done.stderr.split())
    if lacking := _WITHOUT_WHEEL.search(said):
        raise ConfigurationError(
            f"{lacking[1]} of {path} has no wheel for {platform} (glibc {platform.glibc}): name a version that has one, or change python "
            "or the architecture in the profile"
        )
    raise ConfigurationError(f"The packages of {path} for {platform} could not be installed: {masked(said)}")


def _name_of(platform: Platform) -> str:
    """Return uv's name of a platform; of an older glibc than 2.28 it knows ``manylinux2014`` alone."""
    machine = {"X86_64": "x86_64", "ARM64": "aarch64"}[platform.architecture]
    kind = "manylinux2014" if platform.glibc == "2.26" else f"manylinux_{platform.glibc.replace('.', '_')}"
    return f"{machine}-{kind}"


def _packed(folder: Path) -> bytes:
    """Return a folder's files as a tar.gz that tells nothing of when, where and by whom it was made."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as archive:
        for file in sorted(folder.rglob("*")):
            name = file.relative_to(folder)
            if file.is_file() and _is_imported(name):
                member = tarfile.TarInfo(name.as_posix())
                member.size, member.mode = file.stat().st_size, 0o644
                with file.open("rb") as content:
                    archive.addfile(member, content)
    return packed.getvalue()


def _is_imported(name: Path) -> bool:
    """Whether a job may read a file: commands in ``bin`` name the interpreter of this machine."""
    if name.parts[0] in {"bin", ".lock"} or "__pycache__" in name.parts:
        return False
    return not (name.parts[0].endswith(".dist-info") and name.name in _OF_THE_BUILD)


def _upload(s3: Any, bucket: str, key: str, content: Callable[[], bytes]) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=content())
