"""Checks of what EMR, EMR on EKS and EKS have: releases and their applications, clusters, virtual clusters and what they name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError

from emr_deploy.needs import Thing
from emr_deploy.steps import Missing
from emr_pipelines.targets.refusals import code_of

Clients = Callable[[str], Any]

_ALIVE = ["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"]
_MISTAKES = frozenset({"ValidationException", "InvalidRequestException"})
"""With which EMR answers for a label, a cluster or a configuration that it does not know."""

_LABEL = re.compile(r"emr-\d+\.\d+(\.\d+)?")
_CLUSTER_ID = re.compile(r"j-[0-9A-Z]{13}")


def _applications(clients: Clients, label: str) -> set[str] | None:
    """Return the applications of a release in lower case, or ``None`` if the region does not have it (DescribeReleaseLabel)."""
    emr, names, more = clients("emr"), set[str](), dict[str, str]()
    try:
        while True:
            answer = emr.describe_release_label(ReleaseLabel=label, **more)
            names |= {one["Name"].lower() for one in answer.get("Applications", [])}
            if not answer.get("NextToken"):
                return names
            more = {"NextToken": answer["NextToken"]}
    except ClientError as error:
        if code_of(error) not in _MISTAKES:
            raise
    return None


def release(clients: Clients, thing: Thing) -> Iterator[Missing]:
    """Yield a release of EMR on EC2 that the region does not have."""
    if _applications(clients, thing.name) is None:
        yield Missing(f"EMR has no release {thing.name!r} in {thing.region} {thing.told}", _list_of(thing.region))


def application(clients: Clients, thing: Thing) -> Iterator[Missing]:
    """Yield an application that a release does not have; of a release that there is not, nothing is said here."""
    for label, used in thing.fits.items():
        there = _applications(clients, label)
        if there is not None and thing.name.lower() not in there:
            yield Missing(
                f"release {label} has no application {thing.name!r} in {thing.region} {used.told}",
                "take it out of applications, or take another release",
            )


def listed_releases(clients: Clients, things: list[Thing]) -> Iterator[Missing]:
    """Yield releases of EMR Serverless and EMR on EKS whose EMR release the region does not list.

    Neither service lists its own. Of labels that name no release of EMR, such as ``emr-spark-8.0.0``, nothing is known.
    """
    wanted = {thing: match[0] for thing in things if (match := _LABEL.match(thing.name))}
    if not wanted:
        return
    emr, there, more = clients("emr"), set[str](), dict[str, str]()
    while True:
        answer = emr.list_release_labels(**more)
        there |= set(answer.get("ReleaseLabels", []))
        if not answer.get("NextToken"):
            break
        more = {"NextToken": answer["NextToken"]}
    for thing, label in wanted.items():
        if not any(one == label or one.startswith(f"{label}.") for one in there):
            yield Missing(f"EMR has no release {thing.name!r} in {thing.region} {thing.told}", _list_of(thing.region))


def _list_of(region: str) -> str:
    return f"take another: `aws emr list-release-labels --region {region}` lists them"


def security_configuration(clients: Clients, thing: Thing) -> Iterator[Missing]:
    """Yield a security configuration of EMR that there is not."""
    try:
        clients("emr").describe_security_configuration(Name=thing.name)
    except ClientError as error:
        if code_of(error) not in _MISTAKES:
            raise
        yield Missing(
            f"EMR has no security configuration {thing.name!r} in {thing.region} {thing.told}",
            "`make infra` makes one; or write security instead, from which it is made",
        )


def clusters(clients: Clients, things: list[Thing]) -> Iterator[Missing]:
    """Yield clusters, named by id or name, that do not run, or names that several clusters have."""
    emr = clients("emr")
    pages = emr.get_paginator("list_clusters").paginate(ClusterStates=_ALIVE)
    there = [cluster for page in pages for cluster in page["Clusters"]]
    for thing in things:
        member = "Id" if _CLUSTER_ID.fullmatch(thing.name) else "Name"
        found = [one["Id"] for one in there if one[member] == thing.name]
        if not found:
            yield Missing(
                f"no cluster {thing.name!r} runs in {thing.region} {thing.told}",
                "start it, or name one that runs: `aws emr list-clusters --active` lists them",
            )
        elif len(found) > 1:
            yield Missing(
                f"{len(found)} clusters {thing.name!r} run in {thing.region} {thing.told}",
                f"name one by its id: {', '.join(sorted(found))}",
            )


def eks_cluster(clients: Clients, thing: Thing) -> Iterator[Missing]:
    """Yield an EKS cluster that there is not, that is not active, or that cannot give EMR access to a namespace by itself."""
    try:
        cluster = clients("eks").describe_cluster(name=thing.name)["cluster"]
    except ClientError as error:
        if code_of(error) != "ResourceNotFoundException":
            raise
        yield Missing(
            f"there is no EKS cluster {thing.name!r} in {thing.region} {thing.told}",
            "name one of this account; the project makes none",
        )
        return
    if cluster["status"] not in ("ACTIVE", "UPDATING"):
        yield Missing(
            f"EKS cluster {thing.name!r} in {thing.region} is {cluster['status']} {thing.told}", "wait, or name another"
        )
    mode = cluster.get("accessConfig", {}).get("authenticationMode")
    if mode == "CONFIG_MAP":
        yield Missing(
            f"EKS cluster {thing.name!r} in {thing.region} has authenticationMode CONFIG_MAP, with which EMR gets no access entry "
            f"{thing.told}",
            f"`aws eks update-cluster-config --region {thing.region} --name {thing.name} --access-config "
            "authenticationMode=API_AND_CONFIG_MAP` changes it",
        )


def namespaces(clients: Clients, things: list[Thing]) -> Iterator[Missing]:
    """Yield namespaces that a virtual cluster has which is none of ours: EMR allows one in each.

    Whether there is the namespace, no API of AWS tells.
    """
    pages = clients("emr-containers").get_paginator("list_virtual_clusters").paginate(states=["RUNNING"])
    there = [one for page in pages for one in page["virtualClusters"]]
    for thing in things:
        for cluster, used in thing.fits.items():
            for one in there:
                provider = one["containerProvider"]
                place = (provider["id"], provider.get("info", {}).get("eksInfo", {}).get("namespace"))
                if place == (cluster, thing.name) and "emr-pipelines:deployment" not in one.get("tags", {}):
                    yield Missing(
                        f"namespace {thing.name!r} of EKS cluster {cluster!r} has virtual cluster {one['id']} already {used.told}",
                        f"write virtual_cluster: {one['id']}, or take another namespace",
                    )


def virtual_cluster(clients: Clients, thing: Thing) -> Iterator[Missing]:
    """Yield a virtual cluster that there is not, or that runs no jobs any more."""
    cure = "take it out, and one is made; or name one that there is"
    try:
        found = clients("emr-containers").describe_virtual_cluster(id=thing.name)["virtualCluster"]
    except ClientError as error:
        if code_of(error) not in ("ResourceNotFoundException", "ValidationException"):
            raise
        yield Missing(f"there is no virtual cluster {thing.name!r} in {thing.region} {thing.told}", cure)
        return
    if found["state"] != "RUNNING":
        yield Missing(f"virtual cluster {thing.name!r} in {thing.region} is {found['state']} {thing.told}", cure)


def eks_security_configuration(clients: Clients, thing: Thing) -> Iterator[Missing]:
    """Yield a security configuration of EMR on EKS that there is not."""
    try:
        clients("emr-containers").describe_security_configuration(id=thing.name)
    except ClientError as error:
        if code_of(error) not in ("ResourceNotFoundException", "ValidationException"):
            raise
        yield Missing(
            f"EMR on EKS has no security configuration {thing.name!r} in {thing.region} {thing.told}",
            "`aws emr-containers create-security-configuration` makes one, or leave the setting out",
        )


def job_template(clients: Clients, thing: Thing) -> Iterator[Missing]:
    """Yield a job template of EMR on EKS that there is not."""
    try:
        clients("emr-containers").describe_job_template(id=thing.name)
    except ClientError as error:
        if code_of(error) not in ("ResourceNotFoundException", "ValidationException"):
            raise
        yield Missing(
            f"there is no job template {thing.name!r} in {thing.region} {thing.told}",
            "`aws emr-containers create-job-template` makes one, or leave job_template out",
        )
