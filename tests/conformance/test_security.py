"""The target ``ec2`` makes a security configuration once for all clusters that mean the same, and keeps passwords to itself."""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from emr_pipelines import CommandJob
from emr_pipelines.errors import ComputeError, ComputeUnavailableError
from emr_pipelines.keys import Lease
from emr_pipelines.targets import target_for
from emr_pipelines.targets.ec2_profile import Ec2Profile
from tests.conformance.cases import ENGINES, another_run, key
from tests.conformance.endpoints import ENVIRONMENT, LocalService, scripted_endpoint

PROFILE = ENVIRONMENT.profile("ec2")
PASSWORDS = {"admin": "Kdc-Admin-Pässword-1", "trust": "Trust-Password-2", "join": 'Join"Password\\3'}
KERBEROS = {
    "realm": "EC2.INTERNAL",
    "admin_password": {"secret": "emr/kerberos", "key": "admin"},
    "cross_realm_trust": {
        "realm": "AD.DOMAIN.COM",
        "domain": "ad.domain.com",
        "admin_server": "ad.domain.com",
        "kdc_server": "ad.domain.com",
        "principal_password": {"secret": "emr/kerberos", "key": "trust"},
    },
    "domain_join": {"user": "emr", "password": {"secret": "emr/join"}},
}


def secured(**settings) -> Ec2Profile:
    """The profile with other security, which no other test has."""
    return Ec2Profile(**{**PROFILE.model_dump(exclude_unset=True), "log_uri": "s3://local-logs/emr/", **settings})


def made(endpoint) -> list[str]:
    pages = endpoint.clients.repeating("emr").get_paginator("list_security_configurations").paginate()
    return [one["Name"] for page in pages for one in page["SecurityConfigurations"]]


def described(endpoint, compute) -> dict:
    return endpoint.clients.repeating("emr").describe_cluster(ClusterId=compute.id)["Cluster"]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with scripted_endpoint(tmp_path_factory.mktemp("endpoint")) as served:
        yield served


@pytest.fixture
def endpoint(url):
    service = LocalService(url, "elasticmapreduce", {})
    yield service
    service.forget_faults()


@pytest.fixture
def lease(request):
    return Lease("conformance", "dag", request.node.name, "emr")


@pytest.fixture(scope="module")
def passwords(url):
    client = LocalService(url, "elasticmapreduce", {}).clients.repeating("secretsmanager")
    kept = {name: PASSWORDS[name] for name in ("admin", "trust")}
    client.create_secret(Name="emr/kerberos", SecretString=json.dumps(kept))
    client.create_secret(Name="emr/join", SecretString=PASSWORDS["join"])
    client.create_secret(Name="emr/binary", SecretBinary=b"password")


def test_clusters_of_one_security_share_the_configuration_that_the_first_one_made(endpoint, lease):
    profile = secured(security={"instance_metadata_hops": 3})
    before, service = made(endpoint), endpoint.clients
    first, second = (target_for(profile, service).acquire(one, ENGINES) for one in (lease, another_run(lease)))
    (new,) = set(made(endpoint)) - set(before)
    assert {described(endpoint, one)["SecurityConfiguration"] for one in (first, second)} == {new}
    text = service.repeating("emr").describe_security_configuration(Name=new)["SecurityConfiguration"]
    assert json.loads(text) == profile.security_settings
    for one in (first, second):
        target_for(profile, service).release(one)


def test_clusters_that_are_acquired_at_the_same_moment_make_one_configuration(endpoint, lease):
    profile = secured(security={"instance_metadata_hops": 4})
    before, leases = made(endpoint), [lease]
    leases += [another_run(leases[-1]) for _ in range(3)]
    with ThreadPoolExecutor(len(leases)) as threads:
        clusters = list(threads.map(lambda one: target_for(profile, endpoint.clients).acquire(one, ENGINES), leases))
    assert len(set(made(endpoint)) - set(before)) == 1
    for one in clusters:
        target_for(profile, endpoint.clients).release(one)


def test_a_configuration_that_was_made_and_whose_answer_was_lost_is_used(endpoint, lease):
    endpoint.arm(fault="lose_answer", operation="CreateSecurityConfiguration")
    profile = secured(security={"instance_metadata_hops": 5})
    compute = target_for(profile, endpoint.clients).acquire(lease, ENGINES)
    assert described(endpoint, compute)["SecurityConfiguration"] in made(endpoint)
    target_for(profile, endpoint.clients).release(compute)


