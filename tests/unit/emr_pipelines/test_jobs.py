"""Jobs: what a data engineer writes, and the step that EMR gets."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from botocore.session import get_session
from botocore.validate import ParamValidator

from emr_pipelines import (
    CommandJob,
    FlinkJob,
    HBaseJob,
    HiveJob,
    MapReduceJob,
    S3DistCpJob,
    SparkJob,
    SparkSqlJob,
    StreamingJob,
    TrinoJob,
)
from emr_pipelines.environments import read_environment
from emr_pipelines.errors import ConfigurationError
from emr_pipelines.jobs import job_from
from emr_pipelines.keys import Lease
from emr_pipelines.targets.ec2_steps import step_request

PROFILE = read_environment(Path(__file__).parents[3] / "include/compute/local.yaml").profile("ec2")
LEASE = Lease("deployment", "dag", "run", "group")
CODE = {name: f"s3://b/{name}" for name in ("a.py", "l.zip", "q.hql", "m.jar", "a.rb")}
CODE["s3://b/x.tgz#x"] = "s3://b/x.tgz#x"

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
    (
        StreamingJob(
            mapper="python3 a.py map",
            reducer="python3 a.py reduce",
            combiner="python3 a.py reduce",
            inputs=["s3://d/one/", "s3://d/two/"],
            output="s3://d/out/",
            files=["a.py", "l.zip"],
            archives=["s3://b/x.tgz#x"],
            environment={"TZ": "UTC"},
            reduce_tasks=2,
            partitioner="a.B",
            properties={"mapreduce.map.memory.mb": "2048"},
        ),
        (
            "hadoop-streaming -D mapreduce.map.memory.mb=2048 -files s3://b/a.py,s3://b/l.zip -archives 's3://b/x.tgz#x'"
            " -input s3://d/one/ -input s3://d/two/ -output s3://d/out/ -mapper 'python3 a.py map'"
            " -combiner 'python3 a.py reduce' -reducer 'python3 a.py reduce' -numReduceTasks 2 -partitioner a.B -cmdenv TZ=UTC"
        ),
    ),
    (
        StreamingJob(mapper="cat", inputs=["in"], output="out", input_format="a.In", output_format="a.Out"),
        "hadoop-streaming -input in -output out -mapper cat -numReduceTasks 0 -inputformat a.In -outputformat a.Out",
    ),
    (S3DistCpJob(source="s3://d/a/", destination="hdfs:///b"), "s3-dist-cp --src=s3://d/a/ --dest=hdfs:///b"),
    (
        S3DistCpJob(
            source="s3://d/a/",
            destination="s3://d/b/",
            source_pattern=".*[.]log",
            group_by=".*/(2013)/.*",
            target_size=128,
            append_to_last_file=True,
            output_codec="gzip",
            delete_on_success=True,
            server_side_encryption=True,
            storage_class="STANDARD",
            multipart_upload=False,
            multipart_upload_chunk_size=16,
            number_files=True,
            starting_index=0,
            output_manifest="m.gz",
            previous_manifest="s3://d/old.gz",
            require_previous_manifest=False,
            copy_from_manifest=True,
            source_prefixes_file="s3://d/prefixes",
            s3_endpoint="s3.eu-west-1.amazonaws.com",
        ),
        (
            "s3-dist-cp --src=s3://d/a/ --dest=s3://d/b/ '--srcPattern=.*[.]log' '--groupBy=.*/(2013)/.*' --targetSize=128"
            " --outputCodec=gzip --storageClass=STANDARD --multipartUploadChunkSize=16 --startingIndex=0 --outputManifest=m.gz"
            " --previousManifest=s3://d/old.gz --requirePreviousManifest=false --srcPrefixesFile=s3://d/prefixes"
            " --s3Endpoint=s3.eu-west-1.amazonaws.com --appendToLastFile --deleteOnSuccess --s3ServerSideEncryption"
            " --disableMultipartUpload --numberFiles --copyFromManifest"
        ),
    ),
    (
        FlinkJob(jar="m.jar", main_class="a.Main", args=["--in", "x y"], parallelism=4, properties={"a.b": "1"}),
        "bash -c ... flink -Da.b=1 -p 4 -c a.Main s3://b/m.jar --in 'x y'",
    ),
    (
        TrinoJob(script="q.hql", schema_name="sales", variables={"dt": "2013-01-15"}),
        "bash -c ... trino-cli s3://b/q.hql dt=2013-01-15 -- --catalog hive --schema sales --file",
    ),
    (HBaseJob(script="a.rb", variables={"t": "x"}), "bash -c ... hbase s3://b/a.rb t=x -- shell -n"),
    (HBaseJob(main_class="a.RowCounter", args=["flights"]), "hbase a.RowCounter flights"),
    (CommandJob(command=["hadoop", "fs", "-ls", "/"]), "hadoop fs -ls /"),
]
MAP_REDUCE = MapReduceJob(jar="m.jar", main_class="a.Main", args=["in", "out"], properties={"a": "b c"})
JOBS = [*(job for job, _ in STEPS), MAP_REDUCE]


@pytest.mark.parametrize(("job", "words"), STEPS, ids=lambda value: getattr(value, "kind", ""))
def test_a_job_becomes_the_step_that_emr_documents(job, words):
    step = step_request(job, CODE, "lease-key-task", PROFILE)
    assert shlex.join(step["HadoopJarStep"]["Args"]) == words.replace(
        "...", shlex.quote(step["HadoopJarStep"]["Args"][2])
    )
    assert step["HadoopJarStep"]["Jar"] == "command-runner.jar"
    assert (step["Name"], step["ActionOnFailure"]) == ("lease-key-task", "CONTINUE")


def test_a_mapreduce_job_is_a_step_of_its_own_jar():
    assert step_request(MAP_REDUCE, CODE, "name", PROFILE)["HadoopJarStep"] == {
        "Jar": "s3://b/m.jar",
        "MainClass": "a.Main",
        "Args": ["in", "out"],
        "Properties": [{"Key": "a", "Value": "b c"}],
    }
    assert step_request(MapReduceJob(jar="m.jar"), CODE, "name", PROFILE)["HadoopJarStep"] == {
        "Jar": "s3://b/m.jar",
        "Args": [],
    }


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.kind)
def test_a_step_has_the_shape_that_emr_accepts(job):
    shape = get_session().get_service_model("emr").operation_model("AddJobFlowSteps").input_shape
    request = {"JobFlowId": "j-1", "Steps": [step_request(job, CODE, "name", PROFILE)]}
    assert ParamValidator().validate(request, shape).generate_report() == ""


def test_presto_runs_the_sql_where_the_profile_installs_it():
    profile = PROFILE.model_copy(update={"applications": ("Spark", "Presto")})
    step = step_request(TrinoJob(script="q.hql"), CODE, "name", profile)
    assert step["HadoopJarStep"]["Args"][3] == "presto-cli"
    installed = profile.request(LEASE, frozenset({"trino"}))["Applications"]
    assert installed == [{"Name": "Spark"}, {"Name": "Presto"}]


@pytest.mark.parametrize(
    ("engine", "application"), [("hadoop", "Hadoop"), ("flink", "Flink"), ("trino", "Trino"), ("hbase", "HBase")]
)
def test_a_cluster_gets_the_application_that_its_jobs_need(engine, application):
    profile = PROFILE.model_copy(update={"applications": ("Spark",)})
    assert profile.request(LEASE, frozenset({engine}))["Applications"] == [{"Name": "Spark"}, {"Name": application}]


@pytest.mark.parametrize(
    ("job", "code"),
    [
        (MAP_REDUCE, ("m.jar",)),
        (StreamingJob(mapper="cat", inputs=["i"], output="o", files=["a.py"], archives=["l.zip"]), ("a.py", "l.zip")),
        (S3DistCpJob(source="s3://d/a", destination="s3://d/b"), ()),
        (FlinkJob(jar="m.jar"), ("m.jar",)),
        (TrinoJob(script="q.hql"), ("q.hql",)),
        (HBaseJob(script="a.rb"), ("a.rb",)),
        (HBaseJob(main_class="a.B"), ()),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_a_job_names_what_has_to_lie_in_s3(job, code):
    assert job.code() == code


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.kind)
def test_a_job_survives_templating_as_plain_data(job):
    assert job_from(job.model_dump(mode="json")) == job


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: SparkJob(script="a.py", arguments=[]), "arguments: Extra inputs are not permitted"),
        (SparkJob, "script: Field required"),
        (lambda: SparkJob(script="m.jar"), "'m.jar' is a jar: say which class to run with main_class="),
        (lambda: HiveJob(script="q.hql", variables={"a b": "1"}), "'a b' is no variable name"),
        (lambda: StreamingJob(mapper="cat", inputs=[], output="o"), "inputs: Tuple should have at least 1 item"),
        (
            lambda: StreamingJob(mapper="cat", combiner="wc", inputs=["i"], output="o"),
            "there is no reducer for combiner= and reduce_tasks=: name one with reducer=, or leave them out",
        ),
        (
            lambda: StreamingJob(mapper="cat", inputs=["i"], output="o", files=["a,b.py"]),
            "Hadoop takes 'a,b.py' for two files: give the file a name without a comma",
        ),
        (
            lambda: S3DistCpJob(source="s3://a/", destination="s3://b/", group_by=".*"),
            "group_by '.*' has no group: put what names the new file into parentheses",
        ),
        (
            lambda: S3DistCpJob(source="s3://a/", destination="s3://b/", target_size=1),
            "target_size is the size of files that group_by makes: give group_by=, too",
        ),
        (
            lambda: S3DistCpJob(source="s3://a/", destination="s3://b/", starting_index=1),
            "starting_index begins the numbers that number_files writes: give number_files=True, too",
        ),
        (
            lambda: S3DistCpJob(source="s3://a/", destination="s3://b/", copy_from_manifest=True),
            "copy_from_manifest copies what previous_manifest names: give previous_manifest=, too",
        ),
        (
            lambda: S3DistCpJob(source="s3://a/b_c", destination="s3://b_c/"),
            "S3DistCp takes no bucket with an underscore in its name, as 's3://b_c/' has: use another bucket",
        ),
        (
            lambda: S3DistCpJob(source="s3://a/", destination="s3://b/", output_codec="zip"),
            "output_codec: Input should be 'gzip', 'gz', 'lzo', 'snappy', 'none' or 'keep'",
        ),
        (HBaseJob, "an HBase job is a script or a class: give script= or main_class=, and not both"),
        (
            lambda: HBaseJob(script="a.rb", args=["x"]),
            "variables= are for script=, args= are for main_class=: move the values",
        ),
        (lambda: TrinoJob(script="q.sql", variables={"a-b": "1"}), "'a-b' is no variable name"),
        (lambda: FlinkJob(jar="m.jar", parallelism=0), "parallelism: Input should be greater than or equal to 1"),
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


@pytest.fixture
def node(tmp_path):
    """Run a job's command as a primary node would, whose programs are small scripts; return its exit code and output."""

    def run(job, **programs):
        for name, text in programs.items():
            program = tmp_path / name.replace("_", "-")
            program.write_text(f"#!/bin/bash\n{text}\n")
            program.chmod(0o755)
        words = step_request(job, CODE, "name", PROFILE)["HadoopJarStep"]["Args"]
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
        return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=30, check=False)

    return run


