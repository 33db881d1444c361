"""What a trigger would be told by one look, without a watcher."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from emr_pipelines import clients

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger


def one_look(trigger: BaseTrigger) -> dict[str, Any] | None:
    """Look once at what a trigger waits for; ``None`` while there is more to wait for."""
    subject, wait = trigger.question()
    target = clients.target_of_profile(subject.profile())
    return dict(subject.look(target, [wait], time.time())).get(wait.item)
