"""The Airflow plugin's face.

Airflow imports this file once in every component, so that the package is loaded before tasks are forked from it.
"""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

import emr_pipelines


class EmrPipelinesPlugin(AirflowPlugin):
    """Makes the package known to ``airflow plugins``."""

    name = emr_pipelines.__name__
