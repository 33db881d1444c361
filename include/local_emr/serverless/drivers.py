"""From a job run to what the engine runs: the step, Spark's settings, and where its logs go. Pure.

Sources: "Using Spark configurations", "Using Hive configurations" and "Storing logs" in the EMR Serverless User Guide.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

from local_emr.engine import Step
from local_emr.runs.images import on_this_machine
from local_emr.runs.logs import CloudWatchLog, Log, S3Log
from local_emr.runs.requests import properties_of, spark_defaults_of
from local_emr.serverless.workers import Workers, hive_workers, spark_settings, spark_workers

if TYPE_CHECKING:
    from local_emr.serverless.records import Application, ServerlessJobRun

LOG_GROUP = "/aws/emr-serverless"
FILES = ("stdout", "stderr")

_S3_FILE = re.compile(r"s3[an]?://\S+")
_WAREHOUSE = "hive.metastore.warehouse.dir"

Request = dict[str, Any]


def step_of(driver: Request) -> Step:
    """Return the step that a job driver comes to. Raises ValueError when its parameters have an unclosed quotation."""
    if "hive" in driver:
        return Step("command-runner.jar", tuple(_hive_command(driver["hive"])))
    spark = driver["sparkSubmit"]
    options = _split(spark.get("sparkSubmitParameters", ""), "sparkSubmitParameters")
    entry_point = on_this_machine(spark["entryPoint"])
    return Step("command-runner.jar", ("spark-submit", *options, entry_point, *spark.get("entryPointArguments", [])))


def _hive_command(hive: Request) -> list[str]:
    query, initial = hive["query"], hive.get("initQueryFile")
    return [
        "hive",
        *_split(hive.get("parameters", ""), "parameters"),
        *(["-i", initial] if initial else []),
        *(["-f", query.strip()] if _S3_FILE.fullmatch(query.strip()) else ["-e", query]),
    ]


def _split(parameters: str, name: str) -> list[str]:
    try:
        return shlex.split(parameters)
    except ValueError as error:
        raise ValueError(f"{name} cannot be read: {error}") from None


def configurations_of(application: Application, request: Request) -> list[Request]:
    """Return the application's configurations and after them the job run's, which override them."""
    overrides = request.get("configurationOverrides", {})
    return [*application.settings.get("runtimeConfiguration", []), *overrides.get("applicationConfiguration", [])]


def workers_of(driver: Request, configurations: list[Request]) -> Workers:
    """Return the workers that a job run asks for. Raises ValueError for sizes and parameters that cannot be."""
    if "hive" in driver:
        return hive_workers(_hive_settings(driver["hive"], configurations))
    return spark_workers(properties_of(configurations, "spark-defaults") | spark_settings(step_of(driver).args[1:]))


def _hive_settings(hive: Request, configurations: list[Request]) -> dict[str, str]:
    """Return the properties of hive-site and, over them, those that the job's parameters set."""
    words = _split(hive.get("parameters", ""), "parameters")
    pairs = (words[number + 1] for number, word in enumerate(words[:-1]) if word in {"--hiveconf", "-hiveconf"})
    return properties_of(configurations, "hive-site") | dict(pair.split("=", 1) for pair in pairs)


def defaults_of(driver: Request, configurations: list[Request]) -> dict[str, str]:
    """Return Spark's settings for a job run; Hive's warehouse is Spark's, too."""
    warehouse = _hive_settings(driver.get("hive", {}), configurations).get(_WAREHOUSE)
    given = {} if warehouse is None else {"spark.sql.warehouse.dir": warehouse}
    return {**given, **spark_defaults_of(configurations)}


def logs_of(application: Application, run: ServerlessJobRun) -> tuple[Log, ...]:
    """Return where the logs of the run's latest attempt go: what the job run says of a destination overrides the application.

    Streaming and retried job runs have a folder for each attempt ("Logging with retry policy").
    """
    overrides = run.request.get("configurationOverrides", {}).get("monitoringConfiguration", {})
    monitoring = application.settings.get("monitoringConfiguration", {}) | overrides
    attempt = f"/attempts/{run.attempt.number}" if run.may_retry else ""
    place = f"/applications/{run.owner}/jobs/{run.id}{attempt}/{run.type.upper()}_DRIVER"
    return (
        *_s3_logs(monitoring.get("s3MonitoringConfiguration", {}), place),
        *_cloudwatch_logs(monitoring.get("cloudWatchLoggingConfiguration", {}), place, run),
    )


def _s3_logs(configuration: Request, place: str) -> list[S3Log]:
    uri = configuration.get("logUri")
    return [S3Log(file, f"{uri.rstrip('/')}{place}/{file}.gz") for file in FILES] if uri else []


def _cloudwatch_logs(configuration: Request, place: str, run: ServerlessJobRun) -> list[CloudWatchLog]:
    if not configuration.get("enabled"):
        return []
    wanted = configuration.get("logTypes", {}).get(f"{run.type.upper()}_DRIVER")
    group, prefix = configuration.get("logGroupName", LOG_GROUP), configuration.get("logStreamNamePrefix", "")
    files = FILES if wanted is None or run.type == "Hive" else [file for file in FILES if file.upper() in wanted]
    return [CloudWatchLog(file, run.region, group, f"{prefix}{place}/{file}") for file in files]
