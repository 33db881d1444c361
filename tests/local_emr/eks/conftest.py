"""What tests of EMR on EKS ask an endpoint for."""

from __future__ import annotations

import pytest

from tests.local_emr.scripted import SUCCESS, eventually

ROLE = "arn:aws:iam::123456789012:role/job"


def succeed(endpoint, held):
    """Let the job run end that holds under this name."""
    eventually(lambda: held in endpoint.engine.held, expected=True)
    endpoint.engine.held[held].end(SUCCESS)


class Namespace:
    """A virtual cluster of an endpoint, and short words for what is done with it."""

    def __init__(self, endpoint, name="etl", **more):
        self.eks = endpoint.eks
        self.id = virtual_cluster(endpoint, name, **more)["id"]

    def start(self, script="succeed", *arguments, **more):
        """Start a job run and return its id."""
        spark = {"entryPoint": script, "entryPointArguments": list(arguments)}
        job = {"releaseLabel": "emr-7.9.0-latest", "jobDriver": {"sparkSubmitJobDriver": spark}}
        request = {"virtualClusterId": self.id, "executionRoleArn": ROLE, **job, **more}
        return self.eks.start_job_run(**request)["id"]

    def run(self, run_id):
        return self.eks.describe_job_run(virtualClusterId=self.id, id=run_id)["jobRun"]

    def state(self, run_id):
        return self.run(run_id)["state"]

    def cancel(self, run_id):
        return self.eks.cancel_job_run(virtualClusterId=self.id, id=run_id)

    def described(self):
        return self.eks.describe_virtual_cluster(id=self.id)["virtualCluster"]


def virtual_cluster(endpoint, name="etl", namespace=None, eks_cluster="analytics", **more):
    """Create a virtual cluster and return the answer."""
    info = {"eksInfo": {"namespace": namespace or name}}
    return endpoint.eks.create_virtual_cluster(
        name=name, containerProvider={"type": "EKS", "id": eks_cluster, "info": info}, **more
    )


@pytest.fixture
def namespace(endpoint) -> Namespace:
    return Namespace(endpoint)
