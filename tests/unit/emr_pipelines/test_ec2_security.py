"""Security of clusters: the JSON that AWS's guide shows for each kind of it, what is relaxed, and what is refused."""

from __future__ import annotations

import json

import pytest
from botocore.session import get_session
from botocore.validate import ParamValidator
from pydantic import ValidationError

from emr_pipelines.keys import Lease
from emr_pipelines.targets.ec2_profile import Ec2Profile
from emr_pipelines.targets.ec2_security import canonical, name_of_configuration

MODEL = get_session().get_service_model("emr")
LEASE = Lease("dev", "flights_daily", "manual__2013-01-15T00:00:00+00:00", "emr")
KEY = "arn:aws:kms:us-east-1:123456789012:key/12345678-1234-1234-1234-123456789012"
ROLE = "arn:aws:iam::123456789012:role/jobs"
IMDS = {"MinimumInstanceMetadataServiceVersion": 2, "HttpPutResponseHopLimit": 1}
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:"
KERBEROS = {"realm": "EC2.INTERNAL", "admin_password": {"secret": "emr/kdc"}}
CERTIFICATES = {"certificates": "s3://MyConfigStore/artifacts/MyCerts.zip"}
LDAP = {
    "server_url": "ldaps://ldap.example.com",
    "server_type": "OpenLDAP",
    "certificate": f"{SECRET}ldap-certificate",
    "access_filter": "(objectClass=posixAccount)",
    "user_search_base": "cn=People,dc=example,dc=com",
    "group_search_base": "cn=Groups,dc=example,dc=com",
}
RANGER = {
    "admin_server_url": "https://ranger.example.com:6182",
    "admin_server_secret": f"{SECRET}ranger-admin",
    "role_for_plugins": "arn:aws:iam::123456789012:role/ranger-plugins",
    "role_for_other_services": "arn:aws:iam::123456789012:role/ranger-others",
    "plugins": [
        {"application": "Spark", "secret": f"{SECRET}ranger-spark", "policy_repository": "amazon-emr-spark"},
        {"application": "EMRFS-S3", "secret": f"{SECRET}ranger-emrfs", "policy_repository": "amazon-emr-emrfs"},
    ],
}


def profile(**settings) -> Ec2Profile:
    given = {"name": "ec2", "region": "us-east-1", "log_uri": "s3://logs/emr/", "primary": {"type": "m5.xlarge"}}
    if "public_subnet" not in settings:
        given["subnet"] = "subnet-0123456789abcdef0"
    return Ec2Profile(target="ec2", **given | settings)


def says(**security):
    """What the security configuration says of a profile with these settings."""
    return profile(security=security).security_settings


def finding(**settings) -> str:
    with pytest.raises(ValidationError) as raised:
        profile(**settings)
    (one,) = raised.value.errors()
    return f"{'.'.join(map(str, one['loc']))}: {one['msg'].removeprefix('Value error, ')}"


def kinds(**settings) -> list[str]:
    return [relaxation.kind for relaxation in profile(**settings).relaxations]


# What the guide shows, "Create a security configuration" and the pages that it leads to


def encrypted(at_rest=None, in_transit=None):
    found = {"EnableInTransitEncryption": in_transit is not None, "EnableAtRestEncryption": at_rest is not None}
    found |= {} if at_rest is None else {"AtRestEncryptionConfiguration": at_rest}
    found |= (
        {} if in_transit is None else {"InTransitEncryptionConfiguration": {"TLSCertificateConfiguration": in_transit}}
    )
    return {"EncryptionConfiguration": found, "InstanceMetadataServiceConfiguration": IMDS}


def test_a_profile_that_says_nothing_encrypts_s3_and_requires_tokens_of_the_instance_metadata_service():
    assert says() == encrypted(at_rest={"S3EncryptionConfiguration": {"EncryptionMode": "SSE-S3"}})


def test_traffic_with_certificates_in_a_zip_file_and_nothing_at_rest():
    assert says(s3="none", traffic=CERTIFICATES) == encrypted(
        in_transit={"CertificateProviderType": "PEM", "S3Object": "s3://MyConfigStore/artifacts/MyCerts.zip"}
    )


