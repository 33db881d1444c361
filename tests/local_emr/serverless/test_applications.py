"""Applications of EMR Serverless: their states over time, what may be done in which, and how they are listed."""

from __future__ import annotations

import re

import pytest

from tests.local_emr.asking import refusal
from tests.local_emr.scripted import eventually

NONE = "00none"


def test_a_description_gives_back_what_was_asked_for_and_the_defaults(serverless):
    asked = {
        "name": "flights",
        "tags": {"owner": "run"},
        "initialCapacity": {"DRIVER": {"workerCount": 1, "workerConfiguration": {"cpu": "2 vCPU", "memory": "4 GB"}}},
        "maximumCapacity": {"cpu": "16 vCPU", "memory": "64 GB"},
        "networkConfiguration": {"subnetIds": ["subnet-1"], "securityGroupIds": ["sg-1"]},
        "runtimeConfiguration": [{"classification": "spark-defaults", "properties": {"a": "b"}}],
        "schedulerConfiguration": {"maxConcurrentRuns": 3},
        "architecture": "ARM64",
    }
    application = serverless.create(type="SPARK", **asked)
    found = serverless.application(application)
    assert asked | {"schedulerConfiguration": {"maxConcurrentRuns": 3, "queueTimeoutMinutes": 360}} == {
        name: found[name] for name in asked
    }
    assert (
        found["type"],
        found["releaseLabel"],
        found["autoStartConfiguration"],
        found["autoStopConfiguration"],
    ) == ("Spark", "emr-7.10.0", {"enabled": True}, {"enabled": True, "idleTimeoutMinutes": 15})
    assert re.fullmatch("00[a-z0-9]{14}", application)
    assert found["arn"] == f"arn:aws:emr-serverless:us-east-1:123456789012:/applications/{application}"


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"releaseLabel": "emr-7.99.0"}, "Release label emr-7.99.0 is not supported"),
        ({"releaseLabel": "emr-5.36.0"}, "Release label emr-5.36.0 is not supported"),
        ({"type": "Presto"}, "Application type Presto is not supported"),
        ({"type": "Hive", "releaseLabel": "emr-spark-8.0.0"}, "does not support applications of type Hive"),
        ({"schedulerConfiguration": {"maxConcurrentRuns": 0}}, "maxConcurrentRuns must be between 1 and 1000"),
        ({"schedulerConfiguration": {"queueTimeoutMinutes": 14}}, "queueTimeoutMinutes must be between 15 and 720"),
        ({"schedulerConfiguration": {}, "releaseLabel": "emr-6.15.0"}, "emr-7.0.0 and above"),
        (
            {"monitoringConfiguration": {"s3MonitoringConfiguration": {"logUri": "/tmp/logs"}}},
            "The log URI /tmp/logs is not valid",
        ),
        ({"initialCapacity": {"TEZ_TASK": {"workerCount": 1}}}, "Worker type TEZ_TASK is not valid for a Spark"),
        (
            {
                "initialCapacity": {
                    "EXECUTOR": {"workerCount": 3, "workerConfiguration": {"cpu": "4 vCPU", "memory": "16 GB"}}
                },
                "maximumCapacity": {"cpu": "8 vCPU", "memory": "64 GB"},
            },
            "initialCapacity exceeds maximumCapacity settings: [cpu: 8 vCPU]",
        ),
        (
            {
                "initialCapacity": {
                    "DRIVER": {"workerCount": 1, "workerConfiguration": {"cpu": "3 vCPU", "memory": "16 GB"}}
                }
            },
            "Worker with 3 vCPU is not supported",
        ),
        ({"maximumCapacity": {"cpu": "four", "memory": "64 GB"}}, "satisfy regular expression pattern"),
        ({"architecture": "SPARC"}, "enum value set: [ARM64, X86_64]"),
    ],
)
def test_what_no_application_can_be_is_refused(serverless, request_, words):
    code, message = refusal(
        serverless.client.create_application, **{"releaseLabel": "emr-7.10.0", "type": "Spark", **request_}
    )
    assert code == "ValidationException"
    assert words in message


