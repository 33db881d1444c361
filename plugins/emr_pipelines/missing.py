"""DAGs that have disappeared while a run of theirs was live: Airflow never looks at such a run again, and says for ever that it runs.

Airflow's own mark, ``DagModel.is_stale``, is not told to tasks. So the DAG's file is read as a worker would read it
(``airflow.sdk.execution_time.task_runner.parse``), and since when it is missing is kept in a Variable from pass to pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import BundleDagBag
from airflow.sdk import Variable
from airflow.sdk.definitions._internal.dag_parsing_context import _airflow_parsing_context_manager
from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

_MEMORY = "emr_reaper_missing_dags"
"""Variable that says since when DAGs are missing, in seconds since 1970."""


def since(missing: Iterable[str], memory: Mapping[str, float], now: float) -> dict[str, float]:
    """Return since when each DAG is missing; one that is back is forgotten."""
    return {dag_id: memory.get(dag_id, now) for dag_id in missing}


def remembered(dag_ids: Iterable[str], now: float) -> dict[str, float]:
    """Look which of these DAGs are missing, and return since when; what is remembered of others is forgotten."""
    memory = Variable.get(_MEMORY, default={}, deserialize_json=True)
    missing = since((dag_id for dag_id in sorted(dag_ids) if not is_defined(dag_id)), memory, now)
    if missing != memory:
        Variable.set(_MEMORY, missing, serialize_json=True)
    return missing


def is_defined(dag_id: str) -> bool:
    """Say whether a DAG stands in its file; one whose file or bundle cannot be read may."""
    try:
        dag = RuntimeTaskInstance.get_dag(dag_id)
    except AirflowRuntimeError:
        return True
    if not (dag.bundle_name and dag.relative_fileloc):
        return True
    bundle = DagBundlesManager().get_bundle(dag.bundle_name)
    bundle.initialize()
    path = Path(bundle.path, dag.relative_fileloc)
    if not path.exists():
        return False
    # A file may define only the DAG that it is read for: "Optimizing DAG parsing delays" of Airflow's guide.
    with _airflow_parsing_context_manager(dag_id=dag_id):
        read = BundleDagBag(
            dag_folder=str(path),
            safe_mode=False,
            load_op_links=False,
            bundle_path=bundle.path,
            bundle_name=dag.bundle_name,
        )
    return dag_id in read.dags or bool(read.import_errors)
