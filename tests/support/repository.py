"""A Git repository in a folder, with a pipeline of which it can hold several versions."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

VERSIONED = "keeps_its_version"
"""The id of that pipeline."""

_DAG = """\
from datetime import UTC, datetime
from pathlib import Path

from airflow.providers.standard.sensors.python import PythonSensor
from airflow.sdk import DAG

from emr_pipelines import EmrJobOperator, EmrPipeline, SparkJob

with DAG("{dag_id}", schedule=None, start_date=datetime(2013, 1, 1, tzinfo=UTC), is_paused_upon_creation=False):
    waits = PythonSensor(task_id="waits", python_callable=Path("{gate}").exists, poke_interval=0.5)
    with EmrPipeline("emr", targets=["eks"]) as emr:
        EmrJobOperator(
            task_id="job_of_version_{version}",
            job=SparkJob(script="{script}", args=("{said}/{{{{ run_id }}}}-{{{{ ti.try_number }}}}",)),
        )
    waits >> emr
"""
_SCRIPT = """\
import sys
from pathlib import Path

Path(sys.argv[1]).write_text("version {version}")
"""
SCRIPT = "jobs/says_version.py"

_WHO = {"GIT_AUTHOR_NAME": "tests", "GIT_AUTHOR_EMAIL": "tests@localhost"}
_ENVIRONMENT = {
    **_WHO,
    **{name.replace("AUTHOR", "COMMITTER"): value for name, value in _WHO.items()},
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "PATH": "/usr/bin:/bin",
}


class Repository:
    """One branch, as the workflow that deploys moves it, to which files are committed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._git("init", "--quiet", "--initial-branch=deployed/dev")
        self.gate = folder.with_name("gate")
        """Where this file is, the pipeline's runs go on."""
        self._said = folder.with_name("said")
        self._said.mkdir()
        self.versions = [self.commit(self.files(1))]
        """The commits of the pipeline's versions."""

    def files(self, version: int) -> dict[str, str]:
        """Return the pipeline and its job, by their paths; both change with the version."""
        dag = _DAG.format(dag_id=VERSIONED, gate=self.gate, script=SCRIPT, said=self._said, version=version)
        return {f"dags/{VERSIONED}.py": dag, f"include/{SCRIPT}": _SCRIPT.format(version=version)}

    def said(self, run_id: str, attempt: int = 1) -> str:
        """Return what the job of a run has said."""
        return (self._said / f"{run_id}-{attempt}").read_text()

    def bundle(self) -> dict[str, object]:
        """Return what stands in ``[dag_processor] dag_bundle_config_list`` for it."""
        return {
            "name": "versioned",
            "classpath": "airflow.providers.git.bundles.git.GitDagBundle",
            "kwargs": {
                "repo_url": str(self.folder),
                "tracking_ref": "deployed/dev",
                "subdir": "dags",
                "refresh_interval": 2,
            },
        }

    def commit(self, files: Mapping[str, str]) -> str:
        """Commit texts by their path, and nothing else; return the hash of the commit."""
        self._git("rm", "-r", "--quiet", "--force", "--ignore-unmatch", ".")
        for path, text in files.items():
            file = self.folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message", "files")
        return self._git("rev-parse", "HEAD").strip()

    def _git(self, *arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=self.folder, env=_ENVIRONMENT, check=True, capture_output=True, text=True
        ).stdout