def test_an_application_starts_stops_and_is_deleted(serverless):
    application = serverless.create()
    client = serverless.client
    client.start_application(applicationId=application)
    serverless.application_becomes(application, "STARTED")
    client.start_application(applicationId=application)
    for call in (client.delete_application, client.update_application):
        assert refusal(call, applicationId=application) == (
            "ValidationException",
            (
                f"Application {application} must be in one of the following statuses [CREATED, STOPPED]. "
                "Current status: STARTED"
            ),
        )
    client.stop_application(applicationId=application)
    serverless.application_becomes(application, "STOPPED")
    client.stop_application(applicationId=application)
    client.delete_application(applicationId=application)
    assert serverless.application(application)["state"] == "TERMINATED"
    assert refusal(client.start_application, applicationId=application)[0] == "ValidationException"
    folder = serverless.data / "serverless" / application
    assert set(serverless.engine.released) == {folder}


def test_starting_takes_as_long_as_booting_and_other_changes_a_quarter(slow_serverless):
    clock, client = slow_serverless.clock, slow_serverless.client
    application = client.create_application(releaseLabel="emr-7.10.0", type="Spark")["applicationId"]

    def state():
        return slow_serverless.application(application)["state"]

    clock.advance(24)
    assert state() == "CREATING"
    assert refusal(client.start_application, applicationId=application)[0] == "ValidationException"
    clock.advance(1)
    eventually(state, "CREATED")
    client.start_application(applicationId=application)
    clock.advance(99)
    assert state() == "STARTING"
    clock.advance(1)
    eventually(state, "STARTED")
    client.stop_application(applicationId=application)
    clock.advance(24)
    assert state() == "STOPPING"
    clock.advance(1)
    eventually(state, "STOPPED")


def test_an_application_stops_itself_when_it_was_idle_for_so_long_at_a_stretch(serverless):
    application = serverless.create(autoStopConfiguration={"idleTimeoutMinutes": 5}, started=True)
    eventually(lambda: _is_idle(serverless, application), expected=True)
    serverless.clock.advance(240)
    run = serverless.submit(application, "hold", "a")
    serverless.becomes(application, run, "RUNNING")
    serverless.clock.advance(600)
    serverless.client.cancel_job_run(applicationId=application, jobRunId=run)
    ended = serverless.becomes(application, run, "CANCELLED")["endedAt"]
    eventually(lambda: _is_idle(serverless, application), expected=True)
    serverless.clock.advance(299)
    assert serverless.application(application)["state"] == "STARTED"
    serverless.clock.advance(1)
    found = serverless.application_becomes(application, "STOPPED")
    assert found["stateDetails"] == "AUTO_STOPPING"
    assert (found["updatedAt"] - ended).total_seconds() == 300


def _is_idle(serverless, application):
    """Say whether the application's record knows that it is idle."""
    record = (serverless.data / "serverless" / application / "application.json").read_text()
    return '"idle_since": null' not in record


def test_an_application_is_not_stopped_while_it_has_job_runs(serverless):
    application = serverless.create()
    run = serverless.submit(application, "hold", "a")
    serverless.becomes(application, run, "RUNNING")
    code, message = refusal(serverless.client.stop_application, applicationId=application)
    assert (code, message) == (
        "ValidationException",
        (
            f"Application {application} cannot be stopped: 1 job runs have not ended. "
            "Cancel them, or wait until they have ended."
        ),
    )


def test_an_update_changes_what_it_names_and_is_refused_whole(serverless):
    application = serverless.create(maximumCapacity={"cpu": "16 vCPU", "memory": "64 GB"}, name="first")
    client = serverless.client
    client.update_application(applicationId=application, autoStartConfiguration={"enabled": False})
    bad = {"releaseLabel": "emr-0.0.0", "architecture": "ARM64"}
    assert refusal(client.update_application, applicationId=application, **bad)[0] == "ValidationException"
    found = serverless.application(application)
    assert (
        found["autoStartConfiguration"],
        found["maximumCapacity"],
        found["releaseLabel"],
        found["architecture"],
        found["name"],
    ) == ({"enabled": False}, {"cpu": "16 vCPU", "memory": "64 GB"}, "emr-7.10.0", "X86_64", "first")
    assert refusal(serverless.submit, application=application, script="succeed")[0] == "ValidationException"


