"""The `aws` command line as a user's shell runs it, and what several commands are given."""

from __future__ import annotations

import json
import os
import shlex
from string import Template

from awscli.clidriver import create_clidriver

from tests.support.endpoint import CLIENT_ENVIRONMENT

ROLE = "arn:aws:iam::123456789012:role/EMRServerlessS3RuntimeRole"

SMALL = (
    "--conf spark.executor.cores=1 --conf spark.executor.memory=4g --conf spark.driver.cores=1 "
    "--conf spark.driver.memory=4g --conf spark.executor.instances=1"
)


def provider(namespace):
    return {"id": "my-cluster", "type": "EKS", "info": {"eksInfo": {"namespace": namespace}}}


def command_line_of(url, monkeypatch, capsys):
    """Return the command line of a user of the endpoint at `url`."""
    own = dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), os.devnull)
    for name, value in ({"AWS_ENDPOINT_URL": url} | CLIENT_ENVIRONMENT | own).items():
        monkeypatch.setenv(name, value)
    return CommandLine(capsys)


class CommandLine:
    """The `aws` command line in this process. `$NAME` in a command is what a shell would know by that name."""

    def __init__(self, capsys):
        self._capsys = capsys
        self.names = {"ROLE": ROLE}

    def __call__(self, command):
        """Run a command that succeeds; return the JSON that it prints, or its text."""
        status, out, err = self._run(command)
        assert status == 0, err
        return json.loads(out) if out.startswith(("{", "[")) else out.strip()

    def refused(self, command):
        """Run a command that the service refuses, and return what it says."""
        status, _, err = self._run(command)
        assert status == 255, err
        return err.strip()

    def _run(self, command):
        program, *arguments = shlex.split(Template(command).substitute(self.names))
        assert program == "aws"
        status = create_clidriver().main(arguments)
        printed = self._capsys.readouterr()
        return status, printed.out, printed.err
