"""Stacks of CloudFormation, brought to what their templates say, and taken down again.

A stack is changed by a change set, which is what a dry run shows. What holds data, or the key to it, is taken down only where that
is said.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from botocore.exceptions import ClientError, WaiterError

from emr_deploy.steps import Step
from emr_deploy.templates import Key, Stack
from emr_pipelines.errors import EmrPipelinesError
from emr_pipelines.targets.profile import DEPLOYMENT_TAG

_WAIT = {"Delay": 5, "MaxAttempts": 1440}
"""Look every five seconds, for two hours at most."""

_NOTHING = (None, "REVIEW_IN_PROGRESS", "DELETE_COMPLETE")
"""States of a stack that has nothing."""

_STUCK = ("ROLLBACK_FAILED", "DELETE_FAILED", "UPDATE_ROLLBACK_FAILED", "CREATE_FAILED")
_NO_CHANGE = ("didn't contain changes", "No updates are to be performed")
"""What CloudFormation says where a stack is as it should be."""

_KEY_DAYS = 30
"""Days in which the deletion of a key can still be taken back: the most that KMS allows."""


class StackError(EmrPipelinesError):
    """A stack could not be brought to what its template says, or not be taken down."""


class Account:
    """What CloudFormation has of some stacks, in all their regions."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._clients: dict[tuple[str, str], Any] = {}
        self.outputs: dict[Key, dict[str, str]] = {}
        """What the stacks that are there have told, by region and template."""

    def client(self, service: str, region: str) -> Any:
        """Return a client of a service, one for each region."""
        if (service, region) not in self._clients:
            self._clients[service, region] = self._session.client(service, region_name=region)
        return self._clients[service, region]

    def status(self, stack: Stack) -> str | None:
        """Return a stack's ``StackStatus``, ``None`` where there is none, and keep its outputs.

        :raises StackError: it is being changed, or stands as nothing but a person can change.
        """
        try:
            (found,) = self.client("cloudformation", stack.region).describe_stacks(StackName=stack.name)["Stacks"]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        status = str(found["StackStatus"])
        if status.endswith("_IN_PROGRESS") and status not in _NOTHING:
            raise StackError(
                f"Stack {stack.name} in {stack.region} is {status}: somebody changes it; wait, then try again"
            )
        self.outputs[stack.key] = {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", [])}
        return status


def steps_up(account: Account, stacks: Iterable[Stack], *, dry_run: bool) -> Iterator[Step]:
    """Yield what brings stacks to what their templates say; each is asked how it stands when the one before is done.

    :raises StackError: CloudFormation could not do it; the message has the first resource that failed, and why.
    """
    for stack in stacks:
        status = account.status(stack)
        if status in _STUCK:
            raise StackError(
                f"Stack {stack.name} in {stack.region} is {status}, which only a person can mend: see its events, then delete it "
                "(aws cloudformation delete-stack), or continue its rollback (aws cloudformation continue-update-rollback)"
            )
        missing = [name for name, key in stack.wanted.items() if key not in account.outputs]
        if status == "ROLLBACK_COMPLETE":
            # Its first creation failed: nothing is there, and CloudFormation lets it only be deleted.
            yield Step(f"delete {_words(stack)}, whose creation failed", True, partial(_delete, account, stack))
            status = None
        if status in _NOTHING and dry_run:
            yield Step(f"create {_words(stack)}", True, lambda: None)
        elif missing and dry_run:
            yield Step(f"look at {_words(stack)} again, when {', '.join(sorted(missing))} is known", True, lambda: None)
        else:
            yield from _change(account, stack, "CREATE" if status in _NOTHING else "UPDATE", dry_run=dry_run)


def _change(account: Account, stack: Stack, kind: str, *, dry_run: bool) -> Iterator[Step]:
    """Yield the one step that a change set makes of a stack's differences."""
    cloudformation = account.client("cloudformation", stack.region)
    change_set = _change_set(cloudformation, stack, kind, stack.values(account.outputs))
    if change_set is None:
        yield Step(_words(stack), False, lambda: None)
        return
    # Of a stack that is made, all is added.
    changes = f": {', '.join(_changes(cloudformation, change_set))}" if kind == "UPDATE" else ""
    words = f"{kind.lower()} {_words(stack)}{changes}"
    yield Step(words, True, lambda: _execute(account, stack, kind, change_set))
    if dry_run:
        cloudformation.delete_change_set(ChangeSetName=change_set)


def _change_set(cloudformation: Any, stack: Stack, kind: str, values: Mapping[str, str]) -> str | None:
    """Make a change set and return its id; ``None`` where nothing would change.

    :raises StackError: the stack cannot be changed so.
    """
    name = f"emr-pipelines-{secrets.token_hex(8)}"
    try:
        made = cloudformation.create_change_set(
            StackName=stack.name,
            ChangeSetName=name,
            ChangeSetType=kind,
            TemplateBody=stack.template.body,
            Parameters=[{"ParameterKey": one, "ParameterValue": value} for one, value in values.items()],
            Capabilities=["CAPABILITY_NAMED_IAM"],
            # CloudFormation gives them to every resource that can have tags.
            Tags=[{"Key": DEPLOYMENT_TAG, "Value": stack.deployment}],
        )["Id"]
        cloudformation.get_waiter("change_set_create_complete").wait(ChangeSetName=made, WaiterConfig=_WAIT)
    except ClientError as error:
        if any(words in str(error) for words in _NO_CHANGE):
            return None
        raise
    except WaiterError as error:
        reason = str(error.last_response.get("StatusReason", error))
        cloudformation.delete_change_set(ChangeSetName=made)
        if any(words in reason for words in _NO_CHANGE):
            return None
        raise StackError(f"Stack {stack.name} in {stack.region} cannot be changed so: {reason}") from None
    return str(made)


def _changes(cloudformation: Any, change_set: str) -> Iterator[str]:
    pages = cloudformation.get_paginator("describe_change_set").paginate(ChangeSetName=change_set)
    for change in (one["ResourceChange"] for page in pages for one in page["Changes"]):
        replaced = " (it is replaced)" if change.get("Replacement") == "True" else ""
        yield f"{change['Action'].lower()} {change['LogicalResourceId']}{replaced}"


def _execute(account: Account, stack: Stack, kind: str, change_set: str) -> None:
    cloudformation = account.client("cloudformation", stack.region)
    token = secrets.token_hex(16)
    cloudformation.execute_change_set(ChangeSetName=change_set, ClientRequestToken=token)
    try:
        cloudformation.get_waiter(f"stack_{kind.lower()}_complete").wait(StackName=stack.name, WaiterConfig=_WAIT)
    except WaiterError as error:
        raise StackError(_failure(cloudformation, stack, token, error)) from None
    account.status(stack)


def _failure(cloudformation: Any, stack: Stack, token: str, error: WaiterError) -> str:
    """Say which resource failed first, and why; those after it were only cancelled."""
    pages = cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack.name)
    failed = [
        event
        for page in pages
        for event in page["StackEvents"]
        if event.get("ClientRequestToken") == token and event.get("ResourceStatus", "").endswith("_FAILED")
    ]
    if not failed:
        return f"Stack {stack.name} in {stack.region} did not come to its end: {error}"
    first = failed[-1]
    return (
        f"Stack {stack.name} in {stack.region} was not made as it should be: {first['LogicalResourceId']} ({first['ResourceType']}): "
        f"{first.get('ResourceStatusReason', 'no reason was given')}. Mend that, then try again"
    )


