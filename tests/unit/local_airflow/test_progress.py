import io
from datetime import UTC, datetime, timedelta

from local_airflow import progress
from local_airflow.progress import Task

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def task(name, state, *, attempt=1, started=None, ended=None):
    def at(seconds):
        return None if seconds is None else NOON + timedelta(seconds=seconds)

    return Task(name, state, attempt, at(started), at(ended))


def instance(task_id, start, *, map_index=-1, state="success"):
    return {
        "task_id": task_id,
        "map_index": map_index,
        "state": state,
        "try_number": 1,
        "start_date": start,
        "end_date": None,
    }


def test_tasks_stand_in_the_order_of_their_start_and_waiting_ones_last():
    found = progress.tasks(
        [
            instance("waits", None, state=None),
            instance("second", "2026-01-01T12:00:01Z"),
            instance("first", "2026-01-01T12:00:00.5Z"),
        ]
    )
    assert [one.name for one in found] == ["first", "second", "waits"]


def test_a_mapped_task_is_named_with_its_index():
    assert progress.tasks([instance("many", None, map_index=3)])[0].name == "many[3]"


def test_a_task_takes_time_until_it_ends():
    now = NOON + timedelta(seconds=9)
    assert task("a", "running", started=2).seconds(now) == 7
    assert task("a", "success", started=2, ended=5).seconds(now) == 3
    assert task("a", None).seconds(now) is None


def test_only_new_states_are_changes():
    before = [task("a", "running"), task("b", "running"), task("c", "scheduled")]
    after = [task("a", "success"), task("b", "running"), task("c", "queued"), task("d", "skipped")]
    assert [(one.name, one.state) for one in progress.changes(before, after)] == [("a", "success"), ("d", "skipped")]


def test_the_same_state_in_another_attempt_is_a_change():
    before, after = [task("a", "running")], [task("a", "running", attempt=2)]
    assert progress.changes(before, after) == after


def test_a_line_says_when_which_what_and_how_long():
    now = NOON + timedelta(seconds=60)
    assert progress.line(task("emr.clean", "running", started=4), 12.34, now) == "  12.3 s  emr.clean        running"
    assert progress.line(task("emr.clean", "running", attempt=2, started=4), 1, now).endswith("running (try 2)")
    assert progress.line(task("emr.clean", "failed", started=4, ended=6.5), 1, now).endswith("failed  2.5 s")


def test_elsewhere_than_on_a_terminal_each_change_is_one_line():
    output = io.StringIO()
    moments = iter([NOON, NOON + timedelta(seconds=1), NOON + timedelta(seconds=2), NOON + timedelta(seconds=3)])
    with progress.Progress(output, clock=lambda: next(moments)) as shown:
        shown.show([task("a", "queued")])
        shown.show([task("a", "running", started=1)])
        shown.show([task("a", "running", started=1)])
    assert output.getvalue() == "   2.0 s  a                running\n"


def test_on_a_terminal_the_tasks_are_one_block():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    output = Terminal()
    with progress.Progress(output, clock=lambda: NOON) as shown:
        shown.show([task("a", "running", started=-2), task("b", None)])
        shown.show([task("a", "success", started=-2, ended=-1), task("b", "running", started=0)])
    assert "1 more to come" in output.getvalue()
    assert "success" in output.getvalue()


def test_the_block_counts_what_waits():
    text = progress.block(
        [task("a", "success", started=0, ended=1.5), task("b", None), task("c", "queued")], NOON
    ).plain
    assert text.splitlines() == ["  a                success              1.5 s", "  2 more to come"]
