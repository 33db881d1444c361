"""What is packaged for MWAA, laid out as MWAA does: Airflow finds plugins, DAGs and include/ there, and no secret leaves the machine."""

from __future__ import annotations

import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from botocore.session import get_session
from packaging.requirements import Requirement

from emr_deploy.mwaa import main, package
from emr_pipelines.errors import ConfigurationError
from tests.support.airflow import ask_airflow

ROOT = Path(__file__).resolve().parents[3]
PARSE = """
import json
from airflow.dag_processing.dagbag import DagBag
from airflow import plugins_manager
import emr_pipelines
bag = DagBag({dags!r})
print(json.dumps([dict(bag.import_errors), sorted(bag.dags), emr_pipelines.__file__,
    emr_pipelines.current_environment().name, [p.name for p in plugins_manager._get_plugins()[0]]]))
"""


@pytest.fixture(scope="module")
def packaged(tmp_path_factory):
    target = tmp_path_factory.mktemp("mwaa") / "made"
    assert package(ROOT, "dev", target) == []
    return target


def test_airflow_parses_the_package_outside_of_the_checkout_without_an_import_error(packaged, tmp_path):
    """MWAA User Guide: the zip is unpacked into plugins/, dags/ is copied, the script's exports are Airflow's environment."""
    with zipfile.ZipFile(packaged / "plugins.zip") as plugins:
        plugins.extractall(tmp_path / "plugins")
    shutil.copytree(packaged / "dags", tmp_path / "dags")
    script = f"set -e; AIRFLOW_HOME={tmp_path}; source {packaged / 'startup.sh'}; env"
    said = subprocess.run(["bash", "-c", script], env={}, check=True, capture_output=True, text=True).stdout
    exported = dict(line.split("=", 1) for line in said.splitlines() if line.startswith("EMR_PIPELINES_"))
    assert exported == {"EMR_PIPELINES_ENVIRONMENT": "dev", "EMR_PIPELINES_INCLUDE": f"{tmp_path}/dags/include"}
    folders = {"AIRFLOW__CORE__PLUGINS_FOLDER": f"{tmp_path}/plugins", "AIRFLOW__CORE__DAGS_FOLDER": f"{tmp_path}/dags"}
    own = {"PYTHONPATH": f"{tmp_path}/plugins", "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    found = ask_airflow(PARSE.format(dags=f"{tmp_path}/dags"), tmp_path, **exported, **folders, **own)
    errors, dags, module, environment, plugins_found = found
    assert errors == {}
    assert dags == ["emr_reaper", "flights_daily"]
    assert module == f"{tmp_path}/plugins/emr_pipelines/__init__.py"
    assert environment == "dev"
    assert "emr_pipelines" in plugins_found


def test_without_a_home_of_its_own_the_startup_script_names_that_of_mwaa(packaged):
    script = f"source {packaged / 'startup.sh'}; echo $EMR_PIPELINES_INCLUDE"
    said = subprocess.run(["bash", "-c", script], env={}, check=True, capture_output=True, text=True).stdout
    assert said == "/usr/local/airflow/dags/include\n"


def test_the_requirements_begin_with_their_constraints_and_leave_airflow_to_the_image(packaged):
    constraint, *lines = (packaged / "requirements.txt").read_text().splitlines()
    assert constraint == '--constraint "/usr/local/airflow/dags/constraints.txt"'
    asked = {Requirement(line).name for line in lines}
    assert {"lark", "pydantic", "tenacity", "boto3", "PyYAML", "apache-airflow-providers-amazon"} <= asked
    assert "apache-airflow" not in asked
    pinned = [line for line in (packaged / "dags/constraints.txt").read_text().splitlines() if re.match(r"\w", line)]
    constraints = [Requirement(line) for line in pinned]
    assert {one.name.lower() for one in constraints} >= {name.lower() for name in asked}
    assert [one for one in constraints if one.extras] == []


def test_what_pipelines_do_not_read_is_not_packaged(packaged):
    folders = {path.name for path in (packaged / "dags/include").iterdir()}
    assert folders == {"compute", "hive", "jobs", "quality"}
    assert (packaged / "dags/.airflowignore").read_text() == "include/\n"


@pytest.fixture
def checkout(tmp_path):
    """A checkout with secrets in every folder."""
    root = tmp_path / "checkout"
    for folder in ("dags", "plugins"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("compute", "jobs"):
        shutil.copytree(
            ROOT / "include" / folder, root / "include" / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    for file in ("requirements.in", "requirements.txt"):
        shutil.copy(ROOT / file, root / file)
    outside = tmp_path / "outside.py"
    outside.write_text("PLANTED")
    for folder in (
        root,
        root / "dags",
        root / "plugins",
        root / "plugins/emr_pipelines",
        root / "include/jobs",
        root / "include",
    ):
        (folder / ".local").mkdir()
        (folder / ".aws").mkdir()
        for name in (
            ".env",
            ".local/settings.yaml",
            ".aws/credentials",
            "credentials.json",
            "key.pem",
            "id_rsa",
            "my-secrets.yaml",
        ):
            (folder / name).write_text("PLANTED")
    (root / "include/jobs/linked.py").symlink_to(outside)
    return root


def test_nothing_secret_is_packaged_and_what_was_left_out_is_told(checkout, tmp_path):
    target = tmp_path / "made"
    left_out = package(checkout, "dev", target)
    packed = {str(file.relative_to(target)): file.read_bytes() for file in target.rglob("*") if file.is_file()}
    with zipfile.ZipFile(target / "plugins.zip") as plugins:
        packed |= {f"plugins/{name}": plugins.read(name) for name in plugins.namelist()}
    assert "plugins/emr_pipelines/targets/secret_names.py" in packed
    assert [name for name, content in packed.items() if b"PLANTED" in content] == []
    assert {"dags/.env", "include/jobs/.aws/credentials", "include/jobs/key.pem", "include/jobs/linked.py"} <= set(
        left_out
    )


def test_the_same_checkout_makes_the_same_zip(checkout, tmp_path):
    for name in ("one", "two"):
        package(checkout, "dev", tmp_path / name)
        (checkout / "plugins/emr_plugin.py").touch()
    assert (tmp_path / "one/plugins.zip").read_bytes() == (tmp_path / "two/plugins.zip").read_bytes()


def test_packaging_again_leaves_nothing_of_before(checkout, tmp_path):
    package(checkout, "dev", tmp_path / "made")
    (checkout / "dags/emr_reaper.py").unlink()
    package(checkout, "prod", tmp_path / "made")
    assert not (tmp_path / "made/dags/emr_reaper.py").exists()
    assert "EMR_PIPELINES_ENVIRONMENT=prod\n" in (tmp_path / "made/startup.sh").read_text()


def test_a_folder_that_holds_something_else_is_left_alone(checkout, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home/thesis.txt").touch()
    with pytest.raises(ConfigurationError, match="holds something else than a package for MWAA"):
        package(checkout, "dev", tmp_path / "home")
    assert (tmp_path / "home/thesis.txt").exists()


def test_an_environment_that_is_not_there_is_refused_with_those_that_are(checkout, tmp_path, capsys):
    assert main(["prd", "--root", str(checkout), "--target", str(tmp_path / "made")]) == 2
    said = capsys.readouterr().err
    assert said == "There is no environment 'prd' (did you mean 'prod'?); there are: dev, local, prod, test\n"
    assert not (tmp_path / "made").exists()


def test_the_page_names_the_newest_airflow_that_mwaa_offers():
    """botocore's model of MWAA lists the versions; when 3.3 is among them, the page has to say so."""
    members = get_session().get_service_model("mwaa").operation_model("CreateEnvironment").input_shape.members
    offered = re.findall(r"<code>(\d+)\.(\d+)\.(\d+)</code>", members["AirflowVersion"].documentation)
    newest = max(tuple(map(int, version)) for version in offered)
    assert newest < (3, 3)
    assert f"{'.'.join(map(str, newest))} is the newest" in (ROOT / "docs/how-to/run-on-mwaa.md").read_text()
