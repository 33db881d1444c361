"""The loss of a region, rehearsed: which profiles may follow one another across regions, and what came of a run. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emr_pipelines.environments import Environment
from emr_pipelines.errors import ComputeError


def chains_across_regions(environment: Environment) -> list[list[str]]:
    """List profiles to be tried in turn, so that of each target every region comes first once; none where a target has one region.

    Of several profiles of a target in a region the first of the file stands for it.
    """
    by_target: dict[str, dict[str, str]] = {}
    for profile in environment.profiles.values():
        by_target.setdefault(profile.target, {}).setdefault(profile.region, profile.name)
    chains = (list(regions.values()) for regions in by_target.values() if len(regions) > 1)
    return [chain[first:] + chain[:first] for chain in chains for first in range(len(chain))]


def outcome(environment: Environment, acquired: Mapping[str, Any]) -> dict[str, str]:
    """Say what a rehearsal showed: ``{"lost", "went_to", "profile", "code", "reason"}``.

    :param acquired: the XCom of acquire.
    :raises ComputeError: the run stayed in the region that should have been lost, or its code lies where it would have been lost.
    """
    choice = acquired["choice"]
    asked, used = environment.profile(choice["asked"][0]), environment.profile(choice["profile"])
    if asked.region == used.region:
        raise ComputeError(
            f"Profile {used.name!r} was acquired in {used.region}, which should be lost: nothing was rehearsed. Switch that region off, "
            "and run this again."
        )
    bucket = environment.buckets_in(used.region).artifacts
    if bucket == environment.buckets_in(asked.region).artifacts:
        raise ComputeError(
            f"The job code of {used.region} lies in bucket {bucket!r}, as that of {asked.region} does: where that region is lost the "
            f"bucket may be, too. Give {used.region} buckets of its own below `regions` of the environment's file."
        )
    refused = {one["profile"]: one["reason"] for one in choice["refused"]}
    return {
        "lost": asked.region,
        "went_to": used.region,
        "profile": used.name,
        "code": bucket,
        "reason": refused.get(asked.name, ""),
    }
