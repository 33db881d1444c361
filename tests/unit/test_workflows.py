"""The workflows fit GitHub's own schemas, this checkout and its Makefile, and hold no more rights than they need."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
import yaml

from emr_pipelines.environments import environment_files, include_folder
from tests.support.repository import Repository

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".github"
PIPELINES, DEPLOY = (
    yaml.safe_load((FOLDER / f"workflows/{name}.yaml").read_text()) for name in ("pipelines", "deploy")
)
SET_UP = yaml.safe_load((FOLDER / "actions/set-up/action.yaml").read_text())
JOBS = {**PIPELINES["jobs"], **DEPLOY["jobs"]}
STEPS = [step for job in JOBS.values() for step in job.get("steps", [])] + SET_UP["runs"]["steps"]
COMMANDS = sorted({step["run"] for step in STEPS if "run" in step})
MAKES = [command for command in COMMANDS if command.startswith("make ")]
ENVIRONMENTS = sorted(set(environment_files(include_folder() / "compute")) - {"local"})


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("workflows/pipelines.yaml", "github-workflows"),
        ("workflows/deploy.yaml", "github-workflows"),
        ("actions/set-up/action.yaml", "github-actions"),
    ],
)
def test_it_fits_the_schema_of_github(path, schema):
    text = resources.files("check_jsonschema").joinpath(f"builtin_schemas/vendor/{schema}.json").read_text()
    document = yaml.safe_load((FOLDER / path).read_text())
    # YAML 1.1, which PyYAML reads, takes `on` for true.
    jsonschema.validate({("on" if key is True else key): value for key, value in document.items()}, json.loads(text))


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.yaml")), ids=lambda path: path.name)
def test_actions_of_others_are_pinned_by_a_commit_and_say_its_version(path):
    used = re.findall(r"uses: (.+)", path.read_text())
    others = [use for use in used if not use.startswith("./")]
    assert [use for use in others if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use)] == []
    assert [use for use in used if use.startswith("./") and not (ROOT / use).exists()] == []


def test_an_action_is_pinned_at_the_same_commit_everywhere():
    pins = {use for path in FOLDER.rglob("*.yaml") for use in re.findall(r"uses: ([^.].+)", path.read_text())}
    assert len(pins) == len({pin.split("@")[0] for pin in pins})


def test_only_what_needs_a_right_has_it():
    assert PIPELINES["permissions"] == DEPLOY["permissions"] == {"contents": "read"}
    rights = {name: job["permissions"] for name, job in JOBS.items() if "permissions" in job}
    called = {"contents": "write", "id-token": "write"}
    assert rights == {
        "plan": {"contents": "read", "id-token": "write"},
        "to-dev": called,
        "to-test": called,
        "to-prod": called,
        "deploy": {"contents": "read", "id-token": "write"},
        "switch": {"contents": "write"},
    }
    kept = [name for name, job in JOBS.items() if "true" in str(checkout_of(job)).lower()]
    assert kept == ["switch"]


def checkout_of(job: dict) -> list[object]:
    """Whether a job's checkout leaves a token behind; GitHub's default is that it does."""
    steps = [step for step in job.get("steps", []) if step.get("uses", "").startswith("actions/checkout@")]
    return [step.get("with", {}).get("persist-credentials", True) for step in steps]


def test_every_job_that_runs_here_has_a_time_limit():
    assert [name for name, job in JOBS.items() if "uses" not in job and "timeout-minutes" not in job] == []


def test_two_deploys_of_an_environment_never_race():
    assert DEPLOY["concurrency"] == {"group": "deploy-${{ inputs.environment }}", "cancel-in-progress": False}


def test_nothing_that_a_person_types_is_put_into_a_script():
    assert [command for command in COMMANDS if "${{" in command] == []


def test_all_environments_are_planned_and_each_is_deployed_to():
    assert sorted(PIPELINES["jobs"]["plan"]["strategy"]["matrix"]["environment"]) == ENVIRONMENTS
    targets = [job["with"]["environment"] for job in PIPELINES["jobs"].values() if "uses" in job]
    assert sorted(targets) == ENVIRONMENTS
    dispatch = DEPLOY[True]["workflow_dispatch"]["inputs"]["environment"]
    assert sorted(dispatch["options"]) == ENVIRONMENTS


def test_prod_comes_after_test_and_all_after_the_tests():
    needs = {name: job["needs"] for name, job in PIPELINES["jobs"].items() if "needs" in job}
    tested = ["check", "test", "package"]
    assert needs == {"to-dev": tested, "to-test": tested, "to-prod": ["to-test"]}


def test_caches_are_keyed_by_the_locks():
    keys = [step["with"]["key"] for step in STEPS if "actions/cache@" in step.get("uses", "")]
    assert keys == [
        "uv-${{ runner.os }}-${{ runner.arch }}-${{ hashFiles('requirements.txt', 'requirements-dev.txt') }}"
    ]


def recipe_of(target: str) -> str:
    found = re.search(rf"^{re.escape(target)}:.*\n((?:\t.*\n)*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert found, f"the Makefile has no target {target}"
    return found[1]


@pytest.mark.parametrize("command", MAKES)
def test_every_make_command_is_one_of_the_makefile_and_takes_what_it_is_given(command):
    _, target, *variables = shlex.split(command)
    recipe = recipe_of(target).replace("(environment)", "(call typed,ENV,)").replace("(call flag,", "(call typed,")
    assert [name for name, _ in (word.split("=") for word in variables) if f"(call typed,{name}," not in recipe] == []
    told = bash(["make", "-n", *shlex.split(command.replace("$ENVIRONMENT", "dev"))[1:]], ROOT)
    assert "dev" in told or "ENVIRONMENT" not in command


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("infra-down ENV=dev DELETE_DATA=no", "write DELETE_DATA=yes, or leave it out"),
        ("infra-down ENV=dev DRY_RUN=", "write DRY_RUN=yes, or leave it out"),
        ("deploy", "say which environment of include/compute: make deploy ENV=dev"),
        ("mwaa", "say which environment of include/compute: make mwaa ENV=dev"),
    ],
)
def test_what_is_half_said_does_nothing(typed, told):
    exported = {"PATH": "/usr/bin:/bin", "ENV": "prod"}
    done = subprocess.run(
        ["make", "-n", *typed.split()], cwd=ROOT, env=exported, check=False, capture_output=True, text=True
    )
    assert (done.returncode, told in done.stderr) == (2, True)


def test_the_other_commands_are_these_two():
    assert sorted(set(COMMANDS) - set(MAKES)) == [
        ".venv/bin/cfn-lint include/infra/*.yaml",
        'git push --force origin "HEAD:refs/heads/deployed/$ENVIRONMENT"',
    ]
    assert list((ROOT / "include/infra").glob("*.yaml"))


def test_the_branch_that_airflow_follows_goes_forth_and_back(tmp_path):
    (switch,) = (step["run"] for step in DEPLOY["jobs"]["switch"]["steps"] if "run" in step)
    bash(["git", "init", "--quiet", "--bare", "origin"], tmp_path)
    repository = Repository(tmp_path / "checkout")
    bash(["git", "remote", "add", "origin", str(tmp_path / "origin")], repository.folder)
    first, second = repository.versions[0], repository.commit(repository.files(2))
    for commit in (first, second, first):
        bash(["git", "checkout", "--quiet", "--detach", commit], repository.folder)
        bash(["bash", "-eo", "pipefail", "-c", switch], repository.folder, ENVIRONMENT="prod")
        assert bash(["git", "rev-parse", "deployed/prod"], tmp_path / "origin").strip() == commit


def bash(command: list[str], folder: Path, **environment: str) -> str:
    made = {"PATH": "/usr/bin:/bin", "GIT_CONFIG_GLOBAL": "/dev/null", "HOME": str(folder), **environment}
    done = subprocess.run(command, cwd=folder, env=made, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
