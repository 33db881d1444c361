"""The stacks of an environment in an AWS account: ``python -m emr_deploy.infra up|down <environment> [--dry-run] [--delete-data]``.

``up`` ends with what to write into the environment's file; ``down`` begins with what was made last. Ends with 1 when something
is wrong, which stands on the standard error.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from emr_deploy import account as credentials
from emr_deploy.stacks import Account, StackError, steps_down, steps_up
from emr_deploy.steps import carry_out
from emr_deploy.templates import Key, Stack, read_stacks
from emr_pipelines.environments import Environment, environment_files, include_folder, read_environment
from emr_pipelines.errors import ConfigurationError, EmrPipelinesError, suggestion

_OF_CLUSTERS = {
    "service_role": "ServiceRole",
    "instance_profile": "InstanceProfile",
    "primary_security_group": "PrimarySecurityGroup",
    "core_security_group": "CoreSecurityGroup",
    "service_access_security_group": "ServiceAccessSecurityGroup",
}
"""Settings of the preset `account`, and the outputs that they have the values of."""

_ROLES = {"serverless": "ServerlessJobRoleArn", "eks": "EksJobRoleArn"}
"""The output that is the role of a target's jobs."""


def named(name: str) -> Environment:
    """Read an environment by its name.

    :raises ConfigurationError: there is none of that name, or it is not valid.
    """
    folder = include_folder() / "compute"
    files = environment_files(folder)
    if name not in files:
        raise ConfigurationError(
            f"There is no environment {folder / name}.yaml{suggestion(name, files)}; there are: {', '.join(files) or 'none'}"
        )
    return read_environment(files[name], os.environ.get("EMR_PIPELINES_DEPLOYMENT"))


def up(environment: Environment, session: Any, say: Callable[[str], None], *, dry_run: bool) -> None:
    """Bring the stacks of an environment to what their templates say, and tell what to write into its file.

    :raises ConfigurationError: the parameters' file, or a template, is wrong.
    :raises StackError: CloudFormation could not do it, or AWS could not be asked.
    """
    stacks, account = read_stacks(environment, include_folder() / "infra"), Account(session)
    asked = _caller(stacks, session)
    if isinstance(asked, str):
        if not dry_run:
            raise StackError(f"AWS was not asked, and nothing was changed: {asked}")
        say(f"AWS was not asked: {asked}. The stacks of the environment, in their order:")
        for stack in stacks:
            say(f"would     create or update stack {stack.name} in {stack.region}")
        return
    say(asked.told)
    try:
        carry_out(steps_up(account, stacks, dry_run=dry_run), say, dry_run=dry_run)
    except (ClientError, BotoCoreError, ResponseParserError) as error:
        raise StackError(f"AWS could not be asked, or refused: {' '.join(str(error).split())}") from error
    if account.outputs:
        say(told(environment, account.outputs))


def down(
    environment: Environment, session: Any, say: Callable[[str], None], *, dry_run: bool, delete_data: bool
) -> None:
    """Take the stacks of an environment down.

    :raises ConfigurationError: the parameters' file, or a template, is wrong.
    :raises StackError: CloudFormation could not do it, or AWS could not be asked.
    """
    stacks, account = read_stacks(environment, include_folder() / "infra"), Account(session)
    asked = _caller(stacks, session)
    if isinstance(asked, str):
        raise StackError(f"AWS was not asked, and nothing was changed: {asked}")
    say(asked.told)
    try:
        carry_out(steps_down(account, stacks, delete_data=delete_data), say, dry_run=dry_run)
    except (ClientError, BotoCoreError, ResponseParserError) as error:
        raise StackError(f"AWS could not be asked, or refused: {' '.join(str(error).split())}") from error


def _caller(stacks: Sequence[Stack], session: Any) -> credentials.Caller | str:
    """Return who asks, or why nobody can, as the end of a sentence."""
    return credentials.Account(session).caller(stacks[0].region) if stacks else "the environment has no stacks"


def told(environment: Environment, outputs: Mapping[Key, Mapping[str, str]]) -> str:
    """Return what the stacks' outputs are in an environment's file: settings of its home, and the values of other regions."""
    regions = list(dict.fromkeys(region for region, _ in outputs))
    home = next((one for one in regions if one not in environment.regions), regions[0])
    settings = settings_of(environment, home, values_in(outputs, home))
    lines = [
        f"# For include/compute/{environment.source.name}.{_there_already(environment, settings)}",
        yaml.safe_dump(settings, sort_keys=False).rstrip(),
    ]
    for region in regions:
        lines += [f"# Outputs in {region}:"]
        lines += [f"#   {name}: {value}" for name, value in sorted(values_in(outputs, region).items())]
    return "\n".join(lines)


def _there_already(environment: Environment, settings: Mapping[str, Any]) -> str:
    """Say which sections the file has: YAML takes none of them twice."""
    stand = yaml.safe_load(environment.source.read_text(encoding="utf-8")).keys() & settings.keys()
    said = f" What stands there already ({', '.join(sorted(stand))}) gets these lines in it, each in place of the one of its name:"
    return said if stand else " Add these lines:"


def values_in(outputs: Mapping[Key, Mapping[str, str]], region: str) -> dict[str, str]:
    """Return all outputs of the stacks of a region."""
    return {name: value for key, one in outputs.items() if key[0] == region for name, value in one.items()}


def settings_of(environment: Environment, home: str, values: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings of an environment's file that have the values of outputs."""
    account: dict[str, Any] = {setting: values[name] for setting, name in _OF_CLUSTERS.items() if name in values}
    if "PrivateSubnets" in values:
        account["subnet"] = values["PrivateSubnets"].partition(",")[0]
    profiles = {
        name: {"execution_role": values[_ROLES[profile.target]]}
        for name, profile in environment.profiles.items()
        if profile.region == home and values.get(_ROLES.get(profile.target, ""))
    }
    settings: dict[str, Any] = {}
    if "QueueUrl" in values:
        settings["watching"] = {"events_queue": values["QueueUrl"]}
    if account:
        settings["presets"] = {"account": {"region": home, **account}}
    if profiles:
        settings["profiles"] = profiles
    return settings


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="emr_deploy.infra", description="Make or take down the stacks of an environment."
    )
    parser.add_argument("action", choices=("up", "down"))
    parser.add_argument("environment", help="name of a file of include/compute")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    parser.add_argument(
        "--delete-data", action="store_true", help="down: delete buckets that hold objects, and keys, too"
    )
    typed = parser.parse_args(arguments)
    try:
        session = credentials.session()
        environment = named(typed.environment)
        if typed.action == "up":
            up(environment, session, print, dry_run=typed.dry_run)
        else:
            down(environment, session, print, dry_run=typed.dry_run, delete_data=typed.delete_data)
    except EmrPipelinesError as error:
        print(error, file=sys.stderr)  # noqa: T201  # a command speaks there
        return 1
    return 0


if __name__ == "__main__":
    # Airflow's logging, which emr_pipelines brings, would write between the lines that are to be copied.
    logging.disable(logging.WARNING)
    sys.exit(main())
