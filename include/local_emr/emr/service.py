"""The operations of EMR on EC2. Each takes botocore's view of the request and returns botocore's view of the answer."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from local_emr.emr import lifecycle, nodes, requests, views
from local_emr.emr.paging import page_of
from local_emr.emr.records import ENDED, NOT_OPEN, ClusterRecord, StepRecord
from local_emr.emr.refusals import invalid, refused
from local_emr.emr.releases import RELEASES
from local_emr.emr.scheduler import SERVICE, Cluster
from local_emr.emr.security import SecurityConfigurations, without_passwords
from local_emr.runs import Records

if TYPE_CHECKING:
    from local_emr.faults import Faults
    from local_emr.protocol import Answer, Caller
    from local_emr.runs import Machine

logger = logging.getLogger(__name__)

MOST_STEP_IDS = 10
MOST_CLUSTERS = 10


class ElasticMapReduce:
    """The control plane's operations, named as in boto3."""

    def __init__(self, machine: Machine, faults: Faults) -> None:
        self.machine = machine
        self._faults = faults
        self._records = Records(machine.data / "clusters", "*/cluster.json", ClusterRecord.read, machine.clock)
        self._clusters: dict[str, Cluster] = {}
        security = SecurityConfigurations(machine)
        self._check_security = security.check_cluster
        self.create_security_configuration = security.create_security_configuration
        self.describe_security_configuration = security.describe_security_configuration
        self.list_security_configurations = security.list_security_configurations
        self.delete_security_configuration = security.delete_security_configuration
        self._creating, self._preparing = threading.Lock(), threading.Lock()
        for record in self._records.load():
            cluster = self._at_work(record)
            if record.state not in ENDED:
                with cluster.changing():
                    lifecycle.lose(record, self._now())
        faults.at_once(SERVICE, lambda fault: sum(cluster.strike(fault) for cluster in list(self._clusters.values())))

    def close(self) -> None:
        """Make no more moves. The clusters' records keep their last state; the next start calls them lost."""
        for cluster in list(self._clusters.values()):
            cluster.close()

    # Clusters

    def run_job_flow(self, request: Answer, caller: Caller) -> Answer:
        """Create a cluster."""
        self._check_security(request, caller)
        # Who sees a cluster listed has seen every older one: by that, callers at the same moment agree on the oldest.
        with self._creating:
            record = requests.new_cluster(without_passwords(request), caller.region, self._now())
            self._at_work(record).begin()
        threading.Thread(target=self._prepare, name="prepare", daemon=True).start()
        return {"JobFlowId": record.id, "ClusterArn": record.arn}

    def describe_cluster(self, request: Answer, caller: Caller) -> Answer:
        """Describe a cluster."""
        with self._cluster(request["ClusterId"], caller).reading() as record:
            return {"Cluster": views.cluster_view(record, self._now())}

    def list_clusters(self, request: Answer, caller: Caller) -> Answer:
        """List clusters, newest first."""
        states = request.get("ClusterStates") or None
        after, before = request.get("CreatedAfter", float("-inf")), request.get("CreatedBefore", float("inf"))
        newest_first = reversed(self._records.listed(self._faults.lag(SERVICE)))
        found = [record for record in newest_first if record.region == caller.region]
        wanted = [
            record
            for record in found
            if after <= record.created <= before and (states is None or record.state in states)
        ]
        page, marker = page_of(wanted, found, request.get("Marker"), lambda record: record.id)
        return {"Clusters": [views.cluster_summary(record, self._now()) for record in page], "Marker": marker}

    def terminate_job_flows(self, request: Answer, caller: Caller) -> Answer:
        """Begin to end clusters: all that are not protected, even if some are."""
        if len(request["JobFlowIds"]) > MOST_CLUSTERS:
            raise refused(f"At most {MOST_CLUSTERS} clusters can be terminated at a time")
        clusters = self._job_flows(request, caller)
        protected = [cluster for cluster in clusters if cluster.record.termination_protected]
        for cluster in clusters:
            if cluster not in protected:
                cluster.terminate("USER_REQUEST", "Terminated by user request")
        if any(cluster.record.state not in NOT_OPEN for cluster in protected):
            raise refused("Could not shut down one or more job flows since they are termination protected.")
        return {}

    def modify_cluster(self, request: Answer, caller: Caller) -> Answer:
        """Change how many steps run at a time."""
        level = requests.checked_concurrency(request.get("StepConcurrencyLevel", 1))
        with self._open(request["ClusterId"], caller).changing() as record:
            record.step_concurrency = level
        return {"StepConcurrencyLevel": level}

    def set_termination_protection(self, request: Answer, caller: Caller) -> Answer:
        """Protect clusters from termination, or no longer."""
        for cluster in self._job_flows(request, caller):
            with cluster.changing() as record:
                record.termination_protected = request["TerminationProtected"]
        return {}

    def set_keep_job_flow_alive_when_no_steps(self, request: Answer, caller: Caller) -> Answer:
        """Keep clusters when they have no more steps, or let them end."""
        for cluster in self._job_flows(request, caller):
            with cluster.changing() as record:
                record.keep_alive = request["KeepJobFlowAliveWhenNoSteps"]
        return {}

    def set_visible_to_all_users(self, request: Answer, caller: Caller) -> Answer:
        """Record who may see clusters."""
        for cluster in self._job_flows(request, caller):
            with cluster.changing() as record:
                record.visible_to_all_users = request["VisibleToAllUsers"]
        return {}

    def set_unhealthy_node_replacement(self, request: Answer, caller: Caller) -> Answer:
        """Record whether unhealthy nodes are replaced."""
        for cluster in self._job_flows(request, caller):
            with cluster.changing() as record:
                record.unhealthy_node_replacement = request["UnhealthyNodeReplacement"]
        return {}

    def add_tags(self, request: Answer, caller: Caller) -> Answer:
        """Add tags to a cluster."""
        with self._cluster(request["ResourceId"], caller).changing() as record:
            record.tags |= requests.tags_of(request["Tags"])
        return {}

    def remove_tags(self, request: Answer, caller: Caller) -> Answer:
        """Remove tags from a cluster."""
        with self._cluster(request["ResourceId"], caller).changing() as record:
            record.tags = {key: value for key, value in record.tags.items() if key not in request["TagKeys"]}
        return {}

    # Steps

    def add_job_flow_steps(self, request: Answer, caller: Caller) -> Answer:
        """Add steps to an open cluster."""
        cluster = self._job_flow(request["JobFlowId"], caller)
        with cluster.changing() as record:
            _check_open(record)
            steps = requests.new_steps(record, request["Steps"], request.get("ExecutionRoleArn"), self._now())
            record.steps += steps
        return {"StepIds": [step.id for step in steps]}

    def describe_step(self, request: Answer, caller: Caller) -> Answer:
        """Describe a step."""
        cluster = self._cluster(request["ClusterId"], caller)
        with cluster.reading():
            return {"Step": views.step_view(_step(cluster, request["StepId"]))}

    def list_steps(self, request: Answer, caller: Caller) -> Answer:
        """List a cluster's steps, newest first."""
        ids, states = request.get("StepIds") or None, request.get("StepStates") or None
        if ids and len(ids) > MOST_STEP_IDS:
            raise invalid(f"StepIds can name at most {MOST_STEP_IDS} steps, not {len(ids)}")
        cluster = self._cluster(request["ClusterId"], caller)
        for step_id in ids or []:
            _step(cluster, step_id)
        listed = [record.steps for record in self._records.listed(self._faults.lag(SERVICE), cluster.record.id)]
        found = [step for steps in listed for step in reversed(steps) if step.id not in cluster.forgotten]
        wanted = [
            step for step in found if (ids is None or step.id in ids) and (states is None or step.state in states)
        ]
        page, marker = page_of(wanted, found, request.get("Marker"), lambda step: step.id)
        return {"Steps": [views.step_view(step) for step in page], "Marker": marker}

    def cancel_steps(self, request: Answer, caller: Caller) -> Answer:
        """Cancel pending and running steps; TERM comes first and KILL after it, whichever option is asked for."""
        cluster = self._open(request["ClusterId"], caller)
        with cluster.changing() as record:
            steps = [_step(cluster, step_id) for step_id in request["StepIds"]]
            running = [step for step in steps if step.state == "RUNNING"]
            reasons = [lifecycle.cancel(record, step, self._now()) for step in steps]
        cluster.end_processes([step for step in running if step.state == "CANCEL_PENDING"])
        return {
            "CancelStepsInfoList": [
                {"StepId": step.id, "Status": "FAILED" if reason else "SUBMITTED", "Reason": reason}
                for step, reason in zip(steps, reasons, strict=True)
            ]
        }

    # Instances

    def list_instance_groups(self, request: Answer, caller: Caller) -> Answer:
        """List a cluster's instance groups."""
        with self._cluster(request["ClusterId"], caller).reading() as record:
            if record.fleets:
                raise invalid("Instance fleets and instance groups are mutually exclusive.")
            return {"InstanceGroups": [views.group_view(record, group) for group in record.groups]}

    def list_instance_fleets(self, request: Answer, caller: Caller) -> Answer:
        """List a cluster's instance fleets."""
        with self._cluster(request["ClusterId"], caller).reading() as record:
            if record.groups:
                raise invalid("Instance fleets and instance groups are mutually exclusive.")
            return {"InstanceFleets": [views.fleet_view(record, fleet) for fleet in record.fleets]}

    def list_instances(self, request: Answer, caller: Caller) -> Answer:
        """List a cluster's instances."""
        roles = request.get("InstanceGroupTypes") or [request.get("InstanceFleetType")]
        group, states = request.get("InstanceGroupId") or request.get("InstanceFleetId"), request.get("InstanceStates")
        with self._cluster(request["ClusterId"], caller).reading() as record:
            found = [
                instance
                for instance in views.instances(record)
                if (roles == [None] or instance["Role"] in roles)
                and (group is None or group in (instance.get("InstanceGroupId"), instance.get("InstanceFleetId")))
                and (not states or instance["Status"]["State"] in states)
            ]
            page, marker = page_of(found, found, request.get("Marker"), lambda instance: instance["Id"])
            return {"Instances": page, "Marker": marker}

    def add_instance_groups(self, request: Answer, caller: Caller) -> Answer:
        """Add instance groups to an open cluster."""
        with self._open(request["JobFlowId"], caller).changing() as record:
            added = nodes.add_groups(record, request["InstanceGroups"])
        return {"JobFlowId": record.id, "InstanceGroupIds": added, "ClusterArn": record.arn}

    def add_instance_fleet(self, request: Answer, caller: Caller) -> Answer:
        """Add an instance fleet to an open cluster."""
        with self._open(request["ClusterId"], caller).changing() as record:
            added = nodes.add_fleet(record, request["InstanceFleet"])
        return {"ClusterId": record.id, "InstanceFleetId": added, "ClusterArn": record.arn}

    def modify_instance_groups(self, request: Answer, caller: Caller) -> Answer:
        """Change counts and configurations of instance groups, at once."""
        for change in request.get("InstanceGroups", []):
            cluster_id = request.get("ClusterId") or self._cluster_of_group(change["InstanceGroupId"])
            with self._open(cluster_id, caller).changing() as record:
                nodes.modify_group(record, change)
        return {}

    def modify_instance_fleet(self, request: Answer, caller: Caller) -> Answer:
        """Change the capacities of an instance fleet, at once."""
        with self._open(request["ClusterId"], caller).changing() as record:
            nodes.modify_fleet(record, request["InstanceFleet"])
        return {}

    def list_bootstrap_actions(self, request: Answer, caller: Caller) -> Answer:
        """List a cluster's bootstrap actions, which are recorded and not run."""
        with self._cluster(request["ClusterId"], caller).reading() as record:
            actions = record.request.get("BootstrapActions", [])
        scripts = [(action["Name"], action["ScriptBootstrapAction"]) for action in actions]
        return {
            "BootstrapActions": [
                {"Name": name, "ScriptPath": script["Path"], "Args": script.get("Args", [])} for name, script in scripts
            ]
        }

    # Policies

    def put_auto_termination_policy(self, request: Answer, caller: Caller) -> Answer:
        """End the cluster after it has been idle for so long, counted from now."""
        timeout = request.get("AutoTerminationPolicy", {}).get("IdleTimeout")
        if timeout is None:
            raise refused("AutoTerminationPolicy needs an IdleTimeout")
        requests.checked_idle_timeout(timeout)
        with self._open(request["ClusterId"], caller).changing() as record:
            record.idle_timeout = timeout
            record.idle_since = self._now() if record.state == "WAITING" else None
        return {}

    def get_auto_termination_policy(self, request: Answer, caller: Caller) -> Answer:
        """Return the auto-termination policy, if there is one."""
        timeout = self._cluster(request["ClusterId"], caller).record.idle_timeout
        return {"AutoTerminationPolicy": None if timeout is None else {"IdleTimeout": timeout}}

    def remove_auto_termination_policy(self, request: Answer, caller: Caller) -> Answer:
        """Let the cluster be idle for ever."""
        with self._open(request["ClusterId"], caller).changing() as record:
            record.idle_timeout = None
        return {}

    def put_managed_scaling_policy(self, request: Answer, caller: Caller) -> Answer:
        """Record the managed scaling policy; there is nothing to scale here."""
        with self._open(request["ClusterId"], caller).changing() as record:
            nodes.manage(record, request["ManagedScalingPolicy"])
        return {}

    def get_managed_scaling_policy(self, request: Answer, caller: Caller) -> Answer:
        """Return the managed scaling policy, if there is one."""
        return {"ManagedScalingPolicy": self._cluster(request["ClusterId"], caller).record.managed_scaling}

    def remove_managed_scaling_policy(self, request: Answer, caller: Caller) -> Answer:
        """Forget the managed scaling policy."""
        with self._open(request["ClusterId"], caller).changing() as record:
            record.managed_scaling = None
        return {}

    def put_auto_scaling_policy(self, request: Answer, caller: Caller) -> Answer:
        """Attach an automatic scaling policy to an instance group; there is nothing to scale here."""
        with self._open(request["ClusterId"], caller).changing() as record:
            group = nodes.attach(record, request["InstanceGroupId"], request["AutoScalingPolicy"])
            policy = views.group_view(record, group)["AutoScalingPolicy"]
        return {
            "ClusterId": record.id,
            "InstanceGroupId": group["Id"],
            "AutoScalingPolicy": policy,
            "ClusterArn": record.arn,
        }

    def remove_auto_scaling_policy(self, request: Answer, caller: Caller) -> Answer:
        """Take the automatic scaling policy from an instance group."""
        with self._open(request["ClusterId"], caller).changing() as record:
            nodes.detach(record, request["InstanceGroupId"])
        return {}

    # Releases

    def list_release_labels(self, request: Answer, caller: Caller) -> Answer:  # noqa: ARG002 - the same everywhere
        """List releases, newest first."""
        filters = request.get("Filters", {})
        name, _, version = filters.get("Application", "").partition("@")
        labels = [
            label
            for label, applications in RELEASES.items()
            if label.startswith(filters.get("Prefix", ""))
            and (
                not name
                or any(
                    name.lower() == known.lower() and version in ("", found) for known, found in applications.items()
                )
            )
        ]
        return {"ReleaseLabels": labels[: request.get("MaxResults", 100)]}

    def describe_release_label(self, request: Answer, caller: Caller) -> Answer:  # noqa: ARG002 - the same everywhere
        """Describe a release: of its applications, those that steps can use here."""
        label = request.get("ReleaseLabel", next(iter(RELEASES)))
        if label not in RELEASES:
            raise invalid(f"The supplied release label is invalid: {label}.")
        applications = [{"Name": name, "Version": version} for name, version in RELEASES[label].items()]
        return {"ReleaseLabel": label, "Applications": applications}

    # What the operations share

    def _at_work(self, record: ClusterRecord) -> Cluster:
        cluster = self._clusters[record.id] = Cluster(record, self.machine, self._records, self._faults)
        return cluster

    def _now(self) -> float:
        return self.machine.clock.now()

    def _prepare(self) -> None:
        """Use a cluster's boot time to get the engine ready; a step does it otherwise, and reports what fails."""
        with self._preparing:
            try:
                self.machine.engine.prepare()
            except Exception:
                logger.exception("the engine could not be prepared")

    def _cluster(self, cluster_id: str, caller: Caller) -> Cluster:
        cluster = self._clusters.get(cluster_id)
        if cluster is None or cluster.record.region != caller.region:
            raise invalid(f"Cluster id '{cluster_id}' is not valid.", "NoSuchCluster")
        return cluster

    def _cluster_of_group(self, group_id: str) -> str:
        """Return the id of the cluster that an instance group is of, for a request that does not say it."""
        for cluster in list(self._clusters.values()):
            if any(group["Id"] == group_id for group in cluster.record.groups):
                return cluster.record.id
        raise invalid(f"Instance group id '{group_id}' is not valid.")

    def _open(self, cluster_id: str, caller: Caller) -> Cluster:
        cluster = self._cluster(cluster_id, caller)
        _check_open(cluster.record)
        return cluster

    def _job_flow(self, cluster_id: str, caller: Caller) -> Cluster:
        """Find a cluster for an operation that still calls it a job flow, and answers for it in other words."""
        cluster = self._clusters.get(cluster_id)
        if cluster is None or cluster.record.region != caller.region:
            raise refused("Specified job flow ID not valid.")
        return cluster

    def _job_flows(self, request: Answer, caller: Caller) -> list[Cluster]:
        return [self._job_flow(cluster_id, caller) for cluster_id in request["JobFlowIds"]]


def _check_open(record: ClusterRecord) -> None:
    if record.state in NOT_OPEN:
        raise refused("A job flow that is shutting down, terminated, or finished may not be modified.")


def _step(cluster: Cluster, step_id: str) -> StepRecord:
    for step in cluster.record.steps:
        if step.id == step_id and step_id not in cluster.forgotten:
            return step
    raise invalid(f"Step id '{step_id}' is not valid.", "NoSuchStep")
