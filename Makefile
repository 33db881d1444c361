# Everything a person does with this checkout. `make` alone lists it.

PYTHON := $(shell command -v python3.11 || command -v python3 || echo python3.11)
UV_VERSION := 0.13.8
VENV := .venv/bin
RUN := PYTHONPATH=include $(VENV)/python -m

# Only what is typed after `make` counts: a shell may export PORT or HOST for something else.
typed = $(if $(filter command,$(firstword $(origin $(1)))),$(2) '$(subst ','\'',$($(1)))')
# A flag is `yes` or not typed: nobody loses data by DELETE_DATA=no.
flag = $(if $(call typed,$(1),with),$(if $(filter yes,$($(1))),$(2),$(error write $(1)=yes, or leave it out)))
environment = $(or $(call typed,ENV,),$(error say which environment of include/compute: make $@ ENV=dev))
PORTS = $(call typed,PORT,--port) $(call typed,EMR_PORT,--endpoint-port)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo up down status password local-emr test test-unit test-browser test-chaos test-topology chaos check-profiles check-dags lint format bench bench-quality \
        bench-watch soak docs size infra infra-down deploy mwaa wheel lock \
        compose-env clean clean-all

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

demo: .venv/.ready ## run one day of flights on a real Airflow and a local EMR (TARGET=ec2|eks|serverless|all DATE=2013-02-03)
	@$(RUN) local_airflow demo $(PORTS) $(call typed,DATE,--date) $(call typed,TARGET,--target) $(call typed,CONF,--conf)

up: .venv/.ready ## start Airflow and the local EMR and leave them running (PORT=8080 EMR_PORT=4566)
	@$(RUN) local_airflow up $(PORTS)

down: .venv/.ready ## stop what `make up` started, and only that
	@$(RUN) local_airflow down

status: .venv/.ready ## say what runs
	@$(RUN) local_airflow status

password: .venv/.ready ## print the password of Airflow's user admin
	@$(RUN) local_airflow password

local-emr: .venv/.ready ## serve the EMR endpoint alone, in the foreground (PORT=4566 HOST=127.0.0.1)
	@PYTHONPATH=include exec $(VENV)/python -m local_emr --data .local/emr $(call typed,PORT,--port) $(call typed,HOST,--host)

test: .venv/.ready ## run all tests but those in a browser
	@$(VENV)/python -m pytest -n 2 --no-loadscope-reorder
	@$(VENV)/python -m pytest tests/pipelines

test-unit: .venv/.ready ## run the quick tests
	@$(VENV)/python -m pytest tests/unit -m "not slow"

test-browser: .venv/.ready ## run the tests in a browser, with Chromium from the system's packages
	@if ! ls tests/browser/test_*.py >/dev/null 2>&1; then echo "tests/browser holds no tests."; exit 0; fi; \
	browser() { command -v chromium || command -v chromium-browser || command -v google-chrome; }; \
	if ! browser >/dev/null && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null || true; \
	fi; \
	if ! found=$$(browser); then \
	  echo "NOT RUN: the browser tests need Chromium. Install it (Debian: apt-get install chromium), then try again." >&2; \
	  exit 1; \
	fi; \
	CHROMIUM="$$found" $(VENV)/python -m pytest tests/browser

test-topology: .venv/.ready ## run the services of docker-compose.yaml as processes, and kill some, on a quiet machine
	@$(VENV)/python -m pytest tests/topology

test-chaos: .venv/.ready ## run a short chaos run as tests, in a real Airflow, on a quiet machine
	@$(VENV)/python -m pytest tests/chaos

chaos: .venv/.ready ## break a real Airflow on purpose, and count (SEEDS=12 FIRST=0 TARGET=ec2|eks|serverless|all WHO=ours|provider|both)
	@PYTHONPATH=.:plugins:include $(VENV)/python -m tests.chaos $(call typed,SEEDS,--seeds) $(call typed,FIRST,--first) \
	  $(call typed,TARGET,--target) $(call typed,WHO,--who)

lint: .venv/.ready ## check style and types
	@$(VENV)/ruff check .
	@$(VENV)/ruff format --check .
	@$(VENV)/mypy

format: .venv/.ready ## put the code into the one format
	@$(VENV)/ruff format .
	@$(VENV)/ruff check --fix .

bench: .venv/.ready ## run the benchmarks
	@for file in benchmarks/bench_*.py; do PYTHONPATH=.:include:plugins $(VENV)/python "$$file" || exit 1; done

bench-quality: .venv/.ready ## time a ruleset of 20 rules against a hand-written aggregation and Great Expectations (RUNS=7)
	@PYTHONPATH=.:include:plugins $(VENV)/python benchmarks/bench_quality.py $(call typed,RUNS,--runs)

