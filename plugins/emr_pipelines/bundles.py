"""Which ``include/`` the job code of a DAG is named from: that of the version of its bundle, or the installation's."""

from __future__ import annotations

import sys
from pathlib import Path

from emr_pipelines.environments import include_folder


def code_folder() -> Path:
    """Return the folder that the DAG of this process names job code and rulesets from.

    Where Airflow fetched the DAG's bundle (Git, S3, ...), it is the ``include/`` of that checkout, if it has one: at the root of the
    bundle or above it, for a bundle of a ``subdir``. Else it is `include_folder`, where the environments are in any case: compute is
    found, waited for and ended by them in components that have no bundle.
    """
    # Airflow appends the root of a bundle to sys.path before it parses a file of it, in a process of its own (its page "Modules
    # Management"); the path of a versioned one names its version.
    storage = _storage()
    checkouts = (folder for entry in reversed(sys.path) for folder in _below(storage, Path(entry)))
    return next((folder / "include" for folder in checkouts if (folder / "include").is_dir()), include_folder())


def _storage() -> Path:
    from airflow.dag_processing.bundles.base import get_bundle_storage_root_path  # noqa: PLC0415  # commands start without

    storage: Path = get_bundle_storage_root_path()
    return storage


def _below(storage: Path, folder: Path) -> list[Path]:
    """List a folder and those around it, as far as they lie in the storage of bundles."""
    return [around for around in (folder, *folder.parents) if storage in around.parents]
