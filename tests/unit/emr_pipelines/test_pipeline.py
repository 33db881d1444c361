"""A pipeline's tasks and their order, and the DAGs that are refused when they are parsed."""

from __future__ import annotations

import pendulum
import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TaskGroup

from emr_pipelines import (
    CommandJob,
    EmrJobOperator,
    EmrPipeline,
    HiveJob,
    QualityCheckOperator,
    S3DistCpJob,
    SparkJob,
    TrinoJob,
)
from emr_pipelines.datasets import STAGED, Dataset
from emr_pipelines.engines import engines_needed
from emr_pipelines.errors import ConfigurationError
from emr_pipelines.quality import RulesetError
from emr_pipelines.releasing import ReleaseOnTimeout, failures_among

ENVIRONMENT = """\
deployment: test
buckets: {data: t-data, logs: t-logs, artifacts: t-artifacts}
profiles:
  ec2: {target: ec2, region: us-east-1, subnet: subnet-1, primary: {type: m5.xlarge}}
  large: {extends: ec2, core: {type: m5.xlarge, count: 9}}
  eks:
    {target: eks, region: us-east-1, eks_cluster: c, namespace: n, execution_role: &role "arn:aws:iam::123456789012:role/jobs"}
  serverless: {target: serverless, region: us-east-1, execution_role: *role}
"""


@pytest.fixture(autouse=True)
def include(tmp_path, monkeypatch):
    for folder in ("compute", "jobs", "quality"):
        (tmp_path / folder).mkdir()
    (tmp_path / "compute/test.yaml").write_text(ENVIRONMENT)
    (tmp_path / "jobs/a.py").write_text("print('a')")
    (tmp_path / "jobs/quality_check.py").write_text("print('check')")
    (tmp_path / "quality/good.dqdl").write_text('Rules = [ RowCount > 0, IsComplete "carrier" ]')
    (tmp_path / "quality/typo.dqdl").write_text('Rules = [\n    RowCount > 0,\n    IsComplet "carrier"\n]')
    monkeypatch.setenv("EMR_PIPELINES_INCLUDE", str(tmp_path))
    monkeypatch.setenv("EMR_PIPELINES_ENVIRONMENT", "test")
    return tmp_path


@pytest.fixture
def dag():
    with DAG("d", schedule=None, start_date=pendulum.datetime(2013, 1, 1)) as dag:
        yield dag


def downstream(dag: DAG) -> dict[str, set[str]]:
    return {task.task_id: set(task.downstream_task_ids) for task in dag.tasks}


def test_jobs_stand_between_acquire_and_release_and_what_follows_waits_for_the_verdict(dag):
    with EmrPipeline("emr") as emr:
        one = EmrJobOperator(task_id="one", job=SparkJob(script="jobs/a.py"))
        two = EmrJobOperator(task_id="two", job=SparkJob(script="jobs/a.py"))
        one >> two
    first = EmptyOperator(task_id="first")
    last = EmptyOperator(task_id="last")
    first >> emr >> last
    assert downstream(dag) == {
        "first": {"emr.begin"},
        "emr.begin": {"emr.acquire", "emr.release", "emr.verdict"},
        "emr.acquire": {"emr.one", "emr.release"},
        "emr.one": {"emr.two"},
        "emr.two": {"emr.release"},
        "emr.release": {"emr.verdict"},
        "emr.verdict": {"last"},
        "last": set(),
    }


def test_release_needs_only_begin_and_a_failed_teardown_fails_the_run(dag):
    with EmrPipeline("emr"):
        EmrJobOperator(task_id="one", job=SparkJob(script="jobs/a.py"))
    release, verdict = dag.get_task("emr.release"), dag.get_task("emr.verdict")
    assert (release.is_teardown, release.on_failure_fail_dagrun, release.retries) == (True, True, 3)
    assert (verdict.is_teardown, verdict.on_failure_fail_dagrun, verdict.retries) == (True, True, 0)
    assert [task.task_id for task in dag.tasks if task.is_setup] == ["emr.begin", "emr.acquire"]


def test_other_tasks_and_nested_groups_may_stand_inside(dag):
    with EmrPipeline("emr"):
        plain = EmptyOperator(task_id="plain")
        with TaskGroup("inner"):
            job = EmrJobOperator(task_id="job", job=SparkJob(script="jobs/a.py"))
        plain >> job
    assert downstream(dag)["emr.plain"] == {"emr.inner.job"}
    assert downstream(dag)["emr.inner.job"] == {"emr.release"}


