"""How EMR on EC2 refuses."""

from __future__ import annotations

from local_emr.protocol import ServiceError


def refused(message: str) -> ServiceError:
    """Return the error of a request that is not valid."""
    return ServiceError("ValidationException", message)


def invalid(message: str, error_code: str = "InvalidRequest") -> ServiceError:
    """Return the error of the operations that describe, which carries a code of its own."""
    return ServiceError("InvalidRequestException", message, ErrorCode=error_code)
