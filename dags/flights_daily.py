"""Flights of one day: cleaned by Spark, summed up per carrier by Hive, checked, then published."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, CronDataIntervalTimetable

from emr_pipelines import (
    Between,
    EmrJobOperator,
    EmrPipeline,
    HiveJob,
    QualityCheckOperator,
    SparkJob,
    current_environment,
)

DATA = f"s3://{current_environment().buckets.data}"
DAY = "{{ data_interval_start | ds }}"

with DAG(
    "flights_daily",
    description="Cleans, sums up, checks and publishes the New York flights of one day of 2013",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2013, 1, 1, tzinfo=UTC),
    end_date=datetime(2013, 12, 31, tzinfo=UTC),
    catchup=False,
    max_active_runs=2,
    dagrun_timeout=timedelta(hours=2),
    default_args={"retries": 1, "retry_delay": timedelta(seconds=10), "execution_timeout": timedelta(hours=1)},
    tags=["emr", "flights"],
):
    with EmrPipeline(
        "emr",
        targets=["ec2", "eks", "serverless", ["serverless", "ec2"]],
        overrides={"maximum_workers": Between(1, 100)},
    ) as emr:
        clean = EmrJobOperator(
            task_id="clean",
            job=SparkJob(
                script="jobs/flights/clean.py",
                args=("--source", f"{DATA}/raw/flights/", "--destination", f"{DATA}/flights/", "--date", DAY),
            ),
        )
        carriers = EmrJobOperator(
            task_id="carriers",
            job=HiveJob(
                script="hive/carrier_delay.hql",
                variables={"dt": DAY, "source": f"{DATA}/flights/", "destination": f"{DATA}/carrier_delay/"},
                spark_sql=True,
            ),
        )
        check = QualityCheckOperator(task_id="check", ruleset="quality/flights.dqdl", data=f"{DATA}/flights/dt={DAY}/")
        clean >> carriers >> check

    publish = EmptyOperator(
        task_id="publish",
        outlets=[Asset("flights", uri=f"{DATA}/flights/"), Asset("carrier_delay", uri=f"{DATA}/carrier_delay/")],
    )
    emr >> publish
