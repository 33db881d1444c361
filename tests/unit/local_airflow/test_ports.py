import os
import socket

import pytest

from local_airflow import ports
from local_airflow.errors import PortInUseError


@pytest.fixture
def taken():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_that_nobody_listens_on_is_free():
    assert ports.is_free(ports.any_free())


def test_a_port_that_somebody_listens_on_is_not_free(taken):
    assert not ports.is_free(taken)


def test_the_next_free_port_is_the_first_above_that_is_free():
    assert ports.next_free(8080, free=lambda port: port > 8082) == 8083


def test_above_the_highest_port_there_is_none():
    assert ports.next_free(65535) is None


def test_the_program_that_listens_is_named(taken):
    assert f"(process {os.getpid()})" in ports.listener(taken)


def test_nobody_is_named_for_a_free_port():
    assert ports.listener(ports.any_free()) is None


def test_a_taken_port_is_refused_with_its_holder_and_a_free_one(taken):
    with pytest.raises(
        PortInUseError, match=rf"Port {taken}, meant for Airflow, is in use by .*{os.getpid()}"
    ) as caught:
        ports.require_free(taken, "Airflow")
    assert ports.is_free(caught.value.free)


def test_a_free_port_is_not_refused():
    ports.require_free(ports.any_free(), "Airflow")


def test_an_unknown_holder_is_said_to_be_another_program():
    assert "in use by another program; port 81 is free." in str(PortInUseError(80, "Airflow", None, 81))
