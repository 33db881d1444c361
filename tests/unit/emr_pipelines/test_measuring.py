"""What a run leaves behind in CloudWatch and in S3: its real tasks run on a scripted endpoint, with moto beside it."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import TaskDeferred
from airflow.sdk.log import mask_secret
from moto.cloudwatch.models import cloudwatch_backends

from emr_pipelines import (
    ROWS,
    EmrJobOperator,
    EmrPipeline,
    QualityCheckOperator,
    SparkJob,
    clients,
    measuring,
    operators,
)
from emr_pipelines.environments import current_environment
from emr_pipelines.errors import JobDeadlineError, JobError
from emr_pipelines.job_metrics import METRICS, Datum
from emr_pipelines.keys import Lease
from emr_pipelines.run_log import key_of
from emr_pipelines.targets.base import Compute
from emr_pipelines.targets.states import Fault, JobState, RunState
from emr_pipelines.watching import wait_briefly
from tests.support.endpoint import CLIENT_ENVIRONMENT, ROOT
from tests.support.scripted_runs import Run, client_of, endpoint, environment, s3

__all__ = ["endpoint", "environment", "s3"]

DOCUMENT = "runs/deployment=test/dag=measured/date=2013-01-15/a%2Fb.emr.json"
BY_DEPLOYMENT = ("Deployment=test",)
BY_TYPE = ("Deployment=test", "JobType=SparkJob", "Target=ec2")
REFUSING = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def reached(environment, endpoint, monkeypatch):  # the fixtures
    """The endpoint, as Airflow's connections lead to it; CloudWatch begins empty."""
    environment("metrics: {cloudwatch: true}")
    for name, value in CLIENT_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint.url)
    clients.maker_of.cache_clear()
    yield
    clients.maker_of.cache_clear()
    client_of(endpoint.url, "s3").delete_object(Bucket="t-logs", Key=DOCUMENT)


@pytest.fixture
def told():
    """What CloudWatch was told since the test began: by metric and dimensions, how many values and their sum."""
    held = cloudwatch_backends["123456789012"]["us-east-1"].metric_data
    before = len(held)

    def since():
        found = {}
        for one in held[before:]:
            key = one.name, tuple(f"{dimension.name}={dimension.value}" for dimension in one.dimensions)
            count, total = found.get(key, (0, 0))
            found[key] = (count + 1, total + one.value)
        return found

    return since


def pipeline(**jobs):
    """A pipeline of jobs, by task: the words of each."""
    with (
        DAG("measured", schedule=None, start_date=datetime(2013, 1, 1, tzinfo=UTC)) as dag,
        EmrPipeline("emr", targets=["ec2"]),
    ):
        for task_id, words in jobs.items():
            EmrJobOperator(task_id=task_id, job=SparkJob(script="jobs/a.py", args=words))
    return dag


def document(s3):  # the fixture
    text = s3.get_object(Bucket="t-logs", Key=DOCUMENT)["Body"].read().decode()
    assert text.count("\n") == 1
    assert text.endswith("\n")
    return json.loads(text)


def test_cloudwatch_holds_what_a_job_did_and_nothing_else(endpoint, s3, told):
    endpoint.engine.counts = {"part-0": b"1200\n", "part-1": b"34\n", "_SUCCESS": b"", ".part-0.crc": b"crc"}
    run = Run(pipeline(count=("succeed", "--rows", ROWS)), "a/b")
    run.execute("emr.acquire", "emr.count")
    result = run.told["emr.count", "return_value"]
    seconds = result["ended"] - result["began"]
    by_task = ("Deployment=test", "Dag=measured", "Task=emr.count")
    expected = {
        ("JobRuns", BY_DEPLOYMENT): (1, 1),
        ("JobRuns", BY_TYPE): (1, 1),
        ("JobFailures", BY_DEPLOYMENT): (1, 0),
        ("JobFailures", BY_TYPE): (1, 0),
        ("JobDuration", BY_TYPE): (1, pytest.approx(seconds)),
        ("JobDuration", by_task): (1, pytest.approx(seconds)),
        ("Rows", by_task): (1, 1234),
        ("RowsPerSecond", by_task): (1, pytest.approx(1234 / seconds)),
    }
    assert expected == told()


