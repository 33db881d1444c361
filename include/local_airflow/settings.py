"""The settings of the local Airflow: its `airflow.cfg` and the environment of its components.

Option names and meanings: the configuration reference of Airflow 3.3 (`airflow config list --defaults`).
"""

import base64
import configparser
import io
import json
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_airflow.ports import LOOPBACK

USER = "admin"
REGION = "us-east-1"
# Any credentials open the endpoint of this machine; these open nothing else.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}

Config = dict[str, dict[str, str]]


@dataclass(frozen=True)
class Secrets:
    """The random values of one home: signing of tokens, of the UI's sessions, encryption of connections."""

    jwt: str
    session: str
    fernet: str


def new_secrets() -> Secrets:
    """Draw the secrets of a new home."""
    return Secrets(
        jwt=secrets.token_urlsafe(64),
        session=secrets.token_urlsafe(32),
        fernet=base64.urlsafe_b64encode(os.urandom(32)).decode(),
    )


def local_bundles(dag_folders: Sequence[Path]) -> list[dict[str, Any]]:
    """Return the DAG bundles of folders, as `[dag_processor] dag_bundle_config_list` has them."""
    return [
        {
            "name": folder.name if number == 0 else f"{folder.name}-{number}",
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(folder)},
        }
        for number, folder in enumerate(dag_folders)
    ]


def airflow_config(home: Path, root: Path, port: int, dag_folders: Sequence[Path], drawn: Secrets) -> Config:
    """Return the `airflow.cfg` of the local system: SQLite, LocalExecutor, loopback only, quick on one machine."""
    url = f"http://{LOOPBACK}:{port}"
    return {
        "core": {
            "executor": "LocalExecutor",
            "parallelism": "4",  # the default, 32, forks 32 idle workers
            "load_examples": "False",
            "dags_folder": str(dag_folders[0]),
            "plugins_folder": str(root / "plugins"),
            "fernet_key": drawn.fernet,
            "execution_api_server_url": f"{url}/execution/",
            "hostname_callable": "socket.gethostname",  # the default asks DNS, which may take seconds to say no
            "simple_auth_manager_users": f"{USER}:admin",
            "simple_auth_manager_passwords_file": str(home / "passwords.json"),
        },
        "database": {"sql_alchemy_conn": f"sqlite:///{home / 'airflow.db'}"},  # Airflow itself sets WAL mode
        "logging": {"base_log_folder": str(home / "logs")},
        "api": {"host": LOOPBACK, "port": str(port), "base_url": url, "secret_key": drawn.session},
        "api_auth": {"jwt_secret": drawn.jwt},
        "scheduler": {"scheduler_idle_sleep_time": "0.1"},  # the default, 1, is the gap between two tasks
        "workers": {"min_heartbeat_interval": "1"},
        "dag_processor": {
            "dag_bundle_config_list": json.dumps(local_bundles(dag_folders)),
            "refresh_interval": "5",  # a new DAG file is seen after at most this; a changed one at once
        },
    }


def render(config: Config) -> str:
    """Write a configuration as the text of an `airflow.cfg`."""
    parser = configparser.RawConfigParser()
    for section, options in config.items():
        parser[section] = {name: value.replace("%", "%%") for name, value in options.items()}
    text = io.StringIO()
    parser.write(text)
    return text.getvalue()


def parse(text: str) -> Config:
    """Read what `render` wrote."""
    parser = configparser.ConfigParser()
    parser.read_string(text)
    return {section: dict(parser[section]) for section in parser.sections()}


def kept_secrets(config: Config) -> Secrets | None:
    """Return the secrets that an earlier `airflow.cfg` of the home holds; None when it holds not all of them."""
    try:
        return Secrets(config["api_auth"]["jwt_secret"], config["api"]["secret_key"], config["core"]["fernet_key"])
    except KeyError:
        return None


def client_environment(endpoint_url: str) -> dict[str, str]:
    """Return the four variables that make any AWS client use the endpoint."""
    return {"AWS_ENDPOINT_URL": endpoint_url, "AWS_DEFAULT_REGION": REGION, **CREDENTIALS}


def clean_environment(inherited: Mapping[str, str], root: Path) -> dict[str, str]:
    """Return the inherited environment for a process of the local system, without what would turn it elsewhere.

    Settings of another Airflow and of an AWS account are dropped; this checkout's modules and this Python come first.
    """
    foreign = ("AIRFLOW_", "AWS_", "EMR_PIPELINES_", "PYTHON")
    kept = {name: value for name, value in inherited.items() if not name.startswith(foreign)}
    loopback = f"{LOOPBACK},localhost"
    return {
        **kept,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)]),
        "PYTHONPATH": os.pathsep.join([str(root / "include"), str(root)]),
        "PYTHONUNBUFFERED": "1",
        # Whatever account this user is logged in to, nothing here can reach it.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": f"{inherited['NO_PROXY']},{loopback}" if inherited.get("NO_PROXY") else loopback,
        "no_proxy": f"{inherited['no_proxy']},{loopback}" if inherited.get("no_proxy") else loopback,
    }


def component_environment(
    inherited: Mapping[str, str], home: Path, root: Path, endpoint_url: str | None, extra: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment of every Airflow component, and of the tasks it runs."""
    return {
        **clean_environment(inherited, root),
        "AIRFLOW_HOME": str(home),
        "EMR_PIPELINES_ENVIRONMENT": "local",
        "EMR_PIPELINES_INCLUDE": str(root / "include"),
        **(client_environment(endpoint_url) if endpoint_url else {}),
        **extra,
    }
