"""Archives of a Spark job where it runs, as on Kubernetes: `s3://bucket/venv.tar.gz#environment` is the folder `environment`.

Sources: spark.archives on Spark's configuration page; "Using Python libraries with EMR Serverless" in its User Guide. An
archive's own interpreter, made for EMR's images, is not used: the endpoint's own imports from the archive's packages.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from local_emr.engine.options import split_options
from local_emr.storage import files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


def unpack(arguments: Sequence[str], spark_defaults: Mapping[str, str], folder: Path, buckets: Path) -> dict[str, str]:
    """Unpack the archives of a spark-submit into `folder`; return the variables that let Python import from them.

    What is not there is left for Spark to complain of. Raises OSError or shutil.ReadError for what is no archive.
    """
    packages: list[Path] = []
    for address, name in _archives(arguments, spark_defaults):
        archive = _object(address, buckets)
        if archive is not None:
            shutil.unpack_archive(archive, folder / name, filter="tar")
            packages += (folder / name).glob("lib/python*/site-packages")
    return {"PYTHONPATH": os.pathsep.join(map(str, packages))} if packages else {}


def _archives(arguments: Sequence[str], spark_defaults: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the address of each archive and the name of its folder."""
    given = spark_defaults.get("spark.archives", "")
    for name, value in _options(arguments):
        if name == "--archives" and value:
            given = value
        elif name in {"--conf", "-c"} and value and value.startswith("spark.archives="):
            given = value.partition("=")[2]
    for archive in filter(None, given.split(",")):
        address, _, name = archive.strip().partition("#")
        yield address, name or address.rpartition("/")[2]


def _options(arguments: Sequence[str]) -> list[tuple[str, str | None]]:
    if arguments[:1] != ("spark-submit",):
        return []
    try:
        return split_options(arguments[1:], mixed=False)[0]
    except ValueError:  # the engine tells the job so
        return []


def _object(address: str, buckets: Path) -> Path | None:
    """Return the file of an object in S3, None when there is none."""
    scheme, _, place = address.partition("://")
    bucket, _, key = place.partition("/")
    if not scheme.startswith("s3") or not files.is_bucket_name(bucket):
        return None
    path = files.path_of(buckets / bucket, key)
    return path if path is not None and path.is_file() else None