def test_a_job_run_that_two_executions_report_counts_once(told):
    run = Run(pipeline(one=("succeed",)), "a/b")
    run.execute("emr.acquire", "emr.one")
    first = run.told["emr.one", "return_value"]["job_run"]
    run.execute("emr.one")
    assert run.told["emr.one", "return_value"]["job_run"] == first
    assert (told()["JobRuns", BY_DEPLOYMENT], told()["JobFailures", BY_DEPLOYMENT]) == ((1, 1), (1, 0))
    assert [end["job_run"] for end in run.told["emr.one", "job_ends"]] == [first]


def test_each_try_of_a_failing_job_counts_and_says_why(told):
    run = Run(pipeline(one=("fail",)), "a/b")
    run.execute("emr.acquire")
    for _ in range(2):
        with pytest.raises(JobError):
            run.execute("emr.one")
    assert (told()["JobRuns", BY_DEPLOYMENT], told()["JobFailures", BY_DEPLOYMENT]) == ((2, 2), (2, 2))
    ends = run.told["emr.one", "job_ends"]
    assert [(end["state"], end["fault"], end["type"]) for end in ends] == [("failed", "job", "SparkJob")] * 2
    assert len({end["job_run"] for end in ends}) == 2


def test_an_end_that_nobody_was_there_to_see_is_told_by_the_next_execution(told):
    run = Run(pipeline(one=("fail",)), "a/b")
    run.execute("emr.acquire")
    with pytest.raises(JobError):
        run.execute("emr.one")
    before = told()["JobRuns", BY_DEPLOYMENT]
    # A process that died while its job run worked has told nothing of its end.
    del run.kept["emr.one"]["job_ends"]
    with pytest.raises(JobError):
        run.execute("emr.one")
    assert (before, told()["JobRuns", BY_DEPLOYMENT]) == ((1, 1), (3, 3))
    assert len(run.told["emr.one", "job_ends"]) == 2


def test_a_job_run_that_its_deadline_ended_counts_once(told, monkeypatch):
    monkeypatch.setattr(operators, "wait_briefly", lambda look, done, _=0: wait_briefly(look, done, patience=0.3))
    run = Run(pipeline(one=("hold", "one")), "a/b")
    run.execute("emr.acquire")
    with pytest.raises(TaskDeferred) as deferred:
        run.execute("emr.one")
    assert told() == {}
    task = run.dag.get_task("emr.one").prepare_for_execution()
    for _ in range(2):
        with pytest.raises(JobDeadlineError):
            task.resume(run._context("emr.one"), {"deadline": True}, **deferred.value.kwargs)
    assert (told()["JobRuns", BY_DEPLOYMENT], told()["JobFailures", BY_DEPLOYMENT]) == ((1, 1), (1, 1))
    assert [end["state"] for end in run.told["emr.one", "job_ends"]] == ["cancelled"]


def test_a_check_says_how_many_rows_it_has_read_though_its_gate_lets_nothing_pass(endpoint, s3, told):
    endpoint.engine.outcome, endpoint.engine.severity, endpoint.engine.measured = "Failed", "fail", 77
    with (
        DAG("measured", schedule=None, start_date=datetime(2013, 1, 1, tzinfo=UTC)) as dag,
        EmrPipeline("emr", targets=["ec2"]),
    ):
        check = QualityCheckOperator(task_id="check", ruleset="quality/a.dqdl", data="s3://t-data/any/")
        check.job["args"].append("succeed")
    run = Run(dag, "a/b")
    run.execute("emr.acquire")
    with pytest.raises(Exception, match="RowCount"):
        run.execute("emr.check")
    assert told()["Rows", ("Deployment=test", "Dag=measured", "Task=emr.check")] == (1, 77)
    assert told()["JobFailures", BY_DEPLOYMENT] == (1, 0)


