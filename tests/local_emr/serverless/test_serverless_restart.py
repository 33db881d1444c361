"""What survives the end of an endpoint: applications and job runs, with a reason for what was lost."""

from __future__ import annotations

from tests.local_emr.conftest import client_of
from tests.local_emr.scripted import eventually
from tests.local_emr.serverless.asking import Asker
from tests.local_emr.test_restart import serving


def asking(url) -> Asker:
    return Asker(client=client_of(url, "emr-serverless"), url=url)


def test_job_runs_that_lived_have_failed_and_their_application_has_stopped(tmp_path):
    engines = []
    with serving(tmp_path, engines) as url:
        serverless = asking(url)
        application = serverless.create(tags={"a": "b"}, schedulerConfiguration={"maxConcurrentRuns": 1})
        done = serverless.submit(application, "succeed", clientToken="token")
        serverless.becomes(application, done, "SUCCESS")
        running = serverless.submit(application, "hold", "a", retryPolicy={"maxAttempts": 2})
        serverless.becomes(application, running, "RUNNING")
        waiting = serverless.submit(application, "succeed")
        serverless.becomes(application, waiting, "QUEUED")
    assert engines[0].closed
    with serving(tmp_path) as url:
        serverless = asking(url)
        found = serverless.application(application)
        assert (found["state"], found["stateDetails"], found["tags"]) == (
            "STOPPED",
            "endpoint was restarted",
            {"a": "b"},
        )
        runs = [serverless.job_run(application, run) for run in (done, running, waiting)]
        lost = "The job run failed: endpoint was restarted"
        assert [(run["state"], run["stateDetails"]) for run in runs] == [
            ("SUCCESS", ""),
            ("FAILED", lost),
            ("FAILED", lost),
        ]
        assert serverless.submit(application, "succeed", clientToken="token") == done
        again = serverless.submit(application, "succeed")
        serverless.becomes(application, again, "SUCCESS")


def test_an_application_that_was_deleted_stays_so(tmp_path):
    with serving(tmp_path) as url:
        serverless = asking(url)
        application = serverless.create()
        serverless.client.delete_application(applicationId=application)
    with serving(tmp_path) as url:
        serverless = asking(url)
        eventually(lambda: serverless.application(application)["state"], "TERMINATED")
