"""What a request's signature says: for which service and region, and when it was made. Signatures are not checked.

A request names its service in the SigV4 credential scope, `<key>/<date>/<region>/<service>/aws4_request`, in its
Authorization header or, when presigned, in its query. Sources: "Create a signed AWS API request" and "Troubleshoot
Signature Version 4 request signing" in the IAM User Guide.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NamedTuple

SIGNATURE_SECONDS = 300
"""How far the time of a signature may be from the service's."""

_AMZ_DATE = "%Y%m%dT%H%M%SZ"
_SCOPE = re.compile(r"[^/]+/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")


class Scope(NamedTuple):
    """What a request is signed for."""

    service: str
    region: str


def credential_scope(authorization: str, presigned: str) -> Scope | None:
    """Read the scope from an Authorization header or from X-Amz-Credential of a query; None when neither has one."""
    match = _SCOPE.search(authorization.partition("Credential=")[2]) or _SCOPE.fullmatch(presigned)
    return Scope(match["service"], match["region"]) if match else None


def expired(signed: str, now: float) -> str | None:
    """Say, as AWS does, why a request signed at `signed` (X-Amz-Date) cannot be taken at `now`; None: it can.

    A signature is good for five minutes.
    """
    try:
        moment = datetime.strptime(signed, _AMZ_DATE).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
    if abs(moment - now) <= SIGNATURE_SECONDS:
        return None
    if moment < now:
        limit = f"{_amz_date(now - SIGNATURE_SECONDS)} ({_amz_date(now)} - 5 min.)"
        return f"Signature expired: {signed} is now earlier than {limit}"
    limit = f"{_amz_date(now + SIGNATURE_SECONDS)} ({_amz_date(now)} + 5 min.)"
    return f"Signature not yet current: {signed} is still later than {limit}"


def _amz_date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(_AMZ_DATE)
