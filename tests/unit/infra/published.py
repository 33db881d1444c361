"""What is published to CloudWatch: namespace, metric and the sets of dimensions that it comes with."""

from __future__ import annotations

from emr_pipelines.job_metrics import METRICS, NAMESPACE

Published = dict[tuple[str, str], set[frozenset[str]]]


def _published(namespace: str, metrics: str, *dimensions: str) -> Published:
    return {(namespace, metric): {frozenset(one.split()) for one in dimensions} for metric in metrics.split()}


CLUSTERS = _published(
    "AWS/ElasticMapReduce",
    "IsIdle ContainerAllocated ContainerReserved ContainerPending ContainerPendingRatio AppsCompleted AppsFailed AppsKilled "
    "AppsPending AppsRunning AppsSubmitted CoreNodesRunning CoreNodesPending LiveDataNodes MRTotalNodes MRActiveNodes MRLostNodes "
    "MRUnhealthyNodes MRDecommissionedNodes MRRebootedNodes MultiMasterInstanceGroupNodesRunning "
    "MultiMasterInstanceGroupNodesRunningPercentage MultiMasterInstanceGroupNodesRequested S3BytesWritten S3BytesRead HDFSUtilization "
    "HDFSBytesRead HDFSBytesWritten MissingBlocks CorruptBlocks TotalLoad MemoryTotalMB MemoryReservedMB MemoryAvailableMB "
    "YARNMemoryAvailablePercentage MemoryAllocatedMB PendingDeletionBlocks UnderReplicatedBlocks DfsPendingReplicationBlocks "
    "CapacityRemainingGB",
    "JobFlowId",
)
"""EMR Management Guide, "Metrics reported by Amazon EMR in CloudWatch", clusters of Hadoop 2 and later; every five minutes."""

SERVERLESS = (
    _published(
        "AWS/EMRServerless",
        "MaxCPUAllowed MaxMemoryAllowed MaxStorageAllowed SubmittedJobs PendingJobs ScheduledJobs RunningJobs SuccessJobs FailedJobs "
        "CancellingJobs CancelledJobs",
        "ApplicationId ApplicationName",
    )
    | _published(
        "AWS/EMRServerless",
        "CPUAllocated IdleWorkerCount MemoryAllocated PendingCreationWorkerCount RunningWorkerCount StorageAllocated TotalWorkerCount",
        "ApplicationId ApplicationName WorkerType CapacityAllocationType",
    )
    | _published(
        "AWS/EMRServerless",
        "WorkerCpuAllocated WorkerCpuUsed WorkerMemoryAllocated WorkerMemoryUsed WorkerEphemeralStorageAllocated "
        "WorkerEphemeralStorageUsed WorkerStorageReadBytes WorkerStorageWriteBytes",
        "JobId JobName ApplicationId ApplicationName WorkerType CapacityAllocationType",
    )
)
"""EMR Serverless User Guide, "Monitoring EMR Serverless applications and jobs", current dimensions; every minute."""

QUOTAS = _published("AWS/Usage", "ResourceCount", "Service Type Resource Class")
"""EMR Serverless User Guide, "EMR Serverless usage metrics"."""

QUEUES = _published(
    "AWS/SQS",
    "ApproximateAgeOfOldestMessage ApproximateNumberOfMessagesVisible NumberOfMessagesSent NumberOfMessagesReceived "
    "NumberOfMessagesDeleted",
    "QueueName",
)
"""SQS Developer Guide, "Available CloudWatch metrics for Amazon SQS"; every minute, while the queue is active."""

KUBERNETES = (
    _published("ContainerInsights", "cluster_node_count cluster_failed_node_count", "ClusterName")
    | _published("ContainerInsights", "namespace_number_of_running_pods", "ClusterName Namespace", "ClusterName")
    | _published(
        "ContainerInsights",
        "node_cpu_reserved_capacity node_memory_reserved_capacity",
        "NodeName ClusterName InstanceId",
        "ClusterName",
    )
    | _published(
        "ContainerInsights",
        "pod_cpu_utilization pod_memory_utilization pod_memory_utilization_over_pod_limit",
        "PodName Namespace ClusterName",
        "Namespace ClusterName",
        "Service Namespace ClusterName",
        "ClusterName",
    )
)
"""CloudWatch User Guide, "Amazon EKS and Kubernetes Container Insights metrics"; every minute. EMR on EKS has none of its own."""

OURS: Published = {(NAMESPACE, one.name): {frozenset(view) for view in one.views} for one in METRICS}
"""What this package publishes itself."""

PUBLISHED: Published = CLUSTERS | SERVERLESS | QUOTAS | QUEUES | KUBERNETES | OURS

EVERY = {"AWS/ElasticMapReduce": 300, "AWS/Usage": 300}
"""Seconds from one value to the next, of what comes less often than each minute."""
