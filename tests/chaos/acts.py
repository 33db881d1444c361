"""What happens at a point of a schedule: processes die, the service fails, people click."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import boto3
import httpx
import psutil
from sqlalchemy import text

from local_airflow.errors import LocalAirflowError
from local_emr.faults.kinds import EMR_SERVICES
from tests.chaos.engine import MARK
from tests.chaos.rehearsal import OPERATIONS
from tests.chaos.schedules import FIRST, SECOND
from tests.support.endpoint import CLIENT_ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.schedules import Event, Schedule
    from tests.chaos.world import World

SIGNED = {"ec2": "elasticmapreduce", "eks": "emr-containers", "serverless": "emr-serverless"}

_INSTANCE = text("select id from task_instance where dag_id = :dag and run_id = :run and task_id = :task")

_REFUSED = (400, 401, 403, 404, 405, 422)
"""Answers of Airflow's API that clicking again does not change; a conflict (409) may pass."""


class Acts:
    """Lets events happen to the runs of one Airflow on one endpoint."""

    def __init__(self, world: World) -> None:
        self.cleared: defaultdict[str, list[float]] = defaultdict(list)
        self._rest = world.rest
        self._url = world.url
        self._contestant = world.contestant
        self._components = world.components
        self._database = world.database
        self._clients = {
            target: boto3.client(
                EMR_SERVICES[signed],
                endpoint_url=world.url,
                region_name=CLIENT_ENVIRONMENT["AWS_DEFAULT_REGION"],
                aws_access_key_id="somebody",
                aws_secret_access_key="else",
            )
            for target, signed in SIGNED.items()
        }

    def __call__(self, schedule: Schedule, event: Event, entry: dict[str, Any]) -> None:
        """Let an event happen."""
        act: Callable[[Schedule, Event, dict[str, Any]], None] = getattr(self, event.act.replace("-", "_"))
        act(schedule, event, entry)

    # Processes die

    def kill_process(self, schedule: Schedule, event: Event, entry: dict[str, Any]) -> None:
        """Kill the process of the task, and not its supervisor."""
        del event
        for process in self._processes(schedule, entry)[-1:]:
            process.kill()

    def kill_worker(self, schedule: Schedule, event: Event, entry: dict[str, Any]) -> None:
        """Kill the supervisor of the task, and then its process: nobody is left to report."""
        del event
        for process in self._processes(schedule, entry):
            process.kill()

    def kill_triggerer(self, *_: object) -> None:
        """Kill the triggerer, and start it again."""
        self._components.restart("triggerer")

    def restart_triggerer(self, *_: object) -> None:
        """End the triggerer as an administrator does, and start it again."""
        self._components.restart("triggerer", 30)

    def kill_scheduler(self, *_: object) -> None:
        """Kill the scheduler, and start it again; the tasks that it started live on."""
        self._components.restart("scheduler")

    def restart_scheduler(self, *_: object) -> None:
        """End the scheduler as an administrator does, and start it again."""
        self._components.restart("scheduler", 5)

    def kill_api_server(self, *_: object) -> None:
        """Kill the server of all of Airflow's API, and start it again."""
        self._components.restart("api-server")

    def _processes(self, schedule: Schedule, entry: dict[str, Any]) -> list[psutil.Process]:
        """Find the supervisor and the process of the task that called, or whose job run an entry tells of."""
        if "port" in entry:
            callers = [
                psutil.Process(connection.pid)
                for connection in psutil.net_connections("tcp")
                if connection.pid and connection.laddr and connection.laddr.port == entry["port"] and connection.raddr
            ]
            titles = [process for process in callers if "airflow worker" in " ".join(process.cmdline())]
            found = [*(parent for process in titles[:1] if (parent := process.parent())), *titles[:1]]
        else:
            found = self._processes_of(schedule, entry["args"][entry["args"].index(MARK) + 2])
        if not found:
            raise ProcessLookupError("no process of the task was found")
        return found

    def _processes_of(self, schedule: Schedule, task: str) -> list[psutil.Process]:
        """Find them by the id of the task instance, which stands in their titles; from the database, since Airflow's API may be away."""
        names = {"dag": self._dag(schedule), "run": schedule.run_id, "task": self._contestant.task(task)}
        with self._database.connect() as database:
            instance = str(database.execute(_INSTANCE, names).scalar_one())
        found = [
            process
            for process in psutil.process_iter(["cmdline"])
            if instance in " ".join(process.info["cmdline"] or [])
        ]
        return sorted(found, key=lambda process: "LocalExecutor" not in " ".join(process.info["cmdline"]))

    # The service fails

    def hold(self, _: Schedule, event: Event, __: object) -> None:
        """Let the call reach the service so many seconds later."""
        time.sleep(event.amount)

    def lose_submit(self, schedule: Schedule, event: Event, _: object) -> None:
        """Lose the answer to the next submits of the run."""
        self._arm("lose_answer", schedule, event, "submit")

    def lose_create(self, schedule: Schedule, event: Event, _: object) -> None:
        """Lose the answer to the next creations of the run's compute."""
        self._arm("lose_answer", schedule, event, "create")

    def lose_release(self, schedule: Schedule, event: Event, _: object) -> None:
        """Lose the answer to the next release of anybody's compute: such a call names no run."""
        self._post(
            schedule,
            {"fault": "lose_answer", "operation": OPERATIONS["release"][schedule.target], "count": int(event.amount)},
        )

    def slow_submit(self, schedule: Schedule, event: Event, _: object) -> None:
        """Answer the next submit of the run so many seconds later."""
        operation = OPERATIONS["submit"][schedule.target]
        self._post(
            schedule,
            {"fault": "slow_answer", "operation": operation, "seconds": event.amount, "name_contains": schedule.run_id},
        )

    def fail_submit(self, schedule: Schedule, event: Event, _: object) -> None:
        """Fail the next submits of the run."""
        self._arm("error", schedule, event, "submit")

    def throttle(self, schedule: Schedule, event: Event, _: object) -> None:
        """Throttle the next calls, whosever they are."""
        self._post(schedule, {"fault": "throttle", "count": int(event.amount)})

    def fail_calls(self, schedule: Schedule, event: Event, _: object) -> None:
        """Fail the next calls, whosever they are."""
        self._post(schedule, {"fault": "error", "count": int(event.amount)})

    def rate_limit(self, schedule: Schedule, event: Event, _: object) -> None:
        """Let the service have AWS's rate limits for so many seconds."""
        self._for_a_while(schedule, {"fault": "rate_limit"}, event.amount)

    def lag(self, schedule: Schedule, event: Event, _: object) -> None:
        """Let the service's listings lag by so many seconds."""
        self._for_a_while(schedule, {"fault": "lag", "seconds": event.amount}, 45)

    def clock_skew(self, schedule: Schedule, event: Event, _: object) -> None:
        """Let the service's clock be off."""
        self._for_a_while(schedule, {"fault": "clock_skew", "seconds": event.amount}, 45)

    def refuse_capacity(self, schedule: Schedule, event: Event, _: object) -> None:
        """Have no room for the next compute of the run, or on EMR on EKS for its next job run."""
        by_name = {} if schedule.target == "eks" else {"name_contains": self._contestant.compute_name(schedule)}
        self._post(schedule, {"fault": "refuse_capacity", "count": int(event.amount), **by_name})

    def bootstrap_failure(self, schedule: Schedule, event: Event, _: object) -> None:
        """Let a bootstrap action of the next cluster of the run fail."""
        name = self._contestant.compute_name(schedule)
        self._post(schedule, {"fault": "bootstrap_failure", "count": int(event.amount), "name_contains": name})

    def spot_loss(self, schedule: Schedule, _: Event, entry: dict[str, Any]) -> None:
        """Lose the instances under the job run."""
        self._post(
            schedule, {"fault": "spot_loss", "id": entry["compute"] if schedule.target == "ec2" else entry["id"]}
        )

    def end_compute(self, _: Schedule, __: Event, entry: dict[str, Any]) -> None:
        """Terminate the cluster, as somebody with the console may."""
        self._clients["ec2"].terminate_job_flows(JobFlowIds=[entry["compute"]])

    def cancel_job(self, schedule: Schedule, _: Event, entry: dict[str, Any]) -> None:
        """Cancel the job run, as somebody with the console may."""
        client = self._clients[schedule.target]
        compute, job_run = entry["compute"], entry["id"]
        if schedule.target == "ec2":
            client.cancel_steps(ClusterId=compute, StepIds=[job_run], StepCancellationOption="TERMINATE_PROCESS")
        elif schedule.target == "eks":
            client.cancel_job_run(virtualClusterId=compute, id=job_run)
        else:
            client.cancel_job_run(applicationId=compute, jobRunId=job_run)

    def _arm(self, fault: str, schedule: Schedule, event: Event, call: str) -> None:
        operation = OPERATIONS[call][schedule.target]
        self._post(
            schedule,
            {"fault": fault, "operation": operation, "count": int(event.amount), "name_contains": schedule.run_id},
        )

    def _for_a_while(self, schedule: Schedule, fault: dict[str, Any], seconds: float) -> None:
        self._post(schedule, fault)
        timer = threading.Timer(seconds, lambda: self._ask("DELETE"))
        timer.daemon = True
        timer.start()

    def _post(self, schedule: Schedule, fault: dict[str, Any]) -> None:
        self._ask("POST", {"service": SIGNED[schedule.target], **fault})

    def _ask(self, method: str, body: object = None) -> None:
        data = json.dumps(body).encode() if body else None
        with urllib.request.urlopen(
            urllib.request.Request(f"{self._url}/_local_emr/faults", data, method=method)
        ) as answer:
            answer.read()

    # People click

    def fail_task(self, schedule: Schedule, _: Event, __: object) -> None:
        """Mark the first task failed."""
        path = f"dags/{self._dag(schedule)}/dagRuns/{schedule.run_id}/taskInstances/{self._contestant.task(FIRST)}"
        self._click(lambda: self._rest.patch(path, {"new_state": "failed"}))

    def fail_run(self, schedule: Schedule, _: Event, __: object) -> None:
        """Mark the run failed."""
        path = f"dags/{self._dag(schedule)}/dagRuns/{schedule.run_id}"
        self._click(lambda: self._rest.patch(path, {"state": "failed"}))

    def clear_first(self, schedule: Schedule, _: Event, __: object) -> None:
        """Clear the first task and what follows it, as the UI does unless told otherwise."""
        self._clear(schedule, FIRST, only_failed=False)

    def clear_second(self, schedule: Schedule, _: Event, __: object) -> None:
        """Clear the second task and what follows it."""
        self._clear(schedule, SECOND, only_failed=False)

    def clear_only_failed(self, schedule: Schedule, _: Event, __: object) -> None:
        """Clear the second task if it failed, as the REST API does unless told otherwise."""
        self._clear(schedule, SECOND, only_failed=True)

    def _clear(self, schedule: Schedule, task: str, *, only_failed: bool) -> None:
        self.cleared[schedule.run_id].append(time.time())
        body = {
            "dry_run": False,
            "dag_run_id": schedule.run_id,
            "task_ids": [self._contestant.task(task)],
            "only_failed": only_failed,
            "include_downstream": True,
            "reset_dag_runs": True,
        }
        self._click(lambda: self._rest.post(f"dags/{self._dag(schedule)}/clearTaskInstances", body))

    def delete_and_run(self, schedule: Schedule, event: Event, entry: dict[str, Any]) -> None:
        """Mark the run failed, delete it as soon as Airflow allows it, and start one of the same name."""
        self.cleared[schedule.run_id].append(time.time())
        self.fail_run(schedule, event, entry)
        self._click(lambda: self._rest.delete(f"dags/{self._dag(schedule)}/dagRuns/{schedule.run_id}"))
        self._click(lambda: self.trigger(schedule))

    def trigger(self, schedule: Schedule) -> None:
        """Start the run of a schedule."""
        jobs = dict(zip((FIRST, SECOND), zip(schedule.seconds, schedule.outcomes, strict=True), strict=True))
        body = {
            "dag_run_id": schedule.run_id,
            "logical_date": None,
            "conf": {
                **self._contestant.conf(schedule),
                "jobs": {task: list(words) for task, words in jobs.items()},
            },
        }
        self._rest.post(f"dags/{self._dag(schedule)}/dagRuns", body)

    def _dag(self, schedule: Schedule) -> str:
        return self._contestant.dag_id(schedule)

    def _click(self, click: Callable[[], object]) -> None:
        """Click again while Airflow is away, or says that it is not the time yet: a person does."""
        deadline = time.monotonic() + 60
        while True:
            try:
                click()
            except (LocalAirflowError, httpx.HTTPError) as error:
                if time.monotonic() > deadline or getattr(error, "status", 500) in _REFUSED:
                    raise
                time.sleep(1)
            else:
                return
