"""Encryption of the managed services: the requests that settings become, what is relaxed, and what is refused."""

from __future__ import annotations

import pytest
from botocore.session import get_session
from botocore.validate import ParamValidator
from pydantic import ValidationError

from emr_pipelines import HiveJob, SparkJob, SparkSqlJob
from emr_pipelines.keys import Key, Lease
from emr_pipelines.targets import eks_jobs, serverless_jobs
from emr_pipelines.targets.eks_profile import EksProfile
from emr_pipelines.targets.serverless_profile import ServerlessProfile, differences_of

LEASE = Lease("dev", "flights_daily", "manual__2013-01-15T00:00:00+00:00", "emr")
KEY = Key(LEASE, "emr.clean", -1, "nonce")
KMS = "arn:aws:kms:us-east-1:123456789012:key/12345678-1234-1234-1234-12345678901"
DISKS, LOGS, MANAGED, WATCHED = (f"{KMS}{number}" for number in range(4))
ELSEWHERE = DISKS.replace("us-east-1", "eu-west-1")
CODE = {
    "jobs/a.py": "s3://code/a.py",
    "jobs/spark_sql.py": "s3://code/spark_sql.py",
    "q.sql": "s3://code/q.sql",
    "q.hql": "s3://code/q.hql",
}
SPARK = SparkJob(script="jobs/a.py")
COMMON = {
    "region": "us-east-1",
    "log_uri": "s3://logs/emr/",
    "execution_role": "arn:aws:iam::123456789012:role/jobs",
}


def serverless(**settings) -> ServerlessProfile:
    return ServerlessProfile(**{"name": "serverless", "target": "serverless", **COMMON, **settings})


def eks(**settings) -> EksProfile:
    return EksProfile(**{"name": "eks", "target": "eks", "eks_cluster": "a", "namespace": "emr", **COMMON, **settings})


def errors_of(service: str, operation: str, request: dict) -> str:
    shape = get_session().get_service_model(service).operation_model(operation).input_shape
    return ParamValidator().validate(request, shape).generate_report()


def words_of(request: dict) -> str:
    (driver,) = request["jobDriver"].values()
    return driver.get("sparkSubmitParameters") or driver.get("sparkSqlParameters") or driver.get("parameters") or ""


def kinds(profile) -> list[str]:
    return [relaxation.kind for relaxation in profile.relaxations]


# EMR Serverless

KEYS = {"disks": DISKS, "disks_context": {"team": "data"}, "logs": LOGS, "managed_logs": MANAGED, "cloudwatch": WATCHED}


def test_each_key_of_emr_serverless_stands_where_it_encrypts():
    profile = serverless(encryption=KEYS, cloudwatch={})
    application = profile.request(LEASE, "spark")
    assert application["diskEncryptionConfiguration"] == {
        "encryptionKeyArn": DISKS,
        "encryptionContext": {"team": "data"},
    }
    monitoring = {
        "s3MonitoringConfiguration": {"logUri": "s3://logs/emr/", "encryptionKeyArn": LOGS},
        "managedPersistenceMonitoringConfiguration": {"enabled": True, "encryptionKeyArn": MANAGED},
        "cloudWatchLoggingConfiguration": {
            "enabled": True,
            "logGroupName": "/aws/emr-serverless",
            "encryptionKeyArn": WATCHED,
        },
    }
    run = serverless_jobs.run_request(SPARK, CODE, KEY, profile)
    assert application["monitoringConfiguration"] == monitoring
    assert run["configurationOverrides"]["monitoringConfiguration"] == monitoring
    token = {"clientToken": "token"}
    assert errors_of("emr-serverless", "CreateApplication", application | token) == ""
    assert errors_of("emr-serverless", "StartJobRun", run | {"applicationId": "00f1r8ul6j5i4u09"}) == ""


def test_an_application_knows_the_users_of_an_identity_center():
    instance = "arn:aws:sso:::instance/ssoins-1234567890abcdef"
    request = serverless(identity_center={"instance": instance}).request(LEASE, "spark")
    assert request["identityCenterConfiguration"] == {
        "identityCenterInstanceArn": instance,
        "userBackgroundSessionsEnabled": False,
    }
    assert errors_of("emr-serverless", "CreateApplication", request | {"clientToken": "token"}) == ""


def test_a_profile_that_says_nothing_names_no_key():
    request = serverless().request(LEASE, "spark")
    assert {"diskEncryptionConfiguration", "identityCenterConfiguration"} & request.keys() == set()
    assert request["monitoringConfiguration"] == {
        "s3MonitoringConfiguration": {"logUri": "s3://logs/emr/"},
        "managedPersistenceMonitoringConfiguration": {"enabled": True},
    }


@pytest.mark.parametrize("job", [SPARK, SparkSqlJob(script="q.sql")])
def test_the_workers_of_spark_talk_by_tls_unless_the_profile_says_otherwise(job):
    option = "--conf spark.ssl.internode.enabled=true"
    open_profile = serverless(encryption={"traffic": False})
    assert option in words_of(serverless_jobs.run_request(job, CODE, KEY, serverless()))
    assert "internode" not in words_of(serverless_jobs.run_request(job, CODE, KEY, open_profile))


