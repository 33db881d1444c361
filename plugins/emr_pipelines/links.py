"""Links from a task in Airflow's UI to its compute and to its logs."""

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


class LogsLink(_Link):
    """The logs that EMR kept."""

    name = "EMR logs"


LINKS = (ComputeLink(), LogsLink())


def show_links(context: Context, addresses: Mapping[str, str]) -> None:
    """Make links appear while the task still runs."""
    for link, address in ((LINKS[0], addresses.get("compute")), (LINKS[1], addresses.get("logs"))):
        if address:
            context["ti"].xcom_push(key=link.xcom_key, value=address)
