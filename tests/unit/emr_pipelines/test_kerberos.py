"""Kerberos of clusters as AWS's "Configuration examples" show it, and passwords that are only named."""

from __future__ import annotations

import pytest
from botocore.session import get_session
from botocore.validate import ParamValidator
from pydantic import ValidationError

from emr_pipelines.environments import read_environment
from emr_pipelines.errors import ConfigurationError
from emr_pipelines.targets.kerberos import Kerberos
from emr_pipelines.targets.secret_references import Secret

SHAPE = get_session().get_service_model("emr").shape_for("KerberosAttributes")
PASSWORDS = {"emr/kdc": "MyClusterKDCAdminPassword", "emr/trust": "MatchADTrustPassword", "ad": "ADUserPassword"}
TRUST = {
    "realm": "AD.DOMAIN.COM",
    "domain": "ad.domain.com",
    "admin_server": "ad.domain.com",
    "kdc_server": "ad.domain.com",
    "principal_password": {"secret": "emr/trust"},
}
EXTERNAL = {"admin_server": "MasterDNSOfKDCMaster:749", "kdc_server": "MasterDNSOfKDCMaster:88"}
DIRECTORY = {"active_directory": {"realm": "AD.DOMAIN.COM", "domain": "ad.domain.com"}}
JOIN = {"user": "ADUserLogonName", "password": {"connection": "ad"}}
ENVIRONMENT = """\
deployment: team-a
buckets: {{data: a-data, logs: a-logs, artifacts: a-artifacts}}
profiles:
  ec2:
    target: ec2
    region: us-east-1
    primary: {{type: m5.xlarge}}
    security:
      kerberos:
        realm: EC2.INTERNAL
        admin_password: {password}
    subnet: subnet-1
"""


def kerberos(**more) -> Kerberos:
    return Kerberos(**{"realm": "EC2.INTERNAL", "admin_password": {"secret": "emr/kdc"}, **more})


def read(reference: Secret) -> str:
    return PASSWORDS[reference.secret or reference.connection or ""]


def test_a_kdc_of_the_cluster():
    assert kerberos(ticket_lifetime_hours=12).configuration() == {
        "Provider": "ClusterDedicatedKdc",
        "ClusterDedicatedKdcConfiguration": {"TicketLifetimeInHours": 12},
    }


def test_a_kdc_of_the_cluster_that_trusts_an_active_directory():
    assert kerberos(cross_realm_trust=TRUST).configuration() == {
        "Provider": "ClusterDedicatedKdc",
        "ClusterDedicatedKdcConfiguration": {
            "TicketLifetimeInHours": 24,
            "CrossRealmTrustConfiguration": {
                "Realm": "AD.DOMAIN.COM",
                "Domain": "ad.domain.com",
                "AdminServer": "ad.domain.com",
                "KdcServer": "ad.domain.com",
            },
        },
    }


def test_a_kdc_of_another_cluster_that_trusts_an_active_directory():
    assert kerberos(external_kdc={**EXTERNAL, **DIRECTORY}).configuration() == {
        "Provider": "ExternalKdc",
        "ExternalKdcConfiguration": {
            "TicketLifetimeInHours": 24,
            "KdcServerType": "Single",
            "AdminServer": "MasterDNSOfKDCMaster:749",
            "KdcServer": "MasterDNSOfKDCMaster:88",
            "AdIntegrationConfiguration": {"AdRealm": "AD.DOMAIN.COM", "AdDomain": "ad.domain.com"},
        },
    }


@pytest.mark.parametrize(
    ("settings", "attributes"),
    [
        ({}, {"Realm": "EC2.INTERNAL", "KdcAdminPassword": "MyClusterKDCAdminPassword"}),
        (
            {"cross_realm_trust": TRUST, "domain_join": JOIN},
            {
                "Realm": "EC2.INTERNAL",
                "KdcAdminPassword": "MyClusterKDCAdminPassword",
                "CrossRealmTrustPrincipalPassword": "MatchADTrustPassword",
                "ADDomainJoinUser": "ADUserLogonName",
                "ADDomainJoinPassword": "ADUserPassword",
            },
        ),
        (
            {"external_kdc": {**EXTERNAL, **DIRECTORY}, "domain_join": JOIN},
            {
                "Realm": "EC2.INTERNAL",
                "KdcAdminPassword": "MyClusterKDCAdminPassword",
                "ADDomainJoinUser": "ADUserLogonName",
                "ADDomainJoinPassword": "ADUserPassword",
            },
        ),
    ],
)
def test_the_attributes_of_a_cluster_have_the_passwords_that_were_read(settings, attributes):
    found = kerberos(**settings).attributes(read)
    assert found == attributes
    assert ParamValidator().validate(found, SHAPE).generate_report() == ""


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"cross_realm_trust": TRUST, "external_kdc": EXTERNAL}, "cross_realm_trust is of the cluster's own KDC"),
        ({"domain_join": JOIN}, "domain_join joins nodes to a domain, and none is named"),
        ({"external_kdc": EXTERNAL, "domain_join": JOIN}, "domain_join joins nodes to a domain, and none is named"),
        ({"admin_password": {}}, "either secret or connection says where the password lies"),
        ({"admin_password": {"secret": "a", "connection": "b"}}, "either secret or connection says where"),
        ({"admin_password": {"connection": "b", "key": "c"}}, "key names a member of a secret in Secrets Manager"),
    ],
)
def test_what_cannot_be_is_refused_with_a_cure(settings, said):
    with pytest.raises(ValidationError, match=said):
        kerberos(**settings)


@pytest.mark.parametrize(
    "password", ["hunter2-hunter2", "[hunter2-hunter2]", "{password: hunter2-hunter2}", "'{hunter2-hunter2'"]
)
def test_a_password_that_stands_in_the_file_is_refused_and_not_repeated(tmp_path, password):
    path = tmp_path / "dev.yaml"
    path.write_text(ENVIRONMENT.format(password=password))
    with pytest.raises(ConfigurationError) as raised:
        read_environment(path)
    said = str(raised.value)
    assert f"{path}:11: profiles.ec2.security.kerberos.admin_password" in said
    assert "a password is never written here" in said or "there is no such setting" in said
    assert "hunter2" not in said


def test_pydantic_itself_does_not_repeat_what_it_refuses():
    with pytest.raises(ValidationError) as raised:
        kerberos(admin_password="hunter2-hunter2")
    assert "hunter2" not in str(raised.value)


def test_where_a_password_lies_is_said_in_words():
    assert str(Secret(secret="emr/kdc", key="admin")) == "secret 'emr/kdc', key 'admin'"
    assert str(Secret(connection="kdc")) == "the password of Airflow connection 'kdc'"
