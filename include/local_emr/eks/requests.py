"""From requests to records; what AWS refuses is refused, in its words where known.

Sources: CreateVirtualCluster, StartJobRun and CreateJobTemplate in the EMR on EKS API reference; "Using job templates",
"Using job retry policies" and "Running Spark SQL scripts" in the Amazon EMR on EKS Development Guide.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from botocore.session import get_session

from local_emr.eks.records import EksJobRun, JobTemplate, VirtualCluster
from local_emr.eks.work import step_of
from local_emr.emr.releases import is_release, number_of
from local_emr.protocol import ServiceError, checked
from local_emr.runs import Attempt
from local_emr.runs.logs import is_s3_uri
from local_emr.runs.records import new_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_emr.protocol import Answer

MOST_ATTEMPTS = 2_147_483_647
FIRST_RELEASE_WITH_SQL = (6, 7)
FIRST_RELEASE_WITH_RETRIES = (6, 9)
JOB = ("executionRoleArn", "releaseLabel", "jobDriver", "configurationOverrides")
"""The members of StartJobRun that a job template may hold."""

_LABEL = re.compile(r"(?P<release>emr-(?:spark-)?[\d.]+)(?:-[a-z][a-z0-9]*)*?-(?:latest|\d{8})")
_PARAMETER = re.compile(r"\$\{([.\-_#A-Za-z0-9]+)\}")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


def refused(message: str) -> ServiceError:
    """Return the error of a request that is not valid."""
    return ServiceError("ValidationException", message)


def missing(message: str) -> ServiceError:
    """Return the error of something that is not there."""
    return ServiceError("ResourceNotFoundException", message)


def new_virtual_cluster(request: Answer, region: str, now: float) -> VirtualCluster:
    """Return the record of the virtual cluster that a request asks for."""
    provider = request["containerProvider"]
    if not provider.get("info", {}).get("eksInfo", {}).get("namespace"):
        raise refused("containerProvider needs the namespace to register: set info.eksInfo.namespace")
    return VirtualCluster(
        id=new_id(length=25),
        region=region,
        request=request,
        created=now,
        tags=request.get("tags", {}),
        scheduler=request.get("schedulerConfiguration"),
    )


def new_template(request: Answer, region: str, now: float) -> JobTemplate:
    """Return the record of the job template that a request asks for."""
    data = request["jobTemplateData"]
    _check_driver(data["jobDriver"])
    for name, configuration in data.get("parameterConfiguration", {}).items():
        if "defaultValue" in configuration:
            _check_type(name, configuration["defaultValue"], configuration)
    return JobTemplate(new_id("0000000", 19), region, request, now, request.get("tags", {}))


def new_job_run(request: Answer, template: JobTemplate | None, region: str, now: float) -> EksJobRun:
    """Return the record of the job run that a request asks for, by itself or by `template`."""
    data = filled_data(request, template) if template else request
    job = {member: data[member] for member in JOB if member in data}
    _check_job(job)
    _check_attempts(request, _release(job["releaseLabel"]))
    return EksJobRun(
        id=new_id("0000000", 19),
        owner=request["virtualClusterId"],
        region=region,
        request=request,
        created=now,
        tags={**data.get("jobTags", {}), **request.get("tags", {})},
        attempts=[Attempt(1, "PENDING", now, now)],
        job=job,
    )


def filled_data(request: Answer, template: JobTemplate) -> Answer:
    """Return a template's data with the request's parameters in place of `${name}`.

    What comes out is checked as if the request had said it.
    """
    if given := [member for member in JOB if member in request]:
        raise refused(f"{given[0]} comes from job template {template.id}: leave it out, or leave out jobTemplateId")
    data = template.request["jobTemplateData"]
    values = parameter_values(data.get("parameterConfiguration", {}), request.get("jobTemplateParameters", {}))
    filled: Answer = _filled({**data, "parameterConfiguration": {}}, values)
    shape = get_session().get_service_model("emr-containers").operation_model("StartJobRun").input_shape
    checked({**request, **{member: filled[member] for member in JOB if member in filled}}, shape)
    return filled


def parameter_values(configured: Mapping[str, Mapping[str, str]], given: Mapping[str, str]) -> dict[str, str]:
    """Return the value of each parameter that a template has: what is given, or its default."""
    if unknown := sorted(set(given) - set(configured)):
        raise refused(f"The job template has no parameter {unknown[0]}; it has {', '.join(configured) or 'none'}")
    defaults = {name: part["defaultValue"] for name, part in configured.items() if "defaultValue" in part}
    values = {**defaults, **given}
    for name, configuration in configured.items():
        if name not in values:
            raise refused(f"Parameter {name} of the job template has no default: give it in jobTemplateParameters")
        _check_type(name, values[name], configuration)
    return values


def _check_type(name: str, value: str, configuration: Mapping[str, str]) -> None:
    if configuration.get("type") == "NUMBER" and not _NUMBER.fullmatch(value):
        raise refused(f"Parameter {name} is a NUMBER, which {value!r} is not")


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    """Return `value` with parameters replaced wherever a text stands; what is no parameter stays."""
    if isinstance(value, str):
        return _PARAMETER.sub(lambda match: values.get(match[1], match[0]), value)
    if isinstance(value, list):
        return [_filled(item, values) for item in value]
    if isinstance(value, dict):
        return {name: _filled(item, values) for name, item in value.items()}
    return value


def _check_job(job: Answer) -> None:
    for member in ("executionRoleArn", "releaseLabel", "jobDriver"):
        if member not in job:
            raise refused(f"{member} is required unless jobTemplateId names a job template that has it")
    _check_driver(job["jobDriver"])
    if _release(job["releaseLabel"]) < FIRST_RELEASE_WITH_SQL and "sparkSqlJobDriver" in job["jobDriver"]:
        raise refused("sparkSqlJobDriver is supported with releases 6.7.0 and higher")
    monitoring = job.get("configurationOverrides", {}).get("monitoringConfiguration", {})
    log_uri = monitoring.get("s3MonitoringConfiguration", {}).get("logUri")
    if log_uri is not None and not is_s3_uri(log_uri):
        raise refused(f"logUri {log_uri} is not valid: it must be s3://bucket/prefix")


def _release(label: str) -> tuple[int, ...]:
    """Return the number of the release that a label such as `emr-7.9.0-latest` names."""
    match = _LABEL.fullmatch(label)
    if match is None or not is_release(match["release"]):
        raise missing(f"Release {label} doesn't exist.")
    return number_of(match["release"])


def _check_driver(driver: Answer) -> None:
    if len(driver) != 1:
        raise refused("jobDriver needs exactly one of sparkSubmitJobDriver and sparkSqlJobDriver")
    if "entryPoint" not in next(iter(driver.values())):
        raise refused("sparkSqlJobDriver needs an entryPoint, the script's location such as s3://bucket/script.sql")
    try:
        step_of(driver)
    except ValueError as error:
        raise refused(f"The driver's parameters cannot be split into words: {error}") from None


def _check_attempts(request: Answer, release: tuple[int, ...]) -> None:
    most = request.get("retryPolicyConfiguration", {}).get("maxAttempts", 1)
    if "retryPolicyConfiguration" in request and release < FIRST_RELEASE_WITH_RETRIES:
        raise refused("retryPolicyConfiguration is supported with releases 6.9.0 and higher")
    if not 1 <= most <= MOST_ATTEMPTS:
        raise refused("Retry policy configuration's parameter value of maxAttempts is invalid")
