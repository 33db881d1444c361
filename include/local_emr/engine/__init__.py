"""The engine: runs the steps of EMR clusters as real processes on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_emr.engine.contract import Outcome, RunningStep, Step

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Engine", "Outcome", "RunningStep", "Step"]


class Engine:
    """Runs steps over the data of one endpoint.

    `data` is the endpoint's data folder: bucket b's key k is the file `<data>/s3/b/k`.
    `endpoint_url` is what jobs get as AWS_ENDPOINT_URL.
    """

    def __init__(self, data: Path, endpoint_url: str) -> None:
        self.data = data
        self.endpoint_url = endpoint_url

    def prepare(self) -> None:
        """Make what every step needs and is not cached yet (seconds once, then nothing). `start` does it if need be."""
        raise NotImplementedError

    def start(
        self,
        step: Step,
        *,
        folder: Path,
        cluster: Path,
        environment: Mapping[str, str],
        spark_defaults: Mapping[str, str],
    ) -> RunningStep:
        """Start `step`; its logs `controller`, `stdout` and `stderr` grow in `folder` as plain text.

        `cluster` is the folder of what lives as long as the cluster (tables, HDFS). What has no engine here
        comes back as a step that has already failed, with the reason; this method does not raise for it.
        """
        raise NotImplementedError

    def release(self, cluster: Path) -> None:
        """End what serves `cluster` beside its steps (the metastore): the cluster has ended."""
        raise NotImplementedError

    def close(self) -> None:
        """End every step and service: the endpoint ends. Nothing that the engine started runs afterwards."""
        raise NotImplementedError