def test_a_configuration_that_cannot_be_made_says_so_and_no_cluster_is_created(endpoint, lease):
    endpoint.arm(fault="error", operation="DescribeSecurityConfiguration")
    target = target_for(PROFILE, replace(endpoint, attempts=1).clients)
    with pytest.raises(
        ComputeUnavailableError, match=r"profile 'ec2' got no security configuration\. No cluster was created"
    ):
        target.acquire(lease, ENGINES)
    assert target.lookup(lease) == []


def test_a_profile_whose_security_is_wholly_relaxed_makes_no_configuration(endpoint, lease):
    profile = secured(security={"s3": "none", "instance_metadata_v1": True})
    before = made(endpoint)
    compute = target_for(profile, endpoint.clients).acquire(lease, ENGINES)
    assert "SecurityConfiguration" not in described(endpoint, compute)
    assert made(endpoint) == before
    target_for(profile, endpoint.clients).release(compute)


@pytest.mark.usefixtures("passwords")
def test_kerberos_gets_its_passwords_from_secrets_manager_when_the_cluster_is_created(endpoint, lease):
    profile, sent = secured(security={"kerberos": KERBEROS}), []
    clients = endpoint.clients
    clients.once("emr").meta.events.register(
        "provide-client-params.emr.RunJobFlow", lambda params, **_: sent.append(params)
    )
    compute = target_for(profile, clients).acquire(lease, ENGINES)
    assert sent[0]["KerberosAttributes"] == {
        "Realm": "EC2.INTERNAL",
        "KdcAdminPassword": PASSWORDS["admin"],
        "CrossRealmTrustPrincipalPassword": PASSWORDS["trust"],
        "ADDomainJoinUser": "emr",
        "ADDomainJoinPassword": PASSWORDS["join"],
    }
    cluster = described(endpoint, compute)
    assert cluster["KerberosAttributes"] == {"Realm": "EC2.INTERNAL", "ADDomainJoinUser": "emr"}
    text = clients.repeating("emr").describe_security_configuration(Name=cluster["SecurityConfiguration"])
    told = json.dumps([compute.to_json(), cluster, text], default=str, ensure_ascii=False)
    assert [word for word in PASSWORDS.values() if word in told] == []
    target_for(profile, clients).release(compute)


@pytest.mark.usefixtures("passwords")
@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ({"secret": "emr/nobody"}, r"secret 'emr/nobody' could not be read\. No cluster was created"),
        ({"secret": "emr/kerberos", "key": "nobody"}, r"secret 'emr/kerberos', key 'nobody': the secret is no JSON"),
        ({"secret": "emr/join", "key": "admin"}, r"secret 'emr/join', key 'admin': the secret is no JSON object"),
        ({"secret": "emr/binary"}, r"secret 'emr/binary' is binary"),
    ],
)
def test_a_password_that_cannot_be_read_says_where_it_was_looked_for_and_no_other(
    endpoint, lease, caplog, reference, said
):
    profile = secured(security={"kerberos": {"realm": "EC2.INTERNAL", "admin_password": reference}})
    target = target_for(profile, endpoint.clients)
    with caplog.at_level(logging.INFO), pytest.raises(ComputeError, match=said) as raised:
        target.acquire(lease, ENGINES)
    told = f"{raised.value!r} {raised.value.__cause__!r} {caplog.text}"
    assert [word for word in PASSWORDS.values() if word in told] == []
    assert target.lookup(lease) == []


def test_jobs_run_with_the_execution_role_of_the_profile(endpoint, lease):
    role = "arn:aws:iam::123456789012:role/jobs"
    target = target_for(secured(execution_role=role), endpoint.clients)
    compute = target.acquire(lease, ENGINES)
    run = target.submit(compute, CommandJob(command=("bash", "-c", "true")), {}, key(lease))
    step = endpoint.clients.repeating("emr").describe_step(ClusterId=compute.id, StepId=run.id)["Step"]
    assert step["ExecutionRoleArn"] == role
    target.release(compute)
