"""A bucket's objects for moto: the directory is the truth, moto's objects in memory carry what files cannot."""

from __future__ import annotations

import datetime as dt
import heapq
import io
import stat
import threading
from itertools import groupby
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from moto.s3.models import FakeDeleteMarker, FakeKey
from moto.s3.utils import _VersionedKeyStore

from local_emr.storage import files

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from pathlib import Path

Version = FakeKey | FakeDeleteMarker


class FileBuffer(threading.local):
    """A file behind the interface of the buffer in which moto keeps an object's content; each thread has its place."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.place = 0

    def seek(self, place: int) -> int:
        """Go to a byte."""
        self.place = place
        return place

    def read(self, size: int = -1) -> bytes:
        """Read from the current place; b"" at the end, and when the file is gone."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.place)
                content = file.read(size)
        except OSError:
            return b""
        self.place += len(content)
        return content

    def close(self) -> None:
        """Nothing is held open."""


class DirectoryKeyStore(_VersionedKeyStore):
    """moto's mapping of key to versions, in which the current version of every key is a file of the bucket's folder.

    Objects written by others (Spark) appear at once, with the file's time and MD5. Kept in memory only: older
    versions, metadata, tags, and keys that no file can be (`files.path_of`).
    """

    def __init__(self, folder: Path, account_id: str, region: str) -> None:
        super().__init__()
        self.folder = folder
        self.account_id = account_id
        self.region = region
        self._changing = threading.RLock()
        self._not_in_files: set[str] = set()

    # What is there

    def getlist(self, key: str, default: Any = None) -> Any:
        """Return all versions of `key`, oldest first, as the directory has them now."""
        with self._changing:
            versions = self._refresh(key)
        return default if versions is None else versions

    def __getitem__(self, key: str) -> Version:
        versions = self.getlist(key)
        if not versions:
            raise KeyError(key)
        return versions[-1]  # type: ignore[no-any-return]  # moto types its store Any

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and bool(self.getlist(key))

    def __len__(self) -> int:
        return sum(1 for _ in self.names())

    def __bool__(self) -> bool:
        return next(self.names(), None) is not None

    def names(self, prefix: str = "", after: str = "") -> Iterator[str]:
        """Yield keys in order, lazily: those in files and those that only memory has."""
        return _merged(files.keys(self.folder, prefix, after), self._in_memory(prefix, after))

    def grouped(self, prefix: str, delimiter: str, after: str) -> Iterator[str]:
        """Yield keys and common prefixes in order, as ListObjectsV2 with a delimiter lists them."""
        if delimiter == "/":
            in_files = files.level(self.folder, prefix, after)
        else:
            in_files = _groups(files.keys(self.folder, prefix), prefix, delimiter, after)
        in_memory = _groups(iter(self._in_memory(prefix, "")), prefix, delimiter, after)
        return _merged(in_files, in_memory)

    def _in_memory(self, prefix: str, after: str) -> list[str]:
        return sorted(key for key in list(self._not_in_files) if key.startswith(prefix) and key > after)

    def _self_iterable(self) -> dict[str, Any]:
        return {name: self.getlist(name) for name in self.names()}

    def forget(self) -> None:
        """Give up the content of what only memory has; files stay."""
        for versions in list(dict.values(self)):
            for version in versions:
                _forget(version)

    # Changing it

    def setlist(self, key: Any, list_: Any) -> None:
        """Make `list_` the versions of `key`; the last one becomes the file."""
        versions: list[Version] = list(list_) if isinstance(list_, list | tuple) else [list_]
        with self._changing:
            kept = {id(version) for version in versions}
            replaced = [version for version in self.getlist(key, []) if id(version) not in kept]
            for version in versions[:-1]:
                _into_memory(version)
            self._make_current(key, versions[-1] if versions else None)
            self._remember(key, versions)
            for version in replaced:
                _forget(version)

    def __setitem__(self, key: str, value: Version) -> None:
        self.setlist(key, [*self.getlist(key, []), value])

    def pop(self, key: str) -> None:  # type: ignore[override]  # moto's own signature
        """Delete `key` with all its versions; KeyError when moto knows none."""
        with self._changing:
            versions = self._refresh(key)
            if versions is None:
                raise KeyError(key)
            self._make_current(key, None)
            self._remember(key, None)
            for version in versions:
                _forget(version)

    def _make_current(self, key: str, version: Version | None) -> None:
        path = files.path_of(self.folder, key)
        if path is None or _is_on_file(version):
            return
        if not isinstance(version, FakeKey):
            if path.is_file():
                files.remove(self.folder, path)
            return
        version.etag  # noqa: B018 - moto computes it on demand, and now the content is at hand
        if files.write(self.folder, path, _content(version)):
            _onto_file(version, path, path.stat())

    def _remember(self, key: str, versions: list[Version] | None) -> None:
        if versions is None:
            dict.pop(self, key, None)
        else:
            dict.__setitem__(self, key, versions)
        if versions and not _is_on_file(versions[-1]):
            self._not_in_files.add(key)
        else:
            self._not_in_files.discard(key)

    def _refresh(self, key: str) -> list[Version] | None:
        """Bring what memory knows of `key` up to the file."""
        versions: list[Version] | None = dict.get(self, key)
        known = versions is not None and _is_on_file(versions[-1] if versions else None)
        path = files.path_of(self.folder, key)
        status = _status(path)
        if versions and known and status and _signature(status) == getattr(versions[-1], "signature", None):
            return versions
        if known and versions:
            _forget(versions[-1])
            versions = versions[:-1] or None
            self._remember(key, versions)
        if path is not None and status is not None:
            found = FakeKey(key, b"", self.account_id, self.region, bucket_name=self.folder.name, version_id="null")
            _onto_file(found, path, status)
            versions = [*(versions or []), found]
            self._remember(key, versions)
        return versions