def steps_down(account: Account, stacks: Iterable[Stack], *, delete_data: bool) -> Iterator[Step]:
    """Yield what takes stacks down, the last that was made first; those that hold data, or its key, only where that is said.

    :raises StackError: CloudFormation could not do it.
    """
    for stack in reversed(list(stacks)):
        if account.status(stack) in _NOTHING:
            yield Step(f"nothing of {_words(stack)}", False, lambda: None)
            continue
        held = _held(account, stack)
        if held and not delete_data:
            yield Step(
                f"{_words(stack)}, for it has {' and '.join(held)}: say DELETE_DATA=yes to delete them",
                False,
                lambda: None,
            )
            continue
        words = f"delete {_words(stack)}" + (f" with all that is in {' and '.join(held)}" if held else "")
        yield Step(words, True, partial(_take_down, account, stack))


def _resources(account: Account, stack: Stack, kind: str) -> list[str]:
    pages = account.client("cloudformation", stack.region).get_paginator("list_stack_resources")
    return [
        one["PhysicalResourceId"]
        for page in pages.paginate(StackName=stack.name)
        for one in page["StackResourceSummaries"]
        if one["ResourceType"] == kind and one.get("PhysicalResourceId") and one["ResourceStatus"] != "DELETE_COMPLETE"
    ]


def _held(account: Account, stack: Stack) -> list[str]:
    """Name what a stack has that cannot be had again: objects in buckets, and keys."""
    s3 = account.client("s3", stack.region)
    buckets = _resources(account, stack, "AWS::S3::Bucket")
    full = [one for one in buckets if not _is_empty(s3.list_object_versions(Bucket=one, MaxKeys=1))]
    keys = _resources(account, stack, "AWS::KMS::Key")
    return [*(f"objects in bucket {one}" for one in full), *(f"key {one}" for one in keys)]


def _is_empty(page: Mapping[str, Any]) -> bool:
    return not (page.get("Versions") or page.get("DeleteMarkers"))


def _take_down(account: Account, stack: Stack) -> None:
    """Delete a stack with its objects and keys; a key can be had back for a month (aws kms cancel-key-deletion)."""
    keys = _resources(account, stack, "AWS::KMS::Key")
    for bucket in _resources(account, stack, "AWS::S3::Bucket"):
        _empty(account.client("s3", stack.region), bucket)
    _delete(account, stack)
    for key in keys:
        account.client("kms", stack.region).schedule_key_deletion(KeyId=key, PendingWindowInDays=_KEY_DAYS)


def _empty(s3: Any, bucket: str) -> None:
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        listed = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        if listed:
            objects = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in listed]
            refused = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True}).get("Errors", [])
            if refused:
                one = refused[0]
                raise StackError(f"Bucket {bucket} was not emptied: {one['Key']}: {one['Code']}: {one['Message']}")


def _delete(account: Account, stack: Stack) -> None:
    cloudformation = account.client("cloudformation", stack.region)
    token = secrets.token_hex(16)
    # By its id: once it is gone, its name is nobody's.
    stack_id = cloudformation.describe_stacks(StackName=stack.name)["Stacks"][0]["StackId"]
    cloudformation.delete_stack(StackName=stack_id, ClientRequestToken=token)
    try:
        cloudformation.get_waiter("stack_delete_complete").wait(StackName=stack_id, WaiterConfig=_WAIT)
    except WaiterError as error:
        raise StackError(_failure(cloudformation, stack, token, error)) from None
    account.outputs.pop(stack.key, None)


def _words(stack: Stack) -> str:
    return f"stack {stack.name} in {stack.region}"
