"""The operations of EMR on EKS. Each takes botocore's view of the request and returns botocore's view of the answer."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

from local_emr.eks import lifecycle, requests, views
from local_emr.eks.queue import SERVICE, VirtualClusterQueue
from local_emr.eks.records import TERMINATED, TERMINATING, EksJobRun, JobTemplate, Store, VirtualCluster
from local_emr.runs.records import lose
from local_emr.runs.requests import created_in, page, repeated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from local_emr.faults import Faults
    from local_emr.protocol import Answer, Caller, ServiceError
    from local_emr.runs import Machine

PAGE = 100

Record = TypeVar("Record", VirtualCluster, EksJobRun, JobTemplate)


class EmrContainers:
    """The control plane's operations, named as in boto3."""

    def __init__(self, machine: Machine, faults: Faults) -> None:
        self.machine = machine
        self._faults = faults
        self._store = Store(machine.data, machine.clock)
        self._lock = threading.Lock()
        self._templates = {template.id: template for template in self._store.templates.load()}
        self._queues: dict[str, VirtualClusterQueue] = {}
        self._load()
        faults.at_once(SERVICE, lambda fault: sum(queue.strike(fault) for queue in list(self._queues.values())))

    def close(self) -> None:
        """Make no more moves. Job runs keep their last state; the next start calls them lost."""
        for queue in list(self._queues.values()):
            queue.close()

    # Virtual clusters

    def create_virtual_cluster(self, request: Answer, caller: Caller) -> Answer:
        """Register a namespace of an EKS cluster."""
        with self._lock:
            known = [queue.owner for queue in self._queues.values() if queue.owner.region == caller.region]
            cluster = repeated(known, request, "ValidationException")
            if cluster is None:
                cluster = requests.new_virtual_cluster(request, caller.region, self.machine.clock.now())
                taken = (other.namespace for other in known if other.state != TERMINATED)
                if cluster.namespace in taken:
                    raise requests.refused("A virtual cluster already exists in the given namespace")
                self._queue(cluster, ()).begin()
        return views.virtual_cluster_view(cluster, ())

    def describe_virtual_cluster(self, request: Answer, caller: Caller) -> Answer:
        """Describe a virtual cluster."""
        return {"virtualCluster": _cluster_view(self._find(request["id"], caller, requests.missing))}

    def list_virtual_clusters(self, request: Answer, caller: Caller) -> Answer:
        """List virtual clusters, newest first."""
        states, provider = request.get("states"), request.get("containerProviderId")
        found = [
            cluster
            for cluster in self._store.clusters.listed(self._faults.lag(SERVICE))
            if cluster.region == caller.region
            and (not states or cluster.state in states)
            and provider in (None, cluster.namespace[0])
        ]
        clusters, token = _listed(found, request)
        shown = [views.virtual_cluster_view(cluster, self._queues[cluster.id].live()) for cluster in clusters]
        return {"virtualClusters": shown, "nextToken": token}

    def update_virtual_cluster(self, request: Answer, caller: Caller) -> Answer:
        """Change how many job runs may run and wait."""
        queue = self._find(request["id"], caller, requests.missing)
        with queue.changing() as cluster:
            _check_open(cluster)
            cluster.scheduler = request.get("schedulerConfiguration") or None
        return {"virtualCluster": _cluster_view(queue)}

    def delete_virtual_cluster(self, request: Answer, caller: Caller) -> Answer:
        """Give the namespace back; refused while job runs have not ended, as nothing would follow them any more."""
        queue = self._find(request["id"], caller, requests.refused)
        with queue.changing() as cluster:
            if queue.live():
                raise requests.refused(f"Virtual cluster {cluster.id} has active job runs: cancel them first")
            if lifecycle.is_open(cluster):
                cluster.state = TERMINATING
        return {"id": cluster.id}

    # Job runs

    def start_job_run(self, request: Answer, caller: Caller) -> Answer:
        """Queue a job run."""
        queue = self._find(request["virtualClusterId"], caller, requests.missing)
        template_id = request.get("jobTemplateId")
        template = self._template(template_id, caller, requests.missing) if template_id else None
        with queue.changing() as cluster:
            _check_open(cluster)
            run = repeated(queue.runs.values(), request, "ValidationException")
            if run is None:
                run = requests.new_job_run(request, template, caller.region, queue.now())
                if not lifecycle.has_room_in_queue(cluster, queue.live()):
                    raise requests.refused(f"The job run queue of virtual cluster {cluster.id} is full")
                queue.runs[run.id] = run
        return views.job_run_view(run)

    def describe_job_run(self, request: Answer, caller: Caller) -> Answer:
        """Describe a job run."""
        queue = self._find(request["virtualClusterId"], caller, requests.missing)
        with queue.reading():
            return {"jobRun": views.job_run_view(_run(queue, request["id"], requests.missing))}

    def list_job_runs(self, request: Answer, caller: Caller) -> Answer:
        """List a virtual cluster's job runs, newest first."""
        queue = self._find(request["virtualClusterId"], caller, requests.refused)
        states, name = request.get("states"), request.get("name")
        found = [
            run
            for run in self._store.job_runs.listed(self._faults.lag(SERVICE), queue.owner.id)
            if run.id not in queue.forgotten and (not states or run.state in states) and name in (None, run.name)
        ]
        runs, token = _listed(found, request)
        return {"jobRuns": [views.job_run_view(run) for run in runs], "nextToken": token}

    def cancel_job_run(self, request: Answer, caller: Caller) -> Answer:
        """Begin to cancel a job run."""
        queue = self._find(request["virtualClusterId"], caller, requests.refused)
        with queue.changing():
            run = _run(queue, request["id"], requests.refused)
            if not lifecycle.cancel(run, queue.now()):
                raise requests.refused(f"Job run {run.id} is not in a cancellable state")
        queue.end_process(run)
        return {"id": run.id, "virtualClusterId": run.owner}

    # Job templates

    def create_job_template(self, request: Answer, caller: Caller) -> Answer:
        """Keep what job runs have in common."""
        with self._lock:
            known = [template for template in self._templates.values() if template.region == caller.region]
            template = repeated(known, request, "ValidationException")
            if template is None:
                template = requests.new_template(request, caller.region, self.machine.clock.now())
                self._keep(template)
        return views.template_view(template)

    def describe_job_template(self, request: Answer, caller: Caller) -> Answer:
        """Describe a job template."""
        return {"jobTemplate": views.template_view(self._template(request["id"], caller, requests.missing))}

    def list_job_templates(self, request: Answer, caller: Caller) -> Answer:
        """List job templates, newest first."""
        found = [template for template in list(self._templates.values()) if template.region == caller.region]
        templates, token = _listed(found, request)
        return {"templates": [views.template_view(template) for template in templates], "nextToken": token}

    def delete_job_template(self, request: Answer, caller: Caller) -> Answer:
        """Forget a job template; its job runs go on."""
        template = self._template(request["id"], caller, requests.refused)
        with self._lock:
            self._templates.pop(template.id, None)
            self._store.templates.remove(template.id)
        return {"id": template.id}

    # Tags

    def tag_resource(self, request: Answer, caller: Caller) -> Answer:
        """Add tags to a virtual cluster or job run."""
        self._retag(request["resourceArn"], caller, lambda tags: {**tags, **request["tags"]})
        return {}

    def untag_resource(self, request: Answer, caller: Caller) -> Answer:
        """Remove tags."""
        gone = set(request["tagKeys"])
        self._retag(request["resourceArn"], caller, lambda tags: {key: tags[key] for key in tags if key not in gone})
        return {}

    def list_tags_for_resource(self, request: Answer, caller: Caller) -> Answer:
        """List the tags of a virtual cluster or job run."""
        return {"tags": self._tagged(request["resourceArn"], caller).tags}

    # What the operations share

    def _load(self) -> None:
        """Take up what a former endpoint knew: virtual clusters live on, the job runs that ran are lost."""
        runs: dict[str, list[EksJobRun]] = {}
        for run in self._store.job_runs.load():
            runs.setdefault(run.owner, []).append(run)
        for cluster in self._store.clusters.load():
            queue = self._queue(cluster, runs.get(cluster.id, ()))
            if cluster.state != TERMINATED:
                with queue.changing():
                    for run in queue.live():
                        lose(run, self.machine.clock.now())
                        run.failure_reason = "INTERNAL_ERROR"
                queue.begin()

    def _queue(self, cluster: VirtualCluster, runs: Iterable[EksJobRun]) -> VirtualClusterQueue:
        queue = self._queues[cluster.id] = VirtualClusterQueue(cluster, runs, self.machine, self._store, self._faults)
        return queue

    def _keep(self, template: JobTemplate) -> None:
        self._templates[template.id] = template
        self._store.templates.save(template, template.id)

    def _find(self, cluster_id: str, caller: Caller, error: Callable[[str], ServiceError]) -> VirtualClusterQueue:
        queue = self._queues.get(cluster_id)
        if queue is None or queue.owner.region != caller.region:
            raise error(f"Virtual cluster {cluster_id} doesn't exist.")
        return queue

    def _template(self, template_id: str, caller: Caller, error: Callable[[str], ServiceError]) -> JobTemplate:
        template = self._templates.get(template_id)
        if template is None or template.region != caller.region:
            raise error(f"Job template {template_id} doesn't exist.")
        return template

    def _tagged(self, resource: str, caller: Caller) -> VirtualCluster | EksJobRun:
        """Find the record that an ARN names; AWS's own model keeps out those of job templates."""
        match resource.partition(":/")[2].split("/"):
            case ["virtualclusters", cluster_id]:
                return self._find(cluster_id, caller, requests.missing).owner
            case ["virtualclusters", cluster_id, "jobruns", run_id]:
                return _run(self._find(cluster_id, caller, requests.missing), run_id, requests.missing)
        raise requests.missing(f"Resource {resource} doesn't exist.")

    def _retag(self, resource: str, caller: Caller, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
        record = self._tagged(resource, caller)
        run = [record] if isinstance(record, EksJobRun) else []
        with self._queues[run[0].owner if run else record.id].changing(*run):
            record.tags = change(record.tags)


def _check_open(cluster: VirtualCluster) -> None:
    if not lifecycle.is_open(cluster):
        raise requests.refused(f"Virtual cluster {cluster.id} is {cluster.state}: use one that is RUNNING")


def _cluster_view(queue: VirtualClusterQueue) -> Answer:
    with queue.reading() as cluster:
        return views.virtual_cluster_view(cluster, queue.live())


def _run(queue: VirtualClusterQueue, run_id: str, error: Callable[[str], ServiceError]) -> EksJobRun:
    run = queue.runs.get(run_id)
    if run is None or run_id in queue.forgotten:
        raise error(f"Job run {run_id} doesn't exist.")
    return run


def _listed(found: Iterable[Record], request: Answer) -> tuple[list[Record], str | None]:
    """Return a page of records created when the request wants, newest first, and the next token."""
    most = request.get("maxResults", PAGE)
    if most < 1:
        raise requests.refused(f"maxResults must be 1 or more, not {most}")
    after, before = request.get("createdAfter"), request.get("createdBefore")
    wanted = [record for record in found if created_in(record.created, after, before)]
    return page(wanted, lambda record: (-record.created, record.id), request.get("nextToken"), min(most, PAGE))
