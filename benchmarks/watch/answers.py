"""The answers of EMR Serverless and EMR on EC2 about a plan's job runs, as AWS's clients read them. Pure.

Sources: the API references of both services and botocore's models: required members, page sizes (at most 50 job runs or steps), and
order (newest first). Times are seconds since 1970, which both protocols allow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from benchmarks.watch.plan import APPLICATION, Plan, Run

Answer = dict[str, Any]

PAGE = 50
_DRIVER = {"sparkSubmit": {"entryPoint": "s3://bench/etl.py"}}
_ROLE = "arn:aws:iam::123456789012:role/emr-serverless-jobs"
_ARN = f"arn:aws:emr-serverless:us-east-1:123456789012:/applications/{APPLICATION}"


class UnknownError(Exception):
    """There is no such operation, application, cluster, job run or step here."""


def of_serverless(plan: Plan, began: float, now: float) -> dict[str, Callable[[Mapping[str, Sequence[str]]], Answer]]:
    """Return EMR Serverless's operations at a time, from a request's path and query parameters to the answer.

    `began` is when the plan's window begins; both are in seconds since 1970.
    """

    def get_job_run(asked: Mapping[str, Sequence[str]]) -> Answer:
        _known(asked["application"][0], [APPLICATION])
        run = plan.runs[_known(asked["run"][0], plan.runs)]
        described = _job_run(run, began, now)
        ended = {"endedAt": described["updatedAt"]} if run.has_ended(now - began) else {}
        return {
            "jobRun": {**described, **ended, "jobRunId": run.id, "startedAt": run.created + began, "jobDriver": _DRIVER}
        }

    def list_job_runs(asked: Mapping[str, Sequence[str]]) -> Answer:
        _known(asked["application"][0], [APPLICATION])
        states = set(asked.get("states", ()))
        after, before = (_seconds(asked, name) for name in ("createdAtAfter", "createdAtBefore"))
        found = (
            run
            for run in _from(plan, asked.get("nextToken", [""])[0])
            if (not states or _state(run, now - began) in states)
            and (after is None or run.created + began >= after)
            and (before is None or run.created + began <= before)
        )
        page, following = _page(found, int(asked.get("maxResults", [str(PAGE)])[0]))
        return {
            "jobRuns": [_job_run(run, began, now) for run in page],
            **({"nextToken": following} if following else {}),
        }

    def get_application(asked: Mapping[str, Sequence[str]]) -> Answer:
        _known(asked["application"][0], [APPLICATION])
        words = {
            "applicationId": APPLICATION,
            "arn": _ARN,
            "name": "bench",
            "releaseLabel": "emr-7.9.0",
            "type": "SPARK",
        }
        return {"application": {**words, "state": "STARTED", "createdAt": began - 86_400, "updatedAt": began - 86_400}}

    return {"GetJobRun": get_job_run, "ListJobRuns": list_job_runs, "GetApplication": get_application}


def of_ec2(plan: Plan, began: float, now: float) -> dict[str, Callable[[Mapping[str, Any]], Answer]]:
    """Return EMR's operations at a time, from a request's members to the answer; the times as for `of_serverless`."""
    clusters = dict.fromkeys(run.compute for run in plan.runs.values())

    def describe_step(asked: Mapping[str, Any]) -> Answer:
        run = plan.runs[_known(asked["StepId"], plan.runs)]
        _known(asked["ClusterId"], [run.compute])
        return {"Step": _step(run, began, now)}

    def list_steps(asked: Mapping[str, Any]) -> Answer:
        cluster = _known(asked["ClusterId"], clusters)
        states, ids = set(asked.get("StepStates", ())), set(asked.get("StepIds", ()))
        found = (
            run
            for run in _from(plan, asked.get("Marker", ""))
            if run.compute == cluster
            and (not ids or run.id in ids)
            and (not states or _step_state(run, now - began) in states)
        )
        page, following = _page(found, PAGE)
        return {"Steps": [_step(run, began, now) for run in page], **({"Marker": following} if following else {})}

    def describe_cluster(asked: Mapping[str, Any]) -> Answer:
        return {"Cluster": _cluster(_known(asked["ClusterId"], clusters), began)}

    def list_clusters(asked: Mapping[str, Any]) -> Answer:
        running = "RUNNING" in asked.get("ClusterStates", ["RUNNING"])
        return {"Clusters": [_cluster(cluster, began) for cluster in clusters] if running else []}

    return {
        "DescribeStep": describe_step,
        "ListSteps": list_steps,
        "DescribeCluster": describe_cluster,
        "ListClusters": list_clusters,
    }


def _known(name: str, names: Iterable[str]) -> str:
    if name not in names:
        raise UnknownError(f"{name} does not exist")
    return name


def _from(plan: Plan, token: str) -> Iterator[Run]:
    """Yield the job runs, newest first, after the one that a page's token names."""
    runs = iter(plan.runs.values())
    if token:
        next(run for run in runs if run.id == token)
    return runs


def _page(found: Iterator[Run], size: int) -> tuple[list[Run], str | None]:
    page = list(islice(found, size))
    return page, page[-1].id if next(found, None) else None


def _seconds(asked: Mapping[str, Sequence[str]], name: str) -> float | None:
    return datetime.fromisoformat(asked[name][0]).timestamp() if name in asked else None


def _state(run: Run, moment: float) -> str:
    if not run.has_ended(moment):
        return "RUNNING"
    return "SUCCESS" if run.succeeds else "FAILED"


def _step_state(run: Run, moment: float) -> str:
    return {"SUCCESS": "COMPLETED"}.get(state := _state(run, moment), state)


def _job_run(run: Run, began: float, now: float) -> Answer:
    ended = run.ends if run.has_ended(now - began) else None
    return {
        "applicationId": run.compute,
        "id": run.id,
        "arn": f"{_ARN}/jobruns/{run.id}",
        "createdBy": "arn:aws:iam::123456789012:user/airflow",
        "createdAt": run.created + began,
        "updatedAt": (run.created + 30 if ended is None else ended) + began,
        "executionRole": _ROLE,
        "state": _state(run, now - began),
        "stateDetails": "",
        "releaseLabel": "emr-7.9.0",
        "type": "SPARK",
    }


def _step(run: Run, began: float, now: float) -> Answer:
    times = {"CreationDateTime": run.created + began, "StartDateTime": run.created + began + 30}
    if run.ends is not None and run.has_ended(now - began):
        times["EndDateTime"] = run.ends + began
    return {
        "Id": run.id,
        "Name": run.id,
        "ActionOnFailure": "CONTINUE",
        "Config": {"Jar": "command-runner.jar", "Args": ["spark-submit"]},
        "Status": {"State": _step_state(run, now - began), "StateChangeReason": {}, "Timeline": times},
    }


def _cluster(cluster: str, began: float) -> Answer:
    times = {"CreationDateTime": began - 90_000, "ReadyDateTime": began - 89_800}
    return {"Id": cluster, "Name": cluster, "Status": {"State": "RUNNING", "StateChangeReason": {}, "Timeline": times}}
