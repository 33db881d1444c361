"""The door in front of a metastore: opened at once, answered when the metastore is there."""

from __future__ import annotations

import os
import socket
import sys

import pytest

from local_emr.engine.metastore import Metastore

# Takes the metastore's arguments; answers each line with the same in capitals
SHOUTER = """
import socketserver, sys
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line.upper())
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("127.0.0.1", int(sys.argv[3])), Handler).serve_forever()
"""


@pytest.fixture
def store(tmp_path):
    metastore = Metastore(
        tmp_path / "j-1",
        lambda arguments: [sys.executable, "-c", SHOUTER, *arguments],
        {"PATH": os.environ["PATH"]},
    )
    yield metastore
    metastore.close()


def connect(metastore: Metastore) -> socket.socket:
    host, port = metastore.uri.removeprefix("thrift://").split(":")
    return socket.create_connection((host, int(port)), timeout=60)


def test_nothing_is_started_until_somebody_asks(store, tmp_path):
    assert not (tmp_path / "j-1").exists()


def test_clients_are_answered_through_the_door(store):
    with connect(store) as one, connect(store) as two:
        for client, word in ((one, b"one\n"), (two, b"two\n")):
            client.sendall(word)
        with one.makefile("rb") as first, two.makefile("rb") as second:
            assert (first.readline(), second.readline()) == (b"ONE\n", b"TWO\n")


def test_a_closed_metastore_lets_its_clients_go_and_answers_no_more(store):
    with connect(store) as client:
        client.sendall(b"hello\n")
        with client.makefile("rb") as answers:
            assert answers.readline() == b"HELLO\n"
            store.close()
            assert answers.readline() == b""
    with pytest.raises(ConnectionRefusedError):
        connect(store)


def test_a_metastore_that_cannot_start_lets_its_clients_go(tmp_path):
    metastore = Metastore(tmp_path / "j-2", lambda _: ["false"], {"PATH": os.environ["PATH"]})
    with connect(metastore) as client:
        assert client.recv(1) == b""
    metastore.close()