@pytest.mark.parametrize(
    "counts",
    [{}, {"part-0": b"twelve"}, {"part-0": b"-1"}, {"part-0": b"\xff"}, {"part-0": b"9" * 400}],
    ids=["nothing", "a word", "less than none", "no text", "more than there can be"],
)
def test_rows_that_are_said_otherwise_than_as_numbers_are_told_in_the_log_alone(counts, endpoint, s3, told, caplog):
    endpoint.engine.counts = counts
    run = Run(pipeline(one=("succeed", "--rows", ROWS)), "a/b")
    run.execute("emr.acquire", "emr.one")
    assert {"JobRuns", "JobFailures", "JobDuration"} == {metric for metric, _ in told()}
    assert len([one for one in caplog.messages if one.startswith("How many rows the job has handled")]) == 1


def test_cloudwatch_out_of_reach_is_one_warning_and_changes_nothing_else(monkeypatch, told, caplog):
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", REFUSING)
    run = Run(pipeline(one=("succeed",)), "a/b")
    run.execute("emr.acquire", "emr.one")
    assert sorted(run.told["emr.one", "return_value"]) == ["began", "compute", "ended", "job_run"]
    assert told() == {}
    (warning,) = [one for one in caplog.records if one.levelname == "WARNING"]
    assert warning.getMessage().startswith(
        "What was measured could not be published, and is not tried again: Could not connect"
    )


def test_cloudwatch_is_told_only_where_the_environment_says_so(environment, monkeypatch, caplog):
    environment()
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", REFUSING)
    run = Run(pipeline(one=("succeed",)), "a/b")
    run.execute("emr.acquire", "emr.one")
    assert [one for one in caplog.records if one.levelname == "WARNING"] == []


def test_airflow_hears_each_metric_in_its_own_way(monkeypatch):
    told = []
    for kind in ("incr", "gauge", "timing"):
        monkeypatch.setattr(measuring.stats, kind, lambda *of, tags, kind=kind: told.append((kind, *of, tuple(tags))))
    of = dict.fromkeys(("Deployment", "JobType", "Target", "Dag", "Task"), "any")
    measuring.publish(current_environment(), [Datum(metric, 2.0, time.time(), of) for metric in METRICS])
    assert told == [
        ("incr", "emr_pipelines.job.runs", 2, ("job_type", "target")),
        ("incr", "emr_pipelines.job.failures", 2, ("job_type", "target")),
        ("timing", "emr_pipelines.job.duration", 2000.0, ("job_type", "target", "dag", "task")),
        ("gauge", "emr_pipelines.job.rows", 2.0, ("dag", "task")),
        ("gauge", "emr_pipelines.job.rows_per_second", 2.0, ("dag", "task")),
        ("gauge", "emr_pipelines.compute.use", 2.0, ("target",)),
        ("gauge", "emr_pipelines.orphans", 2.0, ()),
    ]


def ran(*tasks, dag):
    """A run of a pipeline to its end; the tasks named fail."""
    run = Run(dag, "a/b")
    run.execute("emr.acquire")
    for task in [task for task in ("emr.one", "emr.two") if dag.has_task(task)]:
        if task in tasks:
            with pytest.raises(JobError):
                run.execute(task)
        else:
            run.execute(task)
    run.execute("emr.release")
    return run


