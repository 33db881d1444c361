"""What readers see: job runs stage versions, checks audit them, publish switches; on a real endpoint with scripted jobs."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pendulum
import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException
from emr_plugin import EmrPipelinesPlugin
from hypothesis import given
from hypothesis import strategies as st

from emr_pipelines import (
    Dataset,
    EmrJobOperator,
    EmrPipeline,
    PublishOperator,
    QualityCheckOperator,
    SparkJob,
    published,
)
from emr_pipelines.approving import ApproveOperator
from emr_pipelines.errors import ConfigurationError, DataError, NotPublishedError
from emr_pipelines.manifests import Manifest, manifest_address, published_partitions, read_manifest, write_manifest
from emr_pipelines.schema_registry import current, register
from tests.support.scripted_runs import (
    DAY,
    SCHEMA,
    Run,
    client_of,
    endpoint,
    environment,
    key_of,
    result_text,
    s3,
    writing,
)

__all__ = ["endpoint", "environment", "s3"]

FLIGHTS = Dataset("flights", "s3://t-data/flights/")
ROUTES = Dataset("routes", "s3://t-data/routes/", table="routes")


def pipeline():
    """The tasks clean and routes, a check of what clean staged, approve and publish."""
    with DAG("d", schedule=None, start_date=pendulum.datetime(2013, 1, 1)) as dag:
        with EmrPipeline("emr") as emr:
            clean, routes = writing("clean", FLIGHTS), writing("routes", ROUTES)
            check = QualityCheckOperator(
                task_id="check", ruleset="quality/a.dqdl", data=clean.staged, audits=FLIGHTS.partition("{{ ds }}")
            )
            check.job["args"].append("succeed")
            clean >> [routes, check]
        emr.publish(clean, routes)
    return dag


ALL = ("emr.acquire", "emr.clean", "emr.routes", "emr.check")


@pytest.fixture
def audited(s3):
    """A run whose jobs have staged, and whose check let them pass."""
    run = Run(pipeline())
    run.execute(*ALL)
    return run


def refused(run, match):
    with pytest.raises(AirflowFailException, match=match):
        run.execute("publish")


def readable(s3, dataset=FLIGHTS):
    """What a reader gets, who asks for what is published."""
    return (
        s3.get_object(Bucket="t-data", Key=f"{key_of(published(dataset, DAY))}part-0.parquet")["Body"].read().decode()
    )


# From a job run to its readers


def test_readers_see_nothing_until_it_is_published(s3, audited):
    with pytest.raises(
        NotPublishedError, match=r"^Nothing is published of s3://t-data/flights/dt=2013-01-15/: there is no"
    ):
        published(FLIGHTS, DAY)
    audited.execute("publish")
    assert published(FLIGHTS, DAY) == audited.location("emr.clean")
    assert readable(s3) == "first"


def test_a_version_is_named_by_the_key_of_its_job_run(endpoint, audited):
    staged = audited.told["emr.clean", "staged"]
    step = audited.told["emr.clean", "return_value"]
    cluster = audited.told["emr.acquire", "return_value"]["compute"]["id"]
    described = client_of(endpoint.url, "emr").describe_step(ClusterId=cluster, StepId=step["job_run"])["Step"]
    assert staged["version"] in described["Name"]
    assert staged == {
        "dataset": "flights",
        "address": "s3://t-data/flights/",
        "partition": DAY,
        "version": staged["version"],
        "location": f"s3://t-data/flights/dt={DAY}/version={staged['version']}/",
    }


def test_a_clear_writes_beside_what_is_published_until_that_is_published_too(s3, endpoint, audited):
    audited.execute("publish")
    yesterday = audited.location("emr.clean")
    endpoint.engine.rows = "second"
    audited.clear("emr.clean")
    audited.execute("emr.clean", "emr.routes", "emr.check")
    assert audited.location("emr.clean") != yesterday
    assert (published(FLIGHTS, DAY), readable(s3)) == (yesterday, "first")
    audited.execute("publish")
    assert (published(FLIGHTS, DAY), readable(s3)) == (audited.location("emr.clean"), "second")
    assert read_manifest(s3, FLIGHTS.partition(DAY)).previous == yesterday


def test_what_an_older_job_run_still_writes_reaches_no_reader(s3, endpoint, audited):
    older = audited.location("emr.clean")
    endpoint.engine.rows = "second"
    audited.clear("emr.clean")
    audited.execute("emr.clean", "emr.routes", "emr.check", "publish")
    s3.put_object(Bucket="t-data", Key=f"{key_of(older)}part-0.parquet", Body=b"late")
    assert readable(s3) == "second"


def test_a_retry_that_finds_the_finished_job_run_tells_the_same_version(audited):
    before = audited.told["emr.clean", "staged"]
    audited.execute("emr.clean")
    assert audited.told["emr.clean", "staged"] == before


def test_another_partition_is_other_work_and_gets_a_job_run_of_its_own(s3, audited):
    before = audited.told["emr.clean", "staged"]["version"]
    audited.dag.get_task("emr.clean").partition = "2013-01-16"
    audited.execute("emr.clean")
    assert audited.told["emr.clean", "staged"]["version"] != before
    key = f"{key_of(audited.location('emr.clean'))}part-0.parquet"
    assert key.startswith("flights/dt=2013-01-16/version=")
    assert s3.get_object(Bucket="t-data", Key=key)["Body"].read() == b"first"


def test_runs_of_one_day_write_beside_each_other(audited):
    other = Run(audited.dag, "b")
    other.execute(*ALL)
    assert other.location("emr.clean") != audited.location("emr.clean")


def test_a_partition_that_renders_to_nothing_fails_before_a_job_run_starts(s3, endpoint, audited):
    run = Run(pipeline(), "no-day")
    run.dag.get_task("emr.clean").partition = "{{ params.nothing }}"
    run.execute("emr.acquire")
    started = len(endpoint.engine.started)
    with pytest.raises(AirflowFailException, match=r"The partition of dataset 'flights' renders to 'None'"):
        run.execute("emr.clean")
    assert len(endpoint.engine.started) == started


def test_good_rows_that_a_check_passed_on_are_published_instead_of_all(s3):
    with DAG("d", schedule=None, start_date=pendulum.datetime(2013, 1, 1)) as dag:
        with EmrPipeline("emr") as emr:
            clean, day = writing("clean", FLIGHTS), FLIGHTS.partition("{{ ds }}")
            check = QualityCheckOperator(
                task_id="check",
                ruleset="quality/a.dqdl",
                data=clean.staged,
                audits=day,
                quarantine="s3://t-data/bad/",
                stages=day,
            )
            check.job["args"].append("succeed")
            clean >> check
        emr.publish(check)
    run = Run(dag)
    run.execute("emr.acquire", "emr.clean", "emr.check", "publish")
    assert readable(s3) == "good rows"
    assert published(FLIGHTS, DAY) == run.location("emr.check") != run.location("emr.clean")
    assert read_manifest(s3, FLIGHTS.partition(DAY)).rows == 874


def test_an_older_run_does_not_publish_over_what_a_newer_one_has_published_since(s3, endpoint):
    endpoint.engine.outcome = "Failed"
    older = Run(pipeline(), "older")
    older.execute(*ALL)
    endpoint.engine.outcome, endpoint.engine.rows = "Passed", "mended"
    newer = Run(pipeline(), "newer")
    newer.execute(*ALL, "approve", "publish")
    manifest = read_manifest(s3, FLIGHTS.partition(DAY))
    later = replace(manifest, published_at=(datetime.now(UTC) + timedelta(seconds=5)).isoformat())
    write_manifest(s3, FLIGHTS.partition(DAY), later)
    older.answer("Approve")
    refused(older, "run 'newer' has published partition 2013-01-15 of 'flights' since this run checked its own")
    assert readable(s3) == "mended"


def test_a_schema_that_changed_under_a_run_is_not_taken_back_by_it(s3, endpoint):
    narrow = Run(pipeline(), "narrow")
    narrow.execute(*ALL)
    endpoint.engine.schema = (*SCHEMA, {"name": "tail", "type": "string", "nullable": True})
    wide = Run(pipeline(), "wide")
    wide.execute(*ALL, "approve")
    register(s3, FLIGHTS, endpoint.engine.schema, {"run": "wide"})
    refused(narrow, "The schema of dataset 'flights' changes in a way that breaks its readers: tail is gone")
    wide.execute("publish")


def test_a_result_that_is_gone_publishes_nothing_and_says_what_to_clear(s3, audited):
    s3.delete_object(Bucket="t-data", Key=key_of(audited.told["emr.check", "quality"]["result"]))
    refused(audited, r"the result of check 'emr\.check', .* is gone or cannot be read")


def test_an_xcom_that_says_otherwise_than_the_result_publishes_nothing(s3, audited):
    told = audited.told["emr.check", "quality"]
    data = audited.location("emr.clean")
    s3.put_object(
        Bucket="t-data", Key=key_of(told["result"]), Body=result_text(data, "Failed", severity="fail").encode()
    )
    refused(audited, "does not let")


# The manifest


def test_the_manifest_says_what_was_published_by_whom_and_on_what_grounds(s3, audited):
    audited.execute("publish")
    manifest = json.loads(s3.get_object(Bucket="t-data", Key=f"flights/_published/dt={DAY}.json")["Body"].read())
    at = datetime.fromisoformat(manifest.pop("published_at"))
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=5)
    assert manifest == {
        "version": 1,
        "dataset": "flights",
        "partition": DAY,
        "location": audited.location("emr.clean"),
        "by": {"deployment": "test", "dag": "d", "run": "a", "task": "publish"},
        "rows": 881,
        "quality": {
            "result": audited.told["emr.check", "quality"]["result"],
            "decision": "pass",
            "approved_by": None,
            "reason": None,
        },
        "schema": [{"name": "carrier", "type": "string", "nullable": True}],
        "previous": None,
    }


def test_what_no_check_looked_at_is_published_without_an_audit(s3, audited):
    audited.execute("publish")
    manifest = read_manifest(s3, ROUTES.partition(DAY))
    assert (manifest.location, manifest.rows, manifest.quality) == (audited.location("emr.routes"), None, None)


def test_publishing_again_changes_nothing_but_the_time(s3, audited):
    audited.execute("publish")
    first = json.loads(read_manifest(s3, FLIGHTS.partition(DAY)).to_json())
    audited.execute("publish")
    again = json.loads(read_manifest(s3, FLIGHTS.partition(DAY)).to_json())
    assert {**first, "published_at": ""} == {**again, "published_at": ""}


def test_readers_are_switched_by_one_put_for_each_partition(s3, audited):
    puts = []
    s3.meta.events.register(
        "before-call.s3.PutObject", lambda params, **_: puts.append(params["url"]), unique_id="puts"
    )
    audited.execute("publish")
    s3.meta.events.unregister("before-call.s3.PutObject", unique_id="puts")
    assert [key for put in puts if "_schemas" not in (key := put.partition("/t-data/")[2])] == [
        f"flights/_published/dt%3D{DAY}.json",
        f"routes/_published/dt%3D{DAY}.json",
    ]


def test_the_events_of_the_assets_and_the_xcom_say_what_was_published(audited):
    audited.execute("publish")
    told = {
        "dataset": "flights",
        "partition": DAY,
        "location": audited.location("emr.clean"),
        "previous": None,
        "rows": 881,
        "decision": "pass",
        "measures": {"RowCount": 881},
    }
    assert audited.events[FLIGHTS.asset].extra == told
    assert audited.told["publish", "return_value"][0] == told
    assert audited.events[ROUTES.asset].extra["location"] == audited.location("emr.routes")
    assert audited.dag.get_task("publish").outlets == [FLIGHTS.asset, ROUTES.asset]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '"x"',
        "{}",
        '{"version": 2, "location": "s3://a/"}',
        '{"version": 1, "location": "s3://a"}',
    ],
)
def test_an_object_that_is_no_manifest_is_an_error_and_stays(s3, audited, text):
    s3.put_object(Bucket="t-data", Key=f"flights/_published/dt={DAY}.json", Body=text.encode())
    with pytest.raises(
        DataError, match=r"^s3://t-data/flights/_published/dt=2013-01-15.json is no manifest that can be read"
    ):
        published(FLIGHTS, DAY)
    refused(audited, "is no manifest that can be read")
    assert s3.get_object(Bucket="t-data", Key=f"flights/_published/dt={DAY}.json")["Body"].read() == text.encode()


def test_the_schema_that_a_check_found_is_registered_with_what_was_published(s3, audited):
    assert current(s3, FLIGHTS) is None
    audited.execute("publish")
    assert current(s3, FLIGHTS).schema == [{"name": "carrier", "type": "string", "nullable": True}]
    assert current(s3, FLIGHTS).by == {
        "partition": DAY,
        "deployment": "test",
        "dag": "d",
        "run": "a",
        "task": "publish",
    }
    assert current(s3, ROUTES) is None


# Who reads


def test_a_template_names_what_is_published(audited):
    audited.execute("publish")
    macros = SimpleNamespace(**{one.__name__: one for one in EmrPipelinesPlugin.macros})
    template = "{{ macros.emr_pipelines.published('s3://t-data/flights/', ds) }}"
    with DAG("reader", schedule=None) as dag, EmrPipeline("emr"):
        reader = EmrJobOperator(task_id="reads", job=SparkJob(script="jobs/a.py", args=("--source", template)))
    reader.render_template_fields({"ds": DAY, "macros": SimpleNamespace(emr_pipelines=macros), "dag": dag})
    assert reader.job["args"] == ["--source", audited.location("emr.clean")]


def manifest(partition):
    location = partition.staged("ff").location
    return Manifest(partition.dataset.name, partition.value, location, "2013-01-16T00:00:00+00:00", by={"dag": "d"})


def test_all_published_partitions_are_listed_over_pages(s3, monkeypatch):
    values = [f"2013-{month:02d}-{day:02d}" for month in range(1, 5) for day in range(1, 8)]
    for value in values:
        write_manifest(s3, FLIGHTS.partition(value), manifest(FLIGHTS.partition(value)))
    for stranger in (
        "flights/_published/README",
        "flights/_published/dt=x.tmp",
        "flights/dt=2012-01-01/version=a/part",
    ):
        s3.put_object(Bucket="t-data", Key=stranger, Body=b"")
    pages = []
    s3.meta.events.register(
        "provide-client-params.s3.ListObjectsV2", lambda params, **_: {**params, "MaxKeys": 10}, unique_id="small"
    )
    s3.meta.events.register("after-call.s3.ListObjectsV2", lambda **_: pages.append(1), unique_id="count")
    try:
        found = published_partitions(s3, FLIGHTS)
    finally:
        s3.meta.events.unregister("provide-client-params.s3.ListObjectsV2", unique_id="small")
        s3.meta.events.unregister("after-call.s3.ListObjectsV2", unique_id="count")
    assert (list(found), len(pages) > 2) == (values, True)
    assert found["2013-02-03"] == manifest(FLIGHTS.partition("2013-02-03"))


def test_a_dataset_of_which_nothing_was_published_has_no_partitions(s3):
    assert dict(published_partitions(s3, FLIGHTS)) == {}


def test_the_partitions_of_a_dataset_by_another_column_are_its_own(s3):
    hourly = Dataset("hourly", "s3://t-data/hourly/", partitioned_by="hour")
    value = "2013-01-15 06:00"
    write_manifest(s3, hourly.partition(value), manifest(hourly.partition(value)))
    assert list(published_partitions(s3, hourly)) == [value]
    assert published("s3://t-data/hourly/", value, "hour") == hourly.partition(value).staged("ff").location
    assert manifest_address(hourly.partition(value)) == "s3://t-data/hourly/_published/hour=2013-01-15 06%3A00.json"


@given(
    st.builds(
        Manifest, *[st.text()] * 2, st.text().map("{}/".format), st.text(), st.just({}), st.none() | st.integers(0)
    )
)
def test_a_manifest_is_read_as_it_was_written(written):
    assert Manifest.from_json(written.to_json()) == written


# What is not published


def test_a_day_whose_check_failed_is_not_published_whatever_rule_triggered_the_task(s3, endpoint):
    run = Run(pipeline())
    run.execute("emr.acquire", "emr.clean", "emr.routes")
    address = "s3://t-data/quality-results/x.json"
    data = run.location("emr.clean")
    s3.put_object(Bucket="t-data", Key=key_of(address), Body=result_text(data, "Failed", severity="fail").encode())
    reason = "1 of 1 data quality rules did not pass: RowCount > 900 (881 rows)"
    run.told["emr.check", "quality"] = {"decision": "fail", "reason": reason, "result": address}
    refused(run, r"^Nothing was published: 1 of 1 data quality rules did not pass.*Check 'emr.check' does not let")
    assert len(published_partitions(s3, FLIGHTS)) == 0


def test_what_no_check_has_decided_is_not_published(s3, audited):
    del audited.told["emr.check", "quality"]
    refused(audited, r"^Nothing was published: check 'emr.check' has decided nothing in this run. Clear it")
    assert len(published_partitions(s3, FLIGHTS)) == 0


@pytest.fixture
def asking(s3, endpoint):
    """A run whose check asks a person."""
    endpoint.engine.outcome = "Failed"
    run = Run(pipeline())
    run.execute(*ALL)
    assert run.told["emr.check", "quality"]["decision"] == "ask"
    return run


@pytest.mark.parametrize(
    "answered",
    [
        lambda run: None,
        lambda run: run.answer("Reject"),
        lambda run: run.answer("Approve", user=None),
        lambda run: run.answer("Approve", asked=["s3://t-data/quality-results/of-another-version.json"]),
    ],
    ids=["nobody", "rejected", "by nobody", "before the check measured"],
)
def test_what_a_check_asks_about_is_not_published_without_a_persons_approval(s3, asking, answered):
    answered(asking)
    refused(asking, r"^Nothing was published: nobody has approved what check 'emr.check' asks about: 1 of 2")
    assert len(published_partitions(s3, FLIGHTS)) == 0


def test_what_a_person_approved_is_published_with_name_and_reason(s3, asking):
    asking.answer("Approve")
    asking.execute("publish")
    assert published(FLIGHTS, DAY) == asking.location("emr.clean")
    quality = read_manifest(s3, FLIGHTS.partition(DAY)).quality
    assert (quality["decision"], quality["approved_by"], quality["reason"]) == ("ask", "Ada", "a blizzard")


def test_a_version_that_was_staged_after_the_audit_is_not_published(audited):
    before = audited.location("emr.clean")
    audited.clear("emr.clean")
    audited.execute("emr.clean")
    refused(audited, rf"^Nothing was published: check 'emr.check' audited {before}, and .* was staged since. Clear")


def test_what_was_not_staged_in_this_run_is_not_published(s3, audited):
    del audited.told["emr.routes", "staged"]
    refused(audited, "^Task 'emr.routes' has staged nothing in this run")
    assert len(published_partitions(s3, FLIGHTS)) == 0


def test_a_version_without_an_object_is_not_published(s3, audited):
    s3.delete_object(Bucket="t-data", Key=f"{key_of(audited.location('emr.routes'))}part-0.parquet")
    refused(audited, r"^Nothing was published: task 'emr.routes' has written nothing to s3://t-data/routes/dt=")
    assert len(published_partitions(s3, FLIGHTS)) == 0


# The catalogue


@pytest.fixture
def glue(endpoint, environment):
    environment("catalogue: {database: db}")
    client = client_of(endpoint.url, "glue")
    client.create_database(DatabaseInput={"Name": "db"})
    yield client
    client.delete_database(Name="db")


def create_table(glue, column="dt"):
    descriptor = {
        "Columns": [{"Name": "route", "Type": "string"}],
        "Location": "s3://t-data/routes/",
        "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
        "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
    }
    table = {"Name": "routes", "StorageDescriptor": descriptor, "PartitionKeys": [{"Name": column, "Type": "string"}]}
    glue.create_table(DatabaseName="db", TableInput=table)


def partition_of_table(glue):
    return glue.get_partition(DatabaseName="db", TableName="routes", PartitionValues=[DAY])["Partition"]


def test_the_partition_of_a_table_leads_to_what_is_published_and_is_switched(s3, glue, audited):
    create_table(glue)
    audited.execute("publish")
    first = partition_of_table(glue)
    assert first["StorageDescriptor"]["Location"] == audited.location("emr.routes")
    assert first["StorageDescriptor"]["Columns"] == [{"Name": "route", "Type": "string"}]
    given = {"Values": [DAY], "StorageDescriptor": first["StorageDescriptor"], "Parameters": {"owner": "ours"}}
    glue.update_partition(DatabaseName="db", TableName="routes", PartitionValueList=[DAY], PartitionInput=given)
    audited.clear("emr.routes")
    audited.execute("emr.routes", "publish")
    assert partition_of_table(glue)["StorageDescriptor"]["Location"] == audited.location("emr.routes")
    assert partition_of_table(glue)["StorageDescriptor"]["Location"] != first["StorageDescriptor"]["Location"]
    assert partition_of_table(glue)["Parameters"] == {"owner": "ours"}


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (None, r"^There is no table db.routes in the catalogue. Nothing was published. Create it, partitioned by dt"),
        ("day", r"^Table db.routes is partitioned by day, and dataset 'routes' by dt. Nothing was published"),
    ],
)
def test_a_table_that_does_not_fit_is_told_before_anything_is_published(s3, glue, audited, column, said):
    if column:
        create_table(glue, column)
    refused(audited, said)
    assert len(published_partitions(s3, FLIGHTS)) == 0


def test_a_catalogue_that_fails_after_the_switch_says_what_readers_see_and_a_retry_mends_it(
    glue, s3, audited, monkeypatch
):
    create_table(glue)

    def refuse(**_):
        raise glue.exceptions.AccessDeniedException(
            {"Error": {"Code": "AccessDeniedException", "Message": "not authorized"}}, "CreatePartition"
        )

    with monkeypatch.context() as broken:
        broken.setattr(glue, "create_partition", refuse)
        with pytest.raises(
            DataError, match=r"^Partition dt=2013-01-15 of table db.routes could not be switched"
        ) as raised:
            audited.execute("publish")
    location = audited.location("emr.routes")
    assert f"Who reads by s3://t-data/routes/_published/dt={DAY}.json sees {location};" in str(raised.value)
    assert published(ROUTES, DAY) == location
    audited.execute("publish")
    assert partition_of_table(glue)["StorageDescriptor"]["Location"] == location


# What is refused when a DAG is parsed


@pytest.fixture
def parsed():
    with DAG("p", schedule=None) as dag:
        yield dag


def test_nothing_to_publish_is_refused(parsed):
    with pytest.raises(ConfigurationError, match=r"Task 'publish' publishes nothing: give it staged="):
        PublishOperator(task_id="publish", staged=[], audited_by=[])


def test_a_task_that_stages_nothing_is_refused(parsed):
    with EmrPipeline("emr"):
        plain = EmrJobOperator(task_id="plain", job=SparkJob(script="jobs/a.py"))
    with pytest.raises(
        ConfigurationError, match=r"Task 'publish' publishes what tasks stage; .*emr.plain.* stages nothing"
    ):
        PublishOperator(task_id="publish", staged=[plain], audited_by=[])


@pytest.mark.parametrize(
    "other", [FLIGHTS, Dataset("flights", "s3://t-data/other/"), Dataset("other", "s3://t-data/flights/")]
)
def test_a_dataset_is_published_once_by_a_task(parsed, other):
    with EmrPipeline("emr"):
        both = [writing("one", other), writing("two", FLIGHTS)]
    with pytest.raises(ConfigurationError, match=r"Task 'publish' would publish dataset 'flights' twice"):
        PublishOperator(task_id="publish", staged=both, audited_by=[])


def test_only_checks_audit(parsed):
    with EmrPipeline("emr"):
        clean = writing("clean", FLIGHTS)
    with pytest.raises(ConfigurationError, match=r"Task 'publish' publishes what quality checks audited; .* is none"):
        PublishOperator(task_id="publish", staged=[clean], audited_by=[clean])


def test_an_approval_is_read_from_what_airflow_returns():
    assert ApproveOperator.APPROVE == "Approve"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("catalogue: flights", "catalogue: settings are needed here, as name: value"),
        (
            "catalogue: {database: My-Db}",
            "catalogue.database: 'My-Db' has not the form that is needed: write it like flights",
        ),
        ("catalogue: {databas: db}", r"catalogue.databas: there is no such setting \(did you mean 'database'\?\)"),
    ],
)
def test_a_catalogue_that_is_none_is_told_with_file_and_line(environment, settings, said):
    environment(settings)
    with pytest.raises(ConfigurationError, match=rf"test.yaml:3: {said}"):
        published(FLIGHTS, DAY)
