"""The steps of a cluster: the StepConfig that a job means, and what a StepStatus says of one. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emr_pipelines.cluster_jobs import (
    CommandJob,
    FlinkJob,
    HBaseJob,
    MapReduceJob,
    S3DistCpJob,
    StreamingJob,
    TrinoJob,
)
from emr_pipelines.jobs import HiveJob, Job, SparkJob, SparkSqlJob
from emr_pipelines.targets.ec2_profile import Ec2Profile
from emr_pipelines.targets.job_runs import packages_conf, settings, spark_options
from emr_pipelines.targets.profile import given
from emr_pipelines.targets.states import Fault, JobState, RunState

RUN_STATES = {
    "PENDING": RunState.PENDING,
    "RUNNING": RunState.RUNNING,
    "CANCEL_PENDING": RunState.CANCELLING,
    "COMPLETED": RunState.SUCCEEDED,
    "CANCELLED": RunState.CANCELLED,
    "FAILED": RunState.FAILED,
    "INTERRUPTED": RunState.LOST,
}
LIVE_STEPS = [name for name, state in RUN_STATES.items() if not state.ended]
ENDED_STEPS = [name for name, state in RUN_STATES.items() if state.ended]
_WITHOUT_WORDS = {RunState.CANCELLED: "The step was cancelled", RunState.LOST: "The step was interrupted"}
"""What to say where EMR only gives the state."""


def step_request(job: Job, code: Mapping[str, str], name: str, profile: Ec2Profile) -> dict[str, Any]:
    """Return the StepConfig that runs a job; ``code`` says where in S3 each of its files lies.

    ``CONTINUE``: a failed step must not end the cluster under the other jobs; release ends it.
    """
    return {"Name": name, "ActionOnFailure": "CONTINUE", "HadoopJarStep": _jar_step(job, code, profile)}


def _jar_step(job: Job, code: Mapping[str, str], profile: Ec2Profile) -> dict[str, Any]:
    """Return a HadoopJarStepConfig: of a MapReduce program its own jar, of all else EMR's ``command-runner.jar``."""
    if not isinstance(job, MapReduceJob):
        return {"Jar": "command-runner.jar", "Args": _command(job, code, profile)}
    properties = [{"Key": name, "Value": value} for name, value in job.properties.items()]
    step = {"Jar": code[job.jar], "MainClass": job.main_class, "Args": list(job.args), "Properties": properties or None}
    return given(step)


def _command(job: Job, code: Mapping[str, str], profile: Ec2Profile) -> list[str]:  # noqa: C901, PLR0911  # a few lines for each job
    match job:
        case SparkJob():
            packages = packages_conf(job, code, profile.stated_of_spark(), "spark.yarn.appMasterEnv")
            # YARN unpacks archives for what runs in its containers, and for no driver outside of them.
            mode = "cluster" if packages else profile.deploy_mode
            options = ["--deploy-mode", mode, *spark_options(job, code, {}, profile.table_jars, packages)]
            return ["spark-submit", *options, code[job.script], *job.args]
        case SparkSqlJob():
            words = settings("--conf", job.conf) + settings("--hivevar", job.variables)
            return ["spark-sql", *words, "-f", code[job.script]]
        case HiveJob():
            words = settings("-d", job.variables) + settings("-hiveconf", job.conf)
            return ["hive-script", "--run-hive-script", "--args", "-f", code[job.script], *words]
        case StreamingJob():
            return ["hadoop-streaming", *_streaming_options(job, code)]
        case S3DistCpJob():
            return ["s3-dist-cp", *_copy_options(job)]
        case FlinkJob():
            return ["bash", "-c", _RUN_FLINK, "flink", *_flink_options(job), code[job.jar], *job.args]
        case TrinoJob():
            options = ["--catalog", job.catalog, "--schema", job.schema_name, "--file"]
            return _with_script(profile.trino_command, options, code[job.script], job.variables)
        case HBaseJob(script=str(script)):
            return _with_script("hbase", ["shell", "-n"], code[script], job.variables)
        case HBaseJob():
            return ["hbase", str(job.main_class), *job.args]
        case CommandJob():
            return list(job.command)
        case _:
            raise TypeError(f"{type(job).__name__} is no command: it is a step of its own jar")


def _streaming_options(job: StreamingJob, code: Mapping[str, str]) -> list[str]:
    """Return the words of Hadoop Streaming, generic options first.

    Source: https://hadoop.apache.org/docs/stable/hadoop-streaming/HadoopStreaming.html;
    https://docs.aws.amazon.com/emr/latest/ReleaseGuide/CLI_CreateStreaming.html.
    """
    words = settings("-D", job.properties)
    for option, paths in (("-files", job.files), ("-archives", job.archives)):
        if paths:
            words += [option, ",".join(code[path] for path in paths)]
    words += [word for path in job.inputs for word in ("-input", path)]
    words += ["-output", job.output, "-mapper", job.mapper]
    options = {
        "-combiner": job.combiner,
        "-reducer": job.reducer,
        "-numReduceTasks": 0 if job.reducer is None else job.reduce_tasks,
        "-inputformat": job.input_format,
        "-outputformat": job.output_format,
        "-partitioner": job.partitioner,
    }
    words += [word for option, value in given(options).items() for word in (option, str(value))]
    return words + settings("-cmdenv", job.environment)


