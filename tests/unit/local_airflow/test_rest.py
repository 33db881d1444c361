import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from local_airflow import AirflowClient, LocalAirflowError, RestError


class Server(ThreadingHTTPServer):
    """Speaks as an api-server whose answers a test has lined up; keeps what it was asked."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = []
        self.asked = []
        self.logins = 0


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/auth/token":
            self.server.logins += 1
            user = json.loads(body)
            if user != {"username": "admin", "password": "right"}:
                return self.say(401, {"detail": "Invalid credentials"})
            return self.say(201, {"access_token": f"token-{self.server.logins}"})
        self.server.asked.append((self.command, self.path, self.headers["Authorization"]))
        return self.say(*self.server.answers.pop(0))

    do_POST = do_GET  # noqa: N815  the name that the standard library calls

    def say(self, status, content):
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def client_of(server, password="right"):
    return AirflowClient(f"http://127.0.0.1:{server.server_port}", "admin", password)


@pytest.fixture
def client(server):
    with client_of(server) as made:
        yield made


def test_it_logs_in_once_and_shows_its_token(server, client):
    server.answers = [(200, {"n": 1}), (200, {"n": 2})]
    assert [client.get("one"), client.get("two")] == [{"n": 1}, {"n": 2}]
    assert server.asked == [("GET", "/api/v2/one", "Bearer token-1"), ("GET", "/api/v2/two", "Bearer token-1")]


def test_it_logs_in_again_when_the_token_has_run_out(server, client):
    server.answers = [(401, {"detail": "expired"}), (200, "ok")]
    assert client.get("one") == "ok"
    assert [token for *_, token in server.asked] == ["Bearer token-1", "Bearer token-2"]


def test_a_wrong_password_is_an_error_with_the_reason(server):
    with client_of(server, "wrong") as client, pytest.raises(RestError, match="401 to POST /auth/token: Invalid cred"):
        client.get("one")


def test_a_read_is_repeated_when_the_server_is_briefly_unable(server, client):
    server.answers = [(500, {"detail": "database is locked"}), (200, "ok")]
    assert client.get("one") == "ok"


def test_a_read_of_something_that_is_not_there_is_not_repeated(server, client):
    server.answers = [(404, {"detail": "no such DAG"})]
    with pytest.raises(RestError, match="404 to GET one: no such DAG"):
        client.get("one")


def test_a_write_that_found_the_database_locked_did_nothing_and_is_sent_again(server, client):
    server.answers = [(503, {"detail": "Database is locked. Try again."}), (200, {"dag_run_id": "one"})]
    assert client.post("dags/x/dagRuns", {}) == {"dag_run_id": "one"}


def test_any_other_write_is_never_repeated(server, client):
    server.answers = [(500, {"detail": "something went wrong"}), (200, "ok")]
    with pytest.raises(RestError, match="500 to POST one"):
        client.post("one", {})
    assert len(server.asked) == 1


def test_an_unknown_dag_is_not_there(server, client):
    server.answers = [(404, {"detail": "no"}), (200, {})]
    assert [client.has_dag("x"), client.has_dag("x")] == [False, True]


def test_an_xcom_that_was_not_pushed_is_none(server, client):
    server.answers = [(404, {"detail": "no"}), (200, {"value": {"rows": 3}})]
    assert [client.xcom("d", "r", "t"), client.xcom("d", "r", "t")] == [None, {"rows": 3}]


def test_a_server_that_is_away_is_an_error(server):
    with client_of(server) as client:
        server.shutdown()
        server.server_close()
        with pytest.raises(LocalAirflowError, match=r"^Airflow does not answer at http"):
            client.post("one", {})