FETCH = """[ "$*" = "s3 cp --only-show-errors s3://b/q.hql -" ] || exit 9
printf 'SELECT "${a.b}", ${c}, ${d}\\n-- ${a.b}$c & done\\n'"""
SHOW = 'for word in "${@:1:$#-1}"; do echo "<$word>"; done; cat "${@: -1}"; cat; exit ${EXIT:-0}'


def test_the_words_of_sql_are_put_in_as_they_are(node):
    ran = node(TrinoJob(script="q.hql", variables={"a.b": "it's \\ & $(x) *\n'", "c": "="}), aws=FETCH, trino_cli=SHOW)
    assert (ran.returncode, ran.stderr) == (0, "")
    value = "it's \\ & $(x) *\n'"
    assert ran.stdout == (
        f'<--catalog>\n<hive>\n<--schema>\n<default>\n<--file>\nSELECT "{value}", =, ${{d}}\n-- {value}$c & done\n'
    )


@pytest.mark.parametrize(("aws", "cli", "code"), [(FETCH, "exit 3", 3), ("exit 1", "exit 0", 1)])
def test_a_script_that_fails_or_is_not_there_fails_the_step(node, tmp_path, aws, cli, code):
    assert node(TrinoJob(script="q.hql"), aws=aws, trino_cli=cli).returncode == code
    assert sorted(path.name for path in tmp_path.iterdir()) == ["aws", "trino-cli"]