def test_the_document_of_a_run_says_what_its_tasks_saw(s3, told):
    run = ran(dag=pipeline(one=("succeed",), two=("succeed",)))
    run.execute("emr.verdict")
    acquired = run.told["emr.acquire", "return_value"]
    results = [run.told[task, "return_value"] for task in ("emr.one", "emr.two")]

    def iso(seconds):
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")

    found = document(s3)
    versions = {found.pop("airflow").split(".")[0], found.pop("emr_pipelines")}
    assert versions <= {"3", "0.1.0", None}
    assert found.pop("written") >= iso(run.told["emr.release", "released"])
    worked = sum(one["ended"] - one["began"] for one in results)
    lived = run.told["emr.release", "released"] - acquired["began"]
    assert found.pop("compute_use") == pytest.approx(100 * worked / lived, abs=0.01)
    usage = found.pop("usage")
    assert (list(usage["instance_hours"]), usage["billed"]) == (["m5.xlarge"], False)
    assert found == {
        "deployment": "test",
        "dag": "measured",
        "run": "a/b",
        "group": "emr",
        "profile": "ec2",
        "target": "ec2",
        "region": "us-east-1",
        "compute": acquired["compute"]["id"],
        "owner": "run",
        "acquired": iso(acquired["began"]),
        "ready": iso(acquired["ended"]),
        "released": iso(run.told["emr.release", "released"]),
        "jobs": [
            {
                "task": task,
                "map_index": -1,
                "type": "SparkJob",
                "target": "ec2",
                "compute": acquired["compute"]["id"],
                "job_run": one["job_run"],
                "state": "succeeded",
                "began": iso(one["began"]),
                "ended": iso(one["ended"]),
                "rows": None,
                "fault": None,
                "reason": None,
            }
            for task, one in zip(("emr.one", "emr.two"), results, strict=True)
        ],
        "verdict": "success",
        "failed": [],
        "logical_date": "2013-01-15T00:00:00.000+00:00",
    }
    assert told()["ComputeUse", ("Deployment=test", "Target=ec2")][0] == 1


def test_a_run_that_failed_says_which_task_and_why_without_its_secrets(s3):
    run = ran("emr.two", dag=pipeline(one=("succeed",), two=("fail", "password=hunter2")))
    with pytest.raises(JobError):
        run.execute("emr.verdict")
    found = document(s3)
    assert (found["verdict"], found["failed"]) == ("failed", ["emr.two"])
    (failed,) = [job for job in found["jobs"] if job["state"] == "failed"]
    assert (failed["task"], failed["fault"]) == ("emr.two", "job")
    assert failed["reason"]
    assert "hunter2" not in json.dumps(found)


def test_a_reason_does_not_hold_what_airflow_masks():
    mask_secret("Tr0ub4dor&3")
    state = JobState(RunState.FAILED, "Login with Tr0ub4dor&3 failed\nat line 1", Fault.JOB)
    compute = Compute("ec2", "ec2", "j-1", "lease")
    ti = SimpleNamespace(task_id="emr.one", map_index=-1)
    end = measuring.end_of(ti, compute, "s-1", state, kind="SparkJob", reason="", rows=None)
    assert end.reason == "Login with *** failed"


@pytest.mark.parametrize("run", ["a/b c", "../../../x", "\N{SNOWMAN}" * 250, "\n", "x" * 250])
def test_a_run_of_any_id_has_a_document_of_its_own_that_s3_takes(run):
    key = key_of(Lease("d" * 31, "g" * 250, run, "emr" * 80), "2013-01-15")
    assert len(key) <= 1024
    assert re.fullmatch(r"runs/deployment=[^/]+/dag=[^/]+/date=2013-01-15/[^/\s]+\.json", key)
    assert key != key_of(Lease("d" * 31, "g" * 250, f"{run}2", "emr" * 80), "2013-01-15")


