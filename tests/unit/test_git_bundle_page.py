"""What the page about Git bundles tells to set is what Airflow takes."""

from __future__ import annotations

import json
import shlex

from tests.support.airflow import ROOT, ask_airflow
from tests.support.repository import Repository

PAGE = (ROOT / "docs/how-to/keep-a-runs-code.md").read_text()
ASK = """
import json
from airflow.dag_processing.bundles.manager import DagBundlesManager
bundle = DagBundlesManager().get_bundle("pipelines", version="0" * 40)
print(json.dumps({
    "branch": bundle.tracking_ref, "versions": bundle.supports_versioning, "from": bundle.repo_url, "key": bundle.hook.key_file,
    "hosts": bundle.hook.known_hosts_file, "strict": bundle.hook.strict_host_key_checking,
    "path": str(bundle.path.relative_to(bundle.versions_dir)),
}))
"""


def exported() -> dict[str, str]:
    """The variables that the page's example sets."""
    (example,) = (text.split("```")[0] for text in PAGE.split("```bash\n")[1:])
    words = [word for word in shlex.split(example) if word != "export"]
    return dict(word.split("=", 1) for word in words)


def test_airflow_takes_the_bundle_and_the_connection_of_the_page(tmp_path):
    assert ask_airflow(ASK, tmp_path, **exported()) == {
        "branch": "deployed/prod",
        "versions": True,
        "from": "git@github.com:example/pipelines.git",
        "key": "/run/secrets/pipelines_key",
        "hosts": "/run/secrets/known_hosts",
        "strict": "yes",
        "path": f"{'0' * 40}/dags",
    }


def test_the_bundle_of_the_tests_is_that_of_the_page_but_for_what_it_follows(tmp_path):
    (told,) = json.loads(exported()["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])
    run = Repository(tmp_path / "repository").bundle()
    assert (run["classpath"], run["kwargs"]["subdir"]) == (told["classpath"], told["kwargs"]["subdir"])
