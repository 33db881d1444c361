"""S3 and HDFS as folders, as Hadoop's tools see them: addresses, listings, patterns, files that appear at once."""

from __future__ import annotations

import bz2
import glob
import gzip
import os
import re
import tempfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOME = "user/hadoop"
_S3 = frozenset({"s3", "s3a", "s3n"})
_UNFINISHED = ".incoming"
"""Where files are written before they appear, beside the buckets: no bucket can have this name."""

_READERS: dict[str, Callable[[Path], object]] = {".gz": gzip.open, ".bz2": bz2.open}
_UNREADABLE = frozenset({".snappy", ".lzo", ".lz4", ".zst", ".deflate"})


@dataclass(frozen=True)
class Storage:
    """`s3` holds a folder for each bucket, `hdfs` is HDFS's root; addresses without a scheme are HDFS's."""

    s3: Path
    hdfs: Path

    def local(self, address: str) -> Path:
        """Return the file or folder behind an address, whether it is there or not.

        Raises FileNotFoundError for a bucket that is not there, ValueError for an address that leaves its bucket.
        """
        scheme, colon, rest = address.partition(":")
        if not colon or "/" in scheme:
            return _below(self.hdfs, address if address.startswith("/") else f"{HOME}/{address}")
        if scheme == "file":
            return Path("/" + rest.lstrip("/"))
        if scheme == "hdfs":
            return _below(self.hdfs, re.sub(r"^//[^/]*", "", rest))
        if scheme not in _S3:
            raise ValueError(f'No FileSystem for scheme "{scheme}": {address}')
        bucket, _, key = rest.removeprefix("//").partition("/")
        if not bucket or not (self.s3 / bucket).is_dir():
            raise FileNotFoundError(f"NoSuchBucket: The specified bucket does not exist: {bucket}")
        return _below(self.s3 / bucket, key)

    def address(self, path: Path, like: str) -> str:
        """Return the address of a file in the words of `like`, the address of the same file system."""
        scheme, colon, _ = like.partition("://")
        if colon and scheme in _S3:
            return f"{scheme}://{path.relative_to(self.s3)}"
        return f"hdfs:///{path.relative_to(self.hdfs)}" if path.is_relative_to(self.hdfs) else path.as_uri()

    def matching(self, pattern: str) -> list[str]:
        """Return the addresses that a pattern of Hadoop's matches (`*`, `?`, `[a-z]`, `{a,b}`), in order; none of what is hidden."""
        found = []
        for one in _alternatives(pattern):
            path = self.local(one)
            if glob.has_magic(one):
                root = next((root for root in (self.s3, self.hdfs) if path.is_relative_to(root)), Path("/"))
                names = glob.glob(str(path.relative_to(root)), root_dir=root)  # noqa: PTH207 - the root is no pattern
                found += [self.address(root / name, one) for name in sorted(names) if not is_hidden(name)]
            elif path.exists():
                found.append(self.address(path, one))
        return found

    @contextmanager
    def writing(self, path: Path) -> Iterator[BinaryIO]:
        """Give a file that becomes the one at `path` when all went well, at once for every reader."""
        unfinished = self.s3 / _UNFINISHED
        unfinished.mkdir(exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=unfinished)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
            temporary.chmod(0o644)
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def remove(self, path: Path) -> None:
        """Remove a file, and on S3 the folders that it leaves empty: S3 has no empty folders."""
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder.parent == self.s3 or not folder.is_relative_to(self.s3) or any(folder.iterdir()):
                return
            folder.rmdir()


def is_hidden(path: str) -> bool:
    """Whether Hadoop's input leaves a file or folder out."""
    return path.rpartition("/")[2].startswith(("_", "."))


def files_below(folder: Path) -> list[Path]:
    """Return all files below a folder in the order of their paths, or the file itself."""
    if folder.is_file():
        return [folder]
    return sorted(
        path for path in folder.rglob("*") if path.is_file() and "_temporary" not in path.relative_to(folder).parts
    )


def opened(path: Path) -> BinaryIO:
    """Open a file for reading, uncompressed as its name says.

    Raises ValueError for a compression that cannot be read here.
    """
    if path.suffix in _UNREADABLE:
        raise ValueError(f"{path.name} cannot be read on this machine, which reads gzip and bzip2")
    return cast("BinaryIO", _READERS[path.suffix](path)) if path.suffix in _READERS else path.open("rb")


def is_compressed(path: Path) -> bool:
    """Whether `opened` uncompresses a file."""
    return path.suffix in _READERS


def compressed(file: BinaryIO, suffix: str) -> IO[bytes]:
    """Return what writes gzip into a file when a suffix says so, or the file itself; the same content gives the same bytes."""
    return cast("IO[bytes]", gzip.GzipFile("", "wb", fileobj=file, mtime=0)) if suffix == ".gz" else file


UNREADABLE = (OSError, EOFError, zlib.error)
"""What reading a file raises that is not what its name says."""


def _below(root: Path, path: str) -> Path:
    whole = Path(os.path.normpath(root / path.lstrip("/")))
    if not whole.is_relative_to(root):
        raise ValueError(f"{path} leads out of its file system")
    return whole


def _alternatives(pattern: str) -> list[str]:
    match = re.search(r"\{([^{}]*)\}", pattern)
    if not match:
        return [pattern]
    return [
        one
        for part in match[1].split(",")
        for one in _alternatives(pattern[: match.start()] + part + pattern[match.end() :])
    ]
