"""What a job run's parameters mean in workers, and what workers cost. Expected values are those of AWS's tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_emr.serverless.workers import (
    Capacity,
    billed_utilization,
    exceeded,
    hive_workers,
    quantity,
    spark_settings,
    spark_workers,
    utilization,
    worker,
)


@pytest.mark.parametrize(
    ("text", "expected"), [("4 vCPU", 4), ("4vcpu", 4), ("4", 4), ("16 GB", 16), ("16gb", 16), ("200 gB", 200)]
)
def test_a_quantity_may_name_its_unit(text, expected):
    assert expected == quantity(text)


@pytest.mark.parametrize(
    ("cpu", "memory", "expected"),
    [
        (1, 1.375, 2),
        (1, 8, 8),
        (4, 15.4, 16),  # the default: 14 GB and a tenth
        (4, 29.7, 30),  # 27 GB of heap are billed as 30 GB
        (8, 16, 16),
        (8, 17, 20),
        (8, 60, 60),
        (16, 33, 40),
        (16, 120, 120),
    ],
)
def test_a_worker_has_the_next_larger_memory(cpu, memory, expected):
    assert Capacity(cpu, expected, 20) == worker(cpu, memory, 20)


@pytest.mark.parametrize(
    ("cpu", "memory", "disk", "words"),
    [
        (3, 8, 20, "3 vCPU is not supported"),
        (1, 8.1, 20, "1 vCPU and 8.1 GB memory is not supported: at most 8 GB"),
        (8, 60.5, 20, "at most 60 GB"),
        (4, 8, 19, "19 GB disk is not supported"),
        (4, 8, 201, "201 GB disk is not supported"),
    ],
)
def test_a_worker_that_is_not_to_be_had_is_named(cpu, memory, disk, words):
    with pytest.raises(ValueError, match=words):
        worker(cpu, memory, disk)


DEFAULT = Capacity(4, 16, 20)


@pytest.mark.parametrize(
    ("settings", "driver", "executor", "count"),
    [
        ({}, DEFAULT, DEFAULT, 3),
        ({"spark.driver.memory": "2g", "spark.driver.cores": "1"}, Capacity(1, 3, 20), DEFAULT, 3),
        ({"spark.executor.memory": "1g", "spark.executor.cores": "1"}, DEFAULT, Capacity(1, 2, 20), 3),
        ({"spark.executor.memoryOverhead": "4g"}, DEFAULT, Capacity(4, 18, 20), 3),
        ({"spark.emr-serverless.memoryOverheadFactor": "0.5"}, Capacity(4, 21, 20), Capacity(4, 21, 20), 3),
        ({"spark.emr-serverless.executor.disk": "200G"}, DEFAULT, Capacity(4, 16, 200), 3),
        ({"spark.executor.instances": "7"}, DEFAULT, DEFAULT, 7),
        ({"spark.dynamicAllocation.initialExecutors": "1"}, DEFAULT, DEFAULT, 1),
        ({"spark.dynamicAllocation.minExecutors": "5", "spark.executor.instances": "2"}, DEFAULT, DEFAULT, 5),
        ({"spark.dynamicAllocation.maxExecutors": "1"}, DEFAULT, DEFAULT, 1),
        (
            {"spark.dynamicAllocation.enabled": "false", "spark.dynamicAllocation.minExecutors": "5"},
            DEFAULT,
            DEFAULT,
            3,
        ),
    ],
)
def test_spark_s_settings_say_how_many_workers_and_how_large(settings, driver, executor, count):
    found = spark_workers(settings)
    assert (driver, executor, count) == (found.driver, found.other, found.count)


def test_spark_submit_s_options_are_settings_too():
    options = [
        "--driver-memory",
        "1g",
        "--conf",
        "spark.a=b=c",
        "--num-executors=2",
        "--executor-cores",
        "1",
        "main.py",
    ]
    assert spark_settings(options) == {
        "spark.driver.memory": "1g",
        "spark.a": "b=c",
        "spark.executor.instances": "2",
        "spark.executor.cores": "1",
    }


def test_hive_has_a_driver_and_a_tez_task():
    found = hive_workers({"hive.driver.cores": "1", "hive.tez.container.size": "8192", "hive.tez.disk.size": "30G"})
    assert (Capacity(1, 4, 20), Capacity(2, 8, 30), 1) == (found.driver, found.other, found.count)
    assert found.billed_disk_gb == 10


@pytest.mark.parametrize(
    ("wanted", "limits", "expected"),
    [
        (Capacity(16, 64, 80), None, None),
        (Capacity(16, 64, 80), {"cpu": "16 vCPU", "memory": "64 GB", "disk": "80 GB"}, None),
        (Capacity(17, 64, 80), {"cpu": "16 vCPU", "memory": "64"}, "cpu: 16 vCPU"),
        (
            Capacity(17, 65, 81),
            {"cpu": "16", "memory": "64 gb", "disk": "80 GB"},
            "cpu: 16 vCPU, memory: 64 GB, disk: 80 GB",
        ),
    ],
)
def test_exceeded_limits_are_named(wanted, limits, expected):
    assert expected == exceeded(wanted, limits)


SECONDS = st.lists(st.floats(0, 100_000), max_size=5)


@given(st.sampled_from([1, 2, 4, 8, 16]), st.integers(1, 500), SECONDS)
def test_the_bill_is_never_below_what_was_used_nor_below_a_minute_for_each_attempt(cpu, memory, seconds):
    capacity = Capacity(cpu, memory, 20)
    used, billed = utilization(capacity, seconds), billed_utilization(capacity, 0, seconds)
    assert billed["vCPUHour"] >= used["vCPUHour"]
    assert billed["memoryGBHour"] >= used["memoryGBHour"]
    assert billed["vCPUHour"] >= round(cpu * len(seconds) / 60, 3)
    assert billed["storageGBHour"] == 0


@given(st.integers(60, 100_000))
def test_whole_seconds_over_a_minute_are_billed_as_they_are_used(seconds):
    capacity = Capacity(3, 5, 7)
    assert billed_utilization(capacity, 7, [seconds]) == utilization(capacity, [seconds])