def test_a_run_that_was_cleared_writes_its_document_again_with_all_that_happened(s3, told):
    run = ran(dag=pipeline(one=("succeed",)))
    run.execute("emr.verdict")
    run.execute("emr.verdict")
    assert told()["ComputeUse", ("Deployment=test", "Target=ec2")][0] == 1
    first = document(s3)
    run.clear("emr.one")
    run.execute("emr.one", "emr.release", "emr.verdict")
    again = document(s3)
    assert again["compute"] != first["compute"]
    assert again["jobs"][0] == first["jobs"][0]
    assert [job["compute"] for job in again["jobs"]] == [first["compute"], again["compute"]]
    assert told()["ComputeUse", ("Deployment=test", "Target=ec2")][0] == 2


def test_a_run_that_acquired_nothing_leaves_a_document_that_says_so(s3):
    run = Run(pipeline(one=("succeed",)), "a/b")
    run.states["emr.acquire"] = "failed"
    with pytest.raises(JobError, match=r"emr\.acquire failed"):
        run.execute("emr.verdict")
    found = document(s3)
    assert (found["compute"], found["released"], found["usage"], found["jobs"]) == (None, None, None, [])


def test_a_verdict_is_the_same_when_its_document_cannot_be_written(monkeypatch, caplog):
    run = ran(dag=pipeline(one=("succeed",)))
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", REFUSING)
    run.execute("emr.verdict")
    (warning,) = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert warning.startswith("The run's document could not be written: ")


DDL = next(
    block
    for block in re.findall(r"```sql\n(.*?)```", (ROOT / "docs/how-to/measure-runs.md").read_text(), re.DOTALL)
    if block.startswith("CREATE EXTERNAL TABLE")
)
SCALARS = {"string": str, "bigint": int, "int": int, "double": (int, float), "boolean": bool}


def split(text):
    """Split at the commas that stand in no angle brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += {"<": 1, ">": -1}.get(letter, 0)
        parts = [*parts, ""] if letter == "," and not depth else [*parts[:-1], parts[-1] + letter]
    return [part.strip() for part in parts]


def fits(value, hive):
    """Whether a value of JSON is of a type of Hive, with all members of a struct and no others."""
    kind, _, inner = hive.partition("<")
    inner = inner.removesuffix(">").strip()
    if value is None:
        return True
    if kind == "array":
        return isinstance(value, list) and all(fits(one, inner) for one in value)
    if kind == "map":
        return all(fits(one, split(inner)[1]) for one in value.values())
    if kind == "struct":
        members = dict(re.split(r"\s*:\s*", member, maxsplit=1) for member in split(inner))
        members = {name.strip("`"): one for name, one in members.items()}
        return list(members) == list(value) and all(fits(value[name], one) for name, one in members.items())
    return isinstance(value, SCALARS[kind])


def test_the_table_of_the_page_has_the_columns_of_the_document_with_their_types(s3):
    """Athena takes a partition's columns from its address, so that they are none of the table's own."""
    run = ran("emr.two", dag=pipeline(one=("succeed",), two=("fail",)))
    with pytest.raises(JobError):
        run.execute("emr.verdict")
    found = document(s3)
    columns, partitions = re.search(r"runs \((.*?)\)\nPARTITIONED BY \((.*?)\)", DDL, re.DOTALL).groups()
    types = dict(column.replace("`", "", 2).split(maxsplit=1) for column in split(columns))
    keys = [column.strip("`").partition("` ")[0].split()[0] for column in split(partitions)]
    assert {name: one for name, one in types.items() if name in found and not fits(found[name], one)} == {}
    assert set(types) == set(found) - set(keys)
    assert keys == re.findall(r"(\w+)=", DOCUMENT)
    assert {"string": fits("s", "bigint"), "struct": fits({"a": 1}, "struct<b: int>")} == {
        "string": False,
        "struct": False,
    }


def test_no_document_is_written_where_the_environment_wants_none(environment, s3):
    environment("metrics: {run_log: false}")
    run = ran(dag=pipeline(one=("succeed",)))
    run.execute("emr.verdict")
    assert "Contents" not in s3.list_objects_v2(Bucket="t-logs", Prefix="runs/")
