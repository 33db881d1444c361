"""Job code of a DAG of a fetched bundle is that of its checkout; environments and the package's own jobs are the installation's."""

from __future__ import annotations

import pytest

from emr_pipelines.artifacts import read_artifact
from emr_pipelines.bundles import code_folder
from emr_pipelines.checking import plan_of
from emr_pipelines.environments import current_environment, include_folder
from emr_pipelines.errors import ConfigurationError

LEAST = {"versions/1": 1, "versions/2": 2, "tracking_repo": 3}
"""The checkouts of a bundle, and by what the ruleset of each differs."""
RULESET = "Rules = [ RowCount > {} ]"


def written(root, files):
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


@pytest.fixture
def storage(tmp_path, monkeypatch):
    """Where Airflow lays bundles: two versions and the newest of one, with a ``subdir``, and an installation beside them."""
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH", str(tmp_path / "bundles"))
    monkeypatch.setenv("EMR_PIPELINES_INCLUDE", str(tmp_path / "installed"))
    written(tmp_path / "installed", {"jobs/a.py": "installed", "jobs/spark_sql.py": "installed"})
    for checkout, least in LEAST.items():
        files = {
            "jobs/a.py": checkout,
            "jobs/spark_sql.py": checkout,
            "quality/a.dqdl": RULESET.format(least),
        }
        written(tmp_path / "bundles/team" / checkout, {f"include/{path}": text for path, text in files.items()})
        (tmp_path / "bundles/team" / checkout / "dags").mkdir()
    return tmp_path / "bundles/team"


def parsed_from(monkeypatch, *roots):
    """As Airflow does it before it parses a file of a bundle."""
    monkeypatch.setattr("sys.path", [str(root) for root in roots])


def test_without_a_bundle_it_is_the_installation(storage, monkeypatch):
    parsed_from(monkeypatch, "/usr/lib/python3")
    assert code_folder() == include_folder() == storage.parents[1] / "installed"


@pytest.mark.parametrize("checkout", LEAST)
@pytest.mark.parametrize("subdir", ["", "dags"])
def test_it_is_that_of_the_version_that_is_parsed(storage, monkeypatch, checkout, subdir):
    parsed_from(monkeypatch, "/usr/lib/python3", storage / checkout / subdir)
    assert read_artifact("jobs/a.py").content == checkout.encode()
    assert f"RowCount > {LEAST[checkout]}" in plan_of("quality/a.dqdl")


def test_of_two_bundles_in_one_process_it_is_the_later(storage, monkeypatch):
    parsed_from(monkeypatch, storage / "versions/1/dags", storage / "versions/2/dags")
    assert read_artifact("jobs/a.py").content == b"versions/2"


def test_a_bundle_without_job_code_has_the_installations(storage, monkeypatch):
    bare = storage.parent / "bare/versions/1/dags"
    bare.mkdir(parents=True)
    (storage.parent / "include").mkdir()
    parsed_from(monkeypatch, bare)
    assert read_artifact("jobs/a.py").content == b"installed"


def test_a_folder_of_this_machine_is_no_fetched_bundle(storage, monkeypatch, tmp_path):
    parsed_from(monkeypatch, written(tmp_path / "project", {"include/jobs/a.py": "beside"}))
    assert read_artifact("jobs/a.py").content == b"installed"


def test_the_packages_own_jobs_have_the_packages_version(storage, monkeypatch):
    parsed_from(monkeypatch, storage / "versions/1/dags")
    assert read_artifact("jobs/spark_sql.py").content == b"installed"


def test_a_file_that_only_the_installation_has_is_none_of_the_bundles(storage, monkeypatch, tmp_path):
    written(tmp_path / "installed", {"jobs/gone.py": "from before"})
    parsed_from(monkeypatch, storage / "versions/1/dags")
    with pytest.raises(
        ConfigurationError, match=r"There is no file 'jobs/gone.py' in .*/versions/1/include; beside it are: a.py"
    ):
        read_artifact("jobs/gone.py")


def test_environments_are_the_installations(storage, monkeypatch):
    written(storage / "versions/1", {"include/compute/local.yaml": "deployment: theirs\n"})
    parsed_from(monkeypatch, storage / "versions/1/dags")
    with pytest.raises(ConfigurationError, match=r"there is no environment .*/installed/compute/local"):
        current_environment()
