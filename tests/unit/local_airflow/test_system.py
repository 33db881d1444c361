import fcntl
import socket
from datetime import UTC, datetime, timedelta

import pytest

from local_airflow import LocalAirflow, LocalAirflowError, LocalEndpoint, ports
from local_airflow.__main__ import arguments, main, make_command
from local_airflow.system import not_ready, only_one

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


def health(seconds=1, **states):
    beat = (START + timedelta(seconds=seconds)).isoformat()
    return {
        "metadatabase": {"status": states.get("metadatabase", "healthy")},
        **{
            part: {"status": states.get(part, "healthy"), f"latest_{part}_heartbeat": beat}
            for part in ("scheduler", "dag_processor", "triggerer")
        },
    }


def test_all_is_ready_when_all_are_healthy_and_have_beaten_since_the_start():
    assert not_ready(health(), START) == []


def test_a_heartbeat_of_the_time_before_does_not_count():
    assert not_ready(health(seconds=-1), START) == ["scheduler", "dag-processor", "triggerer"]


@pytest.mark.parametrize("part", ["metadatabase", "scheduler", "dag_processor", "triggerer"])
def test_an_unhealthy_part_is_named(part):
    assert not_ready(health(**{part: "unhealthy"}), START) == [part.replace("_", "-")]


def test_a_part_that_has_never_beaten_is_named():
    report = health()
    report["triggerer"] = {"status": None, "latest_triggerer_heartbeat": None}
    assert not_ready(report, START) == ["triggerer"]


def test_an_endpoint_that_does_not_answer_is_said_in_one_sentence(tmp_path):
    url = f"http://127.0.0.1:{ports.any_free()}"
    airflow = LocalAirflow(tmp_path / "airflow", tmp_path, 0, endpoint_url=url)
    with pytest.raises(LocalAirflowError, match=rf"^No EMR endpoint answers at {url}\. Type: make local-emr PORT=\d+$"):
        airflow.start()


def test_there_is_no_password_before_the_first_start(tmp_path):
    with pytest.raises(LocalAirflowError, match="no password before the first start"):
        LocalAirflow(tmp_path, tmp_path).password()


def test_what_never_started_is_not_alive_and_can_be_stopped(tmp_path):
    airflow, endpoint = LocalAirflow(tmp_path, tmp_path), LocalEndpoint(tmp_path, tmp_path, ports.any_free())
    assert (airflow.alive(), endpoint.alive(), endpoint.owned()) == (False, False, False)
    assert (airflow.stop(), endpoint.stop()) == ([], [])


def test_an_endpoint_that_ends_at_once_says_why(tmp_path):
    (tmp_path / "include").mkdir()
    endpoint = LocalEndpoint(tmp_path / "airflow", tmp_path, ports.any_free())
    with pytest.raises(LocalAirflowError, match=r"^The EMR endpoint ended while starting: .*No module named local_emr"):
        endpoint.start()
    assert not endpoint.owned()


def test_two_commands_do_not_work_on_one_home(tmp_path):
    with (tmp_path / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(LocalAirflowError, match="Another make up, down or demo is at work"), only_one(tmp_path):
            pass
    with only_one(tmp_path):
        pass


def test_a_wrong_date_is_refused_before_anything_starts(tmp_path, capsys):
    assert main(["--home", str(tmp_path), "demo", "--date", "2014-01-01"]) == 2
    assert capsys.readouterr().err.startswith("DATE must be a day from 2013-01-01 to 2013-12-31")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("words", [["up", "--port", "65536"], ["up", "--port", "x"], ["demo", "--conf", "[1]"], []])
def test_a_wrong_command_line_is_refused(words, capsys):
    with pytest.raises(SystemExit) as caught:
        arguments(words)
    assert caught.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_the_offered_command_is_the_one_that_was_typed_with_another_port():
    options = arguments(["demo", "--date", "2013-02-03", "--endpoint-port", "4600", "--conf", '{"a": 1}'])
    assert make_command("demo", options, {"PORT": 8081}) == (
        """make demo PORT=8081 EMR_PORT=4600 DATE=2013-02-03 'CONF={"a": 1}'"""
    )
    assert make_command("up", options) == "make up EMR_PORT=4600"


def test_a_taken_port_is_refused_with_the_command_to_type(tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert main(["--home", str(tmp_path), "up", "--endpoint-port", str(port)]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"Port {port}, meant for the EMR endpoint, is in use by ")
    free = int(second.removeprefix("Type: make up EMR_PORT="))
    assert free > port


def test_what_is_not_up_can_be_stopped_and_asked_about(tmp_path, capsys):
    assert main(["--home", str(tmp_path), "down"]) == 0
    assert capsys.readouterr().out == "Nothing was running.\n"
    assert main(["--home", str(tmp_path), "status"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[:4]] == [
        "api-server",
        "scheduler",
        "dag-processor",
        "triggerer",
    ]
