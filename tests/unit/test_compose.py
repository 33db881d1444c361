"""docker-compose.yaml and the Dockerfile fit the compose specification, this checkout and Airflow's own words."""

import json
import re
import shlex
from importlib import resources
from pathlib import Path

import jsonschema
import yaml

from local_airflow import compose_env
from tests.support.airflow import ask_airflow, known_options

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())
SERVICES = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
AIRFLOW_SERVICES = [name for name, service in SERVICES.items() if service["image"] == "emr-pipelines/airflow"]


def airflow_commands():
    """Yield (service, arguments of `airflow`) for every such command that a service runs, health checks included."""
    for name in AIRFLOW_SERVICES:
        service = SERVICES[name]
        if "entrypoint" not in service:
            yield name, service["command"]
        scripts = [service["command"][0]] if "entrypoint" in service else []
        scripts += service.get("healthcheck", {}).get("test", [""])[-1:]
        for script in scripts:
            yield from ((name, shlex.split(line)[1:]) for line in script.splitlines() if line.startswith("airflow "))


def environment_of(name):
    return SERVICES[name].get("environment", {})


def test_it_fits_the_compose_specification():
    schema = json.loads(
        resources.files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json").read_text()
    )
    jsonschema.validators.validator_for(schema)(schema).validate(COMPOSE)


def test_every_part_of_airflow_is_a_service():
    parts = {arguments[0] for _, arguments in airflow_commands()}
    assert {"api-server", "scheduler", "dag-processor", "triggerer", "celery", "db"} <= parts


def test_airflow_takes_every_command(tmp_path):
    script = (
        "import json, sys; from airflow.cli import cli_parser\n"
        "import airflow.providers.celery.executors.celery_executor  # a Celery that does not fit it fails here\n"
        f"for words in json.loads({json.dumps([words for _, words in airflow_commands()])!r}):\n"
        "    assert callable(cli_parser.get_parser().parse_args(words).func)\n"
        "print('true')"
    )
    # `airflow celery` exists only where Celery is the executor.
    assert ask_airflow(script, tmp_path, AIRFLOW__CORE__EXECUTOR="CeleryExecutor")


def test_every_option_of_airflow_is_one_it_knows(tmp_path):
    named = {key for name in AIRFLOW_SERVICES for key in environment_of(name)}
    named |= set(re.findall(r"AIRFLOW__\w+", DOCKERFILE))
    options = {tuple(key.lower().split("__")[1:]) for key in named if key.startswith("AIRFLOW__")}
    assert ("core", "executor") in options
    assert options - known_options(tmp_path) == set()


def test_the_database_upgrade_runs_before_every_component():
    needing = [name for name in AIRFLOW_SERVICES if name != "initialize"]
    conditions = {SERVICES[name]["depends_on"]["initialize"]["condition"] for name in needing}
    assert conditions == {"service_completed_successfully"}


def test_every_service_that_is_waited_for_exists_and_can_be_waited_for():
    for service in SERVICES.values():
        for other, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other]


def test_only_the_api_server_is_published_and_only_on_the_loopback_address():
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"api-server": ["127.0.0.1:8080:8080"]}


def test_the_endpoint_is_on_an_internal_network_only():
    assert SERVICES["local-emr"]["networks"] == ["internal"]
    assert COMPOSE["networks"]["internal"] == {"internal": True}


def test_no_secret_stands_in_the_file():
    text = (ROOT / "docker-compose.yaml").read_text()
    required = set(re.findall(r"\$\{(\w+):\?", text))
    assert required == set(compose_env.variables())
    settings = {(key, value) for service in SERVICES.values() for key, value in service.get("environment", {}).items()}
    secret = {
        value
        for key, value in settings
        if re.search(r"PASSWORD$|FERNET|JWT|SECRET_KEY$|CONN$|BROKER_URL$|BACKEND$", key)
    }
    assert [value for value in secret if not re.search(r"\$\{\w+", value)] == []


def test_a_missing_secret_says_what_to_type():
    text = (ROOT / "docker-compose.yaml").read_text()
    assert set(re.findall(r"\$\{\w+:\?([^}]*)\}", text)) == {"is not set; make compose-env draws all secrets into .env"}


def test_secrets_are_drawn_once_for_their_owner_alone(tmp_path):
    file = tmp_path / ".env"
    assert compose_env.write(file)
    drawn = file.read_text()
    assert not compose_env.write(file)
    assert (file.read_text(), file.stat().st_mode & 0o777) == (drawn, 0o600)
    assert {line.partition("=")[0] for line in drawn.splitlines()} == set(compose_env.variables())


def test_no_container_runs_as_root():
    for name, service in SERVICES.items():
        assert service.get("user") in {"postgres", "redis"} or service["image"].startswith("emr-pipelines/"), name
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[2:]
    assert ["USER airflow" in stage for stage in stages] == [True, True]


def test_every_image_that_is_built_is_a_stage_of_the_dockerfile():
    targets = {service["build"]["target"] for service in SERVICES.values() if "build" in service}
    assert targets == set(re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, flags=re.MULTILINE)) - {"base"}


def test_everything_that_is_copied_exists_and_is_not_ignored():
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for line in re.findall(r"^COPY (.+)$", DOCKERFILE, flags=re.MULTILINE):
        *sources, _ = line.split()
        for source in sources:
            assert (ROOT / source).exists(), source
            assert source.split("/")[0] in allowed, source


def test_every_package_of_the_endpoints_image_is_pinned():
    line = re.search(r"--constraint requirements-dev.txt (.+)$", DOCKERFILE, flags=re.MULTILINE)[1]
    pinned = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements-dev.txt").read_text(), flags=re.MULTILINE))
    assert [word for word in shlex.split(line) if re.sub(r"\[.*", "", word) not in pinned] == []


def test_every_python_module_that_a_service_runs_exists():
    modules = [SERVICES["seed"]["command"][0], *re.findall(r"python -m (\S+)", SERVICES["initialize"]["command"][0])]
    modules += json.loads(re.search(r"^CMD (.+)$", DOCKERFILE, flags=re.MULTILINE)[1])[:1]
    for module in modules:
        path = ROOT / "include" / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module
