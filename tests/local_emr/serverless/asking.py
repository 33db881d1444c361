"""What tests of EMR Serverless ask the control plane for."""

from __future__ import annotations

import json
import urllib.request
from types import SimpleNamespace

from tests.local_emr.scripted import eventually

ROLE = "arn:aws:iam::123456789012:role/job"


class Asker(SimpleNamespace):
    """An endpoint's `client` for EMR Serverless, with what tests ask often."""

    def create(self, *, release="emr-7.10.0", type="Spark", started=False, **more) -> str:  # noqa: A002 - AWS calls it so
        """Create an application, wait until it is there (or started), and return its id."""
        made = self.client.create_application(releaseLabel=release, type=type, **more)["applicationId"]
        eventually(lambda: self.application(made)["state"], "CREATED")
        if started:
            self.client.start_application(applicationId=made)
            eventually(lambda: self.application(made)["state"], "STARTED")
        return made

    def submit(self, application, script, *arguments, parameters=None, **more) -> str:
        """Submit a Spark job run whose end is scripted, and return its id."""
        driver = {"entryPoint": script, "entryPointArguments": list(arguments)}
        if parameters:
            driver["sparkSubmitParameters"] = parameters
        request = {"executionRoleArn": ROLE, "jobDriver": {"sparkSubmit": driver}} | more
        return self.client.start_job_run(applicationId=application, **request)["jobRunId"]

    def application(self, application) -> dict:
        return self.client.get_application(applicationId=application)["application"]

    def job_run(self, application, job_run, **more) -> dict:
        return self.client.get_job_run(applicationId=application, jobRunId=job_run, **more)["jobRun"]

    def state(self, application, job_run) -> str:
        return self.job_run(application, job_run)["state"]

    def becomes(self, application, job_run, state) -> dict:
        """Wait until the job run is in `state`, and return it."""
        eventually(lambda: self.state(application, job_run), state)
        return self.job_run(application, job_run)

    def application_becomes(self, application, state) -> dict:
        """Wait until the application is in `state`, and return it."""
        eventually(lambda: self.application(application)["state"], state)
        return self.application(application)

    def refuse_capacity(self, name, count) -> None:
        """Let the next `count` applications of this name not be had."""
        fault = {"service": "emr-serverless", "fault": "refuse_capacity", "name_contains": name, "count": count}
        self._faults(json.dumps(fault).encode())

    def refusals(self) -> int:
        """Say how often capacity was refused."""
        return sum(fault["struck"] for fault in self._faults()["faults"])

    def _faults(self, body=None):
        with urllib.request.urlopen(f"{self.url}/_local_emr/faults", body) as answer:
            return json.loads(answer.read())
