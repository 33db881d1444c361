"""Archives of a Spark job where it runs: `s3://bucket/venv.tar.gz#environment` is the folder `environment`.

So it is in YARN's containers and in pods. Sources: spark.archives on Spark's configuration page; "Using Python libraries with EMR
Serverless" in its User Guide. An archive's own interpreter, made for EMR's images, is not used: the endpoint's own imports from the
archive's packages.
"""

from __future__ import annotations

import os
import shutil
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from local_emr.engine.launching import Place
    from local_emr.engine.options import SparkOptions


def unpack(options: SparkOptions, spark_defaults: Mapping[str, str], place: Place) -> dict[str, str]:
    """Unpack the archives of a spark-submit where it runs; return the variables that let Python import from them.

    What is not there is left for Spark to complain of. Raises ValueError for what is no archive.
    """
    packages: list[str] = []
    for address, name in _archives(options, spark_defaults):
        archive = place.local(address)
        if not archive.is_file():
            continue
        folder = place.work / name
        try:
            shutil.unpack_archive(archive, folder, filter="tar")
        except (shutil.ReadError, OSError) as error:
            raise ValueError(f"{address} could not be unpacked: {error}") from error
        packages += map(str, folder.glob("lib/python*/site-packages"))
    return {"PYTHONPATH": os.pathsep.join(packages)} if packages else {}


def _archives(options: SparkOptions, spark_defaults: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the address of each archive and the name of its folder, in the order in which Spark lets settings win."""
    given = options.settings.get("spark.archives") or spark_defaults.get("spark.archives", "")
    for option, value in zip(options.arguments, options.arguments[1:], strict=False):
        if option == "--archives":
            given = value
    for archive in filter(None, given.split(",")):
        address, _, name = archive.strip().partition("#")
        yield address, PurePosixPath(name or address).name
