"""The operations of EMR Serverless. Each takes botocore's view of the request and returns botocore's view of the answer."""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import TYPE_CHECKING, Protocol

from local_emr.history import HistoryError
from local_emr.protocol import ServiceError
from local_emr.runs import Machine, Records
from local_emr.runs.records import lose
from local_emr.runs.requests import created_in, page, repeated
from local_emr.serverless import lifecycle, requests, views
from local_emr.serverless.queue import SERVICE, ApplicationQueue, event_log_name
from local_emr.serverless.records import STOPPED, Application, ServerlessJobRun

if TYPE_CHECKING:
    from local_emr.faults import Faults
    from local_emr.protocol import Answer, Caller
    from local_emr.runs import Attempt
    from local_emr.runs.requests import Key

logger = logging.getLogger(__name__)

PAGE = 50


class History(Protocol):
    """Shows Spark's event logs; see `local_emr.history`."""

    def url(self, name: str) -> str | None:
        """Return where the Spark UI of what is called `name` can be seen; None when it has no event log."""


class EmrServerless:
    """The control plane's operations, named as in boto3."""

    def __init__(self, machine: Machine, *, faults: Faults, history: History) -> None:
        self.machine = machine
        self.faults = faults
        self.history = history
        folder = machine.data / "serverless"
        self._applications = Records(folder, "*/application.json", Application.read, machine.clock)
        self._job_runs = Records(folder, "*/jobruns/*.json", ServerlessJobRun.read, machine.clock)
        self._creating = threading.Lock()
        self._preparing = threading.Lock()
        runs = list(self._job_runs.load())
        self._queues = {
            application.id: self._queue(application, [run for run in runs if run.owner == application.id])
            for application in self._applications.load()
        }
        for queue in self._queues.values():
            if queue.owner.state != "TERMINATED":
                self._recover(queue)
        faults.at_once(SERVICE, lambda fault: sum(queue.strike(fault) for queue in list(self._queues.values())))

    def close(self) -> None:
        """Make no further move; the records keep their last state, and the next start calls lost what lived."""
        for queue in list(self._queues.values()):
            queue.close()

    # Applications

    def create_application(self, request: Answer, caller: Caller) -> Answer:
        """Create an application."""
        with self._creating:
            existing = [queue.owner for queue in self._queues.values() if queue.owner.region == caller.region]
            application = repeated(existing, request, "ConflictException")
            if application is None:
                application = requests.new_application(request, caller.region, self.machine.clock.now())
                queue = self._queues[application.id] = self._queue(application, [])
                queue.begin()
        threading.Thread(target=self._prepare, name="prepare", daemon=True).start()
        return {"applicationId": application.id, "name": application.name or None, "arn": application.arn}

    def get_application(self, request: Answer, caller: Caller) -> Answer:
        """Describe an application."""
        with self._find(request, caller).reading() as application:
            return {"application": views.application_view(application)}

    def list_applications(self, request: Answer, caller: Caller) -> Answer:
        """List applications, newest first, grouped by state when several states are asked for."""
        states = request.get("states") or []
        wanted = [
            application
            for application in self._applications.listed(self.faults.lag(SERVICE))
            if application.region == caller.region and (not states or application.state in states)
        ]
        key = partial(_newest_first, states=states)
        applications, token = page(wanted, key, request.get("nextToken"), request.get("maxResults", PAGE))
        return {
            "applications": [views.application_summary(application) for application in applications],
            "nextToken": token,
        }

    def update_application(self, request: Answer, caller: Caller) -> Answer:
        """Change an application; of one that is started, how much may run and in which image."""
        changes = {name: value for name, value in request.items() if name not in {"applicationId", "clientToken"}}
        with self._find(request, caller).changing() as application:
            before, application.settings = application.settings, requests.changed_settings(application, changes)
            try:
                requests.check_application(application)
            except ServiceError:
                application.settings = before
                raise
            application.updated = self.machine.clock.now()
            return {"application": views.application_view(application)}

    def start_application(self, request: Answer, caller: Caller) -> Answer:
        """Begin to start an application; one that has started already is left alone."""
        queue = self._find(request, caller)
        with queue.changing() as application:
            requests.check_state(application, (*STOPPED, "STARTING", "STARTED"))
            if application.state in STOPPED:
                queue.make(lifecycle.EnterApplication("STARTING"))
        return {}

    def stop_application(self, request: Answer, caller: Caller) -> Answer:
        """Begin to stop an application without job runs; one that has stopped already is left alone."""
        queue = self._find(request, caller)
        with queue.changing() as application:
            requests.check_state(application, (*STOPPED, "STARTING", "STARTED", "STOPPING"))
            if live := queue.live():
                message = f"Application {application.id} cannot be stopped: {len(live)} job runs have not ended"
                raise requests.refused(f"{message}. Cancel them, or wait until they have ended.")
            if application.state in {"STARTING", "STARTED"}:
                queue.make(lifecycle.EnterApplication("STOPPING"))
        return {}

    def delete_application(self, request: Answer, caller: Caller) -> Answer:
        """End an application that is not started; it can be described afterwards."""
        queue = self._find(request, caller)
        with queue.changing() as application:
            requests.check_state(application, STOPPED)
            queue.make(lifecycle.EnterApplication("TERMINATED"))
        return {}

    # Job runs

    def start_job_run(self, request: Answer, caller: Caller) -> Answer:
        """Submit a job run."""
        queue = self._find(request, caller)
        with queue.changing() as application:
            run = repeated(queue.runs.values(), request, "ConflictException")
            if run is None:
                run = requests.new_job_run(application, request, self.machine.clock.now())
                queue.runs[run.id] = run
        return {"applicationId": application.id, "jobRunId": run.id, "arn": run.arn}

    def get_job_run(self, request: Answer, caller: Caller) -> Answer:
        """Describe a job run, at one of its attempts or the latest."""
        queue = self._find(request, caller)
        with queue.reading() as application:
            run = _run(queue, request)
            return {"jobRun": views.job_run_view(application, run, _attempt(run, request))}

    def list_job_runs(self, request: Answer, caller: Caller) -> Answer:
        """List job runs, newest first, grouped by state when several states are asked for."""
        queue, states, mode = self._find(request, caller), request.get("states") or [], request.get("mode")
        wanted = [
            run
            for run in self._job_runs.listed(self.faults.lag(SERVICE), queue.owner.id)
            if run.id not in queue.forgotten
            and (not states or run.state in states)
            and mode in {None, run.mode}
            and created_in(run.created, request.get("createdAtAfter"), request.get("createdAtBefore"))
        ]
        key = partial(_newest_first, states=states)
        runs, token = page(wanted, key, request.get("nextToken"), request.get("maxResults", PAGE))
        return {"jobRuns": [views.job_run_summary(run) for run in runs], "nextToken": token}

    def list_job_run_attempts(self, request: Answer, caller: Caller) -> Answer:
        """List a job run's attempts, newest first."""
        queue = self._find(request, caller)
        with queue.reading():
            run = _run(queue, request)
            token, most = request.get("nextToken"), request.get("maxResults", PAGE)
            attempts, token = page(run.attempts, lambda attempt: (-attempt.number,), token, most)
            return {
                "jobRunAttempts": [views.attempt_summary(run, attempt) for attempt in attempts],
                "nextToken": token,
            }

    def cancel_job_run(self, request: Answer, caller: Caller) -> Answer:
        """Cancel a job run. TERM comes first and KILL five seconds later, whatever grace period is asked for."""
        queue = self._find(request, caller)
        requests.check_grace(request.get("shutdownGracePeriodInSeconds", 0))
        with queue.changing():
            run = _run(queue, request)
            if reason := lifecycle.cancel(run, self.machine.clock.now()):
                raise requests.refused(reason)
            queue.end_process(run)
        return {"applicationId": run.owner, "jobRunId": run.id}

    def get_dashboard_for_job_run(self, request: Answer, caller: Caller) -> Answer:
        """Return where the Spark UI of a job run can be seen."""
        queue = self._find(request, caller)
        with queue.reading():
            run = _run(queue, request)
            attempt = _attempt(run, request)
        if run.type != "Spark":
            raise requests.refused(f"The application UI of job run {run.id} is not available: it runs no Spark")
        if attempt.started is None:
            raise requests.refused(f"Dashboard cannot be served for job in {attempt.state} state")
        try:
            url = self.history.url(event_log_name(run, attempt.number))
        except HistoryError as error:
            raise ServiceError("InternalServerException", f"{error}", status=500) from None
        if url is None:
            raise requests.refused(
                f"The application UI of job run {run.id} is not available: Spark has written no event log in "
                f"attempt {attempt.number}, which is {attempt.state}"
            )
        return {"url": url}

    # Tags

    def tag_resource(self, request: Answer, caller: Caller) -> Answer:
        """Add tags to an application or a job run."""
        queue, record = self._tagged(request, caller)
        with queue.changing(*_runs_of(record)):
            record.tags = record.tags | request["tags"]
        return {}

    def untag_resource(self, request: Answer, caller: Caller) -> Answer:
        """Remove tags from an application or a job run."""
        queue, record = self._tagged(request, caller)
        with queue.changing(*_runs_of(record)):
            record.tags = {key: value for key, value in record.tags.items() if key not in request["tagKeys"]}
        return {}

    def list_tags_for_resource(self, request: Answer, caller: Caller) -> Answer:
        """List the tags of an application or a job run."""
        return {"tags": self._tagged(request, caller)[1].tags}

    # What the operations share

    def _queue(self, application: Application, runs: list[ServerlessJobRun]) -> ApplicationQueue:
        return ApplicationQueue(
            application,
            runs,
            self.machine,
            applications=self._applications,
            job_runs=self._job_runs,
            faults=self.faults,
        )

    def _recover(self, queue: ApplicationQueue) -> None:
        """Call lost what lived when the endpoint ended, and go on from there."""
        now = self.machine.clock.now()
        with queue.changing() as application:
            lifecycle.lose(application, now)
            for run in queue.live():
                lose(run, now)
        queue.begin()

    def _prepare(self) -> None:
        """Use the time until the first job run to get the engine ready; a job does it otherwise, and reports what fails."""
        with self._preparing:
            try:
                self.machine.engine.prepare()
            except Exception:
                logger.exception("the engine could not be prepared")

    def _find(self, request: Answer, caller: Caller) -> ApplicationQueue:
        queue = self._queues.get(request["applicationId"])
        if queue is None or queue.owner.region != caller.region:
            raise _not_found(f"Application {request['applicationId']} does not exist")
        return queue

    def _tagged(self, request: Answer, caller: Caller) -> tuple[ApplicationQueue, Application | ServerlessJobRun]:
        """Return what a resource's ARN names, and the application it belongs to."""
        _, _, application_id, *rest = request["resourceArn"].rpartition(":")[2].split("/")
        queue = self._find({"applicationId": application_id}, caller)
        if not rest:
            return queue, queue.owner
        return queue, _run(queue, {"jobRunId": rest[-1]})


def _runs_of(record: Application | ServerlessJobRun) -> tuple[ServerlessJobRun, ...]:
    return (record,) if isinstance(record, ServerlessJobRun) else ()


def _newest_first(record: Application | ServerlessJobRun, states: list[str]) -> Key:
    group = states.index(record.state) if record.state in states else len(states)  # it may change meanwhile
    return (group, -record.created, record.id)


def _run(queue: ApplicationQueue, request: Answer) -> ServerlessJobRun:
    run = queue.runs.get(request["jobRunId"])
    if run is None or run.id in queue.forgotten:
        raise _not_found(f"JobRun {request['jobRunId']} does not exist")
    return run


def _attempt(run: ServerlessJobRun, request: Answer) -> Attempt:
    number: int = request.get("attempt", len(run.attempts))
    if number > len(run.attempts):
        raise _not_found(f"Attempt {number} of JobRun {run.id} does not exist")
    return run.attempts[number - 1]


def _not_found(message: str) -> ServiceError:
    return ServiceError("ResourceNotFoundException", message, status=404)
