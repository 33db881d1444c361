"""The tests of this folder share one real Airflow and one real endpoint."""

from tests.support.system import airflow, client_of, endpoint, repository, rest

__all__ = ["airflow", "client_of", "endpoint", "repository", "rest"]
