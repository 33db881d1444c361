"""The command that parses every DAG in each environment: what is wrong is told with file and line."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import pytest

from tests.support.airflow import ROOT

HEAD = "from datetime import UTC, datetime\nfrom airflow.sdk import DAG, Variable\nfrom emr_pipelines import *\n"
AN_EMPTY = "from airflow.providers.standard.operators.empty import EmptyOperator as E\n"
DAGS = {
    "right.py": HEAD + "dag = DAG('right', schedule=None)\n",
    "syntax.py": HEAD + "with DAG('syntax', schedule=None)\n    pass\n",
    "fails.py": HEAD + "dag = DAG('fails', schedule=None)\n\n\ndef bucket():\n    return {}['data']\n\n\nbucket()\n",
    "profile.py": HEAD
    + "with DAG('profile', schedule=None):\n    with EmrPipeline('emr', targets=['eks', 'ec3']):\n        pass\n",
    "cycle.py": HEAD
    + AN_EMPTY
    + "with DAG('cycle', schedule=None):\n    a, b = E(task_id='a'), E(task_id='b')\n    a >> b >> a\n",
    "another.py": HEAD + "dag = DAG('right', schedule=None)\n",
    "asks_aws.py": HEAD + "import boto3\nboto3.client('sts', region_name='us-east-1').get_caller_identity()\n",
    "swallows.py": HEAD
    + "import socket\ntry:\n    socket.create_connection(('example.com', 80))\nexcept OSError:\n    pass\n"
    + "dag = DAG('swallows', schedule=None)\n",
    "asks_database.py": HEAD
    + "from airflow.utils.session import create_session\nwith create_session() as session:\n    session.connection()\n",
    "reads_variable.py": HEAD + "Variable.get('bucket')\ndag = DAG('reads_variable', schedule=None)\n",
    "warns.py": HEAD
    + "import warnings\nwarnings.warn('is old', DeprecationWarning)\ndag = DAG('warns', schedule=None)\n",
    "exits.py": HEAD + "import os\nos._exit(3)\ndag = DAG('exits', schedule=None)\n",
    "no_dag.py": "import os\n",
}


def check_dags(*arguments: str) -> tuple[int, str]:
    """Run the command as `make check-dags` does; AWS's variables are those of somebody who is logged in."""
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT / 'include'}:{ROOT / 'plugins'}",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }
    done = subprocess.run(
        [sys.executable, "-m", "emr_deploy.check_dags", *arguments],
        capture_output=True,
        check=False,
        cwd=ROOT,
        env=environment,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dags")
    for name, text in DAGS.items():
        (folder / name).write_text(text)
    code, output = check_dags("--environment", "dev", "--dags", str(folder), "--seconds", "120")
    assert code == 1
    return output.replace(str(folder), "dags").splitlines()


def faults_of(told: list[str], name: str) -> list[str]:
    """The indented lines below a file's own."""
    below = told[next(number for number, line in enumerate(told) if line.split()[0] == f"dev/{name}") + 1 :]
    return [line.strip() for line in itertools.takewhile(lambda line: line.startswith("  "), below)]


@pytest.mark.parametrize(
    ("name", "faults"),
    [
        ("right.py", []),
        ("syntax.py", ["dags/syntax.py:4: SyntaxError: expected ':'"]),
        ("fails.py", ["dags/fails.py:8: KeyError: 'data'"]),
        ("cycle.py", ["dags/cycle.py: AirflowDagCycleException: Cycle detected in Dag: cycle. Faulty task: b"]),
        ("swallows.py", ["dags/swallows.py:6: reaches out to example.com when it is parsed: do that in a task"]),
        ("warns.py", ["dags/warns.py:5: DeprecationWarning: is old"]),
        ("exits.py", ["dags/exits.py: ended the process that parsed it"]),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_line(told, name, faults):
    assert faults_of(told, name) == faults


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("profile.py", "dags/profile.py:5: emr_pipelines.errors.ConfigurationError: EmrPipeline 'emr': There is no profile 'ec3' in "),
        ("asks_aws.py", "dags/asks_aws.py:5: reaches out to sts.us-east-1.amazonaws.com when it is parsed: do that in a task"),
        ("asks_database.py", "dags/asks_database.py:6: asks Airflow's database when it is parsed: do that in a task"),
        ("reads_variable.py", "dags/reads_variable.py:4: airflow.sdk.exceptions.AirflowRuntimeError: VARIABLE_NOT_FOUND"),
    ],
)  # fmt: skip
def test_the_first_that_is_told_of_a_file_is_the_cause(told, name, start):
    assert faults_of(told, name)[0].startswith(start)


def test_two_files_with_the_same_dag_are_both_named(told):
    lines = [line for line in told if "is in" in line]
    assert lines == ["  dags/right.py: DAG 'right' is in dags/another.py too: name one of them otherwise"]


def test_a_file_without_a_dag_is_none_of_them(told):
    assert [line for line in told if "no_dag" in line] == []


def test_a_file_that_takes_longer_than_it_may_is_ended_and_told(tmp_path):
    from emr_deploy.parse_dags import parse_apart

    file = tmp_path / "sleeps.py"
    file.write_text("import time  # no DAG of airflow\ntime.sleep(600)\n")
    parsed = parse_apart(file, tmp_path, "dev", 0.5)
    assert parsed.faults == [f"{file}: is not parsed after 0.5 s: move what takes long into a task"]


def test_an_unknown_environment_is_told(capsys):
    from emr_deploy.parse_dags import main

    assert main(ROOT / "dags", "prd", 5.0) == 1
    words = "There is no environment 'prd' (did you mean 'prod'?); there are: all, dev, local, prod, test\n"
    assert capsys.readouterr().out == words


def test_what_ships_is_parsed_in_every_environment_that_ships():
    code, output = check_dags("--seconds", "120")
    assert [line for line in output.splitlines() if " ok " not in line] == []
    dags = {path.name for path in (ROOT / "dags").glob("*.py")}
    environments = {"dev", "local", "prod", "test"}
    assert {line.split()[0] for line in output.splitlines()} == {f"{one}/{dag}" for one in environments for dag in dags}
    assert code == 0
