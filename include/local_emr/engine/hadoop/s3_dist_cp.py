"""S3DistCp on one machine: copies, concatenates and compresses files of S3 and HDFS for real.

`python -m local_emr.engine.hadoop.s3_dist_cp S3 HDFS --src=... --dest=...`
"""

from __future__ import annotations

import gzip
import json
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import IO

from local_emr.engine.hadoop import log
from local_emr.engine.hadoop.copy_plan import Options, Source, Target, chosen, parse, targets
from local_emr.engine.hadoop.storage import UNREADABLE, Storage, compressed, files_below, opened

_info = partial(log.info, "s3distcp.S3DistCp")
_error = partial(log.error, "s3distcp.S3DistCp")
_Manifest = dict[str, dict[str, object]]
"""Entries of a manifest by `baseName`, the file's path below the source."""


def copy(storage: Storage, options: Options) -> int:
    """Copy what the options say, and return how many files were copied.

    Raises ValueError and OSError with a sentence that says why not.
    """
    root = storage.local(options.source)
    if not root.exists() and not options.copy_from_manifest:
        raise FileNotFoundError(f"Failed to get source file system: File {options.source} does not exist")
    previous = _previous(storage, options)
    listed = _from_manifest(storage, previous) if options.copy_from_manifest else _listed(storage, options, root)
    left_out = {} if options.copy_from_manifest else previous
    sources = [one for one in chosen(options, listed) if one.name not in left_out]
    _info(f"Created 1 files to copy {len(sources)} files")
    if not sources and not previous:
        raise FileNotFoundError(
            "Input path does not exist: there is no file to copy; look at --src, --srcPattern and --groupBy"
        )
    destination = storage.local(options.destination)
    for target in targets(options, sources):
        _write(storage, options, target, destination / target.name)
    if options.output_manifest:
        _write_manifest(storage, options, destination, left_out, sources)
    if options.delete_on_success:
        for source in sources:
            storage.remove(storage.local(source.address))
    return len(sources)


def _listed(storage: Storage, options: Options, root: Path) -> list[Source]:
    folders = [root]
    if options.source_prefixes_file:
        prefixes = storage.local(options.source_prefixes_file).read_text().split()
        folders = [storage.local(prefix) for prefix in prefixes]
    base = root.parent if root.is_file() else root
    if outside := [folder for folder in folders if not folder.is_relative_to(base)]:
        raise ValueError(f"--srcPrefixesFile names {outside[0].name!r}, which is not below --src {options.source}")
    paths = sorted({path for folder in folders for path in files_below(folder)})
    return [
        Source(storage.address(path, options.source), str(path.relative_to(base)), path.stat().st_size)
        for path in paths
    ]


def _previous(storage: Storage, options: Options) -> _Manifest:
    if not options.previous_manifest:
        if options.copy_from_manifest:
            raise ValueError("--copyFromManifest needs the list of files: give --previousManifest=PATH, too")
        return {}
    path = storage.local(options.previous_manifest)
    try:
        entries = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
        return {entry["baseName"]: entry for entry in entries}
    except FileNotFoundError:
        if options.require_previous_manifest:
            raise FileNotFoundError(f"Failed to load manifest '{options.previous_manifest}': there is none") from None
        return {}
    except (*UNREADABLE, ValueError, KeyError, TypeError):
        raise ValueError(
            f"Failed to load manifest '{options.previous_manifest}': S3DistCp has not written it"
        ) from None


def _from_manifest(storage: Storage, manifest: _Manifest) -> list[Source]:
    found = []
    for name, entry in manifest.items():
        address = str(entry["path"])
        path = storage.local(address)
        if not path.is_file():
            raise FileNotFoundError(f"The manifest names {address}, and there is no such file")
        found.append(Source(address, name, path.stat().st_size))
    return found


def _write(storage: Storage, options: Options, target: Target, path: Path) -> None:
    _info(f"Processing {len(target.sources)} files to {path.name}")
    existing = options.append and path.is_file()
    with storage.writing(path) as file:
        if existing:
            with path.open("rb") as before:
                shutil.copyfileobj(before, file)
        output = compressed(file, options.suffix)
        for source in target.sources:
            _append(storage.local(source.address), output, as_it_is=options.codec == "keep")
        if output is not file:
            output.close()


def _append(path: Path, output: IO[bytes], *, as_it_is: bool) -> None:
    with path.open("rb") if as_it_is else opened(path) as content:
        shutil.copyfileobj(content, output)


def _write_manifest(
    storage: Storage, options: Options, destination: Path, previous: _Manifest, sources: list[Source]
) -> None:
    """List what is at the destination now: what was copied before, and what is copied now."""
    folder = options.destination.rstrip("/")
    copied = (
        {"path": f"{folder}/{source.name}", "baseName": source.name, "srcDir": folder, "size": source.size}
        for source in sources
    )
    entries = (*previous.values(), *copied)
    with storage.writing(destination / str(options.output_manifest)) as file, gzip.open(file, "wt") as text:
        text.writelines(f"{json.dumps(entry, separators=(',', ':'))}\n" for entry in entries)


def main() -> int:
    """Run as a program; return its exit code."""
    s3, hdfs, *words = sys.argv[1:]
    try:
        count = copy(Storage(Path(s3), Path(hdfs)), parse(words))
    except (ValueError, *UNREADABLE) as error:
        _error(str(error))
        return 1
    _info(f"Copied {count} files")
    return 0


if __name__ == "__main__":
    sys.exit(main())
