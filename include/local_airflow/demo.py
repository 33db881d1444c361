"""The demo: one day of `flights_daily`, run by the local Airflow on the local EMR, and what came of it."""

import os
import secrets
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from local_airflow import report
from local_airflow.errors import LocalAirflowError
from local_airflow.logs import cause
from local_airflow.measures import Measures, prefix_of
from local_airflow.progress import Progress, Task, moment, tasks
from local_airflow.rest import AirflowClient
from local_airflow.settings import clean_environment, client_environment
from local_airflow.system import LocalAirflow

DAG_ID = "flights_daily"
ACQUIRE, CHECK = "emr.acquire", "emr.check"
STAGED, QUALITY = "staged", "quality"
JOBS = ("emr.clean", "emr.carriers", CHECK)
TABLES = ("flights", "carrier_delay")
TARGETS = ("ec2", "eks", "serverless")
BUCKET = "local-data"
BUCKETS = (BUCKET, "local-logs", "local-artifacts")
FIRST, LAST = date(2013, 1, 1), date(2013, 12, 31)
PARSE_SECONDS = 60
RUN_SECONDS = 1800
ENDED = frozenset({"success", "failed"})

Say = Callable[[str], None]


def flights_day(text: str) -> date:
    """Read the day of the flights to run; raise LocalAirflowError when it is no day of their year."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or not FIRST <= day <= LAST:
        raise LocalAirflowError(f"DATE must be a day from {FIRST} to {LAST}, the year of the flights; it was {text!r}.")
    return day


def run_id_for(day: date) -> str:
    """Name a new run for a day."""
    return f"demo_{day}_{secrets.token_hex(4)}"


def start_seeding(root: Path, endpoint_url: str, days: str) -> "subprocess.Popen[str]":
    """Begin to land the raw CSV of `days` (`2013-01-15:2013-01-15`, or `all`) in S3; `finish_seeding` waits for it."""
    return subprocess.Popen(  # noqa: S603  the checkout's own command
        [sys.executable, "-m", "seed_flights", "--bucket", BUCKET, "--dates", days],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**clean_environment(os.environ, root), **client_environment(endpoint_url)},
        cwd=root,
    )


def finish_seeding(seeding: "subprocess.Popen[str]") -> str:
    """Wait for the seeding and return its last line; raise LocalAirflowError when it failed."""
    output, _ = seeding.communicate()
    if seeding.returncode:
        raise LocalAirflowError(f"The flights could not be landed in S3: {cause(output)}")
    return output.strip().splitlines()[-1] if output.strip() else ""


def await_dag(client: AirflowClient, dag_id: str) -> None:
    """Return once Airflow has read the DAG; raise LocalAirflowError when its file does not import or never shows."""
    deadline = time.monotonic() + PARSE_SECONDS
    while not client.has_dag(dag_id):
        for error in client.import_errors():
            if dag_id in error["filename"]:
                raise LocalAirflowError(f"{error['filename']} does not import: {cause(error['stack_trace'])}")
        if time.monotonic() > deadline:
            raise LocalAirflowError(f"Airflow has read no DAG {dag_id!r} after {PARSE_SECONDS} s. Is it in dags/?")
        time.sleep(0.3)


def start_run(client: AirflowClient, dag_id: str, day: date, conf: dict[str, Any] | None, say: Say) -> str:
    """Have the DAG run for a day, and return the run's id.

    A day has one run: a finished one is cleared, so that it runs again as a new try and its history stays; one that
    still works is followed.
    """
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    client.unpause(dag_id)
    known = client.run_of(dag_id, start)
    if known is None:
        run_id = run_id_for(day)
        client.trigger(dag_id, run_id, logical_date=start, start=start, end=start + timedelta(days=1), conf=conf)
        say(f"Triggered {dag_id} for {day}: run {run_id}")
        return run_id
    run_id = str(known["dag_run_id"])
    if known["state"] not in ENDED:
        if conf is not None and conf != known["conf"]:
            raise LocalAirflowError(
                f"Run {run_id} of {day} is at work with other settings, {known['conf']}: wait for its end, or take another DATE."
            )
        say(f"{dag_id} for {day} is at work already: run {run_id}")
    elif conf is None or conf == known["conf"]:
        client.clear_run(dag_id, run_id)
        say(f"Cleared {dag_id} for {day}, which has run before: run {run_id} runs again")
    else:
        client.reprocess(dag_id, start, conf)
        say(f"Reprocessing {dag_id} for {day} with {conf} as a backfill: run {run_id} runs again")
    return run_id


def follow(client: AirflowClient, dag_id: str, run_id: str, progress: Progress) -> tuple[dict[str, Any], list[Task]]:
    """Show the run's tasks until it has ended; returns the run and its tasks."""
    deadline = time.monotonic() + RUN_SECONDS
    while True:
        run = client.run(dag_id, run_id)
        current = tasks(client.task_instances(dag_id, run_id))
        progress.show(current)
        if run["state"] in ENDED:
            return run, current
        if time.monotonic() > deadline:
            raise LocalAirflowError(f"Run {run_id} of {dag_id} has not ended after {RUN_SECONDS // 60} minutes.")
        time.sleep(0.3)


def task_table(current: list[Task], rows: dict[str, tuple[int | None, int | None]], now: datetime) -> str:
    """Write the tasks of a run: state, seconds, rows in and out where they are known."""
    lines = []
    for task in current:
        seconds = task.seconds(now)
        came, went = rows.get(task.name, (None, None))
        took = "" if seconds is None else f"{seconds:.1f}"
        lines.append((task.name, task.state or "", took, report.number(came), report.number(went)))
    heads = ["task", "state", "seconds", "rows in", "rows out"]
    return report.table(heads, lines, right=frozenset({2, 3, 4}))