DEPLOY = 'printf "%s\\n" "$@"; echo "Submitted application application_17_0003" >&2'
STATUS = """[ "$*" = "application -status application_17_0003" ] || exit 9
echo "        Final-State : %s" """


AT_ONCE = "exit 0"


@pytest.mark.parametrize(("state", "code"), [("SUCCEEDED", 0), ("FAILED", 1), ("KILLED", 1)])
def test_a_flink_step_ends_as_its_yarn_application_does(node, state, code):
    job = FlinkJob(jar="m.jar", args=["it's", "$(x) *"], properties={"a": "b c"})
    ran = node(job, flink=DEPLOY, yarn=STATUS % state, sleep=AT_ONCE)
    assert ran.returncode == code
    words = ["run-application", "-t", "yarn-application", "-Da=b c", "s3://b/m.jar", "it's", "$(x) *"]
    assert ran.stderr.splitlines() == [
        *words,
        "Submitted application application_17_0003",
        f"application_17_0003: {state}",
    ]


@pytest.mark.parametrize("first", [STATUS % "UNDEFINED", "false"], ids=["it runs", "YARN does not answer"])
def test_a_flink_step_waits_while_its_application_may_run(node, tmp_path, first):
    once = f"echo 'echo \"Final-State : SUCCEEDED\"' > {tmp_path}/yarn; {first}"
    ran = node(FlinkJob(jar="m.jar"), flink=DEPLOY, yarn=once, sleep=f'echo "$@" >> {tmp_path}/slept')
    assert ran.returncode == 0
    assert (tmp_path / "slept").read_text() == "5\n5\n"


def test_a_flink_step_that_is_ended_ends_its_application(node):
    ran = node(FlinkJob(jar="m.jar"), flink=DEPLOY, yarn='echo "$@"', sleep="kill -TERM $PPID")
    assert ran.returncode == 143
    assert ran.stderr.splitlines()[-1] == "application -kill application_17_0003"


@pytest.mark.parametrize(
    ("flink", "code", "says"),
    [("echo no room; exit 3", 3, "no room"), ("echo hello", 1, "Flink named no YARN application")],
)
def test_a_flink_program_that_cannot_be_deployed_fails_the_step(node, flink, code, says):
    ran = node(FlinkJob(jar="m.jar"), flink=flink, yarn="exit 9")
    assert ran.returncode == code
    assert ran.stderr.splitlines()[-1] == says