def test_the_same_token_and_request_make_one_application(serverless):
    request = {"releaseLabel": "emr-7.10.0", "type": "Spark", "clientToken": "token", "name": "a"}
    create = serverless.client.create_application
    first = create(**request)["applicationId"]
    serverless.application_becomes(first, "CREATED")
    serverless.client.update_application(applicationId=first, architecture="ARM64")
    assert create(**request)["applicationId"] == first
    assert refusal(create, **{**request, "name": "b"})[0] == "ConflictException"
    assert len(serverless.client.list_applications()["applications"]) == 1


def test_applications_are_listed_newest_first_by_page_and_by_state(serverless):
    made = []
    for _ in range(5):
        made.append(serverless.create())
        serverless.clock.advance(1)
    for application in made[:2]:
        serverless.client.delete_application(applicationId=application)
    first = serverless.client.list_applications(maxResults=2)
    serverless.create()
    rest = serverless.client.list_applications(maxResults=50, nextToken=first["nextToken"])
    assert [entry["id"] for entry in first["applications"] + rest["applications"]] == made[::-1]
    assert "nextToken" not in rest
    grouped = serverless.client.list_applications(states=["TERMINATED", "CREATED"])["applications"]
    assert [entry["state"] for entry in grouped] == ["TERMINATED"] * 2 + ["CREATED"] * 4
    assert refusal(serverless.client.list_applications, nextToken="none")[0] == "ValidationException"


def test_tags_come_and_go_on_applications_and_job_runs(serverless):
    application = serverless.create(tags={"a": "1"})
    run = serverless.submit(application, "succeed", tags={"b": "2"})
    serverless.becomes(application, run, "SUCCESS")
    client = serverless.client
    for arn, key in (
        (serverless.application(application)["arn"], "a"),
        (serverless.job_run(application, run)["arn"], "b"),
    ):
        client.tag_resource(resourceArn=arn, tags={"owner": "me", "empty": ""})
        client.untag_resource(resourceArn=arn, tagKeys=[key, "none"])
        assert client.list_tags_for_resource(resourceArn=arn)["tags"] == {"owner": "me", "empty": ""}
    assert serverless.application(application)["tags"] == {"owner": "me", "empty": ""}
    assert serverless.job_run(application, run)["tags"] == {"owner": "me", "empty": ""}


def test_what_does_not_exist_is_not_found(serverless, endpoint):
    application = serverless.create()
    run = serverless.submit(application, "succeed")
    client = serverless.client
    arn = f"arn:aws:emr-serverless:us-east-1:123456789012:/applications/{NONE}"
    calls = [
        (client.get_application, {"applicationId": NONE}),
        (client.start_job_run, {"applicationId": NONE, "executionRoleArn": "arn:aws:iam::123456789012:role/job"}),
        (client.get_job_run, {"applicationId": application, "jobRunId": NONE}),
        (client.get_job_run, {"applicationId": application, "jobRunId": run, "attempt": 2}),
        (client.cancel_job_run, {"applicationId": application, "jobRunId": NONE}),
        (client.list_tags_for_resource, {"resourceArn": arn}),
        (endpoint.client("emr-serverless", "eu-west-1").get_application, {"applicationId": application}),
    ]
    assert [refusal(call, **request)[0] for call, request in calls] == ["ResourceNotFoundException"] * len(calls)


def test_an_application_that_cannot_be_had_is_as_it_was_and_its_job_runs_fail(serverless):
    application = serverless.create(name="flights")
    serverless.refuse_capacity("flights", count=2)
    run = serverless.submit(application, "succeed")
    details = "The application could not be started: there is not enough capacity to initialize it"
    assert serverless.becomes(application, run, "FAILED")["stateDetails"] == details
    found = serverless.application_becomes(application, "CREATED")
    assert found["stateDetails"] == details
    serverless.client.start_application(applicationId=application)
    eventually(serverless.refusals, 2)
    serverless.application_becomes(application, "CREATED")
    run = serverless.submit(application, "succeed")
    serverless.becomes(application, run, "SUCCESS")
