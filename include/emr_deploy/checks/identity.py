"""Checks of roles and who may assume them, KMS keys, and secrets, of which only the existence is looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError

from emr_deploy.needs import Thing
from emr_deploy.steps import Missing
from emr_pipelines.targets.refusals import code_of

Clients = Callable[[str], Any]

_DEFAULTS = (
    "`aws emr create-default-roles` makes EMR's defaults, `make infra` those of a deployment; or name one that there is"
)
_JOBS = "`make infra` makes one; or name one that there is"
"""EMR has no default role for jobs on EMR Serverless and on EKS."""
_PODS = "pods.eks.amazonaws.com"


def role(clients: Clients, thing: Thing) -> Iterator[Missing]:
    """Yield a role that there is not, or that its service may not assume.

    A role of another account than the caller's is not found in the caller's, and its sentence says of which account it must be.
    """
    name = thing.name.rpartition("/")[2]
    try:
        found = clients("iam").get_role(RoleName=name)["Role"]
    except ClientError as error:
        if code_of(error) != "NoSuchEntity":
            raise
        yield Missing(f"there is no role {name!r} {thing.told}", _cure(thing))
        return
    if thing.name.startswith("arn:") and found["Arn"] != thing.name:
        yield Missing(
            f"there is no role {thing.name!r}, and the one of that name is {found['Arn']} {thing.told}",
            "write that ARN, or log in to the other account",
        )
        return
    yield from _untrusting(f"role {name!r}", found["AssumeRolePolicyDocument"], thing)


def _cure(thing: Thing) -> str:
    return _JOBS if thing.kind == "eks_role" or "emr-serverless.amazonaws.com" in thing.fits else _DEFAULTS


def instance_profile(clients: Clients, thing: Thing) -> Iterator[Missing]:
    """Yield an instance profile that there is not, that has no role, or whose role EC2 may not assume."""
    name = thing.name.rpartition("/")[2]
    try:
        found = clients("iam").get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
    except ClientError as error:
        if code_of(error) != "NoSuchEntity":
            raise
        yield Missing(f"there is no instance profile {name!r} {thing.told}", _DEFAULTS)
        return
    if not found["Roles"]:
        yield Missing(
            f"instance profile {name!r} has no role {thing.told}",
            f"`aws iam add-role-to-instance-profile --instance-profile-name {name} --role-name <role>` gives it one",
        )
    for one in found["Roles"]:
        yield from _untrusting(f"role {one['RoleName']!r}", one["AssumeRolePolicyDocument"], thing)


def _untrusting(subject: str, policy: dict[str, Any], thing: Thing) -> Iterator[Missing]:
    if thing.kind == "eks_role":
        if not _trusts_pods(policy):
            yield Missing(
                f"{subject} may be assumed by no service account of a namespace {thing.told}",
                f"`aws emr-containers update-role-trust-policy --cluster-name <EKS cluster> --namespace <namespace> --role-name "
                f"{thing.name.rpartition('/')[2]}` lets them",
            )
        return
    trusted = _services(policy)
    for service, used in thing.fits.items():
        if service not in trusted:
            yield Missing(
                f"{subject} may not be assumed by {service} {used.told}",
                "add the service to the role's trust policy, as principal of sts:AssumeRole",
            )


def _statements(policy: dict[str, Any]) -> list[dict[str, Any]]:
    statements = policy.get("Statement", [])
    listed = [statements] if isinstance(statements, dict) else statements
    return [one for one in listed if one.get("Effect") == "Allow"]


def _principals(statement: dict[str, Any], kind: str) -> set[str]:
    principal = statement.get("Principal", {})
    named = principal.get(kind, []) if isinstance(principal, dict) else []
    return {named} if isinstance(named, str) else set(named)


def _services(policy: dict[str, Any]) -> set[str]:
    return {service for one in _statements(policy) for service in _principals(one, "Service")}


def _trusts_pods(policy: dict[str, Any]) -> bool:
    """Whether service accounts may assume a role: through the OIDC provider of a cluster, or by EKS Pod Identity."""
    providers = {provider for one in _statements(policy) for provider in _principals(one, "Federated")}
    return _PODS in _services(policy) or any(":oidc-provider/" in provider for provider in providers)


def kms_key(clients: Clients, thing: Thing) -> Iterator[Missing]:
    """Yield a KMS key that there is not, or that is not enabled."""
    try:
        state = clients("kms").describe_key(KeyId=thing.name)["KeyMetadata"]["KeyState"]
    except ClientError as error:
        if code_of(error) != "NotFoundException":
            raise
        yield Missing(
            f"there is no KMS key {thing.name} {thing.told}",
            "name one that there is; `make infra` makes one for the buckets, its output KeyArn",
        )
        return
    if state != "Enabled":
        yield Missing(
            f"KMS key {thing.name} is {state} {thing.told}",
            f"`aws kms enable-key --region {thing.region} --key-id {thing.name.rpartition('/')[2]}` enables it, unless it is to be "
            "deleted; or name another",
        )


def secret(clients: Clients, thing: Thing) -> Iterator[Missing]:
    """Yield a secret that there is not. It is not read, and its name is not told: what stands there may be the secret itself."""
    try:
        found = clients("secretsmanager").describe_secret(SecretId=thing.name)
    except ClientError as error:
        if code_of(error) != "ResourceNotFoundException":
            raise
        yield Missing(
            f"there is no secret in {thing.region} of the name that stands in {thing.told[1:-1]}",
            "`aws secretsmanager create-secret` makes it, or name one that there is",
        )
        return
    if found.get("DeletedDate"):
        yield Missing(
            f"the secret in {thing.region} that {thing.told[1:-1]} names is about to be deleted",
            "`aws secretsmanager restore-secret` keeps it, or name another",
        )
