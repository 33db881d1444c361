"""A client of Airflow's REST API, version 2: the few calls a person's day needs."""

from datetime import datetime
from types import TracebackType
from typing import Any, Self

import httpx
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_fixed

from local_airflow.errors import LocalAirflowError


class RestError(LocalAirflowError):
    """Airflow answered a request with an error: the HTTP status and the reason it gave."""

    def __init__(self, method: str, path: str, status: int, reason: str) -> None:
        super().__init__(f"Airflow answered {status} to {method} {path}: {reason}")
        self.status = status


class AwayError(LocalAirflowError):
    """Airflow could not be asked: the connection was refused, broken or too slow."""


def _passing(error: BaseException) -> bool:
    """Tell whether asking again may help: the server is not there, or its database was locked for a moment."""
    if isinstance(error, RestError):
        return error.status >= httpx.codes.INTERNAL_SERVER_ERROR
    return isinstance(error, AwayError)


def _locked(error: BaseException) -> bool:
    """Tell whether Airflow undid the request because another writer had its SQLite: then nothing has happened yet."""
    return _passing(error) and isinstance(error, RestError) and "database" in str(error).lower()


def _conflicting(error: BaseException) -> bool:
    """Tell whether Airflow refused a request because of something that is about to end."""
    return isinstance(error, RestError) and error.status == httpx.codes.CONFLICT


