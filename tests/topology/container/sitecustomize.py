"""What a process lacks that stands for a container: a host name of its own, which no other host has to be asked about."""

import os
import socket

_HOST = os.environ["HOSTNAME"]
_resolve = socket.getaddrinfo


def _resolve_as_in_a_container(host, *arguments, **settings):
    if host == _HOST:
        raise socket.gaierror(socket.EAI_NONAME, f"{host} is nobody's address on this machine")
    return _resolve(host, *arguments, **settings)


socket.gethostname = lambda: _HOST
socket.getaddrinfo = _resolve_as_in_a_container
