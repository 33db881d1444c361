"""A pipeline's own operators, executed as Airflow does, on a real endpoint whose jobs are scripted: what they write is what a test says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from types import SimpleNamespace

import boto3
import pendulum
import pytest
from airflow.sdk.execution_time.context import OutletEventAccessors
from emr_plugin import EmrPipelinesPlugin

from emr_pipelines import STAGED, EmrJobOperator, SparkJob, clients, endings
from emr_pipelines.targets.base import Clients
from emr_pipelines.watching import looking
from local_emr.endpoint import running
from tests.local_emr.scripted import ScriptedEngine

DAY = "2013-01-15"
ENVIRONMENT = """\
deployment: test
buckets: {{data: t-data, logs: t-logs, artifacts: t-artifacts}}
{catalogue}
profiles:
  ec2: {{target: ec2, region: us-east-1, subnet: subnet-1, primary: {{type: m5.xlarge}}}}
"""


SCHEMA = ({"name": "carrier", "type": "string", "nullable": True},)


def key_of(address):
    return address.removeprefix("s3://t-data/")


class WritingEngine(ScriptedEngine):
    """Runs a step by writing what its arguments name: a job's rows, or a check's result, with what the test told last."""

    def start(self, step, **more):
        s3, words = client_of(self.endpoint_url, "s3"), list(step.args)
        if "--destination" in words:
            folder = words[words.index("--destination") + 1]
            s3.put_object(Bucket="t-data", Key=f"{key_of(folder)}part-0.parquet", Body=self.rows.encode())
        elif "--rows" in words:
            for name, body in self.counts.items():
                s3.put_object(Bucket="t-data", Key=f"{key_of(words[words.index('--rows') + 1])}{name}", Body=body)
        elif "--result" in words:
            address, data = words[words.index("--result") + 1], words[words.index("--data") + 1]
            good = words[words.index("--good") + 1] if "--good" in words else None
            s3.put_object(Bucket="t-data", Key=key_of(address), Body=self.result(data, good).encode())
            if good:
                s3.put_object(Bucket="t-data", Key=f"{key_of(good)}part-0.parquet", Body=b"good rows")
        return super().start(step, **more)

    def result(self, data, good):
        """What the check says, as the test wants it."""
        return result_text(data, self.outcome, self.severity, rows=self.measured, good=good, schema=self.schema)

    rows = "first"
    counts: Mapping[str, bytes] = {}  # replaced, never changed
    """What a job says of its rows: file -> content."""
    outcome = "Passed"
    severity = "ask"
    measured = 881
    schema = SCHEMA


def result_text(  # noqa: PLR0913  # what a result may say
    data, outcome="Passed", severity="ask", *, rows=881, good=None, schema=SCHEMA
):
    rule = {
        "rule": "RowCount > 900",
        "measure": "RowCount",
        "labels": {"severity": severity},
        "outcome": outcome,
        "measured": rows,
        "bound": "> 900",
        "reason": f"{rows} rows",
    }
    result = {"version": 2, "source": "a.dqdl", "data": data, "rows": rows, "seconds": 1.0, "schema": list(schema)}
    quarantine = {"address": "s3://t-data/bad/", "rows": 7, "good": good, "good_rows": rows - 7} if good else None
    return json.dumps({**result, "rules": [rule], "analyzers": [], "quarantine": quarantine})


@cache
def client_of(url, service):
    return boto3.client(
        service, endpoint_url=url, region_name="us-east-1", aws_access_key_id="local", aws_secret_access_key="local"
    )


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    engines = []

    def engine(data, url):
        engines.append(WritingEngine(data, url))
        return engines[-1]

    with running(tmp_path_factory.mktemp("endpoint"), engine, boot_seconds=0.0) as url:
        for bucket in ("t-data", "t-logs", "t-artifacts"):
            client_of(url, "s3").create_bucket(Bucket=bucket)
        yield SimpleNamespace(url=url, engine=engines[0])


@pytest.fixture
def s3(endpoint):
    client = client_of(endpoint.url, "s3")
    yield client
    for page in client.get_paginator("list_objects_v2").paginate(Bucket="t-data"):
        for entry in page.get("Contents", []):
            client.delete_object(Bucket="t-data", Key=entry["Key"])


@pytest.fixture(autouse=True)
def environment(tmp_path, monkeypatch, endpoint):
    for folder in ("compute", "jobs", "quality"):
        (tmp_path / folder).mkdir()
    (tmp_path / "jobs/a.py").write_text("print('a')")
    (tmp_path / "jobs/quality_check.py").write_text("print('check')")
    (tmp_path / "quality/a.dqdl").write_text('Rules = [ RowCount > 900 labels=["severity"="ask"] ]')

    def write(catalogue=""):
        (tmp_path / "compute/test.yaml").write_text(ENVIRONMENT.format(catalogue=catalogue))

    write()
    monkeypatch.setenv("EMR_PIPELINES_INCLUDE", str(tmp_path))
    monkeypatch.setenv("EMR_PIPELINES_ENVIRONMENT", "test")

    def client(service):
        return client_of(endpoint.url, service)

    monkeypatch.setattr(clients, "clients_for", lambda connection, region: Clients(repeating=client, once=client))
    monkeypatch.setattr(endings, "states_of", lambda task: [])
    monkeypatch.setattr(looking, "look_again_in", lambda *_: 0.02)
    for name in ("rows", "outcome", "severity", "measured", "schema", "counts"):
        vars(endpoint.engine).pop(name, None)
    return write


class Run:
    """A run of the pipeline: Airflow's part in it, its XComs and its task state store."""

    def __init__(self, dag, run_id="a", day=DAY):
        self.dag, self.run_id, self.day = dag, run_id, day
        self.told, self.kept, self.max_tries, self.events = {}, {}, {}, OutletEventAccessors()
        self.states = {}

    def execute(self, *task_ids):
        """Execute tasks as Airflow does: XComs forgotten, templates rendered, result kept."""
        for task_id in task_ids:
            self.told = {key: value for key, value in self.told.items() if key[0] != task_id}
            task = self.dag.get_task(task_id).prepare_for_execution()
            context = self._context(task_id)
            task.render_template_fields(context)
            self.states[task_id] = "running"
            try:
                self.told[task_id, "return_value"] = task.execute(context)
            except Exception:
                self.states[task_id] = "failed"
                raise
            self.states[task_id] = "success"

    def clear(self, task_id):
        self.max_tries[task_id] = self.max_tries.get(task_id, 0) + 1
        self.execute("emr.acquire")

    def location(self, task_id):
        return self.told[task_id, "staged"]["location"]

    def answer(self, option, user="Ada", asked=None):
        told = self.told.get(("emr.check", "quality"))
        self.told["approve", "asked"] = asked or ([told["result"]] if told else [])
        self.told["approve", "return_value"] = {
            "chosen_options": [option],
            "params_input": {"reason": "a blizzard"},
            "responded_at": datetime.now(UTC),
            "responded_by_user": {"id": "1", "name": user} if user else None,
        }

    def _pulled(self, task_ids, key="return_value", **_):
        if isinstance(task_ids, str):
            return self.told.get((task_ids, key))
        return [self.told[task, key] for task in task_ids if (task, key) in self.told]

    def _context(self, task_id):
        store = self.kept.setdefault(task_id, {})
        ti = SimpleNamespace(
            task_id=task_id,
            dag_id=self.dag.dag_id,
            run_id=self.run_id,
            map_index=-1,
            try_number=1,
            max_tries=self.max_tries.get(task_id, 0),
            log_url="",
            xcom_pull=self._pulled,
            get_task_states=lambda **_: {self.run_id: dict(self.states)},
            xcom_push=lambda key, value: self.told.update({(task_id, key): value}),
        )
        macros = SimpleNamespace(**{one.__name__: one for one in EmrPipelinesPlugin.macros})
        return {
            "ti": ti,
            "dag": self.dag,
            "run_id": self.run_id,
            "ds": self.day,
            "logical_date": pendulum.parse(self.day),
            "params": {"target": "ec2", "nothing": None},
            "dag_run": SimpleNamespace(
                clear_number=sum(self.max_tries.values()),
                conf={},
                run_type="manual",
                logical_date=pendulum.parse(self.day),
            ),
            "task_state_store": SimpleNamespace(get=store.get, set=store.__setitem__),
            "outlet_events": self.events,
            "macros": SimpleNamespace(emr_pipelines=macros),
        }


def writing(task_id, dataset, **more):
    job = SparkJob(script="jobs/a.py", args=("succeed", "--destination", STAGED))
    return EmrJobOperator(task_id=task_id, job=job, stages=dataset.partition("{{ ds }}"), **more)
