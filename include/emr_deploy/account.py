"""The AWS account of whoever runs a command: boto3's own credential chain, region by region."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError  # noqa: A004  # botocore's name
from botocore.parsers import ResponseParserError

from emr_pipelines.errors import ConfigurationError
from emr_pipelines.targets.refusals import code_of

_PATIENT: Any = {"mode": "standard", "total_max_attempts": 4}
"""A throttle is waited out for some seconds; a region that is down is given up after that."""


def session() -> Any:
    """Return a ``boto3.Session`` of the caller's own credential chain.

    :raises ConfigurationError: its settings cannot be read, such as where ``AWS_PROFILE`` names none.
    """
    try:
        made = boto3.Session()
        # With AWS_REGION set boto3 does not look into the profile before somebody asks for its credentials.
        made._session.get_scoped_config()  # noqa: SLF001  # boto3 has no way of its own
    except BotoCoreError as error:
        raise ConfigurationError(f"{error}: set AWS_PROFILE to one of `aws configure list-profiles`") from None
    return made


@dataclass(frozen=True)
class Caller:
    """Who asks, as STS tells it."""

    account: str
    arn: str

    @property
    def told(self) -> str:
        """The line that says in whose name a command works, before it does anything."""
        return f"account   {self.account}, as {self.arn}"


@dataclass
class Account:
    """Clients of a session, made once for each service and region; safe to use from many threads."""

    session: Any
    """A ``boto3.Session``."""
    endpoint_url: str | None = None
    """Where every call goes instead of AWS; boto3 honours ``AWS_ENDPOINT_URL`` by itself."""
    retries: Any = field(default_factory=lambda: _PATIENT)
    """``retries`` of botocore's ``Config``."""
    threads: int = 16
    """Calls at a time."""
    _clients: dict[tuple[str, str], Any] = field(default_factory=dict)
    _alone: threading.Lock = field(default_factory=threading.Lock)

    def client(self, service: str, region: str) -> Any:
        """Return the client of a service in a region."""
        config = Config(retries=self.retries, connect_timeout=5, read_timeout=30, max_pool_connections=32)
        with self._alone:
            if (service, region) not in self._clients:
                self._clients[service, region] = self.session.client(
                    service, region_name=region, endpoint_url=self.endpoint_url, config=config
                )
            return self._clients[service, region]

    def caller(self, region: str) -> Caller | str:
        """Return who asks, or why nobody can: a reason with its cure, as the end of a sentence."""
        try:
            if self.session.get_credentials() is None:
                return "there are no credentials: log in, such as by `aws sso login`, or set AWS_PROFILE"
            told = self.client("sts", region).get_caller_identity()
        except ClientError as error:
            return f"the credentials were not taken ({code_of(error)}): log in again, or set another AWS_PROFILE"
        except (ConnectionError, HTTPClientError, ResponseParserError, ValueError) as error:
            # botocore has ValueError for an address that is none, and its parser's own error for an answer that is not AWS's.
            return f"STS did not answer ({_short(error)}): look whether this machine reaches AWS, or what AWS_ENDPOINT_URL names"
        except BotoCoreError as error:
            return f"the credentials could not be read ({_short(error)}): log in again, or set another AWS_PROFILE"
        return Caller(told["Account"], told["Arn"])


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
