"""Which EMR releases are known.

Source: Amazon EMR Release Guide, "Amazon EMR release versions", and "Using an auto-termination policy" in the Management Guide:
auto-termination, by which a cluster ends when nobody needs it, came with 5.30 and 6.1.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

KNOWN_MINORS = {5: range(30, 37), 6: range(1, 16), 7: range(15)}
"""Minor numbers of each line of releases: 5.30 to 5.36, 6.1 to 6.15, 7.0 to 7.14."""

_LABEL = re.compile(r"emr-\d+\.\d+\.\d")


def version_of(release: str) -> tuple[int, ...]:
    """Return the numbers of a release label, to compare: (7, 9, 0) of ``emr-7.9.0``."""
    return tuple(int(number) for number in re.findall(r"\d+", release))


def known_release(label: str) -> str:
    """Return a release label that is known.

    :raises ValueError: it is no label, or older or newer than those that are known.
    """
    if not _LABEL.fullmatch(label):
        raise ValueError(f"{label!r} is no release label: write emr-<major>.<minor>.<patch>, such as emr-7.9.0")
    major, minor, _ = version_of(label)
    if minor not in KNOWN_MINORS.get(major, ()):
        known = ", ".join(f"emr-{line}.{minors[0]} to emr-{line}.{minors[-1]}" for line, minors in KNOWN_MINORS.items())
        raise ValueError(f"release {label} is not known here: take one of {known}")
    return label


Release = Annotated[str, AfterValidator(known_release)]