def _copy_options(job: S3DistCpJob) -> list[str]:
    """Return the words of S3DistCp.

    Source: https://docs.aws.amazon.com/emr/latest/ReleaseGuide/UsingEMR_s3distcp.html, "S3DistCp options".
    """
    values = {
        "--src": job.source,
        "--dest": job.destination,
        "--srcPattern": job.source_pattern,
        "--groupBy": job.group_by,
        "--targetSize": job.target_size,
        "--outputCodec": job.output_codec,
        "--storageClass": job.storage_class,
        "--multipartUploadChunkSize": job.multipart_upload_chunk_size,
        "--startingIndex": job.starting_index,
        "--outputManifest": job.output_manifest,
        "--previousManifest": job.previous_manifest,
        "--requirePreviousManifest": None if job.require_previous_manifest else "false",
        "--srcPrefixesFile": job.source_prefixes_file,
        "--s3Endpoint": job.s3_endpoint,
    }
    flags = {
        "--appendToLastFile": job.append_to_last_file,
        "--deleteOnSuccess": job.delete_on_success,
        "--s3ServerSideEncryption": job.server_side_encryption,
        "--disableMultipartUpload": not job.multipart_upload,
        "--numberFiles": job.number_files,
        "--copyFromManifest": job.copy_from_manifest,
    }
    return [f"{name}={value}" for name, value in given(values).items()] + [name for name, on in flags.items() if on]


_RUN_FLINK = """\
set -o pipefail
output=$("$0" run-application -t yarn-application "$@" 2>&1)
code=$?
echo "$output" >&2
[ "$code" = 0 ] || exit "$code"
application=$(grep -o 'application_[0-9]*_[0-9]*' <<< "$output" | tail -n 1) || { echo "Flink named no YARN application" >&2; exit 1; }
trap 'yarn application -kill "$application" >&2; exit 143' TERM INT
state=UNDEFINED misses=0
while [ "$state" = UNDEFINED ] && [ "$misses" -lt 10 ]; do
  sleep 5
  state=$(yarn application -status "$application" | sed -n 's/.*Final-State : //p') || { state=UNDEFINED; misses=$((misses + 1)); }
done
echo "$application: $state" >&2
[ "$state" = SUCCEEDED ]"""
"""Starts a Flink application and waits for its end, for the command itself returns as soon as it runs; who is ended ends it."""


def _flink_options(job: FlinkJob) -> list[str]:
    """Return the options of ``flink run-application``.

    Source: https://nightlies.apache.org/flink/flink-docs-stable/docs/deployment/cli/, "Application Mode";
    https://docs.aws.amazon.com/emr/latest/ReleaseGuide/flink-jobs.html.
    """
    words = [f"-D{name}={value}" for name, value in job.properties.items()]
    words += ["-p", str(job.parallelism)] if job.parallelism else []
    return words + (["-c", job.main_class] if job.main_class else [])


_WITH_SCRIPT = """\
set -euo pipefail
text=$(aws s3 cp --only-show-errors "$1" -)
shift
while [ "$1" != -- ]; do name="\\${${1%%=*}}"; text=${text//"$name"/"${1#*=}"}; shift; done
shift
file=$(mktemp)
trap 'rm -f "$file"' EXIT
printf '%s\\n' "$text" > "$file"
"$0" "$@" "$file" < /dev/null"""
"""Fetches a script, puts ``name=value`` in for each ``${name}`` up to ``--``, and runs the command with the file as its last word."""


def _with_script(command: str, options: list[str], script: str, variables: Mapping[str, str]) -> list[str]:
    """Return the words that run ``trino-cli``, ``presto-cli`` or ``hbase shell`` with a script, which they only read from a disk.

    Source: https://docs.aws.amazon.com/emr/latest/ReleaseGuide/emr-presto.html;
    https://trino.io/docs/current/client/cli.html, "Batch mode"; https://hbase.apache.org/book.html#shell_noninteractive.
    """
    values = [f"{name}={value}" for name, value in variables.items()]
    return ["bash", "-c", _WITH_SCRIPT, command, script, *values, "--", *options]


def job_state(status: Mapping[str, Any]) -> JobState:
    """Translate a StepStatus."""
    state = RUN_STATES[status["State"]]
    details = status.get("FailureDetails", {})
    words = details.get("Message") or details.get("Reason") or status.get("StateChangeReason", {}).get("Message")
    fault = {RunState.FAILED: Fault.JOB, RunState.CANCELLED: Fault.USER, RunState.LOST: Fault.SERVICE}.get(state)
    times = status.get("Timeline", {})
    began, ended = (times[name].timestamp() if name in times else None for name in ("StartDateTime", "EndDateTime"))
    return JobState(state, words or _WITHOUT_WORDS.get(state, ""), fault, began, ended)