def result_text(client: AirflowClient, measures: Measures, run: dict[str, Any], current: list[Task], day: date) -> str:
    """Write what came of a run: tasks, quality, compute, time."""
    wrote = {
        task: measures.parquet_rows(BUCKET, prefix_of(told))
        for task in ("emr.clean", "emr.carriers")
        if (told := client.xcom(DAG_ID, run["dag_run_id"], task, STAGED))
    }
    cleaned = wrote.get("emr.clean")
    rows = {
        "emr.clean": (measures.csv_rows(BUCKET, f"raw/flights/dt={day}/"), cleaned),
        "emr.carriers": (cleaned, wrote.get("emr.carriers")),
    }
    began = moment(run["start_date"]) or datetime.now(UTC)
    ended = moment(run["end_date"]) or datetime.now(UTC)
    told = {task.name: client.xcom(DAG_ID, run["dag_run_id"], task.name) for task in current}
    acquired, quality = told.get(ACQUIRE), client.xcom(DAG_ID, run["dag_run_id"], CHECK, QUALITY)
    jobs = [interval for task in JOBS if (interval := interval_of(told.get(task)))]
    start = interval_of(acquired)
    used = [*report.choice_lines(acquired["choice"]), *measures.standing(acquired["compute"])] if acquired else []
    return "\n\n".join(
        part
        for part in (
            task_table(current, rows, ended),
            report.quality_table(quality) if quality else "",
            "\n".join(used) or "No compute was acquired.",
            f"Wall time {report.split((began, ended), jobs, [start] if start else [])}",
        )
        if part
    )


def interval_of(told: Any) -> report.Interval | None:
    """Return when a task's compute started or its job worked, as its XCom tells; None where it does not."""
    if not isinstance(told, dict) or not (told.get("began") and told.get("ended")):
        return None
    return (datetime.fromtimestamp(told["began"], UTC), datetime.fromtimestamp(told["ended"], UTC))


def failure_text(client: AirflowClient, run: dict[str, Any], current: list[Task]) -> str:
    """Write why a run failed: the first error in the log of the task that failed first."""
    failed = sorted(
        (task for task in current if task.state == "failed" and task.ended), key=lambda task: str(task.ended)
    )
    if not failed:
        return f"Run {run['dag_run_id']} failed, and none of its tasks did: see its page in the UI."
    first = failed[0]
    entries = client.log(DAG_ID, run["dag_run_id"], first.name, first.attempt)
    return f"{first.name} failed: {report.first_error(entries)}"


def output_text(root: Path, endpoint_url: str, prefixes: Sequence[str]) -> str:
    """Write where the output lies that readers see, and the command that lists its first part while the system runs."""
    variables = " ".join(f"{name}={value}" for name, value in client_environment(endpoint_url).items())
    aws = shlex.quote(os.path.relpath(Path(sys.executable).with_name("aws"), root))
    return (
        f"Published: {' and '.join(f's3://{BUCKET}/{prefix}' for prefix in prefixes)}\n"
        f"To list it while the system runs:\n"
        f"  {variables} {aws} s3 ls --recursive s3://{BUCKET}/{prefixes[0]}"
    )


def published_prefixes(measures: Measures, day: date) -> dict[str, str]:
    """Return where readers of a day find each table; raise LocalAirflowError when one is not published."""
    prefixes = {table: measures.published(BUCKET, table, f"dt={day}") for table in TABLES}
    missing = [table for table, prefix in prefixes.items() if prefix is None]
    if missing:
        raise LocalAirflowError(f"The run succeeded, and {' and '.join(missing)} of {day} is not published.")
    return {table: prefix for table, prefix in prefixes.items() if prefix is not None}


def run_day(system: LocalAirflow, endpoint_url: str, day: date, conf: dict[str, Any] | None, say: Say) -> bool:
    """Run one day on a system that is up and has its data; show progress and result; return whether it succeeded."""
    with system.client() as client:
        await_dag(client, DAG_ID)
        run_id = start_run(client, DAG_ID, day, conf, say)
        with Progress() as progress:
            run, current = follow(client, DAG_ID, run_id, progress)
        measures = Measures(endpoint_url)
        say(f"\n{result_text(client, measures, run, current, day)}\n")
        succeeded = bool(run["state"] == "success")
        if succeeded:
            say(output_text(system.root, endpoint_url, list(published_prefixes(measures, day).values())))
        else:
            say(failure_text(client, run, current))
        return succeeded


def run_on_all(system: LocalAirflow, endpoint_url: str, day: date, conf: dict[str, Any], say: Say) -> bool:
    """Run one day on every target in turn, and compare their outputs; return whether all succeeded with equal rows."""
    measures = Measures(endpoint_url)
    outputs: dict[str, dict[str, list[str]]] = {}
    for target in TARGETS:
        say(f"\n== {target} ==")
        if not run_day(system, endpoint_url, day, {**conf, "target": target}, say):
            return False
        published = published_prefixes(measures, day)
        outputs[target] = {table: measures.canonical_csv(BUCKET, prefix) for table, prefix in published.items()}
    first, *others = TARGETS
    differences = [
        f"{first} and {other} differ: {found}"
        for other in others
        for table in TABLES
        if (found := report.difference(table, outputs[first][table], outputs[other][table]))
    ]
    counts = " and ".join(f"{len(lines) - 1:,} of {table}" for table, lines in outputs[first].items())
    say("\n" + ("\n".join(differences) or f"Equal rows on {', '.join(TARGETS)}, as canonical CSV: {counts}."))
    return not differences
