"""A DAG of a Git bundle in a real Airflow: a run keeps the tasks and the job code of the commit that it began with."""

from __future__ import annotations

import hashlib

import pytest

from local_airflow.demo import await_dag
from tests.pipelines.test_choices import trigger
from tests.pipelines.test_faults import until
from tests.pipelines.test_flights import states
from tests.support.airflow import ended_run
from tests.support.repository import SCRIPT, VERSIONED

OLD = ("keeps", "renews")
"""Runs that begin with version 1: one keeps it when it is cleared, the other takes the newest then."""


def newest(rest) -> str:
    versions = rest.get(f"dags/{VERSIONED}/dagVersions", order_by="-version_number")["dag_versions"]
    return versions[0]["bundle_version"]


@pytest.fixture(scope="module", autouse=True)
def changed(rest, repository):
    """Version 2 is committed and parsed while two runs of version 1 wait, before their compute is acquired."""
    await_dag(rest, VERSIONED)
    assert newest(rest) == repository.versions[0]
    for run_id in OLD:
        trigger(rest, VERSIONED, run_id)
    for run_id in OLD:
        until(lambda run_id=run_id: states(rest, VERSIONED, run_id).get("waits") == "running")
    repository.versions.append(repository.commit(repository.files(2)))
    until(lambda: newest(rest) == repository.versions[1])
    trigger(rest, VERSIONED, "new")
    repository.gate.touch()


def ran(rest, repository, run_id: str, attempt: int = 1) -> dict[str, object]:
    """What a run was once it has ended: of which commit, which job tasks, which bytes were pinned, what the job said."""
    run = ended_run(rest, VERSIONED, run_id)
    assert run["state"] == "success"
    return {
        "commit": run["bundle_version"],
        "jobs": [
            task for task, state in states(rest, VERSIONED, run_id).items() if "job" in task and state != "removed"
        ],
        "code": list(rest.xcom(VERSIONED, run_id, "emr.acquire")["code"].values()),
        "said": repository.said(run_id, attempt),
    }


def of_version(repository, version: int) -> dict[str, object]:
    content = repository.files(version)[f"include/{SCRIPT}"].encode()
    return {
        "commit": repository.versions[version - 1],
        "jobs": [f"emr.job_of_version_{version}"],
        "code": [f"s3://local-artifacts/code/{hashlib.sha256(content).hexdigest()[:32]}/says_version.py"],
        "said": f"version {version}",
    }


def test_a_run_ends_with_the_tasks_and_the_job_code_that_it_began_with(rest, repository):
    assert [ran(rest, repository, run_id) for run_id in OLD] == [of_version(repository, 1)] * 2


def test_a_new_run_has_the_newest(rest, repository):
    assert ran(rest, repository, "new") == of_version(repository, 2)


def test_a_cleared_run_keeps_its_version_unless_the_newest_is_asked_for(rest, repository):
    for run_id, latest in zip(OLD, (False, True), strict=True):
        ended_run(rest, VERSIONED, run_id)
        request = {"dry_run": False, "only_failed": False, "run_on_latest_version": latest}
        rest.post(f"dags/{VERSIONED}/dagRuns/{run_id}/clear", request)
    assert ran(rest, repository, "keeps", attempt=2) == of_version(repository, 1)
    assert ran(rest, repository, "renews") == of_version(repository, 2)