def test_traffic_with_a_provider_of_certificates():
    provider = {"jar": "s3://MyConfig/artifacts/MyCerts.jar", "class_name": "com.mycompany.MyCertProvider"}
    assert says(s3="none", traffic={"provider": provider}) == encrypted(
        in_transit={
            "CertificateProviderType": "Custom",
            "S3Object": "s3://MyConfig/artifacts/MyCerts.jar",
            "CertificateProviderClass": "com.mycompany.MyCertProvider",
        }
    )


def test_s3_and_disks_with_keys_of_kms_and_certificates_by_their_arn():
    assert says(
        s3={"mode": "SSE-KMS", "key": KEY},
        disks={"key": KEY, "ebs": False},
        traffic={"certificates": "arn:aws:s3:::MyConfigStore/artifacts/MyCerts.zip"},
    ) == encrypted(
        at_rest={
            "S3EncryptionConfiguration": {"EncryptionMode": "SSE-KMS", "AwsKmsKey": KEY},
            "LocalDiskEncryptionConfiguration": {"EncryptionKeyProviderType": "AwsKms", "AwsKmsKey": KEY},
        },
        in_transit={
            "CertificateProviderType": "PEM",
            "S3Object": "arn:aws:s3:::MyConfigStore/artifacts/MyCerts.zip",
        },
    )


def test_s3_and_disks_with_keys_of_a_provider():
    provider = {"jar": "s3://MyConfig/artifacts/MyKeys.jar", "class_name": "com.mycompany.MyKeyProvider"}
    theirs = {
        "S3Object": "s3://MyConfig/artifacts/MyKeys.jar",
        "EncryptionKeyProviderClass": "com.mycompany.MyKeyProvider",
    }
    assert says(s3={"mode": "CSE-Custom", "provider": provider}, disks={"provider": provider}) == encrypted(
        at_rest={
            "S3EncryptionConfiguration": {"EncryptionMode": "CSE-Custom", **theirs},
            "LocalDiskEncryptionConfiguration": {"EncryptionKeyProviderType": "Custom", **theirs},
        }
    )


def test_buckets_that_are_encrypted_in_another_way():
    overrides = [
        {"bucket": "sse-s3-bucket-name", "mode": "SSE-S3"},
        {"bucket": "cse-kms-bucket-name", "mode": "CSE-KMS", "key": KEY},
        {"bucket": "sse-kms-bucket-name", "mode": "SSE-KMS", "key": KEY},
    ]
    assert says(s3={"mode": "SSE-KMS", "key": KEY, "overrides": overrides}) == encrypted(
        at_rest={
            "S3EncryptionConfiguration": {
                "EncryptionMode": "SSE-KMS",
                "AwsKmsKey": KEY,
                "Overrides": [
                    {"BucketName": "sse-s3-bucket-name", "EncryptionMode": "SSE-S3"},
                    {"BucketName": "cse-kms-bucket-name", "EncryptionMode": "CSE-KMS", "AwsKmsKey": KEY},
                    {"BucketName": "sse-kms-bucket-name", "EncryptionMode": "SSE-KMS", "AwsKmsKey": KEY},
                ],
            }
        }
    )


def test_disks_alone_with_volumes_that_ebs_encrypts():
    assert says(s3="none", disks={"key": KEY}) == encrypted(
        at_rest={
            "LocalDiskEncryptionConfiguration": {
                "EnableEbsEncryption": True,
                "EncryptionKeyProviderType": "AwsKms",
                "AwsKmsKey": KEY,
            }
        }
    )


