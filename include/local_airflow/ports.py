"""TCP ports on the loopback address: is one free, who has it, which one to take instead."""

import socket
from collections.abc import Callable

import psutil  # type: ignore[import-untyped]  # it ships no types

from local_airflow.errors import PortInUseError

LOOPBACK = "127.0.0.1"
HIGHEST = 65535


def is_free(port: int) -> bool:
    """Tell whether a server could listen on `port` of the loopback address now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as candidate:
        # As servers do: a connection of the last minute does not block the port.
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def any_free() -> int:
    """Return a port that the system says is free."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as candidate:
        candidate.bind((LOOPBACK, 0))
        port: int = candidate.getsockname()[1]
    return port


def next_free(port: int, free: Callable[[int], bool] = is_free) -> int | None:
    """Return the first free port above `port`, or None when there is none."""
    return next((candidate for candidate in range(port + 1, HIGHEST + 1) if free(candidate)), None)


def listener(port: int) -> str | None:
    """Name the program that listens on `port`, as far as this user may see it: `python3 (process 4711)`."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:  # macOS shows other processes' connections to root alone
        return None
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            try:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
            except psutil.NoSuchProcess:
                return None
    return None


def require_free(port: int, purpose: str) -> None:
    """Raise PortInUseError when `port`, meant for `purpose`, is taken."""
    if not is_free(port):
        raise PortInUseError(port, purpose, listener(port), next_free(port))
