"""Works out Spark executors for the nodes of a cluster, and prints them as YAML to paste.

``python -m emr_pipelines.size_executors r5.4xlarge 10`` does it for ten such nodes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from emr_pipelines.targets.instance_sizes import size_of
from emr_pipelines.targets.sizing import Nodes, executors_for, room


def explained(nodes: Nodes) -> str:
    """Return what the command prints for nodes of one type.

    :raises ValueError: the type is unknown, or there is no node.
    """
    size, executors = size_of(nodes.type), executors_for([nodes])
    if size is None or executors is None:
        raise ValueError(
            f"{nodes.type!r} is no instance type whose size is known here: write one such as r5.4xlarge, of a family "
            "such as c5, m5, r5, c6i, m6g or r7g"
        )
    if nodes.count < 1:
        raise ValueError(f"{nodes.count} nodes run nothing: write how many core and task nodes there are, 1 or more")
    return (
        f"{nodes.count} x {nodes.type}: {size.vcpus} vCPUs and {size.memory / 1024:g} GiB each, of which YARN has "
        f"{size.yarn_memory} MiB.\n"
        f"Room for executors on each: {room(executors, size)}; in all, one less is asked for: its place is the application master's, "
        "in which the driver runs where deploy_mode is cluster.\n\n"
        "spark:\n"
        f"  driver: {{cores: {executors.cores}, memory: {executors.memory}}} # where it runs: "
        "the primary node, unless deploy_mode is cluster\n"
        f"  executor: {{cores: {executors.cores}, memory: {executors.memory}, overhead: {executors.overhead}, "
        f"count: {executors.count}}}\n"
    )


def main(arguments: Sequence[str]) -> int:
    """Print sizes for ``TYPE COUNT``, and return the exit code."""
    try:
        instance_type, count = arguments
        nodes = Nodes(instance_type, int(count))
    except ValueError:
        sys.stderr.write("Write an instance type and how many nodes of it there are: r5.4xlarge 10\n")
        return 2
    try:
        sys.stdout.write(explained(nodes))
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
