"""How many workers a job of containers may have: what a policy counts is what the job is told."""

from __future__ import annotations

import pytest

from emr_pipelines.targets import profile_model
from emr_pipelines.targets.spark_settings import settled

ROLE = "arn:aws:iam::123456789012:role/jobs"
EKS = {"target": "eks", "eks_cluster": "a", "namespace": "emr"}
SERVERLESS = {"target": "serverless"}


def in_defaults(**properties):
    return {
        "configurations": [
            {"classification": "spark-defaults", "properties": {f"spark.{k}": v for k, v in properties.items()}}
        ]
    }


@pytest.mark.parametrize(
    ("target", "settings", "most"),
    [
        (EKS, {}, 3),
        (EKS, {"maximum_workers": 7}, 8),
        (EKS, {"spark": {"executor": {"count": 50}}}, 51),
        (EKS, {"spark": {"dynamic_allocation": {"maximum": 9}}}, 10),
        (EKS, {"spark": {"dynamic_allocation": {"minimum": 1}}}, None),
        (EKS, {"spark": {"conf": {"spark.executor.instances": "500"}}}, 501),
        (EKS, {"spark": {"conf": {"spark.dynamicAllocation.enabled": "true"}}}, None),
        (
            EKS,
            {"spark": {"dynamic_allocation": {"maximum": 9}, "conf": {"spark.dynamicAllocation.maxExecutors": "900"}}},
            901,
        ),
        (EKS, in_defaults(**{"executor.instances": " 500 "}), 501),
        (EKS, {"maximum_workers": 7, **in_defaults(**{"executor.instances": "500"})}, 8),
        (SERVERLESS, {}, None),
        (SERVERLESS, {"maximum_workers": 7}, 8),
        (SERVERLESS, {"spark": {"dynamic_allocation": {"maximum": 9}}}, 10),
        (SERVERLESS, {"spark": {"dynamic_allocation": {"minimum": 1}}}, None),
        (
            SERVERLESS,
            {
                "spark": {"dynamic_allocation": {"maximum": 9}},
                **in_defaults(**{"dynamicAllocation.maxExecutors": "900"}),
            },
            901,
        ),
        (
            SERVERLESS,
            {
                "spark": {"dynamic_allocation": {"maximum": 9}},
                **in_defaults(**{"dynamicAllocation.maxExecutors": "many"}),
            },
            None,
        ),
        (
            SERVERLESS,
            {"owner": "profile", "maximum_workers": 7, "executor": {"cpu": 4, "memory": 16, "initial": 500}},
            500,
        ),
    ],
)
def test_what_bounds_workers_is_what_the_job_is_told_whichever_setting_says_so(target, settings, most):
    given = {"name": "p", "region": "us-east-1", "log_uri": "s3://logs/", "execution_role": ROLE, **target, **settings}
    assert profile_model(target["target"])(**given).most_nodes == most


def test_maximum_workers_bound_a_number_with_blanks_too():
    assert settled({}, {"spark.executor.instances": " +500 "}, 7) == {"spark.executor.instances": "7"}
