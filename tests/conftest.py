"""What holds for all tests: their order, and what stays together when several processes share them out."""

import pytest
from xdist import is_xdist_worker
from xdist.scheduler import LoadFileScheduling

LONGEST = (
    ("tests/unit/flights/test_flights.py", "tests/unit/quality/", "tests/unit/test_spark_sql_job.py"),
    ("tests/unit/local_airflow/test_whole.py",),
    ("tests/local_emr/engine/",),
    ("tests/local_emr/test_independent_clients_run_jobs.py",),
    ("tests/local_emr/test_independent_clients.py",),
    ("tests/conformance/test_serverless.py",),
    ("tests/conformance/test_eks.py",),
    ("tests/local_emr/serverless/test_real_job_runs.py",),
)
"""What takes longest, longest first; files that share what takes long to start stand together."""


def place(test: str) -> int:
    """Tell which of the longest a test belongs to; one more than there are, if none."""
    return next((number for number, starts in enumerate(LONGEST) if test.startswith(starts)), len(LONGEST))


class Sharing(LoadFileScheduling):
    """Hands out files, and as if it were one file what shares a start."""

    def _split_scope(self, nodeid):
        number = place(nodeid)
        return LONGEST[number][0] if number < len(LONGEST) else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return Sharing(config, log)


def pytest_collection_modifyitems(session, items):
    """Let the quick ones fail first; but among several processes, start first what would otherwise be waited for last."""
    if is_xdist_worker(session):
        items.sort(key=lambda item: place(item.nodeid))
    else:
        items.sort(key=lambda item: item.get_closest_marker("slow") is not None)
