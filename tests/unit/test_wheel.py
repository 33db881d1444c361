"""The wheel: it builds, says what it needs, and works with an include folder from wherever it is installed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from uv import find_uv_bin

ROOT = Path(__file__).resolve().parents[2]
ASK = """
import json
import emr_pipelines
from emr_pipelines.quality import parse_ruleset
parse_ruleset("Rules = [ RowCount > 0 ]", "the grammar is a file of the package")
environment = emr_pipelines.current_environment()
print(json.dumps([emr_pipelines.__file__, environment.name, sorted(environment.profiles)]))
"""
OF_PYTHON_AND_THIS = set(sys.stdlib_module_names) | {"emr_pipelines"}
DISTRIBUTIONS = {"airflow": "apache-airflow", "botocore": "boto3", "yaml": "pyyaml"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from copies with what is installed here: no network."""
    folder = tmp_path_factory.mktemp("wheel")
    (folder / "plugins").symlink_to(ROOT / "plugins")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (folder / name).write_text((ROOT / name).read_text())
    build = "from setuptools.build_meta import build_wheel; build_wheel('out')"
    (folder / "out").mkdir()
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", build], cwd=folder, check=True, capture_output=True, timeout=120
    )
    (made,) = (folder / "out").glob("*.whl")
    return made


def test_from_an_empty_folder_it_reads_an_include_folder(wheel, tmp_path):
    target, elsewhere = tmp_path / "target", tmp_path / "elsewhere"
    elsewhere.mkdir()
    install = [
        find_uv_bin(),
        "pip",
        "install",
        "--quiet",
        "--offline",
        "--no-deps",
        "--target",
        str(target),
        str(wheel),
    ]
    subprocess.run([*install, "--python", sys.executable], check=True, capture_output=True, timeout=60)
    own = {
        "PYTHONPATH": str(target),
        "EMR_PIPELINES_INCLUDE": str(ROOT / "include"),
        "EMR_PIPELINES_ENVIRONMENT": "dev",
    }
    said = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=elsewhere,
        env={**own, "AIRFLOW_HOME": str(elsewhere)},
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout
    module, environment, profiles = json.loads(said.splitlines()[-1])
    assert module == f"{target}/emr_pipelines/__init__.py"
    assert environment == "dev"
    assert {"ec2", "eks", "serverless"} <= set(profiles)


def test_its_metadata_name_everything_that_it_imports(wheel):
    with zipfile.ZipFile(wheel) as opened:
        about = Parser().parsestr(
            opened.read(next(name for name in opened.namelist() if name.endswith("/METADATA"))).decode()
        )
        modules = [opened.read(name).decode() for name in opened.namelist() if name.endswith(".py")]
    needed = {Requirement(one).name.lower() for one in about.get_all("Requires-Dist")}
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert needed == {Requirement(one).name.lower() for one in declared}
    imported = {name for text in modules for name in re.findall(r"^\s*(?:from|import) (\w+)", text, re.MULTILINE)}
    assert {DISTRIBUTIONS.get(name, name) for name in imported - OF_PYTHON_AND_THIS} - needed == set()


def test_it_holds_the_package_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
    assert {name.split("/")[0] for name in names} == {"emr_pipelines", "emr_pipelines-0.1.0.dist-info"}
    assert {"emr_pipelines/py.typed", "emr_pipelines/quality/dqdl.lark"} <= set(names)