def test_ranger_with_a_kdc_of_the_cluster():
    found = says(
        kerberos=KERBEROS, ranger={**RANGER, "audit_log_group": "arn:aws:logs:us-east-1:123456789012:log-group:audit"}
    )
    assert found["AuthenticationConfiguration"] == {
        "KerberosConfiguration": {
            "Provider": "ClusterDedicatedKdc",
            "ClusterDedicatedKdcConfiguration": {"TicketLifetimeInHours": 24},
        }
    }
    assert found["AuthorizationConfiguration"] == {
        "RangerConfiguration": {
            "AdminServerURL": "https://ranger.example.com:6182",
            "RoleForRangerPluginsARN": "arn:aws:iam::123456789012:role/ranger-plugins",
            "RoleForOtherAWSServicesARN": "arn:aws:iam::123456789012:role/ranger-others",
            "AdminServerSecretARN": f"{SECRET}ranger-admin",
            "RangerPluginConfigurations": [
                {
                    "App": "Spark",
                    "ClientSecretARN": f"{SECRET}ranger-spark",
                    "PolicyRepositoryName": "amazon-emr-spark",
                },
                {
                    "App": "EMRFS-S3",
                    "ClientSecretARN": f"{SECRET}ranger-emrfs",
                    "PolicyRepositoryName": "amazon-emr-emrfs",
                },
            ],
            "AuditConfiguration": {
                "Destinations": {
                    "AmazonCloudWatchLogs": {
                        "CloudWatchLogGroup": "arn:aws:logs:us-east-1:123456789012:log-group:audit"
                    }
                }
            },
        }
    }


def test_ldap_with_an_active_directory():
    directory = {**LDAP, "server_type": "ActiveDirectory", "domain": "example.com", "credentials": f"{SECRET}bind"}
    assert says(ldap=directory, traffic=CERTIFICATES)["AuthenticationConfiguration"] == {
        "LDAPConfiguration": {
            "EnableLDAPAuthentication": True,
            "LDAPServerURL": "ldaps://ldap.example.com",
            "BindCertificateARN": f"{SECRET}ldap-certificate",
            "BindCredentialsARN": f"{SECRET}bind",
            "LDAPAccessFilter": "(objectClass=posixAccount)",
            "LDAPUserSearchBase": "cn=People,dc=example,dc=com",
            "LDAPGroupSearchBase": "cn=Groups,dc=example,dc=com",
            "EnableSSHLogin": False,
            "LDAPServerType": "ActiveDirectory",
            "ActiveDirectoryConfigurations": {"ADDomain": "example.com"},
        }
    }


def test_runtime_roles_with_lake_formation():
    security = {"propagate_source_identity": True, "lake_formation": {}}
    assert profile(security=security, execution_role=ROLE).security_settings["AuthorizationConfiguration"] == {
        "IAMConfiguration": {
            "EnableApplicationScopedIAMRole": True,
            "ApplicationScopedIAMRoleConfiguration": {"PropagateSourceIdentity": True},
        },
        "LakeFormationConfiguration": {"AuthorizedSessionTagValue": "Amazon EMR"},
    }


def test_an_execution_role_turns_runtime_roles_on_and_stays_out_of_the_configuration():
    found = profile(execution_role=ROLE).security_settings
    assert found["AuthorizationConfiguration"] == {"IAMConfiguration": {"EnableApplicationScopedIAMRole": True}}
    assert ROLE not in canonical(found)


@pytest.mark.parametrize(("v1", "least"), [(False, 2), (True, 1)])
def test_tokens_that_travel_to_containers(v1, least):
    found = says(instance_metadata_v1=v1, instance_metadata_hops=2)
    assert found["InstanceMetadataServiceConfiguration"] == {
        "MinimumInstanceMetadataServiceVersion": least,
        "HttpPutResponseHopLimit": 2,
    }


# The name, and the request


def test_what_means_the_same_has_the_same_name_and_anything_else_another():
    same = says(s3={"mode": "SSE-S3"})
    assert name_of_configuration(same) == name_of_configuration(says())
    assert len({name_of_configuration(one) for one in (says(), says(s3="none"), says(instance_metadata_hops=2))}) == 3


