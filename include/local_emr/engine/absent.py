"""What of a cluster's settings names things that EMR's images have and this machine has not. Pure.

Table formats, a metastore elsewhere, and secrets are left out, so that jobs which do not use them run; one that does fails by what it
misses, and its controller log has the reason.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_IMAGE_FILE = re.compile(r"(local://|file://)?/usr/(share/aws|lib)/\S+\.jar")
_FORMAT_CLASS = re.compile(r"(io\.delta|org\.apache\.(iceberg|hudi|spark\.sql\.(delta|hudi)))\.")
_METASTORE = re.compile(r"spark\.(hadoop\.)?(hive\.metastore\.(uris|client\.factory\.class)|javax\.jdo\.option\.\w+)")
_SECRET = "EMR.secret@"  # noqa: S105  # AWS's annotation of a reference to a secret


def present(settings: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the settings that mean something on this machine, and a note for each that was left out."""
    kept: dict[str, str] = {}
    notes: list[str] = []
    catalogs = [name for name, value in settings.items() if _is_catalog(name) and _FORMAT_CLASS.match(value)]
    for name, value in settings.items():
        if any(name == catalog or name.startswith(f"{catalog}.") for catalog in catalogs):
            notes.append(f"{name} is dropped: its table format is not on this machine")
        elif _SECRET in name or value.startswith(_SECRET):
            notes.append(f"{name} is dropped: there is no Secrets Manager on this machine")
        elif _METASTORE.fullmatch(name):
            notes.append(f"{name} is dropped: the endpoint's own metastore serves its tables")
        elif name == "spark.sql.extensions":
            classes = value.split(",")
            kept |= _listed(name, [one for one in classes if not _FORMAT_CLASS.match(one.strip())])
            notes += [
                f"Extension {one} is dropped: it is not on this machine"
                for one in classes
                if _FORMAT_CLASS.match(one.strip())
            ]
        else:
            kept[name] = value
    return kept, tuple(notes)


def files_here(files: str) -> tuple[str, tuple[str, ...]]:
    """Return a list of files, separated by commas, without those of EMR's images, and a note for each of these."""
    named = [one for one in files.split(",") if one]
    absent = [one for one in named if _IMAGE_FILE.fullmatch(one)]
    notes = tuple(f"File {one} is dropped: EMR's images have it, and this machine has not" for one in absent)
    return ",".join(one for one in named if one not in absent), notes


def _is_catalog(name: str) -> bool:
    return bool(re.fullmatch(r"spark\.sql\.catalog\.\w+", name))


def _listed(name: str, values: list[str]) -> dict[str, str]:
    return {name: ",".join(values)} if values else {}
