"""The applications of EMR Serverless that a lease or a deployment has: found by name, created and started once, ended."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from botocore.exceptions import ClientError

from emr_pipelines.errors import ComputeError, ComputeOccupiedError
from emr_pipelines.jobs import Engine
from emr_pipelines.keys import Lease
from emr_pipelines.targets.base import Clients
from emr_pipelines.targets.job_runs import create_once
from emr_pipelines.targets.profile import DEPLOYMENT_TAG
from emr_pipelines.targets.refusals import is_unknown
from emr_pipelines.targets.serverless_jobs import LIVE_RUNS, PHASES, application_state, was_stopped_by_hand
from emr_pipelines.targets.serverless_profile import ENGINES, ServerlessProfile, differences_of
from emr_pipelines.targets.states import ComputeState, Fault, Phase
from emr_pipelines.targets.waiting import wait_until

_log = logging.getLogger(__name__)

_KNOWN = [state for state in PHASES if state != "TERMINATED"]
_LEASED_NAME = re.compile(r"[0-9a-f]{16}-(spark|hive)-")

_SETTLE_SECONDS = 60.0
_CANCEL_SECONDS = 120.0
_STOP_SECONDS = 60.0
"""Seconds that release waits for an application to stop, so that it can be deleted: from STOPPING on it costs nothing."""


class Applications:
    """What EMR Serverless has, as far as it concerns one profile."""

    def __init__(self, profile: ServerlessProfile, clients: Clients) -> None:
        self._profile = profile
        self._clients = clients

    @property
    def client(self) -> Any:
        """The client of EMR Serverless; every call may be repeated, for those that create take a client token."""
        return self._clients.repeating("emr-serverless")

    def listed(self, states: Iterable[str] = _KNOWN) -> list[dict[str, Any]]:
        """List all that there are, whoever made them, oldest first."""
        pages = self.client.get_paginator("list_applications").paginate(states=list(states))
        found = [application for page in pages for application in page["applications"]]
        return sorted(found, key=lambda one: (one["createdAt"], one["id"]))

    def describe(self, application: str) -> dict[str, Any]:
        """Return an ``Application``. Raises ``ClientError`` when the service does not know it."""
        described: dict[str, Any] = self.client.get_application(applicationId=application)["application"]
        return described

    def state_of(self, application: Mapping[str, Any]) -> ComputeState:
        """Translate the state of an application, or of its summary, which does not tell whether job runs start it."""
        own = application.get("autoStartConfiguration", {})
        return application_state(application, auto_start=own.get("enabled", self._profile.auto_start))

    def state(self, application: str) -> ComputeState:
        """Ask how an application stands; one that the service no longer knows has ended."""
        try:
            return self.state_of(self.describe(application))
        except ClientError as error:
            if is_unknown(error):
                return ComputeState(Phase.ENDED, f"EMR Serverless knows no application {application}", Fault.SERVICE)
            raise

    def of(self, lease: Lease, listed: Iterable[Mapping[str, Any]]) -> dict[Engine, list[str]]:
        """Pick the ids that a lease works on by engine, oldest first; those that ended only where the profile keeps them."""
        found: dict[Engine, list[str]] = {engine: [] for engine in ENGINES}
        names = {self._profile.application_name(lease, engine): engine for engine in ENGINES}
        for application in listed:
            engine = names.get(application.get("name", ""))
            kept = self._profile.owner == "profile"
            if engine and (kept or self.state_of(application).phase is not Phase.ENDED):
                found[engine].append(application["id"])
        return found

    def create(self, lease: Lease, engine: Engine) -> str:
        """Create the application for an engine, once for all who ask at the same moment."""
        request = self._profile.request(lease, engine)
        made = create_once(
            request,
            lambda token: str(self.client.create_application(clientToken=token, **request)["applicationId"]),
            lambda application: self.state(application).phase is Phase.ENDED,
            lambda: self._ended_under(request["name"]),
        )
        if made is None:
            raise ComputeError(
                f"Every application that was created for {request['name']} has ended again. Nothing runs; a retry creates another."
            )
        return made

    def _ended_under(self, name: str) -> list[str]:
        named = [one for one in self.listed(PHASES) if one.get("name") == name]
        return [one["id"] for one in named if self.state_of(one).phase is Phase.ENDED]

    def settled(self, application: str) -> dict[str, Any]:
        """Describe an application once it is no longer being created or stopped, or after a minute."""
        return wait_until(
            lambda: self.describe(application),
            lambda one: one["state"] not in ("CREATING", "STOPPING"),
            _SETTLE_SECONDS,
        )

    def start(self, settled: Mapping[str, Any]) -> None:
        """Start a settled application that has not started."""
        if settled["state"] not in ("CREATED", "STOPPED"):
            return
        application = settled["applicationId"]
        try:
            self.client.start_application(applicationId=application)
        except ClientError:
            # Somebody else may have started it at the same moment.
            if self.describe(application)["state"] not in ("STARTING", "STARTED"):
                raise

    def check_kept(self, found: Mapping[str, Any], lease: Lease, engine: Engine) -> None:
        """Check that a settled application found by its name is the one that the profile keeps; warn of other settings.

        :raises ComputeError: it is of another type or release, another deployment's, or somebody stopped it.
        """
        application, name = found["applicationId"], found.get("name")
        owner = found.get("tags", {}).get(DEPLOYMENT_TAG)
        if owner != lease.deployment:
            raise ComputeError(
                f"Application {application} is called {name!r} and belongs to {owner or 'nobody'}, not to deployment "
                f"{lease.deployment!r}: rename the profile, or delete that application. Nothing was started."
            )
        if found["type"].lower() != engine:
            raise ComputeError(
                f"Application {application} is called {name!r} and is of type {found['type']}, where the profile needs {engine}: "
                "delete it, and the next run creates the right one. Nothing was started."
            )
        if found["releaseLabel"] != self._profile.release:
            raise ComputeError(
                f"Application {application} ({name!r}) has release {found['releaseLabel']}, and its profile says "
                f"{self._profile.release}: stop and update it (aws emr-serverless update-application), or change the profile. "
                "Nothing was started."
            )
        if was_stopped_by_hand(found):
            raise ComputeError(
                f"Application {application} ({name!r}) was stopped by hand: start it again "
                f"(aws emr-serverless start-application --application-id {application}). Nothing was started."
            )
        if differences := differences_of(self._profile.request(lease, engine), found):
            _log.warning(
                "Application %s (%r) is used as it is, but its profile says otherwise: %s. Stop and update it (aws emr-serverless "
                "update-application), or change the profile.",
                application,
                name,
                "; ".join(differences),
            )

    def sweep(self, deployment: str, listed: Iterable[Mapping[str, Any]]) -> None:
        """Delete what runs of a deployment left: a release that did not wait for its end, or a start that was refused.

        One that stopped for being idle is left, for its run may be live and have more jobs, unless these could not start it.
        """
        for application in listed:
            if application["state"] in ("CREATED", "STOPPED") and _LEASED_NAME.match(application.get("name", "")):
                with suppress(ClientError):
                    found = self.describe(application["id"])
                    ours = found.get("tags", {}).get(DEPLOYMENT_TAG) == deployment
                    if ours and found["state"] in ("CREATED", "STOPPED") and self.state_of(found).phase is Phase.ENDED:
                        self.client.delete_application(applicationId=application["id"])

    def owned(self, deployment: str) -> list[tuple[dict[str, Any], dict[str, str]]]:
        """List the applications of a deployment that have not ended, with their tags."""
        ours = re.compile(rf"{_LEASED_NAME.pattern}|{re.escape(deployment)}-(spark|hive)-")
        found = []
        for application in self.listed():
            # Other profiles may say otherwise about auto_start than this one.
            ended = application_state(application, auto_start=True).phase is Phase.ENDED
            if ours.match(application.get("name", "")) and not ended:
                tags = self._tags(application["id"])
                if tags.get(DEPLOYMENT_TAG) == deployment:
                    found.append((application, tags))
        return found

    def live_runs(self, application: str) -> list[dict[str, Any]]:
        """List the job runs that have not ended; none on an application that the service does not know."""
        pages = self.client.get_paginator("list_job_runs").paginate(applicationId=application, states=LIVE_RUNS)
        try:
            return [run for page in pages for run in page["jobRuns"]]
        except ClientError as error:
            if is_unknown(error):
                return []
            raise

    def cancel(self, application: str, run: str) -> None:
        """Cancel a job run; nothing happens when it has ended, or nobody knows it."""
        try:
            self.client.cancel_job_run(applicationId=application, jobRunId=run)
        except ClientError as error:
            if not is_unknown(error) and any(live["id"] == run for live in self.live_runs(application)):
                raise

    def end(self, applications: Iterable[str]) -> None:
        """Cancel what runs, stop, and delete what stops soon; what stops later costs nothing, and ``sweep`` deletes it.

        :raises ComputeOccupiedError: job runs still work although they were cancelled, so that nothing could be stopped.
        """
        ending = [one for one in applications if self._state(one) is not None]
        for application in ending:
            for run in self.live_runs(application):
                self.cancel(application, run["id"])
        for application in ending:
            self._stop(application)
        for application in ending:
            self._delete(application)

    def _stop(self, application: str) -> None:
        if left := wait_until(lambda: self.live_runs(application), lambda runs: not runs, _CANCEL_SECONDS):
            raise ComputeOccupiedError(
                f"Job run {left[0]['id']} was cancelled and is still {left[0]['state']}: application {application} still runs and "
                "costs. A retry of release ends it."
            )
        wait_until(lambda: self._state(application), lambda state: state != "CREATING", _SETTLE_SECONDS)
        try:
            self.client.stop_application(applicationId=application)
        except ClientError:
            if self._state(application) in ("STARTING", "STARTED"):
                raise

    def _delete(self, application: str) -> None:
        wait_until(lambda: self._state(application), lambda state: state not in ("STARTED", "STOPPING"), _STOP_SECONDS)
        try:
            self.client.delete_application(applicationId=application)
        except ClientError:
            if self._state(application) in ("CREATED", "STARTING", "STARTED"):
                raise

    def _state(self, application: str) -> str | None:
        try:
            return str(self.describe(application)["state"])
        except ClientError as error:
            if is_unknown(error):
                return None
            raise

    def _tags(self, application: str) -> dict[str, str]:
        try:
            return dict(self.describe(application).get("tags", {}))
        except ClientError as error:
            if is_unknown(error):
                return {}
            raise
