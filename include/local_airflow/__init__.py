"""A real Airflow on one machine: its components as processes, started, watched and ended as one system.

`LocalAirflow` runs api-server, scheduler, dag-processor and triggerer against the EMR endpoint of `local_emr`;
`python -m local_airflow up|down|status|password|demo` is the same for people. Tests use the object, too.
"""

from local_airflow.endpoint import LocalEndpoint
from local_airflow.errors import LocalAirflowError
from local_airflow.rest import AirflowClient, RestError
from local_airflow.system import LocalAirflow

__all__ = ["AirflowClient", "LocalAirflow", "LocalAirflowError", "LocalEndpoint", "RestError"]
