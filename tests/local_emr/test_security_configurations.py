"""Security configurations of EMR on EC2: through boto3, the ``aws`` command line, and a restart."""

from __future__ import annotations

import json

import pytest

from local_emr.endpoint import running
from tests.local_emr.asking import cluster_of, create, refusal
from tests.local_emr.commands import command_line_of
from tests.local_emr.conftest import client_of
from tests.local_emr.scripted import ManualClock, ScriptedEngine

AT_REST = {
    "EncryptionConfiguration": {
        "EnableInTransitEncryption": False,
        "EnableAtRestEncryption": True,
        "AtRestEncryptionConfiguration": {"S3EncryptionConfiguration": {"EncryptionMode": "SSE-S3"}},
    }
}
KERBEROS = {
    "AuthenticationConfiguration": {
        "KerberosConfiguration": {
            "Provider": "ClusterDedicatedKdc",
            "ClusterDedicatedKdcConfiguration": {"TicketLifetimeInHours": 24},
        }
    }
}
ATTRIBUTES = {"Realm": "EC2.INTERNAL", "KdcAdminPassword": "MyPassword"}


@pytest.fixture
def aws(endpoint, monkeypatch, capsys):
    return command_line_of(endpoint.url, monkeypatch, capsys)


def add(endpoint, name, configuration=AT_REST, region="us-east-1"):
    emr = endpoint.client("emr", region)
    return emr.create_security_configuration(Name=name, SecurityConfiguration=json.dumps(configuration))


def test_the_command_line_creates_describes_lists_uses_and_deletes_one(aws, endpoint):
    text = json.dumps(KERBEROS, separators=(",", ":"))
    made = aws(f"aws emr create-security-configuration --name LocalKDC --security-configuration '{text}'")
    assert made["Name"] == "LocalKDC"
    described = aws("aws emr describe-security-configuration --name LocalKDC")
    assert json.loads(described["SecurityConfiguration"]) == KERBEROS
    assert described["CreationDateTime"] == made["CreationDateTime"]
    listed = aws("aws emr list-security-configurations")["SecurityConfigurations"]
    assert listed == [{"Name": "LocalKDC", "CreationDateTime": made["CreationDateTime"]}]
    created = aws(
        "aws emr create-cluster --release-label emr-7.10.0 --instance-count 1 --instance-type m5.xlarge --use-default-roles "
        "--applications Name=Hadoop --security-configuration LocalKDC "
        "--kerberos-attributes Realm=EC2.INTERNAL,KdcAdminPassword=MyPassword"
    )
    described = aws(f"aws emr describe-cluster --cluster-id {created['ClusterId']}")["Cluster"]
    assert described["SecurityConfiguration"] == "LocalKDC"
    assert described["KerberosAttributes"] == {"Realm": "EC2.INTERNAL"}
    aws("aws emr delete-security-configuration --name LocalKDC")
    assert aws("aws emr list-security-configurations")["SecurityConfigurations"] == []
    assert "does not exist" in aws.refused("aws emr describe-security-configuration --name LocalKDC")


NO_CONFIGURATIONS = {
    "not JSON": "SecurityConfiguration is not valid JSON: Expecting value: line 1 column 1 (char 0).",
    "[]": "SecurityConfiguration must be a JSON object with at least one configuration.",
    "{}": "SecurityConfiguration must be a JSON object with at least one configuration.",
    '{"EncryptionConfig": {}}': "SecurityConfiguration has no member 'EncryptionConfig'.",
    '{"EncryptionConfiguration": true}': "Each member of SecurityConfiguration must be a JSON object.",
    '{"EncryptionConfiguration": {"EnableAtRestEncryption": "true"}}': (
        "AtRestEncryptionConfiguration is required when EnableAtRestEncryption is true."
    ),
}


def test_what_is_no_security_configuration_is_refused(endpoint):
    create = endpoint.emr.create_security_configuration
    refusals = {text: refusal(create, Name="n", SecurityConfiguration=text) for text in NO_CONFIGURATIONS}
    assert refusals == {text: ("InvalidRequestException", said) for text, said in NO_CONFIGURATIONS.items()}
    assert refusal(create, Name=" ", SecurityConfiguration=json.dumps(AT_REST)) == (
        "InvalidRequestException",
        "The name of a security configuration must not be empty.",
    )
    assert endpoint.emr.list_security_configurations()["SecurityConfigurations"] == []


