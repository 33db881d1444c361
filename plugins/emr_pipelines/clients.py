"""boto3 clients from Airflow's AWS connections."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from emr_pipelines.environments import Environment
from emr_pipelines.errors import ComputeError
from emr_pipelines.reach import ATTEMPTS, Reach
from emr_pipelines.targets import target_for
from emr_pipelines.targets.base import Clients, Target
from emr_pipelines.targets.ec2_security_configurations import secret_value
from emr_pipelines.targets.profile import Profile
from emr_pipelines.targets.secret_references import Secret


@lru_cache(maxsize=32)
def clients_for(connection: str | None, region: str) -> Clients:
    """Return the clients of an Airflow connection in a region; without a connection, of boto3's own credential chain.

    Clients are made once per process: boto3's are safe to share between threads, its sessions are not.
    """
    make, reach = maker_of(connection, region), Reach()
    retries = {"mode": "adaptive", "total_max_attempts": ATTEMPTS}
    repeating = lru_cache(maxsize=16)(lambda service: reach.keep(make(service, retries)))
    return Clients(
        repeating=repeating,
        once=lru_cache(maxsize=16)(lambda service: make(service, {"total_max_attempts": 1})),
        secret=lambda reference: secret_of(reference, repeating),
    )


def secret_of(reference: Secret, client: Callable[[str], Any]) -> str:
    """Read a password that a profile names, and have Airflow mask it wherever it is logged; ``client`` makes clients by service.

    :raises ComputeError: it cannot be read; the message does not hold it.
    """
    from airflow.sdk.log import mask_secret  # noqa: PLC0415  # parsing a DAG reads no password

    password = secret_value(client, reference) if reference.connection is None else _password_of(reference.connection)
    for form in _forms(password):
        mask_secret(form)
    return password


def _forms(password: str) -> set[str]:
    """Return a password as it is, and as it stands in JSON, in a Python text, and in the text of a request's JSON: botocore logs all."""
    plain = {password, json.dumps(password)[1:-1]}
    return (
        plain
        | {form.replace("\\", "\\\\").replace("'", "\\'") for form in plain}
        | {repr(form)[1:-1] for form in plain}
    )


def _password_of(connection: str) -> str:
    from airflow.sdk import Connection  # noqa: PLC0415  # parsing a DAG reads no password
    from airflow.sdk.exceptions import AirflowNotFoundException  # noqa: PLC0415  # likewise

    try:
        password = Connection.get(connection).password
    except AirflowNotFoundException:
        raise ComputeError(
            f"There is no Airflow connection {connection!r}, whose password a profile needs: add it. No cluster was created."
        ) from None
    if not password:
        raise ComputeError(
            f"Airflow connection {connection!r} has no password, and a profile needs it: add it. No cluster was created."
        )
    return str(password)


@lru_cache(maxsize=32)
def maker_of(connection: str | None, region: str) -> Callable[..., Any]:
    """Return what makes clients of a connection, by service and retries, and by the seconds to connect and to wait for an answer.

    Credentials, assumed roles and session tags are the amazon provider's work (``AwsBaseHook``).
    """
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook  # noqa: PLC0415  # parsing a DAG needs no AWS
    from botocore.config import Config  # noqa: PLC0415  # parsing a DAG needs no AWS

    hook: Any = AwsBaseHook(aws_conn_id=connection, region_name=region, client_type="emr")
    session = hook.get_session(region_name=region)
    alone = threading.Lock()

    def make(service: str, retries: Any, connect: float = 10, answer: float = 60) -> Any:
        config = Config(retries=retries, connect_timeout=connect, read_timeout=answer)
        endpoint = hook.conn_config.get_service_endpoint_url(service)
        with alone:
            return session.client(service, endpoint_url=endpoint, config=config, verify=hook.verify)

    return make


def target_of_profile(profile: Profile) -> Target:
    """Build the target that a profile configures, with the clients of its connection and region."""
    return target_for(profile, clients_for(profile.connection, profile.region))


def s3_of_profile(profile: Profile) -> Any:
    """Return the S3 client of a profile's connection and region."""
    return clients_for(profile.connection, profile.region).repeating("s3")


def clients_of_environment(environment: Environment) -> Clients:
    """Return the clients of what belongs to no profile, such as what is published: those of the first profile in the file."""
    first = next(iter(environment.profiles.values()))
    return clients_for(first.connection, first.region)


def brief_client(environment: Environment, service: str, attempts: int) -> Any:
    """Return a client for what must not keep a task waiting: each attempt is given up after seconds. Reached as the first profile is."""
    first = next(iter(environment.profiles.values()))
    return maker_of(first.connection, first.region)(service, {"total_max_attempts": attempts}, connect=2, answer=5)
