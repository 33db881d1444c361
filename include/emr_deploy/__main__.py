"""Deploys an environment: ``python -m emr_deploy <environment> [--dry-run] [--json]``, which ``make deploy ENV=...`` calls.

Ends with 0 when all is there, and with 1 when a profile is wrong, something is missing, or AWS refused.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3

from emr_deploy import plan
from emr_deploy.account import Account, Caller, session
from emr_deploy.checks import OF_THIS_MACHINE, Findings, check
from emr_deploy.needs import home_of
from emr_deploy.releases import Release, commit_of, release_of
from emr_deploy.steps import Step, carry_out
from emr_deploy.uploads import artifacts_of
from emr_pipelines.check_profiles import check_environment
from emr_pipelines.environments import Environment, environment_files, include_folder, read_environment
from emr_pipelines.errors import ConfigurationError, EmrPipelinesError, suggestion
from emr_pipelines.quality import RulesetError
from emr_pipelines.targets.refusals import REFUSALS
from local_airflow import endpoint
from local_airflow.endpoint import LocalEndpoint
from local_airflow.settings import CREDENTIALS

ROOT = Path(__file__).resolve().parents[2]
_LOCAL = "local"


@dataclass
class Report:
    """What is told of a deploy: line by line to people, or as one JSON object at its end."""

    as_json: bool
    told: dict[str, Any] = field(default_factory=dict)

    def say(self, line: str) -> None:
        """Tell what is, or is done."""
        if not self.as_json:
            print(line, flush=True)  # noqa: T201  # a command

    def complain(self, line: str) -> None:
        """Tell what is wrong, or not known."""
        print(line, file=sys.stderr, flush=True)  # noqa: T201  # a command

    def close(self) -> None:
        """Write the JSON object, if one is wanted."""
        if self.as_json:
            print(json.dumps(self.told, indent=2), flush=True)  # noqa: T201  # a command


def main(words: Sequence[str] | None = None) -> int:
    """Deploy, and return the exit code."""
    options = _arguments(words)
    report = Report(options.json, {"environment": options.environment, "dry_run": options.dry_run, "done": False})
    try:
        done = deploy(options.environment, report, dry_run=options.dry_run)
    except (EmrPipelinesError, RulesetError) as error:
        done = False
        report.told["error"] = str(error)
        report.complain(str(error))
    except REFUSALS as error:
        done = False
        why = f"AWS refused, and the deploy stopped there: {' '.join(str(error).split())}"
        report.told["error"] = why
        report.complain(why)
    except OSError as error:
        done = False
        why = f"This machine refused, and the deploy stopped there: {error}"
        report.told["error"] = why
        report.complain(why)
    report.told["done"] = done and not options.dry_run
    report.close()
    return 0 if done else 1


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="emr_deploy", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("environment", help="name of a file in include/compute, such as dev")
    parser.add_argument("--dry-run", action="store_true", help="say what a deploy would do, and change nothing")
    parser.add_argument("--json", action="store_true", help="write one JSON object instead of lines")
    return parser.parse_args(words)


def now() -> datetime:
    """Return the time of a release."""
    return datetime.now(UTC)


def deploy(name: str, report: Report, *, dry_run: bool) -> bool:
    """Check an environment and its account, then bring its files there; return whether nothing was wrong or missing.

    :raises EmrPipelinesError: it could not be done.
    """
    environment = _read(name, report)
    if environment is None:
        return False
    account = _account(environment, os.environ)
    caller = account.caller(home_of(environment)) if account else "nothing of this machine runs: type make up"
    asked = account if isinstance(caller, Caller) else None
    if isinstance(caller, str):
        if not dry_run:
            raise ConfigurationError(f"AWS was not asked, and nothing was deployed: {caller}")
        report.told["not_asked"] = caller
        report.complain(f"AWS was not asked: {caller}")
    else:
        report.told["account"] = caller.account
        report.say(caller.told)
    missing = _told(_findings(environment, asked), report) if asked else False
    if missing and not dry_run:
        report.complain("Nothing was deployed.")
        return False
    artifacts = artifacts_of(environment)
    by = caller.arn if isinstance(caller, Caller) else None
    commit = commit_of(include_folder())
    release = release_of(environment, artifacts, now(), by, commit)
    steps = plan.steps(environment, artifacts, release, asked)
    report.told |= {"release": release.release, "steps": [_shown(step) for step in steps]}
    carry_out(steps, report.say, dry_run=dry_run)
    report.say(_end(release, steps, dry_run=dry_run))
    return not missing


def _read(name: str, report: Report) -> Environment | None:
    """Read an environment, and tell what is wrong with its profiles, as ``check-profiles`` does; ``None`` if something is.

    :raises ConfigurationError: there is no such environment, or its file is wrong in another way.
    """
    folder = include_folder() / "compute"
    files = environment_files(folder)
    if name not in files:
        raise ConfigurationError(
            f"There is no environment {name!r}{suggestion(name, files)} in {folder}; there are: {', '.join(files) or 'none'}"
        )
    wrong = [line for line in check_environment(name, files[name]) if line.wrong]
    for line in wrong:
        report.complain(f"WRONG     {line.name}: {line.words}")
    report.told["wrong"] = [f"{line.name}: {line.words}" for line in wrong]
    return None if wrong else read_environment(files[name], os.environ.get("EMR_PIPELINES_DEPLOYMENT"))


def _account(environment: Environment, variables: Mapping[str, str]) -> Account | None:
    """Return the account of an environment; for ``local`` what ``make up`` started, unless a variable leads elsewhere."""
    if environment.name != _LOCAL or "AWS_ENDPOINT_URL" in variables:
        return Account(session())
    local = LocalEndpoint(ROOT / ".local" / "airflow", ROOT)
    if not local.alive():
        return None
    of_make_up = boto3.Session(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"])
    return Account(of_make_up, local.url)


def _findings(environment: Environment, account: Account) -> Findings:
    where = account.endpoint_url or os.environ.get("AWS_ENDPOINT_URL")
    of_this_machine = where is not None and endpoint.answers(where)
    return check(environment, account, OF_THIS_MACHINE if of_this_machine else None)


def _told(findings: Findings, report: Report) -> bool:
    """Tell what was found, and return whether something is missing."""
    for word, found in (("missing", findings.missing), ("short", findings.short), ("unasked", findings.unasked)):
        report.told[word] = [one.sentence for one in found]
        for one in found:
            report.complain(f"{word:9} {one.sentence}")
    return bool(findings.missing)


def _shown(step: Step) -> dict[str, Any]:
    return {"do": step.sentence, "needed": step.needed}


def _end(release: Release, steps: Sequence[Step], *, dry_run: bool) -> str:
    needed = sum(step.needed for step in steps)
    counted = f"{needed} of {len(steps)} steps {'are' if dry_run else 'were'} needed"
    commit = f" of commit {release.commit[:12]}" if release.commit else ""
    return f"Release {release.release[:12]}{commit} for {release.environment}: {counted}"


if __name__ == "__main__":
    # What this command has to say it says itself: Airflow's logging would write between the lines, and into the JSON.
    logging.disable(logging.WARNING)
    sys.exit(main())