def test_a_pipeline_without_jobs_still_ends_its_compute(dag):
    with EmrPipeline("emr"):
        pass
    assert downstream(dag)["emr.acquire"] == {"emr.release"}


def test_the_offered_profiles_become_a_parameter_whose_default_is_the_first(dag):
    with EmrPipeline("emr", targets=["large", "ec2"]):
        EmrJobOperator(task_id="one", job=SparkJob(script="jobs/a.py"))
    parameter = dag.params.get_param("target")
    assert (parameter.value, parameter.schema["enum"]) == ("large", ["large", "ec2"])


def test_two_pipelines_of_one_dag_offer_the_same_profiles(dag):
    with EmrPipeline("one"):
        pass
    with EmrPipeline("two"):
        pass
    with (
        pytest.raises(
            ConfigurationError,
            match=r"one of \['large'\] as 'target', .* for one of \['ec2'\]: pipelines of one",
        ),
        EmrPipeline("three", targets=["large"]),
    ):
        pass


def test_compute_is_released_on_a_timeout_before_the_dags_own_callback_speaks():
    def own(context):
        del context

    with (
        DAG("d", schedule=None, start_date=pendulum.datetime(2013, 1, 1), on_failure_callback=own) as dag,
        EmrPipeline("emr"),
    ):
        pass
    released, then = dag.on_failure_callback
    assert isinstance(released, ReleaseOnTimeout)
    assert then is own
    assert dag.has_on_failure_callback


def test_a_mapped_job_joins_the_pipeline(dag):
    with EmrPipeline("emr"):
        EmrJobOperator.partial(task_id="many").expand(job=[SparkJob(script="jobs/a.py").model_dump(mode="json")] * 2)
    assert downstream(dag)["emr.acquire"] == {"emr.many", "emr.release"}


def test_a_script_that_does_not_exist_is_named_with_what_lies_beside_it(dag, include):
    with pytest.raises(ConfigurationError) as caught, EmrPipeline("emr"):
        EmrJobOperator(task_id="one", job=SparkJob(script="jobs/b.py"))
    assert (
        str(caught.value)
        == f"Task 'emr.one': There is no file 'jobs/b.py' in {include}; beside it are: a.py, quality_check.py"
    )


def test_a_script_outside_include_is_refused(dag):
    with pytest.raises(ConfigurationError, match="leads out of"), EmrPipeline("emr"):
        EmrJobOperator(task_id="one", job=SparkJob(script="../../etc/passwd"))


def test_a_typo_in_a_ruleset_is_named_with_its_position_and_the_word(dag):
    with pytest.raises(RulesetError) as caught, EmrPipeline("emr"):
        QualityCheckOperator(task_id="check", ruleset="quality/typo.dqdl", data="s3://t-data/x/")
    assert str(caught.value).startswith('quality/typo.dqdl:3:5: "IsComplet" is no rule type; did you mean IsComplete?')


def test_a_profile_that_does_not_exist_is_named(dag):
    with (
        pytest.raises(ConfigurationError, match=r"EmrPipeline 'emr': There is no profile 'ec3'.*did you mean 'ec2'"),
        EmrPipeline("emr", targets=["ec3"]),
    ):
        pass


def test_targets_are_a_list(dag):
    with pytest.raises(ConfigurationError, match="targets= is a list of profile names, and it is 'ec2'"):
        EmrPipeline("emr", targets="ec2")


def test_a_job_outside_a_pipeline_is_told_where_it_belongs(dag):
    with pytest.raises(ConfigurationError, match=r"Task 'one' needs compute: put it inside `with EmrPipeline"):
        EmrJobOperator(task_id="one", job=CommandJob(command=["ls"]))


COPY = S3DistCpJob(source="s3://b/a/", destination="s3://b/c/")
SQL = TrinoJob(script="jobs/a.py")
COMMAND, HIVE, EITHER = (
    CommandJob(command=["ls"]),
    HiveJob(script="jobs/a.py"),
    HiveJob(script="jobs/a.py", spark_sql=True),
)


