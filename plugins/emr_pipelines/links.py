"""Links from a task in Airflow's UI to its compute, its logs, Spark's own UI, and to why this compute was chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink
from airflow.sdk.execution_time.xcom import XCom

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import BaseOperator, Context


class _Link(BaseOperatorLink):
    """A link whose address the task pushed as soon as it knew it."""

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:  # noqa: ARG002  # Airflow's signature
        """Return the address that the task pushed; empty while there is none."""
        address = XCom.get_value(ti_key=ti_key, key=self.xcom_key)
        return str(address) if address else ""


class ComputeLink(_Link):
    """The compute that the task ran on."""

    name = "Compute"


class ChoiceLink(_Link):
    """Which profile was used, who asked for it, and why others were not."""

    name = "Why this compute"


class LogsLink(_Link):
    """The logs that EMR kept."""

    name = "EMR logs"


class SparkUiLink(_Link):
    """Spark's own UI of the job run, where the service keeps one."""

    name = "Spark UI"


class FindingsLink(_Link):
    """What the reaper found."""

    name = "Findings"


ACQUIRE_LINKS = (ComputeLink(), ChoiceLink())
JOB_LINKS = (ComputeLink(), LogsLink(), SparkUiLink())
REAPER_LINKS = (FindingsLink(),)

_LINK_OF: dict[str, _Link] = {
    "compute": ComputeLink(),
    "choice": ChoiceLink(),
    "logs": LogsLink(),
    "spark_ui": SparkUiLink(),
    "findings": FindingsLink(),
}


def show_links(context: Context, addresses: Mapping[str, str]) -> None:
    """Make links appear while the task still runs."""
    for name, address in addresses.items():
        context["ti"].xcom_push(key=_LINK_OF[name].xcom_key, value=address)


def xcom_page(context: Context) -> str:
    """Return the page of Airflow's UI that shows what the task returned."""
    page, _, _ = str(context["ti"].log_url).partition("?")
    return f"{page}/xcom"