class AirflowClient:
    """Speaks with one api-server as one user. Logs in when it must; close it, or use it in a `with` statement."""

    def __init__(self, url: str, user: str, password: str, *, timeout: float = 60) -> None:
        self._user = user
        self._password = password
        self._http = httpx.Client(base_url=url, timeout=timeout, trust_env=False)  # no proxy on the way to loopback

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @retry(retry=retry_if_exception(_passing), stop=stop_after_attempt(4), wait=wait_fixed(0.5), reraise=True)
    def get(self, path: str, **parameters: Any) -> Any:
        """Return the JSON answer to GET `/api/v2/<path>`; asks again when the server is briefly unable to answer."""
        return self._call("GET", path, params=parameters)

    @retry(retry=retry_if_exception(_locked), stop=stop_after_attempt(15), wait=wait_fixed(1), reraise=True)
    def post(self, path: str, body: Any) -> Any:
        """Return the JSON answer to POST `/api/v2/<path>`. Sent again only when it found the database locked."""
        return self._call("POST", path, json=body)

    @retry(retry=retry_if_exception(_passing), stop=stop_after_attempt(4), wait=wait_fixed(0.5), reraise=True)
    def patch(self, path: str, body: Any) -> Any:
        """Return the JSON answer to PATCH `/api/v2/<path>`; asks again as `get` does: to set a value twice is to set it."""
        return self._call("PATCH", path, json=body)

    def delete(self, path: str) -> Any:
        """Return the JSON answer to DELETE `/api/v2/<path>`. Sent once."""
        return self._call("DELETE", path)

    def has_dag(self, dag_id: str) -> bool:
        """Tell whether the DAG is known."""
        try:
            self.get(f"dags/{dag_id}")
        except RestError as error:
            if error.status == httpx.codes.NOT_FOUND:
                return False
            raise
        return True

    def import_errors(self) -> list[dict[str, Any]]:
        """Return the DAG files that could not be read: `filename`, `stack_trace`."""
        return list(self.get("importErrors", limit=100)["import_errors"])

    def unpause(self, dag_id: str) -> None:
        """Let the DAG's runs start: those of a paused DAG wait, those triggered by hand included."""
        self.patch(f"dags/{dag_id}", {"is_paused": False})

    def run_of(self, dag_id: str, logical_date: datetime) -> dict[str, Any] | None:
        """Return the DAG's run for a logical date (there is at most one), or None."""
        moment = logical_date.isoformat()
        runs = self.get(f"dags/{dag_id}/dagRuns", logical_date_gte=moment, logical_date_lte=moment)["dag_runs"]
        return runs[0] if runs else None

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Return one DAG run."""
        answer: dict[str, Any] = self.get(f"dags/{dag_id}/dagRuns/{run_id}")
        return answer

    def trigger(  # noqa: PLR0913  the fields of Airflow's own request
        self,
        dag_id: str,
        run_id: str,
        *,
        logical_date: datetime,
        start: datetime,
        end: datetime,
        conf: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Start a run for a logical date and its data interval; returns the run."""
        body = {
            "dag_run_id": run_id,
            "logical_date": logical_date.isoformat(),
            "data_interval_start": start.isoformat(),
            "data_interval_end": end.isoformat(),
            **({"conf": conf} if conf else {}),
        }
        answer: dict[str, Any] = self.post(f"dags/{dag_id}/dagRuns", body)
        return answer

    def clear_run(self, dag_id: str, run_id: str) -> None:
        """Run every task of a finished run again, as new tries of the same run."""
        self.post(f"dags/{dag_id}/dagRuns/{run_id}/clear", {"dry_run": False, "only_failed": False})

    @retry(retry=retry_if_exception(_conflicting), stop=stop_after_attempt(15), wait=wait_fixed(1), reraise=True)
    def reprocess(self, dag_id: str, logical_date: datetime, conf: dict[str, Any]) -> None:
        """Run a finished run of a logical date again with other settings: a backfill of that one date.

        A DAG has one active backfill: one whose runs have ended, but which the scheduler has not closed yet, is closed first, and one
        whose last run is about to end is waited for.
        """
        working = self.get(f"dags/{dag_id}/dagRuns", run_type="backfill", state=["running", "queued"], limit=1)[
            "dag_runs"
        ]
        for backfill in self.get("backfills", dag_id=dag_id)["backfills"]:
            if backfill["completed_at"] is None and not working:
                self._call("PUT", f"backfills/{backfill['id']}/cancel")
        moment = logical_date.isoformat()
        body = {
            "dag_id": dag_id,
            "from_date": moment,
            "to_date": moment,
            "reprocess_behavior": "completed",
            "dag_run_conf": conf,
        }
        self.post("backfills", body)

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a run."""
        return list(self.get(f"dags/{dag_id}/dagRuns/{run_id}/taskInstances", limit=1000)["task_instances"])

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """Return the value a task pushed under `key`, None when it pushed none."""
        try:
            path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
            return self.get(path, deserialize=False, stringify=False)["value"]
        except RestError as error:
            if error.status == httpx.codes.NOT_FOUND:
                return None
            raise

    def log(self, dag_id: str, run_id: str, task_id: str, attempt: int) -> list[dict[str, Any]]:
        """Return the log of a task's attempt: one dict a line, with `event` and mostly `level`."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{attempt}"
        content = self.get(path, full_content=True)["content"]
        return [entry if isinstance(entry, dict) else {"event": str(entry)} for entry in content]

    def _call(self, method: str, path: str, **request: Any) -> Any:
        """Send one request, after a login when there is none or it has run out."""
        try:
            if "Authorization" not in self._http.headers:
                self._log_in()
            answer = self._http.request(method, f"/api/v2/{path}", **request)
            if answer.status_code == httpx.codes.UNAUTHORIZED:
                self._log_in()
                answer = self._http.request(method, f"/api/v2/{path}", **request)
        except httpx.TransportError as error:
            raise AwayError(f"Airflow does not answer at {self._http.base_url}: {error}") from error
        return self._content(method, path, answer)

    def _log_in(self) -> None:
        """Get a token, as the simple auth manager gives it for a user's name and password."""
        self._http.headers.pop("Authorization", None)
        answer = self._http.post("/auth/token", json={"username": self._user, "password": self._password})
        token = self._content("POST", "/auth/token", answer)["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"

    @staticmethod
    def _content(method: str, path: str, answer: httpx.Response) -> Any:
        """Return the JSON of an answer; raise RestError when it is an error."""
        if answer.is_success:
            return answer.json() if answer.content else None
        try:
            reason = answer.json()["detail"]
        except (ValueError, KeyError, TypeError):
            reason = answer.text[:500]
        raise RestError(method, path, answer.status_code, str(reason))
