"""What AWS refused, in one sentence for people, and whether another profile may do better."""

from __future__ import annotations

import re

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from emr_pipelines.errors import ComputeError, ComputeUnavailableError
from emr_pipelines.targets.once import Effect, effect_of

SHORTAGE = re.compile(r"LimitExceeded|limit exceeded|quota|capacity", re.IGNORECASE)
"""Words with which AWS says that there is not enough of something."""

REFUSALS = (ClientError, BotoCoreError)
"""What a call raises that AWS refused, or that never came to an answer."""


def refused(error: ClientError | BotoCoreError, what: str, still: str) -> ComputeError:
    """Return the error that tells a refusal: the service's own words, what it means, and what still runs."""
    kind = ComputeUnavailableError if is_shortage(error) else ComputeError
    return kind(f"{_said(error)}: {what}. {still}")


def is_shortage(error: ClientError | BotoCoreError) -> bool:
    """Whether a refusal is for want of capacity or quota, or the service's own fault."""
    return effect_of(error) is not Effect.NONE or bool(SHORTAGE.search(_said(error)))


def is_unknown(error: ClientError) -> bool:
    """Whether EMR Serverless or EMR on EKS says that it does not know an id."""
    return code_of(error) == "ResourceNotFoundException"


def code_of(error: ClientError | BotoCoreError) -> str:
    """Return the service's name of a refusal, such as ``ValidationException``; empty when there was no answer."""
    return str(error.response["Error"].get("Code", "")) if isinstance(error, ClientError) else ""


def _said(error: ClientError | BotoCoreError) -> str:
    if isinstance(error, ClientError):
        detail = error.response["Error"]
        return f"{detail.get('Message') or detail.get('Code')} ({detail.get('Code')})"
    if isinstance(error, ParamValidationError):
        return " ".join(str(error).split())
    return str(error)
