"""Jobs: what a data engineer writes, and the step that EMR gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from emr_pipelines import CommandJob, HiveJob, SparkJob, SparkSqlJob
from emr_pipelines.environments import read_environment
from emr_pipelines.errors import ConfigurationError
from emr_pipelines.jobs import job_from
from emr_pipelines.targets.ec2_steps import step_request

PROFILE = read_environment(Path(__file__).parents[3] / "include/compute/local.yaml").profile("ec2")
CODE = {"a.py": "s3://b/a.py", "l.zip": "s3://b/l.zip", "q.hql": "s3://b/q.hql", "m.jar": "s3://b/m.jar"}

STEPS = [
    (
        SparkJob(
            script="a.py", args=["--date", "2013-01-15"], conf={"spark.sql.shuffle.partitions": "8"}, py_files=["l.zip"]
        ),
        "spark-submit --deploy-mode client --py-files s3://b/l.zip --conf spark.sql.shuffle.partitions=8 s3://b/a.py --date 2013-01-15",
    ),
    (
        SparkJob(script="m.jar", main_class="com.example.Main"),
        "spark-submit --deploy-mode client --class com.example.Main s3://b/m.jar",
    ),
    (
        SparkSqlJob(script="q.hql", variables={"dt": "2013-01-15"}, conf={"a.b": "1"}),
        "spark-sql --conf a.b=1 --hivevar dt=2013-01-15 -f s3://b/q.hql",
    ),
    (
        HiveJob(script="q.hql", variables={"dt": "2013-01-15"}, conf={"a.b": "1"}),
        "hive-script --run-hive-script --args -f s3://b/q.hql -d dt=2013-01-15 -hiveconf a.b=1",
    ),
    (CommandJob(command=["hadoop", "fs", "-ls", "/"]), "hadoop fs -ls /"),
]


@pytest.mark.parametrize(("job", "words"), STEPS, ids=lambda value: getattr(value, "kind", ""))
def test_a_job_becomes_the_step_that_emr_documents(job, words):
    step = step_request(job, CODE, "lease-key-task", PROFILE)
    assert " ".join(step["HadoopJarStep"]["Args"]) == words
    assert step["HadoopJarStep"]["Jar"] == "command-runner.jar"
    assert (step["Name"], step["ActionOnFailure"]) == ("lease-key-task", "CONTINUE")


@pytest.mark.parametrize("job", [job for job, _ in STEPS], ids=lambda job: job.kind)
def test_a_job_survives_templating_as_plain_data(job):
    assert job_from(job.model_dump(mode="json")) == job


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: SparkJob(script="a.py", arguments=[]), "arguments: Extra inputs are not permitted"),
        (SparkJob, "script: Field required"),
        (lambda: SparkJob(script="m.jar"), "'m.jar' is a jar: say which class to run with main_class="),
        (lambda: HiveJob(script="q.hql", variables={"a b": "1"}), "'a b' is no variable name"),
        (lambda: CommandJob(command=[]), "command: Tuple should have at least 1 item"),
        (lambda: CommandJob(command="ls"), "command: Input should be a valid tuple"),
    ],
)
def test_a_job_that_cannot_work_says_so_in_one_sentence(build, says):
    with pytest.raises(ConfigurationError) as caught:
        build()
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_hive_is_preferred_and_spark_may_stand_in_where_the_script_allows_it():
    job = HiveJob(script="q.hql", spark_sql=True)
    assert job.engine_on(frozenset({"spark", "hive"})) == "hive"
    assert job.engine_on(frozenset({"spark"})) == "spark"


def test_a_job_without_its_engine_says_what_it_needs():
    with pytest.raises(ConfigurationError, match="needs hive, and it has: spark"):
        HiveJob(script="q.hql").engine_on(frozenset({"spark"}))
