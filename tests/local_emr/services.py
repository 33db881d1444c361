"""The three services behind one face: what tests ask of job runs, whoever runs them."""

from __future__ import annotations

from tests.local_emr.asking import cluster_of, create
from tests.local_emr.eks.conftest import Namespace
from tests.local_emr.scripted import eventually, step
from tests.local_emr.serverless.asking import Asker


class Ec2:
    """A cluster of EMR on EC2 that is kept alive."""

    service, submits, describes, lists = "elasticmapreduce", "AddJobFlowSteps", "DescribeStep", "ListSteps"

    def __init__(self, endpoint):
        self.client, self.endpoint = endpoint.emr, endpoint
        self.id = create(endpoint)
        eventually(lambda: cluster_of(endpoint, self.id)["Status"]["State"], "WAITING")

    def start(self, script, *arguments, name="clean"):
        steps = [step(script, *arguments, name=name)]
        return self.client.add_job_flow_steps(JobFlowId=self.id, Steps=steps)["StepIds"][0]

    def described(self, run):
        return self.client.describe_step(ClusterId=self.id, StepId=run)["Step"]

    def state(self, run):
        return self.described(run)["Status"]["State"]

    def created(self, run):
        return self.described(run)["Status"]["Timeline"]["CreationDateTime"].timestamp()

    def listed(self):
        return {run["Id"]: run["Status"]["State"] for run in self.client.list_steps(ClusterId=self.id)["Steps"]}

    def compute(self):
        return {found["Id"]: found["Status"]["State"] for found in self.client.list_clusters()["Clusters"]}

    def created_after(self, moment):
        return [found["Id"] for found in self.client.list_clusters(CreatedAfter=moment)["Clusters"]]

    def more_compute(self):
        return create(self.endpoint)


class Eks:
    """A virtual cluster of EMR on EKS."""

    service, submits, describes, lists = "emr-containers", "StartJobRun", "DescribeJobRun", "ListJobRuns"

    def __init__(self, endpoint):
        self.client, self.endpoint = endpoint.eks, endpoint
        self.namespace = Namespace(endpoint)
        self.id, self.state = self.namespace.id, self.namespace.state

    def start(self, script, *arguments, name="clean"):
        return self.namespace.start(script, *arguments, name=name)

    def described(self, run):
        return self.namespace.run(run)

    def created(self, run):
        return self.described(run)["createdAt"].timestamp()

    def listed(self):
        return {run["id"]: run["state"] for run in self.client.list_job_runs(virtualClusterId=self.id)["jobRuns"]}

    def compute(self):
        return {found["id"]: found["state"] for found in self.client.list_virtual_clusters()["virtualClusters"]}

    def created_after(self, moment):
        return [found["id"] for found in self.client.list_virtual_clusters(createdAfter=moment)["virtualClusters"]]

    def more_compute(self):
        return Namespace(self.endpoint, "more").id


class Serverless:
    """An application of EMR Serverless."""

    service, submits, describes, lists = "emr-serverless", "StartJobRun", "GetJobRun", "ListJobRuns"

    def __init__(self, endpoint):
        self.client, self.endpoint = endpoint.client("emr-serverless"), endpoint
        self.asker = Asker(client=self.client)
        self.id = self.asker.create(name="etl", started=True)

    def start(self, script, *arguments, name="clean"):
        return self.asker.submit(self.id, script, *arguments, name=name)

    def described(self, run):
        return self.asker.job_run(self.id, run)

    def state(self, run):
        return self.described(run)["state"]

    def created(self, run):
        return self.described(run)["createdAt"].timestamp()

    def listed(self):
        return {run["id"]: run["state"] for run in self.client.list_job_runs(applicationId=self.id)["jobRuns"]}

    def compute(self):
        return {found["id"]: found["state"] for found in self.client.list_applications()["applications"]}

    def created_after(self, moment):
        runs = self.client.list_job_runs(applicationId=self.id, createdAtAfter=moment)["jobRuns"]
        return [run["applicationId"] for run in runs]

    def more_compute(self):
        return self.asker.create(name="more")


SERVICES = (Ec2, Eks, Serverless)
