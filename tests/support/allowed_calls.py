"""Holds the product's calls against the role of its Airflow while it makes them."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from tests.support.policies import ACCOUNT, Rendered, Request, allows
from tests.support.recorded_calls import Call, Recorder, requests_of

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPLOYMENT_TAG = "emr-pipelines:deployment"
SHARED_TAG = "emr-pipelines:shared-with"

PARAMETERS = {
    "DataBucket": "*-data",
    "LogsBucket": "*-logs*",
    "ArtifactsBucket": "*-artifacts*",
    "CatalogDatabase": "*",
    "QueueArn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:*",
    "Secrets": f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:*",
    "OtherRoles": ",".join(
        f"arn:aws:iam::{ACCOUNT}:role/{name}"
        for name in (
            "EMR_DefaultRole",
            "EMR_EC2_DefaultRole",
            "EMR_AutoScaling_DefaultRole",
            "emr-serverless-jobs",
            "emr-on-eks-jobs",
            "jobs",
        )
    ),
    "EksCluster": "*",
    "EksProvider": "oidc.eks.us-east-1.amazonaws.com/id/EXAMPLE",
    "GitHubProvider": f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com",
    "GitHubSubject": "repo:example/pipelines:environment:dev",
}
"""What the tests' environments name."""


class NotAllowedError(AssertionError):
    """The product called what its role does not allow."""


@cache
def statements_of(deployment: str, role: str = "AirflowRole") -> list[dict[str, Any]]:
    """Return what a role of a deployment may do."""
    return Rendered(Deployment=deployment, **PARAMETERS).statements(role)


@contextmanager
def held_to(session: Any, role: str, deployment: str) -> Iterator[Recorder]:
    """Hold what a boto3 session's clients call inside the block to a role: ``DeployRole`` for a build server's session."""
    guard = Guard(role, deployment)
    guard.recorder.attach(session)
    guard.begin()
    yield guard.recorder
    assert guard.end() == []


class Guard:
    """Refuses the product's calls as IAM would, and remembers those that it should not have made."""

    def __init__(self, role: str = "AirflowRole", deployment: str | None = None) -> None:
        """Judge by a role: of one deployment, or of that which each call is for."""
        self._role = role
        self._deployment = deployment
        self.recorder = Recorder(self._judge)
        self.recorder.recording = False
        self._wrong: list[str] = []

    def begin(self) -> None:
        """Judge what is called from now on."""
        self._wrong.clear()
        self.recorder.calls.clear()
        self.recorder.recording = True

    def pause(self) -> None:
        """Judge nothing for the rest of a test: what it does is another's, who has a role of his own."""
        self.recorder.recording = False

    def end(self) -> list[str]:
        """Judge no more; return a sentence for each call that the role does not allow."""
        self.recorder.recording = False
        return list(self._wrong)

    def _judge(self, call: Call) -> str | None:
        """Return why IAM refuses a call of what nobody knows, which has no tags; raise where the template lacks a permission."""
        deployment = self._deployment_of(call)
        for request in requests_of(call, self.recorder.tags):
            if any(allows(one, request) for one in statements_of(deployment, self._role)):
                continue
            if self._is_unknown(request, deployment):
                return f"Nobody may {request}, which nobody knows."
            sentence = (
                f"{self._role} of include/infra does not allow {request}, which {call.operation} needs: add it to a "
                "statement there, or let the product do without."
            )
            self._wrong.append(sentence)
            raise NotAllowedError(sentence)
        return None

    def _deployment_of(self, call: Call) -> str:
        """Say whose role makes a call: by what it asks for, or by what it works on."""
        if asked := self._deployment or call.tags.get(DEPLOYMENT_TAG):
            return asked
        for request in requests_of(call, self.recorder.tags):
            if found := request.context.get(f"aws:ResourceTag/{DEPLOYMENT_TAG}"):
                return found
            if shared := request.context.get(f"aws:ResourceTag/{SHARED_TAG}"):
                return shared.partition(" ")[0]
        return "nobody"

    def _is_unknown(self, request: Request, deployment: str) -> bool:
        """Whether no answer told of the resource, and it would be allowed if it were the deployment's."""
        if self.recorder.tags.of(request.resource) is not None:
            return False
        tags = {
            f"{prefix}:ResourceTag/{DEPLOYMENT_TAG}": deployment for prefix in ("aws", request.action.partition(":")[0])
        }
        owned = Request(request.action, request.resource, {**request.context, **tags})
        return any(allows(one, owned) for one in statements_of(deployment, self._role))
