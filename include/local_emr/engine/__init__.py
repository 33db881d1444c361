"""The engine: runs the steps of EMR clusters as real processes on this machine.

A step goes through `planning` (what it comes to here), `launching` (the command line) and `running` (the process and its
end); `failures` says why it failed. `cache` makes what JVMs need, `metastore` keeps a cluster's tables.
"""

from local_emr.engine.contract import Outcome, RunningStep, Step
from local_emr.engine.runner import Engine

__all__ = ["Engine", "Outcome", "RunningStep", "Step"]
