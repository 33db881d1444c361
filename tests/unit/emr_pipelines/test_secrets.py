"""Passwords that a profile names: where Airflow's tasks read them, and that no log shows them."""

from __future__ import annotations

import io
import json
import logging

import pytest
from airflow.sdk.log import _secrets_masker

from emr_pipelines.clients import secret_of
from emr_pipelines.errors import ComputeError
from emr_pipelines.keys import Lease
from emr_pipelines.targets import target_for
from emr_pipelines.targets.base import Clients
from emr_pipelines.targets.secret_references import Secret
from tests.conformance.endpoints import ENVIRONMENT, LocalService, scripted_endpoint

PASSWORD = 'Hunter"Two\\Pässword'
OF_A_CONNECTION = "Trust-Password'2"
LEASE = Lease("dev", "flights_daily", "manual__2013-01-15T00:00:00+00:00", "emr")


@pytest.fixture
def connection(monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_KDC", json.dumps({"conn_type": "generic", "password": OF_A_CONNECTION}))
    monkeypatch.setenv("AIRFLOW_CONN_EMPTY", json.dumps({"conn_type": "generic"}))


def no_client(service):
    raise AssertionError(f"no client of {service} is needed")


@pytest.mark.usefixtures("connection")
def test_the_password_of_an_airflow_connection_is_read_without_aws():
    assert secret_of(Secret(connection="kdc"), no_client) == OF_A_CONNECTION


@pytest.mark.usefixtures("connection")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nobody", "There is no Airflow connection 'nobody', whose password a profile needs: add it"),
        ("empty", "Airflow connection 'empty' has no password, and a profile needs it: add it"),
    ],
)
def test_a_connection_without_a_password_is_told_by_its_name(name, said):
    with pytest.raises(ComputeError, match=said):
        secret_of(Secret(connection=name), no_client)


def test_clients_that_were_given_no_way_to_read_passwords_say_so():
    with pytest.raises(ComputeError, match="secret 'emr/kdc' cannot be read here"):
        Clients(repeating=no_client, once=no_client).secret(Secret(secret="emr/kdc"))


@pytest.fixture
def logged():
    """Everything that is logged from here on, at every level."""
    stream, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(stream), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.setLevel(level)
    root.removeHandler(handler)


@pytest.mark.usefixtures("connection")
def test_no_log_shows_a_password_even_when_botocore_logs_its_requests_and_answers(tmp_path, logged):
    kerberos = {
        "realm": "EC2.INTERNAL",
        "admin_password": {"secret": "emr/kdc", "key": "admin"},
        "cross_realm_trust": {
            "realm": "AD.DOMAIN.COM",
            "domain": "ad.domain.com",
            "admin_server": "ad.domain.com",
            "kdc_server": "ad.domain.com",
            "principal_password": {"connection": "kdc"},
        },
    }
    settings = {**ENVIRONMENT.profile("ec2").model_dump(exclude_unset=True), "security": {"kerberos": kerberos}}
    profile = type(ENVIRONMENT.profile("ec2"))(**settings)
    with scripted_endpoint(tmp_path) as url:
        plain = LocalService(url, "elasticmapreduce", {}).clients
        plain.repeating("secretsmanager").create_secret(Name="emr/kdc", SecretString=json.dumps({"admin": PASSWORD}))
        logged.seek(0)
        logged.truncate()
        own = Clients(plain.repeating, plain.once, lambda reference: secret_of(reference, plain.repeating))
        target_for(profile, own).acquire(LEASE, frozenset({"spark"}))
    unmasked = logged.getvalue()
    assert [word for word in ("Hunter", "Trust-Password") if word not in unmasked] == []  # botocore did log the request
    shown = _secrets_masker().redact(unmasked)
    parts = ("Hunter", "Pässword", "P\\u00e4ssword", "Trust-Password")
    assert [part for part in parts if part in shown] == []
    assert '"KdcAdminPassword": "***", "CrossRealmTrustPrincipalPassword": "***"' in shown
    assert "SecretString" not in unmasked
