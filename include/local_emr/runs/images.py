"""Files that EMR's images bring, which a job may name without uploading them. Pure.

AWS's own first examples do: `local:///usr/lib/spark/examples/src/main/python/pi.py` ("Getting started with Amazon EMR on
EKS", and the same in EMR Serverless). What pyspark brings of them stands elsewhere on this machine.
"""

from __future__ import annotations

from local_emr.engine.java import spark_home

_EXAMPLES = "/usr/lib/spark/examples/src/"


def on_this_machine(entry_point: str) -> str:
    """Return where an entry point is on this machine; all but Spark's examples are where they say."""
    path = entry_point.removeprefix("local://")
    if not path.startswith(_EXAMPLES):
        return entry_point
    return str(spark_home() / "examples" / "src" / path.removeprefix(_EXAMPLES))
