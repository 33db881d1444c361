"""Secrets that a job's log or a service's words may hold, masked before they are told.

Airflow masks what it knows (connections, variables) by itself; these patterns are for what only the job knew.
"""

from __future__ import annotations

import re

MASK = "***"

_NAME = (
    r"(?:pass(?:word|wd|phrase)?|pwd|secret(?:[_.-]?(?:access[_.-]?)?key)?"
    r"|(?:api|access|account|private|encryption)[_.-]?key|(?:auth|access|session|security|bearer)[_.-]?token|credentials?)"
)
_VALUE = r"(?:\"[^\"]*\"|'[^']*'|[^\s,;&\"']+)"

PATTERNS: dict[str, re.Pattern[str]] = {
    "a password in a URL": re.compile(r"(?P<kept>\b[a-z][a-z0-9+.-]*://[^\s/:@]*:)[^\s@/]+(?=@)", re.IGNORECASE),
    "a signature or token in a URL": re.compile(
        r"(?P<kept>[?&](?:X-Amz-(?:Signature|Credential|Security-Token)|sig|signature|authToken)=)[^\s&#\"']+",
        re.IGNORECASE,
    ),
    "an Authorization header": re.compile(
        r"(?P<kept>\bAuthorization[\"']?\s*[:=]\s*[\"']?(?:\w+\s+)?)[^\s\"',]{8,}", re.IGNORECASE
    ),
    "an option's value": re.compile(rf"(?P<kept>(?<!\S)--?[\w.-]*{_NAME}[= ]\s*)(?!--){_VALUE}", re.IGNORECASE),
    "a token": re.compile(r"(?P<kept>\b[\w.-]*token[\"']?\s*[=:]\s*[\"']?)[\w.~+/=-]{12,}", re.IGNORECASE),
    "a named value": re.compile(rf"(?P<kept>\b[\w.-]*{_NAME}[\"']?\s*[=:]\s*){_VALUE}", re.IGNORECASE),
    "an AWS access key id": re.compile(r"(?P<kept>\b(?:AKIA|ASIA))[A-Z0-9]{16}\b"),
    "a private key": re.compile(r"(?P<kept>-----BEGIN [A-Z ]*PRIVATE KEY-----)[\s\S]+?(?=-----END|\Z)"),
}
"""What is masked, by its name; ``kept`` is what stays before the mask."""


def masked(text: str) -> str:
    """Return a text with every secret that a pattern finds replaced by ``***``."""
    for pattern in PATTERNS.values():
        text = pattern.sub(lambda found: f"{found['kept']}{MASK}", text)
    return text