def test_a_name_is_taken_once_in_a_region_and_free_in_the_next(endpoint):
    add(endpoint, "shared")
    again = {"Name": "shared", "SecurityConfiguration": json.dumps(AT_REST)}
    assert refusal(endpoint.emr.create_security_configuration, **again) == (
        "InvalidRequestException",
        "SecurityConfiguration with name 'shared' already exists.",
    )
    add(endpoint, "shared", region="eu-west-1")
    endpoint.emr.delete_security_configuration(Name="shared")
    kept = endpoint.client("emr", "eu-west-1").list_security_configurations()["SecurityConfigurations"]
    assert [one["Name"] for one in kept] == ["shared"]


def test_one_that_is_not_there_is_unknown(endpoint):
    for operation in (endpoint.emr.describe_security_configuration, endpoint.emr.delete_security_configuration):
        assert refusal(operation, Name="nobody") == (
            "InvalidRequestException",
            "Security configuration with name 'nobody' does not exist.",
        )


def test_a_listing_has_pages_of_fifty(endpoint):
    for number in range(51):
        add(endpoint, f"number-{number}")
    first = endpoint.emr.list_security_configurations()
    second = endpoint.emr.list_security_configurations(Marker=first["Marker"])
    names = [one["Name"] for page in (first, second) for one in page["SecurityConfigurations"]]
    assert names == [f"number-{number}" for number in range(51)]
    assert (len(first["SecurityConfigurations"]), second.get("Marker")) == (50, None)


def test_a_cluster_and_its_security_configuration_must_fit(endpoint):
    add(endpoint, "at-rest")
    add(endpoint, "kerberos", KERBEROS)
    unasked = "KerberosAttributes need a security configuration that enables Kerberos."
    asked = [
        ({"SecurityConfiguration": "nobody"}, "Security configuration with name 'nobody' does not exist."),
        (
            {"SecurityConfiguration": "kerberos"},
            "KerberosAttributes are required: security configuration 'kerberos' enables Kerberos.",
        ),
        ({"SecurityConfiguration": "at-rest", "KerberosAttributes": ATTRIBUTES}, unasked),
        ({"KerberosAttributes": ATTRIBUTES}, unasked),
    ]
    cluster = {
        "Name": "flights",
        "ReleaseLabel": "emr-7.10.0",
        "Instances": {"MasterInstanceType": "m5.xlarge", "InstanceCount": 1},
    }
    refusals = [refusal(endpoint.emr.run_job_flow, **cluster, **more) for more, _ in asked]
    assert refusals == [("ValidationException", said) for _, said in asked]
    assert endpoint.emr.list_clusters()["Clusters"] == []


def test_passwords_of_kerberos_are_neither_told_nor_kept(endpoint):
    add(endpoint, "kerberos", KERBEROS)
    attributes = {
        **ATTRIBUTES,
        "CrossRealmTrustPrincipalPassword": "MatchADTrustPassword",
        "ADDomainJoinUser": "ADUserLogonName",
        "ADDomainJoinPassword": "ADUserPassword",
    }
    cluster_id = create(endpoint, SecurityConfiguration="kerberos", KerberosAttributes=attributes)
    told = cluster_of(endpoint, cluster_id)["KerberosAttributes"]
    assert told == {"Realm": "EC2.INTERNAL", "ADDomainJoinUser": "ADUserLogonName"}
    kept = "".join(path.read_text() for path in endpoint.data.rglob("*.json"))
    assert "EC2.INTERNAL" in kept
    assert [password for password in ("MyPassword", "MatchADTrustPassword", "ADUserPassword") if password in kept] == []


def test_security_configurations_survive_a_restart(tmp_path):
    def serving():
        return running(tmp_path, ScriptedEngine, boot_seconds=0, clock=ManualClock())

    with serving() as url:
        emr = client_of(url, "emr")
        for name in ("first/with a slash", "second"):
            emr.create_security_configuration(Name=name, SecurityConfiguration=json.dumps(AT_REST))
        emr.delete_security_configuration(Name="second")
    with serving() as url:
        (kept,) = client_of(url, "emr").list_security_configurations()["SecurityConfigurations"]
        assert kept["Name"] == "first/with a slash"
