"""Keys and files: which file a key is, how it changes atomically, and how a bucket is listed in S3's order.

Nothing here knows moto or HTTP. Listing follows the S3 API reference (ListObjectsV2): keys in the order of their
UTF-8 bytes, which is also Python's order of strings.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_NAME = 250
"""Bytes in one part of a key; file systems allow 255, and temporary names need a few."""

HIDDEN = "_temporary"
"""Where Hadoop's committer keeps what is not yet output. On S3 it would be uploads in progress: never listed."""

INCOMING = ".incoming"
"""Where objects are written before they appear, beside the buckets. No bucket can have this name."""

COPY_SIZE = 1 << 20

_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

_changing_tree = threading.RLock()
"""Held while folders come and go, so that no folder is pruned between its making and its first file."""


def is_bucket_name(name: str) -> bool:
    """Say whether S3 would accept `name` (Amazon S3 User Guide, "Bucket naming rules")."""
    return _BUCKET_NAME.fullmatch(name) is not None and ".." not in name


def path_of(bucket: Path, key: str) -> Path | None:
    """Return the file that `key` is in `bucket`, or None when no file can safely be it.

    `..`, empty parts and names too long for a file system have no file, which also keeps every path inside the bucket.
    """
    parts = key.split("/")
    return bucket.joinpath(*parts) if all(_is_file_name(part) for part in parts) else None


def _is_file_name(part: str) -> bool:
    try:
        length = len(part.encode())
    except UnicodeEncodeError:
        return False
    return part not in ("", ".", "..") and "\0" not in part and length <= LONGEST_NAME


def write(bucket: Path, path: Path, content: BinaryIO) -> bool:
    """Make `content`, from where it stands, the file at `path`, at once for every reader.

    False when a folder or a file stands in the way.
    """
    incoming = bucket.parent / INCOMING
    incoming.mkdir(exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=incoming)
    try:
        with os.fdopen(descriptor, "wb") as file:
            shutil.copyfileobj(content, file, COPY_SIZE)
        Path(temporary).chmod(0o644)
        with _changing_tree:
            path.parent.mkdir(parents=True, exist_ok=True)
            Path(temporary).replace(path)
    except (FileExistsError, IsADirectoryError, NotADirectoryError):
        return False
    finally:
        Path(temporary).unlink(missing_ok=True)
    return True


def remove(bucket: Path, path: Path) -> None:
    """Remove the file at `path` and the folders that it leaves empty: S3 has no empty folders."""
    with _changing_tree:
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == bucket:
                return
            try:
                folder.rmdir()
            except OSError:
                return


def keys(bucket: Path, prefix: str = "", after: str = "") -> Iterator[str]:
    """Yield the keys that are files, start with `prefix` and sort after `after`, in order, reading only what is asked.

    A page of a listing costs the folders it touches: folders that lie wholly before `after` or outside `prefix` are
    never opened.
    """
    for key, is_folder in _level(bucket, prefix, after):
        if is_folder:
            yield from keys(bucket, key, after)
        else:
            yield key


def level(bucket: Path, prefix: str = "", after: str = "") -> Iterator[str]:
    """Yield what lies directly at `prefix` when "/" delimits: keys, and folders with their "/", in order.

    A folder without any key below it does not exist for S3.
    """
    for key, is_folder in _level(bucket, prefix, after):
        if key > after and (not is_folder or next(keys(bucket, key), None) is not None):
            yield key


def _level(bucket: Path, prefix: str, after: str) -> list[tuple[str, bool]]:
    """List the folder that `prefix` points into: sorted pairs of key (a folder's ends with "/") and is it a folder.

    A folder that `after` lies in is listed too: some of its keys come after it.
    """
    folder = prefix[: prefix.rfind("/") + 1]
    path = path_of(bucket, folder[:-1]) if folder else bucket
    if path is None:
        return []
    found = []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                is_folder = entry.is_dir(follow_symlinks=False)
                key = f"{folder}{entry.name}/" if is_folder else f"{folder}{entry.name}"
                is_after = key > after or (is_folder and after.startswith(key))
                if is_after and key.startswith(prefix) and _is_listed(entry.name, is_folder=is_folder):
                    found.append((key, is_folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(found)


def _is_listed(name: str, *, is_folder: bool) -> bool:
    return _is_file_name(name) and not (is_folder and name == HIDDEN)
