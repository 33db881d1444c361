"""The components of an Airflow that die and come back, one at a time."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local_airflow import LocalAirflow

AWAY_SECONDS = 2.0
"""How long a component is away before it is started again."""


class Components:
    """Ends components and starts them again, as whoever runs services does."""

    def __init__(self, airflow: LocalAirflow) -> None:
        self._airflow = airflow
        self._one_at_a_time = threading.Lock()

    def restart(self, name: str, grace: float = 0) -> None:
        """End a component, with SIGKILL or with so many seconds to end by itself, and start it again."""
        with self._one_at_a_time:
            self._airflow.end_component(name, grace)
            time.sleep(AWAY_SECONDS)
            self._airflow.launch_component(name)

    def mend(self) -> None:
        """Start what ended by itself; while a component is away on purpose, nobody looks."""
        if self._one_at_a_time.acquire(blocking=False):
            try:
                for name, process in self._airflow.components().items():
                    if process is None:
                        print(f"Airflow's {name} had ended by itself", file=sys.stderr)  # noqa: T201  it explains much
                        self._airflow.end_component(name)
                        self._airflow.launch_component(name)
            finally:
                self._one_at_a_time.release()