@pytest.mark.parametrize(
    ("target", "job", "says"),
    [
        ("eks", COMMAND, "needs command, and it has: spark"),
        ("eks", HIVE, "needs hive, and it has: spark"),
        ("serverless", COMMAND, "needs command, and it has: hive, spark"),
        ("eks", COPY, "needs hadoop, and it has: spark"),
        ("serverless", SQL, "needs trino, and it has: hive, spark"),
    ],
)
@pytest.mark.parametrize(
    "add",
    [
        lambda job: EmrJobOperator(task_id="one", job=job),
        lambda job: EmrJobOperator.partial(task_id="one").expand(job=[SparkJob(script="jobs/a.py"), job]),
        lambda job: EmrJobOperator.partial(task_id="one").expand_kwargs([{"job": job.model_dump(mode="json")}]),
    ],
    ids=["one", "mapped", "mapped by its settings"],
)
def test_a_job_that_an_offered_target_cannot_run_is_refused_with_task_target_and_cure(dag, target, job, says, add):
    with pytest.raises(ConfigurationError) as caught, EmrPipeline("emr", targets=["ec2", target]):
        add(job)
    assert str(caught.value) == (
        f"Task 'emr.one' cannot run on target {target!r} (profile {target!r}): it {says}. "
        f"Take {target!r} out of targets=, or change the job."
    )


@pytest.mark.parametrize(
    ("jobs", "offered", "needed"),
    [
        ([EITHER], {"spark"}, {"spark"}),
        ([EITHER], {"spark", "hive"}, {"hive"}),
        ([SparkJob(script="jobs/a.py"), HIVE], {"spark", "hive"}, {"spark", "hive"}),
        ([], {"spark", "hive"}, set()),
        ([COPY, SQL], {"spark", "hadoop", "trino"}, {"hadoop", "trino"}),
    ],
)
def test_compute_gets_the_engines_that_its_jobs_need_mapped_or_not(dag, jobs, offered, needed):
    with EmrPipeline("emr"):
        for number, job in enumerate(jobs):
            EmrJobOperator(task_id=f"one{number}", job=job)
        EmrJobOperator.partial(task_id="mapped").expand(job=jobs)
    assert engines_needed(dag.tasks, frozenset(offered)) == needed


def test_jobs_that_are_known_only_when_they_run_may_need_every_usual_engine(dag):
    with EmrPipeline("emr"):
        listed = EmptyOperator(task_id="listed")
        EmrJobOperator.partial(task_id="mapped").expand(job=listed.output)
        EmrJobOperator(task_id="sql", job=SQL)
    offered = frozenset({"spark", "hive", "hadoop", "flink", "trino", "hbase", "command"})
    assert engines_needed(dag.tasks, offered) == {"spark", "hive", "command", "trino"}


def test_a_mapped_quality_check_needs_spark(dag):
    with EmrPipeline("emr"):
        QualityCheckOperator.partial(task_id="check", ruleset="quality/good.dqdl").expand(
            data=["s3://b/1/", "s3://b/2/"]
        )
    assert engines_needed(dag.tasks, frozenset({"spark", "hive"})) == {"spark"}


def test_the_tasks_that_failed_come_before_those_that_never_ran():
    states = {"emr.a": "success", "emr.b": "upstream_failed", "emr.c": "failed", "emr.d": "skipped"}
    assert failures_among(states) == ["emr.c", "emr.b"]


def staging(task_id: str) -> EmrJobOperator:
    flights = Dataset(task_id, f"s3://t-data/{task_id}/")
    return EmrJobOperator(
        task_id=task_id, stages=flights.partition("{{ ds }}"), job=SparkJob(script="jobs/a.py", args=("--to", STAGED))
    )


def auditing(task_id: str, staged: EmrJobOperator, ruleset: str = "quality/good.dqdl") -> QualityCheckOperator:
    return QualityCheckOperator(task_id=task_id, ruleset=ruleset, data=staged.staged, audits=staged.stages)


def test_what_a_pipeline_staged_is_published_after_release_behind_a_person_where_a_rule_asks(dag, include):
    (include / "quality/asks.dqdl").write_text('Rules = [ RowCount > 0 labels=["severity"="ask"] ]')
    with EmrPipeline("emr") as emr:
        flights, delays = staging("flights"), staging("delays")
        auditing("check", flights, "quality/asks.dqdl")
        auditing("other", delays)
    publish = emr.publish(flights, delays)
    assert {
        name: after for name, after in downstream(dag).items() if name in ("emr.verdict", "approve", "publish")
    } == {
        "emr.verdict": {"approve"},
        "approve": {"publish"},
        "publish": set(),
    }
    assert dag.get_task("approve").asked_about == ["emr.check"]
    assert [asset.name for asset in publish.outlets] == ["flights", "delays"]


