"""From requests to records; what AWS refuses is refused, in its words where known.

Sources: CreateApplication, UpdateApplication and StartJobRun in the EMR Serverless API reference; "Pre-initialized
capacity", "Updating running applications", "Job concurrency and queuing", "Job resiliency", "Getting started streaming
jobs", "Job run cancellation with grace period" and the release notes of 7.11.0 in the User Guide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local_emr.emr.releases import is_release, number_of
from local_emr.protocol import ServiceError
from local_emr.runs.logs import is_s3_uri
from local_emr.runs.records import new_id
from local_emr.serverless import drivers
from local_emr.serverless.records import EXECUTION_TIMEOUT_MINUTES, STOPPED, Application, ServerlessJobRun
from local_emr.serverless.workers import Capacity, exceeded, quantity, worker

Request = dict[str, Any]

if TYPE_CHECKING:
    from collections.abc import Iterable

WORKER_TYPES = {"Spark": ("DRIVER", "EXECUTOR"), "Hive": ("DRIVER", "HIVE_DRIVER", "TEZ_TASK")}
DRIVERS = {"Spark": "sparkSubmit", "Hive": "hive"}
FIRST_RELEASE = (6, 6)
FIRST_RELEASE_WITH_RETRIES = (7, 1)
FIRST_RELEASE_WITH_LONGEST_BATCH = (7, 11)
LONGEST_BATCH_MINUTES = 7 * 24 * 60
MOST_ATTEMPTS = 10
GRACE_SECONDS = range(15, 1800 + 1)

CHANGED_WHILE_STARTED = ("maximumCapacity", "imageConfiguration", "workerTypeSpecifications", "schedulerConfiguration")
"""What UpdateApplication changes of a started application; of the scheduler only maxConcurrentRuns."""

_SCHEDULER_RANGES = {"queueTimeoutMinutes": (15, 720), "maxConcurrentRuns": (1, 1000)}


def refused(message: str) -> ServiceError:
    """Return the error of a request that is not valid."""
    return ServiceError("ValidationException", message)


def new_application(request: Request, region: str, now: float) -> Application:
    """Return the record of the application that a CreateApplication request asks for."""
    kind = request["type"].capitalize()
    if kind not in WORKER_TYPES:
        raise refused(f"Application type {request['type']} is not supported. Supported types: [SPARK, HIVE]")
    application = Application(
        id=new_id("00"),
        region=region,
        request=request,
        settings=request | {"type": kind},
        created=now,
        updated=now,
        entered=now,
        tags=request.get("tags", {}),
    )
    check_application(application)
    return application


def check_application(application: Application) -> None:
    """Raise ValidationException for a configuration that no application can have."""
    request = application.settings
    _check_release(request["releaseLabel"], application.type)
    for name, (least, most) in _SCHEDULER_RANGES.items():
        value = request.get("schedulerConfiguration", {}).get(name, least)
        if not least <= value <= most:
            raise refused(f"{name} must be between {least} and {most}, inclusive; it is {value}")
    if "schedulerConfiguration" in request and number_of(request["releaseLabel"]) < (7, 0):
        raise refused("schedulerConfiguration is supported with release labels emr-7.0.0 and above")
    _check_monitoring(request.get("monitoringConfiguration", {}))
    _check_capacity(application)


def _check_release(label: str, kind: str) -> None:
    if not is_release(label) or number_of(label) < FIRST_RELEASE:
        raise refused(f"Release label {label} is not supported")
    if kind == "Hive" and label.startswith("emr-spark-"):
        raise refused(f"Release label {label} does not support applications of type Hive")


def _check_monitoring(monitoring: Request) -> None:
    uri = monitoring.get("s3MonitoringConfiguration", {}).get("logUri")
    if uri is not None and not is_s3_uri(uri):
        raise refused(f"The log URI {uri} is not valid: it must be s3://bucket/prefix/")


def _check_capacity(application: Application) -> None:
    """Check the pre-initialized workers: their types, their sizes, and that they fit the maximum capacity."""
    names, total = WORKER_TYPES[application.type], Capacity()
    for name, workers in application.settings.get("initialCapacity", {}).items():
        if name.upper().replace("-", "_") not in {*names, *(known.replace("_", "") for known in names)}:
            raise refused(
                f"Worker type {name} is not valid for a {application.type} application: use {' or '.join(names)}"
            )
        size = workers.get("workerConfiguration")
        if size is not None:
            total += _pre_initialized(size) * workers["workerCount"]
    if limits := exceeded(total, application.settings.get("maximumCapacity")):
        raise refused(f"initialCapacity exceeds maximumCapacity settings: [{limits}]")


def _pre_initialized(size: Request) -> Capacity:
    try:
        cpu, memory, disk = quantity(size["cpu"]), quantity(size["memory"]), quantity(size.get("disk", "20 GB"))
        return worker(cpu, memory, disk, size.get("diskType", "standard"))
    except ValueError as error:
        raise refused(str(error)) from None


def check_state(application: Application, states: Iterable[str]) -> None:
    """Raise ValidationException unless the application is in one of `states`."""
    if application.state not in states:
        allowed = ", ".join(states)
        raise refused(
            f"Application {application.id} must be in one of the following statuses [{allowed}]. "
            f"Current status: {application.state}"
        )


def changed_settings(application: Application, changes: Request) -> Request:
    """Return an application's settings with what an UpdateApplication request changes, which its state must allow."""
    scheduler = changes.get("schedulerConfiguration", {})
    if application.state != "STARTED" or not changes:
        check_state(application, STOPPED)
        return application.settings | changes
    if not set(changes) <= set(CHANGED_WHILE_STARTED) or not set(scheduler) <= {"maxConcurrentRuns"}:
        raise refused(
            "Only the following configurations can be updated when an application is in STARTED state: "
            "schedulerConfiguration.maxConcurrentRuns, imageConfiguration, "
            "workerTypeSpecifications.imageConfiguration, maximumCapacity."
        )
    merged = application.settings.get("schedulerConfiguration", {}) | scheduler
    return application.settings | changes | ({"schedulerConfiguration": merged} if scheduler else {})


