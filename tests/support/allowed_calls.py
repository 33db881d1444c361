"""Holds the product's calls against the role of its Airflow while it makes them."""

from __future__ import annotations

from functools import cache
from typing import Any

from tests.support.policies import ACCOUNT, Rendered, Request, allows
from tests.support.recorded_calls import Call, Recorder, requests_of

DEPLOYMENT_TAG = "emr-pipelines:deployment"
ROLE = "AirflowRole"

PARAMETERS = {
    "DataBucket": "*-data",
    "LogsBucket": "*-logs*",
    "ArtifactsBucket": "*-artifacts*",
    "CatalogDatabase": "*",
    "QueueArn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:*",
    "Secrets": f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:*",
    "OtherRoles": f"arn:aws:iam::{ACCOUNT}:role/*",
    "EksCluster": "*",
    "EksProvider": "oidc.eks.us-east-1.amazonaws.com/id/EXAMPLE",
}
"""What the tests' environments name."""


class NotAllowedError(AssertionError):
    """The product called what its role does not allow."""


@cache
def statements_of(deployment: str) -> list[dict[str, Any]]:
    """Return what the Airflow of a deployment may do."""
    return Rendered(Deployment=deployment, **PARAMETERS).statements(ROLE)


class Guard:
    """Refuses the product's calls as IAM would, and remembers those that it should not have made."""

    def __init__(self) -> None:
        self.recorder = Recorder(self._judge)
        self.recorder.recording = False
        self._wrong: list[str] = []

    def begin(self) -> None:
        """Judge what is called from now on."""
        self._wrong.clear()
        self.recorder.calls.clear()
        self.recorder.recording = True

    def end(self) -> list[str]:
        """Judge no more; return a sentence for each call that the role does not allow."""
        self.recorder.recording = False
        return list(self._wrong)

    def _judge(self, call: Call) -> str | None:
        """Return why IAM refuses a call of what nobody knows, which has no tags; raise where the template lacks a permission."""
        deployment = self._deployment_of(call)
        for request in requests_of(call, self.recorder.tags):
            if any(allows(one, request) for one in statements_of(deployment)):
                continue
            if self._is_unknown(request, deployment):
                return f"Nobody may {request}, which nobody knows."
            sentence = (
                f"The role of Airflow in include/infra/roles.yaml does not allow {request}, which {call.operation} needs: add it to a "
                "statement there, or let the product do without."
            )
            self._wrong.append(sentence)
            raise NotAllowedError(sentence)
        return None

    def _deployment_of(self, call: Call) -> str:
        """Say whose role makes a call: by what it works on, or by what it asks for."""
        for request in requests_of(call, self.recorder.tags):
            if found := request.context.get(f"aws:ResourceTag/{DEPLOYMENT_TAG}"):
                return found
        return call.tags.get(DEPLOYMENT_TAG, "nobody")

    def _is_unknown(self, request: Request, deployment: str) -> bool:
        """Whether no answer told of the resource, and it would be allowed if it were the deployment's."""
        if self.recorder.tags.of(request.resource) is not None:
            return False
        tags = {
            f"{prefix}:ResourceTag/{DEPLOYMENT_TAG}": deployment for prefix in ("aws", request.action.partition(":")[0])
        }
        owned = Request(request.action, request.resource, {**request.context, **tags})
        return any(allows(one, owned) for one in statements_of(deployment))