def test_the_request_names_the_configuration_and_the_json_that_is_sent_says_it():
    made = profile().security_settings
    request = profile().request(LEASE, frozenset())
    assert request["SecurityConfiguration"] == name_of_configuration(made)
    assert json.loads(canonical(made)) == made
    asked = {"Name": request["SecurityConfiguration"], "SecurityConfiguration": canonical(made)}
    shape = MODEL.operation_model("CreateSecurityConfiguration").input_shape
    assert ParamValidator().validate(asked, shape).generate_report() == ""


def test_a_configuration_that_there_is_is_only_named():
    named = profile(security_configuration="ours")
    assert named.security_settings == {}
    assert named.request(LEASE, frozenset())["SecurityConfiguration"] == "ours"


def test_of_a_configuration_with_kerberos_that_there_is_the_realm_and_the_passwords_are_said():
    named = profile(security_configuration="ours", security={"kerberos": KERBEROS})
    assert named.security_settings == {}
    assert named.security.kerberos is not None
    assert named.request(LEASE, frozenset())["SecurityConfiguration"] == "ours"


def test_a_profile_whose_security_is_wholly_relaxed_makes_none():
    relaxed = profile(security={"s3": "none", "instance_metadata_v1": True})
    assert relaxed.security_settings == {}
    assert "SecurityConfiguration" not in relaxed.request(LEASE, frozenset())


def test_no_password_is_in_what_a_profile_asks_for():
    request = profile(security={"kerberos": KERBEROS}).request(LEASE, frozenset())
    assert "KerberosAttributes" not in request


# Relaxations

PRIVATE = {"subnet": "subnet-1"}


def test_a_profile_that_says_nothing_is_told_what_needs_keys_certificates_and_a_realm():
    assert kinds() == ["unencrypted_disks", "unencrypted_traffic", "no_authentication_between_nodes"]


def test_nothing_is_relaxed_where_everything_is_named():
    strict = {"disks": {"key": KEY}, "traffic": CERTIFICATES, "kerberos": KERBEROS}
    assert kinds(**PRIVATE, security=strict) == []


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({**PRIVATE, "public_subnet": True}, "public_subnet", "public_subnet is true"),
        ({"security": {"s3": "none"}}, "unencrypted_s3", "security.s3 is none"),
        ({}, "unencrypted_disks", "local disks of its nodes are not encrypted: security.disks has no KMS key"),
        ({"security": {"disks": {"key": KEY, "ebs": False}}}, "unencrypted_disks", "root volumes of its nodes"),
        ({}, "unencrypted_traffic", "security.traffic has no certificates"),
        ({"security": {"instance_metadata_v1": True}}, "instance_metadata_v1", "answers without a token"),
        ({}, "no_authentication_between_nodes", "security has neither kerberos nor ldap"),
    ],
)
def test_each_relaxation_says_what_is_open_and_what_opens_it(settings, kind, words):
    (found,) = [relaxation for relaxation in profile(**settings).relaxations if relaxation.kind == kind]
    assert words in found.words


def test_of_a_configuration_that_is_only_named_nothing_is_known_but_the_subnet():
    assert kinds(security_configuration="ours", public_subnet=True) == ["public_subnet", "unknown_security"]
    assert kinds(**PRIVATE, security_configuration="ours") == ["unknown_security"]


def test_without_a_subnet_a_profile_must_say_that_it_may_be_public():
    with pytest.raises(ValidationError, match=r"subnet is missing: name a private one, or write public_subnet: true"):
        profile(subnet=None)


