"""Wheels without a network: packages that are installed here, packed again as they were published."""

from __future__ import annotations

import base64
import hashlib
import re
import zipfile
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

_OF_THE_INSTALLATION = {"INSTALLER", "REQUESTED", "RECORD", "direct_url.json", "uv_cache.json"}


def wheel_of(name: str, folder: Path) -> str:
    """Pack an installed package into a wheel in `folder`; return how a lock file names it."""
    installed = distribution(name)
    files = {
        str(file): file.read_binary()
        for file in installed.files or ()
        if file.name not in _OF_THE_INSTALLATION and "__pycache__" not in file.parts and file.parts[0] != ".."
    }
    tags = re.findall(
        r"^Tag: (\S+)-(\S+)-(\S+)$",
        files[next(file for file in files if file.endswith("/WHEEL"))].decode(),
        re.MULTILINE,
    )
    return _write(folder, name, installed.version, files, tags)


def made_wheel(folder: Path, name: str, version: str, *, tag: str = "py3-none-any", needs: Iterable[str] = ()) -> str:
    """Write a wheel with one module of the package's name; return how a lock file names it."""
    metadata = "\n".join(
        (
            "Metadata-Version: 2.1",
            f"Name: {name}",
            f"Version: {version}",
            *(f"Requires-Dist: {one}" for one in needs),
            "",
        )
    )
    about = f"{name}-{version}.dist-info"
    wheel = f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n"
    files = {f"{name}.py": b"", f"{about}/METADATA": metadata.encode(), f"{about}/WHEEL": wheel.encode()}
    return _write(folder, name, version, files, [tuple(tag.split("-"))])


def _write(folder, name, version, files, tags) -> str:
    python, abi, _ = tags[0]
    platforms = ".".join(sorted({platform for _, _, platform in tags}))
    about = next(file.split("/")[0] for file in files if file.endswith("/METADATA"))
    record = "".join(f"{file},sha256={_digest(content)},{len(content)}\n" for file, content in files.items())
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{about.removesuffix('.dist-info')}-{python}-{abi}-{platforms}.whl", "w") as packed:
        for file, content in (files | {f"{about}/RECORD": f"{record}{about}/RECORD,,\n".encode()}).items():
            packed.writestr(file, content)
    return f"{name}=={version}"


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
