"""A profile of target ``ec2`` that names a cluster: what it may say, and how its steps tell whose they are."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from botocore.session import get_session
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from docs.samples import SAMPLES
from emr_pipelines import CommandJob
from emr_pipelines.environments import read_environment
from emr_pipelines.errors import ConfigurationError
from emr_pipelines.keys import Key, Lease
from emr_pipelines.targets.ec2_clusters import ALWAYS, instance_hours
from emr_pipelines.targets.ec2_named import NamedCluster, identity_in, warnings_of
from emr_pipelines.targets.ec2_profile import Ec2Profile
from emr_pipelines.targets.ec2_steps import step_request

PLAIN = {"name": "analytics", "target": "ec2", "region": "us-east-1", "log_uri": "s3://a-logs/", "cluster": "analytics"}
OF_JOBS = {"description", "region", "connection", "log_uri", "tags", "deploy_mode", "execution_role"}
OTHER = {**SAMPLES["ec2"].other, "execution_role": "arn:aws:iam::123456789012:role/jobs"}
LEASE = Lease("prod", "flights_daily", "scheduled__2013-01-15T00:00:00+00:00", "emr")


def profile(**changed):
    return Ec2Profile.model_validate({**PLAIN, **changed})


def reason(**settings):
    with pytest.raises(ValidationError) as raised:
        Ec2Profile.model_validate(settings)
    return raised.value.errors()[0]["msg"].removeprefix("Value error, ")


@pytest.mark.parametrize(
    ("cluster", "id_"),
    [
        ("j-3KVTXXXXXX7UG", "j-3KVTXXXXXX7UG"),
        ("j-3KVTXXXXXX7U", None),
        ("j-3kvtxxxxxx7ug", None),
        ("our j-3KVTXXXXXX7UG", None),
        ("analytics", None),
    ],
)
def test_what_has_the_form_of_an_id_is_one_and_anything_else_is_a_name(cluster, id_):
    assert (profile(cluster=cluster).owner, profile(cluster=cluster).cluster_id) == ("profile", id_)


def test_without_a_cluster_it_makes_one_for_each_run():
    made = Ec2Profile.model_validate({**PLAIN, "cluster": None, "subnet": "subnet-1", "primary": {"type": "m5.xlarge"}})
    assert (made.owner, made.cluster_id) == ("run", None)


def test_clusters_of_runs_and_each_named_one_are_places_of_their_own():
    made = Ec2Profile.model_validate({**PLAIN, "cluster": None, "subnet": "subnet-1", "primary": {"type": "m5.xlarge"}})
    assert len({made.place, profile().place, profile(cluster="another").place, profile(name="same").place}) == 3


@pytest.mark.parametrize("setting", sorted(OTHER.keys() & OF_JOBS))
def test_what_concerns_jobs_may_be_given(setting):
    assert getattr(profile(**{setting: OTHER[setting]}), setting) == OTHER[setting]


@pytest.mark.parametrize("setting", sorted(OTHER.keys() - OF_JOBS - {"max_concurrent", "cluster"}))
def test_what_shapes_a_cluster_may_not_be_given(setting):
    said = f"{setting} shapes a cluster, and cluster names 'analytics', which runs already: leave one of them out"
    assert reason(**PLAIN, **{setting: OTHER[setting]}) == said


def test_runs_on_it_are_not_counted():
    assert "the cluster that cluster names is shared: leave it out" in reason(**PLAIN, max_concurrent=2)


@pytest.mark.parametrize("cluster", ["", "a<b", "cost in $", "n" * 257])
def test_a_name_that_no_cluster_can_have_is_refused(cluster):
    assert "has not the form that is needed: write it like analytics" in reason(**{**PLAIN, "cluster": cluster})


def test_a_profile_that_neither_shapes_nor_names_a_cluster_is_told_with_its_line(tmp_path):
    path = tmp_path / "dev.yaml"
    path.write_text(
        "deployment: dev\nbuckets: {data: a-data, logs: a-logs, artifacts: a-artifacts}\n"
        "profiles:\n  empty: {target: ec2, region: us-east-1}\n"
    )
    with pytest.raises(ConfigurationError, match=r"dev\.yaml:4: .*primary is missing: give the primary node"):
        read_environment(path)


def test_a_run_may_override_what_concerns_its_jobs_and_nothing_that_others_share():
    assert profile().overridden({"deploy_mode": "cluster"}).deploy_mode == "cluster"
    with pytest.raises(
        ValidationError, match="maximum_workers shapes a cluster that all runs share: override deploy_mode"
    ):
        profile().overridden({"maximum_workers": 3})


def named(lease):
    return NamedCluster(profile(), None).step_name(Key(lease, "emr.clean", -1, "nonce"))


def test_a_step_carries_the_whole_identity_of_its_run_in_its_name():
    key = Key(LEASE, "emr.clean", -1, "nonce")
    assert named(LEASE) == (
        f"{LEASE.id}-{key.id}-emr.clean prod/flights_daily/emr/scheduled__2013-01-15T00:00:00+00:00"
    )
    assert identity_in(named(LEASE)) == LEASE.tags


def test_a_name_as_long_as_any_is_accepted_by_emr():
    long = Lease("d" * 31, "d" * 250, "r" * 250, "g" * 250)
    step = step_request(CommandJob(command=("true",)), {}, named(long), profile())
    shape = get_session().get_service_model("emr").operation_model("AddJobFlowSteps").input_shape
    assert ParamValidator().validate({"JobFlowId": "j-3KVTXXXXXX7UG", "Steps": [step]}, shape).has_errors() is False
    assert len(step["Name"]) == 256


WORDS = st.text(st.characters(exclude_characters="/", exclude_categories=("Cs",)), min_size=1, max_size=250)


@given(st.builds(Lease, st.just("prod"), WORDS, st.text(min_size=1, max_size=250), WORDS))
def test_a_name_gives_back_the_run_that_it_was_made_of_or_none(lease):
    found = identity_in(named(lease))
    assert (found["emr-pipelines:deployment"], found["emr-pipelines:lease"]) == ("prod", lease.id)
    fits = len(lease.dag_id + lease.group_id + lease.run_id) <= 256 - 64 - len(" prod///")
    assert Lease.from_tags(found) == lease if fits else Lease.from_tags(found) in (lease, None)


@pytest.mark.parametrize(
    ("name", "deployment"),
    [
        ("nightly report", None),
        ("Setup Hadoop Debugging", None),
        (f"{LEASE.id}-0123456789abcdef-clean", ""),
        (f"{LEASE.id}-0123456789abcdef-clean other/dag/emr/run", "other"),
    ],
)
def test_a_step_that_is_not_of_a_deployments_run_does_not_seem_to_be(name, deployment):
    found = identity_in(name)
    assert (found.get("emr-pipelines:deployment"), Lease.from_tags(found)) == (deployment, None)


def test_a_cluster_that_is_fit_to_be_shared_gives_no_warning():
    fit = {"StepConcurrencyLevel": 10, "LogUri": "s3n://a-logs/", "AutoTerminate": False}
    assert warnings_of(fit) == []
    assert len(warnings_of({**fit, "StepConcurrencyLevel": 1})) == 1
    assert len(warnings_of({**fit, "LogUri": None})) == 1
    assert len(warnings_of({**fit, "AutoTerminate": True})) == 1


def instance(type_, there, gone=None):
    times = {"CreationDateTime": there, "EndDateTime": gone}
    timeline = {name: datetime.fromtimestamp(time * 3600, UTC) for name, time in times.items() if time is not None}
    return {"InstanceType": type_, "Status": {"Timeline": timeline}}


INSTANCES = [instance("m5.xlarge", 1, 11), instance("r5.xlarge", 2, 5), instance("r5.xlarge", 4, 11)]


@pytest.mark.parametrize(
    ("spells", "hours"),
    [
        ([ALWAYS], {"m5.xlarge": 10.0, "r5.xlarge": 10.0}),
        ([], {"m5.xlarge": 0.0, "r5.xlarge": 0.0}),
        ([(3, 6)], {"m5.xlarge": 3.0, "r5.xlarge": 4.0}),
        ([(3, 6), (4, 5), (6, 7)], {"m5.xlarge": 4.0, "r5.xlarge": 5.0}),
        ([(9, 10), (0, 2)], {"m5.xlarge": 2.0, "r5.xlarge": 1.0}),
        ([(10, 99)], {"m5.xlarge": 1.0, "r5.xlarge": 1.0}),
    ],
)
def test_hours_are_counted_while_jobs_ran_and_once_where_they_ran_together(spells, hours):
    assert instance_hours(INSTANCES, [(began * 3600, ended * 3600) for began, ended in spells]) == hours


def test_an_instance_that_was_never_there_has_no_hours():
    assert instance_hours([instance("m5.xlarge", None)], [ALWAYS]) == {}