def _status(path: Path | None) -> os.stat_result | None:
    """Return the status of a regular file, None for anything else."""
    try:
        status = path.stat() if path else None
    except OSError:
        return None
    return status if status and stat.S_ISREG(status.st_mode) else None


def _signature(status: os.stat_result) -> tuple[int, int, int]:
    """Say what changes whenever a file's content is replaced."""
    return status.st_ino, status.st_mtime_ns, status.st_size


def _is_on_file(version: Version | None) -> bool:
    return isinstance(version, FakeKey) and isinstance(version._value_buffer, FileBuffer)  # noqa: SLF001 - no other door


def _content(version: FakeKey) -> BinaryIO:
    version._value_buffer.seek(0)  # noqa: SLF001 - moto has no other door to an object's content
    return cast("BinaryIO", version._value_buffer)  # noqa: SLF001 - as above


def _replace_buffer(version: FakeKey, buffer: Any) -> None:
    version._value_buffer.close()  # noqa: SLF001 - moto has no other door to an object's content
    version._value_buffer = buffer  # noqa: SLF001 - as above


def _onto_file(version: FakeKey, path: Path, status: os.stat_result) -> None:
    """Let `version` read its content, size and time from the file; its memory is freed."""
    _replace_buffer(version, FileBuffer(path))
    version.contentsize = status.st_size
    version.last_modified = dt.datetime.fromtimestamp(status.st_mtime, dt.UTC).replace(tzinfo=None)
    version.disposed = True
    version.signature = _signature(status)  # type: ignore[attr-defined]  # ours: which content of the file this is
    if version.multipart is not None:
        version.multipart.dispose()
        version.multipart = None
    FakeKey.instances_tracked.clear()  # type: ignore[attr-defined]  # moto would keep every object ever written


def _into_memory(version: Version) -> None:
    """Let `version` keep its own content: its file is about to become another version."""
    if isinstance(version, FakeKey) and _is_on_file(version):
        content = version.value
        _replace_buffer(version, io.BytesIO())
        version.value = content  # type: ignore[misc]  # a property with a setter, which moto hides from type checkers


def _forget(version: Version) -> None:
    if isinstance(version, FakeKey):
        version.dispose()


def _groups(names: Iterator[str], prefix: str, delimiter: str, after: str) -> Iterator[str]:
    """Yield keys and, for those that have the delimiter after the prefix, their common prefixes."""

    def group(name: str) -> str:
        end = name.find(delimiter, len(prefix))
        return name if end < 0 else name[: end + len(delimiter)]

    return (name for name, _ in groupby(names, group) if name > after)


def _merged(*ordered: Any) -> Iterator[str]:
    """Merge ordered names, each once."""
    return (name for name, _ in groupby(heapq.merge(*ordered)))