bench-watch: .venv/.ready ## count what waiting for many jobs costs (SIZES=10,100,1000,10000 SERVICES=serverless,ec2 PLOT=yes)
	@PYTHONPATH=.:include:plugins $(VENV)/python benchmarks/bench_watch.py $(call typed,SIZES,--sizes) \
	  $(call typed,SERVICES,--services) $(call flag,PLOT,--plot)

soak: .venv/.ready ## let jobs run and be waited for while calls fail and the triggerer is killed, and count (MINUTES=30 SEED=0)
	@PYTHONPATH=.:include:plugins $(VENV)/python -m benchmarks.watch.soak $(call typed,MINUTES,--minutes) $(call typed,SEED,--seed)

check-profiles: .venv/.ready ## check every profile of every environment, a line for each
	@PYTHONPATH=plugins $(VENV)/python -m emr_pipelines.check_profiles

check-dags: .venv/.ready ## parse every DAG in each environment, without a database or a network (ENV=dev SECONDS=5)
	@PYTHONPATH=include:plugins $(VENV)/python -m emr_deploy.check_dags $(call typed,ENV,--environment) $(call typed,SECONDS,--seconds)

docs: .venv/.ready ## write the generated parts of docs/ again
	@PYTHONPATH=include:plugins $(VENV)/python -m docs.generate

size: .venv/.ready ## work out Spark executors for the nodes of a cluster (TYPE=r5.4xlarge COUNT=10)
	@PYTHONPATH=plugins $(VENV)/python -m emr_pipelines.size_executors $(call typed,TYPE,) $(call typed,COUNT,)

deploy: .venv/.ready ## check what profiles name, and lay job code into the account (ENV=dev DRY_RUN=yes JSON=yes)
	@PYTHONPATH=plugins:include $(VENV)/python -m emr_deploy $(environment) $(call flag,DRY_RUN,--dry-run) \
	  $(call flag,JSON,--json)

wheel: .venv/.ready ## build the wheel of emr_pipelines into dist/
	@$(VENV)/uv build --quiet --wheel --python $(VENV)/python
	@ls dist/*.whl

infra: .venv/.ready ## make the stacks of an environment in an AWS account (ENV=dev DRY_RUN=yes)
	@PYTHONPATH=include:plugins $(VENV)/python -m emr_deploy.infra up $(environment) $(call flag,DRY_RUN,--dry-run)

infra-down: .venv/.ready ## take them down again, but what holds data only if told to (ENV=dev DRY_RUN=yes DELETE_DATA=yes)
	@PYTHONPATH=include:plugins $(VENV)/python -m emr_deploy.infra down $(environment) $(call flag,DRY_RUN,--dry-run) \
	  $(call flag,DELETE_DATA,--delete-data)

mwaa: .venv/.ready ## package plugins, DAGs and include/ for Amazon MWAA into dist/mwaa/ (ENV=dev)
	@PYTHONPATH=include:plugins $(VENV)/python -m emr_deploy.mwaa $(environment)

lock: .venv/.ready ## pin again what requirements.in and requirements-dev.in ask for
	@$(VENV)/uv pip compile --quiet --universal --python-version 3.11 requirements.in -o requirements.txt
	@$(VENV)/uv pip compile --quiet --universal --python-version 3.11 requirements-dev.in -c requirements.txt -o requirements-dev.txt

compose-env: .venv/.ready ## draw the secrets that docker-compose.yaml needs into .env, once
	@$(RUN) local_airflow.compose_env

clean: ## stop what runs and forget all data and caches
	@if [ -d .local/airflow ] && [ -e .venv/.ready ]; then $(RUN) local_airflow down; fi
	@rm -rf .local build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis plugins/*.egg-info
	@find dags include plugins tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

clean-all: clean ## as clean, and remove the installed packages too
	@rm -rf .venv .venv-peer .venv-expectations

# The stamp is written last: an interrupted set-up starts where it can and ends complete.
.venv/.ready: requirements-dev.txt
	@found=$$('$(PYTHON)' -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || found=none; \
	if [ "$$found" != 3.11 ]; then \
	  echo "needs Python 3.11, found $$found at $(PYTHON); make PYTHON=/path/to/python3.11" >&2; exit 1; \
	fi
	@$(VENV)/python -c 'import pip, sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || \
	  '$(PYTHON)' -m venv --clear .venv
	@echo "Installing what requirements-dev.txt pins (once, a few minutes) ..."
	@$(VENV)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(VENV)/uv pip sync --quiet --python $(VENV)/python requirements-dev.txt
	@touch $@