def test_no_task_asks_a_person_where_no_rule_does(dag):
    with EmrPipeline("emr") as emr:
        flights = staging("flights")
        auditing("check", flights)
    emr.publish(flights)
    assert downstream(dag)["emr.verdict"] == {"publish"}


@pytest.mark.parametrize("data", [None, "s3://t-data/elsewhere/"])
def test_what_nothing_audits_is_not_published(dag, data):
    with EmrPipeline("emr") as emr:
        flights = staging("flights")
        if data:
            QualityCheckOperator(task_id="check", ruleset="quality/good.dqdl", data=data)
    with pytest.raises(ConfigurationError, match="has no QualityCheckOperator that looks at what it would publish"):
        emr.publish(flights)


@pytest.mark.parametrize("audits", [None, Dataset("flights", "s3://t-data/flights/").partition("2013-01-15")])
def test_a_check_that_takes_what_it_audits_for_something_else_publishes_nothing(dag, audits):
    with EmrPipeline("emr") as emr:
        flights = staging("flights")
        QualityCheckOperator(task_id="check", ruleset="quality/good.dqdl", data=flights.staged, audits=audits)
    with pytest.raises(ConfigurationError, match="looks at a partition of 'flights', and is not told so"):
        emr.publish(flights)


def test_publishing_within_the_pipeline_is_refused(dag):
    with EmrPipeline("emr") as emr:
        flights = staging("flights")
        auditing("check", flights)
        with pytest.raises(ConfigurationError, match="Call publish behind the with block, not in it"):
            emr.publish(flights)


def test_a_task_follows_those_whose_staged_folder_it_names(dag):
    with EmrPipeline("emr"):
        flights = staging("flights")
        read = EmrJobOperator(task_id="read", job=SparkJob(script="jobs/a.py", args=("--from", flights.staged)))
        auditing("check", flights)
        first = EmrJobOperator(task_id="first", job=SparkJob(script="jobs/a.py"))
        first >> flights >> read
    assert downstream(dag)["emr.flights"] == {"emr.read", "emr.check"}
    assert downstream(dag)["emr.acquire"] == {"emr.first", "emr.release"}


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (
            {"stages": Dataset("a", "s3://t-data/a/")},
            "is no partition of a dataset. Write stages=<dataset>.partition(...)",
        ),
        ({"audits": "2013-01-15"}, "is no partition of a dataset. Write audits=<dataset>.partition(...)"),
        ({"data": 5}, "data=5 is no address. Write data=<task>.staged for what a task has staged"),
        ({"stages": Dataset("a", "s3://t-data/a/").partition("1")}, "Give it quarantine=, a folder for them"),
    ],
)
def test_what_a_check_cannot_work_with_is_refused(dag, words, cause):
    with EmrPipeline("emr"), pytest.raises(ConfigurationError) as caught:
        QualityCheckOperator(**{"task_id": "check", "ruleset": "quality/good.dqdl", "data": "s3://t-data/x/", **words})
    assert cause in str(caught.value)


def test_two_pipelines_of_a_dag_publish_in_groups_of_their_own(dag):
    for name in ("one", "two"):
        with EmrPipeline(name) as emr:
            flights = staging(f"flights_{name}")
            auditing("check", flights)
        with TaskGroup(f"after_{name}"):
            emr.publish(flights)
    assert downstream(dag)["one.verdict"] == {"after_one.publish"}
    assert downstream(dag)["two.verdict"] == {"after_two.publish"}


def test_a_mapped_check_lets_nothing_be_published(dag):
    with EmrPipeline("emr") as emr:
        flights = staging("flights")
        auditing("check", flights)
        QualityCheckOperator.partial(task_id="strict", ruleset="quality/good.dqdl").expand(data=["s3://t-data/x/"])
    with pytest.raises(
        ConfigurationError, match="maps a quality check, and publishing asks each check for one decision"
    ):
        emr.publish(flights)


@pytest.mark.parametrize("names", [["Primary"], ["before", "Before"]])
def test_a_reference_that_sql_would_take_for_another_is_refused(dag, names):
    references = dict.fromkeys(names, "s3://t-data/y/")
    with EmrPipeline("emr"), pytest.raises(ConfigurationError, match="primary is the data itself"):
        QualityCheckOperator(task_id="check", ruleset="quality/good.dqdl", data="s3://t-data/x/", references=references)