# What is refused


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"security": {"s3": "SSE-KMS"}}, "security.s3: mode is SSE-KMS: SSE-KMS and CSE-KMS have a key"),
        ({"security": {"s3": {"key": KEY}}}, "security.s3: mode is SSE-S3: SSE-KMS and CSE-KMS have a key"),
        ({"security": {"s3": "CSE-Custom"}}, "security.s3: mode is CSE-Custom: CSE-Custom has a provider"),
        (
            {"security": {"s3": {"mode": "none", "overrides": [{"bucket": "data", "mode": "SSE-S3"}]}}},
            "security.s3: overrides differ from a mode, and mode is none",
        ),
        ({"security": {"s3": None}}, "security.s3: Input should be a valid dictionary"),
        (
            {"security": {"disks": {"key": "arn:aws:kms:us-east-1:123456789012:alias/emr"}}},
            "security.disks.key: 'arn:aws:kms:us-east-1:123456789012:alias/emr' is no ARN of a KMS key",
        ),
        ({"security": {"disks": {}}}, "security.disks: either key or provider says what disks are encrypted with"),
        ({"security": {"traffic": {}}}, "security.traffic: either certificates or provider says where"),
        (
            {"security": {"disks": {"key": KEY.replace("us-east-1", "eu-west-1")}}},
            "lies in eu-west-1: EMR needs one of the cluster's region, us-east-1",
        ),
        (
            {"security": {"s3": "none"}, "security_configuration": "ours"},
            "security_configuration names one that there is",
        ),
        ({"security": {"ldap": LDAP}}, "security: ldap sends credentials between nodes"),
        (
            {"security": {"ldap": LDAP, "traffic": CERTIFICATES, "kerberos": KERBEROS}},
            "security: ldap comes with a KDC that EMR manages by itself",
        ),
        (
            {"security": {"ldap": LDAP, "traffic": CERTIFICATES, "lake_formation": {}}, "execution_role": ROLE},
            "security: EMR takes ldap and lake_formation in no one security configuration",
        ),
        (
            {"security": {"ldap": LDAP, "traffic": CERTIFICATES}, "execution_role": ROLE},
            "EMR takes security.ldap and execution_role in no one cluster",
        ),
        (
            {"security": {"ldap": {**LDAP, "domain": "example.com"}, "traffic": CERTIFICATES}},
            "security.ldap: server_type is OpenLDAP: ActiveDirectory has a domain",
        ),
        (
            {"security": {"ldap": {**LDAP, "ssh_login": True}, "traffic": CERTIFICATES}},
            "security.ldap: ssh_login looks users up with credentials",
        ),
        (
            {"security": {"ldap": {**LDAP, "server_url": "ldap://ldap.example.com"}, "traffic": CERTIFICATES}},
            "security.ldap.server_url: 'ldap://ldap.example.com' has not the form that is needed",
        ),
        ({"security": {"ranger": RANGER}}, "security: ranger judges users whom kerberos or ldap has authenticated"),
        (
            {"security": {"ranger": RANGER, "kerberos": KERBEROS, "lake_formation": {}}, "execution_role": ROLE},
            "security: ranger and lake_formation both judge who may read what",
        ),
        ({"security": {"lake_formation": {}}}, "security.lake_formation is about the role that a job runs with"),
        (
            {"security": {"propagate_source_identity": True}},
            "security.propagate_source_identity is about the role that a job runs with",
        ),
        ({"execution_role": "jobs"}, "execution_role: 'jobs' is no ARN of a role"),
        (
            {"execution_role": ROLE, "release": "emr-6.6.0"},
            "execution_role needs release emr-6.7.0 or a newer one, and release is emr-6.6.0",
        ),
        (
            {"security": {"ldap": LDAP, "traffic": CERTIFICATES}, "release": "emr-6.11.1"},
            "security.ldap needs release emr-6.12.0",
        ),
        ({"release": "emr-6.1.0"}, "release emr-6.1.0 needs version 1 of the instance metadata service"),
        ({"release": "emr-5.31.1"}, "release emr-5.31.1 needs version 1 of the instance metadata service"),
    ],
)
def test_what_cannot_be_is_refused_with_a_cure(settings, said):
    assert said in finding(**settings)


@pytest.mark.parametrize("release", ["emr-5.32.0", "emr-5.36.2", "emr-6.2.0", "emr-7.9.0"])
def test_a_release_that_needs_no_version_1_of_the_instance_metadata_service_is_taken(release):
    assert profile(release=release).security_settings["InstanceMetadataServiceConfiguration"] == IMDS


def test_a_release_that_needs_version_1_is_taken_when_the_profile_says_so():
    old = profile(release="emr-5.30.0", security={"instance_metadata_v1": True})
    assert list(old.security_settings) == ["EncryptionConfiguration"]
