import base64
import json
import os
from pathlib import Path

import pytest

from local_airflow import settings
from tests.support.airflow import known_options

HOME, ROOT = Path("/a home/.local/airflow"), Path("/a home")


@pytest.fixture
def config():
    return settings.airflow_config(HOME, ROOT, 8081, [ROOT / "dags", Path("/more/dags")], settings.new_secrets())


def test_everything_listens_on_the_loopback_address(config):
    assert config["api"]["host"] == "127.0.0.1"
    assert config["core"]["execution_api_server_url"] == "http://127.0.0.1:8081/execution/"


def test_each_dag_folder_is_a_bundle_of_its_own_name(config):
    bundles = json.loads(config["dag_processor"]["dag_bundle_config_list"])
    assert {bundle["name"]: bundle["kwargs"]["path"] for bundle in bundles} == {
        "dags": "/a home/dags",
        "dags-1": "/more/dags",
    }


def test_a_written_configuration_reads_back_the_same(config):
    config["core"]["dags_folder"] = "/100%/of it"
    assert settings.parse(settings.render(config)) == config


def test_a_home_keeps_its_secrets(config):
    kept = settings.kept_secrets(settings.parse(settings.render(config)))
    again = settings.airflow_config(HOME, ROOT, 8081, [ROOT / "dags", Path("/more/dags")], kept)
    assert again == config


def test_an_incomplete_configuration_has_no_secrets():
    assert settings.kept_secrets({"core": {"fernet_key": "x"}}) is None


def test_two_homes_share_no_secret():
    one, other = settings.new_secrets(), settings.new_secrets()
    assert not {one.jwt, one.session, one.fernet} & {other.jwt, other.session, other.fernet}


def test_the_fernet_key_is_of_32_bytes():
    assert len(base64.urlsafe_b64decode(settings.new_secrets().fernet)) == 32


def test_every_option_is_one_that_airflow_knows(config, tmp_path):
    used = {(section, option) for section, options in config.items() for option in options}
    assert used - known_options(tmp_path) == set()


def test_settings_of_another_airflow_and_of_an_aws_account_are_dropped():
    inherited = {
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW_HOME": "/other",
        "AWS_PROFILE": "production",
        "AWS_SESSION_TOKEN": "secret",
        "PYTHONPATH": "/other",
        "LANG": "C.UTF-8",
    }
    made = settings.component_environment(inherited, HOME, ROOT, "http://127.0.0.1:4566", {})
    assert made["LANG"] == "C.UTF-8"
    assert made["AIRFLOW_HOME"] == str(HOME)
    assert made["PYTHONPATH"] == f"/a home/include{os.pathsep}/a home"
    assert made["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
    assert made["AWS_SHARED_CREDENTIALS_FILE"] == os.devnull
    assert {"AIRFLOW__CORE__EXECUTOR", "AWS_PROFILE", "AWS_SESSION_TOKEN"} & made.keys() == set()


def test_without_an_endpoint_tasks_have_no_credentials():
    made = settings.component_environment({"AWS_ACCESS_KEY_ID": "real"}, HOME, ROOT, None, {})
    assert {"AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL"} & made.keys() == set()


def test_what_is_added_wins():
    made = settings.component_environment({}, HOME, ROOT, None, {"EMR_PIPELINES_ENVIRONMENT": "dev"})
    assert made["EMR_PIPELINES_ENVIRONMENT"] == "dev"


def test_the_loopback_address_needs_no_proxy():
    made = settings.clean_environment({"NO_PROXY": "example.org"}, ROOT)
    assert made["NO_PROXY"] == "example.org,127.0.0.1,localhost"
