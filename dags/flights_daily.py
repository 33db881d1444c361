"""Flights of one day: cleaned by Spark, summed up per carrier by Hive, audited, then published."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable

from emr_pipelines import (
    STAGED,
    VERSION,
    Between,
    Dataset,
    EmrJobOperator,
    EmrPipeline,
    HiveJob,
    QualityCheckOperator,
    SparkJob,
    current_environment,
)

DATA = f"s3://{current_environment().buckets.data}"
DAY = "{{ data_interval_start | ds }}"
FLIGHTS = Dataset("flights", f"{DATA}/flights/")
CARRIER_DELAY = Dataset("carrier_delay", f"{DATA}/carrier_delay/")

with DAG(
    "flights_daily",
    description="Cleans, sums up, checks and publishes the New York flights of one day of 2013",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2013, 1, 1, tzinfo=UTC),
    end_date=datetime(2013, 12, 31, tzinfo=UTC),
    catchup=False,
    max_active_runs=2,
    dagrun_timeout=timedelta(hours=26),  # a person may have to answer; a job has its own hour
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
                args=("--source", f"{DATA}/raw/flights/", "--destination", STAGED, "--date", DAY),
            ),
            stages=FLIGHTS.partition(DAY),
        )
        carriers = EmrJobOperator(
            task_id="carriers",
            job=HiveJob(
                script="hive/carrier_delay.hql",
                variables={"source": clean.staged, "destination": STAGED, "version": VERSION},
                spark_sql=True,
            ),
            stages=CARRIER_DELAY.partition(DAY),
        )
        check = QualityCheckOperator(
            task_id="check",
            ruleset="quality/flights.dqdl",
            data=clean.staged,
            audits=FLIGHTS.partition(DAY),
            quarantine=f"{DATA}/quarantine/flights/dt={DAY}/",
        )
        clean >> carriers >> check

    emr.publish(clean, carriers)