def check_grace(seconds: int) -> None:
    """Raise ValidationException for a grace period that no cancelled job run can have."""
    if seconds and seconds not in GRACE_SECONDS:
        allowed = f"0, or between {GRACE_SECONDS[0]} and {GRACE_SECONDS[-1]}"
        raise refused(f"shutdownGracePeriodInSeconds must be {allowed}, inclusive; it is {seconds}")


def new_job_run(application: Application, request: Request, now: float) -> ServerlessJobRun:
    """Return the record of the job run that a StartJobRun request asks for."""
    _check_job_run(application, request)
    run = ServerlessJobRun(
        id=new_id("00"),
        owner=application.id,
        region=application.region,
        request=request,
        created=now,
        tags=request.get("tags", {}),
        type=application.type,
        release=str(application.settings["releaseLabel"]),
    )
    try:
        workers = drivers.workers_of(request["jobDriver"], drivers.configurations_of(application, request))
    except ValueError as error:
        run.problem = str(error)
    else:
        run.cpu, run.memory_gb, run.disk_gb = workers.total.cpu, workers.total.memory_gb, workers.total.disk_gb
        run.billed_disk_gb = workers.billed_disk_gb
    run.retry(now)
    return run


def _check_job_run(application: Application, request: Request) -> None:
    running = ("STARTING", "STARTED")
    check_state(application, (*STOPPED, *running, "STOPPING") if application.starts_itself else running)
    driver = DRIVERS[application.type]
    if driver not in request.get("jobDriver", {}):
        raise refused(f"The job driver is not valid for a {application.type} application: give {driver}")
    _check_monitoring(request.get("configurationOverrides", {}).get("monitoringConfiguration", {}))
    _check_mode(application, request)
    _check_retries(request)


def _check_mode(application: Application, request: Request) -> None:
    """Check what depends on the application's release and type."""
    release, batch = number_of(application.settings["releaseLabel"]), request.get("mode", "BATCH") == "BATCH"
    if not batch and application.type != "Spark":
        raise refused(f"STREAMING mode is not supported for applications of type {application.type}")
    if release < FIRST_RELEASE_WITH_RETRIES and (not batch or "retryPolicy" in request):
        unsupported = "retryPolicy" if batch else "STREAMING mode"
        raise refused(f"{unsupported} is supported with release labels emr-7.1.0 and above")
    minutes = request.get("executionTimeoutMinutes", EXECUTION_TIMEOUT_MINUTES)
    if batch and release >= FIRST_RELEASE_WITH_LONGEST_BATCH and not 1 <= minutes <= LONGEST_BATCH_MINUTES:
        raise refused(f"executionTimeoutMinutes must be between 1 and {LONGEST_BATCH_MINUTES}; it is {minutes}")


def _check_retries(request: Request) -> None:
    streaming, policy = request.get("mode") == "STREAMING", request.get("retryPolicy", {})
    unfit, fit = ("maxAttempts", "maxFailedAttemptsPerHour")[:: 1 if streaming else -1]
    if unfit in policy:
        raise refused(f"{unfit} is not applicable for {'STREAMING' if streaming else 'BATCH'} mode")
    if policy.get(fit, 1) > MOST_ATTEMPTS:
        raise refused(f"{fit} must be between 1 and {MOST_ATTEMPTS}, inclusive; it is {policy[fit]}")
