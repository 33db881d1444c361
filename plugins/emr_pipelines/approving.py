"""The task that asks a person whether data that broke a rule may go on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowFailException

from emr_pipelines.checking import QUALITY, QualityCheckOperator
from emr_pipelines.errors import ConfigurationError
from emr_pipelines.quality import Gate

if TYPE_CHECKING:
    from airflow.sdk import Context

ASKED: Final = "asked"
"""Key of the XCom that says which results a person was asked about."""
_REASON: Final = "reason"


class ApproveOperator(ApprovalOperator):
    """Asks a person when the rules of a check say so; goes on at once when they do not. It holds no compute: put it after the pipeline.

    The person finds the rules, what was measured and what was needed under *Required Actions*, and approves or rejects with
    a reason; both are recorded by Airflow, and in this task's XCom, as its ``ApprovalOperator`` has it. A rejection fails the task.
    Nobody's answer within ``response_timeout`` counts as one. A run that waits counts in the DAG's ``max_active_runs``.

    :param checks: the checks whose rules it asks about. A check without such a task fails where a rule would ask.
    :param response_timeout: how long to wait for an answer.
    :raises ConfigurationError: a check is mapped, or the DAG's ``dagrun_timeout`` is not longer than ``response_timeout``.
    """

    ui_color = "#fdf3c8"

    def __init__(
        self,
        *,
        checks: Sequence[QualityCheckOperator],
        response_timeout: timedelta = timedelta(hours=24),
        **kwargs: Any,
    ) -> None:
        fixed = {
            "subject": "Rules of data quality were broken",
            "defaults": self.REJECT,
            "fail_on_reject": True,
            "params": {_REASON: Param("", type="string", title="Reason", description="Kept with the run")},
            "execution_timeout": None,  # Airflow would take it for the time to answer
        }
        super().__init__(response_timeout=response_timeout, **{"retries": 0, **kwargs, **fixed})
        self.asked_about = [self._registered(check) for check in checks]
        limit = self.dag.dagrun_timeout if self.has_dag() else None  # type: ignore[no-untyped-call]  # Airflow's has no types
        if limit and limit <= response_timeout:
            raise ConfigurationError(
                f"Task {self.task_id!r} gives a person {response_timeout} to answer, and the DAG's dagrun_timeout ends the run after "
                f"{limit}. Make dagrun_timeout longer, or response_timeout shorter"
            )

    def _registered(self, check: QualityCheckOperator) -> str:
        if not isinstance(check, QualityCheckOperator):
            raise ConfigurationError(
                f"Task {self.task_id!r} asks about quality checks; {check!r} is none, or is mapped. "
                "Give it QualityCheckOperator tasks that are not mapped"
            )
        check.asks_through = self.task_id
        return str(check.task_id)

    def execute(self, context: Context) -> Any:
        """Ask, if any of the checks asks."""
        told = [context["ti"].xcom_pull(task_ids=check, key=QUALITY) for check in self.asked_about]
        asking = [one for one in told if one and one["decision"] == Gate.ASK]
        if not asking:
            self.log.info("No rule asks for a person's decision")
            return None
        context["ti"].xcom_push(key=ASKED, value=[one["result"] for one in asking])
        self.subject = f"Publish data that broke a rule? {context['dag'].dag_id}, {context['run_id']}"
        self.body = "\n\n".join(one["question"] for one in asking)
        # Airflow calls what stands here, and nothing more
        self.notifiers = cast("Any", [partial(self._told, notifier) for notifier in self.notifiers])
        return super().execute(context)

    def _told(self, notifier: Any, context: Context) -> None:
        """Tell somebody that a person is asked; that nobody could be told must not end the question."""
        try:
            notifier(context)
        except Exception:
            self.log.exception("%s could not be told; the question stands under Required Actions", notifier)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Go on after the answer, or fail with its reason."""
        if event.get("chosen_options") == [self.REJECT]:
            raise AirflowFailException(_rejection(event, self.response_timeout))
        return super().execute_complete(context, event)


def _rejection(event: dict[str, Any], waited: timedelta | None) -> str:
    """Say who rejected and why; it is the first line of the failure."""
    user = event.get("responded_by_user") or {}
    reason = (event.get("params_input") or {}).get(_REASON) or "no reason given"
    who = f"{user.get('name') or user.get('id')} rejected the data: {reason}."
    if not user:
        who = f"Nobody answered within {waited}, which counts as a rejection."
    return (
        f"{who}\nNothing was published, and no compute runs. "
        "Mend the data or the rule, then clear the job that writes the data with its downstream."
    )
