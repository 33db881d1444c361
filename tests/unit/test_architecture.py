"""The house's arrows point down only, and its modules stay small."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "plugins" / "emr_pipelines"
LOCAL_EMR = ROOT / "include" / "local_emr"

FLOORS = [
    {"errors"},
    {"specification", "cluster_jobs", "jobs", "keys", "failures", "hints", "masking", "job_metrics"},
    {"targets"},
    {"documents", "quality"},
    {"policy", "profiles"},
    {"environments"},
    {"choosing", "check_profiles", "rehearsing", "size_executors", "bundles"},
    {
        "artifacts",
        "job_checks",
        "clients",
        "reach",
        "membership",
        "links",
        "endings",
        "missing",
        "events",
        "history",
        "past_results",
        "schema_registry",
        "lineage",
        "datasets",
        "manifests",
        "catalogue",
        "measuring",
        "row_counts",
    },
    {"watching"},
    {"operators"},
    {"checking"},
    {"approving"},
    {"publishing"},
    {"engines", "acquiring", "run_log", "releasing", "reaping", "completeness"},
    {"pipeline"},
    {"__init__"},
]
FLOOR_OF = {module: floor for floor, modules in enumerate(FLOORS) for module in modules}


def imports_of(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def modules(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(PACKAGE), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_its_own_floor_and_below(path):
    rooms = {name.split(".")[1] for name in imports_of(path) if name.startswith("emr_pipelines.")} & set(FLOOR_OF)
    above = {room for room in rooms if FLOOR_OF[room] > FLOOR_OF[room_of(path)]}
    assert above == set()


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        (PACKAGE / "targets", {"airflow"}),
        (PACKAGE / "quality", {"airflow", "boto3", "botocore", "pyspark"}),
        (LOCAL_EMR, {"emr_pipelines", "airflow"}),
    ],
    ids=["targets know no Airflow", "quality knows neither Airflow, AWS nor Spark", "local_emr knows no emr_pipelines"],
)
def test_a_room_keeps_out_what_it_must_not_know(folder, forbidden):
    known = {name.split(".")[0] for path in modules(folder) for name in imports_of(path)}
    assert known & forbidden == set()


@pytest.mark.parametrize(
    "module", ["specification", "cluster_jobs", "jobs", "keys", "failures", "hints", "masking", "job_metrics"]
)
def test_pure_modules_speak_to_nobody(module):
    known = {name.split(".")[0] for name in imports_of(PACKAGE / f"{module}.py")}
    assert known & {"airflow", "boto3", "botocore", "requests", "socket", "subprocess"} == set()


@pytest.mark.parametrize(
    "path", modules(PACKAGE) + modules(ROOT / "include"), ids=lambda path: str(path.relative_to(ROOT))
)
def test_a_module_can_be_read_in_one_sitting(path):
    assert len(path.read_text().splitlines()) <= 500


def test_the_contract_of_a_target_fits_a_few_screens():
    assert len((PACKAGE / "targets" / "base.py").read_text().splitlines()) <= 150


def test_the_public_names_are_exactly_those_that_are_promised():
    import emr_pipelines

    assert sorted(emr_pipelines.__all__) == emr_pipelines.__all__
    assert {name for name in emr_pipelines.__all__ if not hasattr(emr_pipelines, name)} == set()
