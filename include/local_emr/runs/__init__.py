"""What EMR Serverless and EMR on EKS share: job runs, their attempts, queues, logs and listings.

A service gives its own words and decisions: a subclass of `JobQueue` with its `next_move`, views and requests.
"""

from local_emr.runs.execution import Execution, Work
from local_emr.runs.queue import JobQueue, Machine, Situation, Sleep, Stop
from local_emr.runs.records import Attempt, JobRun, Records, States

__all__ = [
    "Attempt",
    "Execution",
    "JobQueue",
    "JobRun",
    "Machine",
    "Records",
    "Situation",
    "Sleep",
    "States",
    "Stop",
    "Work",
]
