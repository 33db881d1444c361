"""The task that asks a person: when it asks, whom it refuses to stand in for, and how a rejection is told."""

from __future__ import annotations

from datetime import timedelta

import pendulum
import pytest
from airflow.providers.standard.exceptions import HITLTimeoutError
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException

from emr_pipelines import EmrPipeline, QualityCheckOperator
from emr_pipelines.approving import ApproveOperator
from emr_pipelines.errors import ConfigurationError
from tests.unit.emr_pipelines.test_pipeline import include

__all__ = ["include"]

DAY = timedelta(hours=24)


class TaskInstance:
    """Holds what checks told, as Airflow's does."""

    def __init__(self, **decisions):
        self.told = {f"emr.{check}": {"decision": decision, "question": check} for check, decision in decisions.items()}

    def xcom_pull(self, *, task_ids, key):
        assert key == "quality"
        return self.told.get(task_ids)


def checks(*names):
    with EmrPipeline("emr"):
        return [
            QualityCheckOperator(task_id=name, ruleset="quality/good.dqdl", data="s3://t-data/x/") for name in names
        ]


def dag(**settings):
    return DAG("d", schedule=None, start_date=pendulum.datetime(2013, 1, 1), **settings)


def answer(option, **more):
    return {
        "chosen_options": [option],
        "params_input": {},
        "responded_at": pendulum.now(),
        "responded_by_user": None,
    } | more


@pytest.mark.parametrize("decisions", [{"one": "pass", "two": "warn"}, {"one": "pass"}, {}])
def test_nobody_is_asked_when_no_rule_asks(decisions):
    with dag():
        approve = ApproveOperator(task_id="approve", checks=checks("one", "two"))
    assert approve.execute({"ti": TaskInstance(**decisions)}) is None


def test_a_check_knows_through_which_task_it_asks():
    with dag():
        one, two = checks("one", "two")
        ApproveOperator(task_id="approve", checks=[one])
    assert (one.asks_through, two.asks_through) == ("approve", None)


def test_a_rejection_fails_with_who_and_why_first():
    with dag():
        approve = ApproveOperator(task_id="approve", checks=[])
    event = answer(
        "Reject", params_input={"reason": "tail numbers are wrong"}, responded_by_user={"id": "1", "name": "Ada"}
    )
    with pytest.raises(AirflowFailException) as raised:
        approve.execute_complete({}, event)
    assert str(raised.value).splitlines()[0] == "Ada rejected the data: tail numbers are wrong."


def test_no_answer_in_time_is_a_rejection():
    with dag():
        approve = ApproveOperator(task_id="approve", checks=[])
    with pytest.raises(
        AirflowFailException, match="Nobody answered within 1 day, 0:00:00, which counts as a rejection"
    ):
        approve.execute_complete({}, answer("Reject"))


def test_an_answer_that_airflow_could_not_take_is_no_approval():
    with dag():
        approve = ApproveOperator(task_id="approve", checks=[])
    with pytest.raises(HITLTimeoutError):
        approve.execute_complete({}, {"error": "too late", "error_type": "timeout"})


def test_an_approval_is_recorded_with_its_reason_and_who_gave_it():
    with dag():
        approve = ApproveOperator(task_id="approve", checks=[])
    event = answer("Approve", params_input={"reason": "a blizzard"}, responded_by_user={"id": "1", "name": "Ada"})
    recorded = approve.execute_complete({}, event)
    assert recorded["chosen_options"] == ["Approve"]
    assert recorded["params_input"] == {"reason": "a blizzard"}
    assert recorded["responded_by_user"] == {"id": "1", "name": "Ada"}


def test_a_dag_that_ends_before_a_person_can_answer_is_refused():
    with dag(dagrun_timeout=timedelta(hours=2)), pytest.raises(ConfigurationError) as raised:
        ApproveOperator(task_id="approve", checks=[])
    assert str(raised.value) == (
        "Task 'approve' gives a person 1 day, 0:00:00 to answer, and the DAG's dagrun_timeout ends the run after 2:00:00. "
        "Make dagrun_timeout longer, or response_timeout shorter"
    )
    with dag(dagrun_timeout=timedelta(hours=2)):
        ApproveOperator(task_id="approve", checks=[], response_timeout=timedelta(hours=1))


def test_the_time_that_jobs_may_take_is_not_the_time_to_answer():
    with dag(default_args={"execution_timeout": timedelta(minutes=5)}):
        approve = ApproveOperator(task_id="approve", checks=checks("one"))
    assert (approve.response_timeout, approve.execution_timeout, approve.retries) == (DAY, None, 0)


def test_the_person_fills_in_a_reason_and_none_of_the_runs_own_parameters():
    with dag(params={"day": "2013-01-15"}):
        approve = ApproveOperator(task_id="approve", checks=checks("one"))
    assert list(approve.serialized_params) == ["reason"]


def test_a_mapped_check_cannot_ask():
    with dag(), EmrPipeline("emr"):
        mapped = QualityCheckOperator.partial(task_id="check", ruleset="quality/good.dqdl").expand(
            data=["s3://t-data/x/"]
        )
        with pytest.raises(ConfigurationError, match="is none, or is mapped"):
            ApproveOperator(task_id="approve", checks=[mapped])


def test_that_nobody_could_be_told_does_not_end_the_question():
    def broken(_context):
        raise RuntimeError("the topic is gone")

    with dag():
        approve = ApproveOperator(task_id="approve", checks=[])
    told = []
    approve._told(broken, {})
    approve._told(told.append, {"ti": 1})
    assert told == [{"ti": 1}]
