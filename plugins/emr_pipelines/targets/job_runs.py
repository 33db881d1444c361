"""What the services of job runs, EMR Serverless and EMR on EKS, have in common: tokens, listings, and words of Spark."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from emr_pipelines.jobs import Job, SparkJob
from emr_pipelines.keys import fingerprint
from emr_pipelines.targets.base import Compute, JobRun, Owned
from emr_pipelines.targets.profile import DEPLOYMENT_TAG, LEASE_TAG, PROFILE_TAG, Classification, given
from emr_pipelines.targets.states import JobState

_PACKAGES = "packages"
"""Folder into which a job's packages are unpacked."""

ENDED_SLACK = 300.0
"""Seconds by which the service's clock may be behind ours, when a listing is asked for what was created since."""

_RUNS_PER_PAGE = 10
"""As many job runs as one page of a listing is worth: AWS allows ten times as many calls for one job run as for a listing."""

_LONGEST_WALK = 100
"""Answers under client tokens that may name something which has ended since and which no listing shows, before creating is given up."""

NODE_LOST = re.compile(
    r"node (was |is )?lost|lost node|node_?lost|node ?shutdown|spot (instance )?(interruption|termination)"
    r"|spot instance.* (reclaimed|interrupted|terminated)",
    re.IGNORECASE,
)
"""``stateDetails`` of a job run whose node was taken away, as Kubernetes' "terminated in response to imminent node shutdown" says."""


def ended_in(runs: Iterable[str], pages: Iterable[list[JobRun]]) -> Iterator[tuple[str, JobState]]:
    """Tell which job runs a listing of ended ones, newest first, shows; it is read as far as it is needed, and worth its calls."""
    missing = set(runs)
    for page in islice(pages, max(2, len(missing) // _RUNS_PER_PAGE)):
        found = [run for run in page if run.id in missing]
        missing -= {run.id for run in found}
        yield from ((run.id, run.state) for run in found)
        if not missing:
            return


def owned_on(shared: Compute, deployment: str, runs: Iterable[tuple[Mapping[str, str], float]]) -> list[Owned]:
    """List the leases of a deployment that have live job runs on shared compute, from each one's tags and when it was created."""
    latest: dict[str, Owned] = {}
    for tags, created in sorted(runs, key=lambda run: run[1]):
        if tags.get(DEPLOYMENT_TAG) == deployment and (lease := tags.get(LEASE_TAG)):
            compute = replace(shared, lease=lease, profile=tags.get(PROFILE_TAG, shared.profile))
            latest[lease] = Owned(compute, tags, created)
    return list(latest.values())


def create_once(
    request: Mapping[str, Any],
    create: Callable[[str], str],
    has_ended: Callable[[str], bool],
    known_to_have_ended: Callable[[], Iterable[str]] = tuple,
) -> str | None:
    """Create something with a client token that the request decides, so that all who ask at the same moment get the same.

    A service answers a token that it knows with what it made before, even when that has ended: then the next token is made of
    what ended, as far as answers and a listing tell. ``None`` when an answer comes again, or new ones never stop.
    """
    made = create(_token(request, ()))
    if not has_ended(made):
        return made
    ended = {made, *known_to_have_ended()}
    for _ in range(_LONGEST_WALK):
        made = create(_token(request, ended))
        if not has_ended(made):
            return made
        if made in ended:
            return None
        ended.add(made)
    return None


def _token(request: Mapping[str, Any], ended: Iterable[str]) -> str:
    return fingerprint({"request": request, "after": sorted(ended)})


def packages_conf(job: Job, code: Mapping[str, str], stated: Mapping[str, str], driver: str) -> dict[str, str]:
    """Return what lets driver and executors import the packages of a job's lock file; nothing, where ``code`` has none.

    Spark unpacks the archive into each one's working folder. ``stated`` is what the profile says of Spark, ``driver`` what the names of
    a driver's variables begin with. Sources: ``spark.archives`` and ``spark.executorEnv`` on Spark's configuration page; EMR Serverless
    User Guide, "Using Python libraries with EMR Serverless".
    """
    archive = code.get(job.lock() or "")
    if not isinstance(job, SparkJob) or archive is None:
        return {}
    own = {
        "spark.archives": (f"{archive}#{_PACKAGES}", ","),
        f"{driver}.PYTHONPATH": (f"./{_PACKAGES}", ":"),
        "spark.executorEnv.PYTHONPATH": (f"./{_PACKAGES}", ":"),
    }
    others = {**stated, **job.conf}
    return {name: between.join(filter(None, (value, others.get(name)))) for name, (value, between) in own.items()}


def spark_options(
    job: SparkJob,
    code: Mapping[str, str],
    conf: Mapping[str, str],
    jars: Sequence[str] = (),
    packages: Mapping[str, str] | None = None,
) -> list[str]:
    """Return spark-submit's words before the script; ``code`` says where in S3 each file lies, the job's own conf wins.

    ``--jars`` replaces ``spark.jars`` of the profile's configurations: ``jars`` are those, and stay with the job's own. ``packages`` is
    what ``packages_conf`` says.
    """
    words = ["--class", job.main_class] if job.main_class else []
    for option, paths in (("--py-files", job.py_files), ("--files", job.files), ("--jars", job.jars)):
        if paths:
            kept = jars if option == "--jars" else ()
            words += [option, ",".join((*(code[path] for path in paths), *kept))]
    return words + settings("--conf", {**conf, **job.conf, **(packages or {})})


def settings(option: str, values: Mapping[str, str]) -> list[str]:
    """Return an option once for each value, as ``name=value``."""
    return [word for name, value in values.items() for word in (option, f"{name}={value}")]


def one_text(words: Iterable[str]) -> str | None:
    """Join words to the one text that both services split again as a shell does; ``None`` when there are none."""
    return shlex.join(words) or None


def configuration(classification: Classification) -> dict[str, Any]:
    """Return a ``Configuration``, which both services spell the same."""
    nested = [configuration(inner) for inner in classification.configurations]
    return given(
        {
            "classification": classification.classification,
            "properties": dict(classification.properties),
            "configurations": nested or None,
        }
    )