def test_hive_is_told_nothing_of_what_only_spark_has():
    assert "internode" not in words_of(serverless_jobs.run_request(HiveJob(script="q.hql"), CODE, KEY, serverless()))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"encryption": {"traffic": False}}, "encryption.traffic is false"),
        ({"release": "emr-6.14.0"}, "it begins with release emr-6.15.0"),
    ],
)
def test_serverless_workers_that_talk_openly_are_told_of_with_the_reason(settings, reason):
    profile = serverless(**settings)
    assert kinds(profile) == ["unencrypted_traffic", "no_authentication_between_nodes"]
    assert all(relaxation.words.endswith(reason) for relaxation in profile.relaxations)


@pytest.mark.parametrize("release", ["emr-6.15.0", "emr-7.9.0", "emr-spark-8.0"])
def test_a_serverless_profile_that_says_nothing_is_relaxed_about_nothing(release):
    assert kinds(serverless(release=release)) == []


def test_a_kept_application_whose_disks_have_another_key_is_told_of():
    request = serverless(owner="profile", encryption={"disks": DISKS}).request(LEASE, "spark")
    application = {**request, "diskEncryptionConfiguration": {"encryptionKeyArn": LOGS}}
    assert differences_of(request, application) == [
        f"diskEncryptionConfiguration.encryptionKeyArn is {LOGS}, and the profile says {DISKS}"
    ]
    unasked = serverless(owner="profile").request(LEASE, "spark")
    assert differences_of(unasked, application) == [
        f"diskEncryptionConfiguration.encryptionKeyArn is {LOGS}, and the profile says nothing"
    ]


# EMR on EKS


def test_spark_on_eks_encrypts_what_the_profile_says():
    profile = eks(encryption={"traffic": True, "disks": True, "logs": LOGS})
    run = eks_jobs.run_request(SPARK, CODE, KEY, profile)
    for option in ("spark.authenticate", "spark.network.crypto.enabled", "spark.io.encryption.enabled"):
        assert f"--conf {option}=true" in words_of(run)
    monitoring = run["configurationOverrides"]["monitoringConfiguration"]
    assert monitoring["s3MonitoringConfiguration"] == {"logUri": "s3://logs/emr/", "encryptionKeyArn": LOGS}
    assert errors_of("emr-containers", "StartJobRun", run | {"virtualClusterId": "a"}) == ""
    assert kinds(profile) == []


def test_a_profile_on_eks_that_says_nothing_is_told_what_spark_leaves_open():
    words = words_of(eks_jobs.run_request(SPARK, CODE, KEY, eks()))
    assert [word for word in ("authenticate", "crypto", "encryption") if word in words] == []
    assert kinds(eks()) == ["unencrypted_traffic", "no_authentication_between_nodes", "unencrypted_disks"]


def test_a_virtual_cluster_is_made_with_the_security_configuration_of_its_profile():
    request = eks(security_configuration="0123456789abcdefghijklmno").request(LEASE)
    assert request["securityConfigurationId"] == "0123456789abcdefghijklmno"
    assert errors_of("emr-containers", "CreateVirtualCluster", request | {"clientToken": "token"}) == ""


# What is refused

TEMPLATE = {"id": "0123456789abcdefghijklmno", "parameters": {"Script": "{entry_point}"}}


@pytest.mark.parametrize(
    ("make", "settings", "said"),
    [
        (serverless, {"encryption": {"disks": ELSEWHERE}}, "lies in eu-west-1: name one of the profile's region"),
        (serverless, {"encryption": {"logs": "alias/emr"}}, "'alias/emr' is no ARN of a KMS key"),
        (serverless, {"encryption": {"disks_context": {"a": "b"}}}, "disks_context goes with a key: add disks"),
        (serverless, {"encryption": {"managed_logs": MANAGED}, "managed_logs": False}, "and managed_logs is false"),
        (serverless, {"encryption": {"cloudwatch": WATCHED}}, "add cloudwatch"),
        (eks, {"encryption": {"logs": ELSEWHERE}}, "lies in eu-west-1: name one of the profile's region, us-east-1"),
        (eks, {"encryption": {"traffic": True}, "job_template": TEMPLATE}, "as the job template says it"),
        (eks, {"encryption": {"logs": LOGS}, "job_template": TEMPLATE}, "as the job template says it"),
        (
            eks,
            {"security_configuration": "0a", "virtual_cluster": "0b"},
            "security_configuration is for a virtual cluster that is made",
        ),
    ],
)
def test_what_would_have_no_effect_or_cannot_be_is_refused_with_a_cure(make, settings, said):
    with pytest.raises(ValidationError, match=said):
        make(**settings)


@pytest.mark.parametrize(
    ("make", "encryption", "name"),
    [
        (serverless, {}, "spark.ssl.internode.enabled"),
        (eks, {"traffic": True}, "spark.authenticate"),
        (eks, {"traffic": True}, "spark.network.crypto.enabled"),
        (eks, {"disks": True}, "spark.io.encryption.enabled"),
    ],
)
@pytest.mark.parametrize(
    "said",
    [
        lambda properties: {"spark": {"conf": properties}},
        lambda properties: {"configurations": [{"classification": "spark-defaults", "properties": properties}]},
    ],
    ids=["conf", "configurations"],
)
def test_no_property_turns_off_what_the_profile_says_is_encrypted(make, encryption, name, said):
    make(encryption=encryption, **said({name: "true"}))
    with pytest.raises(ValidationError, match=f"{name} is false, and encryption makes it true: leave it out"):
        make(encryption=encryption, **said({name: "false"}))
