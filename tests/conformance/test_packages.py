"""A job with packages, one of them native, runs on every target of the local endpoint: built, uploaded, pinned, unpacked, imported."""

from __future__ import annotations

import platform
from concurrent.futures import ThreadPoolExecutor

import pytest

from emr_deploy.dependencies import steps
from emr_deploy.steps import carry_out
from emr_pipelines import SparkJob, artifacts
from emr_pipelines.artifacts import lock_beside, pin, read_artifact
from emr_pipelines.errors import ConfigurationError
from emr_pipelines.keys import Lease
from emr_pipelines.targets import target_for
from emr_pipelines.targets.states import RunState
from tests.conformance.cases import ENGINES, key, settled, until
from tests.conformance.endpoints import ENVIRONMENT, LocalService, make_buckets
from tests.support.endpoint import running_endpoint
from tests.support.wheels import wheel_of

JOB = SparkJob(script="jobs/escape.py")
SCRIPT = """
import os

import lark
from markupsafe import _speedups, escape
from pyspark.sql import SparkSession

here = os.path.realpath("packages")


def where(text):
    import lark
    from markupsafe import _speedups, escape

    return [str(escape(text)), lark.__file__, _speedups.__file__]


spark = SparkSession.builder.getOrCreate()
escaped, *of_executor = spark.sparkContext.parallelize(["<"], 1).map(where).collect()[0]
for file in (lark.__file__, _speedups.__file__, *of_executor):
    assert os.path.realpath(file).startswith(here + "/"), (file, here)
assert escaped == str(escape("<")) == "&lt;"
"""


@pytest.fixture
def include(tmp_path, monkeypatch):
    """An include/ with one script and its lock file; the packages come from here, and from no network."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs/escape.py").write_text(SCRIPT)
    wheels = tmp_path / "wheels"
    (tmp_path / "jobs/escape.requirements.txt").write_text(
        f"{wheel_of('lark', wheels)}\n{wheel_of('markupsafe', wheels)}\n"
    )
    own = {"UV_NO_INDEX": "1", "UV_FIND_LINKS": str(wheels), "UV_CACHE_DIR": str(tmp_path / "cache")}
    for name, value in {**own, "EMR_PIPELINES_INCLUDE": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def ended(service, name, code):
    """The state of the job's run on compute of a profile, and what its logs say."""
    target = target_for(ENVIRONMENT.profile(name), service.clients)
    lease = Lease("conformance", "dag", f"packages on {name}", "emr")
    compute = target.acquire(lease, ENGINES)
    settled(target, compute)
    try:
        run = target.submit(compute, JOB, code, key(lease)).id
        state = until(lambda: target.poll(compute, [run])[run].state, lambda state: state.ended, 240)
        return state, target.logs(compute, run).streams
    finally:
        target.release(compute)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the local profiles name instances of Intel")
def test_a_job_imports_its_packages_in_driver_and_executors_of_every_target(
    include, tmp_path_factory, monkeypatch, allowed_calls
):
    with running_endpoint(tmp_path_factory.mktemp("endpoint"), boot_seconds=0.0) as url:
        make_buckets(url)
        service = LocalService(url, "s3", {})
        s3 = service.clients.repeating("s3")
        monkeypatch.setattr(artifacts, "s3_of_profile", lambda _: s3)
        code = [read_artifact(path) for path in (*JOB.code(), *lock_beside(JOB))]
        with pytest.raises(ConfigurationError, match="make deploy ENV=local"):
            pin(ENVIRONMENT, ENVIRONMENT.profile("ec2"), code)
        allowed_calls.pause()  # a build server has a role of its own
        carry_out(steps(ENVIRONMENT, include, lambda _: s3), lambda _: None, dry_run=False)
        allowed_calls.begin()
        pinned = {name: pin(ENVIRONMENT, ENVIRONMENT.profile(name), code) for name in ENVIRONMENT.profiles}
        with ThreadPoolExecutor(3) as pool:
            found = dict(zip(pinned, pool.map(lambda name: ended(service, name, pinned[name]), pinned), strict=True))
    assert {name: state for name, (state, _) in found.items()} == dict.fromkeys(pinned, RunState.SUCCEEDED), found
