"""What EMR Serverless and EMR on EKS share: job runs, their attempts, queues, logs and listings.

A service gives its own words and decisions: a subclass of `JobQueue` with its `next_move`, views and requests.
"""

from local_emr.runs.execution import Execution, Work
from local_emr.runs.queue import Decide, JobQueue, Machine, Sleep, Stop
from local_emr.runs.records import Attempt, JobRun, Records, States

__all__ = [
    "Attempt",
    "Decide",
    "Execution",
    "JobQueue",
    "JobRun",
    "Machine",
    "Records",
    "Sleep",
    "States",
    "Stop",
    "Work",
]
