"""A real Airflow: started, used, broken, repaired, ended."""

import contextlib
import os
import signal
import stat
import subprocess
import sys
import time
from datetime import UTC, date, datetime

import psutil
import pytest

from local_airflow import LocalAirflow, LocalAirflowError, demo, ports, processes, settings
from local_airflow.progress import Progress
from local_airflow.system import COMPONENTS
from tests.support.airflow import ROOT, running_airflow

pytestmark = pytest.mark.slow

DAGS = """
import pendulum
from airflow.sdk import DAG, CronDataIntervalTimetable, task

with DAG(
    "trivial",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=pendulum.datetime(2013, 1, 1),
    end_date=pendulum.datetime(2013, 12, 31),
    catchup=False,
    params={"fail": False},
):
    @task
    def day(data_interval_start=None, data_interval_end=None):
        return [str(data_interval_start.date()), str(data_interval_end.date())]

    @task
    def maybe(params=None):
        if params["fail"]:
            raise ValueError("deliberate")

    day() >> maybe()
"""


@pytest.fixture(scope="module")
def airflow(tmp_path_factory):
    dags = tmp_path_factory.mktemp("dags")
    (dags / "trivial.py").write_text(DAGS)
    (dags / "broken.py").write_text("from airflow.sdk import DAG\nraise LookupError('nothing here')\n")
    with running_airflow(tmp_path_factory.mktemp("a home") / "airflow", extra_dags=[dags]) as running:
        yield running


@pytest.fixture
def client(airflow):
    with airflow.client() as made:
        yield made


def run_to_its_end(client, day, conf=None):
    said = []
    demo.await_dag(client, "trivial")
    run_id = demo.start_run(client, "trivial", day, conf, said.append)
    with Progress() as progress:
        run, tasks = demo.follow(client, "trivial", run_id, progress)
    return run, tasks, said


def members(sessions):
    """List what lives in these sessions; other processes of this machine come and go meanwhile."""
    found = []
    for process in psutil.process_iter(["status"]):
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(process.pid) in sessions and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def test_a_day_runs_with_its_data_interval_and_its_progress_is_shown(client, capsys):
    run, tasks, said = run_to_its_end(client, date(2013, 1, 15))
    assert (run["state"], [task.name for task in tasks]) == ("success", ["day", "maybe"])
    assert client.xcom("trivial", run["dag_run_id"], "day") == ["2013-01-15", "2013-01-16"]
    assert said[0].startswith("Triggered trivial for 2013-01-15")
    lines = [line.split()[2:4] for line in capsys.readouterr().out.splitlines()]
    assert ["day", "success"] in lines
    assert ["maybe", "success"] in lines


def test_the_same_day_again_is_another_try_of_the_same_run(client):
    first, _, _ = run_to_its_end(client, date(2013, 1, 16))
    again, tasks, said = run_to_its_end(client, date(2013, 1, 16))
    assert first["dag_run_id"] == again["dag_run_id"]
    assert [task.attempt for task in tasks] == [2, 2]
    assert said[0].startswith("Cleared trivial for 2013-01-16")
    assert client.run_of("trivial", datetime(2013, 1, 16, tzinfo=UTC))["state"] == "success"


def test_a_failure_is_told_by_its_first_error(client, monkeypatch):
    run, tasks, _ = run_to_its_end(client, date(2013, 1, 17), {"fail": True})
    monkeypatch.setattr(demo, "DAG_ID", "trivial")
    assert run["state"] == "failed"
    assert demo.failure_text(client, run, tasks) == "maybe failed: ValueError: deliberate"


def test_a_day_that_has_run_runs_again_with_other_settings(client):
    first, _, _ = run_to_its_end(client, date(2013, 1, 18), {"fail": True})
    again, tasks, said = run_to_its_end(client, date(2013, 1, 18), {"fail": False})
    assert (first["dag_run_id"], first["state"], again["state"]) == (again["dag_run_id"], "failed", "success")
    assert again["conf"] == {"fail": False}
    assert [task.attempt for task in tasks] == [2, 2]
    assert said[0].startswith("Reprocessing trivial for 2013-01-18 with {'fail': False}")
    once_more, _, _ = run_to_its_end(client, date(2013, 1, 18), {"fail": True})
    assert once_more["state"] == "failed"


def test_a_dag_that_does_not_import_says_why(client):
    demo.await_dag(client, "trivial")
    with pytest.raises(LocalAirflowError, match=r"broken\.py does not import: LookupError: nothing here"):
        demo.await_dag(client, "broken")


def test_what_is_secret_is_for_the_owners_eyes_alone(airflow):
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (airflow.home, airflow.password_file)}
    assert modes == {"airflow": 0o700, "passwords.json": 0o600}
    written = [path.read_text() for path in (airflow.home / "logs").glob("*.log")]
    assert written
    assert not [text for text in written if airflow.password() in text]


def test_everything_listens_on_the_loopback_address_alone(airflow):
    family = [psutil.Process(pid) for pid in airflow.components().values()]
    family += [child for parent in family for child in parent.children(recursive=True)]
    listening = [
        connection.laddr.ip
        for process in family
        for connection in process.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert set(listening) == {"127.0.0.1"}


def test_one_that_runs_is_recognised_from_its_home(airflow):
    other = LocalAirflow(airflow.home, ROOT, dag_folders=airflow.dag_folders)
    assert (other.alive(), other.port, other.start()) == (True, airflow.port, False)


def test_one_that_has_lost_a_component_is_repaired_and_ends_wholly(airflow):
    before = airflow.components()
    os.kill(before["scheduler"], signal.SIGKILL)
    psutil.Process(before["scheduler"]).wait(timeout=10)
    assert not airflow.alive()
    assert airflow.start()
    after = airflow.components()
    assert all(after.values())
    assert set(after.values()).isdisjoint(before.values())
    assert not any(psutil.pid_exists(pid) for pid in before.values())
    sessions = set(after.values())
    assert members(sessions) != []
    assert airflow.stop() == []
    assert airflow.stop() == []
    assert members(sessions) == []


def test_a_start_that_is_interrupted_leaves_nothing_behind(tmp_path):
    home, port, endpoint_port = tmp_path / "airflow", ports.any_free(), ports.any_free()
    command = [sys.executable, "-m", "local_airflow", "--home", str(home)]
    command += ["up", "--port", str(port), "--endpoint-port", str(endpoint_port)]
    environment = settings.clean_environment(os.environ, ROOT)
    records = [home / "run" / f"{name}.json" for name in (*COMPONENTS, "local-emr")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True) as starting:
        deadline = time.monotonic() + 120
        while not all(record.exists() for record in records):
            assert starting.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        identities = [processes.read(record) for record in records]
        os.killpg(starting.pid, signal.SIGINT)
        assert starting.wait(timeout=60) == 128 + signal.SIGINT
    assert [member for identity in identities for member in processes.session(identity)] == []
    assert [record for record in records if record.exists()] == []
